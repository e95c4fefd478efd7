// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs one guest in the foreground: its name, signals, terminal and console, the service manager,
 * and orphans. What concerns the guest itself is in guest.c.
 */
#include "guest/run/run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/stop_request.h"
#include "guest/run/control.h"
#include "guest/run/service_manager.h"
#include "guest/run/supervisor.h"
#include "guest/run/timeline.h"
#include "host/console.h"
#include "host/guest_directory.h"
#include "host/terminal.h"

#define COMPONENT "run"
/* How long to wait for the rest of the guest's output at the end. */
#define OUTPUT_MS 2000
/* Added to the time limits of a stop when the service manager is told how long it may take. */
#define STOP_SPARE_MS 10000

/* How signals that do not come through the event loop are handled while a guest runs. */
static const struct {
	int number;
	void (*handler)(int);
} actions[] = {
	/* Survive a reader of the console that closes its end. */
	{SIGPIPE, SIG_IGN},
	/* Keep supervising the guest when this is a background job. */
	{SIGTTIN, SIG_IGN},
	{SIGTTOU, SIG_IGN},
	/* Get notified when orphans end, whatever the parent set. */
	{SIGCHLD, SIG_DFL},
};

#define HANDLED_ACTIONS (sizeof(actions) / sizeof(actions[0]))

struct run {
	const struct guest_config *config;
	const struct guest_run_holder *holder; /* or NULL */
	struct event_loop loop;
	struct event_source signals;
	sigset_t signals_before;
	struct sigaction actions_before[HANDLED_ACTIONS];
	struct service_manager manager;
	struct guest *guest;
	struct guest_control control;
	int console_fd; /* this process's end of the serial port, until the console is opened */
	struct console *console;
	/* For the device that serves the terminal; its descriptors are -1 without one. */
	struct terminal terminal;
	int control_fd;		     /* of the holder, until it is served; -1 */
	int terminal_fd;	     /* this process's end */
	struct stop_request request; /* by a signal */
	bool ended, timeline_printed, console_announced;
	bool children_ended; /* maybe orphans: see reap_orphans */
	struct timeline timeline;
	int64_t start_ms, output_ms; /* 0: no output yet */
};

static void handle_step(void *context, uint64_t nanoseconds, const char *step)
{
	struct run *run = context;

	timeline_add(&run->timeline, nanoseconds, step);
}

static void log_console_follows(void)
{
	log_line(LOG_INFO, COMPONENT,
		 "the guest's console follows; " CONSOLE_QUIT_KEYS " ends the guest");
}

/* Once: the processes, and that the console follows, before its output starts. */
static void announce(struct run *run)
{
	guest_announce(run->guest);
	if (console_is_terminal(run->console) && !run->console_announced)
		log_console_follows();
	run->console_announced = true;
}

static void handle_quit(void *context)
{
	struct run *run = context;

	guest_kill(run->guest, CONSOLE_QUIT_KEYS);
}

/* Prints it once: at the guest's first output or, without any, at the end. */
static void print_timeline(struct run *run)
{
	if (run->config->timeline && !run->timeline_printed)
		timeline_print(&run->timeline);
	run->timeline_printed = true;
}

static void handle_first_output(void *context)
{
	struct run *run = context;

	announce(run);
	run->output_ms = clock_now_ms();
	timeline_add(&run->timeline, clock_now_ns(), "first output of the guest");
	print_timeline(run);
}

static void handle_foreground(void *context)
{
	const struct run *run = context;

	log_console_follows();
	/* A background job gets no SIGWINCH. */
	terminal_resized(&run->terminal);
}

static const struct console_events console_events = {
	.quit = handle_quit,
	.first_output = handle_first_output,
	.foreground = handle_foreground,
};

/* Takes over the socket of the guest's serial port. */
static int handle_started(void *context, struct error *error)
{
	struct run *run = context;
	const int fds[CONSOLE_ENDS] = {take_fd(&run->console_fd), take_fd(&run->terminal_fd)};

	return console_open(&run->console, &run->loop, fds, fds[1] < 0 ? 1 : 2, &console_events,
			    run, error);
}

static void handle_ready(void *context)
{
	struct run *run = context;

	service_manager_notify(&run->manager, "READY=1\nSTATUS=guest %s runs on engine %s",
			       run->config->name, guest_engine_name(run->guest));
}

static void handle_running(void *context)
{
	announce(context);
}

/* Has the service manager wait for as long as the shutdown and the cleanup may take. */
static void handle_stopping(void *context, uint64_t limit_ms)
{
	struct run *run = context;
	uint64_t ms = limit_ms + 2 * GUEST_KILL_MS + OUTPUT_MS + SUPERVISOR_STOP_MS + STOP_SPARE_MS;

	if (limit_ms)
		service_manager_notify(&run->manager,
				       "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64
				       "\nSTATUS=the guest was asked to shut down",
				       ms * 1000);
	else
		service_manager_notify(&run->manager,
				       "STOPPING=1\nSTATUS=the guest is being ended");
	console_finish_line(run->console);
}

static void handle_happened(void *context, const struct log_field *fields)
{
	struct run *run = context;

	guest_control_happened(&run->control, fields);
}

static int report_status(struct run *run, const char *status, struct error *error)
{
	return run->holder ? run->holder->changed(run->holder->context, status, error) : 0;
}

static void handle_paused(void *context, const struct error *error)
{
	struct run *run = context;
	struct error unreported;

	if (!error && report_status(run, "paused", &unreported) < 0)
		error = &unreported;
	guest_control_paused(&run->control, error);
}

static void handle_resumed(void *context, const struct error *error)
{
	struct run *run = context;
	struct error unreported;

	if (!error && report_status(run, "running", &unreported) < 0)
		error = &unreported;
	guest_control_resumed(&run->control, error);
}

static void handle_device_restarted(void *context, size_t index, const char *lost,
				    const struct error *error)
{
	struct run *run = context;

	guest_control_device_restarted(&run->control, index, lost, error);
}

static void handle_ended(void *context)
{
	struct run *run = context;

	run->ended = true;
}

static const struct guest_events guest_events = {
	.step = handle_step,
	.started = handle_started,
	.ready = handle_ready,
	.running = handle_running,
	.stopping = handle_stopping,
	.happened = handle_happened,
	.paused = handle_paused,
	.resumed = handle_resumed,
	.device_restarted = handle_device_restarted,
	.ended = handle_ended,
};

static void handle_signal(void *context, uint32_t events)
{
	struct run *run = context;
	struct signalfd_siginfo info;
	char why[64];

	if (read(run->signals.fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH) {
		terminal_resized(&run->terminal);
		return;
	}
	if (info.ssi_signo == SIGCHLD) {
		run->children_ended = true;
		return;
	}
	if (info.ssi_signo == SIGCONT) {
		if (run->console)
			console_resume(run->console);
		return;
	}
	if (!stop_request_take(&run->request, clock_now_ms()))
		return;
	snprintf(why, sizeof(why), "signal %u (%s)", info.ssi_signo,
		 strsignal((int)info.ssi_signo));
	guest_stop(run->guest, why);
}

/* Routes the signals that end a guest through the loop. */
static int take_signals(struct run *run, struct error *error)
{
	static const int numbers[] = {SIGTERM, SIGINT,	 SIGQUIT, SIGHUP,
				      SIGCONT, SIGWINCH, SIGCHLD, 0};

	for (size_t i = 0; i < HANDLED_ACTIONS; i++) {
		const struct sigaction action = {.sa_handler = actions[i].handler};

		sigaction(actions[i].number, &action, &run->actions_before[i]);
	}
	run->signals.fd = signals_open(numbers, &run->signals_before, error);
	if (run->signals.fd < 0)
		return run->signals.fd;
	return event_loop_add(&run->loop, &run->signals, EPOLLIN, error);
}

static void restore_signals(struct run *run)
{
	struct signalfd_siginfo info;

	/* Drop signals that came while the guest was ending. */
	if (run->signals.fd >= 0)
		while (read(run->signals.fd, &info, sizeof(info)) == sizeof(info))
			;
	event_loop_remove(&run->loop, &run->signals);
	close_fd(&run->signals.fd);
	for (size_t i = 0; i < HANDLED_ACTIONS; i++)
		sigaction(actions[i].number, &run->actions_before[i], NULL);
	pthread_sigmask(SIG_SETMASK, &run->signals_before, NULL);
}

static bool gets_orphans(void)
{
	int subreaper = 0;

	return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper);
}

/*
 * When a device process is killed, its children, such as the one that reads name servers, are
 * inherited by the init process or subreaper. If that is this process, it reaps them. The status of
 * a known child is left to whoever started it; as long as it has not been reaped, the orphans
 * behind it wait for the next turn.
 */
static void reap_orphans(struct run *run)
{
	siginfo_t info;

	while (run->children_ended) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
			run->children_ended = false;
		else if (guest_has_child(run->guest, info.si_pid))
			return;
		else
			waitpid(info.si_pid, NULL, WNOHANG);
	}
}

static int take_turn(struct run *run)
{
	int result = event_loop_turn(&run->loop, -1);

	if (run->children_ended && gets_orphans())
		reap_orphans(run);
	return result;
}

static int start_guest(struct run *run, struct error *error)
{
	struct guest_setup setup = {
		.loop = &run->loop,
		.config = run->config,
		.terminal = &run->terminal,
		.events = &guest_events,
		.context = run,
		.held = run->holder,
	};
	int ends[2], result = 0;

	if (guest_config_terminal(run->config))
		result = terminal_open(&run->terminal, &run->terminal_fd, error);
	if (result < 0)
		return result;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	run->console_fd = ends[0];
	setup.console_fd = ends[1];
	return guest_start(&run->guest, &setup, error);
}

/* Makes the control socket, unless there is no directory for it. */
static int open_control(struct run *run, const struct guest_directory *directory,
			struct error *error)
{
	int fd = run->holder ? take_fd(&run->control_fd) : guest_directory_listen(directory, error);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	return guest_control_open(&run->control, &run->loop, run->config, fd, error);
}

/* The verb `start`. */
static int release(void *context, struct error *error)
{
	struct run *run = context;
	int result = report_status(run, "running", error);

	return result < 0 ? result : guest_release(run->guest, error);
}

/* Runs from the first process to the end of the guest. The caller cleans up. */
static int run_phases(struct run *run, const struct guest_directory *directory, struct error *error)
{
	int result = open_control(run, directory, error);

	if (result == 0)
		result = start_guest(run, error);
	if (result == 0)
		run->control.guest = run->guest;
	if (result == 0 && run->holder) {
		run->control.start = release;
		run->control.context = run;
		result = run->holder->held(run->holder->context, error);
	}
	while (result >= 0 && !run->ended)
		result = take_turn(run);
	return result < 0 ? result : 0;
}

/* Logs and returns what guest_run returns. */
static int take_result(struct run *run, enum guest_end *end, struct error *error)
{
	char output[64] = "";

	if (run->output_ms)
		snprintf(output, sizeof(output), ", its first output came at %.2f s",
			 (double)(run->output_ms - run->start_ms) / 1000);
	return guest_take_result(run->guest, output, end, error);
}

int guest_run(struct guest_config *config, const struct guest_run_holder *holder,
	      enum guest_end *end, struct error *error)
{
	struct run run = {
		.config = config,
		.holder = holder,
		.manager = SERVICE_MANAGER_NONE,
		.control = GUEST_CONTROL_NONE,
		.signals = {.fd = -1, .handle = handle_signal},
		.console_fd = -1,
		.terminal = TERMINAL_NONE,
		.terminal_fd = -1,
		.control_fd = holder ? holder->control_fd : -1,
		.start_ms = clock_now_ms(),
	};
	struct guest_directory directory = GUEST_DIRECTORY_NONE;
	int result = 0;

	if (!holder)
		result = guest_directory_take(&directory, &config->name, config->unnamed, error);
	if (result == 0)
		result = event_loop_init(&run.loop, 0, error);
	if (result < 0) {
		close_fd(&run.control_fd);
		guest_directory_give(&directory, config->name);
		return result;
	}
	if (config->unnamed)
		log_set_guest(config->name); /* the name may have changed */
	timeline_start(&run.timeline);
	timeline_add(&run.timeline, clock_now_ns(), "program loaded, options read");
	run.signals.context = &run;
	result = take_signals(&run, error);
	service_manager_open(&run.manager, &run.loop);
	service_manager_notify(&run.manager, "STATUS=starting guest %s", config->name);
	if (result == 0)
		result = run_phases(&run, &directory, error);

	service_manager_notify(&run.manager, "STOPPING=1\nSTATUS=the guest %s",
			       run.ended && guest_how(run.guest)[0] ? guest_how(run.guest) :
								      "does not run");
	guest_end(run.guest);
	/* The console ends when its last writer is gone. */
	terminal_close(&run.terminal);
	console_close(run.console, OUTPUT_MS);
	print_timeline(&run);
	if (result == 0)
		result = take_result(&run, end, error);
	guest_control_close(&run.control);
	guest_free(run.guest);
	service_manager_close(&run.manager);
	restore_signals(&run);
	event_loop_close(&run.loop);
	close_fd(&run.console_fd);
	close_fd(&run.terminal_fd);
	close_fd(&run.control_fd);
	guest_directory_give(&directory, config->name);
	return result;
}

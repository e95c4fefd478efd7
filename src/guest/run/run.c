// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs one guest: starts its engine, device processes and console, handles signals, failures and
 * time limits, and cleans up at the end.
 */
#include "guest/run/run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/stop_request.h"
#include "base/timer.h"
#include "guest/engine/engine.h"
#include "guest/run/restart_policy.h"
#include "guest/run/service_manager.h"
#include "guest/run/supervisor.h"
#include "guest/run/timeline.h"
#include "host/console.h"
#include "host/host_identity.h"
#include "host/terminal.h"
#include "host/kvm_probe.h"

#define COMPONENT "run"
/* How long an engine gets to exit when its guest is killed. */
#define KILL_MS 3000
/*
 * How often the power button is pressed while the guest has time to shut down. A guest that starts
 * or resets misses a press, and its kernel accepts the button before user space listens to it.
 */
#define PRESS_MS 1000
/* How long to wait for the rest of the guest's output at the end. */
#define OUTPUT_MS 2000
/* Resets within this time of each other are one restart of the guest. */
#define RESET_MS 1000
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
	struct event_loop loop;
	struct event_source signals;
	struct timer timer;
	struct kvm_probe probe;
	sigset_t signals_before;
	struct sigaction actions_before[HANDLED_ACTIONS];
	struct service_manager manager;
	struct kvm_probe_result kvm;
	const struct engine *engine;
	struct engine_plan *plan;
	struct supervisor *supervisor;
	struct engine_device *devices;
	struct engine_setup setup;
	struct engine_guest *guest;
	struct console *console;
	/* For the device that serves the terminal; its descriptors are -1 without one. */
	struct terminal terminal;
	int terminal_fd; /* this process's end */
	/* Progress. */
	bool devices_ready, running, ended, timeline_printed, processes_logged;
	struct stop_request request; /* by a signal */
	bool stop_asked, kill_asked;
	bool children_ended; /* maybe orphans: see reap_orphans */
	enum guest_end end;
	char how[512]; /* completes "the guest …" */
	bool failed;   /* the reason is in failure */
	struct error failure;
	struct restart_policy resets;
	struct timeline timeline;
	/* Times in milliseconds; 0: not yet. */
	int64_t start_ms, devices_ms, running_ms, output_ms, reset_ms;
	int64_t stop_end_ms; /* deadline of a shutdown; then the guest is killed */
};

static void step_done(struct run *run, const char *step)
{
	timeline_add(&run->timeline, clock_now_ns(), step);
}

/* Seconds from the start to @ms. */
static double since_start(const struct run *run, int64_t ms)
{
	return (double)(ms - run->start_ms) / 1000;
}

/* Kills the guest; the second time with SIGKILL. */
static void kill_guest(struct run *run)
{
	run->kill_asked = true;
	service_manager_notify(&run->manager, "STOPPING=1\nSTATUS=the guest is being ended");
	if (!run->guest)
		return;
	engine_kill(run->guest);
	timer_set_ms(&run->timer, KILL_MS);
}

/* Has the service manager wait for as long as the shutdown and the cleanup may take. */
static void notify_stopping(struct run *run)
{
	uint64_t ms = run->config->stop_timeout * 1000 + 2 * KILL_MS + OUTPUT_MS +
		      SUPERVISOR_STOP_MS + STOP_SPARE_MS;

	service_manager_notify(&run->manager,
			       "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64
			       "\nSTATUS=the guest was asked to shut down",
			       ms * 1000);
}

/* Presses the power button, and again every PRESS_MS until the deadline. */
static void press_power_button(struct run *run)
{
	int64_t left_ms = run->stop_end_ms - clock_now_ms();

	engine_stop(run->guest);
	if (left_ms < 0)
		left_ms = 0;
	timer_set_ms(&run->timer, left_ms < PRESS_MS ? (uint64_t)left_ms : PRESS_MS);
}

static void stop_guest(struct run *run, const char *why)
{
	uint64_t seconds = run->config->stop_timeout;
	bool kill = run->stop_asked || run->kill_asked || !run->running || !seconds;

	run->stop_asked = true;
	if (kill) {
		kill_guest(run);
	} else {
		run->stop_end_ms = clock_now_ms() + (int64_t)seconds * 1000;
		press_power_button(run);
		notify_stopping(run);
	}
	console_finish_line(run->console);
	if (kill)
		log_line(LOG_INFO, COMPONENT, "%s: the guest is killed", why);
	else
		log_line(LOG_INFO, COMPONENT,
			 "%s: the guest's power button is pressed; it has %d s", why, (int)seconds);
}

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
	stop_guest(run, why);
}

/* Kills the guest because of *error; only the first reason is kept. */
static void fail(struct run *run, const struct error *error)
{
	if (run->failed)
		return;
	run->failed = true;
	run->failure = *error;
	kill_guest(run);
}

static void handle_timer(void *context)
{
	struct run *run = context;
	struct error error;

	if (run->kill_asked) {
		kill_guest(run);
	} else if (run->stop_asked && clock_now_ms() < run->stop_end_ms) {
		press_power_button(run);
	} else if (run->stop_asked) {
		stop_guest(run, "it still runs");
	} else if (!run->running) {
		error_set(&error, ETIMEDOUT, "engine %s did not start the guest within %d s",
			  run->engine->name, GUEST_START_MS / 1000);
		fail(run, &error);
	}
}

/* The guest runs, and all its devices are served. */
static void notify_ready(struct run *run)
{
	if (run->running && run->devices_ready)
		service_manager_notify(&run->manager, "READY=1\nSTATUS=guest %s runs on engine %s",
				       run->config->name, run->engine->name);
}

static void handle_devices_ready(void *context)
{
	struct run *run = context;

	run->devices_ready = true;
	run->devices_ms = clock_now_ms();
	step_done(run, "device processes serve");
	notify_ready(run);
}

static void handle_device_restarted(void *context, const struct device_config *device)
{
	struct run *run = context;

	if (run->guest && !engine_reattaches(run->engine, device->type))
		log_line(LOG_WARNING, COMPONENT,
			 "%s: engine %s cannot attach the new process; the guest goes on without "
			 "the device",
			 device->name, run->engine->name);
}

static void handle_device_failed(void *context, const struct error *error)
{
	fail(context, error);
}

static void handle_step(void *context, uint64_t nanoseconds, const char *step)
{
	struct run *run = context;

	timeline_add(&run->timeline, nanoseconds, step);
}

static void handle_refused(void *context, const struct error *error)
{
	fail(context, error);
}

static const struct supervisor_events supervisor_events = {
	.ready = handle_devices_ready,
	.restarted = handle_device_restarted,
	.failed = handle_device_failed,
};

static void log_console_follows(void)
{
	log_line(LOG_INFO, COMPONENT,
		 "the guest's console follows; " CONSOLE_QUIT_KEYS " ends the guest");
}

/*
 * Logs once which processes run what, before the console output starts. When the guest does not
 * start, only the error is logged.
 */
static void log_processes(struct run *run)
{
	if (run->processes_logged)
		return;
	run->processes_logged = true;
	guest_config_hint(run->config);
	if (run->plan->passed_over[0])
		log_line(LOG_INFO, COMPONENT, "%s", run->plan->passed_over);
	log_fields(LOG_INFO, COMPONENT,
		   LOG_FIELDS(LOG_TEXT("event", "engine-started"),
			      LOG_TEXT("engine", run->engine->name),
			      LOG_NUMBER("process", run->guest->process.pid)),
		   "engine %s: %s; process %d", run->engine->name, run->plan->summary,
		   (int)run->guest->process.pid);
	for (size_t i = 0; i < run->config->device_count; i++) {
		struct supervisor_device device = supervisor_device(run->supervisor, i);

		log_fields(LOG_INFO, COMPONENT,
			   LOG_FIELDS(LOG_TEXT("event", "device-started"),
				      LOG_TEXT("device", device.config->name),
				      LOG_TEXT("type", device.config->type->name),
				      LOG_NUMBER("process", device.pid)),
			   "device %s (%s): process %d", device.config->name,
			   device.config->type->name, (int)device.pid);
	}
	if (console_is_terminal(run->console))
		log_console_follows();
}

static void handle_running(void *context)
{
	struct run *run = context;

	run->running = true;
	log_processes(run);
	run->running_ms = clock_now_ms();
	step_done(run, "guest runs");
	notify_ready(run);
	if (!run->stop_asked && !run->kill_asked)
		timer_cancel(&run->timer);
}

static void handle_reset(void *context)
{
	struct run *run = context;
	int64_t now = clock_now_ms();
	int64_t lived_ms = now - (run->reset_ms ? run->reset_ms : run->running_ms);
	struct error error;

	/* A kernel tries several ways to reset; each one is reported. */
	if (run->reset_ms && lived_ms < RESET_MS)
		return;
	run->reset_ms = now;
	log_fields(LOG_INFO, COMPONENT, LOG_FIELDS(LOG_TEXT("event", "guest-restarts")),
		   "the guest restarts");
	if (!restart_policy_count(&run->resets, lived_ms, run->config->restart_limit))
		return;
	error_set(&error, EIO,
		  "the guest restarted %d times in a row, each within %d s of the time before; "
		  "--restart-limit allows more",
		  (int)run->config->restart_limit, RESTART_QUIET_MS / 1000);
	fail(run, &error);
}

static void handle_device_given_up(void *context, const char *name)
{
	struct run *run = context;

	supervisor_kill_device(run->supervisor, name);
}

static void handle_watchdog(void *context, const char *what)
{
	const struct run *run = context;

	log_fields(LOG_WARNING, COMPONENT,
		   LOG_FIELDS(LOG_TEXT("event", "watchdog-expired"), LOG_TEXT("watchdog", what),
			      LOG_TEXT("policy", guest_config_watchdog(run->config))),
		   "%s expired; policy %s", what, guest_config_watchdog(run->config));
}

static void handle_ended(void *context, enum guest_end end, const char *how)
{
	struct run *run = context;

	run->ended = true;
	run->end = end;
	snprintf(run->how, sizeof(run->how), "%s", how);
}

static const struct engine_events engine_events = {
	.step = handle_step,
	.refused = handle_refused,
	.running = handle_running,
	.reset = handle_reset,
	.device_given_up = handle_device_given_up,
	.watchdog = handle_watchdog,
	.ended = handle_ended,
};

static void handle_quit(void *context)
{
	struct run *run = context;

	kill_guest(run);
	console_finish_line(run->console);
	log_line(LOG_INFO, COMPONENT, CONSOLE_QUIT_KEYS ": the guest is killed");
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

	log_processes(run);
	run->output_ms = clock_now_ms();
	step_done(run, "first output of the guest");
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

/* Opens the devices' files first, so that a mistake shows before any process starts. */
static int open_devices(struct run *run, struct error *error)
{
	const struct supervisor_setup setup = {
		.loop = &run->loop,
		.config = run->config,
		.events = &supervisor_events,
		.context = run,
		.terminal = &run->terminal,
	};
	int result = timer_open(&run->timer, &run->loop, CLOCK_MONOTONIC, handle_timer, run, error);

	if (result == 0 && guest_config_terminal(run->config))
		result = terminal_open(&run->terminal, &run->terminal_fd, error);
	if (result == 0)
		result = supervisor_open(&run->supervisor, &setup, error);
	return result;
}

static int start_devices(struct run *run, struct error *error)
{
	int result = supervisor_start(run->supervisor, error);

	step_done(run, "device processes started");
	return result;
}

/* Chooses the engine by what the probe has found. */
static int choose_engine(struct run *run, struct error *error)
{
	kvm_probe_wait(&run->probe, &run->kvm);
	step_done(run, "KVM probed");
	run->engine = engine_choose(&run->plan, run->config, &run->kvm, error);
	if (!run->engine)
		return error ? -error->code : -ENOENT;
	return 0;
}

static bool is_known(const struct run *run, pid_t pid)
{
	if (pid == run->probe.child || (run->guest && pid == run->guest->process.pid))
		return true;
	for (size_t i = 0; i < run->config->device_count; i++)
		if (pid == supervisor_device(run->supervisor, i).pid)
			return true;
	return false;
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
		else if (is_known(run, info.si_pid))
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

/* Waits until the device processes serve or fail, or the guest is killed. */
static int await_devices(struct run *run)
{
	int result = 0;

	while (result >= 0 && !run->devices_ready && !run->failed && !run->kill_asked)
		result = take_turn(run);
	return result < 0 ? result : 0;
}

/* Takes over the socket of the guest's serial port. */
static int open_console(struct run *run, int serial, struct error *error)
{
	const int fds[CONSOLE_ENDS] = {serial, take_fd(&run->terminal_fd)};

	return console_open(&run->console, &run->loop, fds, fds[1] < 0 ? 1 : 2, &console_events,
			    run, error);
}

static int start_engine(struct run *run, struct error *error)
{
	size_t count = run->config->device_count;
	cleanup_fd int console = -1;
	int ends[2], result;

	run->devices = calloc(count ? count : 1, sizeof(*run->devices));
	if (!run->devices)
		return error_set(error, ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		struct supervisor_device device = supervisor_device(run->supervisor, i);

		run->devices[i] = (struct engine_device){device.config, device.connect_fd};
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	console = ends[0];
	run->setup = (struct engine_setup){
		.loop = &run->loop,
		.plan = run->plan,
		.config = run->config,
		.devices = run->devices,
		.device_count = count,
		.kvm = &run->kvm,
		.console_fd = ends[1],
		.events = &engine_events,
		.context = run,
	};
	result = engine_start(&run->guest, run->engine, &run->setup, error);
	if (result < 0)
		return result;
	timer_set_ms(&run->timer, GUEST_START_MS);
	return open_console(run, take_fd(&console), error);
}

/* Starts the engine and the device processes, in the order that gets the guest to run soonest. */
static int start_guest(struct run *run, struct error *error)
{
	bool first = run->engine->waits_for_devices;
	int result = first ? start_engine(run, error) : 0;

	if (result == 0)
		result = start_devices(run, error);
	/* As late as possible: destroying a virtual machine is slow. */
	kvm_probe_end(&run->probe);
	if (result < 0 || first)
		return result;
	result = await_devices(run);
	if (result < 0 || run->failed || run->kill_asked)
		return result;
	return start_engine(run, error);
}

/* Logs how the guest ended, its times and the restarts. */
static void log_end(struct run *run)
{
	static const char *const ends[] = {
		[GUEST_POWERED_OFF] = "powered-off",
		[GUEST_FAILED] = "failed",
		[GUEST_PANICKED] = "panicked",
		[GUEST_KILLED] = "killed",
	};
	char output[64] = "", restarts[256] = "";
	size_t length = 0;

	if (run->output_ms)
		snprintf(output, sizeof(output), ", its first output came at %.2f s",
			 since_start(run, run->output_ms));
	/* An error if nothing else says why; a failure is logged in get_outcome. */
	log_fields(run->end == GUEST_FAILED && !run->failed ? LOG_ERROR : LOG_INFO, COMPONENT,
		   LOG_FIELDS(LOG_TEXT("event", "guest-ended"),
			      LOG_TEXT("end", ends[run->failed ? GUEST_FAILED : run->end]),
			      LOG_NUMBER("milliseconds", clock_now_ms() - run->start_ms)),
		   "the guest %s after %.2f s; devices served at %.2f s, its processors ran at "
		   "%.2f s%s",
		   run->how, since_start(run, clock_now_ms()), since_start(run, run->devices_ms),
		   since_start(run, run->running_ms), output);
	for (size_t i = 0; i < run->config->device_count; i++) {
		struct supervisor_device device = supervisor_device(run->supervisor, i);

		if (device.restarts && length < sizeof(restarts))
			length += snprintf(restarts + length, sizeof(restarts) - length, "%s%s %u",
					   length ? ", " : "", device.config->name,
					   device.restarts);
	}
	log_line(LOG_INFO, COMPONENT, "restarts of device processes: %s",
		 length ? restarts : "none");
}

/* Runs from the first process to the end of the guest. The caller cleans up. */
static int run_phases(struct run *run, struct error *error)
{
	int result = kvm_probe_begin(&run->probe);

	if (result < 0)
		return error_set_errno(error, -result, "cannot find out whether KVM works");
	result = open_devices(run, error);
	if (result == 0)
		result = choose_engine(run, error);
	if (result == 0)
		result = start_guest(run, error);
	while (result >= 0 && run->guest && !run->ended)
		result = take_turn(run);
	return result < 0 ? result : 0;
}

/* Returns what guest_run returns. */
static int get_outcome(struct run *run, enum guest_end *end, struct error *error)
{
	if (run->running) {
		if (run->failed)
			log_line(LOG_ERROR, COMPONENT, "%s", run->failure.message);
		*end = run->failed ? GUEST_FAILED : run->end;
		return 0;
	}
	if (run->failed) {
		if (error)
			*error = run->failure;
		return -run->failure.code;
	}
	if (run->kill_asked) {
		log_line(LOG_INFO, COMPONENT, "the guest was ended before it ran");
		*end = run->stop_asked ? GUEST_POWERED_OFF : GUEST_KILLED;
		return 0;
	}
	return error_set(error, EIO, "the guest did not start: it %s", run->how);
}

int guest_run(struct guest_config *config, enum guest_end *end, struct error *error)
{
	struct run run = {
		.config = config,
		.probe = KVM_PROBE_NONE,
		.manager = SERVICE_MANAGER_NONE,
		.signals = {.fd = -1, .handle = handle_signal},
		.timer = TIMER_NONE,
		.start_ms = clock_now_ms(),
		.terminal = TERMINAL_NONE,
		.terminal_fd = -1,
	};
	struct guest_name name;
	int result = host_take_guest_name(&name, &config->name, config->unnamed, error);

	if (result == 0)
		result = event_loop_init(&run.loop, 0, error);
	if (result < 0) {
		host_give_guest_name(&name, config->name);
		return result;
	}
	if (config->unnamed)
		log_set_guest(config->name); /* the name may have changed */
	timeline_start(&run.timeline);
	step_done(&run, "program loaded, options read");
	run.signals.context = &run;
	result = take_signals(&run, error);
	service_manager_open(&run.manager, &run.loop);
	service_manager_notify(&run.manager, "STATUS=starting guest %s", config->name);
	if (result == 0)
		result = run_phases(&run, error);

	kvm_probe_end(&run.probe);
	service_manager_notify(&run.manager, "STOPPING=1\nSTATUS=the guest %s",
			       run.ended ? run.how : "does not run");
	engine_free(run.guest);
	/* The console ends when its last writer is gone. */
	supervisor_stop(run.supervisor);
	terminal_close(&run.terminal);
	console_close(run.console, OUTPUT_MS);
	print_timeline(&run);
	if (result == 0 && run.running)
		log_end(&run);
	supervisor_free(run.supervisor);
	timer_close(&run.timer);
	service_manager_close(&run.manager);
	restore_signals(&run);
	event_loop_close(&run.loop);
	close_fd(&run.terminal_fd);
	free(run.devices);
	free(run.plan);
	host_give_guest_name(&name, config->name);
	return result < 0 ? result : get_outcome(&run, end, error);
}

// SPDX-License-Identifier: BSD-3-Clause
/* Runs one guest on KVM, from opening its files to its end. */
#include "monitor/run/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "base/inherited_fd.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "base/resource_limit.h"
#include "base/signals.h"
#include "base/stop_request.h"
#include "base/text.h"
#include "base/timer.h"
#include "host/console.h"
#include "host/sandbox.h"
#include "monitor/device_tree_part.h"
#include "monitor/control.h"
#include "host/kvm_probe.h"
#include "monitor/run/boot_paths.h"
#include "monitor/run/broker_process.h"
#include "monitor/run/control_socket.h"

/* How long the rest of the guest's output may take to be written. */
#define OUTPUT_MS 1000
/* How often the power button is pressed for a guest that was asked to stop by a signal. */
#define PRESS_NS UINT64_C(1000000000)

struct monitor {
	const struct monitor_setup *setup;
	struct event_loop loop;
	struct machine_setup machine_setup;
	struct broker broker;
	struct machine *machine;
	struct event_source signals;
	struct timer button; /* time of the next press, after a signal asked for the first */
	struct control_socket control;
	struct console *console; /* stand-alone: the terminal */
	bool stop_asked;
	struct stop_request request; /* by a signal */
	struct log_limit limit;	     /* of lines that the guest can cause */
	enum monitor_end end;
};

/* Whether this process has a control socket; else a person reads its log. */
static bool is_commanded(const struct monitor *monitor)
{
	return monitor->control.fd >= 0;
}

static void handle_running(void *context)
{
	const struct monitor *monitor = context;

	control_socket_send(&monitor->control, MONITOR_EVENT_RUNNING, NULL, NULL);
}

static void handle_reset(void *context)
{
	struct monitor *monitor = context;

	if (!is_commanded(monitor) && log_limit_allow(&monitor->limit, NULL))
		log_info("the guest restarts");
	control_socket_send(&monitor->control, MONITOR_EVENT_RESET, NULL, NULL);
}

static void handle_paused(void *context)
{
	const struct monitor *monitor = context;

	control_socket_send(&monitor->control, MONITOR_EVENT_PAUSED, NULL, NULL);
}

static void handle_watchdog(void *context, const char *what)
{
	struct monitor *monitor = context;

	if (!is_commanded(monitor) && log_limit_allow(&monitor->limit, NULL))
		log_warning("%s expired", what);
	control_socket_send(&monitor->control, MONITOR_EVENT_WATCHDOG, "text", what);
}

static void handle_ended(void *context, enum machine_end end, const char *why)
{
	static const struct {
		const char *event;
		enum monitor_end end;
	} ends[] = {
		[MACHINE_POWERED_OFF] = {MONITOR_EVENT_OFF, MONITOR_POWERED_OFF},
		[MACHINE_PANICKED] = {MONITOR_EVENT_PANICKED, MONITOR_PANICKED},
		[MACHINE_FAILED] = {MONITOR_EVENT_FAILED, MONITOR_FAILED},
	};
	struct monitor *monitor = context;

	monitor->end = ends[end].end;
	if (!is_commanded(monitor)) {
		console_finish_line(monitor->console);
		log_line(end == MACHINE_FAILED ? LOG_ERROR : LOG_INFO, NULL, "the guest %s", why);
	}
	control_socket_send(&monitor->control, ends[end].event, "text", why);
	event_loop_stop(&monitor->loop, 0);
}

static void handle_mark(void *context, const char *step)
{
	const struct monitor *monitor = context;

	control_socket_send_step(&monitor->control, clock_now_ns(), step);
}

/* In any thread. */
static void handle_device_reported(void *context, const char *name, enum remote_report report,
				   const char *why)
{
	static const char *const events[] = {
		[REMOTE_GIVEN_UP] = MONITOR_EVENT_GIVEN_UP,
		[REMOTE_RELEASED] = MONITOR_EVENT_RELEASED,
		[REMOTE_DETACHED] = MONITOR_EVENT_DETACHED,
		[REMOTE_ATTACHED] = MONITOR_EVENT_ATTACHED,
	};
	const struct monitor *monitor = context;

	control_socket_send_device(&monitor->control, events[report], name, why);
}

static const struct machine_events machine_events = {
	.running = handle_running,
	.reset = handle_reset,
	.paused = handle_paused,
	.watchdog = handle_watchdog,
	.ended = handle_ended,
	.mark = handle_mark,
	.device_reported = handle_device_reported,
};

static void end_now(void *context)
{
	struct monitor *monitor = context;

	monitor->end = MONITOR_KILLED;
	event_loop_stop(&monitor->loop, 0);
}

static void press_button(void *context)
{
	struct monitor *monitor = context;

	monitor->stop_asked = true;
	if (monitor->machine)
		machine_press_power_button(monitor->machine);
}

static void pause_guest(void *context)
{
	struct monitor *monitor = context;

	if (monitor->machine)
		machine_pause(monitor->machine);
}

static void resume_guest(void *context)
{
	struct monitor *monitor = context;

	if (monitor->machine)
		machine_resume(monitor->machine);
	control_socket_send(&monitor->control, MONITOR_EVENT_RESUMED, NULL, NULL);
}

static int release_device(void *context, const char *device, uint64_t attachments,
			  struct error *error)
{
	struct monitor *monitor = context;

	if (!monitor->machine)
		return error_set(error, EAGAIN, "the guest does not run yet");
	return machine_release_device(monitor->machine, device, attachments, error);
}

/* Repeated until the guest ends, as a guest that is starting ignores the button. */
static void press_button_again(void *context)
{
	struct monitor *monitor = context;

	press_button(monitor);
	timer_set(&monitor->button, PRESS_NS);
}

static void handle_signal(void *context, uint32_t events)
{
	struct monitor *monitor = context;
	struct signalfd_siginfo info;

	if (read(monitor->signals.fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCONT) {
		if (monitor->console)
			console_resume(monitor->console);
		return;
	}
	if (!stop_request_take(&monitor->request, clock_now_ms()))
		return;
	if (monitor->stop_asked) {
		end_now(monitor);
	} else {
		/* First, because logging may block on its reader. */
		press_button_again(monitor);
		console_finish_line(monitor->console);
		log_info("the guest's power button is pressed; press again to kill the guest");
	}
}

static void handle_first_output(void *context)
{
}

static void handle_foreground(void *context)
{
	log_info("the guest's console follows; " CONSOLE_QUIT_KEYS " ends the guest");
}

static const struct console_events console_events = {
	.quit = end_now,
	.first_output = handle_first_output,
	.foreground = handle_foreground,
};

/*
 * Takes over the connections that were inherited; the broker makes the others.
 */
static int inherit_connections(const struct monitor_setup *setup, struct error *error)
{
	int result = 0;

	for (size_t i = 0; i < setup->device_count && result == 0; i++) {
		int fd = text_inherited_fd(setup->sockets[i]);

		if (fd < 0)
			continue;
		fd = inherited_fd_take_socket(fd, SOCK_STREAM, "--device", error);
		setup->devices[i].fd = fd;
		result = fd < 0 ? fd : 0;
	}
	return result;
}

static int open_kvm(bool probe, struct error *error)
{
	struct kvm_probe_result result = {.verdict = KVM_PROBE_WORKS};
	int code = probe ? kvm_probe(&result) : 0, fd;

	if (code < 0)
		return error_set_errno(error, -code, "cannot find out whether KVM works");
	if (result.verdict != KVM_PROBE_WORKS)
		return error_set(error, ENODEV, "%s; `avp doctor` says what can be done",
				 result.reason);
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	return fd < 0 ? error_set_errno(error, errno, "/dev/kvm") : fd;
}

static int take_signals(struct monitor *monitor, struct error *error)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCONT, 0};
	sigset_t before;
	int fd = signals_open(numbers, &before, error);

	if (fd < 0)
		return fd;
	signal(SIGPIPE, SIG_IGN);
	/* Keep running in the background of the terminal: see console.h. */
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	monitor->signals = (struct event_source){fd, handle_signal, monitor};
	return event_loop_add(&monitor->loop, &monitor->signals, EPOLLIN, error);
}

static int open_control(struct monitor *monitor, struct error *error)
{
	int fd = inherited_fd_take_socket(monitor->setup->control_fd, SOCK_STREAM, "--control-fd",
					  error);

	if (fd < 0)
		return fd;
	monitor->control.button = press_button;
	monitor->control.end = end_now;
	monitor->control.pause = pause_guest;
	monitor->control.resume = resume_guest;
	monitor->control.release = release_device;
	monitor->control.context = monitor;
	return control_socket_open(&monitor->control, &monitor->loop, fd, error);
}

/* Connects the serial port to an inherited socket, or through the console to the terminal. */
static int open_serial(struct monitor *monitor, int *serial, struct error *error)
{
	int ends[2], result;

	if (monitor->setup->serial_fd >= 0) {
		*serial = inherited_fd_take_socket(monitor->setup->serial_fd, SOCK_STREAM,
						   "--serial-fd", error);
		return *serial < 0 ? *serial : 0;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	result = console_open(&monitor->console, &monitor->loop, &ends[0], 1, &console_events,
			      monitor, error);
	*serial = ends[1];
	if (result == 0 && console_is_terminal(monitor->console))
		handle_foreground(monitor);
	return result;
}

static int open_broker(struct monitor *monitor, struct error *error)
{
	const struct monitor_setup *setup = monitor->setup;

	if (setup->broker_fd < 0)
		return broker_process_start(&monitor->broker, setup->sockets, setup->device_count,
					    error);
	monitor->broker.fd =
		inherited_fd_take_socket(setup->broker_fd, SOCK_SEQPACKET, "--broker-fd", error);
	return monitor->broker.fd < 0 ? monitor->broker.fd : 0;
}

/* Sandboxes this process and its threads: from now on they can open and connect nothing. */
static int lock_in(const struct monitor *monitor, struct error *error)
{
	const struct sandbox_rights rights = {
		.needs = SANDBOX_MONITOR | (monitor->console ? SANDBOX_TERMINAL : 0),
	};

	return sandbox_lock_in(&rights, error);
}

/* Runs the machine; @source: what it boots. */
static int run_machine(struct monitor *monitor, const struct boot_source *source,
		       struct error *error)
{
	const struct monitor_setup *setup = monitor->setup;
	cleanup_fd int kvm = -1;
	int result = inherit_connections(setup, error), serial = -1;

	if (result == 0 && setup->control_fd >= 0)
		result = open_control(monitor, error);
	if (result < 0)
		return result;
	/* The process at the control socket has probed KVM already. */
	kvm = open_kvm(!is_commanded(monitor), error);
	if (kvm < 0)
		return kvm;
	result = open_broker(monitor, error);
	if (result == 0)
		result = open_serial(monitor, &serial, error);
	if (result < 0)
		return result;
	monitor->machine_setup = (struct machine_setup){
		.loop = &monitor->loop,
		.hypervisor = {.cpus = setup->cpus, .memory = setup->memory, .kvm_fd = kvm},
		.create_hypervisor = kvm_create,
		.boot = *source,
		.memory = setup->memory,
		.huge_pages = setup->huge_pages,
		.watchdog = setup->watchdog,
		.serial_fd = serial,
		.devices = setup->devices,
		.device_count = setup->device_count,
		.broker = &monitor->broker,
		.events = &machine_events,
		.context = monitor,
	};
	handle_mark(monitor, "monitor started");
	/* Each file that a device process maps into shared memory takes one. */
	resource_limit_raise_descriptors();
	/* Before any byte of the kernel is read and any device process contacted. */
	result = lock_in(monitor, error);
	if (result == 0)
		result = kvm_choose_variant(&monitor->machine_setup.hypervisor, error);
	if (result == 0)
		result = machine_open(&monitor->machine, &monitor->machine_setup, error);
	if (result == 0)
		result = machine_start(monitor->machine, error);
	if (result == 0)
		result = event_loop_run(&monitor->loop);
	machine_close(monitor->machine);
	return result;
}

/* Checks options that the machine or KVM does not support. */
static int check_machine(const struct monitor_setup *setup, struct error *error)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (setup->memory % page)
		return error_set_usage(error,
				       "--memory: %" PRIu64 " bytes is not a multiple of %" PRIu64
				       ", this host's pages; round it",
				       setup->memory, page);
	if (setup->watchdog_given && setup->watchdog != MACHINE_WATCHDOG_NONE &&
	    !arch_has_watchdogs)
		return error_set_usage(error, "--watchdog: a machine of this architecture has no "
					      "watchdog, nothing would ever expire; omit the "
					      "option");
	return 0;
}

/* Checks the parts of the device tree that devices bring along. */
static int check_trees(const struct monitor_setup *setup, struct error *error)
{
	for (size_t i = 0; i < setup->device_count; i++) {
		const struct machine_device *device = &setup->devices[i];
		int result = 0;

		if (!device->shape.tree)
			continue;
		if (!arch_has_tree)
			result = error_set_usage(error, "machines of this architecture have none; "
							"omit it");
		else
			result = device_tree_check_part(device->shape.tree,
							device->shape.tree_length, error);
		if (result < 0) {
			error_prefix(error, "--device: %s: device-tree", device->name);
			return result;
		}
	}
	return 0;
}

int monitor_process_run(const struct monitor_setup *setup, enum monitor_end *end,
			struct error *error)
{
	struct monitor monitor = {
		.setup = setup,
		.signals.fd = -1,
		.button = TIMER_NONE,
		.control = CONTROL_SOCKET_NONE,
		.broker = BROKER_NONE,
		.limit = {.burst = 10, .interval_ms = 10000},
		.end = MONITOR_FAILED,
	};
	struct boot_paths paths;
	int result = check_machine(setup, error);

	if (result == 0)
		result = check_trees(setup, error);
	if (result == 0)
		result = event_loop_init(&monitor.loop, 0, error);
	if (result < 0)
		return result;
	for (size_t i = 0; i < setup->device_count; i++)
		setup->devices[i].fd = -1;
	result = take_signals(&monitor, error);
	if (result == 0)
		result = timer_open(&monitor.button, &monitor.loop, CLOCK_MONOTONIC,
				    press_button_again, &monitor, error);
	if (result == 0) {
		result = boot_paths_open(&paths, setup, error);
		if (result == 0)
			result = run_machine(&monitor, &paths.source, error);
		boot_paths_close(&paths);
	}
	console_close(monitor.console, OUTPUT_MS);
	control_socket_close(&monitor.control);
	event_loop_remove(&monitor.loop, &monitor.signals);
	close_fd(&monitor.signals.fd);
	timer_close(&monitor.button);
	event_loop_close(&monitor.loop);
	broker_close(&monitor.broker);
	for (size_t i = 0; i < setup->device_count; i++)
		close_fd(&setup->devices[i].fd);
	*end = monitor.end;
	return result < 0 ? result : 0;
}

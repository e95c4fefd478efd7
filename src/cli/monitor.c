// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp monitor`: one guest on KVM, with device processes that somebody else has started. `avp run`
 * starts it as its engine kvm; by hand it serves with any vhost-user device process.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "base/inherited_fd.h"
#include "base/line_reader.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/text.h"
#include "base/timer.h"
#include "cli/avp.h"
#include "monitor/run/broker_process.h"
#include "guest/config/config.h"
#include "guest/engine/monitor_device.h"
#include "host/console.h"
#include "guest/run/run.h"
#include "base/stop_request.h"
#include "host/sandbox.h"
#include "monitor/control.h"
#include "monitor/kvm/probe.h"
#include "monitor/machine.h"

/* How long the rest of the guest's output may take to be written. */
#define OUTPUT_MS 1000
/* How often the power button is pressed for a guest that was asked to stop by a signal. */
#define PRESS_NS UINT64_C(1000000000)

struct monitor_options {
	char *kernel, *firmware, *initrd, *append, *dump_dtb;
	uint64_t cpus, memory, watchdog;
	bool huge_pages;
	struct option_list devices;
	uint64_t serial_fd, control_fd, broker_fd;
};

static const struct option_row monitor_option_rows[] = {
	{
		.name = "kernel",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct monitor_options, kernel),
		.help = "kernel of the guest: a bzImage, an arm64 Image, or an ELF file such as "
			"vmlinux; this or --firmware is needed",
	},
	{
		.name = "firmware",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct monitor_options, firmware),
		.help = "arm64: firmware that the guest starts with instead of a kernel, such as "
			"U-Boot for QEMU's machine virt",
	},
	{
		.name = "initrd",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct monitor_options, initrd),
		.help = "initial file system of the guest",
	},
	{
		.name = "append",
		.type = OPTION_STRING,
		.argument = "TEXT",
		.offset = offsetof(struct monitor_options, append),
		.help = "command line of the guest's kernel",
	},
	{
		.name = "cpus",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct monitor_options, cpus),
		.minimum = 1,
		.maximum = GUEST_CPUS_MAXIMUM,
		.default_text = "1",
		.help = "virtual CPUs",
	},
	{
		.name = "memory",
		.type = OPTION_SIZE,
		.argument = "SIZE",
		.offset = offsetof(struct monitor_options, memory),
		.minimum = GUEST_MEMORY_MINIMUM,
		.maximum = GUEST_MEMORY_MAXIMUM,
		.default_text = "512M",
		.help = "memory of the guest, such as 512M or 2G",
	},
	{
		.name = "huge-pages",
		.type = OPTION_FLAG,
		.offset = offsetof(struct monitor_options, huge_pages),
		.help = "take the guest's memory from the host's huge pages",
	},
	{
		.name = "watchdog",
		.type = OPTION_CHOICE,
		.argument = "POLICY",
		.offset = offsetof(struct monitor_options, watchdog),
		.choices = watchdog_policies,
		.default_text = "reset",
		.help = "what happens when a watchdog of the guest expires, where the machine has "
			"one (arm64)",
	},
	{
		.name = "dump-dtb",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct monitor_options, dump_dtb),
		.help = "arm64: write the device tree that the guest gets to FILE",
	},
	{
		.name = "device",
		.type = OPTION_LIST,
		.argument = "TYPE,socket=SOCKET[,KEY=VALUE…]",
		.offset = offsetof(struct monitor_options, devices),
		.help = "add the device that a process serves by vhost-user, see below; may be "
			"repeated",
	},
	{
		.name = "serial-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct monitor_options, serial_fd),
		.maximum = INT32_MAX,
		.help = "inherited descriptor of a socket that the serial port leads to; without "
			"it the serial port is the terminal",
	},
	{
		.name = "control-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct monitor_options, control_fd),
		.maximum = INT32_MAX,
		.help = "inherited descriptor of a socket for commands and events, as `avp run` "
			"uses it",
	},
	{
		.name = "broker-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct monitor_options, broker_fd),
		.maximum = INT32_MAX,
		.help = "inherited descriptor of a socket of packets through which `avp run` hands "
			"down connections to new device processes; without it a child of the "
			"monitor makes them",
	},
	{.name = NULL},
};

struct monitor {
	const struct monitor_options *options;
	struct event_loop loop;
	struct machine_setup setup;
	struct monitor_device *described; /* the options of devices */
	struct machine_device *devices;
	const char **paths; /* of the devices' sockets */
	struct broker broker;
	struct machine *machine;
	struct event_source signals;
	struct timer button; /* its next press, once a signal has asked for the first */
	struct line_reader control;
	int control_fd;		 /* for writing; the reader's; -1: none */
	struct console *console; /* stand-alone: the terminal */
	bool stop_asked;
	struct stop_request request; /* by a signal */
	enum guest_end end;
};

static void tell(struct monitor *monitor, const char *word, const char *text)
{
	char line[CONTROL_LINE_MAX];
	int length;

	if (monitor->control_fd < 0)
		return;
	length = snprintf(line, sizeof(line), "%s%s%.900s\n", word, text ? " " : "",
			  text ? text : "");
	/*
	 * Few and short lines: a reader that lets the socket run full has given the guest up. The
	 * loop, which may be another thread's, hears of that as of any end.
	 */
	if (send(monitor->control_fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length)
		shutdown(monitor->control_fd, SHUT_RDWR);
}

static void handle_running(void *context)
{
	tell(context, CONTROL_RUNNING, NULL);
}

static void handle_reset(void *context)
{
	struct monitor *monitor = context;

	if (monitor->control_fd < 0)
		log_info("the guest restarts");
	tell(monitor, CONTROL_RESET, NULL);
}

static void handle_watchdog(void *context, const char *what)
{
	struct monitor *monitor = context;

	if (monitor->control_fd < 0)
		log_warning("%s expired", what);
	tell(monitor, CONTROL_WATCHDOG, what);
}

static void handle_ended(void *context, enum machine_end end, const char *why)
{
	static const struct {
		const char *word;
		enum guest_end end;
	} ends[] = {
		[MACHINE_POWERED_OFF] = {CONTROL_OFF, GUEST_POWERED_OFF},
		[MACHINE_PANICKED] = {CONTROL_PANICKED, GUEST_PANICKED},
		[MACHINE_FAILED] = {CONTROL_FAILED, GUEST_FAILED},
	};
	struct monitor *monitor = context;

	monitor->end = ends[end].end;
	if (monitor->control_fd < 0) {
		console_finish_line(monitor->console);
		log_line(end == MACHINE_FAILED ? LOG_ERROR : LOG_INFO, NULL, "the guest %s", why);
	}
	tell(monitor, ends[end].word, why);
	event_loop_stop(&monitor->loop, 0);
}

static void handle_mark(void *context, const char *step)
{
	char text[200];

	snprintf(text, sizeof(text), "%" PRIu64 " %s", clock_now_ns(), step);
	tell(context, CONTROL_STEP, text);
}

/* In any thread. */
static void handle_device_given_up(void *context, const char *name)
{
	tell(context, CONTROL_GIVEN_UP, name);
}

static const struct machine_events machine_events = {
	.running = handle_running,
	.reset = handle_reset,
	.watchdog = handle_watchdog,
	.ended = handle_ended,
	.mark = handle_mark,
	.device_given_up = handle_device_given_up,
};

static void end_now(struct monitor *monitor)
{
	monitor->end = GUEST_KILLED;
	event_loop_stop(&monitor->loop, 0);
}

static void press_button(struct monitor *monitor)
{
	monitor->stop_asked = true;
	if (monitor->machine)
		machine_press_power_button(monitor->machine);
}

/* A guest that is starting does not hear it; until it ends, or is ended, it is pressed again. */
static void press_button_again(void *context)
{
	struct monitor *monitor = context;

	press_button(monitor);
	timer_set(&monitor->button, PRESS_NS);
}

static void handle_command(void *context, char *line, size_t length, bool cut)
{
	struct monitor *monitor = context;

	if (!strcmp(line, CONTROL_BUTTON))
		press_button(monitor);
	else if (!strcmp(line, CONTROL_END))
		end_now(monitor);
	else
		log_warning("--control-fd: there is no command '%.40s'", line);
}

static void handle_control_end(void *context)
{
	end_now(context);
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
		/* First: the log may have to wait for its reader. */
		press_button_again(monitor);
		console_finish_line(monitor->console);
		log_info("the guest's power button is pressed; once more ends it as it stands");
	}
}

static void handle_quit(void *context)
{
	end_now(context);
}

static void handle_first_output(void *context)
{
}

static void handle_foreground(void *context)
{
	log_info("the guest's console follows; " CONSOLE_QUIT_KEYS " ends the guest");
}

static const struct console_events console_events = {
	.quit = handle_quit,
	.first_output = handle_first_output,
	.foreground = handle_foreground,
};

/* A device whose process somebody has connected to already. */
static int inherit_connection(struct machine_device *device, const char *path, struct error *error)
{
	int fd = text_inherited_fd(path);

	if (fd < 0)
		return 0;
	device->fd = inherited_fd_take_socket(fd, SOCK_STREAM, "--device", error);
	return device->fd < 0 ? device->fd : 0;
}

static int parse_devices(struct monitor *monitor, struct error *error)
{
	const struct option_list *list = &monitor->options->devices;
	int result = 0;

	monitor->described = calloc(list->count + 1, sizeof(*monitor->described));
	monitor->devices = calloc(list->count + 1, sizeof(*monitor->devices));
	monitor->paths = calloc(list->count + 1, sizeof(*monitor->paths));
	if (!monitor->described || !monitor->devices || !monitor->paths)
		return error_set(error, ENOMEM, "out of memory");
	for (size_t i = 0; i < list->count; i++)
		monitor->devices[i].fd = -1;
	for (size_t i = 0; i < list->count && result == 0; i++) {
		struct monitor_device *described = &monitor->described[i];

		result = monitor_device_parse(described, list->items[i], error);
		if (result < 0)
			break;
		monitor->devices[i].name = described->name ? described->name : described->type;
		monitor->devices[i].shape = described->shape;
		monitor->paths[i] = described->socket;
		result = inherit_connection(&monitor->devices[i], described->socket, error);
	}
	return result;
}

/* A file that is read at each start: its descriptor, and what a person calls it. */
struct boot_file {
	int fd;
	char name[PATH_MAX];
};

/* All that a guest is started from. */
struct boot_files {
	struct boot_file kernel, firmware, initrd;
	struct boot_source source; /* of these, and the file for the device tree */
};

/* Opens @path, or takes the descriptor that was inherited under it. NULL: there is none. */
static int open_boot_file(struct boot_file *file, const char *path, const char *option,
			  struct error *error)
{
	int inherited = path ? text_inherited_fd(path) : -1;

	file->fd = -1;
	if (!path)
		return 0;
	file->fd = inherited >= 0 ? fcntl(inherited, F_DUPFD_CLOEXEC, 0) :
				    open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file->fd < 0)
		return error_set_usage(error, "%s: %s: %s; check the path and its permissions",
				       option, path, strerror(errno));
	/* A name that is cut has room for its end: it was zeroed. */
	if (inherited < 0 || readlink(path, file->name, sizeof(file->name) - 1) < 0)
		snprintf(file->name, sizeof(file->name), "%s", path);
	return 0;
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
	/* A terminal in whose background this runs does not stop it: see console.h. */
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	monitor->signals = (struct event_source){fd, handle_signal, monitor};
	return event_loop_add(&monitor->loop, &monitor->signals, EPOLLIN, error);
}

static int open_control(struct monitor *monitor, struct error *error)
{
	int fd = inherited_fd_take_socket((int)monitor->options->control_fd, SOCK_STREAM,
					  "--control-fd", error);
	int result;

	if (fd < 0)
		return fd;
	monitor->control.line = handle_command;
	monitor->control.ended = handle_control_end;
	monitor->control.context = monitor;
	result = line_reader_open(&monitor->control, &monitor->loop, fd, CONTROL_LINE_MAX, error);
	if (result == 0)
		monitor->control_fd = fd;
	return result;
}

/* The serial port leads to an inherited socket, or else through the console to the terminal. */
static int open_serial(struct monitor *monitor, bool inherited, struct error *error)
{
	int ends[2], result;

	if (inherited) {
		monitor->setup.serial_fd = inherited_fd_take_socket(
			(int)monitor->options->serial_fd, SOCK_STREAM, "--serial-fd", error);
		return monitor->setup.serial_fd < 0 ? monitor->setup.serial_fd : 0;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	result = console_open(&monitor->console, &monitor->loop, &ends[0], 1, &console_events,
			      monitor, error);
	monitor->setup.serial_fd = ends[1];
	if (result == 0 && console_is_terminal(monitor->console))
		handle_foreground(monitor);
	return result;
}

/* The files that a guest starts from, and the one that its device tree goes to; -1: none. */
static int open_boot_files(struct boot_files *files, const struct monitor_options *options,
			   struct error *error)
{
	struct boot_source *source = &files->source;

	if (!options->kernel && !options->firmware)
		return error_set_usage(error, "--kernel is missing; add --kernel FILE");
	if (options->firmware && !arch_has_firmware)
		return error_set_usage(error, "--firmware: only machines of arm64 boot firmware; "
					      "give a kernel instead");
	if (options->dump_dtb && !arch_has_tree)
		return error_set_usage(error, "--dump-dtb: a machine of this architecture is "
					      "described by ACPI tables, not by a device tree; "
					      "leave the option away");
	if (options->firmware && (options->kernel || options->initrd || options->append))
		return error_set_usage(error,
				       "--firmware finds its kernel by itself; leave --kernel, "
				       "--initrd and --append away");
	if (open_boot_file(&files->kernel, options->kernel, "--kernel", error) < 0 ||
	    open_boot_file(&files->firmware, options->firmware, "--firmware", error) < 0 ||
	    open_boot_file(&files->initrd, options->initrd, "--initrd", error) < 0)
		return -error->code;
	source->kernel_fd = files->kernel.fd;
	source->kernel_name = files->kernel.name;
	source->firmware_fd = files->firmware.fd;
	source->firmware_name = files->firmware.name;
	source->initrd_fd = files->initrd.fd;
	source->initrd_name = files->initrd.name;
	source->command_line = options->append ? options->append : "";
	if (options->dump_dtb) {
		source->tree_fd = open(options->dump_dtb, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (source->tree_fd < 0)
			return error_set_usage(error,
					       "--dump-dtb: %s: %s; check the path and its "
					       "permissions",
					       options->dump_dtb, strerror(errno));
	}
	return 0;
}

static void close_boot_files(struct boot_files *files)
{
	close_fd(&files->kernel.fd);
	close_fd(&files->firmware.fd);
	close_fd(&files->initrd.fd);
	close_fd(&files->source.tree_fd);
}

static int open_broker(struct monitor *monitor, bool inherited, struct error *error)
{
	if (!inherited)
		return monitor_broker_start(&monitor->broker, monitor->paths,
					    monitor->options->devices.count, error);
	monitor->broker.fd = inherited_fd_take_socket((int)monitor->options->broker_fd,
						      SOCK_SEQPACKET, "--broker-fd", error);
	return monitor->broker.fd < 0 ? monitor->broker.fd : 0;
}

/* From now on this process can open and connect nothing, and every thread that it starts. */
static int lock_in(const struct monitor *monitor, struct error *error)
{
	const struct sandbox_rights rights = {
		.needs = SANDBOX_MONITOR | (monitor->console ? SANDBOX_TERMINAL : 0),
	};

	return sandbox_lock_in(&rights, error);
}

static int run_machine(struct monitor *monitor, const struct boot_source *source,
		       const struct option_list *given, struct error *error)
{
	const struct monitor_options *options = monitor->options;
	cleanup_fd int kvm = -1;
	int result = parse_devices(monitor, error);

	if (result == 0 && option_list_has(given, "control-fd"))
		result = open_control(monitor, error);
	if (result < 0)
		return result;
	/* Who commands this process has probed KVM before. */
	kvm = open_kvm(monitor->control_fd < 0, error);
	if (kvm < 0)
		return kvm;
	result = open_broker(monitor, option_list_has(given, "broker-fd"), error);
	if (result == 0)
		result = open_serial(monitor, option_list_has(given, "serial-fd"), error);
	if (result < 0)
		return result;
	monitor->setup = (struct machine_setup){
		.loop = &monitor->loop,
		.hypervisor = {.cpus = (uint32_t)options->cpus,
			       .memory = options->memory,
			       .kvm_fd = kvm},
		.create_hypervisor = kvm_create,
		.boot = *source,
		.memory = options->memory,
		.huge_pages = options->huge_pages,
		.watchdog = (enum machine_watchdog)options->watchdog,
		.serial_fd = monitor->setup.serial_fd,
		.devices = monitor->devices,
		.device_count = options->devices.count,
		.broker = &monitor->broker,
		.events = &machine_events,
		.context = monitor,
	};
	handle_mark(monitor, "monitor started");
	/* Before a byte of the kernel's is looked at, or a device process spoken to. */
	result = lock_in(monitor, error);
	if (result == 0)
		result = kvm_choose_variant(&monitor->setup.hypervisor, error);
	if (result == 0)
		result = machine_open(&monitor->machine, &monitor->setup, error);
	if (result == 0)
		result = machine_start(monitor->machine, error);
	if (result == 0)
		result = event_loop_run(&monitor->loop);
	machine_close(monitor->machine);
	return result;
}

/* What the machine does not have, or KVM does not take. */
static int check_machine(const struct monitor_options *options, const struct option_list *given,
			 struct error *error)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (options->memory % page)
		return error_set_usage(error,
				       "--memory: %" PRIu64 " bytes is no multiple of %" PRIu64
				       ", this host's pages; round it",
				       options->memory, page);
	if (option_list_has(given, "watchdog") && options->watchdog != MACHINE_WATCHDOG_NONE &&
	    !arch_has_watchdogs)
		return error_set_usage(error, "--watchdog: a machine of this architecture has no "
					      "watchdog, nothing would ever expire; leave the "
					      "option away");
	return 0;
}

static int run_monitor(const struct command_call *call, struct error *error)
{
	struct monitor monitor = {
		.options = call->options[0],
		.signals.fd = -1,
		.button = TIMER_NONE,
		.setup.serial_fd = -1,
		.control_fd = -1,
		.broker = BROKER_NONE,
		.end = GUEST_FAILED,
	};
	struct boot_files files = {
		.kernel.fd = -1,
		.firmware.fd = -1,
		.initrd.fd = -1,
		.source.tree_fd = -1,
	};
	int result;

	result = check_machine(monitor.options, &call->given, error);
	if (result < 0)
		return result;
	log_set_component("monitor");
	result = event_loop_init(&monitor.loop, 0, error);
	if (result < 0)
		return result;
	result = take_signals(&monitor, error);
	if (result == 0)
		result = timer_open(&monitor.button, &monitor.loop, CLOCK_MONOTONIC,
				    press_button_again, &monitor, error);
	if (result == 0)
		result = open_boot_files(&files, monitor.options, error);
	if (result == 0)
		result = run_machine(&monitor, &files.source, &call->given, error);
	close_boot_files(&files);
	console_close(monitor.console, OUTPUT_MS);
	line_reader_close(&monitor.control);
	event_loop_remove(&monitor.loop, &monitor.signals);
	close_fd(&monitor.signals.fd);
	timer_close(&monitor.button);
	event_loop_close(&monitor.loop);
	broker_close(&monitor.broker);
	for (size_t i = 0; monitor.devices && i < monitor.options->devices.count; i++)
		close_fd(&monitor.devices[i].fd);
	for (size_t i = 0; monitor.described && i < monitor.options->devices.count; i++)
		monitor_device_clear(&monitor.described[i]);
	free(monitor.described);
	free(monitor.devices);
	free(monitor.paths);
	return result < 0 ? result : (int)monitor.end;
}

const struct command command_monitor = {
	.name = "monitor",
	.summary = "run a guest on KVM with devices that are already served",
	.description =
		"Runs one guest on KVM. Its devices are processes that serve vhost-user, `avp "
		"device` or others; each is connected to when the guest is started, and again "
		"when its process was replaced. `avp run` does all of it in one step; this is for "
		"those who start and supervise the processes themselves.\n\n"
		"SIGTERM presses the guest's power button, a second one ends the guest as it "
		"stands.",
	.groups =
		(const struct option_group[]){
			{"Options", monitor_option_rows, sizeof(struct monitor_options), false},
			{NULL, NULL, 0, false},
		},
	.keys =
		(const struct option_group[]){
			{"Of --device, as --device block,socket=disk.sock", monitor_device_rows, 0,
			 false},
			{NULL, NULL, 0, false},
		},
	.exit_statuses =
		(const struct command_note[]){
			{"0", "the guest switched itself off, by itself or when it was asked to"},
			{"1", "KVM or a device failed"},
			{"3", "the guest's kernel panicked"},
			{"4", "the guest was ended as it stood, by a signal or at the console"},
			{NULL, NULL},
		},
	.examples =
		(const struct command_note[]){
			{"avp monitor --kernel vmlinuz --initrd initrd.img --append console=ttyS0 "
			 "--device block,socket=disk.sock",
			 "Boots Linux with the disk that `avp device block --socket-path disk.sock` "
			 "serves."},
			{"avp monitor --kernel vmlinuz --initrd initrd.img --append console=ttyS0 "
			 "--device 26,socket=fs.sock,queues=2,config=$config",
			 "Boots Linux with a device that AVP has no type of, a directory that virtiofsd "
			 "serves; docs/monitor.md says how $config is made."},
			{NULL, NULL},
		},
	.run = run_monitor,
};

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Engine kvm: a guest in AVP's own monitor, a process of this same program that is driven by the
 * lines of monitor/control.h. What it says on standard error is passed on as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/contract_version.h"
#include "base/line_reader.h"
#include "base/log.h"
#include "base/oom.h"
#include "base/process.h"
#include "base/request_pace.h"
#include "base/text.h"
#include "base/timer.h"
#include "guest/config/kernel_parameters.h"
#include "guest/engine/kvm/kvm.h"
#include "guest/engine/kvm/monitor_device.h"
#include "guest/run/log_relay.h"
#include "monitor/boot.h"
#include "monitor/broker.h"
#include "monitor/control.h"
#include "vhost/client.h"

#define COMPONENT "kvm"
/* How long the monitor gets to end when the guest is given up. */
#define FREE_MS 2000

/* "/proc/self/fd/" and a number. */
#define PATH_LENGTH 32

struct engine_guest {
	const struct engine_setup *setup;
	struct process process;
	struct oom_counts oom_before;
	struct event_source exit_source;
	struct log_relay output;    /* its standard error */
	struct line_reader control; /* its events */
	int control_fd;		    /* for commands; the reader's; -1: it hung up */
	/* The monitor asks here for connections to device processes that were started again. */
	struct event_source broker;
	struct request_pace pace;
	struct timer pause;	    /* until it is answered again */
	char (*paths)[PATH_LENGTH]; /* of the devices' sockets */
	const char **path_list;
	bool running; /* at least once */
	bool told;    /* how the guest ended, in the next two */
	enum guest_end end;
	char how[CONTROL_LINE_MAX];
	bool stop_asked, kill_asked;
};

static int kvm_usable(struct engine_plan **out, const struct kvm_probe_result *kvm,
		      struct error *error)
{
	struct engine_plan *plan;

	*out = NULL;
	if (kvm->verdict != KVM_PROBE_WORKS)
		return error_set(error, ENODEV, "%s", kvm->reason);
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return error_set(error, ENOMEM, "out of memory");
	snprintf(plan->summary, sizeof(plan->summary), "AVP's monitor on KVM");
	*out = plan;
	return 0;
}

static int kvm_command_line(char **line, const struct guest_config *config, struct error *error)
{
	return kernel_parameters_add(line, config->append,
				     "avp.contract=" CONTRACT_VERSION
				     " avp.profiles=" CONTRACT_PROFILES,
				     error);
}

static void command(struct engine_guest *guest, const char *word)
{
	char line[32];
	int length = snprintf(line, sizeof(line), "%s\n", word);

	if (guest->control_fd >= 0)
		send(guest->control_fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* CONTROL_STEP's text. */
static void handle_step(struct engine_guest *guest, char *text)
{
	uint64_t nanoseconds = strtoull(text, &text, 10);

	guest->setup->events->step(guest->setup->context, nanoseconds, text + strspn(text, " "));
}

static void handle_end_told(struct engine_guest *guest, enum guest_end end, const char *how)
{
	guest->told = true;
	guest->end = end;
	snprintf(guest->how, sizeof(guest->how), "%s", how);
	if (end == GUEST_POWERED_OFF && guest->stop_asked)
		snprintf(guest->how, sizeof(guest->how), "powered off on request");
}

static void handle_event(void *context, char *line, size_t length, bool cut)
{
	struct engine_guest *guest = context;
	const struct engine_setup *setup = guest->setup;
	char *text = line + strcspn(line, " ");

	if (*text)
		*text++ = 0;
	text_make_printable(text);
	if (!strcmp(line, CONTROL_STEP)) {
		handle_step(guest, text);
	} else if (!strcmp(line, CONTROL_RUNNING)) {
		if (!guest->running)
			setup->events->running(setup->context);
		guest->running = true;
		log_relay_let_through(&guest->output);
	} else if (!strcmp(line, CONTROL_RESET)) {
		setup->events->reset(setup->context);
	} else if (!strcmp(line, CONTROL_GIVEN_UP)) {
		setup->events->device_given_up(setup->context, text);
	} else if (!strcmp(line, CONTROL_WATCHDOG)) {
		setup->events->watchdog(setup->context, text);
	} else if (!strcmp(line, CONTROL_OFF)) {
		handle_end_told(guest, GUEST_POWERED_OFF, text);
	} else if (!strcmp(line, CONTROL_PANICKED)) {
		handle_end_told(guest, GUEST_PANICKED, text);
	} else if (!strcmp(line, CONTROL_FAILED)) {
		handle_end_told(guest, GUEST_FAILED, text);
	}
}

static void handle_control_end(void *context)
{
	struct engine_guest *guest = context;

	guest->control_fd = -1;
}

/* The monitor has asked too often: its next request waits. */
static void pause_broker(struct engine_guest *guest, int ms)
{
	timer_set_ms(&guest->pause, (uint64_t)ms);
	event_loop_modify(guest->setup->loop, &guest->broker, 0);
}

static void end_pause(void *context)
{
	struct engine_guest *guest = context;

	event_loop_modify(guest->setup->loop, &guest->broker, EPOLLIN);
}

/*
 * A request of the monitor's, which may be hostile: it gets one answer a turn of the loop, and so many
 * a second.
 */
static void handle_broker(void *context, uint32_t events)
{
	struct engine_guest *guest = context;
	const struct broker_service service = {
		.monitor = guest->process.pid,
		.paths = guest->path_list,
		.count = guest->setup->device_count,
	};
	int wait_ms;

	if (broker_answer(guest->broker.fd, &service) == 0) {
		event_loop_remove(guest->setup->loop, &guest->broker);
		return;
	}
	wait_ms = request_pace_count(&guest->pace, clock_now_ms());
	if (wait_ms > 0)
		pause_broker(guest, wait_ms);
}

/* What the end of the monitor's process means, when it did not tell by itself. */
static void judge(struct engine_guest *guest, int status)
{
	char text[OOM_STATUS_LENGTH];

	if (guest->told)
		return;
	if (guest->kill_asked) {
		handle_end_told(guest, GUEST_KILLED, "was ended as it stood");
		return;
	}
	guest->end = GUEST_FAILED;
	snprintf(guest->how, sizeof(guest->how), "ended with its monitor (%s)",
		 oom_describe(text, status, &guest->oom_before, ""));
}

/* The guest never ran: what the monitor said last is why, and its exit status whose fault. */
static void refuse(struct engine_guest *guest, int status)
{
	const struct engine_setup *setup = guest->setup;
	struct error error;

	error_set(&error, EIO, "%s", guest->how);
	error.usage = WIFEXITED(status) && WEXITSTATUS(status) == ERROR_EXIT_USAGE;
	log_relay_take_message(&guest->output, error.message, sizeof(error.message));
	if (!error.message[0])
		error_set(&error, EIO, "engine kvm: the guest %s", guest->how);
	setup->events->refused(setup->context, &error);
}

static void handle_exit(void *context, uint32_t events)
{
	struct engine_guest *guest = context;
	const struct engine_setup *setup = guest->setup;
	int status;

	event_loop_remove(setup->loop, &guest->exit_source);
	if (!process_reap(&guest->process, &status))
		return;
	/* Its last events and words have arrived, but may not have been handled. */
	line_reader_drain(&guest->control);
	log_relay_drain(&guest->output);
	judge(guest, status);
	if (!guest->running && !guest->kill_asked)
		refuse(guest, status);
	setup->events->ended(setup->context, guest->end, guest->how);
}

/* A device that takes only small rings says so in its options, and nowhere else. */
static struct device_shape shape_of(const struct device_config *device)
{
	const struct option_row *row =
		option_find(device->type->options, "queue-size", strlen("queue-size"));
	struct device_shape shape = device->type->shape;

	if (row)
		shape.queue_size_max = (uint16_t)option_number(row, device->options);
	return shape;
}

#define FILES 3

/* Opens a file that the monitor reads, unless @path is NULL, to be handed down as a descriptor. */
static int add_file(struct engine_guest *guest, struct arguments *arguments,
		    struct process_spawn *spawn, int *kept, const char *option, const char *path,
		    int *fd, struct error *error)
{
	if (!path)
		return 0;
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (*fd < 0)
		return error_set_usage(error, "%s: %s; check the path and its permissions", path,
				       strerror(errno));
	arguments_add_format(arguments, "--%s=/dev/fd/%d", option, *fd);
	fd_names_add(&guest->output.files, *fd, path);
	kept[spawn->kept_fd_count++] = *fd;
	return 0;
}

/* The paths of the devices' sockets, which work for as long as the supervisor has them open. */
static int note_paths(struct engine_guest *guest, struct error *error)
{
	const struct engine_setup *setup = guest->setup;

	guest->paths = calloc(setup->device_count + 1, sizeof(*guest->paths));
	guest->path_list = calloc(setup->device_count + 1, sizeof(*guest->path_list));
	if (!guest->paths || !guest->path_list)
		return error_set(error, ENOMEM, "out of memory");
	for (size_t i = 0; i < setup->device_count; i++) {
		snprintf(guest->paths[i], sizeof(guest->paths[i]), "/proc/self/fd/%d",
			 setup->devices[i].connect_fd);
		guest->path_list[i] = guest->paths[i];
	}
	return 0;
}

/* What the monitor inherits, and what is closed here when it has done so. */
struct inherited {
	int serial, control, broker, output;
	int files[FILES];
	int *connections;
	size_t connection_count;
};

static void close_inherited(struct inherited *inherited)
{
	close_fd(&inherited->serial);
	close_fd(&inherited->control);
	close_fd(&inherited->broker);
	close_fd(&inherited->output);
	for (size_t i = 0; i < FILES; i++)
		close_fd(&inherited->files[i]);
	for (size_t i = 0; i < inherited->connection_count; i++)
		close_fd(&inherited->connections[i]);
	free(inherited->connections);
}

/*
 * Connects to the devices' sockets for the monitor: a process that has not started yet finds the
 * connection waiting.
 */
static int add_devices(const struct engine_guest *guest, struct arguments *arguments,
		       struct process_spawn *spawn, int *kept, struct inherited *inherited,
		       struct error *error)
{
	const struct engine_setup *setup = guest->setup;

	inherited->connections = calloc(setup->device_count + 1, sizeof(int));
	if (!inherited->connections)
		return error_set(error, ENOMEM, "out of memory");
	for (size_t i = 0; i < setup->device_count; i++) {
		const struct device_config *device = setup->devices[i].config;
		const struct device_shape shape = shape_of(device);
		int fd = vhost_client_connect(guest->path_list[i], 0, error);

		if (fd < 0)
			return fd;
		inherited->connections[inherited->connection_count++] = fd;
		monitor_device_add(arguments, device->name, &shape, fd);
		kept[spawn->kept_fd_count++] = fd;
	}
	return 0;
}

static int execute(struct engine_guest *guest, struct inherited *inherited, struct error *error)
{
	const struct engine_setup *setup = guest->setup;
	const struct guest_config *config = setup->config;
	const struct {
		const char *option, *path;
	} boot_files[FILES] = {
		{"kernel", config->kernel},
		{"firmware", config->firmware},
		{"initrd", config->initrd},
	};
	cleanup_arguments struct arguments arguments = {0};
	cleanup_free char *line = NULL;
	cleanup_free int *kept = calloc(3 + FILES + setup->device_count, sizeof(*kept));
	int *files = inherited->files;
	struct process_spawn spawn = {
		.program = "/proc/self/exe",
		.kept_fds = kept,
		.stdin_fd = -1,
		.stdout_fd = inherited->output,
		.stderr_fd = inherited->output,
		.own_group = true, /* so that keys of the terminal reach only this program */
		.shielded = true,
	};

	if (!kept)
		return error_set(error, ENOMEM, "out of memory");
	arguments_add(&arguments, "avp");
	arguments_add(&arguments, "monitor");
	log_relay_add_arguments(&arguments);
	for (size_t i = 0; i < FILES; i++) {
		int result = add_file(guest, &arguments, &spawn, kept, boot_files[i].option,
				      boot_files[i].path, &files[i], error);

		if (result < 0)
			return result;
	}
	if (config->dump_dtb)
		arguments_add_format(&arguments, "--dump-dtb=%s", config->dump_dtb);
	if (arch_has_watchdogs)
		arguments_add_format(&arguments, "--watchdog=%s", guest_config_watchdog(config));
	if (config->kernel) {
		if (kvm_command_line(&line, config, error) < 0)
			return -ENOMEM;
		arguments_add_format(&arguments, "--append=%s", line);
	}
	arguments_add_format(&arguments, "--cpus=%" PRIu64, config->cpus);
	arguments_add_format(&arguments, "--memory=%" PRIu64, config->memory);
	if (config->huge_pages)
		arguments_add(&arguments, "--huge-pages");
	arguments_add_format(&arguments, "--serial-fd=%d", inherited->serial);
	arguments_add_format(&arguments, "--control-fd=%d", inherited->control);
	arguments_add_format(&arguments, "--broker-fd=%d", inherited->broker);
	kept[spawn.kept_fd_count++] = inherited->serial;
	kept[spawn.kept_fd_count++] = inherited->control;
	kept[spawn.kept_fd_count++] = inherited->broker;
	if (add_devices(guest, &arguments, &spawn, kept, inherited, error) < 0)
		return -error->code;
	spawn.argv = arguments_finish(&arguments, error);
	if (!spawn.argv)
		return -ENOMEM;
	return process_spawn(&guest->process, &spawn, error);
}

/* Starts the monitor; what it inherits is closed here when this returns. */
static int start_process(struct engine_guest *guest, int console_fd, struct error *error)
{
	const struct engine_setup *setup = guest->setup;
	__attribute__((cleanup(close_inherited))) struct inherited inherited = {
		.serial = console_fd,
		.control = -1,
		.broker = -1,
		.output = -1,
		.files = {-1, -1, -1},
	};
	int control_ends[2], broker_ends[2], result;

	guest->output.name = "monitor";
	result = log_relay_open(&guest->output, setup->loop, &inherited.output, error);
	if (result == 0)
		result = note_paths(guest, error);
	if (result == 0)
		result = broker_make_pair(broker_ends, error);
	if (result < 0)
		return result;
	guest->broker = (struct event_source){broker_ends[0], handle_broker, guest};
	inherited.broker = broker_ends[1];
	result = timer_open(&guest->pause, setup->loop, CLOCK_MONOTONIC, end_pause, guest, error);
	if (result == 0)
		result = event_loop_add(setup->loop, &guest->broker, EPOLLIN, error);
	if (result < 0)
		return result;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control_ends) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	inherited.control = control_ends[1];
	guest->control.line = handle_event;
	guest->control.ended = handle_control_end;
	guest->control.context = guest;
	result = line_reader_open(&guest->control, setup->loop, control_ends[0], CONTROL_LINE_MAX,
				  error);
	if (result < 0)
		return result;
	guest->control_fd = control_ends[0];
	result = execute(guest, &inherited, error);
	if (result < 0)
		return result;
	guest->exit_source = (struct event_source){guest->process.pidfd, handle_exit, guest};
	return event_loop_add(setup->loop, &guest->exit_source, EPOLLIN, error);
}

static void kvm_free(struct engine_guest *guest)
{
	if (!guest)
		return;
	event_loop_remove(guest->setup->loop, &guest->exit_source);
	/* Its end is the monitor's. */
	line_reader_close(&guest->control);
	process_end(&guest->process, FREE_MS);
	event_loop_remove(guest->setup->loop, &guest->broker);
	close_fd(&guest->broker.fd);
	timer_close(&guest->pause);
	log_relay_close(&guest->output);
	free(guest->paths);
	free(guest->path_list);
	free(guest);
}

static int kvm_start(struct engine_guest **out, const struct engine_setup *setup,
		     struct error *error)
{
	cleanup_fd int console = setup->console_fd;
	struct engine_guest *guest = calloc(1, sizeof(*guest));
	int result;

	*out = NULL;
	if (!guest)
		return error_set(error, ENOMEM, "out of memory");
	guest->setup = setup;
	guest->process = PROCESS_NONE;
	guest->oom_before = oom_counts_read("");
	guest->exit_source.fd = -1;
	guest->broker.fd = -1;
	guest->pause = TIMER_NONE;
	guest->control_fd = -1;
	result = start_process(guest, take_fd(&console), error);
	if (result < 0) {
		kvm_free(guest);
		return result;
	}
	*out = guest;
	return 0;
}

static bool kvm_reattaches(const struct device_type *type)
{
	return true;
}

static pid_t kvm_pid(const struct engine_guest *guest)
{
	return guest->process.pid;
}

static void kvm_stop(struct engine_guest *guest)
{
	guest->stop_asked = true;
	command(guest, CONTROL_BUTTON);
}

static void kvm_kill(struct engine_guest *guest)
{
	/* It ends by itself and passes on what the guest said last, unless it hangs or still starts. */
	if (guest->kill_asked || guest->control_fd < 0 || !guest->running)
		process_signal(&guest->process, SIGKILL);
	else
		command(guest, CONTROL_END);
	guest->kill_asked = true;
}

/* What the monitor has on both architectures; Linux takes no longer command line (qemu.c). */
#define MACHINE                                                                             \
	.cpus = GUEST_CPUS_MAXIMUM, .memory = GUEST_MEMORY_MAXIMUM, .memory_unit = 4 << 10, \
	.command_line = GUEST_COMMAND_LINE_MAXIMUM, .huge_pages = 1

const struct engine engine_kvm = {
	.name = "kvm",
	.machines =
		{
			[ENGINE_X86_64] = {MACHINE, .devices = 20},
			[ENGINE_ARM64] = {MACHINE, .devices = GUEST_DEVICES_MAXIMUM, .firmware = 1,
					  .watchdog = 1, .dump_dtb = 1},
		},
	.waits_for_devices = true,
	.command_line = kvm_command_line,
	.usable = kvm_usable,
	.start = kvm_start,
	.reattaches = kvm_reattaches,
	.pid = kvm_pid,
	.stop = kvm_stop,
	.kill = kvm_kill,
	.free = kvm_free,
};

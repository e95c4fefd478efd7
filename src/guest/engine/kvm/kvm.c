// SPDX-License-Identifier: BSD-3-Clause
/*
 * Engine kvm: a guest in AVP's own monitor, a process of this same program that is controlled by
 * the lines of monitor/control.h. Its log lines are logged again by this process.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/control.h"
#include "base/log.h"
#include "base/request_pace.h"
#include "base/text.h"
#include "base/timer.h"
#include "guest/engine/kvm/kvm.h"
#include "guest/engine/kvm/monitor_arguments.h"
#include "vhost/broker.h"
#include "monitor/control.h"
#include "vhost/client.h"

/* "/proc/self/fd/" and a number. */
#define PATH_LENGTH 32

struct kvm_guest {
	struct engine_guest common;
	struct control_channel control;
	/* The monitor requests connections to restarted device processes here. */
	struct event_source broker;
	struct request_pace pace;
	struct timer pause;	    /* until the next request is answered */
	char (*paths)[PATH_LENGTH]; /* of the devices' sockets */
	const char **path_list;
	bool end_reported; /* the monitor reported the end: end and how are set */
	enum guest_end end;
	char how[ENGINE_HOW_LENGTH];
};

static struct kvm_guest *kvm_guest(struct engine_guest *guest)
{
	return (struct kvm_guest *)guest;
}

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

/* A monitor that does not read is killed by whoever waits for the effect. */
static void send_message(const struct kvm_guest *guest, struct control_message *message)
{
	control_message_send(message, control_channel_socket(&guest->control), -1);
}

static void command(const struct kvm_guest *guest, const char *verb)
{
	struct control_message message;

	control_message_begin(&message, verb);
	send_message(guest, &message);
}

static void set_end(struct kvm_guest *guest, enum guest_end end, const char *how)
{
	guest->end_reported = true;
	guest->end = end;
	snprintf(guest->how, sizeof(guest->how), "%s", how);
	if (end == GUEST_POWERED_OFF && guest->common.stop_asked)
		snprintf(guest->how, sizeof(guest->how), "powered off on request");
}

/* An event; @text: its field, printable, or "". */
struct monitor_event {
	const char *name, *field;
	void (*handle)(struct kvm_guest *guest, const struct control_line *line, const char *text);
};

static void handle_step(struct kvm_guest *guest, const struct control_line *line, const char *text)
{
	const struct engine_setup *setup = guest->common.setup;
	uint64_t nanoseconds;

	if (control_line_number(line, "time", &nanoseconds))
		setup->events->step(setup->context, nanoseconds, text);
}

static void handle_running(struct kvm_guest *guest, const struct control_line *line,
			   const char *text)
{
	engine_report_running(&guest->common);
	log_relay_let_through(&guest->common.process.output);
}

static void handle_reset(struct kvm_guest *guest, const struct control_line *line, const char *text)
{
	guest->common.setup->events->reset(guest->common.setup->context);
}

static void handle_paused(struct kvm_guest *guest, const struct control_line *line,
			  const char *text)
{
	guest->common.setup->events->paused(guest->common.setup->context, NULL);
}

static void handle_resumed(struct kvm_guest *guest, const struct control_line *line,
			   const char *text)
{
	guest->common.setup->events->resumed(guest->common.setup->context, NULL);
}

static void handle_given_up(struct kvm_guest *guest, const struct control_line *line,
			    const char *text)
{
	guest->common.setup->events->device_given_up(guest->common.setup->context, text);
}

static void handle_released(struct kvm_guest *guest, const struct control_line *line,
			    const char *text)
{
	const char *device = control_line_get(line, "device");

	if (device)
		guest->common.setup->events->device_released(guest->common.setup->context, device,
							     text);
}

static void handle_detached(struct kvm_guest *guest, const struct control_line *line,
			    const char *text)
{
	guest->common.setup->events->device_detached(guest->common.setup->context, text);
}

static void handle_attached(struct kvm_guest *guest, const struct control_line *line,
			    const char *text)
{
	const char *device = control_line_get(line, "device");

	if (device)
		guest->common.setup->events->device_attached(guest->common.setup->context, device,
							     text);
}

static void handle_watchdog(struct kvm_guest *guest, const struct control_line *line,
			    const char *text)
{
	guest->common.setup->events->watchdog(guest->common.setup->context, text);
}

static void handle_off(struct kvm_guest *guest, const struct control_line *line, const char *text)
{
	set_end(guest, GUEST_POWERED_OFF, text);
}

static void handle_panicked(struct kvm_guest *guest, const struct control_line *line,
			    const char *text)
{
	set_end(guest, GUEST_PANICKED, text);
}

static void handle_failed(struct kvm_guest *guest, const struct control_line *line,
			  const char *text)
{
	set_end(guest, GUEST_FAILED, text);
}

static const struct monitor_event monitor_events[] = {
	{MONITOR_EVENT_STEP, "text", handle_step},
	{MONITOR_EVENT_RUNNING, NULL, handle_running},
	{MONITOR_EVENT_RESET, NULL, handle_reset},
	{MONITOR_EVENT_PAUSED, NULL, handle_paused},
	{MONITOR_EVENT_RESUMED, NULL, handle_resumed},
	{MONITOR_EVENT_GIVEN_UP, "device", handle_given_up},
	{MONITOR_EVENT_RELEASED, "text", handle_released},
	{MONITOR_EVENT_DETACHED, "device", handle_detached},
	{MONITOR_EVENT_ATTACHED, "text", handle_attached},
	{MONITOR_EVENT_WATCHDOG, "text", handle_watchdog},
	{MONITOR_EVENT_OFF, "text", handle_off},
	{MONITOR_EVENT_PANICKED, "text", handle_panicked},
	{MONITOR_EVENT_FAILED, "text", handle_failed},
};

static void handle_line(void *context, const struct control_line *line, int *fd)
{
	struct kvm_guest *guest = context;
	const char *name = control_line_get(line, "name");
	char text[ENGINE_HOW_LENGTH] = "";

	if (strcmp(line->verb, CONTROL_EVENT) || !name)
		return;
	for (size_t i = 0; i < sizeof(monitor_events) / sizeof(monitor_events[0]); i++) {
		const struct monitor_event *event = &monitor_events[i];
		const char *value;

		if (strcmp(event->name, name))
			continue;
		value = event->field ? control_line_get(line, event->field) : NULL;
		snprintf(text, sizeof(text), "%s", value ?: "");
		text_make_printable(text);
		event->handle(guest, line, text);
		return;
	}
}

/* The monitor has ended, as its process will, or has been taken over. */
static void handle_control_end(void *context, const struct error *error)
{
	struct kvm_guest *guest = context;

	control_channel_close(&guest->control);
	if (!error)
		return;
	log_line(LOG_ERROR, "monitor", "its control socket: %s; it is killed", error->message);
	supervised_process_kill(&guest->common.process);
}

/* The monitor exceeded its rate of requests: leave the next one unread. */
static void pause_broker(struct kvm_guest *guest, int ms)
{
	timer_set_ms(&guest->pause, (uint64_t)ms);
	event_loop_modify(guest->common.setup->loop, &guest->broker, 0);
}

static void end_pause(void *context)
{
	struct kvm_guest *guest = context;

	event_loop_modify(guest->common.setup->loop, &guest->broker, EPOLLIN);
}

/* The policy may have changed since the start. */
static int permit_device(void *context, size_t device, struct error *error)
{
	const struct kvm_guest *guest = context;

	return engine_permit_device(guest->common.engine, guest->common.setup, device, error);
}

/*
 * Answers a request of the monitor. As that may be hostile, it gets one answer a turn of the loop,
 * and a limited number a second.
 */
static void handle_broker(void *context, uint32_t events)
{
	struct kvm_guest *guest = context;
	const struct broker_service service = {
		.monitor = supervised_process_pid(&guest->common.process),
		.paths = guest->path_list,
		.count = guest->common.setup->device_count,
		.permit = permit_device,
		.context = guest,
	};
	int wait_ms;

	if (broker_answer(guest->broker.fd, &service) == 0) {
		event_loop_remove(guest->common.setup->loop, &guest->broker);
		return;
	}
	wait_ms = request_pace_count(&guest->pace, clock_now_ms());
	if (wait_ms > 0)
		pause_broker(guest, wait_ms);
}

/* Reports why the guest never ran: the monitor's last line is the reason. */
static void refuse(struct kvm_guest *guest, int status)
{
	const struct engine_setup *setup = guest->common.setup;
	struct error error;

	error_set(&error, EIO, "%s", guest->how);
	error.usage = WIFEXITED(status) && WEXITSTATUS(status) == ERROR_EXIT_USAGE;
	log_relay_take_message(&guest->common.process.output, error.message, sizeof(error.message));
	if (!error.message[0])
		error_set(&error, EIO, "engine kvm: the guest %s", guest->how);
	setup->events->refused(setup->context, &error);
}

static enum guest_end kvm_describe_end(struct engine_guest *common, int status,
				       char how[ENGINE_HOW_LENGTH])
{
	struct kvm_guest *guest = kvm_guest(common);
	char text[OOM_STATUS_LENGTH];

	/* Its last events and lines may not have been handled yet. */
	control_channel_drain(&guest->control);
	if (!guest->end_reported && common->kill_asked) {
		set_end(guest, GUEST_KILLED, "was killed");
	} else if (!guest->end_reported) {
		guest->end = GUEST_FAILED;
		snprintf(guest->how, sizeof(guest->how), "ended with its monitor (%s)",
			 oom_describe(text, status, &common->process.oom_before, ""));
	}
	if (!common->running && !common->kill_asked)
		refuse(guest, status);
	memcpy(how, guest->how, sizeof(guest->how));
	return guest->end;
}

/* Makes the paths of the devices' sockets. They work while the supervisor has these open. */
static int make_paths(struct kvm_guest *guest, struct error *error)
{
	const struct engine_setup *setup = guest->common.setup;

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

static int open_broker(struct kvm_guest *guest, struct engine_launch *launch,
		       struct monitor_descriptors *descriptors, struct error *error)
{
	struct event_loop *loop = guest->common.setup->loop;
	int ends[2], result = broker_make_pair(ends, error);

	if (result < 0)
		return result;
	guest->broker = (struct event_source){ends[0], handle_broker, guest};
	descriptors->broker = ends[1];
	engine_launch_keep(launch, ends[1], false);
	result = timer_open(&guest->pause, loop, CLOCK_MONOTONIC, end_pause, guest, error);
	return result < 0 ? result : event_loop_add(loop, &guest->broker, EPOLLIN, error);
}

static int open_control(struct kvm_guest *guest, struct engine_launch *launch, struct error *error)
{
	guest->control.line = handle_line;
	guest->control.ended = handle_control_end;
	guest->control.context = guest;
	return control_channel_open(&guest->control, guest->common.setup->loop,
				    take_fd(&launch->own_control), error);
}

/* A file with the part of the device tree that a type brings along. Returns its descriptor. */
static int make_tree_file(const struct device_shape *shape, struct error *error)
{
	cleanup_fd int fd = memfd_create("device-tree", MFD_CLOEXEC);

	if (fd < 0 || write(fd, shape->tree, shape->tree_length) != (ssize_t)shape->tree_length)
		return error_set_errno(error, errno, "cannot make a file for a device tree");
	return take_fd(&fd);
}

/*
 * Connects to the devices' sockets for the monitor. The connection waits for a process that has not
 * started yet.
 */
static int connect_devices(struct kvm_guest *guest, struct engine_launch *launch,
			   struct monitor_descriptors *descriptors, struct error *error)
{
	for (size_t i = 0; i < guest->common.setup->device_count; i++) {
		const struct engine_device *device = &guest->common.setup->devices[i];
		const struct device_shape *shape = &device->config->type->shape;
		int fd = vhost_client_connect(guest->path_list[i], 0, error);

		if (fd < 0)
			return fd;
		descriptors->devices[i] = fd;
		engine_launch_keep(launch, fd, false);
		descriptors->trees[i] = -1;
		if (!engine_kvm.machines[ENGINE_HERE].dump_dtb || !shape->tree)
			continue;
		fd = make_tree_file(shape, error);
		if (fd < 0)
			return fd;
		descriptors->trees[i] = fd;
		engine_launch_keep(launch, fd, false);
	}
	return 0;
}

static int kvm_prepare(struct engine_guest *common, struct engine_launch *launch,
		       struct error *error)
{
	struct kvm_guest *guest = kvm_guest(common);
	struct monitor_descriptors descriptors;
	int result;

	guest->broker.fd = -1;
	guest->pause = TIMER_NONE;
	control_channel_init(&guest->control);
	guest->common.process.output.name = "monitor";
	for (int i = 0; i < ENGINE_FILES; i++)
		if (launch->files[i] >= 0)
			fd_names_add(&guest->common.process.output.files, launch->files[i],
				     launch->paths[i]);
	result = make_paths(guest, error);
	if (result == 0)
		result = open_broker(guest, launch, &descriptors, error);
	if (result == 0)
		result = open_control(guest, launch, error);
	if (result == 0)
		result = connect_devices(guest, launch, &descriptors, error);
	if (result < 0)
		return result;
	launch->program = "/proc/self/exe";
	monitor_arguments(&launch->arguments, common->setup, launch, &descriptors);
	return 0;
}

static void kvm_close(struct engine_guest *common)
{
	struct kvm_guest *guest = kvm_guest(common);

	control_channel_close(&guest->control);
	event_loop_remove(common->setup->loop, &guest->broker);
	close_fd(&guest->broker.fd);
	timer_close(&guest->pause);
	free(guest->paths);
	free(guest->path_list);
}

static void kvm_stop(struct engine_guest *guest)
{
	command(kvm_guest(guest), MONITOR_VERB_STOP);
}

static void kvm_pause(struct engine_guest *guest)
{
	command(kvm_guest(guest), MONITOR_VERB_PAUSE);
}

static void kvm_resume(struct engine_guest *guest)
{
	command(kvm_guest(guest), MONITOR_VERB_RESUME);
}

static void kvm_release_device(struct engine_guest *guest, const char *name, uint64_t attachments)
{
	struct control_message message;

	control_message_begin(&message, MONITOR_VERB_RELEASE);
	control_message_add(&message, "device", name);
	control_message_add_number(&message, "attachments", attachments);
	send_message(kvm_guest(guest), &message);
}

static void kvm_set_log_level(struct engine_guest *guest, enum log_level level)
{
	struct control_message message;

	control_message_begin(&message, MONITOR_VERB_LOG);
	control_message_add(&message, "level", log_level_name(level));
	send_message(kvm_guest(guest), &message);
}

static void kvm_kill(struct engine_guest *guest)
{
	/*
	 * On this verb the monitor drains the guest's output and exits. Kill it if it hangs or
	 * the guest has not started.
	 */
	if (guest->kill_asked || control_channel_socket(&kvm_guest(guest)->control) < 0 ||
	    !guest->running)
		supervised_process_kill(&guest->process);
	else
		command(kvm_guest(guest), MONITOR_VERB_KILL);
}

/* What the monitor has on both architectures. */
#define MACHINE                                                                             \
	.cpus = GUEST_CPUS_MAXIMUM, .memory = GUEST_MEMORY_MAXIMUM, .memory_unit = 4 << 10, \
	.command_line = GUEST_COMMAND_LINE_MAXIMUM, .huge_pages = 1, .pause = 1, .restart = 1

const struct engine engine_kvm = {
	.name = "kvm",
	.states_profiles = true,
	.machines =
		{
			[ENGINE_X86_64] = {MACHINE,
					   .kernels = ENGINE_BOOTS(KERNEL_ELF) |
						      ENGINE_BOOTS(KERNEL_BZIMAGE),
					   .devices = 20},
			[ENGINE_ARM64] = {MACHINE,
					  .kernels = ENGINE_BOOTS(KERNEL_ELF) |
						     ENGINE_BOOTS(KERNEL_ARM64_IMAGE),
					  .devices = GUEST_DEVICES_MAXIMUM, .firmware = 1,
					  .watchdog = 1, .dump_dtb = 1},
		},
	.waits_for_devices = true,
	.guest_size = sizeof(struct kvm_guest),
	.usable = kvm_usable,
	.prepare = kvm_prepare,
	.stop = kvm_stop,
	.kill = kvm_kill,
	.pause = kvm_pause,
	.resume = kvm_resume,
	.release_device = kvm_release_device,
	.set_log_level = kvm_set_log_level,
	.describe_end = kvm_describe_end,
	.close = kvm_close,
};

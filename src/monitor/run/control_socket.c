// SPDX-License-Identifier: BSD-3-Clause
/* Commands to the monitor, and events from it. */
#include "monitor/run/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "monitor/control.h"

static int handle_stop(void *context, const struct control_call *call, struct error *error)
{
	const struct control_socket *control = context;

	control->button(control->context);
	return 0;
}

static int handle_kill(void *context, const struct control_call *call, struct error *error)
{
	const struct control_socket *control = context;

	control->end(control->context);
	return 0;
}

static int handle_pause(void *context, const struct control_call *call, struct error *error)
{
	const struct control_socket *control = context;

	control->pause(control->context);
	return 0;
}

static int handle_resume(void *context, const struct control_call *call, struct error *error)
{
	const struct control_socket *control = context;

	control->resume(control->context);
	return 0;
}

/* The fields of release. */
struct release_fields {
	char *device;
	uint64_t attachments;
};

static const struct option_row release_rows[] = {
	{
		.name = "device",
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct release_fields, device),
		.required = true,
		.help = "its name",
	},
	{
		.name = "attachments",
		.type = OPTION_NUMBER,
		.argument = "NUMBER",
		.offset = offsetof(struct release_fields, attachments),
		.default_text = "0",
		.help = "how many events `attached` there were: the process is the one after the "
			"last of them",
	},
	{.name = NULL},
};

static int handle_release(void *context, const struct control_call *call, struct error *error)
{
	const struct control_socket *control = context;
	const struct release_fields *fields = call->values;

	return control->release(control->context, fields->device, fields->attachments, error);
}

static const struct control_verb verbs[] = {
	{.name = MONITOR_VERB_STOP, .help = "press the power button", .handle = handle_stop},
	{.name = MONITOR_VERB_KILL, .help = "end the guest at once", .handle = handle_kill},
	{
		.name = MONITOR_VERB_PAUSE,
		.help = "pause the vCPUs; the event `paused` follows",
		.handle = handle_pause,
	},
	{
		.name = MONITOR_VERB_RESUME,
		.help = "end the pause; the event `resumed` follows",
		.handle = handle_resume,
	},
	{
		.name = MONITOR_VERB_LOG,
		.help = "log from this level on",
		.fields = control_log_level_rows,
		.size = sizeof(struct control_log_level),
		.answer =
			(const struct command_note[]){{"before", "the level before"}, {NULL, NULL}},
		.handle = control_server_set_log_level,
	},
	{
		.name = MONITOR_VERB_RELEASE,
		.help = "stop the rings of a device, save its state and let go of its process; the "
			"event `released` follows",
		.fields = release_rows,
		.size = sizeof(struct release_fields),
		.handle = handle_release,
	},
	{.name = NULL},
};

static const struct option_row step_rows[] = {
	{.name = "time", .help = "when, in nanoseconds of CLOCK_MONOTONIC"},
	{.name = "text", .help = "which step"},
	{.name = NULL},
};

static const struct option_row device_rows[] = {
	{.name = "device", .help = "its name"},
	{.name = NULL},
};

static const struct option_row state_rows[] = {
	{.name = "device", .help = "its name"},
	{
		.name = "text",
		.help = "why the state of the device does not get to the next process, if it does "
			"not",
	},
	{.name = NULL},
};

static const struct option_row watchdog_rows[] = {
	{.name = "text", .help = "which one"},
	{.name = NULL},
};

static const struct option_row end_rows[] = {
	{.name = "text", .help = "completes \"the guest …\""},
	{.name = NULL},
};

static const struct control_verb events[] = {
	{.name = MONITOR_EVENT_STEP, .help = "a step of the start was done", .fields = step_rows},
	{.name = MONITOR_EVENT_RUNNING, .help = "the vCPUs run; again after each reset"},
	{.name = MONITOR_EVENT_RESET, .help = "the guest resets"},
	{.name = MONITOR_EVENT_PAUSED, .help = "the vCPUs are paused; again after a reset"},
	{.name = MONITOR_EVENT_RESUMED, .help = "the vCPUs run again"},
	{
		.name = MONITOR_EVENT_GIVEN_UP,
		.help = "the process of a device does not answer: kill it and start it again",
		.fields = device_rows,
	},
	{
		.name = MONITOR_EVENT_RELEASED,
		.help = "the process of a device may be ended, to be replaced",
		.fields = state_rows,
	},
	{
		.name = MONITOR_EVENT_DETACHED,
		.help = "a device has no process for now",
		.fields = device_rows,
	},
	{
		.name = MONITOR_EVENT_ATTACHED,
		.help = "another process serves a device",
		.fields = state_rows,
	},
	{
		.name = MONITOR_EVENT_WATCHDOG,
		.help = "a watchdog expired; the monitor applies its policy next",
		.fields = watchdog_rows,
	},
	{.name = MONITOR_EVENT_OFF, .help = "the guest powered itself off", .fields = end_rows},
	{.name = MONITOR_EVENT_PANICKED, .help = "the guest's kernel panicked", .fields = end_rows},
	{.name = MONITOR_EVENT_FAILED, .help = "the guest failed", .fields = end_rows},
	{.name = NULL},
};

const struct control_interface monitor_interface = {
	.name = "monitor",
	.version = 1,
	.verbs = verbs,
	.events = events,
};

static void handle_hangup(void *context)
{
	struct control_socket *control = context;

	control->end(control->context);
}

int control_socket_open(struct control_socket *control, struct event_loop *loop, int fd,
			struct error *error)
{
	int result;

	/* The server closes its descriptor at the end; others send until control_socket_close. */
	control->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	result = control->fd < 0 ? error_set_errno(error, errno, "cannot duplicate a socket") : 0;
	if (result < 0) {
		close_fd(&fd);
		return result;
	}
	control->server = CONTROL_SERVER_NONE;
	control->server.loop = loop;
	control->server.interface = &monitor_interface;
	control->server.gone = handle_hangup;
	control->server.context = control;
	return control_server_add(&control->server, fd, error);
}

static void send_event(const struct control_socket *control, struct control_message *message)
{
	/*
	 * Lines are few and short: a peer that lets the socket fill up has given the guest up. The
	 * loop, perhaps in another thread, sees the shutdown like any hangup.
	 */
	if (control->fd >= 0 && control_message_send(message, control->fd, -1) < 0)
		shutdown(control->fd, SHUT_RDWR);
}

static void begin(struct control_message *message, const char *name)
{
	control_message_begin(message, CONTROL_EVENT);
	control_message_add(message, "name", name);
}

void control_socket_send(const struct control_socket *control, const char *name, const char *key,
			 const char *text)
{
	struct control_message message;

	begin(&message, name);
	if (key)
		control_message_add(&message, key, text);
	send_event(control, &message);
}

void control_socket_send_device(const struct control_socket *control, const char *name,
				const char *device, const char *text)
{
	struct control_message message;

	begin(&message, name);
	control_message_add(&message, "device", device);
	if (text)
		control_message_add(&message, "text", text);
	send_event(control, &message);
}

void control_socket_send_step(const struct control_socket *control, uint64_t time, const char *text)
{
	struct control_message message;

	begin(&message, MONITOR_EVENT_STEP);
	control_message_add_number(&message, "time", time);
	control_message_add(&message, "text", text);
	send_event(control, &message);
}

void control_socket_close(struct control_socket *control)
{
	control_server_close(&control->server);
	close_fd(&control->fd);
}

// SPDX-License-Identifier: BSD-3-Clause
/* Serves the clients of a guest's control socket. */
#include "guest/run/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest/policy.h"

static int refuse_start(struct error *error)
{
	return error_set(error, EAGAIN, "the guest is not started yet");
}

static int handle_state(void *context, const struct control_call *call, struct error *error)
{
	const struct guest_control *control = context;
	const struct guest_config *config = control->config;
	const struct guest *guest = control->guest;

	control_message_add(call->reply, "name", config->name);
	control_message_add(call->reply, "state", guest ? guest_state(guest) : "starting");
	control_message_add_number(call->reply, "process", (uint64_t)getpid());
	if (config->source)
		control_message_add(call->reply, "bundle", config->source);
	if (!guest)
		return 0;
	control_message_add(call->reply, "engine", guest_engine_name(guest));
	if (guest_engine_process(guest))
		control_message_add_number(call->reply, "engine-process",
					   (uint64_t)guest_engine_process(guest));
	return 0;
}

static int handle_devices(void *context, const struct control_call *call, struct error *error)
{
	const struct guest_control *control = context;

	if (!control->guest)
		return refuse_start(error);
	for (size_t i = 0; i < control->config->device_count; i++) {
		struct supervisor_device device = guest_device(control->guest, i);
		int attached = guest_device_attached(control->guest, i);
		struct control_message line;

		control_message_begin(&line, "device");
		control_message_add(&line, "name", device.config->name);
		control_message_add(&line, "type", device.config->type->name);
		control_message_add_number(&line, "process", (uint64_t)device.pid);
		control_message_add(&line, "serving", device.serving ? "yes" : "no");
		control_message_add(&line, "state", device.state);
		if (attached >= 0)
			control_message_add(&line, "attached", attached ? "yes" : "no");
		control_message_add_number(&line, "restarts", device.restarts);
		control_message_add_number(&line, "replacements", device.replacements);
		control_server_detail(call, &line);
	}
	return 0;
}

static int handle_start(void *context, const struct control_call *call, struct error *error)
{
	const struct guest_control *control = context;

	if (!control->start || !control->guest || strcmp(guest_state(control->guest), "created"))
		return error_set(error, EALREADY, "the guest was started already");
	return control->start(control->context, error);
}

static int handle_stop(void *context, const struct control_call *call, struct error *error)
{
	const struct guest_control *control = context;

	if (!control->guest)
		return refuse_start(error);
	/* A second call would kill it. */
	if (!guest_is_stopping(control->guest))
		guest_stop(control->guest, "control socket");
	return 0;
}

static int handle_kill(void *context, const struct control_call *call, struct error *error)
{
	const struct guest_control *control = context;

	if (!control->guest)
		return refuse_start(error);
	guest_kill(control->guest, "control socket");
	return 0;
}

static int handle_pause(void *context, const struct control_call *call, struct error *error)
{
	const struct guest_control *control = context;

	return control->guest ? guest_pause(control->guest, error) : refuse_start(error);
}

/* Those who wait for a pause wait in vain. */
static void give_up_pause(struct guest_control *control)
{
	struct error error;

	error_set(&error, ECANCELED, "the guest was resumed or stopped meanwhile");
	control_server_finish(&control->server, "pause", 0, NULL, &error);
}

static int handle_resume(void *context, const struct control_call *call, struct error *error)
{
	struct guest_control *control = context;
	int result;

	if (!control->guest)
		return refuse_start(error);
	result = guest_resume(control->guest);
	/* Last: the next requests of these clients are handled here, perhaps another pause. */
	give_up_pause(control);
	return result;
}

/* The fields of restart. */
struct restart_fields {
	char *device;
};

static const struct option_row restart_rows[] = {
	{
		.name = "device",
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct restart_fields, device),
		.required = true,
		.help = "its name",
	},
	{.name = NULL},
};

static int handle_restart(void *context, const struct control_call *call, struct error *error)
{
	const struct guest_control *control = context;
	const struct restart_fields *fields = call->values;
	size_t index = 0;
	int result;

	if (!control->guest)
		return refuse_start(error);
	result = guest_restart_device(control->guest, fields->device, &index, error);
	*call->token = index;
	return result;
}

static int handle_log_level(void *context, const struct control_call *call, struct error *error)
{
	const struct guest_control *control = context;
	const struct control_log_level *values = call->values;
	int result = control_server_set_log_level(context, call, error);

	if (result == 0 && control->guest)
		guest_set_log_level(control->guest, (enum log_level)values->level);
	return result;
}

#define NOTES(...) ((const struct command_note[]){__VA_ARGS__, {NULL, NULL}})

static const struct control_verb verbs[] = {
	{
		.name = "state",
		.help = "what the guest does",
		.answer = NOTES(
			{"name", "its name"},
			{"state",
			 "`created` (it waits for `start`), `starting`, `running`, `paused`, `stopping` or `ended`"},
			{"process", "the process of `avp run`"},
			{"bundle", "the bundle's configuration, if there is one"},
			{"engine", "the engine's name, once it is chosen"},
			{"engine-process", "its process, while it runs"}),
		.handle = handle_state,
	},
	{
		.name = "devices",
		.help = "the state of each device, in a line `device`",
		.answer = NOTES({"name", "its name"}, {"type", "its type"},
				{"process", "its process; 0: it does not run at the moment"},
				{"serving", "`yes` or `no`"},
				{"state",
				 "`starting`, `serving`, `restarting` (by the verb), `ended` (it "
				 "is started again) or `given-up`"},
				{"attached",
				 "whether the monitor is connected to it: `yes` or `no`; only of "
				 "AVP's monitor, once the guest runs"},
				{"restarts", "how often it was started again after it died"},
				{"replacements", "how often it was restarted by the verb"}),
		.handle = handle_devices,
	},
	{
		.name = "start",
		.help = "start a guest that was only created",
		.handle = handle_start,
	},
	{
		.name = "stop",
		.help = "ask the guest to shut down; it is killed if it still runs after the time "
			"of --stop-timeout, and at once if it does not run yet. A paused guest is "
			"resumed. The answer does not wait for the end",
		.handle = handle_stop,
	},
	{
		.name = "kill",
		.help = "kill the guest. The answer does not wait for the end",
		.handle = handle_kill,
	},
	{
		.name = "pause",
		.help = "pause the guest's processors. The answer comes when all have stopped",
		.handle = handle_pause,
	},
	{
		.name = "resume",
		.help = "have them run again",
		.handle = handle_resume,
	},
	{
		.name = "restart",
		.help = "restart the process of a device without the guest noticing more than a "
			"pause of the device. The answer comes when another process serves it",
		.fields = restart_rows,
		.size = sizeof(struct restart_fields),
		.answer = NOTES({"state", "`kept`: the new process went on with the device's "
					  "state; `lost`: it took over as from one that died"},
				{"text", "why it was lost"}),
		.handle = handle_restart,
	},
	{
		.name = "events",
		.help = "send the events of the guest to this client from now on",
		.handle = control_server_subscribe,
	},
	{
		.name = "log-level",
		.help = "set the level of the log of `avp run`, its device processes and AVP's "
			"monitor",
		.fields = control_log_level_rows,
		.size = sizeof(struct control_log_level),
		.answer = NOTES({"before", "the level before"}),
		.handle = handle_log_level,
	},
	{.name = NULL},
};

#define FIELD(field, text)                      \
	{                                       \
		.name = (field), .help = (text) \
	}
#define FIELDS(...) ((const struct option_row[]){__VA_ARGS__, {.name = NULL}})

static const struct control_verb events[] = {
	{.name = "guest-runs", .help = "the guest's processors run"},
	{.name = "guest-restarts", .help = "the guest resets"},
	{.name = "guest-paused", .help = "its processors are paused"},
	{.name = "guest-resumed", .help = "they run again"},
	{
		.name = "guest-stopping",
		.help = "it was asked to shut down, or is being killed; may come several times",
	},
	{
		.name = "guest-ended",
		.help = "it has ended; its processes end next, and the connection with them",
		.fields = FIELDS(FIELD("end", "`powered-off`, `failed`, `panicked` or `killed`"),
				 FIELD("milliseconds", "how long it lived")),
	},
	{
		.name = "watchdog-expired",
		.help = "a watchdog of the guest expired",
		.fields = FIELDS(FIELD("watchdog", "which one"), FIELD("policy", "what follows")),
	},
	{
		.name = "device-serves",
		.help = "the process of a device serves after a restart",
		.fields = FIELDS(FIELD("device", "its name"), FIELD("process", "its new process")),
	},
	{
		.name = "device-replaced",
		.help = "the process of a device was ended to be restarted; another one starts",
		.fields = FIELDS(FIELD("device", "its name"), FIELD("process", "that ended")),
	},
	{
		.name = "device-ended",
		.help = "the process of a device has ended; it is started again",
		.fields = FIELDS(FIELD("device", "its name"), FIELD("process", "that ended"),
				 FIELD("status", "how, in words"), FIELD("deaths", "so far")),
	},
	{
		.name = "device-hangs",
		.help = "the process of a device does not serve in time, leaves its heartbeats "
			"unanswered, or was given up by the monitor; it is killed next",
		.fields = FIELDS(FIELD("device", "its name"), FIELD("process", "its process")),
	},
	{.name = NULL},
};

const struct control_interface guest_interface = {
	.name = "guest",
	.version = 1,
	.verbs = verbs,
	.events = events,
};

static int permit(void *context, uid_t user, const struct control_verb *verb, struct error *error)
{
	const struct guest_control *control = context;
	const struct policy_object object = {"guest", verb->name};
	char actor[40];
	const struct policy_subject subject = {control->config->policy, control->config->name,
					       actor};

	snprintf(actor, sizeof(actor), "client of user %u", (unsigned int)user);
	if (policy_allows(&subject, POLICY_COMMAND, &object))
		return 0;
	return error_set(error, EACCES, "the policy does not allow %s to user %u", verb->name,
			 (unsigned int)user);
}

int guest_control_open(struct guest_control *control, struct event_loop *loop,
		       const struct guest_config *config, int fd, struct error *error)
{
	*control = GUEST_CONTROL_NONE;
	control->config = config;
	control->server.loop = loop;
	control->server.interface = &guest_interface;
	control->server.permit = permit;
	control->server.context = control;
	return control_server_listen(&control->server, fd, error);
}

void guest_control_happened(struct guest_control *control, const struct log_field *fields)
{
	struct control_message message;

	control_message_begin(&message, CONTROL_EVENT);
	control_message_add(&message, "name", fields->text);
	for (const struct log_field *field = fields + 1; field->name; field++)
		if (field->text)
			control_message_add(&message, field->name, field->text);
		else
			control_message_add_number(&message, field->name, (uint64_t)field->number);
	control_server_event(&control->server, &message);
	if (control->guest && guest_is_stopping(control->guest))
		give_up_pause(control);
}

void guest_control_paused(struct guest_control *control, const struct error *error)
{
	control_server_finish(&control->server, "pause", 0, NULL, error);
}

void guest_control_resumed(struct guest_control *control, const struct error *error)
{
	control_server_finish(&control->server, "resume", 0, NULL, error);
}

void guest_control_device_restarted(struct guest_control *control, size_t index, const char *lost,
				    const struct error *error)
{
	struct control_message reply;

	control_message_begin(&reply, CONTROL_OK);
	control_message_add(&reply, "state", lost ? "lost" : "kept");
	if (lost)
		control_message_add(&reply, "text", lost);
	control_server_finish(&control->server, "restart", index, &reply, error);
}

void guest_control_close(struct guest_control *control)
{
	control_server_close(&control->server);
}

// SPDX-License-Identifier: BSD-3-Clause
/* What all services have in common: options and verbs. Data only, and finding a service by name. */
#include "service/kit/service_type.h"

#include <limits.h>
#include <string.h>

#include "base/log.h"
#include "host/service_link.h"

static const char *const sandbox_choices[] = {
	[SERVICE_SANDBOX_ON] = "on",
	[SERVICE_SANDBOX_OFF] = "off",
	NULL,
};

const struct option_row service_option_rows[] = {
	{
		.name = "socket-path",
		.type = OPTION_PATH,
		.argument = "PATH",
		.offset = offsetof(struct service_options, socket_path),
		.required = true,
		.help = "make the service's socket there, with a lock file PATH.lock beside it, and "
			"remove both at the end; replace a socket that a killed process left "
			"behind",
	},
	{
		.name = "config",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct service_options, config),
		.help = "read options and the permitted clients from this JSON file; without it "
			"every client of this user may join",
	},
	{
		.name = "ready-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct service_options, ready_fd),
		.minimum = 1,
		.maximum = INT_MAX,
		.help = "write a byte to the inherited descriptor N, and close it, once clients "
			"are served",
	},
	{
		.name = "sandbox",
		.type = OPTION_CHOICE,
		.argument = "WHETHER",
		.offset = offsetof(struct service_options, sandbox),
		.choices = sandbox_choices,
		.default_text = "on",
		.help = "give up all rights that are not needed before serving; off is for "
			"debuggers",
	},
	{.name = NULL},
};

static const struct option_row join_rows[] = {
	{
		.name = "client",
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct service_join, client),
		.required = true,
		.help = "its name",
	},
	{.name = NULL},
};

const struct control_verb service_verbs[] = {
	{
		.name = SERVICE_JOIN,
		.help = "makes the sender a client; with it comes one end of a pair of sockets of "
			"type SOCK_SEQPACKET, on which the service offers the channel; a client of "
			"that name that was connected is no longer served",
		.fields = join_rows,
		.size = sizeof(struct service_join),
	},
	{
		.name = "state",
		.help = "says what the service and its clients have done",
		.answer =
			(const struct command_note[]){
				{"clients", "those that are connected"},
				{"client …", "a line for each of them, before: its `name`; "
					     "`received`, `sent`: messages; `received-bytes`, "
					     "`sent-bytes`; `full`: how often its channel had no "
					     "room; and counters of the service"},
				{NULL, NULL},
			},
	},
	{
		.name = "log-level",
		.help = "sets the level of the log",
		.fields = control_log_level_rows,
		.size = sizeof(struct control_log_level),
		.answer = (const struct command_note[]){{"before", "the level until now"},
							{NULL, NULL}},
	},
	{.name = "events", .help = "sends the events below from now on"},
	{.name = NULL},
};

static const struct option_row client_event_rows[] = {
	{.name = "client", .type = OPTION_NAME, .help = "its name"},
	{.name = NULL},
};

static const struct option_row left_event_rows[] = {
	{.name = "client", .type = OPTION_NAME, .help = "its name"},
	{.name = "why", .type = OPTION_STRING, .help = "the reason"},
	{.name = NULL},
};

const struct control_verb service_events[] = {
	{.name = "client-joined", .help = "a client joined", .fields = client_event_rows},
	{.name = "client-left", .help = "a client is no longer served", .fields = left_event_rows},
	{.name = NULL},
};

const struct service_type *service_type_find(const char *name)
{
	for (size_t i = 0; service_types[i]; i++)
		if (!strcmp(service_types[i]->name, name))
			return service_types[i];
	return NULL;
}

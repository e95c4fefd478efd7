// SPDX-License-Identifier: BSD-3-Clause
/* `avp control`: asks a guest or a service that runs something over its control socket. */
#include "cli/avp.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/control_request.h"
#include "guest/run/control.h"
#include "host/guest_directory.h"
#include "host/service_link.h"

/* Prints a line in the form of the interface, `ok` without that word. */
static void print_line(void *context, const struct control_line *line)
{
	bool answer = !strcmp(line->verb, CONTROL_OK);
	struct control_message text;

	control_message_begin(&text, answer ? "" : line->verb);
	for (size_t i = 0; i < line->count; i++)
		control_message_add(&text, line->fields[i].name, line->fields[i].value);
	/* A line without a verb starts with a blank. */
	if (text.length)
		printf("%.*s\n", (int)text.length - answer, text.text + answer);
	fflush(stdout);
}

/* Makes the line of a request of the operands VERB [FIELD=VALUE]... */
static int make_message(struct control_message *message, const char *verb, char *const *fields,
			size_t count, struct error *error)
{
	struct control_message copy;
	struct control_line line;

	control_message_begin(message, verb);
	for (size_t i = 0; i < count; i++) {
		char *value = strchr(fields[i], '=');

		if (!value)
			return error_set_usage(
				error,
				"'%.80s' is not FIELD=VALUE; `avp help control` lists "
				"the fields of each verb",
				fields[i]);
		*value = 0;
		control_message_add(message, fields[i], value + 1);
		*value = '=';
	}
	if (message->too_long)
		return error_set_usage(error, "the request is longer than %d bytes",
				       CONTROL_LINE_SIZE);
	/* What the guest would not take as a line is a mistake in the call. */
	copy = *message;
	if (control_line_parse(&line, copy.text, copy.length, error) < 0) {
		error->usage = true;
		return -EINVAL;
	}
	return 0;
}

static int run_control(const struct command_call *call, struct error *error)
{
	const char *name = call->operands[0], *verb = call->operands[1];
	/* The name of a guest has no slash. */
	bool service = strchr(name, '/');
	struct control_message message;
	char peer[PATH_MAX + sizeof("service ''")];
	const struct control_request request = {
		.peer = peer,
		.interface = service ? SERVICE_INTERFACE : guest_interface.name,
		.version = service ? SERVICE_VERSION : guest_interface.version,
		.message = &message,
		.fd = -1,
		.follows = !strcmp(verb, "events"),
		.limit_ms = -1,
		.line = print_line,
	};
	int fd, result = make_message(&message, verb, call->operands + 2, call->operand_count - 2,
				      error);

	if (result < 0)
		return result;
	snprintf(peer, sizeof(peer), "%s '%s'", service ? "service" : "guest", name);
	fd = service ? service_link_connect(name, error) : guest_directory_connect(name, error);
	if (fd < 0)
		return fd;
	result = control_request_send(&request, fd, error);
	/* The other end finds that the call is wrong. */
	error->usage = result == -EINVAL || result == -ENOSYS;
	return result;
}

/* Filled from the interface before main(). */
#define VERBS_MAX 16
static struct option_row verb_rows[VERBS_MAX + 1];
static struct option_group keys[VERBS_MAX + 2];
static char key_titles[VERBS_MAX][80];

/* The names of guests that run, in the places of host/guest_directory.c; or the verbs. */
#define COMPLETION                                                                 \
	"\t\t\tif [[ $previous == control ]]; then\n"                              \
	"\t\t\t\tplaces=(\"${" GUEST_DIRECTORY_VARIABLE ":-/run/avp}\")\n"         \
	"\t\t\t\t[[ ${" GUEST_DIRECTORY_VARIABLE ":-} ]] ||\n"                     \
	"\t\t\t\t\tplaces+=(\"${XDG_RUNTIME_DIR:-/run}/avp\" \"/tmp/avp-$UID\")\n" \
	"\t\t\t\tfor place in \"${places[@]}\"; do\n"                              \
	"\t\t\t\t\tfor word in \"$place\"/guests/*; do\n"                          \
	"\t\t\t\t\t\t[[ ! -S $word/control ]] || words+=(\"${word##*/}\")\n"       \
	"\t\t\t\t\tdone\n"                                                         \
	"\t\t\t\tdone\n"                                                           \
	"\t\t\telse\n"                                                             \
	"\t\t\t\twords+=("
static char completion[sizeof(COMPLETION) + VERBS_MAX * (CONTROL_WORD_LENGTH + 1) + 20];

__attribute__((constructor)) static void list_verbs(void)
{
	size_t verbs = 0, groups = 0;

	strcpy(completion, COMPLETION);
	keys[groups++] = (struct option_group){.title = "Verbs", .rows = verb_rows};
	for (const struct control_verb *verb = guest_interface.verbs; verb->name; verb++) {
		strcat(strcat(completion, verb->name), " ");
		verb_rows[verbs++] = (struct option_row){.name = verb->name, .help = verb->help};
		if (!verb->fields)
			continue;
		snprintf(key_titles[groups], sizeof(key_titles[0]), "Fields of %s", verb->name);
		keys[groups] = (struct option_group){key_titles[groups], verb->fields, 0, false};
		groups++;
	}
	strcat(completion, ")\n\t\t\tfi\n");
}

const struct command command_control = {
	.name = "control",
	.summary = "ask a guest or a service that runs",
	.description =
		"Sends the request VERB to the guest NAME of this user, and prints what it "
		"answers: lines of fields, as docs/control.md describes. With `events` it prints "
		"the events of the guest until that ends. A NAME with a slash is the path of the "
		"socket of a service, whose verbs docs/services.md lists.",
	.keys = keys,
	.operands = "NAME VERB [FIELD=VALUE]...",
	.completion = completion,
	.operands_minimum = 2,
	.operands_maximum = 2 + CONTROL_FIELDS,
	.examples =
		(const struct command_note[]){
			{"avp control car state", "Prints what the guest car does."},
			{"avp control car pause", "Pauses its processors."},
			{"avp control car log-level level=debug", "Has it log more."},
			{NULL, NULL},
		},
	.run = run_control,
};

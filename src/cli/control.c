// SPDX-License-Identifier: BSD-3-Clause
/* `avp control`: asks a guest or a service that runs something over its control socket. */
#include "cli/avp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/control.h"
#include "guest/run/control.h"
#include "host/guest_directory.h"
#include "host/service_link.h"

/* A request, and what has come of it. */
struct request {
	struct event_loop loop;
	struct control_channel channel;
	struct control_message message;
	const char *guest; /* or the path of a service's socket */
	/* The interface to speak, and what to call the other end. */
	const char *interface, *kind;
	unsigned int version;
	bool follows; /* the answer, the events */
	bool greeted, done;
	int result;
	struct error *error;
};

static void finish(struct request *request, int result)
{
	request->done = true;
	request->result = result;
}

/* Prints the fields of a line, in the form of the interface, behind @first. */
static void print_line(const char *first, const struct control_line *line)
{
	struct control_message text;

	control_message_begin(&text, first);
	for (size_t i = 0; i < line->count; i++)
		control_message_add(&text, line->fields[i].name, line->fields[i].value);
	/* A line without a verb starts with a blank. */
	if (text.length)
		printf("%.*s\n", (int)text.length - !*first, text.text + !*first);
	fflush(stdout);
}

/* Sends the request to a guest that speaks this version of the interface. */
static void take_greeting(struct request *request, const struct control_line *line)
{
	const char *interface = control_line_get(line, "interface");
	uint64_t version;
	int result;

	request->greeted = true;
	if (!strcmp(line->verb, CONTROL_HELLO) && interface &&
	    !strcmp(interface, request->interface) &&
	    control_line_number(line, "version", &version) && version == request->version) {
		result = control_message_send(&request->message,
					      control_channel_socket(&request->channel), -1);
		if (result < 0)
			finish(request, error_set_errno(request->error, -result, "%s '%s'",
							request->kind, request->guest));
		return;
	}
	finish(request, error_set(request->error, EPROTO,
				  "%s '%s' does not speak version %u of the interface; use the "
				  "avp that runs it",
				  request->kind, request->guest, request->version));
}

static void take_error(struct request *request, const struct control_line *line)
{
	int result = control_line_error(line, request->error);

	error_prefix(request->error, "%s '%s'", request->kind, request->guest);
	/* The call was wrong. */
	request->error->usage = result == -EINVAL || result == -ENOSYS;
	finish(request, result);
}

static void handle_line(void *context, const struct control_line *line, int *fd)
{
	struct request *request = context;

	if (request->done)
		return;
	if (!strcmp(line->verb, CONTROL_ERROR)) {
		take_error(request, line);
	} else if (!request->greeted) {
		take_greeting(request, line);
	} else if (!strcmp(line->verb, CONTROL_OK)) {
		print_line("", line);
		if (!request->follows)
			finish(request, 0);
	} else {
		print_line(line->verb, line);
	}
}

static void handle_end(void *context, const struct error *error)
{
	struct request *request = context;

	control_channel_close(&request->channel);
	if (request->done)
		return;
	/* Events end with the guest. */
	if (!error && request->follows)
		finish(request, 0);
	else
		finish(request, error_set(request->error, EPIPE, "%s '%s': %s", request->kind,
					  request->guest,
					  error ? error->message : "it has closed the connection"));
}

/* Makes the line of a request of the operands VERB [FIELD=VALUE]... */
static int make_message(struct request *request, const char *verb, char *const *fields,
			size_t count)
{
	struct control_message copy;
	struct control_line line;
	struct error *error = request->error;

	control_message_begin(&request->message, verb);
	for (size_t i = 0; i < count; i++) {
		char *value = strchr(fields[i], '=');

		if (!value)
			return error_set_usage(
				error,
				"'%.80s' is not FIELD=VALUE; `avp help control` lists "
				"the fields of each verb",
				fields[i]);
		*value = 0;
		control_message_add(&request->message, fields[i], value + 1);
		*value = '=';
	}
	if (request->message.too_long)
		return error_set_usage(error, "the request is longer than %d bytes",
				       CONTROL_LINE_SIZE);
	/* What the guest would not take as a line is a mistake in the call. */
	copy = request->message;
	if (control_line_parse(&line, copy.text, copy.length, error) < 0) {
		error->usage = true;
		return -EINVAL;
	}
	return 0;
}

static int ask(struct request *request)
{
	struct error *error = request->error;
	int fd, result;

	/* The name of a guest has no slash. */
	if (strchr(request->guest, '/')) {
		request->kind = "service";
		request->interface = SERVICE_INTERFACE;
		request->version = SERVICE_VERSION;
		fd = service_link_connect(request->guest, error);
	} else {
		request->kind = "guest";
		request->interface = guest_interface.name;
		request->version = guest_interface.version;
		fd = guest_directory_connect(request->guest, error);
	}
	if (fd < 0)
		return fd;
	control_channel_init(&request->channel);
	request->channel.line = handle_line;
	request->channel.ended = handle_end;
	request->channel.context = request;
	result = control_channel_open(&request->channel, &request->loop, fd, error);
	if (result < 0)
		return result;
	while (result >= 0 && !request->done)
		result = event_loop_turn(&request->loop, -1);
	control_channel_close(&request->channel);
	return result < 0 ? result : request->result;
}

static int run_control(const struct command_call *call, struct error *error)
{
	struct request request = {
		.guest = call->operands[0],
		.follows = !strcmp(call->operands[1], "events"),
		.error = error,
	};
	int result = make_message(&request, call->operands[1], call->operands + 2,
				  call->operand_count - 2);

	if (result == 0)
		result = event_loop_init(&request.loop, 0, error);
	if (result < 0)
		return result;
	result = ask(&request);
	event_loop_close(&request.loop);
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

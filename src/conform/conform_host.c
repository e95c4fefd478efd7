// SPDX-License-Identifier: BSD-3-Clause
/* Calls avp or the adapter for each line of the guest that asks for an action of the host. */
#include "conform/conform_host.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/process.h"

#define PREFIX	    "avp-conform: host "
#define ACTIONS_MAX 1000 /* far more than the guest's tests ask for */
#define ACTION_MS   10000
#define NUMBER_MAX  20 /* digits */
#define NOT_KNOWN   2  /* exit status of an adapter that does not have the verb */

enum argument { ARGUMENT_NONE, ARGUMENT_LINK, ARGUMENT_BYTES };

static const struct {
	const char *verb;
	enum argument argument;
} verbs[] = {
	{"link", ARGUMENT_LINK},     {"resize", ARGUMENT_BYTES}, {"unplug", ARGUMENT_NONE},
	{"announce", ARGUMENT_NONE}, {"busoff", ARGUMENT_NONE},
};

static bool is_argument(enum argument kind, const char *text)
{
	size_t length = strlen(text);

	switch (kind) {
	case ARGUMENT_LINK:
		return !strcmp(text, "up") || !strcmp(text, "down");
	case ARGUMENT_BYTES:
		return length > 0 && length <= NUMBER_MAX && strspn(text, "0123456789") == length;
	default:
		return length == 0;
	}
}

bool conform_action_parse(struct conform_action *action, const char *line)
{
	char text[2 * CONFORM_HOST_WORD_LENGTH];
	size_t length;

	if (strncmp(line, PREFIX, strlen(PREFIX)))
		return false;
	line += strlen(PREFIX);
	length = strcspn(line, "\r\n");
	if (length >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)length, line);
	length = strcspn(text, " ");
	if (length >= sizeof(action->verb))
		return false;
	snprintf(action->verb, sizeof(action->verb), "%.*s", (int)length, text);
	if (text[length] == ' ')
		length++;
	if (strlen(text + length) >= sizeof(action->argument))
		return false;
	snprintf(action->argument, sizeof(action->argument), "%s", text + length);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(action->verb, verbs[i].verb))
			return is_argument(verbs[i].argument, action->argument);
	return false;
}

/* Returns what went wrong, or NULL. @how has room for a status. */
static const char *call(const char *program, const char *const *arguments,
			char how[PROCESS_STATUS_LENGTH], struct error *error)
{
	const struct process_spawn spawn = {.program = program,
					    .argv = arguments,
					    .stdin_fd = -1,
					    .stdout_fd = -1,
					    .stderr_fd = -1,
					    .own_group = true};
	struct process process = PROCESS_NONE;
	int status;

	if (process_spawn(&process, &spawn, error) < 0)
		return error->message;
	if (!process_wait(&process, ACTION_MS, &status)) {
		process_end(&process, 0);
		return "it did not end in time";
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_KNOWN)
		return "it does not have this verb";
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? NULL : process_describe(how, status);
}

void conform_host_act(struct conform_host *host, const char *line)
{
	const struct conform_own_action *own = host->own, *end = own + host->own_count;
	const char *wrong;
	struct conform_action action;
	char how[PROCESS_STATUS_LENGTH];
	struct error error;

	if (!conform_action_parse(&action, line))
		return;
	while (own < end && strcmp(own->verb, action.verb) != 0)
		own++;
	if (own == end && !host->program)
		return;
	if (host->actions++ >= ACTIONS_MAX)
		return;
	if (own < end) {
		wrong = call("/proc/self/exe", own->call, how, &error);
	} else {
		const char *const arguments[] = {host->program, action.verb,
						 action.argument[0] ? action.argument : NULL, NULL};

		wrong = call(host->program, arguments, how, &error);
	}
	if (wrong)
		log_warning("%s %s%s%s: %s", own < end ? "avp" : host->program, action.verb,
			    action.argument[0] ? " " : "", action.argument, wrong);
}

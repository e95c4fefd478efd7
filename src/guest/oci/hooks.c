// SPDX-License-Identifier: BSD-3-Clause
/* Runs hooks as child processes. */
#include "guest/oci/hooks.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/cleanup.h"
#include "base/process.h"

const char *const hook_points[] = {
	"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
	NULL,
};

static bool are_strings(const json_t *list)
{
	const json_t *item;
	size_t i;

	if (!list)
		return true;
	if (!json_is_array(list))
		return false;
	json_array_foreach(list, i, item)
		if (!json_is_string(item))
			return false;
	return true;
}

/* What is wrong with a hook; NULL: nothing. */
static const char *find_mistake(const json_t *hook)
{
	const char *path = json_string_value(json_object_get(hook, "path"));
	const json_t *timeout = json_object_get(hook, "timeout");

	if (!json_is_object(hook))
		return "is not an object";
	if (!path || *path != '/')
		return "has no absolute path";
	if (!are_strings(json_object_get(hook, "args")) ||
	    !are_strings(json_object_get(hook, "env")))
		return "has args or env that are not arrays of strings";
	if (timeout && (!json_is_integer(timeout) || json_integer_value(timeout) <= 0))
		return "has a timeout that is not a number of seconds above zero";
	return NULL;
}

int hooks_check(const json_t *hooks, const char *source, struct error *error)
{
	if (hooks && !json_is_object(hooks))
		return error_set_usage(error, "%s: hooks: is not an object", source);
	for (size_t point = 0; hook_points[point]; point++) {
		const json_t *list = json_object_get(hooks, hook_points[point]), *hook;
		size_t i;

		if (list && !json_is_array(list))
			return error_set_usage(error, "%s: hooks.%s: is not an array", source,
					       hook_points[point]);
		json_array_foreach(list, i, hook) {
			const char *mistake = find_mistake(hook);

			if (mistake)
				return error_set_usage(error, "%s: hooks.%s[%zu]: %s", source,
						       hook_points[point], i, mistake);
		}
	}
	return 0;
}

static void add_strings(struct arguments *arguments, const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		arguments_add(arguments, json_string_value(item));
	}
}

/* A file with the text, at its start; a pipe might be left unread. */
static int open_text(const char *text)
{
	cleanup_fd int fd = memfd_create("state", MFD_CLOEXEC);
	size_t length = strlen(text);

	if (fd < 0)
		return -errno;
	if (write(fd, text, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) < 0)
		return -EIO;
	return take_fd(&fd);
}

/* Waits for the hook within its time, and ends it, and what it has started, after that. */
static int wait_for(struct process *process, const json_t *hook, const char *path,
		    struct error *error)
{
	json_int_t seconds = json_integer_value(json_object_get(hook, "timeout"));
	int limit_ms = seconds ? seconds < INT_MAX / 1000 ? (int)seconds * 1000 : INT_MAX : -1;
	char text[PROCESS_STATUS_LENGTH];
	int status;

	if (!process_wait(process, limit_ms, &status)) {
		kill(-process->pid, SIGKILL);
		process_end(process, 0);
		return error_set(error, ETIMEDOUT, "%s: still ran after %d s, its timeout", path,
				 limit_ms / 1000);
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return error_set(error, EIO, "%s: ended with %s", path, process_describe(text, status));
}

static int run_hook(const json_t *hook, const char *state, struct error *error)
{
	const char *path = json_string_value(json_object_get(hook, "path"));
	cleanup_arguments struct arguments arguments = {0}, environment = {0};
	const char *const none[] = {NULL};
	struct process_settings settings = {.environment = none};
	cleanup_fd int input = open_text(state);
	struct process_spawn spawn = {
		.program = path,
		.stdin_fd = input,
		.stdout_fd = STDERR_FILENO,
		.stderr_fd = -1,
		.own_group = true,
		.settings = &settings,
	};
	struct process process;
	int result;

	if (input < 0)
		return error_set_errno(error, -input, "%s", path);
	/* The specification's args begin with the program's name; without them it is the path. */
	add_strings(&arguments, json_object_get(hook, "args"));
	if (!arguments.count)
		arguments_add(&arguments, path);
	add_strings(&environment, json_object_get(hook, "env"));
	spawn.argv = arguments_finish(&arguments, error);
	if (environment.count)
		settings.environment = arguments_finish(&environment, error);
	if (!spawn.argv || !settings.environment)
		return -ENOMEM;
	result = process_spawn(&process, &spawn, error);
	return result < 0 ? result : wait_for(&process, hook, path, error);
}

int hooks_run(const json_t *hooks, const char *point, const json_t *state, struct error *error)
{
	const json_t *list = json_object_get(hooks, point), *hook;
	cleanup_free char *text = json_dumps(state, JSON_COMPACT);
	int result = 0;
	size_t i;

	if (!json_array_size(list))
		return 0;
	if (!text)
		return error_set(error, ENOMEM, "out of memory");
	json_array_foreach(list, i, hook) {
		result = run_hook(hook, text, error);
		if (result < 0) {
			error_prefix(error, "hook %s", point);
			return result;
		}
	}
	return 0;
}

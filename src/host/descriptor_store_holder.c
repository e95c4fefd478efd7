// SPDX-License-Identifier: BSD-3-Clause
/* The process that holds a descriptor store. */
#include "host/descriptor_store.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/control_server.h"
#include "base/event_loop.h"
#include "base/socket_path.h"
#include "host/sandbox.h"

#define BACKLOG 4

struct holder {
	struct event_loop loop;
	struct control_server server;
	struct {
		char name[DESCRIPTOR_STORE_NAME_LENGTH + 1];
		int fd;
	} kept[DESCRIPTOR_STORE_MAXIMUM];
	size_t count;
	bool ended;
};

/* The fields of the verbs. */
struct store_fields {
	char *name;
};

static const struct option_row field_rows[] = {
	{
		.name = "name",
		.type = OPTION_STRING,
		.argument = "NAME",
		.offset = offsetof(struct store_fields, name),
		.minimum = 1,
		.maximum = DESCRIPTOR_STORE_NAME_LENGTH,
		.required = true,
		.help = "the name of a descriptor",
	},
	{.name = NULL},
};

/* The index of a name, or the count. */
static size_t find(const struct holder *holder, const char *name)
{
	size_t i = 0;

	while (i < holder->count && strcmp(holder->kept[i].name, name))
		i++;
	return i;
}

static int refuse_unknown(const char *name, struct error *error)
{
	return error_set(error, ENOENT, "there is no descriptor %s", name);
}

static int handle_put(void *context, const struct control_call *call, struct error *error)
{
	const struct store_fields *fields = call->values;
	struct holder *holder = context;
	size_t i = find(holder, fields->name);

	if (*call->fd < 0)
		return error_set(error, EBADF, "no descriptor came along");
	if (i == DESCRIPTOR_STORE_MAXIMUM)
		return error_set(error, ENOSPC, "there are %d descriptors already",
				 DESCRIPTOR_STORE_MAXIMUM);
	if (i == holder->count)
		holder->count++;
	else
		close_fd(&holder->kept[i].fd);
	snprintf(holder->kept[i].name, sizeof(holder->kept[i].name), "%s", fields->name);
	holder->kept[i].fd = take_fd(call->fd);
	return 0;
}

static int handle_get(void *context, const struct control_call *call, struct error *error)
{
	const struct store_fields *fields = call->values;
	struct holder *holder = context;
	size_t i = find(holder, fields->name);

	if (i == holder->count)
		return refuse_unknown(fields->name, error);
	*call->answer = holder->kept[i].fd;
	return 0;
}

static int handle_remove(void *context, const struct control_call *call, struct error *error)
{
	const struct store_fields *fields = call->values;
	struct holder *holder = context;
	size_t i = find(holder, fields->name);

	if (i == holder->count)
		return refuse_unknown(fields->name, error);
	close_fd(&holder->kept[i].fd);
	holder->kept[i] = holder->kept[--holder->count];
	return 0;
}

static int handle_end(void *context, const struct control_call *call, struct error *error)
{
	struct holder *holder = context;

	holder->ended = true;
	return 0;
}

static const struct control_verb verbs[] = {
	{"put", "keeps the descriptor that comes along", field_rows, sizeof(struct store_fields),
	 NULL, handle_put},
	{"get", "answers with a copy of a descriptor", field_rows, sizeof(struct store_fields),
	 NULL, handle_get},
	{"remove", "closes a descriptor", field_rows, sizeof(struct store_fields), NULL,
	 handle_remove},
	{"end", "closes all, and ends", NULL, 0, NULL, handle_end},
	{.name = NULL},
};

static const struct control_interface interface = {
	.name = "descriptor-store",
	.version = 1,
	.verbs = verbs,
};

/* Serves until the end, or until nobody has been there for @alone_ms. */
static int serve(struct holder *holder, int alone_ms, struct error *error)
{
	int64_t alone_since = clock_now_ms();
	bool had_clients = false;

	while (!holder->ended) {
		int64_t left = -1;
		int result;

		if (control_server_has_clients(&holder->server)) {
			had_clients = true;
			alone_since = -1;
		} else {
			if (alone_since < 0)
				alone_since = clock_now_ms();
			left = alone_since + alone_ms - clock_now_ms();
			if (left <= 0 || (had_clients && !holder->count))
				return 0;
		}
		result = event_loop_turn(&holder->loop, (int)left);
		if (result < 0)
			return error_set_errno(error, -result, "cannot wait for events");
	}
	return 0;
}

/*
 * Locks this process in, then leaves the terminal or the log of who started it, who waits for that.
 */
static int lock_in(const char *path, struct error *error)
{
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char directory[PATH_MAX];
	const char *removable[] = {NULL, NULL};
	const struct sandbox_rights rights = {
		.needs = SANDBOX_UNLINK | SANDBOX_CONTROL,
		.removable = removable,
	};

	snprintf(directory, sizeof(directory), "%s", path);
	removable[0] = dirname(directory);
	if (null < 0)
		return error_set_errno(error, errno, "/dev/null");
	if (sandbox_lock_in(&rights, error) < 0)
		return -error->code;
	if (dup3(null, STDOUT_FILENO, 0) < 0 || dup3(null, STDERR_FILENO, 0) < 0)
		return error_set_errno(error, errno, "/dev/null");
	return 0;
}

static void close_holder(struct holder *holder)
{
	control_server_close(&holder->server);
	while (holder->count > 0)
		close(holder->kept[--holder->count].fd);
	event_loop_close(&holder->loop);
}

int descriptor_store_hold(const char *path, int alone_ms, struct error *error)
{
	static struct holder holder = {.server.listener.fd = -1};
	__attribute__((cleanup(socket_path_remove))) struct socket_path made = {.path = NULL};
	int fd, result = event_loop_init(&holder.loop, 0, error);

	if (result < 0)
		return result;
	signal(SIGPIPE, SIG_IGN);
	holder.server.loop = &holder.loop;
	holder.server.interface = &interface;
	holder.server.context = &holder;
	fd = socket_path_listen(&made, path, BACKLOG, "--socket-path", error);
	result = fd < 0 ? fd : control_server_listen(&holder.server, fd, error);
	if (result == 0)
		result = lock_in(made.path, error);
	if (result == 0)
		result = serve(&holder, alone_ms, error);
	close_holder(&holder);
	return result;
}

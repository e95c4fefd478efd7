// SPDX-License-Identifier: BSD-3-Clause
/* Joins a service. */
#include "host/service_link.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/control.h"
#include "base/event_loop.h"
#include "base/socket_path.h"

struct join {
	struct event_loop loop;
	struct control_channel channel;
	const char *path, *client;
	int service_end; /* to be sent */
	int limit_ms;
	bool greeted, done;
	int result;
	struct error *error;
};

int service_link_connect(const char *path, struct error *error)
{
	/* Not blocking: a service that hangs with a full queue is reported. */
	int fd = socket_path_connect(path, SOCK_NONBLOCK);

	if (fd == -ENAMETOOLONG)
		return error_set_usage(error, "%s: the path of a socket has at most %d characters",
				       path, SOCKET_PATH_LENGTH);
	if (fd < 0)
		return error_set_errno(error, -fd, "%s: cannot connect to a service", path);
	return fd;
}

static void finish(struct join *join, int result)
{
	join->done = true;
	join->result = result;
}

/* Sends the request to a service that speaks this version of the interface. */
static void take_greeting(struct join *join, const struct control_line *line)
{
	const char *interface = control_line_get(line, "interface");
	struct control_message message;
	uint64_t version;
	int result;

	join->greeted = true;
	if (strcmp(line->verb, CONTROL_HELLO) || !interface ||
	    strcmp(interface, SERVICE_INTERFACE) != 0 ||
	    !control_line_number(line, "version", &version) || version != SERVICE_VERSION) {
		finish(join, error_set(join->error, EPROTO,
				       "%s: what listens there is not a service of this version",
				       join->path));
		return;
	}
	control_message_begin(&message, SERVICE_JOIN);
	control_message_add(&message, "client", join->client);
	result = control_message_send(&message, control_channel_socket(&join->channel),
				      join->service_end);
	if (result < 0)
		finish(join, error_set_errno(join->error, -result, "%s", join->path));
}

static void handle_line(void *context, const struct control_line *line, int *fd)
{
	struct join *join = context;

	if (join->done)
		return;
	if (!strcmp(line->verb, CONTROL_ERROR)) {
		finish(join, control_line_error(line, join->error));
		error_prefix(join->error, "%s", join->path);
	} else if (!join->greeted) {
		take_greeting(join, line);
	} else if (!strcmp(line->verb, CONTROL_OK)) {
		finish(join, 0);
	}
}

static void handle_end(void *context, const struct error *error)
{
	struct join *join = context;

	control_channel_close(&join->channel);
	if (!join->done)
		finish(join,
		       error_set(join->error, EPIPE, "%s: %s", join->path,
				 error ? error->message : "the service has closed the connection"));
}

/* Waits for the answer over @fd, which is owned. */
static int ask(struct join *join, int fd)
{
	int64_t deadline_ms = clock_now_ms() + join->limit_ms, left;
	int result;

	control_channel_init(&join->channel);
	join->channel.line = handle_line;
	join->channel.ended = handle_end;
	join->channel.context = join;
	result = control_channel_open(&join->channel, &join->loop, fd, join->error);
	while (result >= 0 && !join->done) {
		left = deadline_ms - clock_now_ms();
		if (left <= 0)
			finish(join, error_set(join->error, ETIMEDOUT,
					       "%s: the service does not answer", join->path));
		else
			result = event_loop_turn(&join->loop, (int)left);
	}
	control_channel_close(&join->channel);
	return result < 0 ? result : join->result;
}

int service_link_join(const char *path, const char *client, int limit_ms, struct error *error)
{
	struct join join = {.path = path, .client = client, .limit_ms = limit_ms, .error = error};
	int pair[2], fd, result;
	cleanup_fd int own = -1, other = -1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return error_set_errno(error, errno, "cannot make a channel");
	own = pair[0];
	other = pair[1];
	join.service_end = other;
	fd = service_link_connect(path, error);
	if (fd < 0)
		return fd;
	result = event_loop_init(&join.loop, 0, error);
	if (result < 0) {
		close(fd);
		return result;
	}
	result = ask(&join, fd);
	event_loop_close(&join.loop);
	return result < 0 ? result : take_fd(&own);
}

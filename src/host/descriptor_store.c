// SPDX-License-Identifier: BSD-3-Clause
/* The client's side of a descriptor store. */
#include "host/descriptor_store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/control.h"
#include "base/process.h"
#include "base/socket_path.h"

#define ANSWER_MS 1000
/* How long its process may take until it serves, on a busy host. */
#define START_MS 5000

struct descriptor_store {
	struct event_loop loop; /* only for the answers */
	struct control_channel channel;
	bool waiting;
	int received;	       /* came with the answer; -1: nothing */
	struct error answer;   /* its code is 0 after `ok` */
	struct process holder; /* that this process started; else PROCESS_NONE */
};

static void handle_line(void *context, const struct control_line *line, int *fd)
{
	struct descriptor_store *store = context;

	if (!store->waiting || !strcmp(line->verb, CONTROL_HELLO))
		return;
	store->waiting = false;
	store->received = take_fd(fd);
	if (!strcmp(line->verb, CONTROL_OK)) {
		store->answer.code = 0;
		return;
	}
	control_line_error(line, &store->answer);
	error_prefix(&store->answer, "descriptor store");
}

static void handle_end(void *context, const struct error *error)
{
	struct descriptor_store *store = context;

	control_channel_close(&store->channel);
	store->waiting = false;
	error_set(&store->answer, EPIPE, "descriptor store: %s",
		  error ? error->message : "it has ended");
}

/* Sends a request and waits. Returns 0 or a negative errno with *error set. */
static int request(struct descriptor_store *store, const char *verb, const char *name, int fd,
		   struct error *error)
{
	int64_t deadline = clock_now_ms() + ANSWER_MS, left;
	struct control_message message;
	int result;

	close_fd(&store->received);
	control_message_begin(&message, verb);
	if (name)
		control_message_add(&message, "name", name);
	result = control_message_send(&message, control_channel_socket(&store->channel), fd);
	if (result < 0)
		return error_set_errno(error, -result, "descriptor store");
	store->waiting = true;
	while (store->waiting && (left = deadline - clock_now_ms()) > 0)
		event_loop_turn(&store->loop, (int)left);
	if (store->waiting) {
		/* A late answer must not be taken for that of the next request. */
		control_channel_close(&store->channel);
		store->waiting = false;
		return error_set(error, ETIMEDOUT, "descriptor store: it does not answer");
	}
	if (store->answer.code && error)
		*error = store->answer;
	return -store->answer.code;
}

/*
 * Reads what the holder says before it serves. Returns how many bytes, or a negative errno;
 * -ETIMEDOUT: it neither says anything nor serves.
 */
static ssize_t read_output(int fd, char *text, size_t size)
{
	int64_t deadline = clock_now_ms() + START_MS, left;
	struct pollfd output = {.fd = fd, .events = POLLIN};

	while ((left = deadline - clock_now_ms()) > 0) {
		ssize_t length = poll(&output, 1, (int)left) > 0 ? read(fd, text, size) : -1;

		if (length >= 0)
			return length;
	}
	return -ETIMEDOUT;
}

/* Starts the holder, which has a socket when its output ends; what it says is why it has not. */
static int start_holder(struct process *process, const char *path, struct error *error)
{
	cleanup_free char *option = NULL;
	const char *argv[] = {"avp", "hold-descriptors", NULL, NULL};
	struct process_spawn spawn = {
		.program = "/proc/self/exe",
		.argv = argv,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.outlives = true,
	};
	char text[ERROR_MESSAGE_SIZE];
	ssize_t length;
	int ends[2], result;

	if (asprintf(&option, "--socket-path=%s", path) < 0)
		return error_set(error, ENOMEM, "out of memory");
	argv[2] = option;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	spawn.stdout_fd = spawn.stderr_fd = ends[1];
	result = process_spawn(process, &spawn, error);
	close(ends[1]);
	if (result < 0) {
		close(ends[0]);
		return result;
	}
	length = read_output(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	if (length == 0)
		return 0;
	process_end(process, length < 0 ? 0 : ANSWER_MS);
	if (length < 0)
		return error_set(error, ETIMEDOUT, "descriptor store: its process does not serve");
	text[length] = 0;
	text[strcspn(text, "\n")] = 0;
	return error_set(error, EIO, "descriptor store: %s", text);
}

int descriptor_store_open(struct descriptor_store **out, const char *path, struct error *error)
{
	struct process holder = PROCESS_NONE;
	struct descriptor_store *store;
	int fd = socket_path_connect(path, 0), result = 0;

	*out = NULL;
	if (fd == -ENOENT || fd == -ECONNREFUSED) {
		result = start_holder(&holder, path, error);
		if (result < 0)
			return result;
		fd = socket_path_connect(path, 0);
	}
	if (fd < 0)
		return error_set_errno(error, -fd, "descriptor store: %s", path);
	store = calloc(1, sizeof(*store));
	if (!store) {
		close(fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	store->holder = holder;
	store->received = -1;
	control_channel_init(&store->channel);
	store->channel.line = handle_line;
	store->channel.ended = handle_end;
	store->channel.context = store;
	result = event_loop_init(&store->loop, 0, error);
	if (result == 0)
		result = control_channel_open(&store->channel, &store->loop, fd, error);
	else
		close(fd);
	if (result < 0) {
		descriptor_store_close(store);
		return result;
	}
	*out = store;
	return 0;
}

int descriptor_store_put(struct descriptor_store *store, const char *name, int fd,
			 struct error *error)
{
	return request(store, "put", name, fd, error);
}

int descriptor_store_get(struct descriptor_store *store, const char *name, struct error *error)
{
	int result = request(store, "get", name, -1, error);

	if (result < 0)
		return result;
	if (store->received < 0)
		return error_set(error, EPROTO, "descriptor store: no descriptor came");
	return take_fd(&store->received);
}

int descriptor_store_remove(struct descriptor_store *store, const char *name, struct error *error)
{
	return request(store, "remove", name, -1, error);
}

void descriptor_store_end(struct descriptor_store *store)
{
	int status;

	if (store && request(store, "end", NULL, -1, NULL) == 0)
		process_wait(&store->holder, ANSWER_MS, &status);
	descriptor_store_close(store);
}

void descriptor_store_close(struct descriptor_store *store)
{
	if (!store)
		return;
	control_channel_close(&store->channel);
	close_fd(&store->received);
	event_loop_close(&store->loop);
	close_fd(&store->holder.pidfd);
	free(store);
}

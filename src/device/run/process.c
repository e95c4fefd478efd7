// SPDX-License-Identifier: BSD-3-Clause
/* The process around a device. */
#include "device/run/process.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/inherited_fd.h"
#include "base/log.h"
#include "base/signals.h"
#include "host/sandbox.h"
#include "host/supervised_process.h"
#include "vhost/server.h"

static void handle_signal(void *context, uint32_t events)
{
	struct device_process *process = context;
	struct signalfd_siginfo info;

	(void)events;
	if (read(process->signal_source.fd, &info, sizeof(info)) == sizeof(info))
		event_loop_stop(&process->loop, 0);
}

static int open_signals(struct device_process *process, struct error *error)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, 0};
	sigset_t before;
	int fd;

	/* When a peer hangs up, the call must fail and the process must go on. */
	signal(SIGPIPE, SIG_IGN);
	fd = signals_open(numbers, &before, error);
	if (fd < 0)
		return fd;
	process->signal_source = (struct event_source){fd, handle_signal, process};
	return event_loop_add(&process->loop, &process->signal_source, EPOLLIN, error);
}

/* The answer to device_process_reopen. */
static void take_answer(struct device_process *process, const struct control_line *line, int *fd)
{
	const char *why = control_line_get(line, "text");

	/* Nothing else is requested. */
	if (!process->asking)
		return;
	process->asking = false;
	if (!strcmp(line->verb, CONTROL_OK) && *fd >= 0)
		process->reopened(process->reopened_context, take_fd(fd), NULL);
	else
		process->reopened(process->reopened_context, -1,
				  why ? why : "the answer has no descriptor");
}

static void take_event(const struct control_line *line)
{
	const char *name = control_line_get(line, "name"), *level = control_line_get(line, "level");
	int found = level ? log_level_find(level, strlen(level)) : -1;

	if (name && !strcmp(name, SUPERVISED_LOG_LEVEL) && found >= 0)
		log_set_level((enum log_level)found);
}

/* The parent sends heartbeats, which are answered, events, and answers. */
static void handle_control(void *context, const struct control_line *line, int *fd)
{
	struct device_process *process = context;
	struct control_message reply;
	struct error error;

	if (!strcmp(line->verb, CONTROL_OK) || !strcmp(line->verb, CONTROL_ERROR)) {
		take_answer(process, line, fd);
		return;
	}
	if (!strcmp(line->verb, CONTROL_EVENT)) {
		take_event(line);
		return;
	}
	control_message_begin(&reply, CONTROL_OK);
	if (strcmp(line->verb, SUPERVISED_HEARTBEAT)) {
		error_set(&error, ENOSYS, "there is no verb %s", line->verb);
		control_message_begin_error(&reply, &error);
	}
	/* If the parent does not read the answers, drop them. */
	control_message_send(&reply, control_channel_socket(&process->control), -1);
}

bool device_process_on_reopened(struct device_process *process,
				void (*reopened)(void *context, int fd, const char *why),
				void *context)
{
	process->reopened = reopened;
	process->reopened_context = context;
	return control_channel_socket(&process->control) >= 0;
}

int device_process_reopen(struct device_process *process, const char *option, uint64_t index)
{
	struct control_message request;
	int result;

	if (process->asking)
		return -EBUSY;
	control_message_begin(&request, SUPERVISED_OPEN);
	control_message_add(&request, "option", option);
	control_message_add_number(&request, "index", index);
	result = control_message_send(&request, control_channel_socket(&process->control), -1);
	process->asking = result == 0;
	return result;
}

/* When the parent closes the socket, this process ends. */
static void handle_control_end(void *context, const struct error *error)
{
	struct device_process *process = context;

	if (error)
		log_error("--control-fd: %s", error->message);
	control_channel_close(&process->control);
	event_loop_stop(&process->loop, error ? 1 : 0);
}

static int open_control(struct device_process *process, struct error *error)
{
	int number = (int)process->options->control_fd;
	int fd = inherited_fd_take_socket(number, SOCK_STREAM, "--control-fd", error);

	if (fd < 0)
		return fd;
	process->control.line = handle_control;
	process->control.ended = handle_control_end;
	process->control.context = process;
	return control_channel_open(&process->control, &process->loop, fd, error);
}

static int inherit_socket(struct device_process *process, int number, struct error *error)
{
	int fd = inherited_fd_take_socket(number, SOCK_STREAM, "--fd", error);
	int domain = 0, accepting = 0;
	socklen_t length = sizeof(int);

	if (fd < 0)
		return fd;
	process->socket_fd = fd;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &length) < 0)
		return error_set_errno(error, errno, "--fd: descriptor %d", number);
	if (domain != AF_UNIX)
		return error_set_usage(error, "--fd: descriptor %d is not a Unix socket; give one",
				       number);
	process->listening = accepting;
	return 0;
}

static int open_socket(struct device_process *process, const struct option_list *given,
		       struct error *error)
{
	const struct serve_options *options = process->options;
	bool fd_given = option_list_has(given, "fd");

	if (fd_given && options->socket_path)
		return error_set_usage(error, "--fd: excludes --socket-path; give one of them");
	if (fd_given)
		return inherit_socket(process, (int)options->fd, error);
	if (options->socket_path) {
		/* One frontend is served, and one more may wait. */
		process->socket_fd = socket_path_listen(&process->bound[process->bound_count++],
							options->socket_path, 1, "--socket-path",
							error);
		process->listening = true;
		return process->socket_fd < 0 ? process->socket_fd : 0;
	}
	return error_set_usage(error, "neither --socket-path nor --fd is given; add one of them");
}

static int inherit_ready(struct device_process *process, struct error *error)
{
	int fd = inherited_fd_take((int)process->options->ready_fd);

	if (fd < 0)
		return error_set_usage(error,
				       "--ready-fd: descriptor %d: %s; give the number of one that "
				       "this process inherits",
				       (int)process->options->ready_fd, strerror(-fd));
	process->ready_fd = fd;
	return 0;
}

int device_process_open(struct device_process *process, const struct serve_options *options,
			const struct option_list *given, const char *name, struct error *error)
{
	int result = 0;

	*process = (struct device_process){
		.options = options,
		.loop.epoll_fd = -1,
		.signal_source.fd = -1,
		.socket_fd = -1,
		.ready_fd = -1,
	};
	control_channel_init(&process->control);
	log_set_component(name);
	if (option_list_has(given, "ready-fd"))
		result = inherit_ready(process, error);
	if (result == 0)
		result = event_loop_init(&process->loop, EVENT_LOOP_POLL_LIMIT_NS, error);
	if (result == 0)
		result = open_signals(process, error);
	if (result == 0 && option_list_has(given, "control-fd"))
		result = open_control(process, error);
	if (result == 0)
		result = open_socket(process, given, error);
	if (result < 0)
		device_process_close(process);
	return result;
}

int device_process_drop_rights(const struct device_process *process, struct error *error)
{
	/* Not as arrays: pages of the stack that were used once stay. */
	char *directories[DEVICE_PROCESS_SOCKETS];
	const char *removable[DEVICE_PROCESS_SOCKETS + 1] = {NULL};
	const struct sandbox_rights rights = {
		.needs = process->needs,
		.removable = removable,
	};
	size_t count = 0;
	int result = 0;

	if (process->options->sandbox == SERVE_SANDBOX_OFF)
		return 0;
	while (result == 0 && count < process->bound_count) {
		directories[count] = strdup(process->bound[count].path);
		if (!directories[count])
			result = error_set(error, ENOMEM, "no memory for the sandbox");
		else
			removable[count] = dirname(directories[count]);
		count++;
	}
	if (result == 0)
		result = sandbox_drop_rights(&rights, error);
	while (count > 0)
		free(directories[--count]);
	return result;
}

static int report_ready(struct device_process *process, struct error *error)
{
	ssize_t written;

	if (process->ready_fd < 0)
		return 0;
	written = write(process->ready_fd, "", 1);
	/* The requester is gone: ignore EPIPE. */
	if (written < 0 && errno != EPIPE)
		return error_set_errno(error, errno, "--ready-fd: cannot write to descriptor %d",
				       (int)process->options->ready_fd);
	close_fd(&process->ready_fd);
	return 0;
}

static void free_server(struct vhost_server **server)
{
	vhost_server_free(*server);
}

int device_process_serve(struct device_process *process, struct virtio_device *device,
			 struct error *error)
{
	__attribute__((cleanup(free_server))) struct vhost_server *server =
		vhost_server_new(&process->loop, device, error);
	int result;

	if (!server)
		return -error->code;
	if (process->listening)
		result = vhost_server_listen(server, take_fd(&process->socket_fd), error);
	else
		result = vhost_server_serve(server, take_fd(&process->socket_fd), error);
	if (result == 0)
		result = report_ready(process, error);
	if (process->bound_count > 0)
		process->needs |= SANDBOX_UNLINK;
	if (result == 0 && process->options->sandbox == SERVE_SANDBOX_ON)
		result = sandbox_filter_calls(process->needs, error);
	if (result < 0)
		return result;
	result = event_loop_run(&process->loop);
	if (result < 0)
		return error_set_errno(error, -result, "cannot wait for events");
	return result;
}

void device_process_close(struct device_process *process)
{
	if (!process->options)
		return;
	event_loop_remove(&process->loop, &process->signal_source);
	close_fd(&process->signal_source.fd);
	control_channel_close(&process->control);
	close_fd(&process->socket_fd);
	close_fd(&process->ready_fd);
	while (process->bound_count > 0)
		socket_path_remove(&process->bound[--process->bound_count]);
	event_loop_close(&process->loop);
	process->options = NULL;
}

// SPDX-License-Identifier: BSD-3-Clause
/* The process that connects to sockets PATH_PORT, and the requests to it. */
#include "device/vsock/connector.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/process.h"
#include "base/socket_path.h"
#include "base/socket_fd.h"
#include "host/sandbox.h"

/* The end of the socket in the process, after the standard descriptors. */
#define CHILD_FD (STDERR_FILENO + 1)

struct request {
	uint64_t tag;
	uint32_t port;
	uint32_t zero;
};

struct answer {
	uint64_t tag;
	int32_t code; /* 0: a descriptor comes with it; else an errno */
	uint32_t zero;
};

/* In the process */

/*
 * Ends the process by the plain system call: exit handlers belong to the parent. Not marked
 * _Noreturn: sanitizers would insert calls that are not allowed here.
 */
static void leave(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

static int connect_port(const char *path, uint32_t port)
{
	char name[SOCKET_PATH_LENGTH + 2];
	int length = snprintf(name, sizeof(name), "%s_%" PRIu32, path, port);

	/* Not blocking: a program with a full queue is not waited for. */
	return (size_t)length < sizeof(name) ? socket_path_connect(name, SOCK_NONBLOCK) :
					       -ENAMETOOLONG;
}

/* Answers a request. Returns false when the device process is gone. */
static bool answer_one(const char *path)
{
	struct request request;
	struct answer answer = {0};
	cleanup_fd int fd = -1;
	ssize_t length = recv(CHILD_FD, &request, sizeof(request), 0);

	if (length < 0 && errno == EINTR)
		return true;
	if (length != sizeof(request))
		return false;
	answer.tag = request.tag;
	fd = connect_port(path, request.port);
	if (fd < 0)
		answer.code = -fd;
	return socket_send_fd(CHILD_FD, &answer, sizeof(answer), fd < 0 ? -1 : fd, MSG_NOSIGNAL) ==
	       sizeof(answer);
}

static void run_child(const char *path, int socket_fd, pid_t parent)
{
	const struct sandbox_rights rights = {.needs = SANDBOX_BROKER};
	struct error error = {0};

	process_die_with_parent(parent);
	prctl(PR_SET_NAME, "avp-connector");
	if (dup2(socket_fd, CHILD_FD) < 0)
		leave(1);
	process_close_all_but(CHILD_FD);
	if (sandbox_lock_in(&rights, &error) < 0) {
		log_error("%s", error.message);
		leave(1);
	}
	/* From here on a guest may run. */
	if (write(CHILD_FD, "", 1) != 1)
		leave(0);
	while (answer_one(path))
		;
	leave(0);
}

/* In the device process */

static void close_source(struct connector *connector)
{
	if (connector->source.fd < 0)
		return;
	event_loop_remove(connector->loop, &connector->source);
	close_fd(&connector->source.fd);
}

static void handle_answer(void *context, uint32_t events)
{
	struct connector *connector = context;
	struct answer answer;
	cleanup_fd int fd = -1;
	ssize_t length =
		socket_receive_fd(connector->source.fd, &answer, sizeof(answer), &fd, MSG_DONTWAIT);

	if (length == -EAGAIN)
		return;
	if (length != sizeof(answer)) {
		log_error("the process that connects to the host's programs has ended: the guest "
			  "cannot reach them any more");
		close_source(connector);
		return;
	}
	connector->answered(connector->context, answer.tag,
			    fd >= 0 ? take_fd(&fd) : -(answer.code > 0 ? answer.code : EPROTO));
}

/* Waits until the process has entered its sandbox, or has logged why it cannot. */
static int wait_for_child(int fd, struct error *error)
{
	ssize_t length;
	char byte;

	do
		length = recv(fd, &byte, 1, 0);
	while (length < 0 && errno == EINTR);
	return length == 1 ? 0 :
			     error_set(error, EPERM,
				       "uds: the process that connects to the host's programs does "
				       "not start");
}

int connector_start(struct connector *connector, struct event_loop *loop, const char *path,
		    void (*answered)(void *context, uint64_t tag, int fd), void *context,
		    struct error *error)
{
	pid_t parent = getpid();
	int ends[2], code;

	*connector = CONNECTOR_NONE;
	connector->loop = loop;
	connector->answered = answered;
	connector->context = context;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "uds: cannot make a socket");
	connector->pid = fork();
	if (connector->pid == 0)
		run_child(path, ends[1], parent);
	code = errno;
	close(ends[1]);
	connector->source = (struct event_source){ends[0], handle_answer, connector};
	if (connector->pid < 0) {
		connector->pid = 0;
		close_fd(&connector->source.fd);
		return error_set_errno(error, code, "uds: cannot start a process");
	}
	if (wait_for_child(ends[0], error) < 0)
		return -error->code;
	return event_loop_add(loop, &connector->source, EPOLLIN, error);
}

int connector_ask(struct connector *connector, uint64_t tag, uint32_t port)
{
	const struct request request = {.tag = tag, .port = port};

	if (connector->source.fd < 0)
		return -ENOTCONN;
	return send(connector->source.fd, &request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL) ==
			       sizeof(request) ?
		       0 :
		       -EAGAIN;
}

void connector_stop(struct connector *connector)
{
	close_source(connector);
	/* It ends with the socket. In the sandbox this process cannot wait for it. */
	while (connector->pid && waitpid(connector->pid, NULL, 0) < 0 && errno == EINTR)
		;
	connector->pid = 0;
}

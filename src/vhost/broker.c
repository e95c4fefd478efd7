// SPDX-License-Identifier: BSD-3-Clause
/* Descriptors for a sandboxed monitor: both sides. */
#include "vhost/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/socket_fd.h"
#include "vhost/client.h"

/* How long an answer may take: the broker also supervises a guest. */
#define ANSWER_MS 10000
/* Between two attempts to reach a process that does not listen yet. */
#define INTERVAL_MS 5

enum request_kind { REQUEST_CONNECT, REQUEST_SCHEDULE };

struct request {
	uint32_t sequence;
	uint32_t kind;
	uint32_t number; /* the device, or the thread */
};

struct answer {
	uint32_t sequence;
	int32_t code; /* 0: a descriptor comes with it; else an errno */
	uint32_t usage;
	char message[sizeof(((struct error *)0)->message)];
};

/* The monitor's side */

/* Receives a packet. Returns whether it is an answer; *passed is its descriptor, or -1. */
static int receive(int fd, struct answer *answer, int *passed)
{
	ssize_t count = socket_receive_fd(fd, answer, sizeof(*answer), passed, MSG_DONTWAIT);

	if (count < 0)
		return count == -EAGAIN ? 0 : (int)count;
	if (count == 0)
		return -EPIPE;
	return count == sizeof(*answer) ? 1 : 0;
}

static int await(struct broker *broker, struct answer *answer)
{
	struct pollfd readable = {.fd = broker->fd, .events = POLLIN};
	int64_t deadline = clock_now_ms() + ANSWER_MS;

	for (;;) {
		int64_t left = deadline - clock_now_ms();
		cleanup_fd int passed = -1;
		int result;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&readable, 1, (int)left) < 0 && errno != EINTR)
			return -errno;
		result = receive(broker->fd, answer, &passed);
		if (result < 0)
			return result;
		/* Skip the late answer of a request that timed out. */
		if (result == 0 || answer->sequence != broker->sequence)
			continue;
		if (answer->code > 0)
			return -answer->code;
		return passed < 0 ? -EPROTO : take_fd(&passed);
	}
}

static int ask(struct broker *broker, enum request_kind kind, uint32_t number,
	       struct answer *answer)
{
	struct request request = {.kind = kind, .number = number};
	int result;

	answer->message[0] = 0;
	if (!broker || broker->fd < 0)
		return -ENOTCONN;
	pthread_mutex_lock(&broker->lock);
	request.sequence = ++broker->sequence;
	if (send(broker->fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		result = -errno;
	else
		result = await(broker, answer);
	pthread_mutex_unlock(&broker->lock);
	return result;
}

int broker_connect(struct broker *broker, uint32_t device, int wait_ms, struct error *error)
{
	int64_t deadline = clock_now_ms() + wait_ms;
	struct answer answer;
	int result;

	for (;;) {
		result = ask(broker, REQUEST_CONNECT, device, &answer);

		if (result >= 0)
			return result;
		answer.message[sizeof(answer.message) - 1] = 0;
		if ((result != -ENOENT && result != -ECONNREFUSED && result != -EAGAIN) ||
		    clock_now_ms() >= deadline)
			break;
		poll(NULL, 0, INTERVAL_MS);
	}
	if (!answer.message[0])
		return error_set_errno(error, -result, "cannot ask for a connection");
	if (answer.usage)
		return error_set_usage(error, "%s", answer.message);
	return error_set(error, -result, "%s", answer.message);
}

int broker_open_schedule(struct broker *broker, pid_t thread)
{
	struct answer answer;

	return ask(broker, REQUEST_SCHEDULE, (uint32_t)thread, &answer);
}

void broker_close(struct broker *broker)
{
	close_fd(&broker->fd);
}

/* The serving side */

int broker_make_pair(int ends[2], struct error *error)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set_errno(error, errno, "cannot make a pair of sockets");
	return 0;
}

static int open_schedule(const struct broker_service *service, uint32_t thread, struct error *error)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%u/schedstat", (int)service->monitor, thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? error_set_errno(error, errno, "%s", path) : fd;
}

static int connect_device(const struct broker_service *service, size_t device, struct error *error)
{
	int result = service->permit ? service->permit(service->context, device, error) : 0;

	return result < 0 ? result : vhost_client_connect(service->paths[device], 0, error);
}

static int open_request(const struct request *request, const struct broker_service *service,
			struct error *error)
{
	switch (request->kind) {
	case REQUEST_CONNECT:
		if (request->number < service->count)
			return connect_device(service, request->number, error);
		break;
	case REQUEST_SCHEDULE:
		return open_schedule(service, request->number, error);
	}
	return error_set(error, EINVAL, "there is no device %u", request->number);
}

int broker_answer(int fd, const struct broker_service *service)
{
	struct answer answer = {.code = 0};
	cleanup_fd int opened = -1;
	struct request request;
	struct error error = {0};
	ssize_t count;

	do {
		count = recv(fd, &request, sizeof(request), 0);
	} while (count < 0 && errno == EINTR);
	if (count <= 0)
		return 0;
	if (count != sizeof(request))
		return 1;
	answer.sequence = request.sequence;
	opened = open_request(&request, service, &error);
	if (opened < 0) {
		answer.code = error.code;
		answer.usage = error.usage;
		snprintf(answer.message, sizeof(answer.message), "%s", error.message);
	}
	/* Drop the answer if the monitor does not read. */
	socket_send_fd(fd, &answer, sizeof(answer), opened, MSG_NOSIGNAL | MSG_DONTWAIT);
	return 1;
}

// SPDX-License-Identifier: BSD-3-Clause
/* A program that is a client of a CAN bus. */
#include "service/can_bus/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/signals.h"
#include "host/service_link.h"

/* Messages of the bus before other work. */
#define BATCH 64

void can_session_end(struct can_session *session, int result)
{
	if (session->result == 0)
		session->result = result;
	event_loop_stop(&session->loop, 0);
}

/* What the bus tells */

static void handle_started(void *context)
{
	struct can_session *session = context;

	session->pending = 0;
	session->ops->started(session);
}

static void handle_stopped(void *context)
{
}

static void handle_bus_off(void *context)
{
	struct can_session *session = context;

	if (session->stays)
		can_bus_client_start(&session->client);
	else
		can_session_end(session,
				error_set(session->error, ENETDOWN,
					  "%s: too many errors: this client is off the bus",
					  session->path));
}

static void handle_sent(void *context, uint32_t tag, bool success)
{
	struct can_session *session = context;

	/* The service is not trusted: it may answer what nobody has sent. */
	if (session->pending == 0)
		return;
	session->pending--;
	if (success)
		session->sent++;
	else
		session->not_sent++;
	if (session->ops->sent)
		session->ops->sent(session, tag, success);
}

static void handle_received(void *context, const struct can_bus_received *message)
{
	struct can_session *session = context;

	if (session->ops->received)
		session->ops->received(session, message);
}

static const struct can_bus_client_ops client_ops = {
	.started = handle_started,
	.stopped = handle_stopped,
	.bus_off = handle_bus_off,
	.sent = handle_sent,
	.received = handle_received,
};

bool can_session_send(struct can_session *session, uint32_t tag, const struct can_bus_frame *frame)
{
	/* So few always have room in the channel, and the answers in the other ring. */
	if (session->pending == CAN_SESSION_PENDING_MAX ||
	    !can_bus_client_send(&session->client, tag, frame))
		return false;
	session->pending++;
	return true;
}

/* The channel */

static void lose(struct can_session *session, const char *why)
{
	session->not_sent += session->pending;
	session->pending = 0;
	if (!session->stays) {
		can_session_end(session, error_set(session->error, EPIPE, "%s: the bus is gone: %s",
						   session->path, why));
		return;
	}
	log_warning("%s: the bus is gone: %s", session->path, why);
	membership_end(&session->membership);
	can_bus_client_detach(&session->client);
	membership_ask_later(&session->membership);
}

static void handle_socket(void *context, uint32_t events)
{
	struct can_session *session = context;

	if (can_bus_client_woken(&session->client) < 0)
		lose(session, "it has closed the channel");
}

static bool poll_bus(void *context)
{
	struct can_session *session = context;
	bool unblocked;
	int result = can_bus_client_poll(&session->client, BATCH, &unblocked);

	if (result < 0) {
		lose(session, "it broke the rules of the channel");
		return true;
	}
	can_bus_client_flush(&session->client);
	return result > 0;
}

static bool prepare_sleep(void *context, int *timeout_ms)
{
	struct can_session *session = context;

	if (session->ops->idle)
		session->ops->idle(session);
	return can_bus_client_prepare_sleep(&session->client);
}

static int join(struct can_session *session, struct error *error)
{
	int fd = service_link_join(session->path, session->name, SERVICE_JOIN_MS, error);
	int result = fd < 0 ? fd : can_bus_client_attach(&session->client, fd, error);

	if (result < 0)
		return result;
	result = membership_begin(&session->membership, session->client.channel.socket, error);
	if (result < 0) {
		can_bus_client_detach(&session->client);
		return result;
	}
	can_bus_client_start(&session->client);
	return 0;
}

static int join_again(void *context)
{
	struct can_session *session = context;
	struct error error;
	int result = join(session, &error);

	if (result == 0)
		log_info("%s: the bus is there again", session->path);
	else
		log_debug("%s", error.message);
	return result;
}

static const struct membership_ops membership_ops = {handle_socket, poll_bus, prepare_sleep};

/* Life */

static void handle_signal(void *context, uint32_t events)
{
	can_session_end(context, 0);
}

static int open_signals(struct can_session *session, struct error *error)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, 0};
	sigset_t before;
	int fd = signals_open(numbers, &before, error);

	session->signals = (struct event_source){fd, handle_signal, session};
	return fd < 0 ? fd : event_loop_add(&session->loop, &session->signals, EPOLLIN, error);
}

int can_session_open(struct can_session *session, const struct can_session_ops *ops, void *context,
		     const char *path, const char *name, const char *what, struct error *error)
{
	int result;

	*session = (struct can_session){
		.ops = ops,
		.context = context,
		.path = path,
		.name = name ? name : session->own_name,
		.loop.epoll_fd = -1,
		.signals.fd = -1,
		.error = error,
	};
	snprintf(session->own_name, sizeof(session->own_name), "%.40s-%d", what, (int)getpid());
	can_bus_client_init(&session->client, &client_ops, session);
	result = event_loop_init(&session->loop, EVENT_LOOP_POLL_LIMIT_NS, error);
	if (result == 0)
		result = open_signals(session, error);
	if (result == 0)
		result = membership_open(&session->membership, &session->loop, &membership_ops,
					 session, CAN_SESSION_RETRY_MS, error);
	session->membership.ask = join_again;
	session->membership.ask_context = session;
	return result < 0 ? result : join(session, error);
}

int can_session_run(struct can_session *session)
{
	int result = event_loop_run(&session->loop);

	if (result < 0)
		return error_set_errno(session->error, -result, "cannot wait for events");
	return session->result;
}

void can_session_close(struct can_session *session)
{
	if (!session->ops)
		return;
	membership_close(&session->membership);
	if (can_bus_client_is_attached(&session->client))
		can_bus_client_detach(&session->client);
	event_loop_remove(&session->loop, &session->signals);
	close_fd(&session->signals.fd);
	event_loop_close(&session->loop);
	session->ops = NULL;
}

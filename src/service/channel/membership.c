// SPDX-License-Identifier: BSD-3-Clause
/* A client's membership of a service, which may be lost and begin again. */
#include "service/channel/membership.h"

#include <sys/epoll.h>

static void handle_retry(void *context)
{
	struct membership *membership = context;

	if (!membership_has_begun(membership) && !membership->pending)
		membership_ask(membership);
}

int membership_open(struct membership *membership, struct event_loop *loop,
		    const struct membership_ops *ops, void *context, int retry_ms,
		    struct error *error)
{
	*membership = (struct membership){
		.loop = loop,
		.socket = {-1, ops->handle_socket, context},
		.poller = {ops->poll, ops->prepare, context, NULL},
		.retry = TIMER_NONE,
		.retry_ms = retry_ms,
	};
	return timer_open(&membership->retry, loop, CLOCK_MONOTONIC, handle_retry, membership,
			  error);
}

int membership_begin(struct membership *membership, int socket, struct error *error)
{
	int result;

	membership->socket.fd = socket;
	result = event_loop_add(membership->loop, &membership->socket, EPOLLIN, error);
	if (result < 0) {
		membership->socket.fd = -1;
		return result;
	}
	membership->pending = false;
	event_loop_add_poller(membership->loop, &membership->poller);
	return 0;
}

void membership_end(struct membership *membership)
{
	if (!membership_has_begun(membership))
		return;
	event_loop_remove(membership->loop, &membership->socket);
	event_loop_remove_poller(membership->loop, &membership->poller);
	membership->socket.fd = -1;
}

void membership_ask(struct membership *membership)
{
	membership->pending = true;
	if (membership->ask(membership->ask_context) < 0)
		membership_ask_later(membership);
}

void membership_ask_later(struct membership *membership)
{
	membership->pending = false;
	if (membership->ask)
		timer_set_ms(&membership->retry, membership->retry_ms);
}

void membership_close(struct membership *membership)
{
	if (!membership->loop)
		return;
	membership_end(membership);
	timer_close(&membership->retry);
}

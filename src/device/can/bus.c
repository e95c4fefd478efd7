// SPDX-License-Identifier: BSD-3-Clause
/* The host side of a CAN controller. */
#include "device/can/bus.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "virtio/container_of.h"

/* Messages of the bus before other work. */
#define BATCH 64

_Static_assert(CAN_DATA_MAX == CAN_BUS_DATA_MAX, "the same frames");

static struct can_link *to_link(struct can_backend *backend)
{
	return container_of(backend, struct can_link, backend);
}

/* What the bus tells */

static void handle_started(void *context)
{
	struct can_link *link = context;

	can_device_started(link->backend.can, true);
}

static void handle_stopped(void *context)
{
	struct can_link *link = context;

	can_device_stopped(link->backend.can);
}

static void handle_bus_off(void *context)
{
	struct can_link *link = context;

	link->wanted = false;
	can_device_bus_off(link->backend.can);
}

static void handle_sent(void *context, uint32_t tag, bool success)
{
	struct can_link *link = context;

	can_device_sent(link->backend.can, tag, success);
}

static void handle_received(void *context, const struct can_bus_received *message)
{
	const struct can_bus_frame *from = &message->frame;
	struct can_link *link = context;
	struct can_frame frame = {
		.id = from->id,
		.extended = from->flags & CAN_BUS_EXTENDED,
		.rtr = from->flags & CAN_BUS_RTR,
		.fd = from->flags & CAN_BUS_FD,
		.length = from->length,
	};

	memcpy(frame.data, from->data, sizeof(frame.data));
	can_device_receive(link->backend.can, &frame);
}

static const struct can_bus_client_ops client_ops = {
	.started = handle_started,
	.stopped = handle_stopped,
	.bus_off = handle_bus_off,
	.sent = handle_sent,
	.received = handle_received,
};

/* What the device wants */

/* Whether a bus is there, or will be. */
static bool is_linked(const struct can_link *link)
{
	return can_bus_client_is_attached(&link->client);
}

static void start(struct can_backend *backend)
{
	struct can_link *link = to_link(backend);

	link->wanted = true;
	if (is_linked(link))
		can_bus_client_start(&link->client);
	else if (!link->membership.ask ||
		 (!link->membership.pending && backend->can->mode == CAN_STARTING)) {
		/* The driver hears that there is no bus, and tries again if it likes. */
		link->wanted = false;
		can_device_started(backend->can, false);
	}
}

static void stop(struct can_backend *backend)
{
	struct can_link *link = to_link(backend);

	link->wanted = false;
	if (is_linked(link))
		can_bus_client_stop(&link->client);
	else
		can_device_stopped(backend->can);
}

static bool send_frame(struct can_backend *backend, uint32_t tag, const struct can_frame *frame)
{
	struct can_bus_frame to = {
		.id = frame->id,
		.flags = (uint8_t)((frame->extended ? CAN_BUS_EXTENDED : 0) |
				   (frame->rtr ? CAN_BUS_RTR : 0) | (frame->fd ? CAN_BUS_FD : 0)),
		.length = frame->length,
	};

	memcpy(to.data, frame->data, frame->rtr ? 0 : frame->length);
	return can_bus_client_send(&to_link(backend)->client, tag, &to);
}

static void flush(struct can_backend *backend)
{
	can_bus_client_flush(&to_link(backend)->client);
}

static void leave(struct can_backend *backend)
{
	struct can_link *link = to_link(backend);

	link->wanted = false;
	can_bus_client_leave(&link->client);
}

static const struct can_backend_ops backend_ops = {
	.start = start,
	.stop = stop,
	.send = send_frame,
	.flush = flush,
	.reset = leave,
};

/* The channel */

static void lose(struct can_link *link, const char *why)
{
	membership_end(&link->membership);
	can_bus_client_detach(&link->client);
	log_warning("the bus is gone: %s", why);
	can_device_lost(link->backend.can);
	membership_ask_later(&link->membership);
	if (!link->membership.ask && link->wanted) {
		link->wanted = false;
		can_device_started(link->backend.can, false);
	}
}

static void handle_socket(void *context, uint32_t events)
{
	struct can_link *link = context;

	if (can_bus_client_woken(&link->client) < 0)
		lose(link, "it has closed the channel");
}

static bool poll_bus(void *context)
{
	struct can_link *link = context;
	bool unblocked;
	int result = can_bus_client_poll(&link->client, BATCH, &unblocked);

	if (result < 0) {
		lose(link, "it broke the rules of the channel");
		return true;
	}
	if (result > 0) {
		can_device_received(link->backend.can);
		can_device_resume(link->backend.can);
	}
	return result > 0;
}

static bool prepare_sleep(void *context, int *timeout_ms)
{
	struct can_link *link = context;

	return can_bus_client_prepare_sleep(&link->client);
}

static const struct membership_ops membership_ops = {handle_socket, poll_bus, prepare_sleep};

int can_link_attach(struct can_link *link, int socket, struct error *error)
{
	int result = can_bus_client_attach(&link->client, socket, error);

	if (result < 0)
		return result;
	result = membership_begin(&link->membership, link->client.channel.socket, error);
	if (result < 0) {
		can_bus_client_detach(&link->client);
		return result;
	}
	if (link->wanted)
		can_bus_client_start(&link->client);
	return 0;
}

void can_link_answer(struct can_link *link, int socket, const char *why)
{
	struct error error;

	if (socket >= 0 && can_link_attach(link, socket, &error) < 0)
		why = error.message;
	if (is_linked(link)) {
		log_debug("the bus is there");
		return;
	}
	log_warning("no bus: %s", why);
	/* A driver that has just asked for the bus hears that there is none. */
	if (link->wanted && link->backend.can && link->backend.can->mode == CAN_STARTING) {
		link->wanted = false;
		can_device_started(link->backend.can, false);
	}
	membership_ask_later(&link->membership);
}

int can_link_open(struct can_link *link, struct event_loop *loop, bool fd, struct error *error)
{
	*link = (struct can_link){
		.backend = {.ops = &backend_ops, .classic = true, .rtr = true, .fd = fd},
	};
	can_bus_client_init(&link->client, &client_ops, link);
	return membership_open(&link->membership, loop, &membership_ops, link, CAN_LINK_RETRY_MS,
			       error);
}

void can_link_set_asker(struct can_link *link, int (*asker)(void *context), void *context)
{
	link->membership.ask = asker;
	link->membership.ask_context = context;
	membership_ask(&link->membership);
}

void can_link_close(struct can_link *link)
{
	membership_close(&link->membership);
	if (is_linked(link))
		can_bus_client_detach(&link->client);
}

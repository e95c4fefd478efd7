// SPDX-License-Identifier: BSD-3-Clause
/* A client's end of a CAN bus. */
#include "service/can_bus/client.h"

#include <errno.h>
#include <unistd.h>

#include "service/can_bus/frame.h"

void can_bus_client_init(struct can_bus_client *client, const struct can_bus_client_ops *ops,
			 void *context)
{
	*client = (struct can_bus_client){
		.ops = ops,
		.context = context,
		.channel = CHANNEL_CLOSED,
	};
}

int can_bus_client_attach(struct can_bus_client *client, int socket, struct error *error)
{
	int result = channel_accept(&client->channel, socket, error);

	/* A service sends the offer before it answers. */
	if (result == -EAGAIN)
		error_set(error, EPROTO, "the service has not offered a channel");
	if (result == 0 && client->channel.shape.slot_size < CAN_BUS_SLOT_SIZE)
		result = error_set(error, EPROTO, "the service is not a CAN bus");
	else if (result == 0)
		return 0;
	else
		close(socket);
	channel_close(&client->channel);
	return result == -EAGAIN ? -EPROTO : result;
}

void can_bus_client_detach(struct can_bus_client *client)
{
	channel_close(&client->channel);
	client->participates = client->left = client->blocked = false;
	client->due = 0;
}

/* Sends START or STOP, if there is room. */
static void send_due(struct can_bus_client *client)
{
	const struct can_bus_participation message = {client->participation};

	if (!client->due)
		return;
	if (channel_send(&client->channel, client->due, &message, sizeof(message)) < 0) {
		client->blocked = true;
		return;
	}
	client->due = 0;
	channel_publish(&client->channel);
}

void can_bus_client_start(struct can_bus_client *client)
{
	/* A STOP that is still due is implied by the next START. */
	client->participation++;
	client->participates = client->left = false;
	client->due = CAN_BUS_START;
	send_due(client);
}

void can_bus_client_stop(struct can_bus_client *client)
{
	client->due = CAN_BUS_STOP;
	send_due(client);
}

void can_bus_client_leave(struct can_bus_client *client)
{
	client->participates = false;
	client->left = true;
	if (can_bus_client_is_attached(client))
		can_bus_client_stop(client);
}

bool can_bus_client_send(struct can_bus_client *client, uint32_t tag,
			 const struct can_bus_frame *frame)
{
	const struct can_bus_send message = {client->participation, tag, *frame};

	if (!client->participates || client->due)
		return false;
	if (channel_send(&client->channel, CAN_BUS_SEND, &message, sizeof(message)) < 0) {
		client->blocked = true;
		return false;
	}
	return true;
}

void can_bus_client_flush(struct can_bus_client *client)
{
	channel_publish(&client->channel);
}

/* A message of a participation, which was copied. */
static void take_own(struct can_bus_client *client, uint32_t kind)
{
	switch (kind) {
	case CAN_BUS_STARTED:
		client->participates = true;
		client->ops->started(client->context);
		break;
	case CAN_BUS_STOPPED:
		client->participates = false;
		client->ops->stopped(client->context);
		break;
	default:
		client->participates = false;
		client->ops->bus_off(client->context);
	}
}

/* Returns 0 or -EPROTO. */
static int take(struct can_bus_client *client, const struct channel_message *message)
{
	union {
		struct can_bus_participation participation;
		struct can_bus_sent sent;
		struct can_bus_received received;
	} copy;
	uint32_t size = message->kind == CAN_BUS_SENT	  ? sizeof(copy.sent) :
			message->kind == CAN_BUS_RECEIVED ? sizeof(copy.received) :
							    sizeof(copy.participation);

	if (message->kind < CAN_BUS_STARTED || message->kind > CAN_BUS_RECEIVED ||
	    message->length != size)
		return -EPROTO;
	channel_span_read(&message->span, 0, &copy, size);
	if (message->kind == CAN_BUS_RECEIVED) {
		if (!can_frame_exists(&copy.received.frame))
			return -EPROTO;
		/* Until then they are of an earlier participation. */
		if (client->participates)
			client->ops->received(client->context, &copy.received);
	} else if (client->left || copy.participation.number != client->participation) {
		return 0;
	} else if (message->kind == CAN_BUS_SENT) {
		client->ops->sent(client->context, copy.sent.tag, copy.sent.success != 0);
	} else {
		take_own(client, message->kind);
	}
	return 0;
}

int can_bus_client_poll(struct can_bus_client *client, unsigned int limit, bool *unblocked)
{
	struct channel_message message;
	struct channel_span span;
	bool worked = false;

	for (; limit > 0 && channel_receive(&client->channel, &message) > 0; limit--) {
		if (take(client, &message) < 0)
			return -EPROTO;
		channel_consume(&client->channel);
		worked = true;
	}
	channel_release(&client->channel);
	*unblocked = client->blocked &&
		     channel_reserve(&client->channel, channel_length_max(&client->channel.shape),
				     &span) == 0;
	if (*unblocked) {
		client->blocked = false;
		send_due(client);
	}
	return client->channel.broken ? -EPROTO : worked || *unblocked;
}

bool can_bus_client_prepare_sleep(struct can_bus_client *client)
{
	return channel_prepare_sleep(&client->channel,
				     CHANNEL_WANTS_MESSAGES |
					     (client->blocked ? CHANNEL_WANTS_ROOM : 0u));
}

int can_bus_client_woken(struct can_bus_client *client)
{
	return channel_woken(&client->channel);
}

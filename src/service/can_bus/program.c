// SPDX-License-Identifier: BSD-3-Clause
/* The program of the CAN bus: its clients' messages, and the bus as time passes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "service/can_bus/bus.h"
#include "service/can_bus/log.h"
#include "service/can_bus/options.h"
#include "service/can_bus/rights.h"
#include "service/run/service.h"

/* Frames that the bus carries before clients are served again. */
#define FRAMES_PER_TURN 64

struct can_bus_program {
	struct can_bus bus;
	struct can_log log;
	uint64_t started_ns;
};

/* A client: its node, and its participation. */
struct member {
	struct can_bus_node *node;
	struct can_bus_rights rights;
	uint32_t participation; /* while node->started */
};

/* Slots for all answers that may be due; no frame of another takes them. */
#define ANSWERS_MAX (CAN_BUS_PENDING_MAX + 4)

/* Half of a ring is free when a message is taken. */
_Static_assert(CAN_BUS_SLOTS / 2 > ANSWERS_MAX, "room for answers");

static struct can_bus_program *program_of(const struct service_client *client)
{
	return client->service->state;
}

static void tell(struct service_client *client, uint32_t kind, const void *message, uint32_t size)
{
	channel_send(&client->channel, kind, message, size);
}

static void tell_participation(struct service_client *client, uint32_t kind)
{
	const struct member *member = client->context;

	tell(client, kind, &(struct can_bus_participation){member->participation},
	     sizeof(struct can_bus_participation));
}

/* What the bus reports */

static void handle_sent(struct can_bus_node *node, uint32_t tag, bool success)
{
	struct service_client *client = node->context;
	const struct member *member = client->context;

	tell(client, CAN_BUS_SENT, &(struct can_bus_sent){member->participation, tag, success},
	     sizeof(struct can_bus_sent));
}

static bool handle_receive(struct can_bus_node *node, const struct can_bus_frame *frame,
			   uint64_t time_ns)
{
	struct service_client *client = node->context;
	struct channel_span span;

	/* This one, and the answers. */
	if (channel_reserve(&client->channel,
			    (ANSWERS_MAX + 1) * CAN_BUS_SLOT_SIZE -
				    (uint32_t)sizeof(struct channel_header),
			    &span) < 0)
		return false;
	tell(client, CAN_BUS_RECEIVED, &(struct can_bus_received){time_ns, *frame},
	     sizeof(struct can_bus_received));
	return true;
}

static void handle_bus_off(struct can_bus_node *node)
{
	struct service_client *client = node->context;

	log_info("client %s is off the bus", client->name);
	tell_participation(client, CAN_BUS_BUS_OFF);
}

static void handle_carried(void *context, const struct can_bus_frame *frame, uint64_t time_ns)
{
	struct can_bus_program *program = context;

	can_log_add(&program->log, frame, time_ns);
}

static const struct can_bus_ops bus_ops = {
	.sent = handle_sent,
	.receive = handle_receive,
	.bus_off = handle_bus_off,
	.carried = handle_carried,
};

/* Messages of clients */

static void start(struct service_client *client, const struct can_bus_participation *message)
{
	struct member *member = client->context;

	/* It gave the one before up without a STOP. */
	if (member->node->started)
		can_bus_stop(&program_of(client)->bus, member->node);
	member->participation = message->number;
	can_bus_start(member->node);
	tell_participation(client, CAN_BUS_STARTED);
}

static void stop(struct service_client *client, const struct can_bus_participation *message)
{
	struct member *member = client->context;

	if (member->node->started)
		can_bus_stop(&program_of(client)->bus, member->node);
	member->participation = message->number;
	tell_participation(client, CAN_BUS_STOPPED);
}

static void send_frame(struct service_client *client, struct can_bus_send *message)
{
	struct can_bus_frame *frame = &message->frame;
	size_t data = frame->flags & CAN_BUS_RTR ? 0 : frame->length;
	const struct member *member = client->context;

	if (member->participation != message->number)
		return;
	/* Others get nothing but the frame. */
	if (data < CAN_BUS_DATA_MAX)
		memset(frame->data + data, 0, CAN_BUS_DATA_MAX - data);
	memset(frame->zero, 0, sizeof(frame->zero));
	can_bus_send(&program_of(client)->bus, member->node, message->tag, frame, clock_now_ns());
}

static int take(struct service_client *client, const struct channel_message *message,
		struct error *error)
{
	union {
		struct can_bus_participation participation;
		struct can_bus_send send;
	} copy;
	uint32_t size = message->kind == CAN_BUS_SEND ? sizeof(copy.send) :
							sizeof(copy.participation);

	if (message->length != size)
		return error_set(error, EPROTO, "a message of kind %u has %u bytes", message->kind,
				 message->length);
	channel_span_read(&message->span, 0, &copy, size);
	switch (message->kind) {
	case CAN_BUS_START:
		start(client, &copy.participation);
		return 0;
	case CAN_BUS_STOP:
		stop(client, &copy.participation);
		return 0;
	case CAN_BUS_SEND:
		send_frame(client, &copy.send);
		return 0;
	default:
		return error_set(error, EPROTO, "there is no message of kind %u", message->kind);
	}
}

/* Life */

static int join(struct service_client *client, const void *options, struct error *error)
{
	struct member *member = calloc(1, sizeof(*member));

	if (!member)
		return error_set(error, ENOMEM, "out of memory");
	if (can_bus_rights_read(options, &member->rights, error) == 0) {
		member->node = can_bus_add(&program_of(client)->bus, &member->rights, client,
					   clock_now_ns());
		if (!member->node)
			error_set(error, ENOMEM, "no place on the bus");
	}
	if (!member->node) {
		free(member);
		return -error->code;
	}
	client->context = member;
	return 0;
}

static void leave(struct service_client *client)
{
	struct member *member = client->context;

	can_bus_remove(&program_of(client)->bus, member->node);
	free(member);
}

static uint64_t run(struct service *service, uint64_t now_ns)
{
	struct can_bus_program *program = service->state;
	uint64_t next_ns = can_bus_run(&program->bus, now_ns, FRAMES_PER_TURN);

	if (next_ns > now_ns)
		can_log_flush(&program->log);
	return next_ns;
}

static int open_bus(struct service *service, const void *options, struct error *error)
{
	const struct can_bus_options *bus = options;
	struct can_bus_program *program = service->state;
	const struct can_bus_settings settings = {
		.bit_rate = (uint32_t)bus->bit_rate,
		.data_bit_rate = (uint32_t)bus->data_bit_rate,
		.fd = !bus->classic,
	};

	can_bus_init(&program->bus, &settings, &bus_ops, program);
	program->started_ns = clock_now_ns();
	return can_log_open(&program->log, bus->log, bus->pcap, bus->name, bus->data_bit_rate != 0,
			    error);
}

static void close_bus(struct service *service)
{
	struct can_bus_program *program = service->state;

	/* It was opened last. */
	if (!program->started_ns)
		return;
	can_log_close(&program->log);
	can_bus_close(&program->bus);
}

static void describe_client(const struct service_client *client, struct control_message *message)
{
	static const char *const states[] = {
		[CAN_BUS_ACTIVE] = "active",
		[CAN_BUS_WARNING] = "warning",
		[CAN_BUS_PASSIVE] = "passive",
		[CAN_BUS_OFF] = "off",
	};
	const struct can_bus_node *node = ((const struct member *)client->context)->node;
	const struct can_bus_counts *counts = &node->counts;
	enum can_bus_state state = can_bus_state(node);

	control_message_add(message, "bus",
			    node->started || state == CAN_BUS_OFF ? states[state] : "stopped");
	control_message_add_number(message, "frames-sent", counts->sent);
	control_message_add_number(message, "not-sent", counts->not_sent);
	control_message_add_number(message, "refused", counts->refused);
	control_message_add_number(message, "frames-received", counts->received);
	control_message_add_number(message, "lost", counts->lost);
	control_message_add_number(message, "errors", counts->errors);
	control_message_add_number(message, "transmit-errors", node->transmit_errors);
	control_message_add_number(message, "receive-errors", node->receive_errors);
}

static void describe(const struct service *service, struct control_message *message)
{
	const struct can_bus_program *program = service->state;
	uint64_t now_ns = clock_now_ns();
	struct can_bus_load load = can_bus_load(&program->bus, now_ns);

	control_message_add_number(message, "frames", program->bus.frames);
	control_message_add_number(message, "busy-us", program->bus.busy_ns / 1000);
	control_message_add_number(message, "passed-us", (now_ns - program->started_ns) / 1000);
	control_message_add_number(message, "frames-per-second", load.frames);
	control_message_add_number(message, "load-permille", load.busy_permille);
	control_message_add_number(message, "log-lost",
				   program->log.text.lost + program->log.capture.file.lost);
}

static int handle_inject(void *context, const struct control_call *call, struct error *error)
{
	const struct can_bus_inject *inject = call->values;
	struct service_client *client = service_find_client(context, inject->client);

	if (!client)
		return error_set(error, ENOENT, "there is no client %s", inject->client);
	((const struct member *)client->context)->node->inject = (uint32_t)inject->errors;
	return 0;
}

/* Those of the verbs in type.c, in that order. */
static int (*const handlers[])(void *context, const struct control_call *call,
			       struct error *error) = {
	handle_inject,
};

extern const struct service_program service_program_can_bus;
const struct service_program service_program_can_bus = {
	.type = &service_type_can_bus,
	.shape = {CAN_BUS_SLOT_SIZE, CAN_BUS_SLOTS},
	.state_size = sizeof(struct can_bus_program),
	.open = open_bus,
	.close = close_bus,
	.join = join,
	.leave = leave,
	.take = take,
	.run = run,
	.describe_client = describe_client,
	.describe = describe,
	.handlers = handlers,
};

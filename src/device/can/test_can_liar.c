// SPDX-License-Identifier: BSD-3-Clause
/* The service of a CAN bus, with another answer to START. */
#include "device/can/test_can_liar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/can_bus/options.h"
#include "service/can_bus/protocol.h"
#include "service/run/service.h"
#include "unit/member_rig.h"

extern const struct service_program service_program_can_bus;

static struct can_liar *liar;

static void tell(struct service_client *client, uint32_t kind, const void *message, uint32_t size)
{
	channel_send(&client->channel, kind, message, size);
	channel_publish(&client->channel);
}

/* A word of the channel's memory (docs/channel.md). */
static uint32_t *word_at(struct service_client *client, size_t offset)
{
	return (uint32_t *)(client->channel.memory + offset);
}

static int lie(struct service_client *client, const struct channel_message *message,
	       struct error *error)
{
	static const uint8_t zeros[5000];
	struct can_bus_participation participation;
	const struct can_bus_received frame = {.frame.id = 0x800};
	size_t slot = 4096 + (size_t)CAN_BUS_SLOT_SIZE;

	if (message->kind != CAN_BUS_START)
		return 0;
	channel_span_read(&message->span, 0, &participation, sizeof(participation));
	tell(client, CAN_BUS_STARTED, &participation, sizeof(participation));
	switch (liar->lie) {
	case 0:
		tell(client, 9, &participation, sizeof(participation));
		break;
	case 1:
		tell(client, CAN_BUS_SENT, &participation, sizeof(participation));
		break;
	case 2:
		tell(client, CAN_BUS_RECEIVED, &frame, sizeof(frame));
		break;
	case 3:
		tell(client, CAN_BUS_RECEIVED, zeros, sizeof(zeros));
		break;
	case 4:
		*word_at(client, 0) += 100000;
		break;
	default:
		/* The header of a second message, whose content never comes. */
		*word_at(client, slot) = 1000;
		*word_at(client, 0) += 1;
	}
	/* The device may sleep. */
	(void)!send(client->channel.socket, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	return 0;
}

static int count_join(struct service_client *client, const void *options, struct error *error)
{
	liar->joins++;
	return service_program_can_bus.join(client, options, error);
}

struct can_liar *can_liar_start(const char *path, pid_t *pid)
{
	static const struct option_list given;
	static struct can_bus_options options;
	struct service_options serving = {.socket_path = (char *)path,
					  .sandbox = SERVICE_SANDBOX_OFF};
	struct service_program program = service_program_can_bus;
	struct service service;
	struct error error;
	int pipes[2];

	liar = mmap(NULL, sizeof(*liar), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(liar, MAP_FAILED);
	assert_int_equal(pipe(pipes), 0);
	program.take = lie;
	program.join = count_join;
	*pid = member_rig_fork();
	if (*pid == 0) {
		serving.ready_fd = (uint64_t)pipes[1];
		if (service_open(&service, &program, &options, &given, &serving, &error) < 0 ||
		    service_run(&service, &error) < 0)
			fprintf(stderr, "%s\n", error.message);
		_exit(1);
	}
	close(pipes[1]);
	member_rig_await_child(pipes[0]);
	return liar;
}

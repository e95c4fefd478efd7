// SPDX-License-Identifier: BSD-3-Clause
/* The program of a CAN controller. */
#include <inttypes.h>

#include "base/log.h"
#include "device/can/bus.h"
#include "device/can/can.h"
#include "device/can/options.h"
#include "device/run/program.h"
#include "host/sandbox.h"
#include "host/service_link.h"

struct can_program {
	struct device_process *process;
	struct can_device can;
	struct can_link link;
};

static int ask_for_bus(void *context)
{
	struct can_program *program = context;

	return device_process_reopen(program->process, "link", 0);
}

static void handle_reopened(void *context, int fd, const char *why)
{
	struct can_program *program = context;

	can_link_answer(&program->link, fd, why);
}

/* By hand it joins itself, and cannot join again once it is locked in. */
static int open_bus(struct device_process *process, void *const *options, void *state,
		    struct error *error)
{
	const struct can_options *can = options[0];
	struct can_program *program = state;
	int fd, result = can_link_open(&program->link, &process->loop, !can->classic, error);

	program->process = process;
	process->needs = SANDBOX_CHANNEL;
	if (result < 0 || device_process_on_reopened(process, handle_reopened, program))
		return result;
	fd = service_link_join(can->link, can->client ? can->client : "can", SERVICE_JOIN_MS,
			       error);
	if (fd < 0) {
		error_prefix(error, "link");
		return fd;
	}
	return can_link_attach(&program->link, fd, error);
}

static struct virtio_device *start(struct device_process *process, void *const *options,
				   void *state, struct error *error)
{
	struct can_program *program = state;

	can_device_init(&program->can, &program->link.backend);
	if (device_process_on_reopened(process, handle_reopened, program))
		can_link_set_asker(&program->link, ask_for_bus, program);
	return &program->can.device;
}

static void close_all(void *state)
{
	struct can_program *program = state;
	const struct can_counts *counts = &program->can.counts;

	log_debug("frames sent %" PRIu64 ", not sent %" PRIu64 ", refused %" PRIu64
		  "; received %" PRIu64 ", dropped %" PRIu64 ", filtered %" PRIu64,
		  counts->sent, counts->not_sent, counts->refused, counts->received,
		  counts->dropped, counts->filtered);
	can_link_close(&program->link);
}

const struct device_program device_program_can = {
	.type = &device_type_can,
	.state_size = sizeof(struct can_program),
	.open = open_bus,
	.start = start,
	.close = close_all,
};

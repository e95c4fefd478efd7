// SPDX-License-Identifier: BSD-3-Clause
/* Hostile rings and requests, and a bus that answers as the input says, against the CAN device. */
#include <string.h>

#include "device/can/can.h"
#include "fuzz/hostile_driver.h"

#define TAGS 8

struct bus {
	struct can_backend backend;
	uint32_t tags[TAGS]; /* of the last frames */
	unsigned int sent;
	bool takes;
};

static void start(struct can_backend *backend)
{
}

static bool send_frame(struct can_backend *backend, uint32_t tag, const struct can_frame *frame)
{
	struct bus *bus = (struct bus *)backend; /* its first member */

	PROMISE(backend->can->mode == CAN_STARTED);
	PROMISE(can_frame_is_valid(frame));
	if (!bus->takes)
		return false;
	bus->tags[bus->sent++ % TAGS] = tag;
	return true;
}

static const struct can_backend_ops ops = {start, start, send_frame, start, start};

static void happening(struct hostile_driver *driver, uint8_t what)
{
	struct bus *bus = driver->context;
	struct can_device *can = bus->backend.can;
	struct can_frame frame = {.id = what, .length = what % 65, .fd = what & 64};

	switch (what % 9) {
	case 0:
	case 1:
		can_device_started(can, what % 9);
		break;
	case 2:
		can_device_stopped(can);
		break;
	case 3:
		can_device_sent(can, bus->tags[what / 9 % TAGS], what & 1);
		can_device_resume(can);
		break;
	case 4:
		can_device_bus_off(can);
		break;
	case 5:
		can_device_lost(can);
		break;
	case 6:
		bus->takes = !bus->takes;
		can_device_resume(can);
		break;
	default:
		can_device_receive(can, &frame);
		can_device_received(can);
	}
	PROMISE(can->outstanding <= CAN_OUTSTANDING_MAX);
	PROMISE(can->backlog_count <= CAN_BACKLOG_MAX);
	PROMISE(!can->control || can->mode == CAN_STARTING || can->mode == CAN_STOPPING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bus bus = {
		.backend = {&ops, .classic = true, .fd = true, .rtr = true},
		.takes = true,
	};
	struct hostile_driver driver = {.happening = happening, .context = &bus};
	static struct can_device can;

	can_device_init(&can, &bus.backend);
	hostile_driver_run(&driver, &can.device, data, size);
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Well-formed requests of the four devices of the base profile (VIRTIO 1.4, 5.1 to 5.4).
 */
#include "devices/vehicle.h"

#include <linux/virtio_blk.h>

#include "pages.h"

#define NET_HEADER   12
#define FRAME_SIZE   60
#define ENTROPY_SIZE 64

static const uint32_t types[] = {VIRTIO_ID_BLOCK, VIRTIO_ID_RNG, VIRTIO_ID_NET, VIRTIO_ID_CONSOLE};

static bool is_type(uint32_t id)
{
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i] == id)
			return true;
	return false;
}

static void choose(struct device *device, struct vehicle *vehicle)
{
	*vehicle = (struct vehicle){
		.device = device,
		.queue_index = device->id == VIRTIO_ID_NET || device->id == VIRTIO_ID_CONSOLE,
		.area = pages_get(REQUEST_MAX * REQUEST_SIZE),
		.area_count = REQUEST_MAX,
	};
}

bool vehicle_get(unsigned int nth, enum transport transport, uint64_t features,
		 struct vehicle *vehicle)
{
	for (unsigned int i = 0; i < device_count; i++) {
		struct device *device = &devices[i];
		uint64_t offered;

		if (!is_type(device->id) || (transport && device->transport != transport))
			continue;
		offered = device_offered(device);
		/* A disk that can only be read has the rings of one that can be written. */
		if (device->id == VIRTIO_ID_BLOCK && (offered & FEATURE(VIRTIO_BLK_F_RO)))
			continue;
		if ((offered & features) != features || nth-- > 0)
			continue;
		choose(device, vehicle);
		return true;
	}
	return false;
}

bool vehicle_get_simple(uint64_t features, struct vehicle *vehicle)
{
	static const uint32_t simple[] = {VIRTIO_ID_RNG, VIRTIO_ID_NET, VIRTIO_ID_CONSOLE};

	for (unsigned int i = 0; i < 3; i++) {
		struct device *device = device_find(simple[i], TRANSPORT_ANY);

		if (!device || (device_offered(device) & features) != features)
			continue;
		choose(device, vehicle);
		return true;
	}
	return false;
}

struct queue *vehicle_set_up(struct vehicle *vehicle, uint64_t features, uint32_t size)
{
	device_open(vehicle->device, features);
	/* A receive queue that no buffer is in. */
	if (vehicle->queue_index == 1)
		device_queue(vehicle->device, 0, 16);
	return device_queue(vehicle->device, vehicle->queue_index, size);
}

struct queue *vehicle_open(struct vehicle *vehicle, uint64_t features, uint32_t size)
{
	struct queue *queue = vehicle_set_up(vehicle, features, size);

	device_run(vehicle->device);
	return queue;
}

static void build_block(struct request *request, unsigned int slot)
{
	struct virtio_blk_outhdr *header = (struct virtio_blk_outhdr *)request->memory;

	*header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN, .sector = slot % 8};
	request->memory[1023] = 0xee; /* the status */
	request->buffers[0] = buffer_of(header, sizeof(*header));
	request->buffers[1] = buffer_of(request->memory + 256, 512);
	request->buffers[2] = buffer_of(request->memory + 1023, 1);
	request->readable = 1;
	request->writable = 2;
}

static void build_net(struct request *request)
{
	/* A broadcast of an EtherType for local experiments, from an address of local use. */
	static const uint8_t head[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
				       0x41, 0x56, 0x50, 0,    1,    0x88, 0xb5};

	memset(request->memory, 0, NET_HEADER + FRAME_SIZE);
	memcpy(request->memory + NET_HEADER, head, sizeof(head));
	request->buffers[0] = buffer_of(request->memory, NET_HEADER + FRAME_SIZE);
	request->readable = 1;
	request->writable = 0;
}

void vehicle_build(struct vehicle *vehicle, unsigned int slot, struct request *request)
{
	request->memory = vehicle->area + (size_t)(slot % vehicle->area_count) * REQUEST_SIZE;
	switch (vehicle->device->id) {
	case VIRTIO_ID_BLOCK:
		build_block(request, slot);
		break;
	case VIRTIO_ID_NET:
		build_net(request);
		break;
	case VIRTIO_ID_CONSOLE:
		request->memory[0] = '\r';
		request->buffers[0] = buffer_of(request->memory, 1);
		request->readable = 1;
		request->writable = 0;
		break;
	default:
		memset(request->memory, 0, ENTROPY_SIZE + 16);
		request->buffers[0] = buffer_of(request->memory, ENTROPY_SIZE);
		request->readable = 0;
		request->writable = 1;
	}
}

const char *vehicle_verify(const struct vehicle *vehicle, const struct request *request,
			   uint32_t written)
{
	switch (vehicle->device->id) {
	case VIRTIO_ID_BLOCK:
		if (request->memory[1023] == 0xee)
			return "a read was used without a status";
		if (request->memory[1023] != VIRTIO_BLK_S_OK)
			return "a read of a sector failed";
		return written == 513 ? NULL : "the used length of a read is not data and status";
	case VIRTIO_ID_RNG:
		return written >= 1 && written <= ENTROPY_SIZE ? NULL :
								 "no random byte came, or too many";
	default:
		return written == 0 ? NULL : "a buffer that is only read has a used length";
	}
}

const char *vehicle_do(struct vehicle *vehicle, struct queue *queue)
{
	struct request request;
	uint32_t written = 0;

	vehicle_build(vehicle, 0, &request);
	if (!queue_do(queue, request.buffers, request.readable, request.writable, &written,
		      ANSWER_MS))
		return "it was not used";
	return vehicle_verify(vehicle, &request, written);
}

void vehicle_must_do(struct vehicle *vehicle, struct queue *queue, const char *when)
{
	const char *wrong = vehicle_do(vehicle, queue);

	check(!wrong, "%s: a request %s: %s (status 0x%x)", device_name(vehicle->device), when,
	      wrong, vehicle->device->ops->status(vehicle->device));
}

void vehicle_heal(struct vehicle *vehicle, const char *after)
{
	struct device *device = vehicle->device;
	uint64_t mark;
	struct queue *queue;

	check(device_reset(device), "%s: status 0x%x two seconds after a reset, after %s",
	      device_name(device), device->ops->status(device), after);
	mark = pages_mark();
	queue = vehicle_open(vehicle, VERSION_1, 16);
	vehicle_must_do(vehicle, queue, after);
	check(device_reset(device), "%s: no reset", device_name(device));
	pages_release(mark);
}

// SPDX-License-Identifier: BSD-3-Clause
/* Drives a device of any type through the functions that the type registers (devices/type.h). */
#include "devices/vehicle.h"

#include "pages.h"

bool device_has_config(struct device *device, uint32_t *size)
{
	const struct device_type *type = device->type;

	return device->ops->config(device, size) &&
	       (!type || type->config_size || type->config_size_with);
}

uint32_t device_config_size(const struct device *device)
{
	const struct device_type *type = device->type;

	if (!type)
		return 0;
	return device->negotiated & type->config_features ? type->config_size_with :
							    type->config_size;
}

bool device_config_commands(const struct device *device, uint32_t offset, uint32_t width)
{
	const struct device_type *type = device->type;

	return type && offset < type->command_end && offset + width > type->command_start;
}

void vehicle_build(struct vehicle *vehicle, unsigned int slot, struct request *request)
{
	request->memory = vehicle->area + (size_t)(slot % vehicle->area_count) * REQUEST_SIZE;
	vehicle->device->type->build(request, slot);
}

static void choose(struct device *device, struct vehicle *vehicle)
{
	struct request request;

	*vehicle = (struct vehicle){
		.device = device,
		.queue_index = device->type->queue,
		.area = pages_get(REQUEST_MAX * REQUEST_SIZE),
		.area_count = REQUEST_MAX,
	};
	vehicle_build(vehicle, 0, &request);
	vehicle->writes = request.writable > 0;
}

bool vehicle_get(unsigned int nth, enum transport transport, uint64_t features,
		 struct vehicle *vehicle)
{
	for (unsigned int i = 0; i < device_count; i++) {
		struct device *device = &devices[i];
		uint64_t offered;

		if (!device->type || (transport && device->transport != transport))
			continue;
		offered = device_offered(device);
		if (offered & device->type->unfit)
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
	struct device *best = NULL;

	for_each_type(type)
	{
		struct device *device = device_find(type->id, TRANSPORT_ANY);

		if (!type->simple || !device || (device_offered(device) & features) != features)
			continue;
		if (!best || type->simple < best->type->simple)
			best = device;
	}
	if (best)
		choose(best, vehicle);
	return best;
}

void vehicle_set_up_others(struct vehicle *vehicle)
{
	for (uint32_t index = 0; index < vehicle->queue_index; index++)
		device_queue(vehicle->device, index, 16);
}

struct queue *vehicle_set_up_queues(struct vehicle *vehicle, uint32_t size)
{
	vehicle_set_up_others(vehicle);
	return device_queue(vehicle->device, vehicle->queue_index, size);
}

struct queue *vehicle_set_up(struct vehicle *vehicle, uint64_t features, uint32_t size)
{
	device_open(vehicle->device, features);
	return vehicle_set_up_queues(vehicle, size);
}

struct queue *vehicle_open(struct vehicle *vehicle, uint64_t features, uint32_t size)
{
	struct queue *queue = vehicle_set_up(vehicle, features, size);

	device_run(vehicle->device);
	return queue;
}

const char *vehicle_verify(const struct vehicle *vehicle, const struct request *request,
			   uint32_t written)
{
	if (request->writable == 0)
		return written == 0 ? NULL : "a device-readable buffer has a used length";
	return vehicle->device->type->verify(request, written);
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
	check(device_reset(device), "%s: the reset does not complete", device_name(device));
	pages_release(mark);
}

// SPDX-License-Identifier: BSD-3-Clause
/* Drives a device of any type through the functions that the type registers (devices/type.h). */
#include "devices/dut.h"

#include "pages.h"

bool device_has_config(struct device *device, uint32_t *size)
{
	const struct device_type *type = device->type;

	return device->ops->config(device, size) &&
	       (!type || type->config_size || type->config_size_with);
}

uint64_t device_demands(struct device *device)
{
	return device->type && device->type->demands ? device->type->demands(device) : 0;
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

void dut_build(struct dut *dut, unsigned int slot, struct request *request)
{
	request->memory = dut->area + (size_t)(slot % dut->area_count) * REQUEST_SIZE;
	dut->device->type->build(request, slot);
}

static void choose(struct device *device, struct dut *dut)
{
	struct request request;

	*dut = (struct dut){
		.device = device,
		.queue_index = device->type->queue,
		.area = pages_get(REQUEST_MAX * REQUEST_SIZE),
		.area_count = REQUEST_MAX,
	};
	dut_build(dut, 0, &request);
	dut->writes = request.writable > 0;
}

bool dut_get(unsigned int nth, enum transport transport, uint64_t features, struct dut *dut)
{
	for (unsigned int i = 0; i < device_count; i++) {
		struct device *device = &devices[i];
		uint64_t offered;

		if (!device->type || (transport && device->transport != transport))
			continue;
		offered = device_offered(device);
		if (offered & device->type->excluded_features)
			continue;
		if ((offered & features) != features || nth-- > 0)
			continue;
		choose(device, dut);
		return true;
	}
	return false;
}

bool dut_get_simple(uint64_t features, struct dut *dut)
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
		choose(best, dut);
	return best;
}

void dut_set_up_others(struct dut *dut)
{
	for (uint32_t index = 0; index < dut->queue_index; index++)
		device_queue(dut->device, index, 16);
}

struct queue *dut_set_up_queues(struct dut *dut, uint32_t size)
{
	dut_set_up_others(dut);
	return device_queue(dut->device, dut->queue_index, size);
}

struct queue *dut_set_up(struct dut *dut, uint64_t features, uint32_t size)
{
	device_open(dut->device, features);
	return dut_set_up_queues(dut, size);
}

struct queue *dut_open(struct dut *dut, uint64_t features, uint32_t size)
{
	struct queue *queue = dut_set_up(dut, features, size);

	device_run(dut->device);
	return queue;
}

const char *dut_verify(const struct dut *dut, const struct request *request, uint32_t written)
{
	if (request->writable == 0)
		return written == 0 ? NULL : "a device-readable buffer has a used length";
	return dut->device->type->verify(request, written);
}

const char *dut_do(struct dut *dut, struct queue *queue)
{
	struct request request;
	uint32_t written = 0;

	dut_build(dut, 0, &request);
	if (!queue_do(queue, request.buffers, request.readable, request.writable, &written,
		      ANSWER_MS))
		return "it was not used";
	return dut_verify(dut, &request, written);
}

void dut_must_do(struct dut *dut, struct queue *queue, const char *when)
{
	const char *wrong = dut_do(dut, queue);

	check(!wrong, "%s: a request %s: %s (status 0x%x)", device_name(dut->device), when, wrong,
	      dut->device->ops->status(dut->device));
}

void dut_must_recover(struct dut *dut, const char *after)
{
	struct device *device = dut->device;
	uint64_t mark;
	struct queue *queue;

	check(device_reset(device), "%s: status 0x%x two seconds after a reset, after %s",
	      device_name(device), device->ops->status(device), after);
	mark = pages_mark();
	queue = dut_open(dut, VERSION_1, 16);
	dut_must_do(dut, queue, after);
	check(device_reset(device), "%s: the reset does not complete", device_name(device));
	pages_release(mark);
}

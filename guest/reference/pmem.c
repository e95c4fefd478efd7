// SPDX-License-Identifier: BSD-3-Clause
/*
 * Persistent memory (VIRTIO 1.4, 5.19), as a shared memory region: memory that QEMU's microvm has
 * where a PC has the memory of its display, and that its map does not list as usable.
 */
#include "reference.h"

#define REGION	    0xa0000u
#define REGION_SIZE 0x20000u
#define FLUSH	    0
#define F_REGION    0

static struct reference pmem;
static struct {
	uint64_t start, size;
} config;

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct virtio_request *request;

	(void)device;
	for_each_request(request, queue) {
		uint32_t type = UINT32_MAX, result;

		pmem.stopped |= reference_fault(FAULT_PMEM_STOPS) &&
				(request->readable.left < sizeof(type) ||
				 request->writable.left < sizeof(result));
		request_read(request, &type, sizeof(type));
		result = type != FLUSH || reference_fault(FAULT_PMEM_FAILS);
		request_write(request, &result, sizeof(result));
		virtqueue_push(queue, request);
	}
}

/* VIRTIO 1.4, 5.19.5: with the region, start and size are 0. */
static int features_chosen(struct virtio_device *device)
{
	bool region = virtio_has_feature(device, F_REGION);

	config.start = region ? 0 : REGION;
	config.size = region ? 0 : REGION_SIZE;
	return 0;
}

static const struct virtio_device_class pmem_class = {
	.name = "pmem",
	.id = VIRTIO_ID_PMEM,
	.features_chosen = features_chosen,
	.handle = handle,
};

static void look(void *argument)
{
	volatile uint32_t *first = (volatile uint32_t *)(uintptr_t)REGION;
	volatile uint32_t *last = first + REGION_SIZE / 4 - 1;
	bool *is_memory = argument;

	*first = 0x5245464d;
	*last = 0x4d464552;
	*is_memory = *first == 0x5245464d && *last == 0x4d464552;
	*first = *last = 0;
}

void reference_add_pmem(void)
{
	bool is_memory = false;
	struct fault fault;

	if (!ARCH_X86 || fault_catch(look, &is_memory, &fault) || !is_memory)
		return;
	config.start = REGION;
	config.size = REGION_SIZE;
	reference_init(&pmem, &pmem_class, FEATURE(F_REGION), &config, sizeof(config), 1,
		       RING_SMALL);
	pmem.region = REGION;
	pmem.region_size = REGION_SIZE;
	windows_add(&pmem);
}

// SPDX-License-Identifier: BSD-3-Clause
/* See ring_pair.h. */
#include "unit/ring_pair.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "virtio/container_of.h"

uint32_t test_random(uint64_t *state)
{
	/* splitmix64 */
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)(z >> 32);
}

static void count_notification(struct virtqueue *queue)
{
	struct ring_pair *pair = container_of(queue, struct ring_pair, device);

	pair->notifications++;
}

static const struct virtqueue_ops pair_ops = {.notify = count_notification};

static void *shared_pages(size_t size)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert(pages != MAP_FAILED);
	return pages;
}

void *ring_pair_at(struct ring_pair *pair, uint64_t address)
{
	uint64_t offset = address - PAIR_BASE;

	return offset < PAIR_HALF ? pair->halves[0] + offset : pair->halves[1] + offset - PAIR_HALF;
}

int ring_pair_start_device(struct ring_pair *pair)
{
	memset(&pair->device, 0, sizeof(pair->device));
	memset(pair->storage, 0, virtqueue_memory_size(pair->size));
	pair->device.memory = &pair->memory;
	pair->device.ops = &pair_ops;
	if (pair->record) {
		int ret = inflight_attach(&pair->inflight, pair->record, pair->size,
					  pair->features & PAIR_PACKED);

		if (ret < 0)
			return ret;
		pair->device.inflight = &pair->inflight;
	}
	return virtqueue_start(&pair->device, &pair->setup, pair->features, pair->storage);
}

void ring_pair_start(struct ring_pair *pair, uint16_t size, uint64_t features, bool track)
{
	struct driver_queue_layout layout;
	int ret;

	memset(pair, 0, sizeof(*pair));
	pair->size = size;
	pair->features = features;
	guest_memory_init(&pair->memory, NULL);
	for (int i = 0; i < 2; i++) {
		pair->halves[i] = shared_pages(PAIR_HALF);
		ret = guest_memory_add(&pair->memory,
				       guest_addr(PAIR_BASE + (uint64_t)i * PAIR_HALF), PAIR_HALF,
				       pair->halves[i]);
		assert(ret == 0);
	}
	pair->descriptors = calloc(size, sizeof(*pair->descriptors));
	pair->storage = mmap(NULL, virtqueue_memory_size(size), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert(pair->storage != MAP_FAILED);
	if (track)
		pair->record = shared_pages(inflight_region_size(size, features & PAIR_PACKED));
	driver_queue_layout(size, features & PAIR_PACKED, &layout);
	driver_queue_init(&pair->driver, 0, size, features, ring_pair_at(pair, PAIR_RINGS),
			  pair->descriptors);
	driver_queue_set_indirect(&pair->driver, ring_pair_at(pair, PAIR_INDIRECT),
				  guest_addr(PAIR_INDIRECT));
	pair->setup = (struct virtqueue_setup){
		.size = size,
		.descriptors = guest_addr(PAIR_RINGS + layout.descriptors),
		.driver = guest_addr(PAIR_RINGS + layout.driver),
		.device = guest_addr(PAIR_RINGS + layout.device),
	};
	if (features & PAIR_PACKED)
		pair->setup.available_index = pair->setup.used_index = 0x8000;
	ret = ring_pair_start_device(pair);
	assert(ret == 0);
}

void ring_pair_stop(struct ring_pair *pair)
{
	virtqueue_stop(&pair->device, NULL, NULL);
	munmap(pair->storage, virtqueue_memory_size(pair->size));
	if (pair->record)
		munmap(pair->record,
		       inflight_region_size(pair->size, pair->features & PAIR_PACKED));
	free(pair->descriptors);
	for (int i = 0; i < 2; i++)
		munmap(pair->halves[i], PAIR_HALF);
}

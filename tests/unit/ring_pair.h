// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device-side and a driver-side queue over the same guest memory, for tests. Guest memory is two
 * ranges that are adjacent in guest addresses but not in host memory, so that buffers cross the
 * border.
 */
#ifndef AVP_TESTS_UNIT_RING_PAIR_H
#define AVP_TESTS_UNIT_RING_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/device.h"
#include "virtio/driver_queue.h"
#include "virtio/inflight.h"
#include "virtio/virtqueue.h"

#define PAIR_BASE     UINT64_C(0x100000)
#define PAIR_HALF     0x40000u
#define PAIR_RINGS    (PAIR_BASE + PAIR_HALF - 0x20000) /* below the border: rings are contiguous */
#define PAIR_INDIRECT (PAIR_BASE + PAIR_HALF + 0x20000)

struct ring_pair {
	uint8_t *halves[2]; /* shared memory, survives fork */
	struct guest_memory memory;
	struct virtqueue device;
	struct driver_queue driver;
	struct driver_descriptor *descriptors;
	void *storage;
	uint16_t size;
	uint64_t features;
	struct virtqueue_setup setup;
	struct virtqueue_inflight inflight;
	void *record;
	unsigned int notifications;
};

/* Ring features by name, for readable tests. */
#define PAIR_PACKED	   (UINT64_C(1) << 34)
#define PAIR_EVENT_INDEX   (UINT64_C(1) << 29)
#define PAIR_INDIRECT_DESC (UINT64_C(1) << 28)
#define PAIR_IN_ORDER	   (UINT64_C(1) << 35)

void ring_pair_start(struct ring_pair *pair, uint16_t size, uint64_t features, bool track);
void ring_pair_stop(struct ring_pair *pair);
/* Starts the device side (again), like a restarted device process. */
int ring_pair_start_device(struct ring_pair *pair);
/* Host pointer of a guest address within one half. */
void *ring_pair_at(struct ring_pair *pair, uint64_t address);

/* A small reproducible random generator. */
uint32_t test_random(uint64_t *state);
static inline uint32_t test_random_below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)((uint64_t)test_random(state) * limit >> 32);
}

#endif

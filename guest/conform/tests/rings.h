// SPDX-License-Identifier: BSD-3-Clause
/* Shared by the files of chapter rings: the fields of rings, and attacks. */
#ifndef CONFORM_RINGS_H
#define CONFORM_RINGS_H

#include "bus/bus.h"
#include "devices/dut.h"
#include "pages.h"
#include "report.h"
#include "virtio/ring.h"

#define SPLIT 0 /* no feature bit: split rings */

static inline struct vring_desc *split_table_of(const struct queue *queue)
{
	return (struct vring_desc *)queue->addresses[0];
}

static inline volatile uint16_t *available_of(const struct queue *queue)
{
	return (volatile uint16_t *)queue->addresses[1]; /* flags, idx, ring, used_event */
}

static inline volatile uint16_t *used_of(const struct queue *queue)
{
	return (volatile uint16_t *)queue->addresses[2]; /* flags, idx */
}

static inline volatile struct vring_used_elem *used_ring_of(const struct queue *queue)
{
	return (volatile struct vring_used_elem *)(queue->addresses[2] + 4);
}

static inline struct vring_packed_desc *packed_ring_of(const struct queue *queue)
{
	return (struct vring_packed_desc *)queue->addresses[0];
}

/* The flag of the last descriptor of this device's requests. */
static inline uint16_t write_flag(const struct dut *dut)
{
	return dut->writes ? VRING_DESC_F_WRITE : 0;
}

/*
 * Attacks every device under test with these features: craft() writes variant number n into the
 * ring (false: no more variants), the driver kicks and waits a moment; then a reset must make the
 * device work again.
 */
typedef bool craft_function(struct dut *dut, struct queue *queue, unsigned int variant);
void attack_duts(uint64_t features, craft_function *craft, const char *what);

/* How many requests like this one fit in the queue: at most @count. */
static inline unsigned int fitting(const struct queue *queue, const struct request *request,
				   unsigned int count)
{
	unsigned int each = queue->features & INDIRECT ? 1 : request->readable + request->writable;

	return count * each <= queue->size ? count : queue->size / each;
}

/* Makes descriptor @head available in a split ring, bypassing the driver's state. */
void split_offer(struct queue *queue, uint16_t head);

#endif

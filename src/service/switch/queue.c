// SPDX-License-Identifier: BSD-3-Clause
/* The frames that wait for a port. */
#include "service/switch/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In front of each message; places are multiples of its size, so that it is in one piece. */
struct record {
	uint32_t length, sender;
};

#define RECORD ((uint32_t)sizeof(struct record))

_Static_assert(SWITCH_QUEUE_SIZE % sizeof(struct record) == 0, "records in one piece");

int switch_queue_open(struct switch_queue *queue)
{
	memset(queue, 0, sizeof(*queue));
	queue->memory = calloc(SWITCH_PRIORITIES, SWITCH_QUEUE_SIZE);
	return queue->memory ? 0 : -ENOMEM;
}

void switch_queue_close(struct switch_queue *queue)
{
	free(queue->memory);
	queue->memory = NULL;
}

static uint32_t size_of(uint32_t length)
{
	return RECORD + (length + RECORD - 1) / RECORD * RECORD;
}

static uint8_t *memory_of(const struct switch_queue *queue, const struct switch_fifo *fifo)
{
	return queue->memory + (size_t)(fifo - queue->fifos) * SWITCH_QUEUE_SIZE;
}

static struct channel_span span_at(uint8_t *memory, uint32_t place, uint32_t length)
{
	uint32_t at = (place + RECORD) % SWITCH_QUEUE_SIZE, first = SWITCH_QUEUE_SIZE - at;

	first = first < length ? first : length;
	return (struct channel_span){{memory + at, memory}, {first, length - first}};
}

bool switch_queue_add(struct switch_queue *queue, uint8_t priority, uint8_t sender, uint32_t length,
		      struct channel_span *span)
{
	struct switch_fifo *fifo = &queue->fifos[priority];
	const struct record record = {length, sender};
	uint32_t size = size_of(length);

	if (fifo->held[sender] + size > SWITCH_QUEUE_SIZE - fifo->used)
		return false;
	memcpy(memory_of(queue, fifo) + fifo->head, &record, sizeof(record));
	*span = span_at(memory_of(queue, fifo), fifo->head, length);
	fifo->head = (fifo->head + size) % SWITCH_QUEUE_SIZE;
	fifo->used += size;
	fifo->held[sender] += size;
	queue->bytes += size;
	return true;
}

static const struct switch_fifo *first_fifo(const struct switch_queue *queue)
{
	for (int priority = SWITCH_PRIORITIES - 1; queue->bytes && priority >= 0; priority--)
		if (queue->fifos[priority].used)
			return &queue->fifos[priority];
	return NULL;
}

bool switch_queue_first(const struct switch_queue *queue, uint32_t *length,
			struct channel_span *span)
{
	const struct switch_fifo *fifo = first_fifo(queue);
	struct record record;

	if (!fifo)
		return false;
	memcpy(&record, memory_of(queue, fifo) + fifo->tail, sizeof(record));
	*length = record.length;
	*span = span_at(memory_of(queue, fifo), fifo->tail, record.length);
	return true;
}

void switch_queue_remove(struct switch_queue *queue)
{
	const struct switch_fifo *first = first_fifo(queue);
	struct switch_fifo *fifo = &queue->fifos[first - queue->fifos];
	struct record record;
	uint32_t size;

	memcpy(&record, memory_of(queue, fifo) + fifo->tail, sizeof(record));
	size = size_of(record.length);
	fifo->tail = (fifo->tail + size) % SWITCH_QUEUE_SIZE;
	fifo->used -= size;
	fifo->held[record.sender] -= size;
	queue->bytes -= size;
	/* Begin at the start: the pages that were used are used again. */
	if (!fifo->used)
		fifo->head = fifo->tail = 0;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The frames that wait for a port: a queue for each priority (IEEE 802.1Q, 8.6.6), the highest
 * first. Of the room in a queue, each sender may hold as much as is free, so that one that sends
 * more than the port takes leaves room for the others.
 */
#ifndef AVP_SERVICE_SWITCH_QUEUE_H
#define AVP_SERVICE_SWITCH_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "service/channel/channel.h"

#define SWITCH_PRIORITIES 8
/* Of each priority, in bytes; the pages that are never used cost nothing. */
#define SWITCH_QUEUE_SIZE (256u << 10)
/* Clients, and an uplink. */
#define SWITCH_PORTS_MAX 65

struct switch_fifo {
	uint32_t head, tail;		 /* places in the memory */
	uint32_t used;			 /* bytes */
	uint32_t held[SWITCH_PORTS_MAX]; /* of them, by sender */
};

struct switch_queue {
	uint8_t *memory; /* SWITCH_PRIORITIES * SWITCH_QUEUE_SIZE bytes */
	uint32_t bytes;	 /* in all, with what is used for each message */
	struct switch_fifo fifos[SWITCH_PRIORITIES];
};

/* Returns 0 or -ENOMEM. */
int switch_queue_open(struct switch_queue *queue);
void switch_queue_close(struct switch_queue *queue);

/* Adds a message, to be written to *span. False: there is no room for this sender. */
bool switch_queue_add(struct switch_queue *queue, uint8_t priority, uint8_t sender, uint32_t length,
		      struct channel_span *span);
/* The next message, which stays until it is removed. False: there is none. */
bool switch_queue_first(const struct switch_queue *queue, uint32_t *length,
			struct channel_span *span);
void switch_queue_remove(struct switch_queue *queue);

static inline bool switch_queue_is_empty(const struct switch_queue *queue)
{
	return queue->bytes == 0;
}

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The block device (VIRTIO 1.4, 5.2): a disk. It checks the driver's requests and hands them to a
 * backend, which may complete them at once or later, in any order.
 *
 * All requests are idempotent, so those that were in flight when a device process died are simply
 * done again.
 */
#ifndef AVP_DEVICE_BLOCK_BLOCK_H
#define AVP_DEVICE_BLOCK_BLOCK_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/device.h"

/* The unit of sector numbers, whatever the block size (VIRTIO 1.4, 5.2.4). */
#define BLOCK_SECTOR 512

/* Ranges in one discard or write zeroes request. */
#define BLOCK_RANGES_MAX 16

/* Sectors in one range of these: 2 GiB. */
#define BLOCK_RANGE_SECTORS_MAX (1u << 22)

/* Segments in one read or write, where the queue allows that many. */
#define BLOCK_SEGMENTS_MAX 126

#define BLOCK_ALL_QUEUES   UINT16_MAX

enum block_action { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_ZERO };

struct block_operation;

/* An operation for a backend. */
struct block_operation {
	enum block_action action;
	uint16_t queue; /* the queue that it came from */
	/* Write, zero: be on stable storage before completion. */
	bool durable;
	/* Zero: the storage may be freed. */
	bool may_unmap;
	uint64_t offset; /* bytes */
	uint64_t length; /* bytes */
	/*
	 * Read, write: the guest's buffers, of length bytes, up to 4 GiB. The backend may consume
	 * it.
	 */
	struct virtio_stream data;
	/*
	 * Called once, by the device's thread, inside submit or later, with 0 or a negative
	 * errno. The operation belongs to the backend from submit until this call.
	 */
	void (*complete)(struct block_operation *operation, int result);
	/* For the backend. */
	struct block_operation *next;
	struct virtio_segment piece;
	uint8_t step, retries;
	int result;
};

struct block_backend;

struct block_backend_ops {
	/* Takes an operation, which has been checked against capacity. Never fails. */
	void (*submit)(struct block_backend *backend, struct block_operation *operation);
	/* After a batch of submit: sends operations that were held back to save system calls. */
	void (*commit)(struct block_backend *backend);
	/*
	 * Returns when every operation of @queue, or of all with BLOCK_ALL_QUEUES, is complete:
	 * operations that wait for room on the host are tried once more, and then fail.
	 */
	void (*drain)(struct block_backend *backend, uint16_t queue);
};

struct block_backend {
	const struct block_backend_ops *ops;
	/*
	 * Set by the device: call it after one or more completions outside submit, so that the
	 * driver is notified once for all of them.
	 */
	void (*completed)(void *context);
	void *context;
};

/* The properties of a disk. */
struct block_settings {
	uint64_t capacity;	      /* bytes, a multiple of BLOCK_SECTOR */
	uint32_t logical_block_size;  /* bytes, a power of two from 512 */
	uint32_t physical_block_size; /* bytes, a power of two from logical_block_size */
	uint32_t discard_granularity; /* bytes; 0: the backend cannot discard */
	bool readonly;
	bool write_through; /* every write is durable, and the driver cannot change that */
	char serial[VIRTIO_BLK_ID_BYTES]; /* padded with NUL bytes */
	uint16_t queue_count;		  /* 1 or more */
	uint16_t queue_size_max;
};

/* A request in progress. */
struct block_request {
	struct block_operation operation;
	struct block_device *block;
	struct virtio_request *request;
	uint8_t *status; /* in guest memory */
	uint8_t range_count, range_next;
	bool submitting, completed; /* distinguish completion inside submit from a later one */
	struct virtio_blk_discard_write_zeroes ranges[BLOCK_RANGES_MAX];
};

struct block_device {
	struct virtio_device device;
	struct block_backend *backend;
	struct block_settings settings;
	struct virtio_blk_config config; /* as the driver sees it */
	struct block_request *requests;	 /* queue_size_max for each queue */
};

/* How many struct block_request a device needs. */
static inline size_t block_request_count(const struct block_settings *settings)
{
	return (size_t)settings->queue_count * settings->queue_size_max;
}

/*
 * Makes *block a disk on @backend. @queues (settings->queue_count of them) and @requests
 * (block_request_count) are zeroed; the caller keeps them. Most of @requests stays untouched while
 * few requests are in flight.
 */
void block_device_init(struct block_device *block, const struct block_settings *settings,
		       struct block_backend *backend, struct virtqueue *queues,
		       struct block_request *requests);

#endif

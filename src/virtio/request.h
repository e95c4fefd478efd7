// SPDX-License-Identifier: BSD-3-Clause
/*
 * A request: what one descriptor chain carries, as a stream of bytes that the device may read
 * followed by a stream that it may write. A device must not depend on how the driver split the
 * streams into descriptors (VIRTIO 1.4, 2.7.4 and 2.8.7: message framing), so devices get bytes, or
 * segments to hand to the host, and never descriptors.
 */
#ifndef AVP_VIRTIO_REQUEST_H
#define AVP_VIRTIO_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct virtqueue;

/* A piece of guest memory, translated and checked; laid out as struct iovec. */
struct virtio_segment {
	void *base;
	size_t length;
};

/* What is left of one direction of a request. */
struct virtio_stream {
	struct virtio_segment *segments; /* the first one with bytes left, cut to what is left */
	uint32_t count;
	uint64_t left; /* bytes */
};

/*
 * Taken with virtqueue_pop and given back with virtqueue_push; belongs to the queue, which has a
 * fixed number of them. Device data per request: give each queue an array of queue size and use
 * request->index.
 */
struct virtio_request {
	struct virtqueue *queue;
	struct virtio_stream readable; /* from the driver */
	struct virtio_stream writable; /* to the driver */
	uint32_t written;	       /* bytes put into the writable part: the used length */
	uint16_t index; /* of this object: 0 to queue size - 1, unique among requests in flight */
	/* The rest is the queue's own. */
	uint16_t id;	 /* head descriptor (split), buffer id (packed) */
	uint16_t slots;	 /* descriptors taken from a packed ring */
	uint16_t record; /* entry in the record of requests in flight (packed) */
	uint16_t segment_count;
	uint16_t logged;	     /* writable segments as they were taken, kept for the log */
	bool last_byte_taken;	     /* the device writes it; not part of written */
	bool replayed;		     /* a device process that died had taken it before */
	bool done;		     /* pushed, and waiting for its turn in the order of the ring */
	struct virtio_request *next; /* in the free list, or the next younger one in flight */
	struct virtio_segment *segments;
};

/* Copies the next bytes to @buffer; returns how many there were, at most @length. */
size_t request_read(struct virtio_request *request, void *buffer, size_t length);

/* Copies to the next writable bytes; returns how many fitted, and counts them as written. */
size_t request_write(struct virtio_request *request, const void *buffer, size_t length);

/* Skips the next readable bytes; returns how many there were, at most @length. */
size_t request_skip(struct virtio_request *request, size_t length);

/*
 * Takes the last writable byte out of the stream: where block devices put their status.
 * NULL when nothing writable is left. The device has to write it; that is not counted in
 * request->written.
 */
uint8_t *request_take_last_byte(struct virtio_request *request);

/* Moves a stream forward by @length bytes, at most to its end. Returns the bytes skipped. */
size_t stream_advance(struct virtio_stream *stream, size_t length);

#endif

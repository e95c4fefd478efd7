// SPDX-License-Identifier: BSD-3-Clause
/*
 * What load programs share: the driver of one vhost-user device in a single thread. It kicks and
 * sleeps like a guest: it kicks only when the device asks for it, and waits for the interrupt when
 * nothing is used. Each error ends the program.
 */
#ifndef AVP_BENCH_LOAD_H
#define AVP_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost/client.h"
#include "virtio/driver_queue.h"

#define LOAD_QUEUE_SIZE 256
/* For the parts of one ring. */
#define LOAD_RING_BYTES 65536u

struct load_device {
	struct vhost_client *client;
	uint64_t features; /* negotiated */
	uint8_t *memory;   /* shared with the device: the rings by index, then the buffers */
	size_t size;	   /* bytes */
	int memory_fd;
};

struct load_queue {
	struct driver_queue driver;
	struct driver_descriptor descriptors[LOAD_QUEUE_SIZE];
	int kick_fd, call_fd;
};

/* Prints @what and @why, or the message of errno if that is NULL, and exits. */
_Noreturn void load_fail(const char *what, const char *why);

/*
 * Connects to the device at @socket, with VERSION_1, EVENT_IDX, RING_PACKED if @packed is set, and
 * those of @features that it offers, and shares @size bytes of zeroed memory with it.
 */
void load_connect(struct load_device *device, const char *socket, uint64_t features, bool packed,
		  size_t size);
void load_disconnect(struct load_device *device);

/* Starts queue @index of the device. */
void load_start_queue(struct load_device *device, struct load_queue *queue, uint16_t index);

/* Tells the device, whose queues have all been started, that its driver is ready. */
void load_ready(struct load_device *device);

/* The address of @memory, which lies in device->memory, for the device. */
struct guest_addr load_address(const struct load_device *device, const void *memory);

/* Adds @memory of the device, which is its token, for @size bytes from the device. */
void load_give_buffer(const struct load_device *device, struct load_queue *queue, void *memory,
		      uint32_t size);

/* Kicks the device for what was added, if it wants that. */
void load_kick(struct load_queue *queue);

/* Takes the next used buffer: its token, or NULL if there is none. */
void *load_take(struct load_queue *queue, uint32_t *written);

/* Waits until there are used buffers. Returns false when there is none within @timeout_ms. */
bool load_wait(struct load_queue *queue, int timeout_ms);

#endif

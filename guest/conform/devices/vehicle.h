// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device under test in the tests of rings, transports and life: a device of any registered type
 * (devices/type.h), with well-formed requests.
 */
#ifndef CONFORM_VEHICLE_H
#define CONFORM_VEHICLE_H

#include "devices/type.h"

#define ANSWER_MS   3000
#define REQUEST_MAX 32 /* requests in flight for which there is memory */

struct vehicle {
	struct device *device;
	uint32_t queue_index;
	bool writes;   /* a request ends with a device-writable buffer */
	uint8_t *area; /* REQUEST_SIZE bytes for each request in flight */
	unsigned int area_count;
};

/*
 * Interrupts without a used buffer that the start of a queue may cause, at any time: one when the
 * device starts (VIRTIO 1.4, 2.7.7.1), one when the hypervisor then routes the interrupt. QEMU
 * causes both.
 */
#define QUEUE_START_INTERRUPTS 2
/* The same for a device under test, which has at most two queues. */
#define START_INTERRUPTS (2 * QUEUE_START_INTERRUPTS)

/*
 * Finds the nth suitable device of this transport that offers all these features. False: no more.
 */
bool vehicle_get(unsigned int nth, enum transport transport, uint64_t features,
		 struct vehicle *vehicle);
/*
 * Finds the best device whose request takes one descriptor (struct device_type, simple). False:
 * none.
 */
bool vehicle_get_simple(uint64_t features, struct vehicle *vehicle);
/* Opens it with these features, sets up its queues, runs it. Returns the request queue. */
struct queue *vehicle_open(struct vehicle *vehicle, uint64_t features, uint32_t size);
/* The same without DRIVER_OK. */
struct queue *vehicle_set_up(struct vehicle *vehicle, uint64_t features, uint32_t size);
/* Sets up the queues of an open device, and returns the request queue. */
struct queue *vehicle_set_up_queues(struct vehicle *vehicle, uint32_t size);
/* Sets up the queues below the request queue. */
void vehicle_set_up_others(struct vehicle *vehicle);
/* Makes the well-formed request number @slot. */
void vehicle_build(struct vehicle *vehicle, unsigned int slot, struct request *request);
/* Returns what is wrong with the result, or NULL. */
const char *vehicle_verify(const struct vehicle *vehicle, const struct request *request,
			   uint32_t written);
/* Makes one request and waits for it. Returns what is wrong, or NULL. */
const char *vehicle_do(struct vehicle *vehicle, struct queue *queue);
/* The same; fails the test when something is wrong. @when continues "a request". */
void vehicle_must_do(struct vehicle *vehicle, struct queue *queue, const char *when);
/* After an attack: reset, set-up and a request must work. @after names the attack. */
void vehicle_heal(struct vehicle *vehicle, const char *after);

#define for_each_vehicle(vehicle, transport, features)                          \
	for (unsigned int vehicle_index = 0;                                    \
	     vehicle_index < 16 &&                                              \
	     (vehicle_get(vehicle_index, transport, features, &(vehicle)) || ({ \
		      if (vehicle_index == 0)                                   \
			      skip("no suitable device");                       \
		      false;                                                    \
	      }));                                                              \
	     vehicle_index++)

#endif

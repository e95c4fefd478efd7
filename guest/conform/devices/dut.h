// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device under test in the tests of rings, transports and life: a device of any registered type
 * (devices/type.h), with well-formed requests.
 */
#ifndef CONFORM_DUT_H
#define CONFORM_DUT_H

#include "devices/type.h"

#define ANSWER_MS   3000
#define REQUEST_MAX 32 /* requests in flight for which there is memory */

struct dut {
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
bool dut_get(unsigned int nth, enum transport transport, uint64_t features, struct dut *dut);
/*
 * Finds the best device whose request takes one descriptor (struct device_type, simple). False:
 * none.
 */
bool dut_get_simple(uint64_t features, struct dut *dut);
/* Opens it with these features, sets up its queues, runs it. Returns the request queue. */
struct queue *dut_open(struct dut *dut, uint64_t features, uint32_t size);
/* The same without DRIVER_OK. */
struct queue *dut_set_up(struct dut *dut, uint64_t features, uint32_t size);
/* Sets up the queues of an open device, and returns the request queue. */
struct queue *dut_set_up_queues(struct dut *dut, uint32_t size);
/* Sets up the queues below the request queue. */
void dut_set_up_others(struct dut *dut);
/* Makes the well-formed request number @slot. */
void dut_build(struct dut *dut, unsigned int slot, struct request *request);
/* Returns what is wrong with the result, or NULL. */
const char *dut_verify(const struct dut *dut, const struct request *request, uint32_t written);
/* Makes one request and waits for it. Returns what is wrong, or NULL. */
const char *dut_do(struct dut *dut, struct queue *queue);
/* The same; fails the test when something is wrong. @when continues "a request". */
void dut_must_do(struct dut *dut, struct queue *queue, const char *when);
/* After an attack: reset, set-up and a request must work. @after names the attack. */
void dut_must_recover(struct dut *dut, const char *after);

#define for_each_dut(dut, transport, features)                                        \
	for (unsigned int dut_index = 0;                                              \
	     dut_index < 16 && (dut_get(dut_index, transport, features, &(dut)) || ({ \
					if (dut_index == 0)                           \
						skip("no suitable device");           \
					false;                                        \
				}));                                                  \
	     dut_index++)

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Virtio devices as tests see them, independent of the transport. A test opens a device with
 * features, sets up its queues and runs it. The runner resets it when the test has ended.
 */
#ifndef CONFORM_BUS_H
#define CONFORM_BUS_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include "test.h"
#include "virtio/driver_queue.h"
#include "virtio/feature.h"

#ifndef VIRTIO_F_NOTIFICATION_DATA
#define VIRTIO_F_NOTIFICATION_DATA 38
#endif
#ifndef VIRTIO_F_NOTIF_CONFIG_DATA
#define VIRTIO_F_NOTIF_CONFIG_DATA 39
#endif
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif
#define VIRTIO_F_ADMIN_VQ 41
#define VIRTIO_F_SUSPEND  43 /* VIRTIO 1.4, 6 */

#define VERSION_1	  FEATURE(VIRTIO_F_VERSION_1)
#define PACKED		  FEATURE(VIRTIO_F_RING_PACKED)
#define INDIRECT	  FEATURE(VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_INDEX	  FEATURE(VIRTIO_RING_F_EVENT_IDX)
#define IN_ORDER	  FEATURE(VIRTIO_F_IN_ORDER)
#define RING_RESET	  FEATURE(VIRTIO_F_RING_RESET)

#define STATUS_DRIVER	  (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define STATUS_FEATURES	  (STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define STATUS_RUNNING	  (STATUS_FEATURES | VIRTIO_CONFIG_S_DRIVER_OK)
#define STATUS_SUSPEND	  16
#define NEEDS_RESET	  VIRTIO_CONFIG_S_NEEDS_RESET

#define DEVICES_MAX	  64
#define QUEUES_MAX	  16
#define RING_MAX	  256 /* default limit of a queue's size */
#define CONFIG_INTERRUPT  0xffffu

struct device;
struct device_type;

struct transport_ops {
	uint8_t (*status)(struct device *device);
	void (*set_status)(struct device *device, uint8_t status);
	uint32_t (*features)(struct device *device, uint32_t word);
	void (*set_features)(struct device *device, uint32_t word, uint32_t value);
	uint32_t (*queue_size)(struct device *device, uint32_t queue); /* 0: no such queue */
	void (*set_queue)(struct device *device, uint32_t queue, uint32_t size,
			  const uint64_t addresses[3]);
	void (*enable_queue)(struct device *device, uint32_t queue, uint32_t value);
	uint32_t (*queue_enabled)(struct device *device, uint32_t queue);
	void (*reset_queue)(struct device *device, uint32_t queue);
	uint32_t (*queue_in_reset)(struct device *device, uint32_t queue);
	void (*notify)(struct device *device, uint32_t queue, uint32_t value);
	/* Address of the configuration, for accesses of any width. 0: no configuration. */
	uint64_t (*config)(struct device *device, uint32_t *size);
	uint32_t (*generation)(struct device *device);
	/*
	 * Connects interrupts of the queues and of the configuration. False: the driver must poll.
	 */
	bool (*connect)(struct device *device);
};

struct pci_function;

struct device {
	const struct transport_ops *ops;
	enum transport transport;
	uint32_t id;
	const struct device_type *type; /* NULL: this guest has no tests for it */
	unsigned int number;
	uint8_t first_status; /* read before any other access to the device */
	/* virtio-mmio */
	uint64_t base;
	struct interrupt_line line;
	int interrupt;
	/* virtio-pci */
	struct pci_function *pci;
	/* state of the running test */
	bool touched;
	uint64_t negotiated;
	uint32_t negotiated_high; /* bits 64 to 95 */
	bool connected;
	volatile uint32_t queue_interrupts, config_interrupts;
	volatile uint64_t interrupt_ticks;
};

struct queue {
	struct driver_queue ring;
	struct device *device;
	uint16_t index, size;
	uint64_t addresses[3]; /* descriptors, driver, device */
	uint8_t *memory;
	uint64_t features;
};

extern struct device devices[];
extern unsigned int device_count;

void devices_discover(void);
void devices_report(void);
/*
 * Resets each device whose status is not 0 or that a test used, with what its transport has around
 * it. False: one does not stop, and may still write to the memory that it was given.
 */
bool devices_reset_all(void);
/* The first, or the @nth, device of that type (0: any) and transport. */
struct device *device_find(uint32_t id, enum transport transport);
struct device *device_nth(uint32_t id, enum transport transport, unsigned int nth);
const char *device_name(const struct device *device);

uint64_t device_offered(struct device *device);
/* Writes 0 and waits. False: the status did not read 0 within two seconds. */
bool device_reset(struct device *device);
/*
 * Reset, ACKNOWLEDGE, DRIVER, the offered ones of @features, FEATURES_OK. If none of those that the
 * type needs is in @features, all of them are.
 */
bool device_negotiate(struct device *device, uint64_t features);
/* The same, but fails the test if the device rejects the features. Connects the interrupts. */
void device_open(struct device *device, uint64_t features);
/* Both, with the third word of feature bits in @high; accepts those that are offered. */
bool device_negotiate_wide(struct device *device, uint64_t features, uint32_t high);
void device_open_wide(struct device *device, uint64_t features, uint32_t high);
/* Sets up and enables a queue of at most @size entries (0: RING_MAX), with memory of its own. */
struct queue *device_queue(struct device *device, uint32_t index, uint32_t size);
/* Lays out the memory of a queue as device_queue does, without accessing the device. */
struct queue *queue_prepare(struct device *device, uint32_t index, uint32_t size);
/* Writes addresses and size of the queue to the device, and enables it. */
void queue_enable(struct queue *queue);
void queue_restart(struct queue *queue); /* clears rings and driver state */
void device_run(struct device *device);
void queue_kick(struct queue *queue);
/* Kicks if the device's event suppression asks for it. */
void queue_kick_if_wanted(struct queue *queue);
/* Adds, kicks, waits. False: not used within @ms milliseconds. A broken ring fails the test. */
bool queue_do(struct queue *queue, const struct driver_buffer *buffers, unsigned int readable,
	      unsigned int writable, uint32_t *written, unsigned int ms);
/* Waits for the next used buffer and returns its token; NULL: none within @ms milliseconds. */
void *queue_wait(struct queue *queue, uint32_t *written, unsigned int ms);
static inline struct driver_buffer buffer_of(const void *memory, size_t size)
{
	return (struct driver_buffer){{(uint64_t)memory}, (uint32_t)size};
}

uint64_t config_read(struct device *device, uint32_t offset, unsigned int width);
void config_write(struct device *device, uint32_t offset, uint64_t value, unsigned int width);

/* virtio_mmio.c, virtio_pci.c */
void mmio_discover(void);
void pci_discover(void);
/* Takes it out of the devices under test; those after it move up. */
void device_remove(struct device *device);
struct device *device_add(const struct transport_ops *ops, enum transport transport, uint32_t id);
/*
 * Calls function(argument). False: it caused an exception, which is logged; the devices that the
 * function added are removed.
 */
bool device_probe(void (*function)(void *), void *argument);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device process and the hypervisor behind the registers of fuzz_mmio. Functions here replace
 * those of vhost/client.h, so that an input always takes the same path and never waits. Both check
 * their arguments: the monitor has checked everything that reaches them, so it must be correct, and
 * the rings must be those of the model of the driver.
 */
#ifndef AVP_TESTS_FUZZ_MMIO_DEVICE_H
#define AVP_TESTS_FUZZ_MMIO_DEVICE_H

#include <stdint.h>
#include <stdlib.h>

#include "fuzz/hostile_driver.h"
#include "monitor/virtio/remote_device.h"
#include "monitor/virtio/virtio_mmio.h"
#include "virtio/feature.h"

#define SLOT_ADDRESS UINT64_C(0xd0003000)
#define SLOT_IRQ     9
/* Guest memory: two ranges of this size, the first at 0. */
#define RANGE_BYTES  UINT64_C(0x40000)
#define SECOND_RANGE UINT64_C(0x100000000)
#define CONFIG_BYTES DEVICE_SHAPE_CONFIG_MAX
#define CONFIG_SEEN  96 /* no type that the monitor knows has more */

/* The device process that the input selects. */
struct choice {
	uint8_t type;
	uint8_t queues;
	uint8_t offers[3]; /* protocol features, virtio features, device features */
	uint8_t config_size;
	uint8_t faults; /* FAULT_* */
};

#define FAULT_OPEN   3	/* 1: does not exist, 2: no reply, 3: too old */
#define FAULT_RECORD 12 /* of the in-flight record: 4: too small, 8: few queues, 12: short queues */
#define FAULT_AT_END 16 /* a process that is away at the end comes back */

/* One connection to the device process. */
struct vhost_client {
	int fd, peer, backend_fd;
	bool broken;	    /* the connection has failed: every call does */
	bool refusing;	    /* a message of the operation failed, which is not reported yet */
	bool refusal_known; /* a reply after it has been sent */
	bool in_operation;
	const struct vhost_client_ops *ops;
	void *context;
	uint64_t features; /* the driver's choice; 0: not sent */
	bool memory_set;
	struct vhost_inflight_area area;
	volatile bool area_lost;
	struct vhost_client_ring rings[DEVICE_SHAPE_QUEUES_MAX];
	bool running[DEVICE_SHAPE_QUEUES_MAX];
};

/* What the driver has done to a queue. */
struct model_queue {
	bool ready;
	uint32_t size;
	uint64_t descriptors, driver, device;
	bool fresh;    /* set up, and no device has run it since */
	uint16_t used; /* packed: the device's position, the wrap counter in bit 15 */
	uint16_t seen, acknowledged;
	bool attached;	   /* its kicks arrive */
	bool disconnected; /* its eventfd is being replaced */
	int kick_fd;
};

struct model {
	uint32_t status, features_select, driver_features_select, queue_select;
	uint64_t driver_features;
	bool unknown_features;
	/*
	 * A configuration interrupt must be reported; one may be reported, as there was an
	 * interrupt.
	 */
	bool config_due, config_possible;
	struct model_queue queues[DEVICE_SHAPE_QUEUES_MAX];
};

struct fuzz {
	struct hypervisor hypervisor; /* first: the ops cast */
	struct choice choice;
	struct bus bus;
	struct event_loop loop;
	struct virtio_mmio *transport;
	struct model model;
	struct device_shape shape;
	unsigned int queues, size_max; /* number of queues, and their size */
	uint64_t visible;	       /* features */
	const struct monitor_memory *memory;

	/* The device process. */
	struct vhost_client *client;
	uint64_t offered, protocol;
	uint8_t config[CONFIG_BYTES];
	uint8_t device_status;
	uint64_t uses;		    /* calls of device_use */
	unsigned int notifications; /* messages on the backend channel */
	int refuse_errno;
	bool refuse_late;
	unsigned int refuse_after;	/* calls until one fails; 0: none fails */
	unsigned int next_refuse_after; /* the same for the next connection */
	int peer;			/* the other end of the last connection */
	bool away, watched;
	/* The number of the state that it saved last, and which the next one may get; 0: none. */
	uint64_t states, state;
	uint64_t attachments;

	/* The hypervisor. */
	int interrupt_fd; /* -1: none */
	unsigned int fail_after;

	/* What happened in this step. */
	bool refused, notified, needs_reset, edge, made_ready;
	uint32_t written;		       /* to Status */
	unsigned int config_start, config_end; /* written to configuration space */
	/* Since the last reset. */
	bool hypervisor_failed;

	/* What the driver saw last. */
	uint32_t generation;
	uint8_t config_seen[CONFIG_SEEN];
};

/* The functions of vhost/client.h now act as the device process of *fuzz. */
void device_choose(struct fuzz *fuzz);
/* The number of its queues. */
unsigned int device_queue_count(const struct fuzz *fuzz);
/* Is the monitor connected to it, without having given it up? */
bool device_is_alive(const struct fuzz *fuzz);
/* Does it run a ring? */
bool device_runs(const struct fuzz *fuzz);
/* Does it keep a valid in-flight record, which has the position of a packed ring? */
bool device_has_record(const struct fuzz *fuzz);
/* It uses @count buffers of an attached queue. */
void device_use(struct fuzz *fuzz, unsigned int index, unsigned int count);
/* It sends a notification that its configuration or status changed. */
void device_notify(struct fuzz *fuzz, bool needs_reset);

/* Checks whether there was an interrupt. */
void device_take_interrupt(struct fuzz *fuzz);

extern const struct hypervisor_ops device_hypervisor;

bool model_is_packed(const struct fuzz *fuzz);
/* Is the queue allowed by VIRTIO 1.4, 2.7 and 2.8, and in memory? */
bool model_is_right(const struct fuzz *fuzz, const struct model_queue *queue);
/* How far the device has used buffers of an attached queue. */
uint16_t model_used(const struct fuzz *fuzz, const struct model_queue *queue);
uint8_t *model_host(const struct fuzz *fuzz, uint64_t address);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * What all virtio transports have in common (VIRTIO 1.4, 2.1 to 2.6 and 3): the device's status,
 * the negotiation of features, queues and their progress, configuration space, interrupts and
 * resets. The device is in another process that is reached by vhost-user; kicks and interrupts
 * pass between guest and device without this program.
 *
 * A decoder, such as virtio_mmio.c, gives it the shape of registers: it owns what selects a queue
 * or a word of features, and passes that as an argument. It holds the lock (transport_lock) while
 * it calls the functions below, unless noted otherwise.
 *
 * When a process goes away, the transport reconnects and restores everything that the driver had
 * set up; the guest does not notice.
 */
#ifndef AVP_MONITOR_VIRTIO_TRANSPORT_H
#define AVP_MONITOR_VIRTIO_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"
#include "monitor/memory.h"
#include "monitor/virtio/remote_device.h"

/* Bits of transport_interrupts (VIRTIO 1.4, 4.1.4.5 and 4.2.2: the same in both). */
#define TRANSPORT_INTERRUPT_USED   1u /* a buffer */
#define TRANSPORT_INTERRUPT_CONFIG 2u

/* How a decoder's notifications and interrupts reach it. Called with the lock. */
struct transport_ops {
	/* The write by which the driver kicks queue @index, without a descriptor. */
	struct hypervisor_kick (*kick)(void *context, uint16_t index);
	/*
	 * From now on each signal on eventfd @fd is the interrupt of @call (struct remote_device),
	 * or no longer. Returns 0 or a negative errno with *error set.
	 */
	int (*add_interrupt)(void *context, struct hypervisor *hypervisor, uint16_t call, int fd,
			     struct error *error);
	void (*remove_interrupt)(void *context, struct hypervisor *hypervisor, uint16_t call,
				 int fd);
	/*
	 * Configuration space and all rings raise one interrupt line, by call 0. They must not have
	 * an eventfd each: while KVM handles one of them, the line of an IOAPIC is high, and the
	 * edge of another that is handled on another CPU would be lost.
	 */
	bool one_call;
};

/* A queue, as the driver has set it up. The decoder writes size and addresses. */
struct transport_queue {
	bool ready; /* read-only: see transport_set_ready */
	uint32_t size;
	uint64_t descriptors, driver, device; /* guest addresses */
	/* Of the transport alone. */
	bool attached; /* kicks go directly to the process */
	bool detached; /* temporarily, while the eventfds are replaced */
	struct inflight_progress seen, acknowledged;
};

struct transport {
	const struct transport_ops *ops;
	void *context;		     /* of ops */
	struct remote_device remote; /* its lock guards all of this */
	struct hypervisor *hypervisor;
	bool interrupts_wanted; /* DRIVER_OK was set since the hypervisor was attached */
	bool call_attached[REMOTE_CALLS_MAX];
	uint64_t offered, driver_features;
	bool unknown_features; /* the driver has accepted bits above 63 */
	uint32_t status;
	bool config_interrupt;
	uint32_t generation;
	unsigned int complaints;
	struct transport_queue queues[DEVICE_SHAPE_QUEUES_MAX];
	void (*reported)(void *context, const char *name, enum remote_report report,
			 const char *why);
	void (*not_ended)(void *context, const char *name);
	void *owner; /* context of these two */
};

struct transport_setup {
	const char *name;		  /* of the device, for the log; outlives the transport */
	const struct device_shape *shape; /* outlives the transport */
	struct remote_peer peer;	  /* the transport owns its fd, also on failure */
	const struct monitor_memory *memory;
	struct event_loop *loop;
	/* About the device process: see struct remote_events. From any thread. */
	void (*reported)(void *context, const char *name, enum remote_report report,
			 const char *why);
	/*
	 * One that was given up did not end in time: it may still write to guest memory. From any
	 * thread.
	 */
	void (*not_ended)(void *context, const char *name);
	void *context;
};

/*
 * Connects to the device process and learns what the device is, before the loop runs. @context is
 * that of *ops. Without the lock. Returns 0, or a negative errno with *error set.
 */
int transport_open(struct transport *transport, const struct transport_setup *setup,
		   const struct transport_ops *ops, void *context, struct error *error);
/* Closes the connection, and ends calls that wait on it. Without the lock, from any thread. */
void transport_hang_up(struct transport *transport);
/* Without the lock. The transport must be detached and its loop stopped. */
void transport_close(struct transport *transport);

/*
 * Call after the virtual machine is made, before a vCPU runs. It must outlive the detach. Without
 * the lock, both.
 */
void transport_attach(struct transport *transport, struct hypervisor *hypervisor);
/* Call when no vCPU runs any more: resets the device. */
void transport_detach(struct transport *transport);

/* See remote_release. Without the lock, from any thread. */
void transport_release(struct transport *transport, uint64_t attachments);

void transport_lock(struct transport *transport);
void transport_unlock(struct transport *transport);

/* Logs that the driver did @what ("has set ..."), a limited number of times. */
void transport_complain(struct transport *transport, const char *what);

/* Features 32 * @word and up: offered by the device, and accepted by the driver. */
uint32_t transport_device_features(const struct transport *transport, uint32_t word);
void transport_write_driver_features(struct transport *transport, uint32_t word, uint32_t value);

/* The device status (VIRTIO 1.4, 2.1). Writing 0 resets the device. */
uint32_t transport_status(const struct transport *transport);
void transport_write_status(struct transport *transport, uint32_t value);

/* Queue @index, and the largest size that it may have; NULL and 0: there is none. */
struct transport_queue *transport_queue(struct transport *transport, uint32_t index);
uint32_t transport_queue_size_max(const struct transport *transport, uint32_t index);
/* Makes a queue ready, and starts it if the device runs; or stops it. Any index. */
void transport_set_ready(struct transport *transport, uint32_t index, bool ready);
/* Resets a queue (VIRTIO 1.4, 2.6.1), if the driver has negotiated that. Any index. */
void transport_reset_queue(struct transport *transport, uint32_t index);

/* TRANSPORT_INTERRUPT_* that the driver has not acknowledged; see transport.c. */
uint32_t transport_interrupts(struct transport *transport);
/* The driver has handled @interrupts of those that transport_interrupts returned last. */
void transport_acknowledge(struct transport *transport, uint32_t interrupts);

/* An access to configuration space, its address an offset into it. */
void transport_access_config(struct transport *transport, const struct bus_access *access);
/* Changes with each change of configuration space that an access may see (VIRTIO 1.4, 2.5). */
uint32_t transport_config_generation(const struct transport *transport);

#endif

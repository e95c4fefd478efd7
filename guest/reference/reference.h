// SPDX-License-Identifier: BSD-3-Clause
/*
 * The reference: correct virtio devices inside the image of the conformance guest, for features
 * that no hypervisor has. The guest reaches them as it reaches any device: its accesses to their
 * registers, which the linker replaces (--wrap), come here. Rings, negotiation and the life of a
 * device are those of src/virtio; what is new is the transports and the device types.
 *
 * They exist if the command line has reference=1. A register access is done when it returns;
 * interrupts come from the real interrupt controller. Any processor may access any device: one lock
 * guards all of this.
 */
#ifndef AVP_REFERENCE_H
#define AVP_REFERENCE_H

#include "bus/virtio_mmio.h"
#include "machine.h"
#include "virtio/device.h"

#define REFERENCE_QUEUES 12
#define RING_SMALL	 64  /* entries of a queue */
#define RING_LARGE	 256 /* the same, of a disk or a network interface (AVP-BASE-025) */
#define NO_INTERRUPT	 UINT16_MAX

struct reference_queue {
	bool ready;
	uint32_t size;
	uint64_t addresses[3]; /* descriptors, driver, device */
	uint16_t vector;
	void *storage; /* of a virtqueue */
};

struct reference {
	struct virtio_device device;
	struct virtqueue queues[REFERENCE_QUEUES];
	struct reference_queue rings[REFERENCE_QUEUES];
	/* VIRTIO 1.4, 2.2: bits 64 to 95 of the features. */
	uint32_t offered_high, negotiated_high;
	uint32_t chosen[3]; /* what the driver wrote */
	uint32_t device_select, driver_select, queue_select, region_select;
	uint32_t interrupts; /* InterruptStatus, or ISR status */
	uint16_t config_vector;
	bool suspended;
	bool changed; /* the configuration, while suspended */
	bool stopped; /* for good, by a fault */
	bool on_pci;
	bool is_master;		      /* PCI: it may access memory */
	uint16_t admin_queue;	      /* 0: none */
	uint64_t region, region_size; /* shared memory region 0 of virtio-mmio; size 0: none */
	/* The queue becomes ready, or is reset; NULL: nothing to do. */
	void (*queue_changed)(struct reference *reference, uint16_t queue);
	/* Raises the interrupt of the queues, or of the configuration. */
	void (*raise)(struct reference *reference, uint16_t vector);
};

/*
 * Makes a device of that class, with memory for its queues; *reference is zeroed and the first
 * member of the device's own state, and @config lives as long. It offers @features besides those of
 * the core and of the transport; its queues have @ring entries.
 */
void reference_init(struct reference *reference, const struct virtio_device_class *class,
		    uint64_t features, const void *config, size_t config_size, uint16_t queues,
		    uint16_t ring);
static inline struct reference *reference_of(struct virtio_device *device)
{
	return (struct reference *)device;
}

/* What both transports have: the registers. */
uint8_t reference_status(const struct reference *reference);
void reference_set_status(struct reference *reference, uint8_t status);
uint32_t reference_offered(const struct reference *reference, uint32_t word);
void reference_choose(struct reference *reference, uint32_t value);
struct reference_queue *reference_selected(struct reference *reference); /* NULL: no such queue */
void reference_enable(struct reference *reference, uint32_t queue, bool ready);
void reference_reset_queue(struct reference *reference, uint32_t queue);
/* A driver's notification, of 16 bits or, with VIRTIO_F_NOTIFICATION_DATA, of 32. */
void reference_kick(struct reference *reference, uint32_t value);
/* The number that stands for the queue in a notification. */
uint16_t reference_notify_data(const struct reference *reference, uint32_t queue);
void reference_set_low(uint64_t *address, uint32_t value);
void reference_set_high(uint64_t *address, uint32_t value);
/* Accesses to the configuration. */
uint64_t reference_config(struct reference *reference, uint32_t offset, unsigned int width);
void reference_set_config(struct reference *reference, uint32_t offset, uint64_t value,
			  unsigned int width);

/* What is broken in a faulty reference (guest/broken/reference_faults.c). */
enum reference_fault {
	FAULT_ERASE_MORE = 1,
	FAULT_LIFETIME,
	FAULT_WRITE_ANYWHERE,
	FAULT_RESET_KEEPS,
	FAULT_CLOSE_EMPTY,
	FAULT_ADMIN_QUALIFIER,
	FAULT_PMEM_FAILS,
	FAULT_PMEM_STOPS,
	FAULT_CHANGE_SILENT,
	FAULT_CHANGE_UNCOUNTED,
	FAULT_LINK_IGNORED,
	FAULT_VLAN_DROPPED,
	FAULT_VLAN_FORGOTTEN,
	FAULT_RSS_UNCLASSIFIED,
	FAULT_PAIR_LAST,
	FAULT_TUNNEL_ACCEPTED,
	FAULT_HDR_LEN,
	FAULT_HDR_LEN_STOPS,
	FAULT_GSO_FIRST_ONLY,
	FAULT_CHECKSUM_LEFT,
	FAULT_RSC_UNCOUNTED,
	FAULT_HASH_WRONG,
	FAULT_COALESCING_KEPT,
	FAULT_ANNOUNCE_KEPT,
	FAULT_STATISTICS_SIZE,
	FAULT_CONTEXT_LESS,
	FAULT_RESOURCE_USED,
	FAULT_ACCESS_DEAD,
	FAULT_RESUME_NEVER,
	FAULT_SUSPENDED_CHANGES,
	FAULT_SUSPEND_EARLY,
	FAULT_SUSPENDED_KICK_STOPS,
	FAULT_NOTIFY_WHOLE,
	FAULT_KICK_SLOW,
	FAULT_LEVEL_STUCK,
	FAULT_PORTS_MIXED,
	FAULT_UNPLUG_OTHER,
};
/* Whether the running test meets that fault: in no image but that with faults. */
bool reference_fault(enum reference_fault fault);

/* admin.c: commands of the administration queue (VIRTIO 1.4, 2.13). */
void reference_handle_admin(struct reference *reference, struct virtqueue *queue);

/* The guest's memory, which no device owns. */
extern struct guest_memory reference_memory;

/* windows.c: devices behind virtio-mmio. */
void windows_add(struct reference *reference);
bool windows_read(uint64_t address, unsigned int width, uint64_t *value);
bool windows_write(uint64_t address, unsigned int width, uint64_t value);

/* functions.c: devices behind virtio-pci. */
void functions_add(struct reference *reference);
bool functions_read(uint64_t address, unsigned int width, uint64_t *value);
bool functions_write(uint64_t address, unsigned int width, uint64_t value);

/*
 * lines.c: a line per window. Raises it as long as @reference has interrupts that the driver has
 * not acknowledged; sends the message of an MSI-X vector.
 */
struct interrupt_line lines_add(struct reference *reference);
void lines_raise(struct reference *reference);
void lines_send(uint64_t address, uint32_t data);

/* The devices: each adds those that it has. */
void reference_add_disks(void);
void reference_add_nets(void);
void reference_add_entropy(void);
void reference_add_pmem(void);
void reference_add_console(void);

/* What the guest's accesses go through; they reach the machine where no device is. */
uint64_t reference_mmio_read(uint64_t address, unsigned int width);
void reference_mmio_write(uint64_t address, uint64_t value, unsigned int width);
void reference_arch_map(uint64_t start, uint64_t size);
int reference_interrupt_attach(struct interrupt_line line, interrupt_handler *handler,
			       void *context);
void reference_interrupt_mask(int number, bool masked);
void reference_interrupt_route(int number, unsigned int cpu);

#endif

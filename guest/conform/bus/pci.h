// SPDX-License-Identifier: BSD-3-Clause
/* PCI functions, as the virtio driver and the tests of that transport use them. */
#ifndef CONFORM_PCI_H
#define CONFORM_PCI_H

#include "bus/bus.h"

#define PCI_CAPABILITIES_MAX 48
#define PCI_VECTORS_MAX	     32

/* VIRTIO 1.4, 4.1.4 */
enum {
	CAP_COMMON = 1,
	CAP_NOTIFY = 2,
	CAP_ISR = 3,
	CAP_DEVICE = 4,
	CAP_PCI_CFG = 5,
	CAP_SHARED_MEMORY = 8,
	CAP_VENDOR = 9,
};

struct pci_bar {
	uint64_t address, size; /* size 0: not implemented */
	bool port, wide;
};

struct pci_capability {
	uint8_t position, length, type, bar, id;
	uint64_t offset, size; /* 64 bits for shared memory, otherwise 32 */
	uint32_t extra;	       /* notify_off_multiplier */
	bool inside;	       /* inside a BAR, of memory or ports */
	bool usable;	       /* inside a memory BAR that has an address */
};

struct pci_function {
	uint8_t bus, slot, function;
	uint16_t vendor, product;
	uint8_t header, subordinate; /* the last bus behind a bridge */
	struct pci_bar bars[6];
	struct pci_capability capabilities[PCI_CAPABILITIES_MAX]; /* virtio's */
	unsigned int capability_count;
	bool looped; /* the list loops */
	uint64_t common, notify, isr, device_config;
	uint32_t notify_size, multiplier, device_config_size, common_size;
	uint16_t command;
	uint8_t msix; /* offset of the capability, 0: none */
	uint64_t msix_table, msix_pending;
	uint32_t vectors;
	struct interrupt_line intx;
	/* state of the running test */
	uint32_t queue_vectors; /* vectors 1 to queue_vectors belong to queues */
	int interrupts[PCI_VECTORS_MAX];
	bool by_line;
};

/* Device ids from here on are of devices without a legacy interface (VIRTIO 1.4, 4.1.2.1). */
#define PCI_MODERN 0x1040

/* All functions with the ids of a virtio device, including those that no driver could use. */
extern struct pci_function pci_functions[];
extern unsigned int pci_function_count;

uint32_t pci_read(const struct pci_function *function, uint32_t offset, unsigned int width);
void pci_write(const struct pci_function *function, uint32_t offset, uint32_t value,
	       unsigned int width);
/*
 * Allocates an address below 4 GiB for a BAR of that size; 0: firmware assigned all BARs, or the
 * window is full.
 */
uint64_t pci_allocate_address(uint64_t size);
#define PCI_COMMAND	0x04
#define PCI_BAR(number) (0x10 + 4u * (number))
#define PCI_BAR_TYPE	15u /* of a memory BAR: these bits are not part of the address */
#define PCI_BAR_PORT	1u
#define PCI_STATUS	0x06
#define COMMAND_IO	1u
#define COMMAND_MEMORY	2u
#define COMMAND_MASTER	4u
#define COMMAND_NO_INTX 0x400u
#define MSIX_ENABLE	0x8000u
#define MSIX_MASK_ALL	0x4000u
#define NO_VECTOR	0xffffu
/* Bits of the ISR status (VIRTIO 1.4, 4.1.4.5). */
#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

/* Common configuration (VIRTIO 1.4, 4.1.4.3). */
#define COMMON_DEVICE_SELECT 0
#define COMMON_DEVICE	     4
#define COMMON_DRIVER_SELECT 8
#define COMMON_DRIVER	     12
#define COMMON_CONFIG_VECTOR 16
#define COMMON_QUEUES	     18
#define COMMON_STATUS	     20
#define COMMON_GENERATION    21
#define COMMON_QUEUE_SELECT  22
#define COMMON_QUEUE_SIZE    24
#define COMMON_QUEUE_VECTOR  26
#define COMMON_QUEUE_ENABLE  28
#define COMMON_QUEUE_NOTIFY  30
#define COMMON_QUEUE_DESC    32
#define COMMON_QUEUE_DRIVER  40
#define COMMON_QUEUE_DEVICE  48
#define COMMON_NOTIFY_DATA   56
#define COMMON_QUEUE_RESET   58

uint32_t common_read(const struct device *device, uint32_t offset, unsigned int width);
void common_write(const struct device *device, uint32_t offset, uint32_t value, unsigned int width);
uint64_t pci_notify_address(const struct device *device, uint32_t queue);
/*
 * Vector 0 is for the configuration, the following ones are for the queues: round robin if there
 * are more queues than vectors. A device with one vector uses it for its queues. False: no MSI-X.
 */
bool pci_connect_msix(struct device *device);
/* Uses the INTx pin instead of MSI-X. */
bool pci_connect_intx(struct device *device);
/* Restores the command register and the BARs from before the tests, and switches MSI-X off. */
void pci_restore(const struct pci_function *function);
/* Attaches @handler to an entry of the table, which is not masked then. False: it cannot. */
bool pci_attach_vector(struct device *device, uint32_t vector, interrupt_handler *handler);
/* The vector of that queue. */
uint32_t pci_queue_vector(const struct device *device, uint32_t queue);
void pci_msix_mask(const struct device *device, uint32_t vector, bool masked);

#endif

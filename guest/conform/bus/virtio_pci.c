// SPDX-License-Identifier: BSD-3-Clause
/*
 * PCI (by its memory-mapped configuration space or by ports) and the driver of virtio over PCI
 * (VIRTIO 1.4, 4.1). Assigns BARs that firmware has not assigned.
 */
#include "bus/pci.h"
#include "pages.h"
#include "report.h"

#define PCI_ADDRESS	  0xcf8
#define PCI_DATA	  0xcfc
#define CAPABILITY_VENDOR 0x09
#define CAPABILITY_MSIX	  0x11
#define VIRTIO_VENDOR	  0x1af4

#define CAP64_LENGTH	  24 /* of a capability with offset and length of 64 bits */
#define QUEUE_VECTORS	  4u /* most vectors used for the queues of a device */
#define BUS_MAX		  255u

struct pci_function pci_functions[DEVICES_MAX];
unsigned int pci_function_count;
static bool has_ports;

static uint64_t ecam_address(const struct pci_function *function, uint32_t offset)
{
	return machine.ecam +
	       ((uint64_t)(function->bus - machine.first_bus) << 20 |
		(uint64_t)function->slot << 15 | (uint64_t)function->function << 12) +
	       offset;
}

static void select(const struct pci_function *function, uint32_t offset)
{
	arch_port_write(PCI_ADDRESS,
			1u << 31 | (uint32_t)function->bus << 16 | (uint32_t)function->slot << 11 |
				(uint32_t)function->function << 8 | (offset & 0xfc),
			4);
}

uint32_t pci_read(const struct pci_function *function, uint32_t offset, unsigned int width)
{
	if (machine.ecam)
		return (uint32_t)mmio_read(ecam_address(function, offset), width);
	select(function, offset);
	return arch_port_read((uint16_t)(PCI_DATA + (offset & 3)), width);
}

void pci_write(const struct pci_function *function, uint32_t offset, uint32_t value,
	       unsigned int width)
{
	if (machine.ecam) {
		mmio_write(ecam_address(function, offset), value, width);
		return;
	}
	select(function, offset);
	arch_port_write((uint16_t)(PCI_DATA + (offset & 3)), value, width);
}

static uint64_t allocate_address(struct window *window, uint64_t size)
{
	uint64_t at = (window->next + size - 1) & ~(size - 1);

	/* Firmware has given out what it wanted to, anywhere in the windows. */
	if (machine.has_firmware)
		return 0;
	if (window->start == window->end || at > window->end || size > window->end - at)
		return 0;
	window->next = at + size;
	return at;
}

uint64_t pci_allocate_address(uint64_t size)
{
	return allocate_address(&machine.window32, size);
}

static void read_bars(struct pci_function *function)
{
	uint32_t command = pci_read(function, PCI_COMMAND, 2);

	pci_write(function, PCI_COMMAND, command & ~(COMMAND_IO | COMMAND_MEMORY), 2);
	for (unsigned int i = 0; i < 6; i++) {
		uint32_t reg = PCI_BAR(i), old = pci_read(function, reg, 4), ones;
		struct pci_bar *bar = &function->bars[i];
		uint64_t mask, address;

		pci_write(function, reg, UINT32_MAX, 4);
		ones = pci_read(function, reg, 4);
		pci_write(function, reg, old, 4);
		if (ones == 0 || ones == UINT32_MAX)
			continue;
		if (old & 1) {
			*bar = (struct pci_bar){old & ~3u, (uint16_t)(~(ones & ~3u) + 1), true,
						false};
			continue;
		}
		mask = UINT64_C(0xffffffff00000000) | (ones & ~15u);
		address = old & ~15u;
		bar->wide = (old & 6) == 4 && i < 5;
		if (bar->wide) {
			uint32_t high = pci_read(function, reg + 4, 4);

			pci_write(function, reg + 4, UINT32_MAX, 4);
			mask = (uint64_t)pci_read(function, reg + 4, 4) << 32 | (ones & ~15u);
			pci_write(function, reg + 4, high, 4);
			address |= (uint64_t)high << 32;
		}
		bar->size = ~mask + 1;
		if (bar->size == 0 || bar->size & (bar->size - 1)) {
			bar->size = 0;
			continue;
		}
		if (address == 0)
			address = allocate_address(&machine.window32, bar->size);
		if (address == 0 && bar->wide)
			address = allocate_address(&machine.window64, bar->size);
		bar->address = address;
		if (address) {
			pci_write(function, reg, (uint32_t)address | (old & 15), 4);
			if (bar->wide)
				pci_write(function, reg + 4, (uint32_t)(address >> 32), 4);
		}
		if (bar->wide)
			i++;
	}
	function->command = (uint16_t)(command | COMMAND_MEMORY | COMMAND_MASTER);
	pci_write(function, PCI_COMMAND, function->command, 2);
}

static void restore(const struct pci_function *function, uint32_t reg, uint64_t value)
{
	/* The lowest bits of a BAR say what it is, and cannot be written. */
	if ((pci_read(function, reg, 4) & ~15u) != (uint32_t)value)
		pci_write(function, reg, (uint32_t)value, 4);
}

void pci_restore(const struct pci_function *function)
{
	for (unsigned int i = 0; i < 6; i++) {
		const struct pci_bar *bar = &function->bars[i];

		if (!bar->address || bar->port)
			continue;
		restore(function, 0x10 + 4 * i, bar->address);
		if (bar->wide)
			restore(function, 0x14 + 4 * i, bar->address >> 32);
	}
	if (function->msix)
		pci_write(function, function->msix + 2u, 0, 2);
	pci_write(function, PCI_COMMAND, function->command, 2);
}

/* Returns the address of a structure, mapped; 0 if it is not inside a memory BAR. */
static uint64_t structure(const struct pci_function *function, uint8_t bar, uint32_t offset,
			  uint32_t size)
{
	const struct pci_bar *where;

	if (bar > 5)
		return 0;
	where = &function->bars[bar];
	if (!where->address || where->port || offset > where->size || size > where->size - offset)
		return 0;
	arch_map(where->address + offset, size);
	return where->address + offset;
}

static void take_virtio(struct pci_function *function, uint8_t position)
{
	struct pci_capability *cap;
	uint64_t address;

	if (function->capability_count == PCI_CAPABILITIES_MAX)
		return;
	cap = &function->capabilities[function->capability_count++];
	*cap = (struct pci_capability){
		.position = position,
		.length = (uint8_t)pci_read(function, position + 2u, 1),
		.type = (uint8_t)pci_read(function, position + 3u, 1),
		.bar = (uint8_t)pci_read(function, position + 4u, 1),
		.id = (uint8_t)pci_read(function, position + 5u, 1),
		.offset = pci_read(function, position + 8u, 4),
		.size = pci_read(function, position + 12u, 4),
	};
	if (cap->type == CAP_SHARED_MEMORY && cap->length >= CAP64_LENGTH) {
		cap->offset |= (uint64_t)pci_read(function, position + 16u, 4) << 32;
		cap->size |= (uint64_t)pci_read(function, position + 20u, 4) << 32;
	} else if (cap->length >= 20) {
		cap->extra = pci_read(function, position + 16u, 4);
	}
	cap->inside = cap->bar <= 5 && cap->offset <= function->bars[cap->bar].size &&
		      cap->size <= function->bars[cap->bar].size - cap->offset;
	if (cap->type == CAP_SHARED_MEMORY)
		return;
	address = structure(function, cap->bar, (uint32_t)cap->offset, (uint32_t)cap->size);
	cap->usable = address != 0;
	if (!address)
		return;
	/* Use the first usable structure of each type. */
	if (cap->type == CAP_COMMON && !function->common && cap->size >= 56) {
		function->common = address;
		function->common_size = (uint32_t)cap->size;
	} else if (cap->type == CAP_NOTIFY && !function->notify) {
		function->notify = address;
		function->notify_size = (uint32_t)cap->size;
		function->multiplier = cap->extra;
	} else if (cap->type == CAP_ISR && !function->isr) {
		function->isr = address;
	} else if (cap->type == CAP_DEVICE && !function->device_config) {
		function->device_config = address;
		function->device_config_size = (uint32_t)cap->size;
	}
}

static void read_capabilities(struct pci_function *function)
{
	uint8_t position = (uint8_t)pci_read(function, 0x34, 1) & 0xfc;
	unsigned int turns = 0;

	if (!(pci_read(function, PCI_STATUS, 2) & 0x10))
		return;
	for (; position >= 0x40; position = (uint8_t)pci_read(function, position + 1u, 1) & 0xfc) {
		uint8_t id = (uint8_t)pci_read(function, position, 1);

		if (++turns > PCI_CAPABILITIES_MAX) {
			function->looped = true;
			return;
		}
		if (id == CAPABILITY_VENDOR)
			take_virtio(function, position);
		if (id == CAPABILITY_MSIX) {
			uint32_t table = pci_read(function, position + 4u, 4);
			uint32_t pending = pci_read(function, position + 8u, 4);

			function->msix = position;
			function->vectors = (pci_read(function, position + 2u, 2) & 0x7ff) + 1;
			function->msix_table =
				structure(function, table & 7, table & ~7u, function->vectors * 16);
			function->msix_pending = structure(function, pending & 7, pending & ~7u, 8);
			if (!function->msix_table)
				function->msix = 0;
		}
	}
}

uint32_t common_read(const struct device *device, uint32_t offset, unsigned int width)
{
	return (uint32_t)mmio_read(device->pci->common + offset, width);
}

void common_write(const struct device *device, uint32_t offset, uint32_t value, unsigned int width)
{
	mmio_write(device->pci->common + offset, value, width);
}

static uint8_t get_status(struct device *device)
{
	return (uint8_t)common_read(device, COMMON_STATUS, 1);
}

static void set_status(struct device *device, uint8_t status)
{
	common_write(device, COMMON_STATUS, status, 1);
}

static uint32_t get_features(struct device *device, uint32_t word)
{
	common_write(device, COMMON_DEVICE_SELECT, word, 4);
	return common_read(device, COMMON_DEVICE, 4);
}

static void set_features(struct device *device, uint32_t word, uint32_t value)
{
	common_write(device, COMMON_DRIVER_SELECT, word, 4);
	common_write(device, COMMON_DRIVER, value, 4);
}

static void select_queue(struct device *device, uint32_t queue)
{
	common_write(device, COMMON_QUEUE_SELECT, queue, 2);
}

static uint32_t queue_size(struct device *device, uint32_t queue)
{
	select_queue(device, queue);
	return common_read(device, COMMON_QUEUE_SIZE, 2);
}

static void set_queue(struct device *device, uint32_t queue, uint32_t size,
		      const uint64_t addresses[3])
{
	static const uint32_t registers[] = {COMMON_QUEUE_DESC, COMMON_QUEUE_DRIVER,
					     COMMON_QUEUE_DEVICE};

	select_queue(device, queue);
	common_write(device, COMMON_QUEUE_SIZE, size, 2);
	for (int i = 0; i < 3; i++) {
		common_write(device, registers[i], (uint32_t)addresses[i], 4);
		common_write(device, registers[i] + 4, (uint32_t)(addresses[i] >> 32), 4);
	}
}

static void enable_queue(struct device *device, uint32_t queue, uint32_t value)
{
	select_queue(device, queue);
	common_write(device, COMMON_QUEUE_ENABLE, value, 2);
}

static uint32_t queue_enabled(struct device *device, uint32_t queue)
{
	select_queue(device, queue);
	return common_read(device, COMMON_QUEUE_ENABLE, 2);
}

static void reset_queue(struct device *device, uint32_t queue)
{
	select_queue(device, queue);
	common_write(device, COMMON_QUEUE_RESET, 1, 2);
}

static uint32_t queue_in_reset(struct device *device, uint32_t queue)
{
	select_queue(device, queue);
	return common_read(device, COMMON_QUEUE_RESET, 2);
}

static uint32_t notify_width(const struct device *device)
{
	return device->negotiated & FEATURE(VIRTIO_F_NOTIFICATION_DATA) ? 4 : 2;
}

uint64_t pci_notify_address(const struct device *device, uint32_t queue)
{
	uint32_t width = notify_width(device);
	uint64_t offset;

	common_write(device, COMMON_QUEUE_SELECT, queue, 2);
	offset = (uint64_t)common_read(device, COMMON_QUEUE_NOTIFY, 2) * device->pci->multiplier;
	if (device->pci->notify_size < width || offset > device->pci->notify_size - width)
		return 0;
	return device->pci->notify + offset;
}

static void notify(struct device *device, uint32_t queue, uint32_t value)
{
	uint64_t address = pci_notify_address(device, queue);

	/* VIRTIO 1.4, 4.1.5.2.1: in place of the queue's index. */
	if (device->negotiated & FEATURE(VIRTIO_F_NOTIF_CONFIG_DATA))
		value = (value & ~UINT32_C(0xffff)) | common_read(device, COMMON_NOTIFY_DATA, 2);
	if (address)
		mmio_write(address, value, notify_width(device));
}

static uint64_t config(struct device *device, uint32_t *size)
{
	*size = device->pci->device_config_size;
	return device->pci->device_config;
}

static uint32_t generation(struct device *device)
{
	return common_read(device, COMMON_GENERATION, 1);
}

/* Interrupts */

static void handle_queue(void *context)
{
	struct device *device = context;

	device->interrupt_ticks = arch_ticks();
	device->queue_interrupts++;
}

static void handle_config(void *context)
{
	struct device *device = context;

	device->config_interrupts++;
}

static void handle_intx(void *context)
{
	struct device *device = context;
	uint32_t isr = (uint32_t)mmio_read(device->pci->isr, 1);

	device->interrupt_ticks = arch_ticks();
	if (isr & ISR_QUEUE)
		device->queue_interrupts++;
	if (isr & ISR_CONFIG)
		device->config_interrupts++;
}

void pci_msix_mask(const struct device *device, uint32_t vector, bool masked)
{
	mmio_write(device->pci->msix_table + vector * 16 + 12, masked, 4);
}

static uint32_t requester(const struct pci_function *function)
{
	return (uint32_t)function->bus << 8 | (uint32_t)function->slot << 3 | function->function;
}

bool pci_attach_vector(struct device *device, uint32_t vector, interrupt_handler *handler)
{
	struct pci_function *function = device->pci;
	uint64_t entry = function->msix_table + vector * 16;
	struct message message;
	int number =
		interrupt_attach_message(requester(function), vector, handler, device, &message);

	function->interrupts[vector] = number;
	if (number == INTERRUPT_NONE)
		return false;
	mmio_write(entry, (uint32_t)message.address, 4);
	mmio_write(entry + 4, (uint32_t)(message.address >> 32), 4);
	mmio_write(entry + 8, message.data, 4);
	mmio_write(entry + 12, 0, 4);
	return true;
}

uint32_t pci_queue_vector(const struct device *device, uint32_t queue)
{
	return device->pci->queue_vectors ? 1 + queue % device->pci->queue_vectors : 0;
}

bool pci_connect_msix(struct device *device)
{
	struct pci_function *function = device->pci;
	uint32_t limit = function->vectors - 1;

	if (!function->msix)
		return false;
	pci_write(function, function->msix + 2u, MSIX_ENABLE | MSIX_MASK_ALL, 2);
	if (limit > QUEUE_VECTORS)
		limit = QUEUE_VECTORS;
	if (!pci_attach_vector(device, 0, limit ? handle_config : handle_queue))
		return false;
	function->queue_vectors = 0;
	while (function->queue_vectors < limit &&
	       pci_attach_vector(device, 1 + function->queue_vectors, handle_queue))
		function->queue_vectors++;
	if (limit && !function->queue_vectors)
		return false;
	pci_write(function, function->msix + 2u, MSIX_ENABLE, 2);
	common_write(device, COMMON_CONFIG_VECTOR, 0, 2);
	function->by_line = false;
	return true;
}

bool pci_connect_intx(struct device *device)
{
	struct pci_function *function = device->pci;

	if (function->msix)
		pci_write(function, function->msix + 2u, 0, 2);
	if (!function->intx.valid || !function->isr)
		return false;
	device->interrupt = interrupt_attach(function->intx, handle_intx, device);
	function->by_line = true;
	return device->interrupt != INTERRUPT_NONE;
}

static bool connect(struct device *device)
{
	return pci_connect_msix(device) || pci_connect_intx(device);
}

static const struct transport_ops pci_ops = {
	.status = get_status,
	.set_status = set_status,
	.features = get_features,
	.set_features = set_features,
	.queue_size = queue_size,
	.set_queue = set_queue,
	.enable_queue = enable_queue,
	.queue_enabled = queue_enabled,
	.reset_queue = reset_queue,
	.queue_in_reset = queue_in_reset,
	.notify = notify,
	.config = config,
	.generation = generation,
	.connect = connect,
};

static uint32_t virtio_id(const struct pci_function *function)
{
	if (function->product >= PCI_MODERN && function->product < 0x1080)
		return function->product - (uint32_t)PCI_MODERN;
	/* A transitional device: the subsystem id is the device type. */
	if (function->product >= 0x1000 && function->product < PCI_MODERN)
		return pci_read(function, 0x2e, 2);
	return 0;
}

static void take_function(void *argument)
{
	struct pci_function *function = argument;
	struct device *device;

	read_bars(function);
	read_capabilities(function);
	if (function->looped)
		report_line("note: the capabilities of PCI function %x:%x.%x loop", function->bus,
			    function->slot, function->function);
	if (!function->common || !function->notify) {
		report_line("note: PCI function %x:%x.%x lacks virtio structures: ignored",
			    function->bus, function->slot, function->function);
		return;
	}
	function->intx = arch_pci_line(function->slot, (unsigned int)pci_read(function, 0x3d, 1));
	device = device_add(&pci_ops, TRANSPORT_PCI, virtio_id(function));
	if (!device)
		return;
	device->pci = function;
	device->base = requester(function);
	device->first_status = get_status(device);
}

static void identify(void *argument)
{
	struct pci_function *function = argument;

	function->vendor = (uint16_t)pci_read(function, 0, 2);
	function->product = (uint16_t)pci_read(function, 2, 2);
	function->header = (uint8_t)pci_read(function, 0x0e, 1);
	if ((function->header & 0x7f) == 1)
		function->subordinate = (uint8_t)pci_read(function, 0x1a, 1);
}

static void look_at(struct pci_function *probe)
{
	struct pci_function *function = &pci_functions[pci_function_count];

	if (probe->vendor != VIRTIO_VENDOR || !virtio_id(probe))
		return;
	if (pci_function_count == DEVICES_MAX) {
		report_line("note: ignoring PCI function %x:%x.%x: there are more than %u",
			    probe->bus, probe->slot, probe->function, DEVICES_MAX);
		return;
	}
	*function = *probe;
	pci_function_count++;
	if (device_probe(take_function, function))
		return;
	report_line("note: ignoring PCI function %x:%x.%x", function->bus, function->slot,
		    function->function);
	function->common = 0;
}

void pci_discover(void)
{
	unsigned int last = machine.first_bus;

	has_ports = ARCH_X86;
	if (machine.ecam && (machine.last_bus > BUS_MAX || machine.first_bus > machine.last_bus)) {
		report_line("note: ignoring PCI with buses %u to %u", machine.first_bus,
			    machine.last_bus);
		return;
	}
	if (machine.ecam)
		arch_map(machine.ecam, (uint64_t)(machine.last_bus - machine.first_bus + 1) << 20);
	else if (!has_ports)
		return;
	else
		machine.last_bus = BUS_MAX;
	/* The ports may exist without a host bridge. */
	if (!machine.ecam) {
		arch_port_write(PCI_ADDRESS, 1u << 31, 4);
		if (arch_port_read(PCI_ADDRESS, 4) != 1u << 31)
			return;
	}
	/* Firmware has numbered the buses behind bridges; do not scan beyond the last one. */
	for (unsigned int bus = machine.first_bus; bus <= last && bus <= machine.last_bus; bus++)
		for (unsigned int slot = 0; slot < 32; slot++) {
			unsigned int count = 1;

			for (unsigned int f = 0; f < count; f++) {
				struct pci_function probe = {.bus = (uint8_t)bus,
							     .slot = (uint8_t)slot,
							     .function = (uint8_t)f};

				/* If one function cannot be read, none can. */
				if (!device_probe(identify, &probe))
					return;
				if (f == 0 && probe.vendor == 0xffff)
					break;
				if (f == 0 && probe.header & 0x80)
					count = 8;
				if (f == 0 && probe.subordinate > last && probe.subordinate != 0xff)
					last = probe.subordinate;
				look_at(&probe);
			}
		}
}

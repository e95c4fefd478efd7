// SPDX-License-Identifier: BSD-3-Clause
/* Chapter pci: base address registers and what lies behind them (VIRTIO 1.4, 4.1.1 and 4.1.4). */
#include "bus/pci.h"
#include "tests/rings.h"

#define NO_FUNCTION    "no virtio device on PCI"
#define BARS	       6u
#define BAR_WIDE       4u /* of BAR_WIDTH: 64 bits */
#define BAR_WIDTH      6u
#define BAR_PORT_TYPE  3u  /* of a port BAR: these bits are not part of the address */
#define BAR_SMALLEST   16u /* of memory */
#define COMMAND_DECODE (COMMAND_IO | COMMAND_MEMORY)

/* Writes ones to a BAR, returns what it then reads, and restores it, which must succeed. */
static uint32_t probe_bar(const struct pci_function *function, unsigned int number)
{
	uint32_t old = pci_read(function, PCI_BAR(number), 4), ones;

	pci_write(function, PCI_BAR(number), UINT32_MAX, 4);
	ones = pci_read(function, PCI_BAR(number), 4);
	pci_write(function, PCI_BAR(number), old, 4);
	check(pci_read(function, PCI_BAR(number), 4) == old,
	      "PCI function %x:%x.%x: BAR %u reads 0x%x after 0x%x was written", function->bus,
	      function->slot, function->function, number, pci_read(function, PCI_BAR(number), 4),
	      old);
	return ones;
}

/* Returns how many registers the BAR takes. */
static unsigned int check_bar(const struct pci_function *function, unsigned int number)
{
	uint32_t old = pci_read(function, PCI_BAR(number), 4);
	uint32_t ones = probe_bar(function, number);
	uint32_t type = old & PCI_BAR_PORT ? BAR_PORT_TYPE : PCI_BAR_TYPE;
	bool wide = !(old & PCI_BAR_PORT) && (old & BAR_WIDTH) == BAR_WIDE;
	uint64_t mask = ones & ~type, size;

	if (ones == 0)
		return 1; /* not implemented */
	check((ones & type) == (old & type),
	      "PCI function %x:%x.%x: the type of BAR %u changes from 0x%x to 0x%x when it is "
	      "written",
	      function->bus, function->slot, function->function, number, old & type, ones & type);
	check(!wide || number + 1 < BARS, "PCI function %x:%x.%x: the last BAR has 64 bits",
	      function->bus, function->slot, function->function);
	if (wide)
		mask |= (uint64_t)probe_bar(function, number + 1) << 32;
	else
		mask |= UINT64_C(0xffffffff00000000);
	/* A port BAR may leave the upper 16 bits out. */
	if (old & PCI_BAR_PORT && !(mask & 0xffff0000))
		mask |= 0xffff0000;
	size = ~mask + 1;
	check(size && !(size & (size - 1)) && (old & PCI_BAR_PORT || size >= BAR_SMALLEST),
	      "PCI function %x:%x.%x: BAR %u reads 0x%lx after ones were written, which is not a "
	      "size",
	      function->bus, function->slot, function->function, number, mask);
	return wide ? 2 : 1;
}

/* All functions with the ids of virtio: the driver skips those that lack something. */
TEST(pci_bars, "AVP-PCI-001")
{
	if (pci_function_count == 0)
		skip(NO_FUNCTION);
	for (unsigned int i = 0; i < pci_function_count; i++) {
		const struct pci_function *function = &pci_functions[i];
		uint32_t command = pci_read(function, PCI_COMMAND, 2);

		pci_write(function, PCI_COMMAND, command & ~COMMAND_DECODE, 2);
		for (unsigned int number = 0; number < BARS;)
			number += check_bar(function, number);
		pci_write(function, PCI_COMMAND, command, 2);
	}
}

static void write_status(void *argument)
{
	const struct device *device = argument;

	common_write(device, COMMON_STATUS, 0, 1);
}

static const struct pci_capability *find_common(const struct pci_function *function)
{
	for (unsigned int i = 0; i < function->capability_count; i++)
		if (function->capabilities[i].type == CAP_COMMON &&
		    function->capabilities[i].usable)
			return &function->capabilities[i];
	fail("no usable common configuration");
}

/* A BAR that is switched off passes nothing on. */
TEST(pci_bar_off, "AVP-PCI-001", .transport = TRANSPORT_PCI)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		struct fault fault;

		device_reset(device);
		device->ops->set_status(device, STATUS_DRIVER);
		pci_write(device->pci, PCI_COMMAND, COMMAND_MASTER, 2);
		fault_catch(write_status, device, &fault);
		pci_write(device->pci, PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2);
		check(device->ops->status(device) == STATUS_DRIVER,
		      "%s: a write to its registers arrived while its BARs were off, status 0x%x",
		      device_name(device), device->ops->status(device));
	}
}

static void set_bar(const struct pci_function *function, unsigned int number, uint64_t address)
{
	uint32_t type = pci_read(function, PCI_BAR(number), 4) & PCI_BAR_TYPE;

	pci_write(function, PCI_COMMAND, COMMAND_MASTER, 2);
	pci_write(function, PCI_BAR(number), (uint32_t)address | type, 4);
	if (function->bars[number].wide)
		pci_write(function, PCI_BAR(number + 1), (uint32_t)(address >> 32), 4);
	pci_write(function, PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2);
}

/* Finds the place of a BAR of another device to which @bar can be moved. */
static struct device *find_place(const struct device *device, const struct pci_bar *bar,
				 uint64_t *place)
{
	for (struct device *other = devices; other < devices + device_count; other++) {
		if (other->transport != TRANSPORT_PCI || other == device)
			continue;
		for (unsigned int i = 0; i < BARS; i++) {
			const struct pci_bar *theirs = &other->pci->bars[i];

			*place = theirs->address;
			if (theirs->size == bar->size && !theirs->port && theirs->address &&
			    (bar->wide || theirs->address <= UINT32_MAX))
				return other;
		}
	}
	return NULL;
}

/* The registers follow their BAR, here to the place of another device that is switched off. */
TEST(pci_bar_follows, "AVP-PCI-001", .transport = TRANSPORT_PCI)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device, *other;
		struct pci_function *function = device->pci;
		const struct pci_capability *cap = find_common(function);
		const struct pci_bar *bar = &function->bars[cap->bar];
		uint64_t place, at;
		uint32_t status;

		other = find_place(device, bar, &place);
		if (!other)
			continue;
		any = true;
		device_reset(device);
		other->touched = true;
		pci_write(other->pci, PCI_COMMAND, 0, 2);
		set_bar(function, cap->bar, place);
		at = place + cap->offset + COMMON_STATUS;
		arch_map(place + cap->offset, cap->size);
		mmio_write(at, VIRTIO_CONFIG_S_ACKNOWLEDGE, 1);
		status = (uint32_t)mmio_read(at, 1);
		set_bar(function, cap->bar, bar->address);
		pci_write(other->pci, PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2);
		check(status == VIRTIO_CONFIG_S_ACKNOWLEDGE &&
			      device->ops->status(device) == VIRTIO_CONFIG_S_ACKNOWLEDGE,
		      "%s: status 1, written where BAR %u was moved to, reads 0x%x there and 0x%x "
		      "when the BAR is back",
		      device_name(device), cap->bar, status, device->ops->status(device));
		dut_must_recover(&dut, "after its BAR was moved");
	}
	if (!any)
		skip("no two devices whose BARs have the same size");
}

TEST(pci_shared_memory, "AVP-PCI-026")
{
	bool any = false;

	for (unsigned int f = 0; f < pci_function_count; f++)
		for (unsigned int i = 0; i < pci_functions[f].capability_count; i++) {
			const struct pci_function *function = &pci_functions[f];
			const struct pci_capability *cap = &function->capabilities[i];
			const struct pci_bar *bar = &function->bars[cap->bar % BARS];

			if (cap->type != CAP_SHARED_MEMORY)
				continue;
			any = true;
			check(cap->inside && cap->size > 0 && !bar->port,
			      "PCI function %x:%x.%x: region %u, of 0x%lx bytes at 0x%lx, is not "
			      "inside BAR %u of 0x%lx bytes",
			      function->bus, function->slot, function->function, cap->id, cap->size,
			      cap->offset, cap->bar, bar->size);
			/* Nothing but a window of the host bridge is at that address. */
			check(!bar->address || !machine_has_memory(bar->address + cap->offset, 1),
			      "PCI function %x:%x.%x: region %u is in memory, at 0x%lx",
			      function->bus, function->slot, function->function, cap->id,
			      bar->address + cap->offset);
			for (unsigned int j = 0; j < i; j++)
				check(function->capabilities[j].type != CAP_SHARED_MEMORY ||
					      function->capabilities[j].id != cap->id,
				      "PCI function %x:%x.%x: two regions have the id %u",
				      function->bus, function->slot, function->function, cap->id);
		}
	if (!any)
		skip("no device has a shared memory region");
}

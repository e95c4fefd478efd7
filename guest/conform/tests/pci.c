// SPDX-License-Identifier: BSD-3-Clause
/* Chapter pci: virtio over PCI (VIRTIO 1.4, 4.1). */
#include "bus/pci.h"
#include "tests/rings.h"
#include "tests/watch.h"

#define NO_FUNCTION "no virtio device on PCI"
#define NO_MSIX	    "no device has MSI-X"

#define for_each_function(device)                                                        \
	for (struct device *device = devices; device < devices + device_count; device++) \
		if (device->transport == TRANSPORT_PCI)

static const struct pci_capability *find_cap(const struct pci_function *function, uint8_t type)
{
	for (unsigned int i = 0; i < function->capability_count; i++)
		if (function->capabilities[i].type == type)
			return &function->capabilities[i];
	return NULL;
}

TEST(pci_capability_list, "AVP-PCI-001")
{
	if (pci_function_count == 0)
		skip(NO_FUNCTION);
	for (unsigned int i = 0; i < pci_function_count; i++)
		check(!pci_functions[i].looped,
		      "PCI function %x:%x.%x: the list of capabilities loops", pci_functions[i].bus,
		      pci_functions[i].slot, pci_functions[i].function);
}

TEST(pci_config_space, "AVP-PCI-001", .transport = TRANSPORT_PCI)
{
	for_each_function(device)
	{
		const struct pci_function *function = device->pci;

		check((pci_read(function, 0x0e, 1) & 0x7f) == 0, "%s: header type 0x%x",
		      device_name(device), pci_read(function, 0x0e, 1));
		/* Off, then on: the device must answer afterwards. */
		pci_write(function, PCI_COMMAND, 0, 2);
		check((pci_read(function, PCI_COMMAND, 2) & 7) == 0, "%s: command stays 0x%x",
		      device_name(device), pci_read(function, PCI_COMMAND, 2));
		pci_write(function, PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2);
		check((pci_read(function, PCI_COMMAND, 2) & 6) == 6, "%s: command is 0x%x, not 6",
		      device_name(device), pci_read(function, PCI_COMMAND, 2));
		check(device_reset(device), "%s: the reset does not complete", device_name(device));
	}
}

TEST(pci_ids, "AVP-PCI-002", .transport = TRANSPORT_PCI)
{
	for_each_function(device)
	{
		uint16_t product = device->pci->product;
		static const uint16_t old[] = {0x1000, 0x1001, 0x1002, 0x1003,
					       0x1004, 0x1005, 0x1009};
		static const uint32_t types[] = {1, 2, 5, 3, 8, 4, 9};
		bool good = product == PCI_MODERN + device->id;

		for (unsigned int i = 0; i < 7; i++)
			good |= product == old[i] && device->id == types[i];
		check(good, "%s: PCI device id 0x%x for virtio id %u", device_name(device), product,
		      device->id);
	}
}

TEST(pci_ids_modern, "AVP-PCI-003", .transport = TRANSPORT_PCI)
{
	for_each_function(device)
	{
		check(device->pci->product >= PCI_MODERN, "SHOULD: %s: a transitional id, 0x%x",
		      device_name(device), device->pci->product);
		check(pci_read(device->pci, 0x08, 1) >= 1, "SHOULD: %s: revision 0",
		      device_name(device));
		check(pci_read(device->pci, 0x2e, 2) >= 0x40, "SHOULD: %s: subsystem id 0x%x",
		      device_name(device), pci_read(device->pci, 0x2e, 2));
	}
}

/* All functions with the ids of virtio: the driver skips those that lack something. */
TEST(pci_capabilities, "AVP-PCI-004")
{
	static const struct {
		uint8_t type;
		const char *name;
	} rows[] = {{CAP_COMMON, "common configuration"},
		    {CAP_NOTIFY, "notification"},
		    {CAP_ISR, "ISR"},
		    {CAP_PCI_CFG, "PCI configuration access"}};

	if (pci_function_count == 0)
		skip(NO_FUNCTION);
	for (unsigned int i = 0; i < pci_function_count; i++) {
		const struct pci_function *function = &pci_functions[i];

		for (unsigned int r = 0; r < 4; r++)
			check(find_cap(function, rows[r].type),
			      "PCI function %x:%x.%x has no %s capability", function->bus,
			      function->slot, function->function, rows[r].name);
		check(function->common && function->notify && function->isr,
		      "PCI function %x:%x.%x cannot be used: a structure is outside its BAR, too "
		      "short, or does not answer",
		      function->bus, function->slot, function->function);
	}
	for_each_function(device) if (device->type && device->type->config_size)
		check(find_cap(device->pci, CAP_DEVICE), "%s: no device configuration",
		      device_name(device));
}

TEST(pci_cap_bounds, "AVP-PCI-005", .transport = TRANSPORT_PCI)
{
	for_each_function(device) for (unsigned int i = 0; i < device->pci->capability_count; i++)
	{
		const struct pci_capability *cap = &device->pci->capabilities[i];
		uint32_t alignment = cap->type == CAP_COMMON || cap->type == CAP_DEVICE ? 4 :
				     cap->type == CAP_NOTIFY				? 2 :
											  1;

		/* Its structure is another one (VIRTIO 1.4, 4.1.4.8). */
		if (cap->type == CAP_VENDOR)
			continue;
		check(cap->length >=
			      (cap->type == CAP_NOTIFY || cap->type == CAP_PCI_CFG ? 20 : 16),
		      "%s: capability at 0x%x has length %u", device_name(device), cap->position,
		      cap->length);
		if (cap->type < CAP_COMMON || cap->type > CAP_DEVICE)
			continue;
		check(cap->inside,
		      "%s: capability %u: bar %u, offset 0x%lx, length 0x%lx is "
		      "outside its BAR",
		      device_name(device), cap->type, cap->bar, cap->offset, cap->size);
		check(cap->offset % alignment == 0, "%s: capability %u has offset 0x%lx",
		      device_name(device), cap->type, cap->offset);
	}
}

/* The shortest time that a kick of queue 0 by this structure takes, in ticks; 0: not accessible. */
static uint64_t time_kick(const struct device *device, const struct pci_capability *cap)
{
	const struct pci_bar *bar = &device->pci->bars[cap->bar];
	uint64_t best = UINT64_MAX;
	uint64_t offset;

	common_write(device, COMMON_QUEUE_SELECT, 0, 2);
	offset = cap->offset + common_read(device, COMMON_QUEUE_NOTIFY, 2) * cap->extra;
	if (!cap->inside || !bar->address || (bar->port && !ARCH_X86))
		return 0;
	for (int i = 0; i < 300; i++) {
		uint64_t from = arch_ticks(), took;

		if (bar->port)
			arch_port_write((uint16_t)(bar->address + offset), 0, 2);
		else
			mmio_write(bar->address + offset, 0, 2);
		took = arch_ticks() - from;
		best = took < best ? took : best;
	}
	return best;
}

/* The first notification structure must be the fastest; other structures come once. */
TEST(pci_cap_first, "AVP-PCI-006", .transport = TRANSPORT_PCI, .limit_ms = 20000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct pci_function *function = dut.device->pci;
		uint64_t first = 0;

		dut_open(&dut, SPLIT, 16);
		pci_write(function, PCI_COMMAND, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER, 2);
		for (unsigned int i = 0; i < function->capability_count; i++) {
			const struct pci_capability *cap = &function->capabilities[i];
			uint64_t took = cap->type == CAP_NOTIFY ? time_kick(dut.device, cap) : 0;

			if (!took)
				continue;
			any |= first != 0;
			check(first / 2 <= took,
			      "SHOULD: %s: a kick by the structure that is listed first takes %lu "
			      "ns, by a later one %lu ns",
			      device_name(dut.device), ticks_to_ns(first), ticks_to_ns(took));
			if (!first)
				first = took;
		}
		pci_write(function, PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2);
	}
	if (!any)
		skip("no device has two accessible notification structures");
}

TEST(pci_notify_layout, "AVP-PCI-007", .transport = TRANSPORT_PCI)
{
	for_each_function(device)
	{
		const uint64_t data = FEATURE(VIRTIO_F_NOTIFICATION_DATA);
		uint32_t multiplier = device->pci->multiplier, width = 2;

		/*
		 * A kick writes two bytes, four with data: the multiplier and the room must be that
		 * wide.
		 */
		for (int with = 0; with < (device_offered(device) & data ? 2 : 1);
		     with++, width = 4) {
			device_negotiate(device, with ? data : 0);
			check(multiplier % width == 0 && !(multiplier & (multiplier - 1)),
			      "%s: notify_off_multiplier is %u for kicks of %u bytes",
			      device_name(device), multiplier, width);
			for (uint32_t i = 0; i < QUEUES_MAX && device->ops->queue_size(device, i);
			     i++)
				check(pci_notify_address(device, i),
				      "%s: the notification address of queue %u, of %u bytes, is "
				      "outside the capability",
				      device_name(device), i, width);
		}
	}
}

TEST(pci_features_window, "AVP-PCI-008", .transport = TRANSPORT_PCI)
{
	static const uint32_t beyond[] = {3, 4, 100, 0x80000000, 0xffffffff};

	for_each_function(device)
	{
		device->touched = true;
		for (unsigned int i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++)
			check(device->ops->features(device, beyond[i]) == 0,
			      "%s: word %u of the features is 0x%x", device_name(device), beyond[i],
			      device->ops->features(device, beyond[i]));
		/* Word 2 belongs to the type (VIRTIO 1.4, 2.2). */
		check(!device->type ||
			      !(device->ops->features(device, 2) & ~device->type->features_high),
		      "%s: word 2 of the features is 0x%x", device_name(device),
		      device->ops->features(device, 2));
		device_negotiate(device, VERSION_1);
		common_write(device, COMMON_DRIVER_SELECT, 1, 4);
		check(common_read(device, COMMON_DRIVER, 4) == VERSION_1 >> 32,
		      "%s: driver_feature reads 0x%x, 1 was accepted", device_name(device),
		      common_read(device, COMMON_DRIVER, 4));
	}
}

TEST(pci_config_generation, "AVP-PCI-009", .transport = TRANSPORT_PCI, .limit_ms = 10000)
{
	expect_generation(TRANSPORT_PCI, "config_generation");
}

TEST(pci_config_halves, "AVP-PCI-010", .transport = TRANSPORT_PCI)
{
	bool any = false;

	for_each_function(device)
	{
		uint64_t address = device->pci->device_config, bytes = 0, halves;

		if (!device->type || !device->type->config_wide || !address)
			continue;
		any = true;
		halves = mmio_read(address, 4) | mmio_read(address + 4, 4) << 32;
		for (unsigned int i = 0; i < 8; i++)
			bytes |= mmio_read(address + i, 1) << 8 * i;
		check(bytes == halves, "%s: the first field is 0x%lx in bytes, 0x%lx in halves",
		      device_name(device), bytes, halves);
	}
	if (!any)
		skip("no device whose configuration begins with a field of 64 bits, as a disk's");
}

TEST(pci_reset, "AVP-PCI-011", .transport = TRANSPORT_PCI)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		dut_must_do(&dut, queue, "before a reset");
		check(device_reset(device), "%s: device_status does not read 0",
		      device_name(device));
		common_write(device, COMMON_QUEUE_SELECT, queue->index, 2);
		check(common_read(device, COMMON_QUEUE_ENABLE, 2) == 0,
		      "%s: queue_enable is 1 after a reset", device_name(device));
		check(common_read(device, COMMON_CONFIG_VECTOR, 2) == NO_VECTOR &&
			      common_read(device, COMMON_QUEUE_VECTOR, 2) == NO_VECTOR,
		      "%s: vectors are 0x%x and 0x%x after a reset", device_name(device),
		      common_read(device, COMMON_CONFIG_VECTOR, 2),
		      common_read(device, COMMON_QUEUE_VECTOR, 2));
	}
}

TEST(pci_queue_size, "AVP-PCI-012", .transport = TRANSPORT_PCI)
{
	for_each_function(device)
	{
		uint32_t count = common_read(device, COMMON_QUEUES, 2);

		device->touched = true;
		device_negotiate(device, VERSION_1);
		for (uint32_t i = 0; i < count && i < 64; i++) {
			uint32_t size = device->ops->queue_size(device, i);

			check(!(size & (size - 1)), "%s: queue_size of queue %u is %u",
			      device_name(device), i, size);
		}
		check(device->ops->queue_size(device, 0xfff0) == 0,
		      "%s: queue_size of queue 0xfff0 is %u", device_name(device),
		      device->ops->queue_size(device, 0xfff0));
	}
}

TEST(pci_queue_enable, "AVP-PCI-013", .transport = TRANSPORT_PCI)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		check(dut.device->ops->queue_enabled(dut.device, queue->index) == 1,
		      "%s: queue_enable is not 1", device_name(dut.device));
		dut_must_do(&dut, queue, "of an enabled queue");
	}
}

TEST(pci_queue_reset, "AVP-PCI-014", .transport = TRANSPORT_PCI)
{
	struct dut dut;

	if (!dut_get(0, TRANSPORT_PCI, RING_RESET, &dut))
		skip("no device offers VIRTIO_F_RING_RESET");
	for_each_dut(dut, TRANSPORT_PCI, RING_RESET)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, RING_RESET, 16);

		check(device->ops->queue_in_reset(device, queue->index) == 0,
		      "%s: queue_reset is not 0 at first", device_name(device));
		device->ops->reset_queue(device, queue->index);
		check(wait_until(device->ops->queue_in_reset(device, queue->index) == 0, 1000),
		      "%s: queue_reset stays 1", device_name(device));
		check(device->ops->queue_enabled(device, queue->index) == 0,
		      "%s: queue_enable is 1 after queue_reset became 0", device_name(device));
		queue = device_queue(device, queue->index, 16);
		check(device->ops->queue_in_reset(device, queue->index) == 0,
		      "%s: queue_reset is 1 after the queue is enabled again", device_name(device));
		dut_must_do(&dut, queue, "after its queue was reset");
	}
}

#define ISR_ROUNDS 20

/* Makes a request and reads the ISR status, which must be set; returns what a second read gets. */
static uint32_t read_isr_twice(struct dut *dut, struct queue *queue)
{
	struct device *device = dut->device;
	uint64_t address = device->pci->isr;
	uint32_t isr;

	dut_must_do(dut, queue, "with MSI-X off");
	check(wait_until((isr = (uint32_t)mmio_read(address, 1)) != 0, 1000),
	      "%s: the ISR status stays 0 after a used buffer", device_name(device));
	check(isr == ISR_QUEUE, "%s: the ISR status is 0x%x after a used buffer",
	      device_name(device), isr);
	return (uint32_t)mmio_read(address, 1);
}

/*
 * MSI-X off and no line attached: the ISR is read by hand. If an interrupt that the start of a
 * device may cause is late, one for a buffer may arrive between two reads, but not twenty times.
 */
TEST(pci_isr, "AVP-PCI-018", .transport = TRANSPORT_PCI)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		struct pci_function *function = device->pci;
		struct queue *queue;
		bool cleared = false;

		check(function->isr, "%s: no usable ISR structure", device_name(device));
		device->connected = true;
		function->by_line = true;
		if (function->msix)
			pci_write(function, function->msix + 2u, 0, 2);
		queue = dut_open(&dut, SPLIT, 16);
		mmio_read(function->isr, 1);
		for (int i = 0; i < ISR_ROUNDS && !cleared; i++)
			cleared = read_isr_twice(&dut, queue) == 0;
		check(cleared, "%s: a read does not clear the ISR status", device_name(device));
	}
}

TEST(pci_intx, "AVP-PCI-019", .transport = TRANSPORT_PCI)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue;
		uint32_t before, after;

		device->touched = true;
		device->connected = pci_connect_intx(device);
		if (!device->connected)
			skip("the interrupt of the pin is described in AML only");
		queue = dut_open(&dut, SPLIT, 16);
		for (int i = 0; i < 10; i++) {
			before = device->queue_interrupts;
			dut_must_do(&dut, queue, "with MSI-X off");
			check(wait_until(device->queue_interrupts != before, 1000),
			      "%s: no interrupt by INTx", device_name(device));
		}
		/* Disabled by the command register. */
		pci_write(device->pci, PCI_COMMAND,
			  COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX, 2);
		before = device->queue_interrupts;
		dut_must_do(&dut, queue, "with INTx disabled");
		sleep_ms(5);
		after = device->queue_interrupts;
		pci_write(device->pci, PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2);
		check(after == before, "%s: an interrupt by INTx, though it is disabled",
		      device_name(device));
		check(wait_until(device->queue_interrupts != before, 1000),
		      "%s: no interrupt after INTx was enabled again", device_name(device));
	}
}

TEST(pci_msix_table, "AVP-PCI-020", .transport = TRANSPORT_PCI)
{
	bool any = false;

	for_each_function(device)
	{
		if (!device->pci->msix)
			continue;
		any = true;
		device->touched = true;
		pci_write(device->pci, device->pci->msix + 2u, MSIX_ENABLE | MSIX_MASK_ALL, 2);
		for (uint32_t v = 0; v < device->pci->vectors; v++) {
			common_write(device, COMMON_CONFIG_VECTOR, v, 2);
			check(common_read(device, COMMON_CONFIG_VECTOR, 2) == v,
			      "%s: vector %u of %u for the configuration reads back as 0x%x",
			      device_name(device), v, device->pci->vectors,
			      common_read(device, COMMON_CONFIG_VECTOR, 2));
			common_write(device, COMMON_QUEUE_SELECT, 0, 2);
			common_write(device, COMMON_QUEUE_VECTOR, v, 2);
			check(common_read(device, COMMON_QUEUE_VECTOR, 2) == v,
			      "%s: vector %u for queue 0 reads back as 0x%x", device_name(device),
			      v, common_read(device, COMMON_QUEUE_VECTOR, 2));
		}
		common_write(device, COMMON_CONFIG_VECTOR, NO_VECTOR, 2);
		check(common_read(device, COMMON_CONFIG_VECTOR, 2) == NO_VECTOR,
		      "%s: the vector does not change to NO_VECTOR", device_name(device));
	}
	if (!any)
		skip(NO_MSIX);
}

TEST(pci_msix_vectors, "AVP-PCI-021", .transport = TRANSPORT_PCI)
{
	bool any = false;

	for_each_function(device)
	{
		if (!device->pci->msix)
			continue;
		any = true;
		check(device->pci->vectors >= 2 && device->pci->vectors <= 0x800,
		      "SHOULD: %s: %u vectors", device_name(device), device->pci->vectors);
	}
	if (!any)
		skip(NO_MSIX);
}

TEST(pci_msix_refused, "AVP-PCI-022", .transport = TRANSPORT_PCI)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		uint32_t beyond = device->pci->vectors;

		if (!device->pci->msix)
			continue;
		any = true;
		device->touched = true;
		pci_write(device->pci, device->pci->msix + 2u, MSIX_ENABLE | MSIX_MASK_ALL, 2);
		common_write(device, COMMON_CONFIG_VECTOR, beyond, 2);
		check(common_read(device, COMMON_CONFIG_VECTOR, 2) == NO_VECTOR,
		      "%s: vector %u of %u reads back as 0x%x", device_name(device), beyond, beyond,
		      common_read(device, COMMON_CONFIG_VECTOR, 2));
		dut_must_recover(&dut, "after a vector outside the table");
	}
	if (!any)
		skip(NO_MSIX);
}

TEST(pci_msix_no_vector, "AVP-PCI-023", .transport = TRANSPORT_PCI)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);
		uint32_t before;

		if (!device->connected || device->pci->by_line)
			continue;
		any = true;
		common_write(device, COMMON_QUEUE_SELECT, queue->index, 2);
		common_write(device, COMMON_QUEUE_VECTOR, NO_VECTOR, 2);
		before = device->queue_interrupts;
		dut_must_do(&dut, queue, "without a vector");
		sleep_ms(5);
		check(device->queue_interrupts == before, "%s: an interrupt without a vector",
		      device_name(device));
	}
	if (!any)
		skip("no device with MSI-X that this guest can use");
}

TEST(pci_msix_mask, "AVP-PCI-024", .transport = TRANSPORT_PCI)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);
		uint32_t vector = pci_queue_vector(device, queue->index), before;

		if (!device->connected || device->pci->by_line)
			continue;
		any = true;
		for (int whole = 0; whole < 2; whole++) {
			if (whole)
				pci_write(device->pci, device->pci->msix + 2u,
					  MSIX_ENABLE | MSIX_MASK_ALL, 2);
			else
				pci_msix_mask(device, vector, true);
			before = device->queue_interrupts;
			dut_must_do(&dut, queue, "while its vector is masked");
			sleep_ms(5);
			check(device->queue_interrupts == before,
			      "%s: a masked vector's interrupt arrived", device_name(device));
			if (whole)
				pci_write(device->pci, device->pci->msix + 2u, MSIX_ENABLE, 2);
			else
				pci_msix_mask(device, vector, false);
			check(wait_until(device->queue_interrupts != before, 1000),
			      "%s: no interrupt when the pending vector was unmasked",
			      device_name(device));
		}
	}
	if (!any)
		skip("no device with MSI-X that this guest can use");
}

static uint32_t read_by_cfg(const struct device *device, const struct pci_capability *cap,
			    uint8_t bar, uint32_t offset, uint32_t width)
{
	pci_write(device->pci, cap->position + 4u, bar, 1);
	pci_write(device->pci, cap->position + 8u, offset, 4);
	pci_write(device->pci, cap->position + 12u, width, 4);
	return pci_read(device->pci, cap->position + 16u, width == 2 ? 2 : width == 1 ? 1 : 4);
}

TEST(pci_cfg_access, "AVP-PCI-025", .transport = TRANSPORT_PCI)
{
	for_each_function(device)
	{
		const struct pci_capability *cfg = find_cap(device->pci, CAP_PCI_CFG);
		const struct pci_capability *common = find_cap(device->pci, CAP_COMMON);
		uint32_t queues, found;

		check(cfg && common, "%s: no PCI configuration access capability",
		      device_name(device));
		device->touched = true;
		queues = common_read(device, COMMON_QUEUES, 2);
		found = read_by_cfg(device, cfg, common->bar,
				    (uint32_t)common->offset + COMMON_QUEUES, 2);
		check(found == queues, "%s: num_queues is 0x%x, by pci_cfg_data 0x%x",
		      device_name(device), queues, found);
		/* A write as well: the status. */
		device_reset(device);
		pci_write(device->pci, cfg->position + 8u, (uint32_t)common->offset + COMMON_STATUS,
			  4);
		pci_write(device->pci, cfg->position + 12u, 1, 4);
		pci_write(device->pci, cfg->position + 16u, VIRTIO_CONFIG_S_ACKNOWLEDGE, 1);
		check(device->ops->status(device) == VIRTIO_CONFIG_S_ACKNOWLEDGE,
		      "%s: device_status is 0x%x after 1 was written by pci_cfg_data",
		      device_name(device), device->ops->status(device));
	}
}

TEST(pci_vendor_data, "AVP-PCI-027", .transport = TRANSPORT_PCI)
{
	bool any = false;

	for_each_function(device) for (unsigned int i = 0; i < device->pci->capability_count; i++)
	{
		const struct pci_capability *cap = &device->pci->capabilities[i];

		if (cap->type != CAP_VENDOR)
			continue;
		any = true;
		check(cap->length % 4 == 0, "%s: its length is %u", device_name(device),
		      cap->length);
		check(pci_read(device->pci, cap->position + 4u, 2) != 0x1af4,
		      "%s: its vendor id is that of virtio", device_name(device));
	}
	if (!any)
		skip("no device has vendor data");
}

TEST(pci_sr_iov, "AVP-PCI-028", .transport = TRANSPORT_PCI)
{
	bool any = false;

	for_each_function(device)
	{
		/*
		 * Looks for the extended capability, which only the memory-mapped configuration
		 * space reaches.
		 */
		bool found = false;
		uint32_t position = 0x100;

		if (!(device_offered(device) & FEATURE(VIRTIO_F_SR_IOV)))
			continue;
		any = true;
		for (int i = 0; machine.ecam && i < 100 && position >= 0x100; i++) {
			uint32_t head = pci_read(device->pci, position, 4);

			found |= (head & 0xffff) == 0x10;
			position = head >> 20;
		}
		check(found, "%s: offers VIRTIO_F_SR_IOV without the capability",
		      device_name(device));
	}
	if (!any)
		skip("no device offers VIRTIO_F_SR_IOV");
}

TEST(pci_notification_value, "AVP-PCI-029", .transport = TRANSPORT_PCI)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		for (int i = 0; i < 20; i++)
			dut_must_do(&dut, queue, "kicked by 16 bits");
	}
}

TEST(pci_bus_master, "AVP-PCI-030", .transport = TRANSPORT_PCI, .limit_ms = 10000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);
		struct request request;

		dut_must_do(&dut, queue, "with bus mastering on");
		pci_write(device->pci, PCI_COMMAND, COMMAND_MEMORY, 2);
		dut_build(&dut, 0, &request);
		driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable,
				 queue);
		queue_kick(queue);
		sleep_ms(20);
		pci_write(device->pci, PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2);
		check(!driver_queue_has_used(&queue->ring),
		      "%s: memory was written while bus mastering was off", device_name(device));
		dut_must_recover(&dut, "after bus mastering was off");
	}
}

static void access_bar(void *argument)
{
	const uint64_t *words = argument;

	if (words[2])
		mmio_write(words[0], words[3], (unsigned int)words[1]);
	else
		mmio_read(words[0], (unsigned int)words[1]);
}

TEST(pci_width_registers, "AVP-PCI-031", .transport = TRANSPORT_PCI, .limit_ms = 60000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		struct fault fault;

		dut_open(&dut, SPLIT, 16);
		for (unsigned int b = 0; b < 6; b++) {
			const struct pci_bar *bar = &device->pci->bars[b];

			if (!bar->address || bar->port)
				continue;
			for (unsigned int i = 0; i < 1500; i++) {
				unsigned int width = 1u << random_number() % 4;
				uint64_t limit = bar->size < 0x4000 ? bar->size : 0x4000;
				uint64_t words[4] = {bar->address + random_number() % (limit - 8),
						     width, random_number() % 2, random_number()};

				/*
				 * Skips accesses to the MSI-X table: a random message would raise a
				 * random interrupt.
				 */
				if (words[2] && words[0] + 8 > device->pci->msix_table &&
				    words[0] < device->pci->msix_table + 16 * device->pci->vectors)
					continue;
				fault_catch(access_bar, words, &fault);
			}
		}
		dut_must_recover(&dut, "after accesses of any width to its BARs");
	}
}

TEST(pci_cfg_access_wild, "AVP-PCI-032", .transport = TRANSPORT_PCI, .limit_ms = 20000)
{
	static const uint32_t offsets[] = {0,	   1,	    0x30,	0x38,	   0xffc,
					   0x1000, 0x10000, 0xfffffffc, UINT32_MAX};
	static const uint32_t widths[] = {0, 1, 2, 3, 4, 8, UINT32_MAX};
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		const struct pci_capability *cap = find_cap(device->pci, CAP_PCI_CFG);

		check(cap, "%s: no PCI configuration access capability", device_name(device));
		for (unsigned int bar = 0; bar < 8; bar++)
			for (unsigned int o = 0; o < 9; o++)
				for (unsigned int w = 0; w < 7; w++)
					read_by_cfg(device, cap, (uint8_t)bar, offsets[o],
						    widths[w]);
		dut_must_recover(&dut, "after wild accesses by pci_cfg_data");
	}
}

TEST(pci_readonly_written, "AVP-PCI-033", .transport = TRANSPORT_PCI)
{
	for_each_function(device)
	{
		uint32_t queues = common_read(device, COMMON_QUEUES, 2);
		uint32_t notify = common_read(device, COMMON_QUEUE_NOTIFY, 2);
		uint64_t offered = device_offered(device);

		common_write(device, COMMON_QUEUES, ~queues, 2);
		common_write(device, COMMON_QUEUE_NOTIFY, ~notify, 2);
		common_write(device, COMMON_DEVICE, 0, 4);
		common_write(device, COMMON_GENERATION, 0x55, 1);
		check(common_read(device, COMMON_QUEUES, 2) == queues &&
			      common_read(device, COMMON_QUEUE_NOTIFY, 2) == notify &&
			      device_offered(device) == offered,
		      "%s: a read-only field was written", device_name(device));
		for (unsigned int i = 0; i < device->pci->capability_count; i++) {
			const struct pci_capability *cap = &device->pci->capabilities[i];
			uint32_t before = pci_read(device->pci, cap->position, 4);
			uint32_t offset = pci_read(device->pci, cap->position + 8u, 4);

			pci_write(device->pci, cap->position, ~before, 4);
			if (cap->type != CAP_PCI_CFG)
				pci_write(device->pci, cap->position + 8u, ~offset, 4);
			check(pci_read(device->pci, cap->position, 4) == before &&
				      (cap->type == CAP_PCI_CFG ||
				       pci_read(device->pci, cap->position + 8u, 4) == offset),
			      "%s: the capability at 0x%x was written", device_name(device),
			      cap->position);
		}
	}
}

// SPDX-License-Identifier: BSD-3-Clause
/* Chapter pci: drivers that break the rules of the transport (VIRTIO 1.4, 4.1). */
#include "bus/pci.h"
#include "tests/rings.h"

TEST(pci_queue_wild, "AVP-PCI-034", .transport = TRANSPORT_PCI, .limit_ms = 30000)
{
	static const uint32_t sizes[] = {0, 3, 16384, 32767, 32768, 65535};
	static const uint64_t nowhere[3];
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue;
		char after[60];

		for (unsigned int i = 0; i < 6; i++) {
			device_open(device, SPLIT);
			queue = queue_prepare(device, dut.queue_index, 16);
			device->ops->set_queue(device, queue->index, sizes[i], queue->addresses);
			device->ops->enable_queue(device, queue->index, 1);
			device_run(device);
			split_offer(queue, 0);
			queue_kick(queue);
			sleep_ms(2);
			text_format(after, sizeof(after), "after queue_size %u", sizes[i]);
			dut_must_recover(&dut, after);
		}
		/* Enabled without addresses, then changed, then 0 written. */
		device_open(device, SPLIT);
		device->ops->set_queue(device, dut.queue_index, 16, nowhere);
		device->ops->enable_queue(device, dut.queue_index, 1);
		device_run(device);
		queue = queue_prepare(device, dut.queue_index, 16);
		device->ops->set_queue(device, queue->index, 8, queue->addresses);
		queue_kick(queue);
		device->ops->enable_queue(device, queue->index, 0);
		queue_kick(queue);
		dut_must_recover(&dut, "after a queue was enabled without addresses");
	}
}

TEST(pci_notify_wild, "AVP-PCI-035", .transport = TRANSPORT_PCI, .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		uint64_t base = device->pci->notify;
		uint32_t limit = device->pci->notify_size < 256 ? device->pci->notify_size : 256;

		for (int state = 0; state < 3; state++) {
			if (state == 0)
				device_reset(device);
			else if (state == 1)
				device_open(device, SPLIT);
			else
				dut_open(&dut, SPLIT, 16);
			for (uint32_t offset = 0; offset + 4 <= limit; offset += 2) {
				mmio_write(base + offset, random_number(), 2);
				if (offset % 4 == 0)
					mmio_write(base + offset, random_number(), 4);
				mmio_write(base + offset, random_number(), 1);
			}
		}
		dut_must_recover(&dut, "after wild kicks");
	}
}

static void move_bar(const struct pci_function *function, unsigned int bar, uint64_t address)
{
	uint32_t reg = 0x10 + 4 * bar, low = pci_read(function, reg, 4) & 15;

	pci_write(function, PCI_COMMAND, 0, 2);
	pci_write(function, reg, (uint32_t)address | low, 4);
	if (function->bars[bar].wide)
		pci_write(function, reg + 4, (uint32_t)(address >> 32), 4);
	pci_write(function, PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER, 2);
}

TEST(pci_bar_moved, "AVP-PCI-036", .transport = TRANSPORT_PCI, .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct pci_function *function = dut.device->pci;

		for (unsigned int b = 0; b < 6; b++) {
			const struct pci_bar *bar = &function->bars[b];
			uint64_t from, to;

			if (!bar->address || bar->port || bar->size > 1 << 20)
				continue;
			dut_open(&dut, SPLIT, 16);
			/* Over unused memory, then where nothing is described. */
			pages_free_range(&from, &to);
			to = (to - 0x200000) & ~UINT64_C(0xfffff);
			if (to > from)
				move_bar(function, b, to);
			move_bar(function, b, 0xfffff000 & ~(bar->size - 1));
			move_bar(function, b, bar->address);
			dut_must_recover(&dut, "after its BAR was moved and restored");
		}
	}
}

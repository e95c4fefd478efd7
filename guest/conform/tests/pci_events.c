// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter pci: each event by each vector, or by none; the bits of the ISR status; what a kick
 * carries (VIRTIO 1.4, 4.1.4.5 and 4.1.5). A device that needs a reset tells so by the event of its
 * configuration.
 */
#include "bus/pci.h"
#include "tests/rings.h"

#define NO_TELLING "no device whose event of the configuration a driver can cause"

/* Breaks the device. Returns whether it sets DEVICE_NEEDS_RESET. */
static bool break_device(struct device *device, struct queue *queue)
{
	split_offer(queue, 0xffff);
	queue_kick(queue);
	return wait_until(device->ops->status(device) & NEEDS_RESET, 1000);
}

/* The ISR status is read by hand: MSI-X is off and no line attached. */
TEST(pci_isr_config, "AVP-PCI-018", .transport = TRANSPORT_PCI, .limit_ms = 20000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct device *device = dut.device;
		struct pci_function *function = device->pci;
		struct queue *queue;
		uint32_t isr = 0;

		device->connected = true;
		function->by_line = true;
		if (function->msix)
			pci_write(function, function->msix + 2u, 0, 2);
		queue = dut_open(&dut, SPLIT, 16);
		mmio_read(function->isr, 1);
		if (!break_device(device, queue))
			continue;
		any = true;
		check(wait_until((isr |= (uint32_t)mmio_read(function->isr, 1)) & ISR_CONFIG, 1000),
		      "%s: the ISR status is 0x%x after DEVICE_NEEDS_RESET", device_name(device),
		      isr);
		check(!(isr & ~(ISR_QUEUE | ISR_CONFIG)),
		      "%s: the ISR status has reserved bits: 0x%x", device_name(device), isr);
		check(!(mmio_read(function->isr, 1) & ISR_CONFIG),
		      "%s: a read does not clear the ISR status", device_name(device));
	}
	if (!any)
		skip(NO_TELLING);
}

static void note(void *context)
{
	(void)context;
}

/* The vectors of a device, all of them attached. */
struct vectors {
	struct device *device;
	uint32_t count;
	uint64_t before[PCI_VECTORS_MAX];
};

static void attach_vectors(struct vectors *vectors, struct device *device)
{
	struct pci_function *function = device->pci;

	*vectors = (struct vectors){.device = device};
	device->touched = true;
	pci_write(function, function->msix + 2u, MSIX_ENABLE | MSIX_MASK_ALL, 2);
	while (vectors->count < function->vectors && vectors->count < PCI_VECTORS_MAX &&
	       pci_attach_vector(device, vectors->count, note))
		vectors->count++;
	pci_write(function, function->msix + 2u, MSIX_ENABLE, 2);
	function->by_line = false;
	function->queue_vectors = 0;
	device->connected = true;
}

static void detach_vectors(struct vectors *vectors)
{
	device_reset(vectors->device);
	pci_write(vectors->device->pci, vectors->device->pci->msix + 2u, 0, 2);
	interrupt_detach_all();
	vectors->device->connected = false;
}

static void count_vectors(struct vectors *vectors)
{
	for (uint32_t v = 0; v < vectors->count; v++)
		vectors->before[v] = interrupt_count(vectors->device->pci->interrupts[v]);
}

static bool has_come(const struct vectors *vectors, uint32_t vector)
{
	return interrupt_count(vectors->device->pci->interrupts[vector]) != vectors->before[vector];
}

/* Runs the device with these vectors for its configuration, its request queue and the others. */
static struct queue *run_with(struct dut *dut, struct vectors *vectors, uint32_t config,
			      uint32_t request)
{
	struct device *device = dut->device;
	struct queue *queue = dut_set_up(dut, SPLIT, 16);

	common_write(device, COMMON_CONFIG_VECTOR, config, 2);
	for (uint32_t i = 0; i <= dut->queue_index; i++) {
		common_write(device, COMMON_QUEUE_SELECT, i, 2);
		common_write(device, COMMON_QUEUE_VECTOR,
			     i == dut->queue_index ? request : NO_VECTOR, 2);
	}
	count_vectors(vectors);
	device_run(device);
	return queue;
}

/* The event must come by @vector and no other. */
static void must_come(const struct vectors *vectors, uint32_t vector, const char *event)
{
	check(wait_until(has_come(vectors, vector), 1000),
	      "%s: no interrupt by vector %u, which %s has", device_name(vectors->device), vector,
	      event);
	for (uint32_t other = 0; other < vectors->count; other++)
		check(other == vector || !has_come(vectors, other),
		      "%s: an interrupt by vector %u, %s has %u", device_name(vectors->device),
		      other, event, vector);
}

/* More requests than interrupts that the start of a queue may cause (devices/dut.h). */
#define REQUESTS (QUEUE_START_INTERRUPTS + 2)

TEST(pci_msix_delivered, "AVP-PCI-020", .transport = TRANSPORT_PCI, .limit_ms = 30000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct vectors vectors;

		if (!dut.device->pci->msix)
			continue;
		attach_vectors(&vectors, dut.device);
		any |= vectors.count > 0;
		for (uint32_t v = 0; v < vectors.count; v++) {
			struct queue *queue = run_with(&dut, &vectors, NO_VECTOR, v);

			for (int i = 0; i < REQUESTS; i++) {
				count_vectors(&vectors);
				dut_must_do(&dut, queue, "with MSI-X enabled");
				must_come(&vectors, v, "its queue");
			}
		}
		detach_vectors(&vectors);
	}
	if (!any)
		skip("no device with MSI-X that this guest can use");
}

TEST(pci_config_delivered, "AVP-PCI-020", .transport = TRANSPORT_PCI, .limit_ms = 30000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct vectors vectors;

		if (!dut.device->pci->msix)
			continue;
		attach_vectors(&vectors, dut.device);
		for (uint32_t v = 0; v < vectors.count; v++) {
			if (!break_device(dut.device, run_with(&dut, &vectors, v, NO_VECTOR)))
				break;
			any = true;
			must_come(&vectors, v, "its configuration");
		}
		detach_vectors(&vectors);
	}
	if (!any)
		skip(NO_TELLING);
}

TEST(pci_msix_unset, "AVP-PCI-023", .transport = TRANSPORT_PCI, .limit_ms = 20000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_PCI, SPLIT)
	{
		struct vectors vectors;
		struct queue *queue;

		if (!dut.device->pci->msix)
			continue;
		attach_vectors(&vectors, dut.device);
		any |= vectors.count > 0;
		queue = run_with(&dut, &vectors, NO_VECTOR, NO_VECTOR);
		dut_must_do(&dut, queue, "without a vector");
		break_device(dut.device, queue);
		sleep_ms(5);
		for (uint32_t v = 0; v < vectors.count; v++)
			check(!has_come(&vectors, v),
			      "%s: an interrupt by vector %u, which no event has",
			      device_name(dut.device), v);
		detach_vectors(&vectors);
	}
	if (!any)
		skip("no device with MSI-X that this guest can use");
}

/* Requests whose kicks the negotiated features shape (bus/virtio_pci.c). */
static bool kick_with(uint64_t features)
{
	struct dut dut;
	bool any = false;

	for (unsigned int n = 0; dut_get(n, TRANSPORT_PCI, features, &dut); n++) {
		struct queue *queue = dut_open(&dut, features, 16);

		any = true;
		for (int i = 0; i < 20; i++)
			dut_must_do(&dut, queue, "kicked with other data than the queue's index");
	}
	return any;
}

TEST(pci_notification_data, "AVP-PCI-029", .transport = TRANSPORT_PCI, .limit_ms = 15000)
{
	if (!kick_with(FEATURE(VIRTIO_F_NOTIFICATION_DATA)))
		skip("no device offers VIRTIO_F_NOTIFICATION_DATA");
}

TEST(pci_notification_config, "AVP-PCI-029", .transport = TRANSPORT_PCI, .limit_ms = 15000)
{
	if (!kick_with(FEATURE(VIRTIO_F_NOTIF_CONFIG_DATA)))
		skip("no device offers VIRTIO_F_NOTIF_CONFIG_DATA");
	kick_with(FEATURE(VIRTIO_F_NOTIF_CONFIG_DATA) | FEATURE(VIRTIO_F_NOTIFICATION_DATA));
}

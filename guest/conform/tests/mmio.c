// SPDX-License-Identifier: BSD-3-Clause
/* Chapter mmio: registers of virtio-mmio (VIRTIO 1.4, 4.2). */
#include "bus/virtio_mmio.h"
#include "tests/rings.h"
#include "tests/watch.h"

#define for_each_mmio(device)                                                            \
	for (struct device *device = devices; device < devices + device_count; device++) \
		if (device->transport == TRANSPORT_MMIO)

/* Checks every described window: drivers use only valid ones. */
TEST(mmio_identity, "AVP-MMIO-001")
{
	bool any = false;

	if (machine.slot_count == 0)
		skip("no window of virtio-mmio is described");
	for (unsigned int i = 0; i < machine.slot_count; i++) {
		struct device window = {.base = machine.slots[i].address};
		uint32_t magic = mmio_get(&window, VIRTIO_MMIO_MAGIC_VALUE);
		uint32_t version = mmio_get(&window, VIRTIO_MMIO_VERSION);
		uint32_t id = mmio_get(&window, VIRTIO_MMIO_DEVICE_ID);

		/* An empty window. */
		if ((magic & version & id) == UINT32_MAX || id == 0)
			continue;
		any = true;
		check(magic == MMIO_MAGIC, "MagicValue at 0x%lx is 0x%x", window.base, magic);
		check(version == 2, "Version at 0x%lx is %u%s", window.base, version,
		      version == 1 ? ", of a legacy device, which the contract does not have" : "");
	}
	if (!any)
		skip("no window has a device");
}

TEST(mmio_placeholder, "AVP-MMIO-002")
{
	bool any = false;

	for (unsigned int i = 0; i < machine.slot_count; i++) {
		uint64_t base = machine.slots[i].address;

		if (mmio_read(base + VIRTIO_MMIO_DEVICE_ID, 4) != 0)
			continue;
		any = true;
		check(mmio_read(base, 4) == MMIO_MAGIC, "MagicValue at 0x%lx is 0x%lx", base,
		      mmio_read(base, 4));
		for (uint32_t offset = 0; offset < 0x110; offset += 4)
			mmio_write(base + offset, UINT32_MAX, 4);
		check(mmio_read(base, 4) == MMIO_MAGIC && !mmio_read(base + 8, 4),
		      "a window without a device changed");
	}
	if (!any)
		skip("every window has a device");
}

TEST(mmio_features_window, "AVP-MMIO-003", .transport = TRANSPORT_MMIO)
{
	static const uint32_t beyond[] = {3, 4, 100, 0x80000000, 0xffffffff};

	for_each_mmio(device)
	{
		uint64_t offered = device_offered(device);

		for (unsigned int i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++)
			check(device->ops->features(device, beyond[i]) == 0,
			      "%s: word %u of the features is 0x%x", device_name(device), beyond[i],
			      device->ops->features(device, beyond[i]));
		/* Word 2 belongs to the type (VIRTIO 1.4, 2.2). */
		check(!device->type ||
			      !(device->ops->features(device, 2) & ~device->type->features_high),
		      "%s: word 2 of the features is 0x%x", device_name(device),
		      device->ops->features(device, 2));
		check(device_offered(device) == offered, "%s: features changed",
		      device_name(device));
	}
}

TEST(mmio_driver_features, "AVP-MMIO-004", .transport = TRANSPORT_MMIO)
{
	for_each_mmio(device)
	{
		if (device_demands(device))
			continue;
		/* The high word first, and one beyond the features, which is 0. */
		device_reset(device);
		device->ops->set_status(device, STATUS_DRIVER);
		device->ops->set_features(device, 1, 1);
		device->ops->set_features(device, 0, 0);
		device->ops->set_features(device, 2, 0);
		device->ops->set_status(device, STATUS_FEATURES);
		check(device->ops->status(device) & VIRTIO_CONFIG_S_FEATURES_OK,
		      "%s: VERSION_1, written first, was not accepted", device_name(device));
	}
}

/* VIRTIO 1.4, 2.7: the limit of every transport. */
#define QUEUE_SIZE_LIMIT 32768u
/* Most entries for which there surely is memory. */
#define QUEUE_SIZE_TRIED 4096u

TEST(mmio_queue_max, "AVP-MMIO-005", .transport = TRANSPORT_MMIO, .limit_ms = 10000)
{
	struct dut dut;

	for_each_mmio(device)
	{
		uint32_t size = device->ops->queue_size(device, 0);

		device->touched = true;
		/* Any number: a packed ring's need not be a power of two (2.8.10). */
		check(size > 0 && size <= QUEUE_SIZE_LIMIT, "%s: QueueSizeMax is %u",
		      device_name(device), size);
		check(device->ops->queue_size(device, 2000) == 0, "%s: queue 2000 exists",
		      device_name(device));
	}
	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		uint64_t mark = pages_mark();
		uint32_t size = dut.device->ops->queue_size(dut.device, dut.queue_index);

		dut_must_do(&dut,
			    dut_open(&dut, SPLIT,
				     size < QUEUE_SIZE_TRIED ? size : QUEUE_SIZE_TRIED),
			    "in the largest queue");
		device_reset(dut.device);
		pages_release(mark);
	}
}

TEST(mmio_queue_ready, "AVP-MMIO-006", .transport = TRANSPORT_MMIO)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue;

		device_open(device, SPLIT);
		check(device->ops->queue_enabled(device, dut.queue_index) == 0,
		      "%s: QueueReady is not 0 at first", device_name(device));
		queue = device_queue(device, dut.queue_index, 16);
		check(device->ops->queue_enabled(device, queue->index) == 1,
		      "%s: QueueReady reads %u after 1", device_name(device),
		      device->ops->queue_enabled(device, queue->index));
		device->ops->enable_queue(device, queue->index, 0);
		check(device->ops->queue_enabled(device, queue->index) == 0,
		      "%s: QueueReady does not read 0 after 0 was written", device_name(device));
	}
}

TEST(mmio_queue_stop, "AVP-MMIO-007", .transport = TRANSPORT_MMIO, .limit_ms = 10000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);
		struct request request;

		dut_must_do(&dut, queue, "while the queue is ready");
		device->ops->enable_queue(device, queue->index, 0);
		check(wait_until(device->ops->queue_enabled(device, queue->index) == 0, 1000),
		      "%s: QueueReady stays 1", device_name(device));
		dut_build(&dut, 0, &request);
		driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable,
				 queue);
		queue_kick(queue);
		sleep_ms(20);
		check(!driver_queue_has_used(&queue->ring),
		      "%s: a queue whose QueueReady is 0 was served", device_name(device));
		dut_must_recover(&dut, "after QueueReady 0");
	}
}

TEST(mmio_queue_select, "AVP-MMIO-008", .transport = TRANSPORT_MMIO)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		mmio_put(device, VIRTIO_MMIO_QUEUE_SEL, 5000);
		mmio_put(device, VIRTIO_MMIO_QUEUE_NUM, 4);
		mmio_put(device, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1000);
		mmio_put(device, VIRTIO_MMIO_QUEUE_READY, 1);
		check(mmio_get(device, VIRTIO_MMIO_QUEUE_READY) == 0,
		      "%s: a queue that does not exist is ready", device_name(device));
		dut_must_do(&dut, queue, "after another queue was selected");
	}
}

TEST(mmio_queue_address_high, "AVP-MMIO-009", .transport = TRANSPORT_MMIO)
{
	struct dut dut;
	uint64_t high = 0;

	for (unsigned int i = 0; i < machine.range_count; i++)
		if (machine.ranges[i].usable && machine.ranges[i].end > 0x100200000)
			high = machine.ranges[i].end - 0x100000;
	if (!high)
		skip("no memory above 4 GiB");
	arch_map(high, 0x100000);
	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue;

		device_open(device, SPLIT);
		dut_set_up_others(&dut);
		queue = queue_prepare(device, dut.queue_index, 16);
		memset((void *)high, 0, queue->ring.layout.size);
		queue->ring.ring = queue->memory = (uint8_t *)high;
		queue->addresses[0] = high + queue->ring.layout.descriptors;
		queue->addresses[1] = high + queue->ring.layout.driver;
		queue->addresses[2] = high + queue->ring.layout.device;
		queue_enable(queue);
		device_run(device);
		dut_must_do(&dut, queue, "in a ring above 4 GiB");
	}
}

TEST(mmio_interrupt_status, "AVP-MMIO-010", .transport = TRANSPORT_MMIO)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		if (device->connected)
			interrupt_mask(device->interrupt, true);
		mmio_put(device, VIRTIO_MMIO_INTERRUPT_ACK,
			 mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS));
		check(mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS) == 0,
		      "%s: InterruptStatus is 0x%x before any event", device_name(device),
		      mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS));
		dut_must_do(&dut, queue, "with interrupts polled");
		check(wait_until(mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS) ==
					 VIRTIO_MMIO_INT_VRING,
				 1000),
		      "%s: InterruptStatus is 0x%x after a used buffer", device_name(device),
		      mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS));
		mmio_put(device, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
		check(mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS) == 0,
		      "%s: InterruptStatus is 0x%x after the acknowledgement", device_name(device),
		      mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS));
		if (device->connected)
			interrupt_mask(device->interrupt, false);
	}
}

TEST(mmio_interrupt_ack, "AVP-MMIO-011", .transport = TRANSPORT_MMIO)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		if (device->connected)
			interrupt_mask(device->interrupt, true);
		dut_must_do(&dut, queue, "with interrupts polled");
		check(wait_until(mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS) &
					 VIRTIO_MMIO_INT_VRING,
				 1000),
		      "%s: no bit in InterruptStatus", device_name(device));
		mmio_put(device, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
		check(mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING,
		      "%s: acknowledging the configuration bit cleared the queue bit",
		      device_name(device));
	}
}

/* A device that needs a reset tells so by the event of its configuration (VIRTIO 1.4, 2.1.2). */
TEST(mmio_interrupt_config, "AVP-MMIO-010 AVP-MMIO-011", .transport = TRANSPORT_MMIO,
     .limit_ms = 20000)
{
	const uint32_t both = VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG;
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);
		uint32_t status;

		/* It stays masked: a broken device may not take back its interrupt. */
		if (device->connected)
			interrupt_mask(device->interrupt, true);
		mmio_put(device, VIRTIO_MMIO_INTERRUPT_ACK, both);
		split_offer(queue, 0xffff);
		queue_kick(queue);
		if (!wait_until(device->ops->status(device) & NEEDS_RESET, 1000))
			continue;
		any = true;
		check(wait_until((status = mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS)) &
					 VIRTIO_MMIO_INT_CONFIG,
				 1000),
		      "%s: InterruptStatus is 0x%x after DEVICE_NEEDS_RESET", device_name(device),
		      status);
		check(!(status & ~both), "%s: InterruptStatus has reserved bits: 0x%x",
		      device_name(device), status);
		mmio_put(device, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
		check(mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG,
		      "%s: acknowledging the queue bit cleared the configuration bit",
		      device_name(device));
		mmio_put(device, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
		check(!(mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG),
		      "%s: the configuration bit stays after its acknowledgement",
		      device_name(device));
	}
	if (!any)
		skip("no device whose event of the configuration a driver can cause");
}

TEST(mmio_interrupt_race, "AVP-MMIO-012", .transport = TRANSPORT_MMIO, .limit_ms = 20000)
{
	struct dut dut;

	/*
	 * Two requests with a random pause between them: the second must cause an interrupt as
	 * well.
	 */
	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		if (!device->connected)
			skip("%s has no interrupt", device_name(device));
		for (int i = 0; i < 50; i++) {
			struct request request;
			unsigned int done = 0;
			uint32_t seen = device->queue_interrupts - 1, written;
			struct deadline deadline = deadline_after_ms(ANSWER_MS);

			for (int n = 0; n < 2; n++) {
				dut_build(&dut, (unsigned int)n, &request);
				driver_queue_add(&queue->ring, request.buffers, request.readable,
						 request.writable, queue);
				queue_kick(queue);
				for (uint64_t pause = random_number() % 2000; pause > 0; pause--)
					arch_relax();
			}
			/* Checks the ring only after an interrupt. */
			while (done < 2) {
				int error = 0;

				check(!deadline_passed(&deadline),
				      "%s: interrupts for %u of 2 used buffers, round %d",
				      device_name(device), done, i);
				if (device->queue_interrupts == seen)
					continue;
				seen = device->queue_interrupts;
				while (driver_queue_take(&queue->ring, &written, &error))
					done++;
				check(error == 0, "a wrong used entry");
			}
		}
	}
}

TEST(mmio_reset_registers, "AVP-MMIO-013", .transport = TRANSPORT_MMIO)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		if (device->connected)
			interrupt_mask(device->interrupt, true);
		dut_must_do(&dut, queue, "before a reset");
		wait_until(mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS), 1000);
		device_reset(device);
		check(mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS) == 0,
		      "%s: InterruptStatus is 0x%x after a reset", device_name(device),
		      mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS));
		for (uint32_t i = 0; i < 2 && device->ops->queue_size(device, i); i++)
			check(device->ops->queue_enabled(device, i) == 0,
			      "%s: queue %u is ready after a reset", device_name(device), i);
	}
}

TEST(mmio_queue_reset, "AVP-MMIO-014", .transport = TRANSPORT_MMIO)
{
	struct dut dut;

	if (!dut_get(0, TRANSPORT_MMIO, RING_RESET, &dut))
		skip("no device offers VIRTIO_F_RING_RESET");
	for_each_dut(dut, TRANSPORT_MMIO, RING_RESET)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, RING_RESET, 16);

		check(device->ops->queue_in_reset(device, queue->index) == 0,
		      "%s: QueueReset is not 0 at first", device_name(device));
		device->ops->reset_queue(device, queue->index);
		check(wait_until(device->ops->queue_in_reset(device, queue->index) == 0, 1000),
		      "%s: QueueReset stays 1", device_name(device));
		check(device->ops->queue_enabled(device, queue->index) == 0,
		      "%s: QueueReady is 1 after QueueReset became 0", device_name(device));
		queue = device_queue(device, queue->index, 16);
		check(device->ops->queue_in_reset(device, queue->index) == 0,
		      "%s: QueueReset is 1 after the queue is enabled again", device_name(device));
		dut_must_do(&dut, queue, "after its queue was reset");
	}
}

TEST(mmio_config_generation, "AVP-MMIO-015", .transport = TRANSPORT_MMIO, .limit_ms = 10000)
{
	expect_generation(TRANSPORT_MMIO, "ConfigGeneration");
}

TEST(mmio_config_width, "AVP-MMIO-016", .transport = TRANSPORT_MMIO)
{
	bool any = false;

	for_each_mmio(device)
	{
		uint64_t low, high, bytes = 0;

		if (!device->type || !device->type->config_wide)
			continue;
		any = true;
		low = mmio_read(device->base + VIRTIO_MMIO_CONFIG, 4);
		high = mmio_read(device->base + VIRTIO_MMIO_CONFIG + 4, 4);
		for (unsigned int i = 0; i < 8; i++)
			bytes |= mmio_read(device->base + VIRTIO_MMIO_CONFIG + i, 1) << 8 * i;
		check(bytes == (high << 32 | low),
		      "%s: the first field is 0x%lx in bytes, 0x%lx in halves", device_name(device),
		      bytes, high << 32 | low);
	}
	if (!any)
		skip("no device whose configuration begins with a field of 64 bits, as a disk's");
}

TEST(mmio_shared_memory, "AVP-MMIO-017", .transport = TRANSPORT_MMIO)
{
	bool any = false;

	for_each_mmio(device) for (uint32_t id = 0; id < 256; id += 17)
	{
		uint64_t base, length;

		/* Of all types that this guest knows, one may have shared memory: pmem.c. */
		if (!device->type || (device->id == VIRTIO_ID_PMEM && id == 0))
			continue;
		any = true;
		check(!mmio_region(device, id, &base, &length),
		      "%s: region %u has base 0x%lx and length 0x%lx", device_name(device), id,
		      base, length);
	}
	if (!any)
		skip("no device of a type that has no shared memory");
}

TEST(mmio_no_admin, "AVP-MMIO-018", .transport = TRANSPORT_MMIO)
{
	for_each_mmio(device) check(!(device_offered(device) & FEATURE(VIRTIO_F_ADMIN_VQ)),
				    "%s: offers VIRTIO_F_ADMIN_VQ", device_name(device));
}

TEST(mmio_status_readback, "AVP-MMIO-019", .transport = TRANSPORT_MMIO)
{
	for_each_mmio(device)
	{
		device_reset(device);
		device->ops->set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
		check(device->ops->status(device) == VIRTIO_CONFIG_S_ACKNOWLEDGE,
		      "%s: Status reads 0x%x after 1", device_name(device),
		      device->ops->status(device));
		device->ops->set_status(device, STATUS_DRIVER);
		check(device->ops->status(device) == STATUS_DRIVER, "%s: Status reads 0x%x after 3",
		      device_name(device), device->ops->status(device));
	}
}

static void access_any(void *argument)
{
	const uint64_t *words = argument;

	if (words[2])
		mmio_write(words[0], words[3], (unsigned int)words[1]);
	else
		mmio_read(words[0], (unsigned int)words[1]);
}

/* Makes one access. Returns whether it raised an exception. */
static bool access_register(uint64_t address, unsigned int width, bool write, uint64_t value)
{
	uint64_t words[4] = {address, width, write, value};
	struct fault fault;

	return fault_catch(access_any, words, &fault);
}

TEST(mmio_width_registers, "AVP-MMIO-020", .transport = TRANSPORT_MMIO, .limit_ms = 30000)
{
	static const unsigned int widths[] = {1, 2, 8};
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		char after[60];

		dut_open(&dut, SPLIT, 16);
		for (uint32_t offset = 0; offset < 0x100; offset += 4)
			for (unsigned int w = 0; w < 3; w++) {
				access_register(device->base + offset, widths[w], false, 0);
				access_register(device->base + offset + 1, widths[w], false, 0);
			}
		for (uint32_t offset = 0; offset < 0x100; offset += 4)
			for (unsigned int w = 0; w < 3; w++) {
				access_register(device->base + offset, widths[w], true,
						random_number());
				access_register(device->base + offset + 2,
						widths[w] == 8 ? 4 : widths[w], true,
						random_number());
			}
		check(mmio_get(device, VIRTIO_MMIO_MAGIC_VALUE) == MMIO_MAGIC,
		      "%s: MagicValue changed", device_name(device));
		text_format(after, sizeof(after), "after accesses of wrong widths");
		dut_must_recover(&dut, after);
	}
}

TEST(mmio_undescribed, "AVP-MMIO-021 AVP-MMIO-028", .transport = TRANSPORT_MMIO, .limit_ms = 20000)
{
	static const uint32_t read_only[] = {0x000, 0x004, 0x008, 0x00c, 0x010, 0x034, 0x060};
	static const uint32_t undescribed[] = {0x018, 0x01c, 0x028, 0x02c, 0x03c, 0x040, 0x048,
					       0x04c, 0x054, 0x058, 0x068, 0x06c, 0x074, 0x07c,
					       0x088, 0x098, 0x0a8, 0x0c4, 0x0c8, 0x0f0, 0x0f8};
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		for (unsigned int i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
			uint32_t before = mmio_get(device, read_only[i]);

			mmio_put(device, read_only[i], ~before);
			if (read_only[i] == 0x060)
				continue;
			check(mmio_get(device, read_only[i]) == before,
			      "%s: the read-only register 0x%x was written", device_name(device),
			      read_only[i]);
		}
		for (unsigned int i = 0; i < sizeof(undescribed) / sizeof(undescribed[0]); i++) {
			mmio_get(device, undescribed[i]);
			mmio_put(device, undescribed[i], UINT32_MAX);
		}
		dut_must_do(&dut, queue, "after accesses to what is not described");
	}
}

TEST(mmio_config_beyond, "AVP-MMIO-022", .transport = TRANSPORT_MMIO, .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		for (uint32_t offset = 0x140; offset < 0x200; offset += 4) {
			access_register(device->base + offset, 4, false, 0);
			access_register(device->base + offset + 2, 4, false, 0);
			access_register(device->base + offset, 4, true, UINT32_MAX);
			access_register(device->base + offset, 8, true, UINT64_MAX);
		}
		dut_must_do(&dut, queue, "after accesses beyond the configuration");
	}
}

TEST(mmio_queue_size_wild, "AVP-MMIO-023", .transport = TRANSPORT_MMIO, .limit_ms = 30000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		uint32_t maximum = device->ops->queue_size(device, dut.queue_index);
		const uint32_t sizes[] = {0, 3, maximum + 1, maximum * 2, 65535, 65536, UINT32_MAX};

		for (unsigned int i = 0; i < 7; i++) {
			struct queue *queue;
			char after[60];

			device_open(device, SPLIT);
			queue = queue_prepare(device, dut.queue_index, 16);
			device->ops->set_queue(device, queue->index, sizes[i], queue->addresses);
			device->ops->enable_queue(device, queue->index, 1);
			device_run(device);
			split_offer(queue, 0);
			queue_kick(queue);
			sleep_ms(2);
			text_format(after, sizeof(after), "after a queue of size %u", sizes[i]);
			dut_must_recover(&dut, after);
		}
	}
}

TEST(mmio_ready_rewrite, "AVP-MMIO-024", .transport = TRANSPORT_MMIO, .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);
		static const uint64_t wild[3] = {0x1000, 0x2000, 0x3000};

		device->ops->set_queue(device, queue->index, 4, wild);
		mmio_put(device, VIRTIO_MMIO_QUEUE_READY, 2);
		mmio_put(device, VIRTIO_MMIO_QUEUE_READY, UINT32_MAX);
		queue_kick(queue);
		dut_must_recover(&dut, "after writes to a queue that is ready");
	}
}

TEST(mmio_notify_wild, "AVP-MMIO-025", .transport = TRANSPORT_MMIO, .limit_ms = 20000)
{
	static const uint32_t kicks[] = {0, 1, 2, 3, 100, 1024, 0xffff, 0x10000, UINT32_MAX};
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue;

		device_reset(device);
		for (unsigned int i = 0; i < 9; i++)
			mmio_put(device, VIRTIO_MMIO_QUEUE_NOTIFY, kicks[i]);
		device_open(device, SPLIT);
		for (unsigned int i = 0; i < 9; i++)
			mmio_put(device, VIRTIO_MMIO_QUEUE_NOTIFY, kicks[i]);
		queue = dut_open(&dut, SPLIT, 16);
		for (unsigned int i = 0; i < 9; i++)
			mmio_put(device, VIRTIO_MMIO_QUEUE_NOTIFY, kicks[i]);
		dut_must_do(&dut, queue, "after kicks of queues that do not exist");
	}
}

TEST(mmio_ack_wild, "AVP-MMIO-026", .transport = TRANSPORT_MMIO)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, SPLIT)
	{
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		mmio_put(dut.device, VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
		mmio_put(dut.device, VIRTIO_MMIO_INTERRUPT_ACK, 3);
		dut_must_do(&dut, queue, "after wild acknowledgements");
	}
}

TEST(mmio_register_cost, "AVP-MMIO-027", .transport = TRANSPORT_MMIO, .limit_ms = 10000)
{
	static struct distribution kicks;
	struct dut dut;
	struct queue *queue;

	if (!dut_get(0, TRANSPORT_MMIO, SPLIT, &dut))
		skip("no suitable device");
	queue = dut_open(&dut, SPLIT, 16);
	distribution_start(&kicks);
	for (int i = 0; i < 1000; i++) {
		uint64_t from = arch_ticks();

		queue_kick(queue);
		distribution_add(&kicks, ticks_to_ns(arch_ticks() - from));
	}
	distribution_report(&kicks, "mmio_kick", "ns");
}

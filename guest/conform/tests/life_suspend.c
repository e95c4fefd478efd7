// SPDX-License-Identifier: BSD-3-Clause
/* Chapter life: devices that are suspended by their status (VIRTIO 1.4, 3.4). */
#include "bus/pci.h"
#include "tests/rings.h"

#define SUSPEND	   FEATURE(VIRTIO_F_SUSPEND)
#define CONFIG_MAX 32u

#define for_each_suspendable(dut)                          \
	if (!dut_get(0, TRANSPORT_ANY, SUSPEND, &(dut)))   \
		skip("no device offers VIRTIO_F_SUSPEND"); \
	for_each_dut(dut, TRANSPORT_ANY, SUSPEND)

/* Writes SUSPEND and waits for the @wanted bit. False: the device requests a reset, as it may. */
static bool change_to(struct device *device, uint8_t wanted, const char *name)
{
	device->ops->set_status(device, STATUS_RUNNING | STATUS_SUSPEND);
	check(wait_until((device->ops->status(device) &
			  (STATUS_SUSPEND | VIRTIO_CONFIG_S_DRIVER_OK)) == wanted ||
				 device->ops->status(device) & NEEDS_RESET,
			 2000),
	      "%s: status 0x%x two seconds after %s", device_name(device),
	      device->ops->status(device), name);
	return !(device->ops->status(device) & NEEDS_RESET);
}

static bool suspend(struct device *device)
{
	return change_to(device, STATUS_SUSPEND, "SUSPEND");
}

static bool resume(struct device *device)
{
	return change_to(device, VIRTIO_CONFIG_S_DRIVER_OK, "DRIVER_OK");
}

static uint32_t read_config(struct device *device, uint8_t bytes[CONFIG_MAX])
{
	uint32_t size = 0;

	if (!device_has_config(device, &size))
		return 0;
	size = size < CONFIG_MAX ? size : CONFIG_MAX;
	for (uint32_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)config_read(device, i, 1);
	return size;
}

TEST(life_suspend, "AVP-LIFE-022", .limit_ms = 30000)
{
	struct dut dut;

	for_each_suspendable(dut)
	{
		struct queue *queue = dut_open(&dut, SUSPEND, 16);

		for (int i = 0; i < 5; i++) {
			dut_must_do(&dut, queue, "before it is suspended");
			if (!suspend(dut.device) || !resume(dut.device))
				break;
			dut_must_do(&dut, queue, "after it resumed");
		}
	}
}

TEST(life_suspend_quiet, "AVP-LIFE-023", .limit_ms = 20000)
{
	struct dut dut;

	for_each_suspendable(dut)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SUSPEND, 16);
		uint8_t before[CONFIG_MAX], after[CONFIG_MAX];
		uint32_t interrupts, changes, size;
		uint16_t used;

		dut_must_do(&dut, queue, "before it is suspended");
		if (!suspend(device))
			continue;
		size = read_config(device, before);
		used = used_of(queue)[1];
		interrupts = device->queue_interrupts;
		changes = device->config_interrupts;
		sleep_ms(100);
		check(used_of(queue)[1] == used && device->queue_interrupts == interrupts &&
			      device->config_interrupts == changes,
		      "%s: a suspended device used a buffer or raised an interrupt",
		      device_name(device));
		read_config(device, after);
		check(!memcmp(before, after, size),
		      "%s: the configuration of a suspended device changed", device_name(device));
		if (!resume(device))
			continue;
		read_config(device, after);
		check(!device->connected || !memcmp(before, after, size) ||
			      wait_until(device->config_interrupts != changes, 1000),
		      "%s: no notification after it resumed of what changed meanwhile",
		      device_name(device));
	}
}

TEST(life_suspend_drained, "AVP-LIFE-024", .limit_ms = 20000)
{
	struct dut dut;

	for_each_suspendable(dut)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SUSPEND, 64);
		uint8_t before[CONFIG_MAX], after[CONFIG_MAX];
		struct request request;
		uint32_t interrupts = device->queue_interrupts, size, written;
		unsigned int count = 0;
		uint16_t used;

		for (; count < 16; count++) {
			dut_build(&dut, count, &request);
			if (driver_queue_add(&queue->ring, request.buffers, request.readable,
					     request.writable, queue) < 0)
				break;
		}
		queue_kick(queue);
		if (!suspend(device))
			continue;
		used = used_of(queue)[1];
		check(used == 0 || !device->connected ||
			      wait_until(device->queue_interrupts != interrupts, 1000),
		      "SHOULD: %s: %u requests were finished without a notification",
		      device_name(device), used);
		size = read_config(device, before);
		for (uint32_t i = 0; i < size; i++)
			if (!device_config_commands(device, i, 1))
				config_write(device, i, ~before[i], 1);
		read_config(device, after);
		check(!memcmp(before, after, size),
		      "SHOULD: %s: the configuration was written while suspended",
		      device_name(device));
		sleep_ms(50);
		check(used_of(queue)[1] == used,
		      "SHOULD: %s: a request was finished after the status showed SUSPEND",
		      device_name(device));
		if (!resume(device))
			continue;
		queue_kick(queue);
		for (unsigned int done = 0; done < count; done++)
			check(queue_wait(queue, &written, ANSWER_MS),
			      "%s: %u of %u requests were used after it resumed",
			      device_name(device), done, count);
	}
}

TEST(life_suspend_early, "AVP-LIFE-025", .limit_ms = 20000)
{
	static const uint8_t states[] = {0, VIRTIO_CONFIG_S_ACKNOWLEDGE, STATUS_DRIVER};
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue;

		for (unsigned int i = 0; i < 3; i++) {
			check(device_reset(device), "%s: the reset does not complete",
			      device_name(device));
			device->ops->set_status(device, states[i] | STATUS_SUSPEND);
			dut_must_do(&dut, dut_open(&dut, SPLIT, 16), "after an early SUSPEND");
		}
		queue = dut_set_up(&dut, SUSPEND, 16);
		device->ops->set_status(device, STATUS_FEATURES | STATUS_SUSPEND);
		device_run(device);
		dut_must_do(&dut, queue, "after SUSPEND before DRIVER_OK");
		/* Without the feature the bit has no meaning. */
		queue = dut_open(&dut, SPLIT, 16);
		device->ops->set_status(device, STATUS_RUNNING | STATUS_SUSPEND);
		check(device->ops->status(device) & VIRTIO_CONFIG_S_DRIVER_OK,
		      "%s: SUSPEND without the feature cleared DRIVER_OK, status 0x%x",
		      device_name(device), device->ops->status(device));
		dut_must_do(&dut, queue, "after SUSPEND without the feature");
	}
}

TEST(life_suspend_hostile, "AVP-LIFE-026", .limit_ms = 20000)
{
	struct dut dut;

	for_each_suspendable(dut)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SUSPEND, 16);
		struct request request;

		if (suspend(device)) {
			dut_build(&dut, 0, &request);
			driver_queue_add(&queue->ring, request.buffers, request.readable,
					 request.writable, queue);
			for (uint32_t i = 0; i < 20; i++) {
				queue_kick(queue);
				device->ops->notify(device, i, i);
				if (!device_config_commands(device, i, 1))
					config_write(device, i, random_number(), 1);
			}
			sleep_ms(5);
			resume(device);
			queue_kick(queue);
		}
		dut_must_recover(&dut, "after kicks and buffers while it was suspended");
	}
}

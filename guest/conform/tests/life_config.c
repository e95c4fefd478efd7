// SPDX-License-Identifier: BSD-3-Clause
/* Chapter life: changes of a configuration that come from the host (VIRTIO 1.4, 2.5 and 3.2.1). */
#include "tests/watch.h"

#include <linux/virtio_net.h>

#include "bus/pci.h"
#include "devices/block.h"
#include "host.h"
#include "tests/rings.h"

#define WATCHED	 8u
#define BYTES	 60u
#define WATCH_MS 1500
#define GROWTH	 (1u << 20) /* bytes */

struct watched {
	struct device *device;
	uint32_t size, generation, interrupts;
	uint8_t bytes[BYTES];
};

/* The devices, by number, that were watched in this boot and did not change. */
static uint64_t unchanging;

static uint64_t bit_of(const struct device *device)
{
	return UINT64_C(1) << (device - devices) % 64;
}

static bool start_watch(struct dut *dut, struct watched *watched)
{
	struct device *device = dut->device;
	uint32_t size;

	if (!device_has_config(device, &size) || unchanging & bit_of(device))
		return false;
	dut_open(dut, device->type->config_features, 16);
	size = device_config_size(device);
	if (!device->connected || size == 0)
		return false;
	*watched = (struct watched){.device = device, .size = size};
	watched->interrupts = device->config_interrupts;
	watched->generation = device->ops->generation(device);
	for (uint32_t i = 0; i < watched->size; i++)
		watched->bytes[i] = (uint8_t)config_read(device, i, 1);
	return true;
}

static bool has_changed(const struct watched *watched, uint32_t *offset)
{
	for (*offset = 0; *offset < watched->size; ++*offset)
		if ((uint8_t)config_read(watched->device, *offset, 1) != watched->bytes[*offset])
			return true;
	return false;
}

static bool is_watched(const struct watched *watched, unsigned int count,
		       const struct device *device)
{
	for (unsigned int i = 0; i < count; i++)
		if (watched[i].device == device)
			return true;
	return false;
}

/* Has the host change one that is watched: the link of the network, else the size of the disk. */
static void ask_for_change(const struct watched *watched, unsigned int count)
{
	struct device *net = device_find(VIRTIO_ID_NET, TRANSPORT_ANY), *disk = block_writable(0);

	if (net && is_watched(watched, count, net) &&
	    net->negotiated & FEATURE(VIRTIO_NET_F_STATUS))
		host_set_link(false);
	else if (disk && is_watched(watched, count, disk))
		host_resize(block_capacity(disk) * SECTOR + GROWTH);
}

bool watch_configurations(enum transport transport, struct config_change *change)
{
	struct deadline deadline = deadline_after_ms(host_acts() ? HOST_MS : WATCH_MS);
	struct watched watched[WATCHED];
	struct dut dut;
	unsigned int count = 0;

	for (unsigned int n = 0; count < WATCHED && dut_get(n, transport, SPLIT, &dut); n++)
		count += start_watch(&dut, &watched[count]);
	if (count == 0 && unchanging)
		return false;
	if (count == 0)
		skip("no device with a configuration whose interrupt this guest can find");
	if (host_acts())
		ask_for_change(watched, count);
	while (!deadline_passed(&deadline))
		for (unsigned int i = 0; i < count; i++) {
			struct device *device = watched[i].device;

			if (!has_changed(&watched[i], &change->offset))
				continue;
			change->device = device;
			change->generation_before = watched[i].generation;
			change->generation_after = device->ops->generation(device);
			change->notified = wait_until(
				device->config_interrupts != watched[i].interrupts, 1000);
			return true;
		}
	for (unsigned int i = 0; i < count; i++)
		unchanging |= bit_of(watched[i].device);
	return false;
}

void expect_generation(enum transport transport, const char *name)
{
	struct config_change change;

	if (!watch_configurations(transport, &change))
		skip(NOTHING_CHANGED);
	check(change.generation_after != change.generation_before,
	      "%s: byte %u of the configuration changed, but %s is still %u",
	      device_name(change.device), change.offset, name, change.generation_before);
}

TEST(life_config_notify, "AVP-LIFE-019", .limit_ms = 10000)
{
	struct config_change change;

	if (!watch_configurations(TRANSPORT_ANY, &change))
		skip(NOTHING_CHANGED);
	check(change.notified, "%s: byte %u of the configuration changed without a notification",
	      device_name(change.device), change.offset);
}

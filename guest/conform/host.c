// SPDX-License-Identifier: BSD-3-Clause
/* Asks the host, and remembers what has to be undone after a test that failed in between. */
#include "host.h"

#include <linux/virtio_net.h>

#include "devices/block.h"
#include "report.h"
#include "test.h"

#define STATUS_AT offsetof(struct virtio_net_config, status)

static struct {
	bool link_down;
	struct device *disk; /* NULL: its size is as before */
	uint64_t size;
} changed;

bool host_acts(void)
{
	return option_number("host", 0);
}

void host_set_link(bool up)
{
	report_line("host link %s", up ? "up" : "down");
	changed.link_down = !up;
}

void host_resize(uint64_t size)
{
	struct device *disk = block_writable(0);

	if (disk && !changed.disk)
		changed.size = block_capacity(disk) * SECTOR;
	changed.disk = disk;
	report_line("host resize %lu", size);
}

void host_unplug(void)
{
	report_line("host unplug");
}

void host_announce(void)
{
	report_line("host announce");
}

bool host_breaks_bus(void)
{
	return host_acts() || option_number("bus", 0);
}

void host_break_bus(void)
{
	report_line("host busoff");
}

void host_restore(void)
{
	struct device *net = device_find(VIRTIO_ID_NET, TRANSPORT_ANY), *disk = changed.disk;

	if (changed.link_down) {
		host_set_link(true);
		wait_until(!net || config_read(net, STATUS_AT, 2) & VIRTIO_NET_S_LINK_UP, HOST_MS);
	}
	if (disk) {
		host_resize(changed.size);
		changed.disk = NULL;
		wait_until(block_capacity(disk) * SECTOR == changed.size, HOST_MS);
	}
}

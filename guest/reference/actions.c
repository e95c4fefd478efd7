// SPDX-License-Identifier: BSD-3-Clause
/* What tests ask of the host (guest/conform/host.h): the reference does it at once. */
#include "host.h"

#include "actions.h"
#include "disk.h"
#include "port.h"

bool __real_host_acts(void);
bool __wrap_host_acts(void);
void __real_host_set_link(bool up);
void __wrap_host_set_link(bool up);
void __real_host_resize(uint64_t size);
void __wrap_host_resize(uint64_t size);
void __real_host_unplug(void);
void __wrap_host_unplug(void);
void __real_host_announce(void);
void __wrap_host_announce(void);
void __real_host_restore(void);
void __wrap_host_restore(void);

static struct port *port;
static struct disk *disk;
static uint64_t sectors; /* of the disk, before it was resized */

void actions_take_port(struct port *first)
{
	port = first;
}

void actions_take_disk(struct disk *writable)
{
	disk = writable;
	sectors = writable->sectors;
}

bool __wrap_host_acts(void)
{
	return port || __real_host_acts();
}

static void tell(struct virtio_device *device)
{
	if (reference_fault(FAULT_CHANGE_SILENT))
		return;
	if (reference_fault(FAULT_CHANGE_UNCOUNTED))
		device->config_generation--;
	virtio_device_config_changed(device);
}

static void set_status(uint16_t clear, uint16_t set)
{
	uint16_t status = (uint16_t)((port->config.status & ~clear) | set);

	if (status == port->config.status)
		return;
	port->config.status = status;
	tell(&port->reference.device);
}

void __wrap_host_set_link(bool up)
{
	if (port)
		set_status(up ? 0 : VIRTIO_NET_S_LINK_UP, up ? VIRTIO_NET_S_LINK_UP : 0);
	else
		__real_host_set_link(up);
}

void __wrap_host_announce(void)
{
	if (port)
		set_status(0, VIRTIO_NET_S_ANNOUNCE);
	else
		__real_host_announce();
}

void __wrap_host_unplug(void)
{
	if (port)
		actions_unplug_port();
	else
		__real_host_unplug();
}

static void resize(uint64_t count)
{
	if (count == disk->sectors || count > 2 * sectors)
		return;
	disk->sectors = disk->config.capacity = count;
	tell(&disk->reference.device);
}

void __wrap_host_resize(uint64_t size)
{
	if (disk)
		resize(size / SECTOR);
	else
		__real_host_resize(size);
}

void __wrap_host_restore(void)
{
	if (port)
		set_status(VIRTIO_NET_S_ANNOUNCE, VIRTIO_NET_S_LINK_UP);
	if (disk)
		resize(sectors);
	actions_plug_port();
	__real_host_restore();
}

// SPDX-License-Identifier: BSD-3-Clause
/* Looks at the partition table of each disk: GPT (UEFI 2.10, 5.3.2). */
#include "devices/boot_disk.h"

#include "devices/block.h"
#include "pages.h"
#include "report.h"
#include "test.h"

#define TABLE_SECTOR 1
#define NAME_OFFSET  56 /* of the disk's GUID */
#define NAME	     "AVPCONFORM-DISK"
#define DISKS_MAX    16

static struct device *candidate;
static bool found;

static void look(void *argument)
{
	uint8_t *sector = pages_get(SECTOR);
	struct queue *queue;

	(void)argument;
	device_open(candidate, VERSION_1);
	queue = device_queue(candidate, 0, 16);
	device_run(candidate);
	block_must(queue, VIRTIO_BLK_T_IN, TABLE_SECTOR, sector, SECTOR, false);
	found = !memcmp(sector, "EFI PART", 8) && !memcmp(sector + NAME_OFFSET, NAME, sizeof(NAME));
}

void boot_disk_remove(void)
{
	if (!machine.has_firmware)
		return;
	for (unsigned int n = 0; n < DISKS_MAX; n++) {
		candidate = device_nth(VIRTIO_ID_BLOCK, TRANSPORT_ANY, n);
		if (!candidate)
			return;
		found = false;
		outside_of_tests(look);
		if (!found)
			continue;
		report_line(
			"note: %s is the disk that this guest was started from: it is not tested",
			device_name(candidate));
		device_remove(candidate);
		return;
	}
}

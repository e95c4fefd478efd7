// SPDX-License-Identifier: BSD-3-Clause
/* Chapter block: a disk that the host resizes while the guest uses it (VIRTIO 1.4, 5.2.4). */
#include "devices/block.h"
#include "host.h"
#include "pages.h"
#include "test.h"

#define GROWTH	  (1u << 20) /* bytes */
#define NOTICE_MS 1000

TEST(blk_resize, "AVP-BLK-002 AVP-LIFE-019", .device = VIRTIO_ID_BLOCK, .limit_ms = 20000)
{
	struct queue *queue = block_open(0, 16);
	struct device *device = queue->device;
	uint64_t before = block_capacity(device), wanted = before + GROWTH / SECTOR;
	uint32_t notices = device->config_interrupts;
	uint8_t *sector = pages_get(SECTOR);

	if (!host_acts())
		skip(HOST_NEEDED);
	host_resize(wanted * SECTOR);
	if (!wait_until(block_capacity(device) != before, HOST_MS))
		skip("the host did not resize the disk");
	check(block_capacity(device) == wanted, "the capacity is %lu sectors, not %lu",
	      block_capacity(device), wanted);
	check(!device->connected || wait_until(device->config_interrupts != notices, NOTICE_MS),
	      "the capacity changed without a notification");
	block_fill(sector, SECTOR, wanted);
	block_must(queue, VIRTIO_BLK_T_OUT, wanted - 1, sector, SECTOR, true);
	memset(sector, 0, SECTOR);
	block_must(queue, VIRTIO_BLK_T_IN, wanted - 1, sector, SECTOR, false);
	check(block_is_filled(sector, SECTOR, wanted), "the last sector has other bytes");
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Disks in the guest's memory (VIRTIO 1.4, 5.2): a host-managed zoned one, a conventional one with
 * all other features, and a read-only one behind PCI.
 */
#include "disk.h"

#include "actions.h"

#include "pages.h"

#define DISK_QUEUES   2u
#define ID_SIZE	      20
#define RANGES	      4u
#define RANGE_SECTORS 2048u
#define ALIGNMENT     8u
#define MANY_SEGMENTS 126u
#define SEGMENT_SIZE  65536u

#define COMMON_FEATURES                                                   \
	(FEATURE(VIRTIO_BLK_F_SIZE_MAX) | FEATURE(VIRTIO_BLK_F_SEG_MAX) | \
	 FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FEATURE(VIRTIO_BLK_F_FLUSH))
#define CONVENTIONAL_FEATURES                                                                  \
	(COMMON_FEATURES | FEATURE(VIRTIO_BLK_F_TOPOLOGY) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE) | \
	 FEATURE(VIRTIO_BLK_F_DISCARD) | FEATURE(VIRTIO_BLK_F_WRITE_ZEROES) |                  \
	 FEATURE(VIRTIO_BLK_F_MQ) | FEATURE(VIRTIO_BLK_F_SECURE_ERASE) |                       \
	 FEATURE(BLOCK_F_LIFETIME))

static struct disk disks[3];

static uint8_t check_place(const struct disk *disk, uint64_t sector, uint64_t length)
{
	return length % SECTOR || sector > disk->sectors ||
			       length / SECTOR > disk->sectors - sector ?
		       VIRTIO_BLK_S_IOERR :
		       VIRTIO_BLK_S_OK;
}

static uint8_t read_data(struct disk *disk, struct virtio_request *request, uint64_t sector)
{
	uint64_t length = request->writable.left;
	uint8_t status = check_place(disk, sector, length);

	if (status == VIRTIO_BLK_S_OK && disk->zone_count)
		status = zones_check_read(disk, sector, length / SECTOR);
	if (status == VIRTIO_BLK_S_OK)
		request_write(request, disk->data + sector * SECTOR, length);
	return status;
}

static uint8_t write_data(struct disk *disk, struct virtio_request *request, uint64_t sector)
{
	uint64_t length = request->readable.left;
	uint8_t status = check_place(disk, sector, length);

	if (disk->reference.device.offered & FEATURE(VIRTIO_BLK_F_RO))
		return VIRTIO_BLK_S_IOERR;
	if (status == VIRTIO_BLK_S_OK && disk->zone_count)
		status = zones_begin_write(disk, sector, length / SECTOR);
	if (status == VIRTIO_BLK_S_OK)
		request_read(request, disk->data + sector * SECTOR, length);
	return status;
}

/* Discard, write zeroes and secure erase: all of them make the ranges read as zeroes. */
static uint8_t clear_ranges(struct disk *disk, struct virtio_request *request, uint32_t flags,
			    uint64_t sectors_max)
{
	struct virtio_blk_discard_write_zeroes ranges[RANGES];
	uint64_t length = request->readable.left, count = length / sizeof(ranges[0]);

	if (disk->reference.device.offered & FEATURE(VIRTIO_BLK_F_RO))
		return VIRTIO_BLK_S_IOERR;
	if (count == 0 || count > RANGES || length % sizeof(ranges[0]))
		return VIRTIO_BLK_S_IOERR;
	request_read(request, ranges, length);
	for (uint64_t i = 0; i < count; i++) {
		if (ranges[i].flags & ~flags)
			return VIRTIO_BLK_S_UNSUPP;
		if (ranges[i].num_sectors > sectors_max ||
		    check_place(disk, ranges[i].sector, ranges[i].num_sectors * (uint64_t)SECTOR))
			return VIRTIO_BLK_S_IOERR;
	}
	for (uint64_t i = 0; i < count; i++)
		memset(disk->data + ranges[i].sector * SECTOR, 0,
		       (ranges[i].num_sectors + reference_fault(FAULT_ERASE_MORE)) *
			       (uint64_t)SECTOR);
	return VIRTIO_BLK_S_OK;
}

static uint8_t get_id(struct virtio_request *request)
{
	static const char id[ID_SIZE] = "reference";

	return request_write(request, id, ID_SIZE) == ID_SIZE ? VIRTIO_BLK_S_OK :
								VIRTIO_BLK_S_IOERR;
}

/* VIRTIO 1.4, 5.2.6: pre_eol_info NORMAL, at most a tenth of the lifetime used. */
static uint8_t get_lifetime(struct virtio_request *request)
{
	uint16_t life[3] = {1, 1, 1};

	if (reference_fault(FAULT_LIFETIME))
		life[1] = 200;
	return request_write(request, life, sizeof(life)) == sizeof(life) ? VIRTIO_BLK_S_OK :
									    VIRTIO_BLK_S_IOERR;
}

static uint8_t do_command(struct disk *disk, struct virtio_request *request,
			  const struct virtio_blk_outhdr *header)
{
	const struct virtio_device *device = &disk->reference.device;

	switch (header->type) {
	case VIRTIO_BLK_T_IN:
		return read_data(disk, request, header->sector);
	case VIRTIO_BLK_T_OUT:
		return write_data(disk, request, header->sector);
	case VIRTIO_BLK_T_FLUSH:
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		return get_id(request);
	default:
		break;
	}
	if (header->type == BLOCK_T_GET_LIFETIME && virtio_has_feature(device, BLOCK_F_LIFETIME))
		return get_lifetime(request);
	if (header->type == VIRTIO_BLK_T_DISCARD &&
	    virtio_has_feature(device, VIRTIO_BLK_F_DISCARD))
		return clear_ranges(disk, request, 0, RANGE_SECTORS);
	if (header->type == VIRTIO_BLK_T_WRITE_ZEROES &&
	    virtio_has_feature(device, VIRTIO_BLK_F_WRITE_ZEROES))
		return clear_ranges(disk, request, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
				    RANGE_SECTORS);
	if (header->type == VIRTIO_BLK_T_SECURE_ERASE &&
	    virtio_has_feature(device, VIRTIO_BLK_F_SECURE_ERASE))
		return clear_ranges(disk, request, 0, RANGE_SECTORS);
	if (disk->zone_count)
		return zones_command(disk, request, header->type, header->sector);
	return VIRTIO_BLK_S_UNSUPP;
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct disk *disk = (struct disk *)device;
	struct virtio_request *request;

	for_each_request(request, queue) {
		struct virtio_blk_outhdr header;
		uint8_t *status = request_take_last_byte(request), result = VIRTIO_BLK_S_IOERR;

		if (request_read(request, &header, sizeof(header)) == sizeof(header))
			result = do_command(disk, request, &header);
		if (status) {
			*status = result;
			/* What comes before the status is part of the used length if all is. */
			if (request->writable.left == 0)
				request->written++;
		}
		virtqueue_push(queue, request);
	}
}

static int features_chosen(struct virtio_device *device)
{
	struct disk *disk = (struct disk *)device;

	/* VIRTIO 1.4, 5.2.5.2: only a driver that knows zones may use a host-managed disk. */
	if (disk->zone_count && !virtio_has_feature(device, BLOCK_F_ZONED))
		return -1;
	if (virtio_has_feature(device, VIRTIO_BLK_F_CONFIG_WCE) &&
	    !virtio_has_feature(device, VIRTIO_BLK_F_FLUSH))
		disk->config.writeback = 0;
	return 0;
}

static int write_config(struct virtio_device *device, size_t offset, const void *buffer,
			size_t length)
{
	struct disk *disk = (struct disk *)device;
	uint8_t value;

	memcpy(&value, buffer, 1);
	if (!config_is_member(offset, length, struct disk_config, writeback) || value > 1 ||
	    !virtio_has_feature(device, VIRTIO_BLK_F_CONFIG_WCE))
		return -1;
	disk->config.writeback = value;
	return 0;
}

static void reset(struct virtio_device *device)
{
	struct disk *disk = (struct disk *)device;

	disk->config.writeback = !!(device->offered & FEATURE(VIRTIO_BLK_F_CONFIG_WCE));
}

static const struct virtio_device_class disk_class = {
	.name = "disk",
	.id = VIRTIO_ID_BLOCK,
	.features_chosen = features_chosen,
	.config_write = write_config,
	.handle = handle,
	.reset = reset,
};

static void make(struct disk *disk, uint64_t features, uint64_t sectors, uint16_t queues)
{
	disk->sectors = sectors;
	/* Twice as many, for the host may resize it; one more, for what a faulty command erases. */
	disk->data = pages_get((2 * sectors + 1) * SECTOR);
	disk->config.capacity = sectors;
	disk->config.size_max = SEGMENT_SIZE;
	disk->config.seg_max = MANY_SEGMENTS;
	disk->config.block_size = SECTOR;
	reference_init(&disk->reference, &disk_class, features, &disk->config, sizeof(disk->config),
		       queues, RING_LARGE);
	reset(&disk->reference.device);
}

void reference_add_disks(void)
{
	make(&disks[0], COMMON_FEATURES | FEATURE(BLOCK_F_ZONED), ZONES * ZONE_SECTORS, 1);
	zones_make(&disks[0]);
	windows_add(&disks[0].reference);
	make(&disks[1], CONVENTIONAL_FEATURES, 16384, DISK_QUEUES);
	disks[1].config.discard_sectors = disks[1].config.zeroes_sectors = RANGE_SECTORS;
	disks[1].config.erase_sectors = RANGE_SECTORS;
	disks[1].config.discard_count = disks[1].config.zeroes_count = RANGES;
	disks[1].config.erase_count = RANGES;
	disks[1].config.discard_alignment = disks[1].config.erase_alignment = ALIGNMENT;
	disks[1].config.may_unmap = 1;
	disks[1].config.physical_exponent = 3;
	disks[1].config.queues = DISK_QUEUES;
	actions_take_disk(&disks[1]);
	windows_add(&disks[1].reference);
	make(&disks[2], COMMON_FEATURES | FEATURE(VIRTIO_BLK_F_RO), 8192, 1);
	functions_add(&disks[2].reference);
}

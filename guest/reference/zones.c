// SPDX-License-Identifier: BSD-3-Clause
/*
 * The zones of a host-managed disk (VIRTIO 1.4, 5.2.6.2): one conventional, one read-only, one
 * offline, and sequential ones between them.
 */
#include "disk.h"

#define CAPACITY     1920u /* sectors of a sequential zone that can be written */
#define OPEN_MAX     4u
#define ACTIVE_MAX   6u
#define APPEND_MAX   64u
#define GRANULARITY  4096u
#define GRANULE	     (GRANULARITY / SECTOR)
#define HOST_MANAGED 1

enum { INVALID_CMD = 3, UNALIGNED_WP, OPEN_RESOURCE, ACTIVE_RESOURCE };
enum { CONVENTIONAL = 1, SEQUENTIAL };
enum { NOT_WP, EMPTY, IMPLICIT, EXPLICIT, CLOSED, READ_ONLY = 13, FULL, OFFLINE };

struct descriptor {
	uint64_t capacity, start, pointer;
	uint8_t type, state, reserved[38];
};

void zones_make(struct disk *disk)
{
	disk->zone_count = ZONES;
	for (unsigned int i = 0; i < ZONES; i++)
		disk->zones[i] = (struct zone){.type = SEQUENTIAL, .state = EMPTY};
	disk->zones[0] = (struct zone){.type = CONVENTIONAL, .state = NOT_WP};
	disk->zones[ZONES - 2].state = READ_ONLY;
	disk->zones[ZONES - 1].state = OFFLINE;
	disk->config.zone_sectors = ZONE_SECTORS;
	disk->config.open_max = OPEN_MAX;
	disk->config.active_max = ACTIVE_MAX;
	disk->config.append_max = APPEND_MAX;
	disk->config.granularity = GRANULARITY;
	disk->config.model = HOST_MANAGED;
}

static unsigned int count_open(const struct disk *disk)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < ZONES; i++)
		count += disk->zones[i].state == IMPLICIT || disk->zones[i].state == EXPLICIT;
	return count;
}

static unsigned int count_active(const struct disk *disk)
{
	unsigned int count = count_open(disk);

	for (unsigned int i = 0; i < ZONES; i++)
		count += disk->zones[i].state == CLOSED;
	return count;
}

static void close(struct zone *zone)
{
	zone->state = zone->pointer ? CLOSED : EMPTY;
}

/* Opens a zone that is empty, closed or open. An implicitly opened one may be closed for it. */
static uint8_t open(struct disk *disk, struct zone *zone, uint8_t state)
{
	bool was_open = zone->state == IMPLICIT || zone->state == EXPLICIT;

	if (!was_open && zone->state != CLOSED && count_active(disk) >= ACTIVE_MAX)
		return ACTIVE_RESOURCE;
	for (unsigned int i = 0; !was_open && count_open(disk) >= OPEN_MAX && i < ZONES; i++)
		if (disk->zones[i].state == IMPLICIT)
			close(&disk->zones[i]);
	if (!was_open && count_open(disk) >= OPEN_MAX)
		return OPEN_RESOURCE;
	/* A zone that is explicitly open stays so. */
	if (zone->state != EXPLICIT)
		zone->state = state;
	return VIRTIO_BLK_S_OK;
}

static bool is_writable(const struct zone *zone)
{
	return zone->state == EMPTY || zone->state == IMPLICIT || zone->state == EXPLICIT ||
	       zone->state == CLOSED;
}

uint8_t zones_check_read(struct disk *disk, uint64_t sector, uint64_t count)
{
	if (count == 0)
		return VIRTIO_BLK_S_OK;
	if (sector / ZONE_SECTORS != (sector + count - 1) / ZONE_SECTORS ||
	    disk->zones[sector / ZONE_SECTORS].state == OFFLINE)
		return INVALID_CMD;
	return VIRTIO_BLK_S_OK;
}

/* Writes at the write pointer. */
static uint8_t write_next(struct disk *disk, struct zone *zone, uint64_t count)
{
	uint8_t status;

	if (count > CAPACITY - zone->pointer)
		return INVALID_CMD;
	status = open(disk, zone, IMPLICIT);
	if (status != VIRTIO_BLK_S_OK)
		return status;
	zone->pointer += count;
	if (zone->pointer == CAPACITY)
		zone->state = FULL;
	return VIRTIO_BLK_S_OK;
}

uint8_t zones_begin_write(struct disk *disk, uint64_t sector, uint64_t count)
{
	struct zone *zone = &disk->zones[sector / ZONE_SECTORS];

	if (count == 0)
		return VIRTIO_BLK_S_OK;
	if (sector / ZONE_SECTORS != (sector + count - 1) / ZONE_SECTORS)
		return INVALID_CMD;
	if (zone->type == CONVENTIONAL)
		return VIRTIO_BLK_S_OK;
	if (!is_writable(zone))
		return INVALID_CMD;
	if (!reference_fault(FAULT_WRITE_ANYWHERE) &&
	    (sector % ZONE_SECTORS != zone->pointer || count % GRANULE))
		return UNALIGNED_WP;
	return write_next(disk, zone, count);
}

static uint8_t append(struct disk *disk, struct virtio_request *request, uint64_t sector)
{
	struct zone *zone = &disk->zones[sector / ZONE_SECTORS];
	uint64_t length = request->readable.left, at = sector + zone->pointer;
	uint8_t status;

	if (zone->type != SEQUENTIAL || !is_writable(zone) || sector % ZONE_SECTORS ||
	    length == 0 || length % GRANULARITY || length > APPEND_MAX * SECTOR)
		return INVALID_CMD;
	status = write_next(disk, zone, length / SECTOR);
	if (status != VIRTIO_BLK_S_OK)
		return status;
	request_read(request, disk->data + at * SECTOR, length);
	request_write(request, &at, sizeof(at));
	return VIRTIO_BLK_S_OK;
}

/* The zones from that of @sector on, as many as fit. */
static uint8_t report(struct disk *disk, struct virtio_request *request, uint64_t sector)
{
	uint64_t head[8] = {0}, room = request->writable.left;
	uint64_t first = sector / ZONE_SECTORS, count;

	if (room < sizeof(head))
		return INVALID_CMD;
	count = (room - sizeof(head)) / sizeof(struct descriptor);
	if (count > ZONES - first)
		count = ZONES - first;
	head[0] = count;
	request_write(request, head, sizeof(head));
	for (uint64_t i = first; i < first + count; i++) {
		const struct zone *zone = &disk->zones[i];
		struct descriptor descriptor = {
			.capacity = zone->type == CONVENTIONAL ? ZONE_SECTORS : CAPACITY,
			.start = i * ZONE_SECTORS,
			.pointer = i * ZONE_SECTORS + zone->pointer,
			.type = zone->type,
			.state = zone->state,
		};

		request_write(request, &descriptor, sizeof(descriptor));
	}
	return VIRTIO_BLK_S_OK;
}

static void empty(struct disk *disk, unsigned int number)
{
	struct zone *zone = &disk->zones[number];

	zone->state = EMPTY;
	zone->pointer = 0;
	if (!reference_fault(FAULT_RESET_KEEPS))
		memset(disk->data + (uint64_t)number * ZONE_SECTORS * SECTOR, 0,
		       (size_t)ZONE_SECTORS * SECTOR);
}

static uint8_t change(struct disk *disk, unsigned int number, uint32_t type)
{
	struct zone *zone = &disk->zones[number];

	if (!is_writable(zone) && zone->state != FULL)
		return INVALID_CMD;
	switch (type) {
	case BLOCK_T_ZONE_OPEN:
		return zone->state == FULL ? INVALID_CMD : open(disk, zone, EXPLICIT);
	case BLOCK_T_ZONE_CLOSE:
		if (zone->state == EMPTY && reference_fault(FAULT_CLOSE_EMPTY))
			return VIRTIO_BLK_S_OK;
		if (zone->state == FULL || zone->state == EMPTY)
			return INVALID_CMD;
		close(zone);
		return VIRTIO_BLK_S_OK;
	case BLOCK_T_ZONE_FINISH:
		zone->state = FULL;
		return VIRTIO_BLK_S_OK;
	default: /* BLOCK_T_ZONE_RESET */
		empty(disk, number);
		return VIRTIO_BLK_S_OK;
	}
}

uint8_t zones_command(struct disk *disk, struct virtio_request *request, uint32_t type,
		      uint64_t sector)
{
	uint64_t number = sector / ZONE_SECTORS;

	if (type != BLOCK_T_ZONE_RESET_ALL && number >= ZONES)
		return VIRTIO_BLK_S_IOERR;
	switch (type) {
	case BLOCK_T_ZONE_APPEND:
		return append(disk, request, sector);
	case BLOCK_T_ZONE_REPORT:
		return report(disk, request, sector);
	case BLOCK_T_ZONE_OPEN:
	case BLOCK_T_ZONE_CLOSE:
	case BLOCK_T_ZONE_FINISH:
	case BLOCK_T_ZONE_RESET:
		return sector % ZONE_SECTORS ? INVALID_CMD :
					       change(disk, (unsigned int)number, type);
	case BLOCK_T_ZONE_RESET_ALL:
		for (unsigned int i = 0; i < ZONES; i++)
			if (is_writable(&disk->zones[i]) || disk->zones[i].state == FULL)
				empty(disk, i);
		return VIRTIO_BLK_S_OK;
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

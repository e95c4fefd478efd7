// SPDX-License-Identifier: BSD-3-Clause
/* Chapter block: zoned disks (VIRTIO 1.4, 5.2.5.2 and 5.2.6.2). */
#include "devices/block.h"
#include "devices/dut.h"
#include "pages.h"

#define BLOCK	     .device = VIRTIO_ID_BLOCK
#define ZONED	     FEATURE(BLOCK_F_ZONED)
#define SIZE_MAX_F   FEATURE(VIRTIO_BLK_F_SIZE_MAX)
#define SEG_MAX_F    FEATURE(VIRTIO_BLK_F_SEG_MAX)
#define SECURE_ERASE FEATURE(VIRTIO_BLK_F_SECURE_ERASE)
#define ZONES_LOOKED 256u /* most that are reported at once */
#define DATA_MAX     (1u << 20)

#define APPEND	     BLOCK_T_ZONE_APPEND
#define REPORT	     BLOCK_T_ZONE_REPORT
#define OPEN	     BLOCK_T_ZONE_OPEN
#define CLOSE	     BLOCK_T_ZONE_CLOSE
#define FINISH	     BLOCK_T_ZONE_FINISH
#define RESET	     BLOCK_T_ZONE_RESET
#define RESET_ALL    BLOCK_T_ZONE_RESET_ALL
enum { INVALID_CMD = 3, UNALIGNED_WP, OPEN_RESOURCE, ACTIVE_RESOURCE };
enum { CONVENTIONAL = 1, REQUIRED, PREFERRED };
enum { NOT_WP, EMPTY, IMPLICIT, EXPLICIT, CLOSED, READ_ONLY = 13, FULL, OFFLINE };

/* Offsets in the configuration. */
enum { ZONE_SECTORS = 72, MAX_OPEN = 76, MAX_APPEND = 84, GRANULARITY = 88, MODEL = 92 };

struct zone {
	uint64_t capacity, start, pointer;
	uint8_t type, state, reserved[38];
};

struct report {
	uint64_t count;
	uint8_t reserved[56];
	struct zone zones[1];
};

static struct queue *open_zoned(uint64_t features)
{
	struct queue *queue = block_open(ZONED | features, 64);
	struct device *device = queue->device;

	if (!(device->negotiated & ZONED))
		skip("%s does not offer VIRTIO_BLK_F_ZONED", device_name(device));
	if (config_read(device, MODEL, 1) == 0)
		skip("%s has no zones to manage", device_name(device));
	return queue;
}

static uint32_t field(struct queue *queue, uint32_t offset)
{
	return (uint32_t)config_read(queue->device, offset, 4);
}

static struct zone get_zone(struct queue *queue, uint64_t sector)
{
	static struct report report;

	memset(&report, 0, sizeof(report));
	block_must(queue, REPORT, sector, &report, sizeof(report), false);
	check(report.count == 1, "a report of one zone has %lu", report.count);
	check(report.zones[0].start <= sector &&
		      sector - report.zones[0].start < field(queue, ZONE_SECTORS) &&
		      report.zones[0].capacity <= field(queue, ZONE_SECTORS),
	      "the zone that contains sector %lu begins at %lu and has %lu sectors", sector,
	      report.zones[0].start, report.zones[0].capacity);
	return report.zones[0];
}

/* Finds the first zone of that type (and state, unless it is 0xff). */
static bool find_zone(struct queue *queue, uint8_t type, uint8_t state, struct zone *zone)
{
	uint64_t capacity = block_capacity(queue->device), sector = 0;

	for (uint32_t i = 0; i < ZONES_LOOKED && sector < capacity; i++) {
		*zone = get_zone(queue, sector);
		if ((!type || zone->type == type) && (state == 0xff || zone->state == state))
			return true;
		sector += field(queue, ZONE_SECTORS);
	}
	return false;
}

static struct zone writable_zone(struct queue *queue)
{
	struct zone zone;

	if (!find_zone(queue, REQUIRED, 0xff, &zone) && !find_zone(queue, PREFERRED, 0xff, &zone))
		skip("%s has no sequential zone among its first ones", device_name(queue->device));
	block_must(queue, RESET, zone.start, NULL, 0, false);
	zone = get_zone(queue, zone.start);
	check(zone.state == EMPTY && zone.pointer == zone.start,
	      "a zone has state %u and its write pointer at %lu of %lu after a reset", zone.state,
	      zone.pointer, zone.start);
	return zone;
}

TEST(blk_zoned_config, "AVP-BLK-027", BLOCK)
{
	struct queue *queue = open_zoned(SIZE_MAX_F | SEG_MAX_F | SECURE_ERASE);
	struct device *device = queue->device;
	uint64_t model = config_read(device, MODEL, 1), negotiated = device->negotiated;
	uint32_t zone_sectors = field(queue, ZONE_SECTORS);
	struct zone zone;

	check(model <= 2, "model is %lu", model);
	check(zone_sectors > 0 && field(queue, GRANULARITY) >= SECTOR,
	      "zone_sectors is %u, write_granularity %u", zone_sectors, field(queue, GRANULARITY));
	for (uint32_t i = MODEL + 1; i < MODEL + 4; i++)
		check(config_read(device, i, 1) == 0, "byte %u of the configuration is 0x%lx", i,
		      config_read(device, i, 1));
	if (negotiated & SIZE_MAX_F && negotiated & SEG_MAX_F)
		check((uint64_t)field(queue, MAX_APPEND) * SECTOR <=
			      config_read(device, 8, 4) * config_read(device, 12, 4),
		      "max_append_sectors is %u, more than seg_max times size_max",
		      field(queue, MAX_APPEND));
	if (negotiated & SECURE_ERASE)
		check(config_read(device, 68, 4) % zone_sectors == 0,
		      "secure_erase_sector_alignment is %lu, zones have %u sectors",
		      config_read(device, 68, 4), zone_sectors);
	check(find_zone(queue, model == 1 ? REQUIRED : PREFERRED, 0xff, &zone),
	      "model %lu, but none of the first zones is of its kind", model);
}

static void expect_state(struct queue *queue, uint32_t command, struct zone *zone, uint8_t status,
			 uint8_t state)
{
	uint8_t found = block_request(queue, command, zone->start, NULL, 0, false);

	check(found == status, "command %u for a zone in state %u has status %u, not %u", command,
	      zone->state, found, status);
	*zone = get_zone(queue, zone->start);
	check(zone->state == state, "a zone is in state %u after command %u, not %u", zone->state,
	      command, state);
}

static void write_granule(struct queue *queue, struct zone *zone, uint8_t state)
{
	uint32_t size = field(queue, GRANULARITY);
	uint8_t *data = pages_get(size);

	block_must(queue, VIRTIO_BLK_T_OUT, zone->pointer, data, size, true);
	*zone = get_zone(queue, zone->start);
	check(zone->state == state, "a zone is in state %u after a write, not %u", zone->state,
	      state);
}

/* Opens one zone more than may be open. */
static void exhaust_zones(struct queue *queue)
{
	uint32_t limit = field(queue, MAX_OPEN), open = 0;
	uint64_t capacity = block_capacity(queue->device), sector = 0;
	uint8_t status;

	block_must(queue, RESET_ALL, 0, NULL, 0, false);
	for (uint32_t i = 0; limit && limit <= 64 && i < ZONES_LOOKED && sector < capacity; i++) {
		struct zone zone = get_zone(queue, sector);

		sector += field(queue, ZONE_SECTORS);
		if (zone.state != EMPTY)
			continue;
		status = block_request(queue, OPEN, zone.start, NULL, 0, false);
		if (open++ < limit) {
			check(status == VIRTIO_BLK_S_OK || status == ACTIVE_RESOURCE,
			      "zone %u of %u cannot be opened, status %u", open, limit, status);
			continue;
		}
		check(status == OPEN_RESOURCE || status == ACTIVE_RESOURCE,
		      "%u zones may be open, opening one more has status %u", limit, status);
		break;
	}
	block_must(queue, RESET_ALL, 0, NULL, 0, false);
}

TEST(blk_zoned_commands, "AVP-BLK-028", BLOCK, .limit_ms = 30000)
{
	static const uint32_t commands[] = {OPEN, CLOSE, FINISH, RESET};
	struct queue *queue = open_zoned(0);
	struct zone zone = writable_zone(queue), conventional;

	expect_state(queue, RESET, &zone, VIRTIO_BLK_S_OK, EMPTY);
	expect_state(queue, CLOSE, &zone, INVALID_CMD, EMPTY);
	expect_state(queue, OPEN, &zone, VIRTIO_BLK_S_OK, EXPLICIT);
	expect_state(queue, OPEN, &zone, VIRTIO_BLK_S_OK, EXPLICIT);
	expect_state(queue, CLOSE, &zone, VIRTIO_BLK_S_OK, EMPTY);
	write_granule(queue, &zone, IMPLICIT);
	expect_state(queue, CLOSE, &zone, VIRTIO_BLK_S_OK, CLOSED);
	expect_state(queue, CLOSE, &zone, VIRTIO_BLK_S_OK, CLOSED);
	write_granule(queue, &zone, IMPLICIT);
	expect_state(queue, OPEN, &zone, VIRTIO_BLK_S_OK, EXPLICIT);
	write_granule(queue, &zone, EXPLICIT);
	expect_state(queue, FINISH, &zone, VIRTIO_BLK_S_OK, FULL);
	expect_state(queue, FINISH, &zone, VIRTIO_BLK_S_OK, FULL);
	expect_state(queue, OPEN, &zone, INVALID_CMD, FULL);
	expect_state(queue, CLOSE, &zone, INVALID_CMD, FULL);
	expect_state(queue, RESET, &zone, VIRTIO_BLK_S_OK, EMPTY);
	write_granule(queue, &zone, IMPLICIT);
	block_must(queue, RESET_ALL, 0, NULL, 0, false);
	check(get_zone(queue, zone.start).state == EMPTY, "a zone is not empty after RESET_ALL");
	if (find_zone(queue, CONVENTIONAL, 0xff, &conventional))
		for (unsigned int i = 0; i < 4; i++)
			expect_state(queue, commands[i], &conventional, INVALID_CMD, NOT_WP);
	exhaust_zones(queue);
}

/* An append: the device writes the sector before the status. */
static uint8_t append(struct queue *queue, uint64_t sector, void *data, uint32_t length,
		      uint64_t *written_sector)
{
	static struct virtio_blk_outhdr header;
	static uint64_t append_sector;
	static volatile uint8_t status;
	struct driver_buffer buffers[4] = {buffer_of(&header, sizeof(header)),
					   buffer_of(data, length), buffer_of(&append_sector, 8),
					   buffer_of((void *)&status, 1)};

	header = (struct virtio_blk_outhdr){.type = APPEND, .sector = sector};
	status = NO_STATUS;
	check(queue_do(queue, buffers, 2, 2, NULL, ANSWER_MS), "an append was not used");
	*written_sector = append_sector;
	return status;
}

static void expect_status(struct queue *queue, uint32_t type, uint64_t sector, void *data,
			  uint32_t size, uint8_t status, const char *what)
{
	uint8_t found = block_request(queue, type, sector, data, size, type == VIRTIO_BLK_T_OUT);

	check(found == status, "%s has status %u, not %u", what, found, status);
}

static void check_appends(struct queue *queue, const struct zone *zone, uint8_t *data)
{
	uint32_t size = field(queue, GRANULARITY), limit = field(queue, MAX_APPEND);
	uint64_t sector = 0, pointer = get_zone(queue, zone->start).pointer;
	uint8_t status = append(queue, zone->start, data, size, &sector);

	if (limit == 0) {
		check(status == VIRTIO_BLK_S_UNSUPP,
		      "an append has status %u, though max_append_sectors is 0", status);
		return;
	}
	check(status == VIRTIO_BLK_S_OK && sector == pointer,
	      "an append has status %u and sector %lu, the write pointer was at %lu", status,
	      sector, pointer);
	status = append(queue, zone->start + size / SECTOR, data, size, &sector);
	check(status == INVALID_CMD, "an append to a sector within a zone has status %u", status);
	if ((uint64_t)limit * SECTOR + size > DATA_MAX)
		return;
	status = append(queue, zone->start, data, limit * SECTOR + size, &sector);
	check(status == INVALID_CMD, "an append of more than max_append_sectors has status %u",
	      status);
}

TEST(blk_zoned_write, "AVP-BLK-029", BLOCK, .limit_ms = 20000)
{
	struct queue *queue = open_zoned(0);
	struct zone zone = writable_zone(queue), other;
	uint32_t size = field(queue, GRANULARITY), sectors = size / SECTOR;
	uint64_t last = zone.start + field(queue, ZONE_SECTORS) - sectors;
	uint8_t *data = pages_get(DATA_MAX);

	if (zone.type == REQUIRED) {
		write_granule(queue, &zone, IMPLICIT);
		expect_status(queue, VIRTIO_BLK_T_OUT, zone.start, data, size, UNALIGNED_WP,
			      "a write before the write pointer");
		expect_status(queue, VIRTIO_BLK_T_OUT, zone.pointer + sectors, data, size,
			      UNALIGNED_WP, "a write after the write pointer");
		expect_status(queue, VIRTIO_BLK_T_IN, last, data, 2 * size, INVALID_CMD,
			      "a read over the end of a zone");
		check_appends(queue, &zone, data);
	}
	if (find_zone(queue, 0, READ_ONLY, &other))
		expect_status(queue, VIRTIO_BLK_T_OUT, other.start, data, size, INVALID_CMD,
			      "a write to a read-only zone");
	if (find_zone(queue, 0, OFFLINE, &other))
		expect_status(queue, VIRTIO_BLK_T_IN, other.start, data, size, INVALID_CMD,
			      "a read of an offline zone");
	/* If a zone's capacity can be filled, one write more does not fit. */
	if (zone.capacity * SECTOR > DATA_MAX)
		return;
	block_must(queue, RESET, zone.start, NULL, 0, false);
	for (uint64_t at = 0; at + sectors < zone.capacity; at += sectors)
		block_must(queue, VIRTIO_BLK_T_OUT, zone.start + at, data, size, true);
	expect_status(queue, VIRTIO_BLK_T_OUT, get_zone(queue, zone.start).pointer, data, 2 * size,
		      INVALID_CMD, "a write beyond the capacity of its zone");
}

TEST(blk_zoned_unwritten, "AVP-BLK-030", BLOCK, .limit_ms = 15000)
{
	struct queue *queue = open_zoned(0);
	struct zone zone = writable_zone(queue);
	uint32_t size = field(queue, GRANULARITY);
	uint8_t *data = pages_get(size), *read = pages_get(size), status;

	for (uint32_t i = 0; i < size; i++)
		data[i] = (uint8_t)(random_number() >> 8);
	block_must(queue, VIRTIO_BLK_T_OUT, zone.start, data, size, true);
	block_must(queue, RESET, zone.start, NULL, 0, false);
	status = block_request(queue, VIRTIO_BLK_T_IN, zone.start, read, size, false);
	check(status != VIRTIO_BLK_S_OK || memcmp(data, read, size),
	      "data from before the zone's reset is read");
}

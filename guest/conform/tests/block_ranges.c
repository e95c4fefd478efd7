// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter block: the commands that name ranges of sectors: discard, write zeroes and secure erase
 * (VIRTIO 1.4, 5.2.6).
 */
#include "devices/block.h"
#include "devices/dut.h"
#include "pages.h"

#define BLOCK	  .device = VIRTIO_ID_BLOCK
#define BATCH_MAX 64u	     /* most that a test puts into one request */
#define RANGE_MAX (1u << 17) /* the longest one that is tried, in sectors */
#define UNMAP	  VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

typedef struct virtio_blk_discard_write_zeroes range;

/* What differs between the commands. */
struct command {
	uint32_t type;
	uint64_t feature;
	const char *name;
	uint32_t sectors, count; /* offsets of the limits in the configuration */
	uint32_t alignment;	 /* likewise; 0: there is none */
	uint32_t flags;		 /* that are defined */
};

#define OFFSET(field) offsetof(struct virtio_blk_config, field)

enum { DISCARD, WRITE_ZEROES, SECURE_ERASE, COMMANDS };

static const struct command commands[COMMANDS] = {
	[DISCARD] = {VIRTIO_BLK_T_DISCARD, FEATURE(VIRTIO_BLK_F_DISCARD), "VIRTIO_BLK_F_DISCARD",
		     OFFSET(max_discard_sectors), OFFSET(max_discard_seg),
		     OFFSET(discard_sector_alignment), 0},
	[WRITE_ZEROES] = {VIRTIO_BLK_T_WRITE_ZEROES, FEATURE(VIRTIO_BLK_F_WRITE_ZEROES),
			  "VIRTIO_BLK_F_WRITE_ZEROES", OFFSET(max_write_zeroes_sectors),
			  OFFSET(max_write_zeroes_seg), 0, UNMAP},
	[SECURE_ERASE] = {VIRTIO_BLK_T_SECURE_ERASE, FEATURE(VIRTIO_BLK_F_SECURE_ERASE),
			  "VIRTIO_BLK_F_SECURE_ERASE", OFFSET(max_secure_erase_sectors),
			  OFFSET(max_secure_erase_seg), OFFSET(secure_erase_sector_alignment), 0},
};

/* A disk that offers a command, and how the command may be used. */
struct target {
	const struct command *command;
	struct queue *queue;
	uint64_t capacity;
	uint32_t sectors, count; /* limits: of one range, and how many ranges */
	uint32_t unit;		 /* sectors in an aligned range, at least 1 */
	uint64_t first;		 /* an aligned sector */
};

/* False: no disk offers the command. */
static bool open_target(struct target *target, unsigned int which)
{
	const struct command *command = &commands[which];
	struct queue *queue = block_open(command->feature, 64);
	struct device *device = queue->device;

	if (!(device->negotiated & command->feature))
		return false;
	*target = (struct target){
		.command = command,
		.queue = queue,
		.capacity = block_capacity(device),
		.sectors = (uint32_t)config_read(device, command->sectors, 4),
		.count = (uint32_t)config_read(device, command->count, 4),
	};
	if (command->alignment)
		target->unit = (uint32_t)config_read(device, command->alignment, 4);
	target->unit = target->unit ? target->unit : 1;
	target->first = (BLOCK_TEST_SECTOR / target->unit + 1) * target->unit;
	check(target->sectors > 0 && target->count > 0,
	      "%s is offered, for at most %u ranges of at most %u sectors", command->name,
	      target->count, target->sectors);
	return true;
}

static void need_target(struct target *target, unsigned int which)
{
	if (!open_target(target, which))
		skip("no disk offers %s", commands[which].name);
	if (target->first + 2 * target->unit >= target->capacity)
		skip("the disk is too small for its own alignment of %u sectors", target->unit);
}

static uint8_t do_ranges(const struct target *target, range *ranges, uint32_t count)
{
	return block_request(target->queue, target->command->type, 0, ranges,
			     count * (uint32_t)sizeof(*ranges), true);
}

static uint8_t do_range(const struct target *target, uint64_t sector, uint32_t count,
			uint32_t flags)
{
	static range one;

	one = (range){sector, count, flags};
	return do_ranges(target, &one, 1);
}

static void write_filled(const struct target *target, uint64_t sector, uint8_t *data,
			 uint32_t count)
{
	block_fill(data, count * SECTOR, sector);
	block_must(target->queue, VIRTIO_BLK_T_OUT, sector, data, count * SECTOR, true);
}

static void must_be_filled(const struct target *target, uint64_t sector, uint8_t *data,
			   uint32_t count, const char *what)
{
	memset(data, 0, count * SECTOR);
	block_must(target->queue, VIRTIO_BLK_T_IN, sector, data, count * SECTOR, false);
	check(block_is_filled(data, count * SECTOR, sector), "%s was changed, at sector %lu", what,
	      sector);
}

static void must_be_zero(const struct target *target, uint64_t sector, uint8_t *data)
{
	memset(data, 0xee, SECTOR);
	block_must(target->queue, VIRTIO_BLK_T_IN, sector, data, SECTOR, false);
	for (uint32_t i = 0; i < SECTOR; i++)
		check(data[i] == 0, "byte %u of sector %lu is 0x%x after write-zeroes", i, sector,
		      data[i]);
}

/* As many ranges as are allowed, of one unit each; the sectors beside them stay as they were. */
static void serve_ranges(const struct target *target, uint32_t flags)
{
	range *ranges = pages_get(BATCH_MAX * sizeof(*ranges));
	uint32_t unit = target->unit, count = target->count < BATCH_MAX ? target->count : BATCH_MAX;
	uint8_t *data = pages_get(SECTOR), status;

	while (count > 1 && target->first + 2ull * count * unit >= target->capacity)
		count--;
	write_filled(target, target->first - 1, data, 1);
	for (uint32_t i = 0; i < count; i++) {
		ranges[i] = (range){target->first + 2ull * i * unit, unit, flags};
		write_filled(target, ranges[i].sector, data, 1);
		write_filled(target, ranges[i].sector + unit, data, 1);
	}
	status = do_ranges(target, ranges, count);
	check(status == VIRTIO_BLK_S_OK,
	      "%u ranges of %u sectors, of %u that are allowed: status %u", count, unit,
	      target->count, status);
	must_be_filled(target, target->first - 1, data, 1, "the sector before a range");
	for (uint32_t i = 0; i < count; i++) {
		must_be_filled(target, ranges[i].sector + unit, data, 1,
			       "the sector after a range");
		if (target->command->type == VIRTIO_BLK_T_WRITE_ZEROES)
			must_be_zero(target, ranges[i].sector, data);
	}
}

/* One range as long as is allowed, or as the disk, or RANGE_MAX. */
static void serve_longest(const struct target *target, uint32_t flags)
{
	uint64_t room = target->capacity - target->first - 1;
	uint32_t count = target->sectors < RANGE_MAX ? target->sectors : RANGE_MAX;
	uint8_t *data = pages_get(SECTOR), status;

	if (count > room)
		count = (uint32_t)room;
	if (count > target->unit)
		count = count / target->unit * target->unit;
	write_filled(target, target->first - 1, data, 1);
	write_filled(target, target->first, data, 1);
	write_filled(target, target->first + count - 1, data, 1);
	write_filled(target, target->first + count, data, 1);
	status = do_range(target, target->first, count, flags);
	check(status == VIRTIO_BLK_S_OK, "a range of %u sectors, of %u that are allowed: status %u",
	      count, target->sectors, status);
	must_be_filled(target, target->first - 1, data, 1, "the sector before the range");
	must_be_filled(target, target->first + count, data, 1, "the sector after the range");
	if (target->command->type != VIRTIO_BLK_T_WRITE_ZEROES)
		return;
	must_be_zero(target, target->first, data);
	must_be_zero(target, target->first + count - 1, data);
}

static void serve_command(unsigned int which, uint32_t flags)
{
	struct target target;

	need_target(&target, which);
	serve_ranges(&target, flags);
	serve_longest(&target, flags);
}

TEST(blk_discard, "AVP-BLK-019", BLOCK, .limit_ms = 20000)
{
	serve_command(DISCARD, 0);
}

TEST(blk_secure_erase, "AVP-BLK-021", BLOCK, .limit_ms = 20000)
{
	serve_command(SECURE_ERASE, 0);
}

TEST(blk_write_zeroes, "AVP-BLK-020", BLOCK, .limit_ms = 20000)
{
	serve_command(WRITE_ZEROES, 0);
	serve_command(WRITE_ZEROES, UNMAP);
}

/* Calls @attack for each command that the disk offers. */
static void for_each_command(void (*attack)(struct target *target))
{
	bool any = false;

	for (unsigned int which = 0; which < COMMANDS; which++) {
		struct target target;

		if (!open_target(&target, which))
			continue;
		any = true;
		attack(&target);
	}
	if (!any)
		skip("no disk offers discard, write zeroes or secure erase");
}

static void try_flags(struct target *target)
{
	static const uint32_t flags[] = {UNMAP, UNMAP << 1, 1u << 31, 3, UINT32_MAX & ~UNMAP};
	uint8_t *data = pages_get(SECTOR);

	write_filled(target, target->first, data, 1);
	for (unsigned int i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		uint8_t status;

		if (!(flags[i] & ~target->command->flags))
			continue;
		status = do_range(target, target->first, target->unit, flags[i]);
		check(status == VIRTIO_BLK_S_UNSUPP, "%s: a range with flags 0x%x has status %u",
		      target->command->name, flags[i], status);
		must_be_filled(target, target->first, data, 1, "a range with an unknown flag");
	}
}

TEST(blk_unknown_flags, "AVP-BLK-022", BLOCK, .limit_ms = 15000)
{
	for_each_command(try_flags);
}

static void try_limits(struct target *target)
{
	const uint64_t capacity = target->capacity;
	const range beyond[] = {
		{capacity, 1, 0},
		{capacity - 1, 2, 0},
		{UINT64_MAX, 8, 0},
		{UINT64_MAX - 3, 8, 0},
		{BLOCK_TEST_SECTOR, UINT32_MAX, 0},
	};
	range *ranges = pages_get((BATCH_MAX + 1) * sizeof(*ranges));
	uint8_t status;

	for (unsigned int i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		if (beyond[i].sector < capacity &&
		    beyond[i].num_sectors < capacity - beyond[i].sector)
			continue;
		status = do_range(target, beyond[i].sector, beyond[i].num_sectors, 0);
		check(status == VIRTIO_BLK_S_IOERR || status == VIRTIO_BLK_S_UNSUPP,
		      "%s: %u sectors at %lu of %lu: status %u", target->command->name,
		      beyond[i].num_sectors, (uint64_t)beyond[i].sector, capacity, status);
	}
	if (target->sectors < capacity - target->first) {
		status = do_range(target, target->first, target->sectors + 1, 0);
		check(status != VIRTIO_BLK_S_OK, "%s: %u sectors, one more than allowed, succeed",
		      target->command->name, target->sectors + 1);
	}
	if (target->count > BATCH_MAX ||
	    target->first + (target->count + 1ull) * target->unit > capacity)
		return;
	for (uint32_t i = 0; i <= target->count; i++)
		ranges[i] = (range){target->first + i * target->unit, target->unit, 0};
	status = do_ranges(target, ranges, target->count + 1);
	check(status != VIRTIO_BLK_S_OK, "%s: %u ranges, one more than allowed, succeed",
	      target->command->name, target->count + 1);
}

/* A range that is cut: the device reports an error, or needs a reset. */
static void try_cut(struct target *target)
{
	for (unsigned int length = 8; length < 24; length += 7) {
		static struct virtio_blk_outhdr header;
		static volatile uint8_t answer;
		static range ranges[2];
		struct queue *queue = target->queue;
		struct device *device = queue->device;
		struct driver_buffer buffers[3] = {buffer_of(&header, sizeof(header)),
						   buffer_of(ranges, length),
						   buffer_of((void *)&answer, 1)};

		header.type = target->command->type;
		ranges[0] = ranges[1] = (range){target->first, target->unit, 0};
		answer = NO_STATUS;
		driver_queue_add(&queue->ring, buffers, 2, 1, queue);
		queue_kick(queue);
		check(wait_until(driver_queue_has_used(&queue->ring) ||
					 device->ops->status(device) & NEEDS_RESET,
				 ANSWER_MS),
		      "a request with a range of %u bytes is not used, and no reset requested",
		      length);
		check(!driver_queue_has_used(&queue->ring) || answer != VIRTIO_BLK_S_OK,
		      "a request with a range of %u bytes succeeds", length);
		target->queue = block_open(target->command->feature, 64);
	}
}

static void try_wild(struct target *target)
{
	uint8_t *data = pages_get(SECTOR);

	write_filled(target, target->capacity - 1, data, 1);
	try_limits(target);
	must_be_filled(target, target->capacity - 1, data, 1, "the end of the disk");
	write_filled(target, target->first, data, 1);
	try_cut(target);
	must_be_filled(target, target->first, data, 1, "the target of a range that is cut");
}

TEST(blk_segments_wild, "AVP-BLK-023", BLOCK, .limit_ms = 30000)
{
	for_each_command(try_wild);
}

TEST(blk_may_unmap, "AVP-BLK-024", BLOCK)
{
	struct queue *queue =
		block_open_with(FEATURE(VIRTIO_BLK_F_WRITE_ZEROES), "VIRTIO_BLK_F_WRITE_ZEROES");
	uint64_t may = BLOCK_CONFIG(queue->device, write_zeroes_may_unmap);

	check(may <= 1, "SHOULD: write_zeroes_may_unmap is %lu", may);
}

// SPDX-License-Identifier: BSD-3-Clause
/* Chapter block (VIRTIO 1.4, 5.2). The tests write to the first writable disk. */
#include "devices/block.h"
#include "pages.h"
#include "reboot.h"
#include "report.h"
#include "tests/rings.h"

#define BLOCK	 .device = VIRTIO_ID_BLOCK
#define FLUSH	 FEATURE(VIRTIO_BLK_F_FLUSH)
#define WCE	 FEATURE(VIRTIO_BLK_F_CONFIG_WCE)
#define ZEROES	 FEATURE(VIRTIO_BLK_F_WRITE_ZEROES)
#define ZONED	 FEATURE(BLOCK_F_ZONED)
#define LIFETIME FEATURE(BLOCK_F_LIFETIME)
#define MODEL	 92 /* in the configuration of a zoned disk */
/* Most that a test transfers by one request, whatever limits the disk has. */
#define LARGE	(1u << 20)
#define UNUSED1 (offsetof(struct virtio_blk_config, write_zeroes_may_unmap) + 1)

static void build_read(struct request *request, uint64_t sector, void *data, uint32_t size,
		       uint8_t *status)
{
	struct virtio_blk_outhdr *header = (struct virtio_blk_outhdr *)request->memory;

	*header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN, .sector = sector};
	*status = NO_STATUS;
	request->buffers[0] = buffer_of(header, sizeof(*header));
	request->buffers[1] = buffer_of(data, size);
	request->buffers[2] = buffer_of(status, 1);
	request->readable = 1;
	request->writable = 2;
}

/* A read of one of the first eight sectors. */
static void build(struct request *request, unsigned int slot)
{
	build_read(request, slot % 8, request->memory + 256, SECTOR,
		   request->memory + REQUEST_SIZE - 1);
}

static const char *verify(const struct request *request, uint32_t written)
{
	uint8_t status = request->memory[REQUEST_SIZE - 1];

	if (status == NO_STATUS)
		return "a read was used without a status";
	if (status != VIRTIO_BLK_S_OK)
		return "a read of a sector failed";
	/* It may be less (VIRTIO 1.4, 2.7.8.2). */
	return written <= SECTOR + 1 ? NULL : "the used length of a read exceeds data and status";
}

static void build_large(struct request *request, uint32_t size)
{
	build_read(request, 0, request->memory + SECTOR, size - 2 * SECTOR,
		   request->memory + size - 1);
}

/* VIRTIO 1.4, 5.2.5.2: a cache that can be disabled can be flushed. */
static const char *wrong_offer(uint64_t offered)
{
	return offered & WCE && !(offered & FLUSH) ?
		       "VIRTIO_BLK_F_CONFIG_WCE without VIRTIO_BLK_F_FLUSH" :
		       NULL;
}

static uint32_t identity(struct device *device)
{
	static uint8_t serial[VIRTIO_BLK_ID_BYTES] __attribute__((aligned(16)));
	uint64_t numbers[2];
	struct queue *queue;

	device_open(device, 0);
	queue = device_queue(device, 0, 16);
	device_run(device);
	memset(serial, 0, sizeof(serial));
	numbers[0] = block_capacity(device);
	numbers[1] = block_request(queue, VIRTIO_BLK_T_GET_ID, 0, serial, sizeof(serial), false);
	return text_sum(text_sum(0, numbers, sizeof(numbers)), serial, sizeof(serial));
}

#define FIELD(field, feature, limit) \
	DEVICE_FIELD(struct virtio_blk_config, field, FEATURE(VIRTIO_BLK_F_##feature), limit)

/* Without writeback, which a driver must not read early (VIRTIO 1.4, 5.2.5.1). */
static const struct device_field fields[] = {
	FIELD(size_max, SIZE_MAX, false),
	FIELD(seg_max, SEG_MAX, true),
	FIELD(blk_size, BLK_SIZE, false),
	FIELD(physical_block_exp, TOPOLOGY, false),
	FIELD(alignment_offset, TOPOLOGY, false),
	FIELD(min_io_size, TOPOLOGY, false),
	FIELD(opt_io_size, TOPOLOGY, false),
	FIELD(num_queues, MQ, true),
	FIELD(max_discard_sectors, DISCARD, false),
	FIELD(max_discard_seg, DISCARD, false),
	FIELD(discard_sector_alignment, DISCARD, false),
	FIELD(max_write_zeroes_sectors, WRITE_ZEROES, false),
	FIELD(max_write_zeroes_seg, WRITE_ZEROES, false),
	FIELD(max_secure_erase_sectors, SECURE_ERASE, false),
	FIELD(max_secure_erase_seg, SECURE_ERASE, false),
	FIELD(secure_erase_sector_alignment, SECURE_ERASE, false),
	{.name = NULL},
};

DEVICE_TYPE(block) = {
	.id = VIRTIO_ID_BLOCK,
	.name = "block",
	.base = true,
	.features = FEATURE(VIRTIO_BLK_F_SIZE_MAX) | FEATURE(VIRTIO_BLK_F_SEG_MAX) |
		    FEATURE(VIRTIO_BLK_F_GEOMETRY) | FEATURE(VIRTIO_BLK_F_RO) |
		    FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FLUSH | FEATURE(VIRTIO_BLK_F_TOPOLOGY) | WCE |
		    FEATURE(VIRTIO_BLK_F_MQ) | FEATURE(VIRTIO_BLK_F_DISCARD) | ZEROES | LIFETIME |
		    FEATURE(VIRTIO_BLK_F_SECURE_ERASE) | ZONED,
	.legacy_features = FEATURE(VIRTIO_BLK_F_BARRIER) | FEATURE(VIRTIO_BLK_F_SCSI),
	.excluded_features = FEATURE(VIRTIO_BLK_F_RO), /* the feature does not affect its rings */
	.demands = block_demands,
	.build = build,
	.verify = verify,
	.build_large = build_large,
	.config_size = 8,
	.config_wide = true,
	.fields = fields,
	.wrong_offer = wrong_offer,
	.identity = identity,
};

TEST(blk_write_read, "AVP-BLK-001", BLOCK, .limit_ms = 20000)
{
	struct queue *queue = block_open(0, 64);
	uint64_t capacity = block_capacity(queue->device);
	uint8_t *data = pages_get(65536);

	for (uint64_t round = 0; round < 24; round++) {
		uint64_t sector = random_number() % (capacity - 128);
		uint32_t size = SECTOR << round % 8;

		block_fill(data, size, sector);
		block_must(queue, VIRTIO_BLK_T_OUT, sector, data, size, true);
		memset(data, 0, size);
		block_must(queue, VIRTIO_BLK_T_IN, sector, data, size, false);
		check(block_is_filled(data, size, sector),
		      "%u bytes at sector %lu came back different", size, sector);
		block_fill(data, SECTOR, round);
		block_must(queue, VIRTIO_BLK_T_OUT, sector, data, SECTOR, true);
		block_must(queue, VIRTIO_BLK_T_IN, sector, data, SECTOR, false);
		check(block_is_filled(data, SECTOR, round),
		      "sector %lu reads back its old data after a write", sector);
	}
}

TEST(blk_capacity, "AVP-BLK-002", BLOCK)
{
	struct queue *queue = block_open(0, 64);
	uint64_t capacity = block_capacity(queue->device);
	uint8_t *data = pages_get(SECTOR);

	block_must(queue, VIRTIO_BLK_T_IN, 0, data, SECTOR, false);
	block_fill(data, SECTOR, 7);
	block_must(queue, VIRTIO_BLK_T_OUT, capacity - 1, data, SECTOR, true);
	memset(data, 0, SECTOR);
	block_must(queue, VIRTIO_BLK_T_IN, capacity - 1, data, SECTOR, false);
	check(block_is_filled(data, SECTOR, 7),
	      "the last sector, %lu, does not keep what is written", capacity - 1);
}

TEST(blk_status, "AVP-BLK-003", BLOCK)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN,
		VIRTIO_BLK_T_OUT,
		VIRTIO_BLK_T_FLUSH,
		VIRTIO_BLK_T_GET_ID,
		BLOCK_T_GET_LIFETIME,
		VIRTIO_BLK_T_DISCARD,
		VIRTIO_BLK_T_WRITE_ZEROES,
		VIRTIO_BLK_T_SECURE_ERASE,
		99,
		UINT32_MAX,
	};
	struct queue *queue = block_open(0, 64);
	uint8_t *data = pages_get(SECTOR);

	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		uint8_t status = block_request(queue, types[i], BLOCK_TEST_SECTOR, data, SECTOR,
					       types[i] & 1);

		check(status <= VIRTIO_BLK_S_UNSUPP, "a request of type %u ends with status %u",
		      types[i], status);
	}
}

TEST(blk_beyond_capacity, "AVP-BLK-004", BLOCK)
{
	struct queue *queue = block_open(0, 64);
	uint64_t capacity = block_capacity(queue->device);
	const uint64_t sectors[] = {capacity,	capacity - 1,	  capacity + 1000,
				    UINT64_MAX, UINT64_MAX / 512, UINT64_MAX / 512 + 1};
	uint8_t *data = pages_get(2 * SECTOR), *last = pages_get(SECTOR);

	block_fill(last, SECTOR, 11);
	block_must(queue, VIRTIO_BLK_T_OUT, capacity - 1, last, SECTOR, true);
	for (unsigned int i = 0; i < 6; i++)
		for (uint32_t type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++) {
			uint8_t status;

			memset(data, 0xa5, 2 * SECTOR);
			status = block_request(queue, type, sectors[i], data, 2 * SECTOR,
					       type == VIRTIO_BLK_T_OUT);
			check(status == VIRTIO_BLK_S_IOERR,
			      "type %u for two sectors at %lu of %lu has status %u", type,
			      sectors[i], capacity, status);
		}
	memset(last, 0, SECTOR);
	block_must(queue, VIRTIO_BLK_T_IN, capacity - 1, last, SECTOR, false);
	check(block_is_filled(last, SECTOR, 11),
	      "a write beyond the capacity changed the last sector");
}

TEST(blk_length_odd, "AVP-BLK-005", BLOCK, .limit_ms = 15000)
{
	static const uint32_t sizes[] = {1, 100, 511, 513, 1000};
	struct queue *queue = block_open(0, 64);
	uint8_t *data = pages_get(2 * SECTOR), *before = pages_get(4 * SECTOR);

	block_fill(before, 4 * SECTOR, 5);
	block_must(queue, VIRTIO_BLK_T_OUT, BLOCK_TEST_SECTOR, before, 4 * SECTOR, true);
	for (unsigned int i = 0; i < 5; i++) {
		uint8_t status;

		memset(data, 0x5a, 2 * SECTOR);
		status = block_request(queue, VIRTIO_BLK_T_OUT, BLOCK_TEST_SECTOR, data, sizes[i],
				       true);
		check(status <= VIRTIO_BLK_S_UNSUPP, "a write of %u bytes has status %u", sizes[i],
		      status);
		block_must(queue, VIRTIO_BLK_T_IN, BLOCK_TEST_SECTOR, before, 4 * SECTOR, false);
		/* All of it, or nothing of any sector. */
		for (unsigned int s = 0; s < 4; s++) {
			const uint8_t *sector = before + s * SECTOR;

			check(sector[0] != 0x5a || sector[SECTOR - 1] == 0x5a,
			      "a write of %u bytes changed part of a sector", sizes[i]);
		}
		block_fill(before, 4 * SECTOR, 5);
		block_must(queue, VIRTIO_BLK_T_OUT, BLOCK_TEST_SECTOR, before, 4 * SECTOR, true);
	}
}

static bool craft_short(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_desc *table = split_table_of(queue);
	uint64_t memory = (uint64_t)dut->area;
	const uint16_t next = VRING_DESC_F_NEXT, write = VRING_DESC_F_WRITE;

	if (dut->device->id != VIRTIO_ID_BLOCK)
		return false;
	memset(dut->area, 0, 4096);
	switch (variant) {
	case 0: /* a status alone */
		table[0] = (struct vring_desc){memory, 1, write, 0};
		break;
	case 1: /* a cut header */
		table[0] = (struct vring_desc){memory, 8, next, 1};
		table[1] = (struct vring_desc){memory + 512, 513, write, 0};
		break;
	case 2: /* a status without room */
		table[0] = (struct vring_desc){memory, 16, 0, 0};
		break;
	case 3: /* a header that the device may write */
		table[0] = (struct vring_desc){memory, 16, write | next, 1};
		table[1] = (struct vring_desc){memory + 512, 513, write, 0};
		break;
	case 4: /* a read whose data is readable */
		table[0] = (struct vring_desc){memory, 16, next, 1};
		table[1] = (struct vring_desc){memory + 512, 512, next, 2};
		table[2] = (struct vring_desc){memory + 2048, 1, write, 0};
		break;
	case 5: /* a write whose data is writable */
		dut->area[0] = VIRTIO_BLK_T_OUT;
		*(uint64_t *)(dut->area + 8) = BLOCK_TEST_SECTOR;
		table[0] = (struct vring_desc){memory, 16, next, 1};
		table[1] = (struct vring_desc){memory + 512, 512, next | write, 2};
		table[2] = (struct vring_desc){memory + 2048, 1, write, 0};
		break;
	default:
		return false;
	}
	split_offer(queue, 0);
	return true;
}

TEST(blk_short_request, "AVP-BLK-006", BLOCK, .limit_ms = 20000)
{
	attack_duts(SPLIT, craft_short, "a request with a missing part");
}

TEST(blk_unknown_type, "AVP-BLK-007", BLOCK)
{
	/* Odd types too: an unknown type is unsupported in either direction. */
	static const uint32_t types[] = {3, 5, 7, 99, 0x1000, 0x7fffffff, 0xfffffffe};
	struct queue *queue = block_open(0, 64);
	uint8_t *data = pages_get(SECTOR), status;

	for (unsigned int i = 0; i < 7; i++) {
		status = block_request(queue, types[i], BLOCK_TEST_SECTOR, data, SECTOR, false);
		check(status == VIRTIO_BLK_S_UNSUPP, "a request of type 0x%x has status %u",
		      types[i], status);
	}
	status = block_request(queue, VIRTIO_BLK_T_DISCARD, 0, data, 16, true);
	check(status == VIRTIO_BLK_S_UNSUPP, "a discard that was not negotiated has status %u",
	      status);
	status = block_request(queue, VIRTIO_BLK_T_WRITE_ZEROES, 0, data, 16, true);
	check(status == VIRTIO_BLK_S_UNSUPP,
	      "a write-zeroes request that was not negotiated has status %u", status);
}

TEST(blk_get_id, "AVP-BLK-008", BLOCK)
{
	struct queue *queue = block_open(0, 64);
	uint8_t *first = pages_get(SECTOR), *again = first + 64;
	unsigned int length = 0;
	uint8_t status = block_request(queue, VIRTIO_BLK_T_GET_ID, 0, first, 20, false);

	if (status == VIRTIO_BLK_S_UNSUPP)
		skip("GET_ID is not supported");
	check(status == VIRTIO_BLK_S_OK, "GET_ID has status %u", status);
	while (length < 20 && first[length])
		length++;
	for (unsigned int i = 0; i < 20; i++)
		check(i < length ? first[i] >= 32 && first[i] < 127 : first[i] == 0,
		      "byte %u of the id is 0x%x", i, first[i]);
	block_must(queue, VIRTIO_BLK_T_GET_ID, 0, again, 20, false);
	check(!memcmp(first, again, 20), "the id has changed");
	memset(again, 0xa5, 64);
	block_request(queue, VIRTIO_BLK_T_GET_ID, 0, again, 8, false);
	check(again[8] == 0xa5, "GET_ID wrote beyond its buffer of 8 bytes");
	block_request(queue, VIRTIO_BLK_T_GET_ID, 0, again, 64, false);
	block_must(queue, VIRTIO_BLK_T_IN, 0, first, SECTOR, false);
}

TEST(blk_read_only, "AVP-BLK-009", BLOCK)
{
	for (unsigned int n = 0; n < 16; n++) {
		struct device *device = device_nth(VIRTIO_ID_BLOCK, TRANSPORT_ANY, n);
		uint8_t *data, *before;
		struct queue *queue;

		if (!device)
			break;
		if (!(device_offered(device) & FEATURE(VIRTIO_BLK_F_RO)))
			continue;
		data = pages_get(SECTOR);
		before = pages_get(SECTOR);
		for (int accepted = 0; accepted < 2; accepted++) {
			device_open(device, accepted ? FEATURE(VIRTIO_BLK_F_RO) : 0);
			queue = device_queue(device, 0, 16);
			device_run(device);
			block_must(queue, VIRTIO_BLK_T_IN, 0, before, SECTOR, false);
			check(block_request(queue, VIRTIO_BLK_T_OUT, 0, data, SECTOR, true) ==
				      VIRTIO_BLK_S_IOERR,
			      "a write to a read-only disk does not end with IOERR");
			block_must(queue, VIRTIO_BLK_T_IN, 0, data, SECTOR, false);
			check(!memcmp(data, before, SECTOR), "a read-only disk was written");
		}
		return;
	}
	skip("no read-only disk");
}

/*
 * Writes sectors, has @flush make them stable if they are not, and resets the disk, which may lose
 * what is not stable. A guest cannot take more from a disk than a reset does.
 */
static void expect_stable(struct queue *queue, bool flush, const char *what)
{
	struct device *device = queue->device;
	uint64_t features = device->negotiated;
	uint8_t *data = pages_get(SECTOR);

	for (unsigned int i = 0; i < 10; i++) {
		uint64_t seed = random_number();

		block_fill(data, SECTOR, seed);
		block_must(queue, VIRTIO_BLK_T_OUT, BLOCK_TEST_SECTOR + i, data, SECTOR, true);
		if (flush)
			block_must(queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, true);
		queue = block_open(features, 64);
		block_must(queue, VIRTIO_BLK_T_IN, BLOCK_TEST_SECTOR + i, data, SECTOR, false);
		check(block_is_filled(data, SECTOR, seed), "%s was lost when the disk was reset",
		      what);
	}
}

TEST(blk_flush, "AVP-BLK-010", BLOCK, .limit_ms = 20000)
{
	expect_stable(block_open_with(FLUSH, "VIRTIO_BLK_F_FLUSH"), true,
		      "a write that was flushed");
}

TEST(blk_flush_boot, "AVP-BLK-010", BLOCK, .limit_ms = 60000)
{
	struct queue *queue = block_open_with(FLUSH, "VIRTIO_BLK_F_FLUSH");
	uint8_t *data = pages_get(SECTOR);
	uint64_t seed;

	if (!reboot_resume(&seed, sizeof(seed))) {
		seed = random_number();
		block_fill(data, SECTOR, seed);
		block_must(queue, VIRTIO_BLK_T_OUT, BLOCK_TEST_SECTOR, data, SECTOR, true);
		block_must(queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, true);
		reboot_now(&seed, sizeof(seed));
	}
	block_must(queue, VIRTIO_BLK_T_IN, BLOCK_TEST_SECTOR, data, SECTOR, false);
	check(block_is_filled(data, SECTOR, seed),
	      "a write that was flushed was lost when the machine was reset");
}

TEST(blk_write_through, "AVP-BLK-011", BLOCK, .limit_ms = 20000)
{
	struct queue *queue = block_open(0, 64);

	if (!(device_offered(queue->device) & FLUSH))
		skip("%s does not offer VIRTIO_BLK_F_FLUSH", device_name(queue->device));
	expect_stable(queue, false, "a write of a driver that cannot flush");
}

TEST(blk_flush_offered, "AVP-BLK-012", BLOCK)
{
	struct device *device = device_find(VIRTIO_ID_BLOCK, TRANSPORT_ANY);

	check(device_offered(device) & FLUSH, "SHOULD: %s does not offer VIRTIO_BLK_F_FLUSH",
	      device_name(device));
}

TEST(blk_wce_dependency, "AVP-BLK-013", BLOCK)
{
	struct device *device = device_find(VIRTIO_ID_BLOCK, TRANSPORT_ANY);
	uint64_t offered = device_offered(device);

	check(!(offered & WCE) || offered & FLUSH, "VIRTIO_BLK_F_CONFIG_WCE without FLUSH");
}

TEST(blk_wce_initial, "AVP-BLK-014", BLOCK)
{
	struct queue *queue = block_open_with(WCE, "VIRTIO_BLK_F_CONFIG_WCE");

	check(BLOCK_CONFIG(queue->device, wce) == 0,
	      "writeback is %lu at first, without VIRTIO_BLK_F_FLUSH",
	      BLOCK_CONFIG(queue->device, wce));
}

TEST(blk_wce_switch, "AVP-BLK-015", BLOCK)
{
	struct queue *queue = block_open_with(WCE | FLUSH, "VIRTIO_BLK_F_CONFIG_WCE");
	uint8_t *data = pages_get(SECTOR);

	for (unsigned int i = 0; i < 4; i++) {
		config_write(queue->device, offsetof(struct virtio_blk_config, wce), i & 1, 1);
		check(BLOCK_CONFIG(queue->device, wce) == (i & 1), "writeback reads %lu after %u",
		      BLOCK_CONFIG(queue->device, wce), i & 1);
		block_must(queue, VIRTIO_BLK_T_OUT, BLOCK_TEST_SECTOR, data, SECTOR, true);
	}
	config_write(queue->device, offsetof(struct virtio_blk_config, wce), 0x5a, 1);
	block_must(queue, VIRTIO_BLK_T_OUT, BLOCK_TEST_SECTOR, data, SECTOR, true);
}

TEST(blk_config_padding, "AVP-BLK-016", BLOCK)
{
	struct device *device = device_find(VIRTIO_ID_BLOCK, TRANSPORT_ANY);
	uint64_t offered = device_offered(device);

	if (!(offered & (WCE | ZEROES)))
		skip("%s offers no feature whose fields have padding", device_name(device));
	if (offered & WCE)
		check(BLOCK_CONFIG(device, unused) == 0, "unused0 of the configuration is 0x%lx",
		      BLOCK_CONFIG(device, unused));
	for (uint32_t i = UNUSED1; offered & ZEROES && i < UNUSED1 + 3; i++)
		check(config_read(device, i, 1) == 0, "byte %u of the configuration is 0x%lx", i,
		      config_read(device, i, 1));
}

/* Reads @count segments of @size bytes each by one request. */
static void read_segments(struct queue *queue, uint64_t sector, uint32_t count, uint32_t size,
			  const char *limit)
{
	struct virtio_blk_outhdr *header = pages_get(PAGE_SIZE);
	uint8_t *status = (uint8_t *)header + SECTOR, *data = pages_get((size_t)count * size);
	struct driver_buffer *buffers = pages_get((count + 2) * sizeof(*buffers));

	*header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN, .sector = sector};
	*status = NO_STATUS;
	buffers[0] = buffer_of(header, sizeof(*header));
	for (uint32_t i = 0; i < count; i++)
		buffers[1 + i] = buffer_of(data + i * size, size);
	buffers[1 + count] = buffer_of(status, 1);
	check(queue_do(queue, buffers, 1, count + 1, NULL, ANSWER_MS),
	      "a read of %u segments of %u bytes, as %s allows, was not used", count, size, limit);
	check(*status == VIRTIO_BLK_S_OK,
	      "a read of %u segments of %u bytes, as %s allows, has status %u", count, size, limit,
	      *status);
}

/* Opens a disk whose features tell limits. */
static struct queue *open_limits(void)
{
	return block_open(FEATURE(VIRTIO_BLK_F_SIZE_MAX) | FEATURE(VIRTIO_BLK_F_SEG_MAX) |
				  FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FEATURE(VIRTIO_BLK_F_TOPOLOGY),
			  256);
}

TEST(blk_geometry_limits, "AVP-BLK-017", BLOCK, .limit_ms = 15000)
{
	struct queue *queue = open_limits();
	struct device *device = queue->device;
	uint32_t segments = 16;

	if (device->negotiated & FEATURE(VIRTIO_BLK_F_SEG_MAX)) {
		segments = (uint32_t)BLOCK_CONFIG(device, seg_max);
		check(segments > 0, "seg_max is 0");
	}
	if (segments > queue->size - 2u)
		segments = queue->size - 2u;
	read_segments(queue, 0, segments, SECTOR, "seg_max");
	if (device->negotiated & FEATURE(VIRTIO_BLK_F_SIZE_MAX)) {
		uint32_t size = (uint32_t)BLOCK_CONFIG(device, size_max) / SECTOR * SECTOR;

		check(size >= SECTOR, "size_max is %lu", BLOCK_CONFIG(device, size_max));
		read_segments(queue, 0, 1, size < LARGE ? size : LARGE, "size_max");
	}
}

/* The topology is in units of the logical block (VIRTIO 1.4, 5.2.4). */
TEST(blk_topology, "AVP-BLK-017", BLOCK, .limit_ms = 15000)
{
	const uint64_t both = FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FEATURE(VIRTIO_BLK_F_TOPOLOGY);
	struct queue *queue = open_limits();
	struct device *device = queue->device;
	uint32_t block = SECTOR, exponent, offset, least, best;

	if (!(device->negotiated & both))
		skip("%s offers neither VIRTIO_BLK_F_BLK_SIZE nor VIRTIO_BLK_F_TOPOLOGY",
		     device_name(device));
	if (device->negotiated & FEATURE(VIRTIO_BLK_F_BLK_SIZE))
		block = (uint32_t)BLOCK_CONFIG(device, blk_size);
	check(block >= SECTOR && block <= LARGE && !(block & (block - 1)), "blk_size is %u", block);
	check(block_capacity(device) % (block / SECTOR) == 0,
	      "the capacity of %lu sectors is not a multiple of blk_size, %u",
	      block_capacity(device), block);
	read_segments(queue, block / SECTOR, 1, block, "blk_size");
	if (!(device->negotiated & FEATURE(VIRTIO_BLK_F_TOPOLOGY)))
		return;
	exponent = (uint32_t)BLOCK_CONFIG(device, physical_block_exp);
	offset = (uint32_t)BLOCK_CONFIG(device, alignment_offset);
	least = (uint32_t)BLOCK_CONFIG(device, min_io_size);
	best = (uint32_t)BLOCK_CONFIG(device, opt_io_size);
	check(exponent < 32 && (uint64_t)block << exponent <= block_capacity(device) * SECTOR,
	      "a physical block of 2^%u blocks is larger than the disk", exponent);
	check(offset < UINT32_C(1) << exponent,
	      "alignment_offset is %u, in physical blocks of %u blocks", offset,
	      UINT32_C(1) << exponent);
	check(best == 0 || least <= best, "min_io_size is %u, opt_io_size %u", least, best);
	if (least && least <= LARGE / block)
		read_segments(queue, offset * (block / SECTOR), 1, least * block, "min_io_size");
	if (best && best <= LARGE / block)
		read_segments(queue, offset * (block / SECTOR), 1, best * block, "opt_io_size");
}

TEST(blk_multiqueue, "AVP-BLK-018", BLOCK, .limit_ms = 15000)
{
	struct queue *first = block_open_with(FEATURE(VIRTIO_BLK_F_MQ), "VIRTIO_BLK_F_MQ");
	struct device *device = first->device;
	uint32_t count = (uint32_t)BLOCK_CONFIG(device, num_queues);
	struct queue *queues[QUEUES_MAX];
	uint8_t *data = pages_get(SECTOR);

	check(count > 0, "num_queues is 0");
	if (count > QUEUES_MAX)
		count = QUEUES_MAX;
	device_open(device, FEATURE(VIRTIO_BLK_F_MQ));
	for (uint32_t i = 0; i < count; i++)
		queues[i] = device_queue(device, i, 16);
	device_run(device);
	for (unsigned int round = 0; round < 20; round++)
		for (uint32_t i = 0; i < count; i++)
			block_must(queues[i], VIRTIO_BLK_T_IN, round, data, SECTOR, false);
}

/* VIRTIO 1.4, 5.2.6: larger values are reserved. */
#define PRE_EOL_URGENT	  3
#define LIFETIME_EXCEEDED 11

TEST(blk_lifetime, "AVP-BLK-025", BLOCK)
{
	struct queue *queue = block_open_with(LIFETIME, "VIRTIO_BLK_F_LIFETIME");
	struct {
		uint16_t pre_eol_info, estimate_a, estimate_b;
	} *life = pages_get(SECTOR);
	uint8_t status;

	/* Reserved values, which remain where the device writes nothing. */
	memset(life, 0xee, sizeof(*life));
	status = block_request(queue, BLOCK_T_GET_LIFETIME, 0, life, sizeof(*life), false);
	check(status == VIRTIO_BLK_S_OK, "GET_LIFETIME has status %u", status);
	check(life->pre_eol_info <= PRE_EOL_URGENT, "pre_eol_info is 0x%x", life->pre_eol_info);
	check(life->estimate_a <= LIFETIME_EXCEEDED && life->estimate_b <= LIFETIME_EXCEEDED,
	      "lifetime estimates are 0x%x and 0x%x", life->estimate_a, life->estimate_b);
}

/* A driver that knows nothing else. */
static bool accepts_version_alone(struct device *device)
{
	device_reset(device);
	device->ops->set_status(device, STATUS_DRIVER);
	device->ops->set_features(device, 0, 0);
	device->ops->set_features(device, 1, VERSION_1 >> 32);
	device->ops->set_status(device, STATUS_FEATURES);
	return device->ops->status(device) & VIRTIO_CONFIG_S_FEATURES_OK;
}

TEST(blk_zoned_refused, "AVP-BLK-026", BLOCK)
{
	static const uint32_t types[] = {
		BLOCK_T_ZONE_APPEND,	BLOCK_T_ZONE_REPORT, BLOCK_T_ZONE_OPEN,
		BLOCK_T_ZONE_CLOSE,	BLOCK_T_ZONE_FINISH, BLOCK_T_ZONE_RESET,
		BLOCK_T_ZONE_RESET_ALL,
	};
	struct device *device;
	struct queue *queue;
	uint8_t *data = pages_get(SECTOR);

	/* Only a driver that knows zones may use a host-managed disk. */
	for (unsigned int n = 0; (device = device_nth(VIRTIO_ID_BLOCK, TRANSPORT_ANY, n)); n++)
		if (device_offered(device) & ZONED && config_read(device, MODEL, 1) == 1)
			check(!accepts_version_alone(device),
			      "%s: host-managed, but keeps FEATURES_OK without VIRTIO_BLK_F_ZONED",
			      device_name(device));
	queue = block_open(0, 64);
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		uint8_t status = block_request(queue, types[i], 0, data, SECTOR, false);

		check(status == VIRTIO_BLK_S_UNSUPP, "zone request %u has status %u", types[i],
		      status);
	}
}

TEST(blk_zoned_offer, "AVP-BLK-031", BLOCK)
{
	struct device *device;
	bool any = false;

	for (unsigned int n = 0; (device = device_nth(VIRTIO_ID_BLOCK, TRANSPORT_ANY, n)); n++) {
		if (!(device_offered(device) & ZONED))
			continue;
		any = true;
		check(device_negotiate(device, ZONED) && config_read(device, MODEL, 1) != 0,
		      "SHOULD: %s offers VIRTIO_BLK_F_ZONED and has no zones", device_name(device));
		if (!accepts_version_alone(device))
			continue;
		for (uint32_t i = 72; i < MODEL + 4; i++)
			check(config_read(device, i, 1) == 0,
			      "SHOULD: %s: byte %u, of zones, is 0x%lx without VIRTIO_BLK_F_ZONED",
			      device_name(device), i, config_read(device, i, 1));
	}
	if (!any)
		skip("no disk offers VIRTIO_BLK_F_ZONED");
}

TEST(blk_parallel, "AVP-BLK-033", BLOCK, .limit_ms = 30000)
{
	struct queue *queue = block_open(FLUSH | EVENT_INDEX | INDIRECT, 64);
	struct {
		struct virtio_blk_outhdr header;
		uint8_t status;
		uint8_t data[SECTOR] __attribute__((aligned(16)));
	} *slots = pages_get(16 * 1024);
	bool flushes = queue->device->negotiated & FLUSH;
	unsigned int count = queue->features & INDIRECT || queue->size >= 48 ? 16 : queue->size / 3;

	for (unsigned int round = 0; round < 12; round++) {
		unsigned int done = 0;

		for (unsigned int i = 0; i < count; i++) {
			struct driver_buffer buffers[3];
			bool flush = flushes && i % 8 == 7;

			slots[i].header = (struct virtio_blk_outhdr){
				.type = flush	  ? VIRTIO_BLK_T_FLUSH :
					round % 2 ? VIRTIO_BLK_T_IN :
						    VIRTIO_BLK_T_OUT,
				.sector = flush ? 0 : BLOCK_TEST_SECTOR + i};
			slots[i].status = NO_STATUS;
			if (round % 2 == 0)
				block_fill(slots[i].data, SECTOR, round + i);
			else
				memset(slots[i].data, 0, SECTOR);
			buffers[0] = buffer_of(&slots[i].header, sizeof(slots[i].header));
			buffers[1] = buffer_of(slots[i].data, SECTOR);
			buffers[2] = buffer_of(&slots[i].status, 1);
			if (flush)
				buffers[1] = buffers[2];
			check(driver_queue_add(&queue->ring, buffers, flush || round % 2 ? 1 : 2,
					       flush	 ? 1 :
					       round % 2 ? 2 :
							   1,
					       &slots[i]) == 0,
			      "no room");
		}
		queue_kick_if_wanted(queue);
		while (done < count) {
			uint32_t written;

			check(queue_wait(queue, &written, ANSWER_MS), "%u of %u requests were used",
			      done, count);
			done++;
		}
		for (unsigned int i = 0; i < count; i++) {
			check(slots[i].status == VIRTIO_BLK_S_OK, "request %u of %u has status %u",
			      i, count, slots[i].status);
			check(round % 2 == 0 || (flushes && i % 8 == 7) ||
				      block_is_filled(slots[i].data, SECTOR, round - 1 + i),
			      "sector %u has other data than was written", BLOCK_TEST_SECTOR + i);
		}
	}
}

TEST(blk_latency, "AVP-BLK-036", BLOCK, .limit_ms = 30000)
{
	static struct distribution distribution;
	static const struct {
		uint32_t type;
		const char *name;
	} rows[] = {{VIRTIO_BLK_T_IN, "blk_read_4k"},
		    {VIRTIO_BLK_T_OUT, "blk_write_4k"},
		    {VIRTIO_BLK_T_FLUSH, "blk_flush"}};
	struct queue *queue = block_open(FLUSH, 64);
	uint8_t *data = pages_get(PAGE_SIZE);

	for (unsigned int i = 0; i < 3; i++) {
		if (i == 2 && !(queue->device->negotiated & FLUSH))
			break;
		distribution_start(&distribution);
		for (unsigned int n = 0; n < (i == 2 ? 20 : 200); n++) {
			uint64_t from = arch_ticks();

			block_must(queue, rows[i].type, i == 2 ? 0 : random_number() % 2048, data,
				   i == 2 ? 0 : PAGE_SIZE, i == 1);
			distribution_add(&distribution, ticks_to_ns(arch_ticks() - from));
		}
		distribution_report(&distribution, rows[i].name, "ns");
	}
}

// SPDX-License-Identifier: BSD-3-Clause
/* Chapter block (VIRTIO 1.4, 5.2). The tests write to the first writable disk. */
#include "devices/block.h"
#include "pages.h"
#include "report.h"
#include "tests/rings.h"

#define BLOCK	     .device = VIRTIO_ID_BLOCK
#define FLUSH	     FEATURE(VIRTIO_BLK_F_FLUSH)
#define WCE	     FEATURE(VIRTIO_BLK_F_CONFIG_WCE)
#define DISCARD	     FEATURE(VIRTIO_BLK_F_DISCARD)
#define ZEROES	     FEATURE(VIRTIO_BLK_F_WRITE_ZEROES)
#define ZONED	     FEATURE(17)
#define SECURE_ERASE FEATURE(16)
#define LIFETIME     FEATURE(15)
#define MODEL	     92 /* in the configuration of a zoned disk */
#define WRITEBACK    32
#define TEST_SECTOR  1000 /* a sector that tests write to */

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
	return written == SECTOR + 1 ? NULL : "the used length of a read is not data and status";
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

DEVICE_TYPE(block) = {
	.id = VIRTIO_ID_BLOCK,
	.name = "block",
	.base = true,
	.excluded_features = FEATURE(VIRTIO_BLK_F_RO), /* the feature does not affect its rings */
	.build = build,
	.verify = verify,
	.build_large = build_large,
	.config_size = 8,
	.config_wide = true,
	.wrong_offer = wrong_offer,
	.identity = identity,
};

static void fill(uint8_t *data, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)((seed + i) * 0x9e3779b9u >> 13);
}

static bool is_filled(const uint8_t *data, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != (uint8_t)((seed + i) * 0x9e3779b9u >> 13))
			return false;
	return true;
}

static struct queue *open_with(uint64_t features, const char *name)
{
	struct queue *queue = block_open(features, 64);

	if ((queue->device->negotiated & features) != features)
		skip("%s does not offer %s", device_name(queue->device), name);
	return queue;
}

TEST(blk_write_read, "AVP-BLK-001", BLOCK, .limit_ms = 20000)
{
	struct queue *queue = block_open(0, 64);
	uint64_t capacity = block_capacity(queue->device);
	uint8_t *data = pages_get(65536);

	for (uint64_t round = 0; round < 24; round++) {
		uint64_t sector = random_number() % (capacity - 128);
		uint32_t size = SECTOR << round % 8;

		fill(data, size, sector);
		block_must(queue, VIRTIO_BLK_T_OUT, sector, data, size, true);
		memset(data, 0, size);
		block_must(queue, VIRTIO_BLK_T_IN, sector, data, size, false);
		check(is_filled(data, size, sector), "%u bytes at sector %lu came back different",
		      size, sector);
		fill(data, SECTOR, round);
		block_must(queue, VIRTIO_BLK_T_OUT, sector, data, SECTOR, true);
		block_must(queue, VIRTIO_BLK_T_IN, sector, data, SECTOR, false);
		check(is_filled(data, SECTOR, round),
		      "sector %lu reads back its old data after a write", sector);
	}
}

TEST(blk_capacity, "AVP-BLK-002", BLOCK)
{
	struct queue *queue = block_open(0, 64);
	uint64_t capacity = block_capacity(queue->device);
	uint8_t *data = pages_get(SECTOR);

	block_must(queue, VIRTIO_BLK_T_IN, 0, data, SECTOR, false);
	fill(data, SECTOR, 7);
	block_must(queue, VIRTIO_BLK_T_OUT, capacity - 1, data, SECTOR, true);
	memset(data, 0, SECTOR);
	block_must(queue, VIRTIO_BLK_T_IN, capacity - 1, data, SECTOR, false);
	check(is_filled(data, SECTOR, 7), "the last sector, %lu, does not keep what is written",
	      capacity - 1);
}

TEST(blk_status, "AVP-BLK-003", BLOCK)
{
	static const uint32_t types[] = {0, 1, 4, 8, 10, 11, 13, 14, 99, 0xffffffff};
	struct queue *queue = block_open(0, 64);
	uint8_t *data = pages_get(SECTOR);

	for (unsigned int i = 0; i < 10; i++) {
		uint8_t status =
			block_request(queue, types[i], TEST_SECTOR, data, SECTOR, types[i] & 1);

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

	fill(last, SECTOR, 11);
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
	check(is_filled(last, SECTOR, 11), "a write beyond the capacity changed the last sector");
}

TEST(blk_length_odd, "AVP-BLK-005", BLOCK, .limit_ms = 15000)
{
	static const uint32_t sizes[] = {1, 100, 511, 513, 1000};
	struct queue *queue = block_open(0, 64);
	uint8_t *data = pages_get(2 * SECTOR), *before = pages_get(4 * SECTOR);

	fill(before, 4 * SECTOR, 5);
	block_must(queue, VIRTIO_BLK_T_OUT, TEST_SECTOR, before, 4 * SECTOR, true);
	for (unsigned int i = 0; i < 5; i++) {
		uint8_t status;

		memset(data, 0x5a, 2 * SECTOR);
		status = block_request(queue, VIRTIO_BLK_T_OUT, TEST_SECTOR, data, sizes[i], true);
		check(status <= VIRTIO_BLK_S_UNSUPP, "a write of %u bytes has status %u", sizes[i],
		      status);
		block_must(queue, VIRTIO_BLK_T_IN, TEST_SECTOR, before, 4 * SECTOR, false);
		/* All of it, or nothing of any sector. */
		for (unsigned int s = 0; s < 4; s++) {
			const uint8_t *sector = before + s * SECTOR;

			check(sector[0] != 0x5a || sector[SECTOR - 1] == 0x5a,
			      "a write of %u bytes changed part of a sector", sizes[i]);
		}
		fill(before, 4 * SECTOR, 5);
		block_must(queue, VIRTIO_BLK_T_OUT, TEST_SECTOR, before, 4 * SECTOR, true);
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
		*(uint64_t *)(dut->area + 8) = TEST_SECTOR;
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
		status = block_request(queue, types[i], TEST_SECTOR, data, SECTOR, false);
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

TEST(blk_flush, "AVP-BLK-010", BLOCK, .limit_ms = 20000)
{
	struct queue *queue = open_with(FLUSH, "VIRTIO_BLK_F_FLUSH");
	uint8_t *data = pages_get(SECTOR);

	for (unsigned int i = 0; i < 10; i++) {
		fill(data, SECTOR, i);
		block_must(queue, VIRTIO_BLK_T_OUT, TEST_SECTOR + i, data, SECTOR, true);
		block_must(queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, true);
		block_must(queue, VIRTIO_BLK_T_IN, TEST_SECTOR + i, data, SECTOR, false);
		check(is_filled(data, SECTOR, i), "a flushed sector is different");
	}
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
	struct queue *queue = open_with(WCE, "VIRTIO_BLK_F_CONFIG_WCE");

	check(config_read(queue->device, WRITEBACK, 1) == 0,
	      "writeback is %lu at first, without VIRTIO_BLK_F_FLUSH",
	      config_read(queue->device, WRITEBACK, 1));
}

TEST(blk_wce_switch, "AVP-BLK-015", BLOCK)
{
	struct queue *queue = open_with(WCE | FLUSH, "VIRTIO_BLK_F_CONFIG_WCE");
	uint8_t *data = pages_get(SECTOR);

	for (unsigned int i = 0; i < 4; i++) {
		config_write(queue->device, WRITEBACK, i & 1, 1);
		check(config_read(queue->device, WRITEBACK, 1) == (i & 1),
		      "writeback reads %lu after %u", config_read(queue->device, WRITEBACK, 1),
		      i & 1);
		block_must(queue, VIRTIO_BLK_T_OUT, TEST_SECTOR, data, SECTOR, true);
	}
	config_write(queue->device, WRITEBACK, 0x5a, 1);
	block_must(queue, VIRTIO_BLK_T_OUT, TEST_SECTOR, data, SECTOR, true);
}

TEST(blk_config_padding, "AVP-BLK-016", BLOCK)
{
	struct device *device = device_find(VIRTIO_ID_BLOCK, TRANSPORT_ANY);
	uint64_t offered = device_offered(device);

	if (!(offered & (WCE | ZEROES)))
		skip("%s offers no feature whose fields have padding", device_name(device));
	if (offered & WCE)
		check(config_read(device, 33, 1) == 0, "byte 33 of the configuration is 0x%lx",
		      config_read(device, 33, 1));
	for (uint32_t i = 57; offered & ZEROES && i < 60; i++)
		check(config_read(device, i, 1) == 0, "byte %u of the configuration is 0x%lx", i,
		      config_read(device, i, 1));
}

TEST(blk_geometry_limits, "AVP-BLK-017", BLOCK, .limit_ms = 15000)
{
	const uint64_t features = FEATURE(VIRTIO_BLK_F_SIZE_MAX) | FEATURE(VIRTIO_BLK_F_SEG_MAX) |
				  FEATURE(VIRTIO_BLK_F_BLK_SIZE);
	struct queue *queue = block_open(features, 256);
	struct device *device = queue->device;
	uint32_t segments = 16;
	struct driver_buffer *buffers;
	uint8_t *data;

	if (device->negotiated & FEATURE(VIRTIO_BLK_F_BLK_SIZE)) {
		uint64_t size = config_read(device, 20, 4);

		check(size >= SECTOR && !(size & (size - 1)), "blk_size is %lu", size);
	}
	if (device->negotiated & FEATURE(VIRTIO_BLK_F_SEG_MAX)) {
		segments = (uint32_t)config_read(device, 12, 4);
		check(segments > 0, "seg_max is 0");
		if (segments > queue->size - 2u)
			segments = queue->size - 2u;
	}
	data = pages_get(segments * SECTOR + PAGE_SIZE);
	buffers = pages_get((segments + 2) * sizeof(*buffers));
	memset(data, 0, 16);
	buffers[0] = buffer_of(data, 16);
	data[SECTOR] = NO_STATUS;
	for (uint32_t i = 0; i < segments; i++)
		buffers[1 + i] = buffer_of(data + PAGE_SIZE + i * SECTOR, SECTOR);
	buffers[1 + segments] = buffer_of(data + SECTOR, 1);
	check(queue_do(queue, buffers, 1, segments + 1, NULL, ANSWER_MS),
	      "a read of %u segments, as many as seg_max allows, was not used", segments);
	check(data[SECTOR] == VIRTIO_BLK_S_OK, "a read of %u segments has status %u", segments,
	      data[SECTOR]);
}

TEST(blk_multiqueue, "AVP-BLK-018", BLOCK, .limit_ms = 15000)
{
	struct queue *first = open_with(FEATURE(VIRTIO_BLK_F_MQ), "VIRTIO_BLK_F_MQ");
	struct device *device = first->device;
	uint32_t count = (uint32_t)config_read(device, 34, 2);
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

/* A request with segments (sector, count, flags) as its data. */
static uint8_t segment_request(struct queue *queue, uint32_t type, uint64_t sector, uint32_t count,
			       uint32_t flags, uint32_t length)
{
	static struct virtio_blk_discard_write_zeroes segments[4];

	for (int i = 0; i < 4; i++)
		segments[i] = (struct virtio_blk_discard_write_zeroes){sector, count, flags};
	return block_request(queue, type, 0, segments, length, true);
}

static void check_neighbours(struct queue *queue, uint8_t *data)
{
	memset(data, 0, 4 * SECTOR);
	block_must(queue, VIRTIO_BLK_T_IN, TEST_SECTOR - 1, data, SECTOR, false);
	block_must(queue, VIRTIO_BLK_T_IN, TEST_SECTOR + 8, data + SECTOR, SECTOR, false);
	check(is_filled(data, SECTOR, 1) && is_filled(data + SECTOR, SECTOR, 1 + 9 * SECTOR),
	      "a sector beside the range was changed");
}

static struct queue *prepare_range(uint64_t feature, const char *name, uint8_t **data)
{
	struct queue *queue = open_with(feature, name);

	*data = pages_get(8192);
	fill(*data, 10 * SECTOR, 1);
	block_must(queue, VIRTIO_BLK_T_OUT, TEST_SECTOR - 1, *data, 10 * SECTOR, true);
	return queue;
}

TEST(blk_discard, "AVP-BLK-019", BLOCK)
{
	uint8_t *data;
	struct queue *queue = prepare_range(DISCARD, "VIRTIO_BLK_F_DISCARD", &data);
	uint8_t status = segment_request(queue, VIRTIO_BLK_T_DISCARD, TEST_SECTOR, 8, 0, 16);

	check(status == VIRTIO_BLK_S_OK, "a discard of 8 sectors has status %u", status);
	check_neighbours(queue, data);
	if (config_read(queue->device, 40, 4) >= 2) {
		status = segment_request(queue, VIRTIO_BLK_T_DISCARD, TEST_SECTOR, 8, 0, 32);
		check(status == VIRTIO_BLK_S_OK, "a discard of two segments has status %u", status);
	}
}

TEST(blk_secure_erase, "AVP-BLK-021", BLOCK, .limit_ms = 20000)
{
	struct queue *queue = open_with(SECURE_ERASE, "VIRTIO_BLK_F_SECURE_ERASE");
	uint32_t largest = (uint32_t)config_read(queue->device, 60, 4);
	uint32_t segments = (uint32_t)config_read(queue->device, 64, 4);
	uint32_t alignment = (uint32_t)config_read(queue->device, 68, 4), count;
	uint64_t first;
	uint8_t *data = pages_get(SECTOR), status;

	check(largest > 0 && segments > 0,
	      "max_secure_erase_sectors is %u, max_secure_erase_seg %u", largest, segments);
	alignment = alignment ? alignment : 1;
	first = (TEST_SECTOR / alignment + 1) * alignment;
	count = largest < alignment ? largest : largest / alignment * alignment;
	count = count > 64 && alignment <= 64 ? 64 / alignment * alignment : count;
	if (first + count >= block_capacity(queue->device))
		skip("the disk is too small for its own alignment of %u sectors", alignment);
	fill(data, SECTOR, 1);
	block_must(queue, VIRTIO_BLK_T_OUT, first - 1, data, SECTOR, true);
	block_must(queue, VIRTIO_BLK_T_OUT, first + count, data, SECTOR, true);
	for (uint32_t length = 16; length <= 32 && length / 16 <= segments; length += 16) {
		status = segment_request(queue, 14, first, count, 0, length);
		check(status == VIRTIO_BLK_S_OK,
		      "a secure erase of %u sectors at %lu has status %u", count, first, status);
	}
	block_must(queue, VIRTIO_BLK_T_IN, first - 1, data, SECTOR, false);
	check(is_filled(data, SECTOR, 1), "the sector before the range was changed");
	block_must(queue, VIRTIO_BLK_T_IN, first + count, data, SECTOR, false);
	check(is_filled(data, SECTOR, 1), "the sector after the range was changed");
}

TEST(blk_write_zeroes, "AVP-BLK-020", BLOCK)
{
	uint8_t *data;

	for (uint32_t unmap = 0; unmap < 2; unmap++) {
		struct queue *queue = prepare_range(ZEROES, "VIRTIO_BLK_F_WRITE_ZEROES", &data);
		uint8_t status = segment_request(queue, VIRTIO_BLK_T_WRITE_ZEROES, TEST_SECTOR, 8,
						 unmap, 16);

		check(status == VIRTIO_BLK_S_OK, "write-zeroes with flags %u has status %u", unmap,
		      status);
		block_must(queue, VIRTIO_BLK_T_IN, TEST_SECTOR, data, 8 * SECTOR, false);
		for (unsigned int i = 0; i < 8 * SECTOR; i++)
			check(data[i] == 0, "byte %u is 0x%x after write-zeroes with flags %u", i,
			      data[i], unmap);
		check_neighbours(queue, data);
	}
}

TEST(blk_unknown_flags, "AVP-BLK-022", BLOCK)
{
	static const uint32_t flags[] = {2, 0x80000000, 3, 0xfffffffe};
	uint8_t *data, status;
	struct queue *queue = prepare_range(ZEROES, "VIRTIO_BLK_F_WRITE_ZEROES", &data);

	for (unsigned int i = 0; i < 4; i++) {
		status = segment_request(queue, VIRTIO_BLK_T_WRITE_ZEROES, TEST_SECTOR, 8, flags[i],
					 16);
		check(status == VIRTIO_BLK_S_UNSUPP, "write-zeroes with flags 0x%x has status %u",
		      flags[i], status);
	}
	block_must(queue, VIRTIO_BLK_T_IN, TEST_SECTOR - 1, data, 10 * SECTOR, false);
	check(is_filled(data, 10 * SECTOR, 1), "a request with unknown flags changed data");
	queue = prepare_range(DISCARD, "VIRTIO_BLK_F_DISCARD", &data);
	for (unsigned int i = 0; i < 5; i++) {
		uint32_t wrong = i == 4 ? 1 : flags[i];

		status = segment_request(queue, VIRTIO_BLK_T_DISCARD, TEST_SECTOR, 8, wrong, 16);
		check(status == VIRTIO_BLK_S_UNSUPP, "discard with flags 0x%x has status %u", wrong,
		      status);
	}
}

TEST(blk_segments_wild, "AVP-BLK-023", BLOCK, .limit_ms = 15000)
{
	uint8_t *data, status;
	struct queue *queue = prepare_range(ZEROES, "VIRTIO_BLK_F_WRITE_ZEROES", &data);
	uint64_t capacity = block_capacity(queue->device);
	uint32_t limit = (uint32_t)config_read(queue->device, 48, 4);
	const struct {
		uint64_t sector;
		uint32_t count, length;
	} rows[] = {
		{capacity, 1, 16},	 {capacity - 1, 2, 16},		{UINT64_MAX, 8, 16},
		{UINT64_MAX - 3, 8, 16}, {TEST_SECTOR, UINT32_MAX, 16},
	};

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		status = segment_request(queue, VIRTIO_BLK_T_WRITE_ZEROES, rows[i].sector,
					 rows[i].count, 0, rows[i].length);
		check(status == VIRTIO_BLK_S_IOERR || status == VIRTIO_BLK_S_UNSUPP,
		      "write-zeroes of %u sectors at %lu (in %u bytes) has status %u",
		      rows[i].count, rows[i].sector, rows[i].length, status);
	}
	if (limit && limit < capacity - TEST_SECTOR && limit < UINT32_MAX) {
		status = segment_request(queue, VIRTIO_BLK_T_WRITE_ZEROES, TEST_SECTOR, limit + 1,
					 0, 16);
		check(status != VIRTIO_BLK_S_OK,
		      "write-zeroes of more sectors than allowed succeeds");
	}
	/* A truncated segment: the device reports an error, or needs a reset. */
	for (unsigned int length = 8; length < 24; length += 7) {
		static struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_WRITE_ZEROES};
		static volatile uint8_t answer;
		struct device *device = queue->device;
		struct driver_buffer buffers[3] = {buffer_of(&header, sizeof(header)),
						   buffer_of(data + 8192 - SECTOR, length),
						   buffer_of((void *)&answer, 1)};

		answer = NO_STATUS;
		driver_queue_add(&queue->ring, buffers, 2, 1, queue);
		queue_kick(queue);
		check(wait_until(driver_queue_has_used(&queue->ring) ||
					 device->ops->status(device) & NEEDS_RESET,
				 ANSWER_MS),
		      "a request with a segment of %u bytes is not used, and no reset requested",
		      length);
		check(!driver_queue_has_used(&queue->ring) || answer != VIRTIO_BLK_S_OK,
		      "a request with a segment of %u bytes succeeds", length);
		queue = open_with(ZEROES, "VIRTIO_BLK_F_WRITE_ZEROES");
	}
	block_must(queue, VIRTIO_BLK_T_IN, TEST_SECTOR - 1, data, 10 * SECTOR, false);
	check(is_filled(data, 10 * SECTOR, 1), "an invalid request changed data");
}

TEST(blk_may_unmap, "AVP-BLK-024", BLOCK)
{
	struct queue *queue = open_with(ZEROES, "VIRTIO_BLK_F_WRITE_ZEROES");
	uint64_t may = config_read(queue->device, 56, 1);

	check(may <= 1, "SHOULD: write_zeroes_may_unmap is %lu", may);
}

TEST(blk_lifetime, "AVP-BLK-025", BLOCK)
{
	struct queue *queue = open_with(LIFETIME, "VIRTIO_BLK_F_LIFETIME");
	struct {
		uint16_t state, a, b;
	} *life = pages_get(SECTOR);
	uint8_t status = block_request(queue, 10, 0, life, sizeof(*life), false);

	check(status == VIRTIO_BLK_S_OK, "GET_LIFETIME has status %u", status);
	check(life->a <= 11 && life->b <= 11, "lifetime estimates are 0x%x and 0x%x", life->a,
	      life->b);
}

TEST(blk_zoned_refused, "AVP-BLK-026", BLOCK)
{
	static const uint32_t types[] = {15, 16, 18, 20, 22, 24, 26};
	struct device *device;
	struct queue *queue;
	uint8_t *data = pages_get(SECTOR);

	/* Only a driver that knows zones may use a host-managed disk. */
	for (unsigned int n = 0; (device = device_nth(VIRTIO_ID_BLOCK, TRANSPORT_ANY, n)); n++)
		if (device_offered(device) & ZONED && config_read(device, MODEL, 1) == 1)
			check(!device_negotiate(device, 0),
			      "%s: host-managed, but keeps FEATURES_OK without VIRTIO_BLK_F_ZONED",
			      device_name(device));
	queue = block_open(0, 64);
	for (unsigned int i = 0; i < 7; i++) {
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
		if (!device_negotiate(device, 0))
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

			slots[i].header =
				(struct virtio_blk_outhdr){.type = flush     ? VIRTIO_BLK_T_FLUSH :
								   round % 2 ? VIRTIO_BLK_T_IN :
									       VIRTIO_BLK_T_OUT,
							   .sector = flush ? 0 : TEST_SECTOR + i};
			slots[i].status = NO_STATUS;
			if (round % 2 == 0)
				fill(slots[i].data, SECTOR, round + i);
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
				      is_filled(slots[i].data, SECTOR, round - 1 + i),
			      "sector %u has other data than was written", TEST_SECTOR + i);
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

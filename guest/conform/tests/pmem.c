// SPDX-License-Identifier: BSD-3-Clause
/* Chapter persistent memory (VIRTIO 1.4, 5.19). */
#include "bus/virtio_mmio.h"
#include "machine.h"
#include "pages.h"
#include "report.h"
#include "tests/rings.h"

#define PMEM	     .device = VIRTIO_ID_PMEM, .profile = "gateway"
#define SHMEM_REGION FEATURE(0)
#define FLUSH	     0
/* Pages that the tests write to, and restore: the first of them and the last. */
#define LOOKS 16
/* How long a device has for a request that it need not answer. */
#define MOMENT_MS 200

static void build(struct request *request, unsigned int slot)
{
	uint32_t *words = (uint32_t *)request->memory;

	(void)slot;
	words[0] = FLUSH;
	words[1] = 0xa5a5a5a5;
	request->buffers[0] = buffer_of(&words[0], 4);
	request->buffers[1] = buffer_of(&words[1], 4);
	request->readable = request->writable = 1;
}

static const char *verify(const struct request *request, uint32_t written)
{
	if (written != 4)
		return "the used length is not that of the result";
	return ((const uint32_t *)request->memory)[1] == 0 ? NULL : "a flush failed";
}

DEVICE_TYPE(pmem) = {
	.id = VIRTIO_ID_PMEM,
	.name = "pmem",
	.simple = 50,
	.build = build,
	.verify = verify,
	.features = FEATURE(0), /* VIRTIO_PMEM_F_SHMEM_REGION */
	.config_size = 16,
	.config_wide = true,
};

struct part {
	uint64_t start, size;
};

/* Opens the device with its memory as a shared memory region, or skips the test. */
static struct device *open_with_region(void)
{
	struct device *device = device_find(VIRTIO_ID_PMEM, TRANSPORT_MMIO);

	if (!device)
		skip("no such device behind virtio-mmio: that of PCI is not looked for");
	if (!(device_offered(device) & SHMEM_REGION))
		skip("%s: its memory is not a shared memory region", device_name(device));
	device_open(device, SHMEM_REGION);
	return device;
}

static struct part find_region(struct device *device)
{
	struct part part;

	check(mmio_region(device, 0, &part.start, &part.size),
	      "%s: there is no shared memory region 0", device_name(device));
	return part;
}

static uint32_t flush(struct queue *queue)
{
	struct request request = {.memory = pages_get(PAGE_SIZE)};
	uint32_t written = 0;

	build(&request, 0);
	check(queue_do(queue, request.buffers, 1, 1, &written, ANSWER_MS),
	      "a flush request was not used");
	check(written == 4, "the used length of a flush request is %u", written);
	return ((uint32_t *)request.memory)[1];
}

/* What is written to the part is read there. */
static void check_memory(struct part part)
{
	uint64_t kept[LOOKS], step = part.size / LOOKS / PAGE_SIZE * PAGE_SIZE;

	check(step > 0, "there are only %lu bytes of memory", part.size);
	arch_map(part.start, part.size);
	for (unsigned int i = 0; i < LOOKS; i++) {
		volatile uint64_t *word =
			(volatile uint64_t *)(part.start +
					      (i + 1 == LOOKS ? part.size - 8 : i * step));

		kept[i] = *word;
		*word = part.start + i;
	}
	for (unsigned int i = 0; i < LOOKS; i++) {
		volatile uint64_t *word =
			(volatile uint64_t *)(part.start +
					      (i + 1 == LOOKS ? part.size - 8 : i * step));
		uint64_t found = *word;

		*word = kept[i];
		check(found == part.start + i, "at 0x%lx is 0x%lx, not what was written",
		      (uint64_t)word - part.start, found);
	}
}

TEST(pmem_found, "AVP-PMEM-001", PMEM)
{
	struct device *device = open_with_region();
	struct queue *queue = device_queue(device, 0, 16);
	struct part part = find_region(device);

	device_run(device);
	check_memory(part);
	flush(queue);
}

static uint64_t read_long(struct device *device, uint32_t offset)
{
	return config_read(device, offset, 4) | config_read(device, offset + 4, 4) << 32;
}

TEST(pmem_range, "AVP-PMEM-002", PMEM)
{
	struct device *device = device_find(VIRTIO_ID_PMEM, TRANSPORT_ANY);
	struct queue *queue;
	struct part part;

	if (!device_negotiate(device, 0))
		skip("%s: it insists on SHMEM_REGION", device_name(device));
	part = (struct part){read_long(device, 0), read_long(device, 8)};
	check(part.start % PAGE_SIZE == 0 && part.size % PAGE_SIZE == 0 &&
		      part.start + part.size > part.start,
	      "start is 0x%lx and size 0x%lx: not a range of whole pages", part.start, part.size);
	queue = device_queue(device, 0, 16);
	device_run(device);
	check_memory(part);
	flush(queue);
}

TEST(pmem_region, "AVP-PMEM-003", PMEM)
{
	struct device *device = open_with_region();
	struct part part = find_region(device);

	check(part.size > 0 && part.start % PAGE_SIZE == 0 && part.size % PAGE_SIZE == 0,
	      "region 0 is at 0x%lx and has 0x%lx bytes: not whole pages", part.start, part.size);
	/* It stays where it is: the driver asks once. */
	check(device_reset(device), "%s: it is not reset", device_name(device));
	check(find_region(device).start == part.start && find_region(device).size == part.size,
	      "region 0 moves at a reset");
}

TEST(pmem_region_config, "AVP-PMEM-004", PMEM)
{
	struct device *device = open_with_region();

	for (uint32_t offset = 0; offset < 16; offset += 4)
		check(config_read(device, offset, 4) == 0,
		      "SHOULD: start or size is not 0 although there is a region");
}

TEST(pmem_flush_result, "AVP-PMEM-006", PMEM)
{
	struct device *device = device_find(VIRTIO_ID_PMEM, TRANSPORT_ANY);
	struct queue *queue;

	device_open(device, SHMEM_REGION);
	queue = device_queue(device, 0, 16);
	device_run(device);
	for (int i = 0; i < 8; i++) {
		uint32_t result = flush(queue);

		check(result == 0, "a flush returned 0x%x", result);
	}
}

TEST(pmem_request_malformed, "AVP-PMEM-008", PMEM, .limit_ms = 30000)
{
	static const struct {
		uint32_t type, readable, writable; /* the lengths of its buffers; 0: none */
		const char *what;
	} malformed[] = {
		{FLUSH, 3, 4, "whose type is cut"},
		{FLUSH, 0, 4, "without a type"},
		{7, 4, 4, "of an unknown type"},
		{FLUSH, 4, 0, "without room for the result"},
		{FLUSH, 4, 2, "with half of the room"},
	};
	struct device *device = device_find(VIRTIO_ID_PMEM, TRANSPORT_ANY);
	uint64_t mark = pages_mark();

	for (unsigned int i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct request request;
		struct queue *queue;

		pages_release(mark);
		request.memory = pages_get(PAGE_SIZE);
		build(&request, 0);
		*(uint32_t *)request.memory = malformed[i].type;
		request.buffers[0].length = malformed[i].readable;
		request.buffers[1].length = malformed[i].writable;
		request.readable = malformed[i].readable > 0;
		request.writable = malformed[i].writable > 0;
		device_open(device, SHMEM_REGION);
		queue = device_queue(device, 0, 16);
		device_run(device);
		queue_do(queue, &request.buffers[!request.readable], request.readable,
			 request.writable, NULL, MOMENT_MS);
		check(device_reset(device), "%s: it is not reset after a request %s",
		      device_name(device), malformed[i].what);
		device_open(device, SHMEM_REGION);
		queue = device_queue(device, 0, 16);
		device_run(device);
		check(flush(queue) == 0, "a flush failed after a request %s", malformed[i].what);
		device_reset(device);
	}
}

static bool overlaps(struct part part, uint64_t start, uint64_t end)
{
	return part.start < end && start < part.start + part.size;
}

TEST(pmem_placed, "AVP-PMEM-007 AVP-MMIO-017", PMEM)
{
	struct part part = find_region(open_with_region());

	check(part.start + part.size > part.start, "the region wraps");
	for (unsigned int i = 0; i < machine.range_count; i++)
		check(!machine.ranges[i].usable ||
			      !overlaps(part, machine.ranges[i].start, machine.ranges[i].end),
		      "the region at 0x%lx is in memory", part.start);
	for (unsigned int i = 0; i < machine.slot_count; i++)
		check(!overlaps(part, machine.slots[i].address,
				machine.slots[i].address + machine.slots[i].size),
		      "the region at 0x%lx is in the window of a device", part.start);
}

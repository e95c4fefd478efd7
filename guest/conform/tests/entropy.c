// SPDX-License-Identifier: BSD-3-Clause
/* Chapter entropy (VIRTIO 1.4, 5.4). */
#include "pages.h"
#include "reboot.h"
#include "report.h"
#include "tests/rings.h"

#define ENTROPY	      .device = VIRTIO_ID_RNG
#define REQUEST_BYTES 64

static void build(struct request *request, unsigned int slot)
{
	(void)slot;
	memset(request->memory, 0, REQUEST_BYTES + 16);
	request_make_single(request, REQUEST_BYTES, true);
}

static const char *verify(const struct request *request, uint32_t written)
{
	(void)request;
	return written >= 1 && written <= REQUEST_BYTES ?
		       NULL :
		       "the used length is 0, or larger than the buffer";
}

static void build_large(struct request *request, uint32_t size)
{
	request_make_single(request, size, true);
}

DEVICE_TYPE(entropy) = {
	.id = VIRTIO_ID_RNG,
	.name = "entropy",
	.base = true,
	.simple = 1,
	.build = build,
	.verify = verify,
	.build_large = build_large,
};

static struct queue *open_entropy(void)
{
	struct device *device = device_find(VIRTIO_ID_RNG, TRANSPORT_ANY);
	struct queue *queue;

	device_open(device, 0);
	queue = device_queue(device, 0, 64);
	device_run(device);
	return queue;
}

/* Has the device fill a buffer. Returns how many bytes it wrote. */
static uint32_t get_some(struct queue *queue, void *memory, uint32_t size)
{
	struct driver_buffer buffer = buffer_of(memory, size);
	uint32_t written = 0;

	check(queue_do(queue, &buffer, 0, 1, &written, ANSWER_MS),
	      "a buffer of %u bytes was not used", size);
	check(written >= 1 && written <= size, "the used length is %u, for a buffer of %u bytes",
	      written, size);
	return written;
}

TEST(rng_fills, "AVP-RNG-001", ENTROPY)
{
	struct queue *queue = open_entropy();
	uint8_t *memory = pages_get(PAGE_SIZE);

	for (uint32_t size = 1; size <= PAGE_SIZE; size *= 2)
		get_some(queue, memory, size);
}

TEST(rng_used_length, "AVP-RNG-002", ENTROPY)
{
	struct queue *queue = open_entropy();
	uint8_t *memory = pages_get(PAGE_SIZE);

	for (int round = 0; round < 20; round++) {
		uint32_t got;
		unsigned int same = 0;

		memset(memory, 0xa5, PAGE_SIZE);
		got = get_some(queue, memory, 256);
		for (uint32_t i = got > 16 ? got - 16 : 0; i < got; i++)
			same += memory[i] == 0xa5;
		check(got < 16 || same < 12, "the last of %u bytes were not written", got);
		for (uint32_t i = 256; i < PAGE_SIZE; i++)
			check(memory[i] == 0xa5, "a byte beyond the buffer was written");
	}
}

/* Repetitions are looked for in pieces of this size; two random ones are never the same. */
#define PIECE 16u

/* Has the device fill @size bytes, in as many requests as it needs. */
static void get_all(struct queue *queue, uint8_t *memory, uint32_t size)
{
	for (uint32_t at = 0; at < size;)
		at += get_some(queue, memory + at, size - at);
}

static bool has_piece(const uint8_t *memory, uint32_t size, const uint8_t *piece)
{
	for (uint32_t at = 0; at + PIECE <= size; at++)
		if (!memcmp(memory + at, piece, PIECE))
			return true;
	return false;
}

TEST(rng_fresh, "AVP-RNG-003", ENTROPY, .limit_ms = 20000)
{
	struct queue *queue = open_entropy();
	uint8_t *memory = pages_get(PAGE_SIZE);

	for (unsigned int i = 0; i < 16; i++) {
		get_all(queue, memory + i * PIECE, PIECE);
		for (unsigned int j = 0; j < i; j++)
			check(memcmp(memory + i * PIECE, memory + j * PIECE, PIECE) != 0,
			      "the same bytes were written twice");
		if (i % 4 == 3)
			queue = open_entropy();
	}
}

/* The bytes of both boots: a repeated sequence shows wherever in it the second boot begins. */
TEST(rng_fresh_boot, "AVP-RNG-003", ENTROPY, .limit_ms = 60000)
{
	static uint8_t before[32 * PIECE];
	uint8_t *memory = pages_get(sizeof(before));
	bool again = reboot_resume(before, sizeof(before));

	get_all(open_entropy(), memory, sizeof(before));
	if (!again)
		reboot_now(memory, sizeof(before));
	for (uint32_t at = 0; at < sizeof(before); at += PIECE)
		check(!has_piece(before, sizeof(before), memory + at),
		      "%u bytes are the same as before the reset of the machine", PIECE);
}

TEST(rng_plausible, "AVP-RNG-004", ENTROPY, .limit_ms = 60000)
{
	static uint32_t counts[256];
	struct queue *queue = open_entropy();
	uint8_t *memory = pages_get(65536);
	uint32_t total = 0, ones = 0, runs = 0, last = 0;
	uint64_t chi = 0, until = arch_ticks() + ns_to_ticks(UINT64_C(15000000000));

	memset(counts, 0, sizeof(counts));
	while (total < 1 << 20 && (total < 1 << 16 || arch_ticks() < until)) {
		uint32_t got = get_some(queue, memory, 65536);

		for (uint32_t i = 0; i < got; i++) {
			counts[memory[i]]++;
			for (uint8_t bits = memory[i]; bits; bits &= (uint8_t)(bits - 1))
				ones++;
			runs += (memory[i] >> 7) != last;
			last = memory[i] >> 7;
		}
		total += got;
	}
	/* Ten standard deviations: a value outside means a broken source, not bad luck. */
	for (int i = 0; i < 256; i++) {
		int64_t difference = (int64_t)counts[i] * 256 - total;

		chi += (uint64_t)(difference * difference / 256);
	}
	chi /= total;
	check(chi > 30 && chi < 500, "SHOULD: the distribution of %u bytes is improbable (%lu)",
	      total, chi);
	check(ones > total * 4 - total / 16 && ones < total * 4 + total / 16,
	      "SHOULD: %u of %u bits are ones", ones, total * 8);
	check(runs > total / 2 - total / 32 && runs < total / 2 + total / 32,
	      "SHOULD: %u changes of the highest bit in %u bytes", runs, total);
}

TEST(rng_sizes, "AVP-RNG-005", ENTROPY)
{
	struct queue *queue = open_entropy();
	uint8_t *memory = pages_get(65536);
	struct driver_buffer parts[32];
	uint32_t written = 0, count = 32;

	get_some(queue, memory, 1);
	get_some(queue, memory, 65536);
	if (count > queue->size)
		count = queue->size;
	for (unsigned int i = 0; i < count; i++)
		parts[i] = buffer_of(memory + i * 100, i + 1);
	check(queue_do(queue, parts, 0, count, &written, ANSWER_MS),
	      "a chain of %u descriptors was not used", count);
	check(written >= 1 && written <= 32 * 33 / 2,
	      "the used length is %u, for a chain of %u descriptors", written, count);
}

static bool craft_wrong(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_desc *table = split_table_of(queue);

	if (dut->device->id != VIRTIO_ID_RNG || variant > 2)
		return false;
	table[0] = (struct vring_desc){(uint64_t)dut->area, variant == 1 ? 0 : 64,
				       variant == 1 ? VRING_DESC_F_WRITE :
				       variant == 2 ? VRING_DESC_F_NEXT :
						      0,
				       1};
	table[1] = (struct vring_desc){(uint64_t)dut->area + 64, 64, VRING_DESC_F_WRITE, 0};
	split_offer(queue, 0);
	return true;
}

TEST(rng_wrong_direction, "AVP-RNG-006", ENTROPY)
{
	attack_duts(SPLIT, craft_wrong, "a buffer without a device-writable byte");
}

TEST(rng_progress, "AVP-RNG-007", ENTROPY, .limit_ms = 30000)
{
	struct queue *queue = open_entropy();
	uint8_t *memory = pages_get(PAGE_SIZE);
	uint64_t limit = ns_to_ticks(1000000000) * option_number("slow", 1);

	for (int i = 0; i < 50; i++) {
		uint64_t from = arch_ticks();

		get_some(queue, memory, 64);
		check(arch_ticks() - from < limit, "a request took %lu ms",
		      ticks_to_ns(arch_ticks() - from) / 1000000);
	}
}

TEST(rng_rate, "AVP-RNG-008", ENTROPY, .limit_ms = 30000)
{
	static struct distribution distribution;
	struct queue *queue = open_entropy();
	uint8_t *memory = pages_get(65536);

	distribution_start(&distribution);
	for (int i = 0; i < 8; i++) {
		uint64_t from = arch_ticks();
		uint32_t got = get_some(queue, memory, 16384);
		uint64_t ns = ticks_to_ns(arch_ticks() - from);

		distribution_add(&distribution, (uint64_t)got * 1000000000 / (ns ? ns : 1));
	}
	distribution_report(&distribution, "rng_rate", "bytes/s");
}

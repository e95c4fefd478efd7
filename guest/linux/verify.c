// SPDX-License-Identifier: BSD-3-Clause
// verify DISK SECONDS SEED DEPTH: writes self-describing blocks at random places with several
// requests in flight, remembers what was acknowledged, and reads everything back. It finds lost,
// torn, stale and misplaced writes, so it shows whether a disk keeps acknowledged writes when its
// device process is killed. The last line is a result of the guest's report.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
	BLOCK_BYTES = 4096,
	BLOCKS_AT_ONCE = 16,	/* up to 64 KiB a request */
	BLOCKS_MAX = 64 * 1024, /* only the first 256 MiB, so that blocks recur */
	DEPTH_MAX = 64,
	WORDS = BLOCK_BYTES / sizeof(uint64_t),
};

/* One block of the disk. A block in flight belongs to one thread; `lock` guards `in_flight`. */
struct block {
	uint32_t sequence; /* of the newest acknowledged write; 0: never written */
	bool in_flight;
};

static struct block blocks[BLOCKS_MAX];
static uint32_t block_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int disk;
static uint64_t seed;
static _Atomic uint64_t writes_acknowledged, reads_compared, flushes_acknowledged;
static atomic_bool stop;

/* The first failure ends the run. */
__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	static atomic_flag once = ATOMIC_FLAG_INIT;
	va_list arguments;

	while (atomic_flag_test_and_set(&once))
		pause();
	printf("avp-guest: FAIL block    verify: ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf(" (seed %" PRIu64 ")\n", seed);
	fflush(stdout);
	_exit(1);
}

static uint64_t next_random(uint64_t *state)
{
	/* splitmix64 */
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* What block `index` holds after its write number `sequence`: both, then a pattern of both. */
static void fill(uint64_t *words, uint32_t index, uint32_t sequence)
{
	uint64_t state = seed ^ ((uint64_t)index << 32 | sequence);

	words[0] = index;
	words[1] = sequence;
	for (int i = 2; i < WORDS; i++)
		words[i] = next_random(&state);
}

static void compare(const uint64_t *words, uint32_t index)
{
	uint64_t expected[WORDS];
	uint32_t sequence = blocks[index].sequence;

	if (sequence == 0)
		return;
	fill(expected, index, sequence);
	if (memcmp(words, expected, BLOCK_BYTES) == 0)
		return;
	if (words[0] == index && words[1] != sequence)
		fail("block %" PRIu32 " holds write %" PRIu64 ", acknowledged was %" PRIu32, index,
		     words[1], sequence);
	for (int i = 0; i < WORDS; i++) {
		if (words[i] != expected[i])
			fail("block %" PRIu32 ", write %" PRIu32 ": byte %zu is wrong", index,
			     sequence, i * sizeof(uint64_t));
	}
}

static void transfer(bool write, uint64_t *data, uint32_t first, uint32_t count)
{
	size_t size = (size_t)count * BLOCK_BYTES;
	off_t offset = (off_t)first * BLOCK_BYTES;
	ssize_t done = write ? pwrite(disk, data, size, offset) : pread(disk, data, size, offset);

	if (done < 0)
		fail("%s of %" PRIu32 " blocks at %" PRIu32 ": %s", write ? "write" : "read", count,
		     first, strerror(errno));
	if ((size_t)done != size)
		fail("%s of %" PRIu32 " blocks at %" PRIu32 ": only %zd bytes",
		     write ? "write" : "read", count, first, done);
}

/* Takes blocks that no other thread has in flight. */
static void claim(uint64_t *state, uint32_t *first, uint32_t *count)
{
	for (;;) {
		uint32_t n = 1 + next_random(state) % BLOCKS_AT_ONCE;
		uint32_t at = next_random(state) % (block_count - n + 1);
		bool available = true;

		pthread_mutex_lock(&lock);
		for (uint32_t i = at; i < at + n; i++)
			available &= !blocks[i].in_flight;
		for (uint32_t i = at; available && i < at + n; i++)
			blocks[i].in_flight = true;
		pthread_mutex_unlock(&lock);
		if (available) {
			*first = at;
			*count = n;
			return;
		}
	}
}

static void release(uint32_t first, uint32_t count)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = first; i < first + count; i++)
		blocks[i].in_flight = false;
	pthread_mutex_unlock(&lock);
}

static void *load(void *argument)
{
	uint64_t state = seed + (uintptr_t)argument * 0x1000001;
	uint64_t *data = aligned_alloc(BLOCK_BYTES, BLOCKS_AT_ONCE * BLOCK_BYTES);

	if (!data)
		fail("out of memory");
	while (!stop) {
		unsigned int dice = next_random(&state) % 256;
		uint32_t first, count;

		if (dice == 0) {
			if (fdatasync(disk) < 0)
				fail("flush: %s", strerror(errno));
			flushes_acknowledged++;
			continue;
		}
		claim(&state, &first, &count);
		if (dice < 64) {
			transfer(false, data, first, count);
			for (uint32_t i = 0; i < count; i++)
				compare(data + i * WORDS, first + i);
			reads_compared++;
		} else {
			for (uint32_t i = 0; i < count; i++)
				fill(data + i * WORDS, first + i, blocks[first + i].sequence + 1);
			transfer(true, data, first, count);
			for (uint32_t i = 0; i < count; i++)
				blocks[first + i].sequence++;
			writes_acknowledged++;
		}
		release(first, count);
	}
	free(data);
	return NULL;
}

/* Reads back every block that was ever written; returns their number. */
static uint32_t verify_all(void)
{
	uint64_t *data = aligned_alloc(BLOCK_BYTES, BLOCKS_AT_ONCE * BLOCK_BYTES);
	uint32_t written = 0;

	if (!data)
		fail("out of memory");
	for (uint32_t first = 0; first < block_count; first += BLOCKS_AT_ONCE) {
		uint32_t left = block_count - first;
		uint32_t count = left < BLOCKS_AT_ONCE ? left : BLOCKS_AT_ONCE;

		transfer(false, data, first, count);
		for (uint32_t i = 0; i < count; i++) {
			written += blocks[first + i].sequence != 0;
			compare(data + i * WORDS, first + i);
		}
	}
	free(data);
	return written;
}

int main(int argc, char **argv)
{
	pthread_t threads[DEPTH_MAX];
	uint64_t size;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 5) {
		fprintf(stderr, "usage: verify DISK SECONDS SEED DEPTH\n");
		return 2;
	}
	long seconds = strtol(argv[2], NULL, 10);
	seed = strtoull(argv[3], NULL, 10);
	long depth = strtol(argv[4], NULL, 10);
	if (seconds < 1 || depth < 1 || depth > DEPTH_MAX)
		fail("SECONDS from 1, DEPTH from 1 to %d", DEPTH_MAX);

	disk = open(argv[1], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk < 0 || ioctl(disk, BLKGETSIZE64, &size) < 0)
		fail("%s: %s", argv[1], strerror(errno));
	block_count = size / BLOCK_BYTES < BLOCKS_MAX ? size / BLOCK_BYTES : BLOCKS_MAX;
	if (block_count < 4 * DEPTH_MAX * BLOCKS_AT_ONCE)
		fail("%s is too small", argv[1]);

	for (long i = 0; i < depth; i++) {
		if (pthread_create(&threads[i], NULL, load, (void *)(i + 1)) != 0)
			fail("no thread for depth %ld", depth);
	}
	while (seconds-- > 0) {
		sleep(1);
		printf("verify: %" PRIu64 " writes acknowledged\n", writes_acknowledged);
	}
	stop = true;
	for (long i = 0; i < depth; i++)
		pthread_join(threads[i], NULL);

	uint32_t written = verify_all();
	printf("avp-guest: ok   block    verify: %" PRIu64 " writes, %" PRIu64 " reads, %" PRIu64
	       " flushes; %" PRIu32 " blocks read back, none lost\n",
	       writes_acknowledged, reads_compared, flushes_acknowledged, written);
	return 0;
}

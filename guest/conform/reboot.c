// SPDX-License-Identifier: BSD-3-Clause
/*
 * The record: a few sectors, whose header identifies the run. A record of another image or command
 * line belongs to another run and is ignored: `avp conform` changes the command line when it
 * restarts the guest after a test that hung.
 */
#include "reboot.h"

#include "arch/image.h"
#include "devices/block.h"
#include "pages.h"
#include "report.h"
#include "test.h"

#define RECORD_SIZE    4096u
#define RECORD_SECTORS (RECORD_SIZE / SECTOR)
#define MAGIC	       UINT64_C(0x31455450564100a5)
#define RESET_MS       10000

struct record {
	uint64_t magic;
	uint32_t sum; /* of everything that follows */
	uint32_t run;
	uint32_t test, resets, size, verdicts[4];
	uint8_t data[REBOOT_DATA_MAX];
};

_Static_assert(sizeof(struct record) <= RECORD_SIZE, "a record fits");

static struct record found; /* test 0: none */
static struct {
	unsigned int number;
	const char *name;
	uint32_t verdicts[4];
	bool announced;
	struct queue *queue;
} running;

/* Identifies a run: the image and the command line. */
static uint32_t sum_of_run(void)
{
	return text_sum(image_sum[0], machine.command_line, text_length(machine.command_line));
}

static uint32_t sum_of(const struct record *record)
{
	return text_sum(0, &record->run, sizeof(*record) - offsetof(struct record, run));
}

static struct queue *open_disk(void)
{
	return block_open(VERSION_1 | FEATURE(VIRTIO_BLK_F_FLUSH), 16);
}

static uint64_t record_sector(const struct queue *queue)
{
	return block_capacity(queue->device) - RECORD_SECTORS;
}

static void write(struct queue *queue, void *data)
{
	block_must(queue, VIRTIO_BLK_T_OUT, record_sector(queue), data, RECORD_SIZE, true);
	if (queue->features & FEATURE(VIRTIO_BLK_F_FLUSH))
		block_must(queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false);
}

static void read_record(void *argument)
{
	struct queue *queue = open_disk();
	struct record *record = pages_get(RECORD_SIZE);

	block_must(queue, VIRTIO_BLK_T_IN, record_sector(queue), record, RECORD_SIZE, false);
	if (record->magic != MAGIC || record->sum != sum_of(record))
		return;
	if (record->run == sum_of_run())
		found = *record;
	/* Whatever the test does next, the following boot must not find its record. */
	memset(record, 0, RECORD_SIZE);
	write(queue, record);
}

void reboot_find(void)
{
	if (!option_number("reset", 0))
		return;
	outside_of_tests(read_record);
}

unsigned int reboot_test(unsigned int verdicts[4])
{
	for (unsigned int i = 0; i < 4 && found.test; i++)
		verdicts[i] = found.verdicts[i];
	return found.test;
}

unsigned int reboot_count(void)
{
	return found.resets;
}

void reboot_begin(unsigned int number, const char *name, const unsigned int verdicts[4])
{
	running.number = number;
	running.name = name;
	running.announced = false;
	running.queue = NULL;
	for (unsigned int i = 0; i < 4; i++)
		running.verdicts[i] = verdicts[i];
}

static void erase_record(void *argument)
{
	struct queue *queue = open_disk();

	write(queue, pages_get(RECORD_SIZE));
}

void reboot_cancel(void)
{
	if (running.announced)
		outside_of_tests(erase_record);
	running.announced = false;
}

bool reboot_resume(void *data, size_t size)
{
	if (found.test != running.number || found.size != size)
		return false;
	memcpy(data, found.data, size);
	/* Only once: a second call resets the machine again. */
	found.test = 0;
	return true;
}

void reboot_store(const void *data, size_t size)
{
	static struct record record __attribute__((aligned(4096)));
	static uint8_t sectors[RECORD_SIZE] __attribute__((aligned(4096)));

	if (!option_number("reset", 0))
		skip("it resets the guest: add reset=1 to the command line if it is restarted");
	if (!running.queue)
		running.queue = open_disk();
	memset(&record, 0, sizeof(record));
	record.magic = MAGIC;
	record.run = sum_of_run();
	record.test = running.number;
	record.resets = found.resets + 1;
	record.size = (uint32_t)size;
	memcpy(record.verdicts, running.verdicts, sizeof(record.verdicts));
	memcpy(record.data, data, size < REBOOT_DATA_MAX ? size : REBOOT_DATA_MAX);
	record.sum = sum_of(&record);
	memcpy(sectors, &record, sizeof(record));
	write(running.queue, sectors);
	if (!running.announced)
		report_reset(running.number, running.name);
	running.announced = true;
}

void reboot_reset(void)
{
	arch_reset();
	wait_until(false, RESET_MS);
	fail("the guest still runs ten seconds after it reset the machine");
}

void reboot_now(const void *data, size_t size)
{
	if (!arch_can_reset())
		skip("no way to reset is described");
	reboot_store(data, size);
	reboot_reset();
}

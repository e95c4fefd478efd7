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

#define NOTE_SIZE    4096u
#define NOTE_SECTORS (NOTE_SIZE / SECTOR)
#define MAGIC	     UINT64_C(0x31455450564100a5)
#define RESET_MS     10000

struct note {
	uint64_t magic;
	uint32_t sum; /* of everything that follows */
	uint32_t run;
	uint32_t test, resets, size, verdicts[4];
	uint8_t data[KEPT_MAX];
};

_Static_assert(sizeof(struct note) <= NOTE_SIZE, "a record fits");

static struct note found; /* test 0: none */
static struct {
	unsigned int number;
	const char *name;
	uint32_t verdicts[4];
	bool told;
	struct queue *queue;
} running;

/* Identifies a run: the image and the command line. */
static uint32_t sum_of_run(void)
{
	return text_sum(image_sum[0], machine.command_line, text_length(machine.command_line));
}

static uint32_t sum_of(const struct note *note)
{
	return text_sum(0, &note->run, sizeof(*note) - offsetof(struct note, run));
}

static struct queue *open_disk(void)
{
	return block_open(VERSION_1 | FEATURE(VIRTIO_BLK_F_FLUSH), 16);
}

static uint64_t place(const struct queue *queue)
{
	return block_capacity(queue->device) - NOTE_SECTORS;
}

static void write(struct queue *queue, void *data)
{
	block_must(queue, VIRTIO_BLK_T_OUT, place(queue), data, NOTE_SIZE, true);
	if (queue->features & FEATURE(VIRTIO_BLK_F_FLUSH))
		block_must(queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false);
}

static void read_note(void *argument)
{
	struct queue *queue = open_disk();
	struct note *note = pages_get(NOTE_SIZE);

	block_must(queue, VIRTIO_BLK_T_IN, place(queue), note, NOTE_SIZE, false);
	if (note->magic != MAGIC || note->sum != sum_of(note))
		return;
	if (note->run == sum_of_run())
		found = *note;
	/* Whatever the test does next, the following boot must not find its record. */
	memset(note, 0, NOTE_SIZE);
	write(queue, note);
}

void reboot_find(void)
{
	if (!option_number("reset", 0))
		return;
	outside_of_tests(read_note);
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
	running.told = false;
	running.queue = NULL;
	for (unsigned int i = 0; i < 4; i++)
		running.verdicts[i] = verdicts[i];
}

static void remove_note(void *argument)
{
	struct queue *queue = open_disk();

	write(queue, pages_get(NOTE_SIZE));
}

void reboot_cancel(void)
{
	if (running.told)
		outside_of_tests(remove_note);
	running.told = false;
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

void reboot_keep(const void *data, size_t size)
{
	static struct note note __attribute__((aligned(4096)));
	static uint8_t sectors[NOTE_SIZE] __attribute__((aligned(4096)));

	if (!option_number("reset", 0))
		skip("it resets the guest: add reset=1 to the command line if it is restarted");
	if (!running.queue)
		running.queue = open_disk();
	memset(&note, 0, sizeof(note));
	note.magic = MAGIC;
	note.run = sum_of_run();
	note.test = running.number;
	note.resets = found.resets + 1;
	note.size = (uint32_t)size;
	memcpy(note.verdicts, running.verdicts, sizeof(note.verdicts));
	memcpy(note.data, data, size < KEPT_MAX ? size : KEPT_MAX);
	note.sum = sum_of(&note);
	memcpy(sectors, &note, sizeof(note));
	write(running.queue, sectors);
	if (!running.told)
		report_reset(running.number, running.name);
	running.told = true;
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
	reboot_keep(data, size);
	reboot_reset();
}

// SPDX-License-Identifier: BSD-3-Clause
/* Files that records are appended to, and captures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pcapng.h"
#include "unit/scratch.h"

#define RECORD 1000

static struct scratch scratch;
static struct pcapng pcapng;
static struct record_file file;
static char path[128];

static int set_up(void **state)
{
	scratch_make(&scratch);
	/* As every service does. */
	signal(SIGPIPE, SIG_IGN);
	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "file"));
	return 0;
}

static int tear_down(void **state)
{
	scratch_remove(&scratch);
	return 0;
}

/* Adds a record of RECORD bytes @value. Returns whether it has found room. */
static bool add(uint8_t value)
{
	uint8_t *record = record_file_reserve(&file, RECORD);

	if (!record)
		return false;
	memset(record, value, RECORD);
	record_file_add(&file, RECORD);
	return true;
}

static void test_records(void **state)
{
	static uint8_t bytes[300 * RECORD + 1];
	struct error error;
	int fd;

	assert_int_equal(record_file_open(&file, "--log", path, &error), 0);
	for (int i = 0; i < 300; i++)
		assert_true(add((uint8_t)i));
	record_file_close(&file);
	/* A second process goes on behind it. */
	assert_int_equal(record_file_open(&file, "--log", path, &error), 0);
	assert_true(add(7));
	record_file_close(&file);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	for (size_t i = 0; i < 300 * (size_t)RECORD; i++)
		assert_int_equal(bytes[i], (uint8_t)(i / RECORD));
	assert_int_equal(bytes[300 * RECORD], 7);
	close(fd);
	assert_int_equal(record_file_open(&file, "--log", NULL, &error), 0);
	assert_false(record_file_is_open(&file));
	assert_true(record_file_open(&file, "--log", "/nonexistent/file", &error) < 0);
	assert_true(error.usage);
	assert_non_null(strstr(error.message, "--log: /nonexistent/file"));
	record_file_close(&file);
}

/* A pipe whose reader stops loses whole records, and no part of one. */
static void test_a_reader_that_stops(void **state)
{
	uint8_t bytes[RECORD];
	struct error error;
	size_t read_back = 0;
	unsigned int kept = 0;
	int reader;

	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_int_equal(record_file_open(&file, "--log", path, &error), 0);
	for (int i = 0; i < 2000; i++)
		kept += add((uint8_t)kept);
	assert_true(kept < 2000);
	assert_int_equal(kept + file.lost, 2000);
	/* It reads again. */
	for (int i = 0; i < 100; i++) {
		ssize_t length;

		record_file_flush(&file);
		while ((length = read(reader, bytes, sizeof(bytes))) > 0)
			for (ssize_t k = 0; k < length; k++)
				assert_int_equal(bytes[k], (uint8_t)(read_back++ / RECORD));
	}
	assert_int_equal(read_back, (size_t)kept * RECORD);
	/* A reader that has left ends it. */
	close(reader);
	assert_true(add(1));
	record_file_flush(&file);
	assert_false(record_file_is_open(&file));
	assert_false(add(1));
	record_file_close(&file);
}

static void test_a_full_device(void **state)
{
	struct error error;

	assert_int_equal(record_file_open(&file, "--log", "/dev/full", &error), 0);
	assert_true(add(1));
	record_file_flush(&file);
	assert_false(record_file_is_open(&file));
	record_file_close(&file);
}

/* Captures */

struct section {
	const uint8_t *at, *end;
};

static uint32_t number_at(const uint8_t *bytes, size_t offset)
{
	uint32_t number;

	memcpy(&number, bytes + offset, sizeof(number));
	return number;
}

/* The body of the next block, which has that type. */
static const uint8_t *next_block(struct section *section, uint32_t type)
{
	const uint8_t *block = section->at;
	uint32_t length;

	assert_true(section->end - block >= 12);
	assert_int_equal(number_at(block, 0), type);
	length = number_at(block, 4);
	assert_int_equal(length % 4, 0);
	assert_true(length >= 12 && length <= section->end - block);
	assert_int_equal(number_at(block, length - 4), length);
	section->at += length;
	return block + 8;
}

static void test_capture(void **state)
{
	static uint8_t bytes[200000], large[70000];
	uint64_t now_ns = clock_now_ns(), realtime_ns = clock_read_ns(CLOCK_REALTIME), time_ns;
	struct section section = {bytes, bytes};
	const uint8_t *block;
	struct error error;
	int fd;

	memset(large, 0x5a, sizeof(large));
	assert_int_equal(pcapng_open(&pcapng, "--pcap", path, &error), 0);
	assert_int_equal(pcapng_add_interface(&pcapng, PCAPNG_CAN_SOCKETCAN, "can0"), 0);
	assert_int_equal(pcapng_add_interface(&pcapng, PCAPNG_ETHERNET, "port"), 1);
	pcapng_add(&pcapng, 1, now_ns, (struct iovec[]){{(char[]){"abc"}, 3}, {(char[]){"de"}, 2}},
		   2);
	pcapng_add(&pcapng, 0, now_ns, (struct iovec[]){{large, 10}, {large, sizeof(large)}}, 2);
	record_file_close(&pcapng.file);

	fd = open(path, O_RDONLY);
	section.end += read(fd, bytes, sizeof(bytes));
	close(fd);
	block = next_block(&section, 0x0a0d0d0a);
	assert_int_equal(number_at(block, 0), 0x1a2b3c4d);
	block = next_block(&section, 1);
	assert_int_equal(number_at(block, 0), 227);
	/* if_name of 4 bytes, if_tsresol of 1, the end. */
	assert_memory_equal(block + 8, "\2\0\4\0can0\11\0\1\0\11\0\0\0\0\0\0\0", 20);
	assert_int_equal(number_at(next_block(&section, 1), 0), 1);
	block = next_block(&section, 6);
	assert_int_equal(number_at(block, 0), 1);
	time_ns = (uint64_t)number_at(block, 4) << 32 | number_at(block, 8);
	/* Both clocks run on between two calls; the realtime clock may be set meanwhile. */
	assert_true(time_ns - realtime_ns + 3600000000000 < 7200000000000);
	assert_int_equal(number_at(block, 12), 5);
	assert_int_equal(number_at(block, 16), 5);
	assert_memory_equal(block + 20, "abcde\0\0\0", 8);
	block = next_block(&section, 6);
	assert_int_equal(number_at(block, 12), PCAPNG_LENGTH_MAX);
	assert_int_equal(number_at(block, 16), sizeof(large) + 10);
	assert_memory_equal(block + 20, large, PCAPNG_LENGTH_MAX);
	assert_ptr_equal(section.at, section.end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_records, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_reader_that_stops, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_device, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_capture, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

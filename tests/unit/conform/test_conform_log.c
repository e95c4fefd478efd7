// SPDX-License-Identifier: BSD-3-Clause
/*
 * The log of a conformance guest, complete and as damaged by consoles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/crc32.h"
#include "conform/conform_log.h"
#include "unit/scratch.h"

#define TEXT_MAX 2048

/* A guest that writes a log, with counts and sums like the real one. */
struct writer {
	struct conform_log log;
	unsigned int lines;
	uint32_t crc;
};

static void say(struct writer *writer, const char *line)
{
	struct error error;

	writer->lines++;
	writer->crc = crc32_add(crc32_add(writer->crc, line, strlen(line)), "\n", 1);
	assert_int_equal(conform_log_add(&writer->log, line, &error), 0);
}

static void say_begin(struct writer *writer, unsigned int number, const char *name,
		      const char *requirements)
{
	char line[200];

	snprintf(line, sizeof(line), "avp-conform: begin %u %s lines %u crc 0x%08x # %s", number,
		 name, writer->lines, writer->crc, requirements);
	say(writer, line);
}

/* @more: what the boot line says in addition. */
static void say_boot_with(struct writer *writer, unsigned int number, const char *more)
{
	char line[140];

	writer->lines = 0;
	writer->crc = 0;
	snprintf(line, sizeof(line),
		 "avp-conform: boot %u suite 2.0.0 contract 0.2.0 arch x86-64 entry pvh cpus 2 "
		 "memory 512 MiB%s",
		 number, more);
	say(writer, line);
	say(writer, "avp-conform: hypervisor \"KVMKVMKVM\" model \"\"");
	say(writer, "avp-conform: device 0 id 2 transport mmio at 0xd0000000 irq 6");
	say(writer, "TAP version 14");
	say(writer, "1..4");
}

static void say_boot(struct writer *writer, unsigned int number)
{
	say_boot_with(writer, number, "");
}

/* Reports @more passed tests than there were. */
static void say_last_with(struct writer *writer, unsigned int more)
{
	char line[160];
	struct error error;

	snprintf(
		line, sizeof(line),
		"avp-conform: end passed %zu failed %zu wedged %zu skipped %zu lines %u crc 0x%08x",
		conform_log_count(&writer->log, CONFORM_PASS) + more,
		conform_log_count(&writer->log, CONFORM_FAIL),
		conform_log_count(&writer->log, CONFORM_WEDGED),
		conform_log_count(&writer->log, CONFORM_SKIPPED), writer->lines, writer->crc);
	assert_int_equal(conform_log_add(&writer->log, line, &error), 0);
}

static void say_last(struct writer *writer)
{
	say_last_with(writer, 0);
}

static void say_end(struct writer *writer)
{
	say_last(writer);
	conform_log_finish(&writer->log);
}

static void say_tests(struct writer *writer)
{
	say_begin(writer, 1, "boot_state", "AVP-BOOT-001 AVP-BOOT-002");
	say(writer, "ok 1 - boot_state # AVP-BOOT-001 AVP-BOOT-002");
	say_begin(writer, 2, "mmio_width", "AVP-X-001");
	say(writer, "not ok 2 - mmio_width # AVP-MMIO-004");
	say(writer, "  ---");
	say(writer, "  verdict: fail");
	say(writer, "  message: \"read <0x3> & not 0x0\"");
	say(writer, "  at: \"tests/mmio.c:123\"");
	say(writer, "  ...");
	say(writer, "ok 3 - pci_capabilities # SKIP no virtio device on PCI");
	say_begin(writer, 4, "blk_flush", "AVP-X-001");
	say(writer,
	    "avp-conform: result timer_lateness ns n 3 min 1 p50 2 p90 3 p99 3 max 3 sum 6");
	say(writer, "avp-conform: bucket timer_lateness 2 1");
	say(writer, "avp-conform: bucket timer_lateness 4 2");
	say(writer, "ok 4 - blk_flush # AVP-BLK-009");
}

static void test_a_whole_log(void **state)
{
	struct writer writer = {.lines = 0};
	struct conform_log *log = &writer.log;
	struct error error;

	(void)state;
	assert_int_equal(conform_log_state(log), CONFORM_EMPTY);
	/* Firmware prints first, and a kernel may in between. */
	assert_int_equal(conform_log_add(log, "ok 1 - not ours", &error), 0);
	say_boot(&writer, 1);
	assert_int_equal(conform_log_add(log, "U-Boot 2023.01", &error), 0);
	say_tests(&writer);
	say_end(&writer);
	assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
	assert_int_equal(log->count, 4);
	assert_int_equal(conform_log_count(log, CONFORM_PASS), 2);
	assert_int_equal(conform_log_count(log, CONFORM_FAIL), 1);
	assert_int_equal(conform_log_count(log, CONFORM_SKIPPED), 1);
	assert_string_equal(log->tests[1].message, "read <0x3> & not 0x0");
	assert_string_equal(log->tests[1].at, "tests/mmio.c:123");
	assert_string_equal(log->tests[0].requirements, "AVP-BOOT-001 AVP-BOOT-002");
	assert_string_equal(log->tests[2].message, "no virtio device on PCI");
	assert_int_equal(log->measure_count, 1);
	assert_int_equal(log->measures[0].buckets[2], 2);
	assert_int_equal(log->device_count, 1);
	conform_log_free(log);
}

static void test_a_log_that_is_cut(void **state)
{
	struct writer writer = {.lines = 0};

	(void)state;
	say_boot(&writer, 1);
	say_tests(&writer);
	conform_log_finish(&writer.log);
	assert_int_equal(conform_log_state(&writer.log), CONFORM_INCOMPLETE);
	assert_int_equal(conform_log_next(&writer.log), 0);
	conform_log_free(&writer.log);
}

/* The log of one run twice, and that of a run that continues with a higher number. */
static void test_boots_of_another_run(void **state)
{
	(void)state;
	for (unsigned int second = 1; second <= 2; second++) {
		struct writer writer = {.lines = 0};

		say_boot(&writer, 1);
		say_tests(&writer);
		say_end(&writer);
		say_boot(&writer, second);
		say_tests(&writer);
		say_end(&writer);
		assert_int_equal(conform_log_state(&writer.log),
				 second == 1 ? CONFORM_MIXED : CONFORM_COMPLETE);
		conform_log_free(&writer.log);
	}
}

static void test_a_console_that_drops(void **state)
{
	struct writer writer = {.lines = 0};

	(void)state;
	/* In one run a line is missing, in another a character. */
	say_boot(&writer, 1);
	say_tests(&writer);
	writer.lines++;
	say_end(&writer);
	assert_int_equal(conform_log_state(&writer.log), CONFORM_DAMAGED);
	conform_log_free(&writer.log);
	writer = (struct writer){.lines = 0};
	say_boot(&writer, 1);
	say_tests(&writer);
	writer.crc ^= 1;
	say_end(&writer);
	assert_int_equal(conform_log_state(&writer.log), CONFORM_DAMAGED);
	conform_log_free(&writer.log);
	/* No sum covers the last line: its counts are compared. */
	writer = (struct writer){.lines = 0};
	say_boot(&writer, 1);
	say_tests(&writer);
	say_last_with(&writer, 10);
	conform_log_finish(&writer.log);
	assert_int_equal(conform_log_state(&writer.log), CONFORM_DAMAGED);
	conform_log_free(&writer.log);
}

/* The text of a complete log, as a console shows it. */
static size_t write_text(char text[TEXT_MAX])
{
	static const char *const lines[] = {
		"avp-conform: boot 1 suite 2.0.0 contract 0.2.0 arch x86-64 entry pvh cpus 2 memory 512 MiB",
		"TAP version 14",
		"1..2",
		"avp-conform: begin 1 boot_state",
		"ok 1 - boot_state # AVP-BOOT-001",
		"avp-conform: begin 2 blk_flush",
		"not ok 2 - blk_flush # AVP-BLK-010",
		"  ---",
		"  verdict: fail",
		"  message: \"it failed\"",
		"  ...",
	};
	const unsigned int count = sizeof(lines) / sizeof(lines[0]);
	uint32_t crc = 0;
	size_t length = 0;

	for (unsigned int i = 0; i < count; i++) {
		length += (size_t)snprintf(text + length, TEXT_MAX - length, "%s", lines[i]);
		if (strstr(lines[i], "begin"))
			length += (size_t)snprintf(text + length, TEXT_MAX - length,
						   " lines %u crc 0x%08x # AVP-X-001", i, crc);
		text[length++] = '\n';
		crc = crc32_add(0, text, length);
	}
	return length + (size_t)snprintf(text + length, TEXT_MAX - length,
					 "avp-conform: end passed 1 failed 1 wedged 0 skipped 0 "
					 "lines %u crc 0x%08x\n",
					 count, crc);
}

static enum conform_state read_text(struct conform_log *log, const char *text, size_t length)
{
	char line[TEXT_MAX];
	struct error error;

	for (size_t at = 0; at < length;) {
		const char *end = memchr(text + at, '\n', length - at);
		size_t part = end ? (size_t)(end - text) - at : length - at;

		memcpy(line, text + at, part);
		line[part] = 0;
		assert_int_equal(conform_log_add(log, line, &error), 0);
		at += part + 1;
	}
	conform_log_finish(log);
	return conform_log_state(log);
}

static void test_a_log_that_is_cut_anywhere(void **state)
{
	char text[TEXT_MAX];
	size_t length = write_text(text);

	(void)state;
	/* The last line is complete without its newline. */
	for (size_t cut = 0; cut <= length; cut++) {
		struct conform_log log = {.tests = NULL};
		bool whole = read_text(&log, text, cut) == CONFORM_COMPLETE;

		assert_int_equal(whole, cut >= length - 1);
		conform_log_free(&log);
	}
}

/* Without any one character, the log is incomplete, or has the same content. */
static void test_a_console_that_drops_any(void **state)
{
	char text[TEXT_MAX], rest[TEXT_MAX];
	size_t length = write_text(text);

	(void)state;
	for (size_t drop = 0; drop < length; drop++) {
		struct conform_log log = {.tests = NULL};

		memcpy(rest, text, drop);
		memcpy(rest + drop, text + drop + 1, length - drop - 1);
		if (read_text(&log, rest, length - 1) == CONFORM_COMPLETE) {
			assert_int_equal(log.count, 2);
			assert_int_equal(log.tests[0].verdict, CONFORM_PASS);
			assert_int_equal(log.tests[1].verdict, CONFORM_FAIL);
			assert_string_equal(log.tests[1].message, "it failed");
		}
		conform_log_free(&log);
	}
}

static void test_a_test_that_hangs(void **state)
{
	struct writer writer = {.lines = 0};
	struct conform_log *log = &writer.log;

	(void)state;
	say_boot(&writer, 1);
	say_begin(&writer, 1, "boot_state", "AVP-X-001");
	say(&writer, "ok 1 - boot_state # AVP-BOOT-001");
	say_begin(&writer, 2, "mmio_width", "AVP-MMIO-004");
	conform_log_finish(log);
	assert_int_equal(log->tests[1].verdict, CONFORM_WEDGED);
	assert_string_equal(log->tests[1].name, "mmio_width");
	assert_string_equal(log->tests[1].requirements, "AVP-MMIO-004");
	assert_int_equal(conform_log_next(log), 3);
	say_boot(&writer, 2);
	say(&writer, "ok 1 - boot_state # SKIP not selected");
	say(&writer, "ok 2 - mmio_width # SKIP not selected");
	say_begin(&writer, 3, "pci", "AVP-X-001");
	say(&writer, "not ok 3 - pci # AVP-PCI-001");
	say(&writer, "  ---");
	say(&writer, "  verdict: wedged");
	say(&writer, "  ...");
	say(&writer, "ok 4 - blk # SKIP not selected");
	say_end(&writer);
	assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
	assert_int_equal(log->tests[0].verdict, CONFORM_PASS);
	assert_int_equal(log->tests[1].verdict, CONFORM_WEDGED);
	assert_int_equal(log->tests[2].verdict, CONFORM_WEDGED);
	assert_int_equal(log->tests[3].verdict, CONFORM_SKIPPED);
	assert_true(log->tests[3].left_out);
	conform_log_free(log);
}

/* The reset of test 2; @missing lines are lost. */
static void say_reset_line(struct writer *writer, unsigned int missing)
{
	char line[100];

	snprintf(line, sizeof(line), "avp-conform: reset 2 boot_repeat lines %u crc 0x%08x",
		 writer->lines + missing, writer->crc);
	say(writer, line);
}

/* A boot that ends in it. */
static void say_reset(struct writer *writer, unsigned int missing)
{
	say_boot(writer, 1);
	say_begin(writer, 1, "boot_state", "AVP-X-001");
	say(writer, "ok 1 - boot_state # AVP-BOOT-001 AVP-BOOT-002");
	say_begin(writer, 2, "boot_repeat", "AVP-X-001");
	say_reset_line(writer, missing);
}

static void test_a_test_that_resets(void **state)
{
	struct writer writer = {.lines = 0};
	struct conform_log *log = &writer.log;

	(void)state;
	/* It continues in the next boot, which has the end of both. */
	say_reset(&writer, 0);
	say_boot(&writer, 2);
	say_begin(&writer, 2, "boot_repeat", "AVP-X-001");
	say(&writer, "ok 2 - boot_repeat # AVP-BOOT-021");
	say(&writer, "ok 3 - pci_capabilities # SKIP no virtio device on PCI");
	say(&writer, "ok 4 - blk_flush # AVP-BLK-009");
	say_end(&writer);
	assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
	assert_int_equal(log->boots, 2);
	assert_false(log->unannounced);
	assert_int_equal(conform_log_count(log, CONFORM_PASS), 3);
	conform_log_free(log);
	/* A reset that was not announced. */
	say_boot(&writer, 1);
	say_begin(&writer, 1, "boot_state", "AVP-X-001");
	assert_false(log->unannounced);
	say_boot(&writer, 1);
	assert_true(log->unannounced);
	assert_int_equal(log->tests[0].verdict, CONFORM_WEDGED);
	conform_log_free(log);
	/* Nothing came after the reset. */
	say_reset(&writer, 0);
	conform_log_finish(log);
	assert_int_equal(conform_log_state(log), CONFORM_INCOMPLETE);
	assert_int_equal(log->tests[1].verdict, CONFORM_WEDGED);
	assert_int_equal(conform_log_next(log), 3);
	conform_log_free(log);
	/* The boot before it is incomplete. */
	say_reset(&writer, 1);
	say_boot(&writer, 2);
	say_tests(&writer);
	say_end(&writer);
	assert_int_equal(conform_log_state(log), CONFORM_DAMAGED);
	conform_log_free(log);
}

static void test_what_failed_stays_so(void **state)
{
	struct writer writer = {.lines = 0};
	struct conform_log *log = &writer.log;

	(void)state;
	/* The guest started again, as after a triple fault, and then completed. */
	say_boot(&writer, 1);
	say_begin(&writer, 1, "boot_state", "AVP-BOOT-001");
	say(&writer, "not ok 1 - boot_state # AVP-BOOT-001");
	say(&writer, "  ---");
	say(&writer, "  message: \"the first\"");
	say(&writer, "  ...");
	say_begin(&writer, 2, "mmio_width", "AVP-MMIO-004");
	say_boot(&writer, 1);
	assert_true(log->unannounced);
	for (unsigned int i = 1; i <= 4; i++) {
		char line[100];

		say_begin(&writer, i, "again", "AVP-X-001");
		snprintf(line, sizeof(line), "%s %u - again # AVP-X-001", i == 1 ? "not ok" : "ok",
			 i);
		say(&writer, line);
		if (i > 1)
			continue;
		say(&writer, "  ---");
		say(&writer, "  verdict: wedged");
		say(&writer, "  message: \"the second\"");
		say(&writer, "  ...");
	}
	say_end(&writer);
	assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
	assert_int_equal(log->tests[0].verdict, CONFORM_FAIL);
	assert_string_equal(log->tests[0].message, "the first");
	assert_int_equal(log->tests[1].verdict, CONFORM_WEDGED);
	assert_string_equal(log->tests[1].name, "mmio_width");
	assert_int_equal(conform_log_count(log, CONFORM_PASS), 2);
	conform_log_free(log);
}

static void test_an_end_between_two_tests(void **state)
{
	struct writer writer = {.lines = 0};
	struct conform_log *log = &writer.log;

	(void)state;
	/* By a reset, or by the end of the hypervisor. */
	for (int reset = 0; reset < 2; reset++) {
		say_boot(&writer, 1);
		say_begin(&writer, 1, "boot_state", "AVP-BOOT-001");
		say(&writer, "ok 1 - boot_state # AVP-BOOT-001");
		if (!reset)
			conform_log_finish(log);
		assert_int_equal(conform_log_next(log), 2);
		say_boot(&writer, 2);
		assert_int_equal(log->unannounced, reset);
		say_begin(&writer, 2, "mmio_width", "AVP-MMIO-004");
		say(&writer, "ok 2 - mmio_width # AVP-MMIO-004");
		say(&writer, "ok 3 - pci # SKIP not selected");
		say(&writer, "ok 4 - blk # SKIP not selected");
		say_end(&writer);
		assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
		assert_int_equal(log->tests[0].verdict, CONFORM_WEDGED);
		assert_string_equal(log->tests[0].message, "the hypervisor ended after it");
		conform_log_free(log);
	}
	/* After tests that were left out, and after none. */
	say_boot(&writer, 1);
	say(&writer, "ok 1 - boot_state # SKIP not selected");
	conform_log_finish(log);
	assert_int_equal(log->tests[0].verdict, CONFORM_WEDGED);
	conform_log_free(log);
	say_boot(&writer, 1);
	say_boot(&writer, 2);
	say_tests(&writer);
	say_end(&writer);
	assert_int_equal(conform_log_state(log), CONFORM_INCOMPLETE);
	conform_log_free(log);
}

static void test_damage_before_a_test_that_hangs(void **state)
{
	struct writer writer = {.lines = 0};

	(void)state;
	say_boot(&writer, 1);
	writer.lines++;
	say_begin(&writer, 1, "boot_state", "AVP-BOOT-001");
	conform_log_finish(&writer.log);
	say_boot(&writer, 2);
	say_tests(&writer);
	say_end(&writer);
	assert_int_equal(conform_log_state(&writer.log), CONFORM_DAMAGED);
	conform_log_free(&writer.log);
	/* A begin without its sums. */
	say_boot(&writer, 1);
	say(&writer, "avp-conform: begin 1 boot_state # AVP-BOOT-001");
	say_tests(&writer);
	say_end(&writer);
	assert_int_equal(conform_log_state(&writer.log), CONFORM_DAMAGED);
	conform_log_free(&writer.log);
}

static void test_a_note_that_is_lost(void **state)
{
	struct writer writer = {.lines = 0};
	struct conform_log *log = &writer.log;

	(void)state;
	/* After its reset the guest counts from the start. */
	say_reset(&writer, 0);
	say_boot(&writer, 1);
	assert_true(log->unannounced);
	assert_int_equal(log->tests[1].verdict, CONFORM_WEDGED);
	conform_log_free(log);
	/* A test may reset twice. */
	say_reset(&writer, 0);
	say_boot(&writer, 2);
	say_begin(&writer, 2, "boot_repeat", "AVP-BOOT-021");
	say_reset_line(&writer, 0);
	say_boot(&writer, 3);
	assert_false(log->unannounced);
	say_begin(&writer, 2, "boot_repeat", "AVP-BOOT-021");
	say(&writer, "ok 2 - boot_repeat # AVP-BOOT-021");
	assert_int_equal(log->tests[1].verdict, CONFORM_PASS);
	conform_log_free(log);
}

static void test_power_off(void **state)
{
	struct writer writer = {.lines = 0};
	struct conform_log *log = &writer.log;
	uint64_t taken;
	struct error error;

	(void)state;
	/* A boot after the end is ignored. */
	say_boot(&writer, 1);
	say_tests(&writer);
	say_last(&writer);
	taken = log->taken;
	say_boot(&writer, 1);
	assert_true(log->unannounced);
	assert_int_equal(log->taken, taken);
	assert_int_equal(log->count, 5);
	assert_string_equal(log->tests[4].name, "pwr_off");
	assert_int_equal(log->tests[4].verdict, CONFORM_FAIL);
	assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
	/* A guest started for this test powers off in it. */
	conform_log_finish(log);
	say_boot(&writer, 2);
	say_begin(&writer, 4, "pwr_off_secondary", "AVP-PWR-002");
	conform_log_off(log, "pwr_off");
	assert_int_equal(log->tests[3].verdict, CONFORM_BEGUN);
	conform_log_off(log, "pwr_off_secondary");
	conform_log_finish(log);
	assert_int_equal(log->tests[3].verdict, CONFORM_PASS);
	assert_string_equal(log->tests[3].requirements, "AVP-PWR-002");
	assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
	/* The host's verdict does not improve one of the guest's. */
	assert_int_equal(conform_log_fail(log, "mmio_width", "AVP-X-001", "", &error), 0);
	assert_string_equal(log->tests[1].message, "read <0x3> & not 0x0");
	conform_log_free(log);
}

/* The test that failed in say_tests, alone in boot @number, with this verdict. */
static void say_repeat(struct writer *writer, unsigned int number, const char *verdict)
{
	say_boot_with(writer, number, " repeat mmio_width");
	say(writer, "ok 1 - boot_state # SKIP not selected");
	say_begin(writer, 2, "mmio_width", "AVP-MMIO-004");
	say(writer, verdict);
	say(writer, "  ---");
	say(writer, "  message: \"this time\"");
	say(writer, "  ...");
	say(writer, "ok 3 - pci_capabilities # SKIP not selected");
	say(writer, "ok 4 - blk_flush # SKIP not selected");
}

/* What failed in @verdict's boot, after its repeat. */
static enum conform_verdict repeated(const char *verdict, bool ends)
{
	struct writer writer = {.lines = 0};
	struct conform_log *log = &writer.log;
	enum conform_verdict result;

	say_boot(&writer, 1);
	say_tests(&writer);
	say_last(&writer);
	say_repeat(&writer, 2, verdict);
	if (ends)
		say_last(&writer);
	conform_log_finish(log);
	/* The end of the run and its other verdicts do not depend on the repeat. */
	assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
	assert_int_equal(log->count, 4);
	assert_int_equal(log->tests[0].verdict, CONFORM_PASS);
	assert_int_equal(log->tests[2].verdict, CONFORM_SKIPPED);
	assert_false(log->tests[2].left_out);
	assert_int_equal(log->tests[3].verdict, CONFORM_PASS);
	assert_string_equal(log->tests[1].message, "read <0x3> & not 0x0");
	assert_null(strstr(log->boot, "repeat"));
	assert_int_equal(log->device_count, 1);
	result = log->tests[1].verdict;
	conform_log_free(log);
	return result;
}

static void test_a_failure_that_is_repeated(void **state)
{
	(void)state;
	assert_int_equal(repeated("ok 2 - mmio_width # AVP-MMIO-004", true), CONFORM_UNSTABLE);
	assert_int_equal(repeated("ok 2 - mmio_width # SKIP environment: noise", true),
			 CONFORM_UNSTABLE);
	assert_int_equal(repeated("not ok 2 - mmio_width # AVP-MMIO-004", true), CONFORM_FAIL);
	/* A boot that does not come to its end shows nothing. */
	assert_int_equal(repeated("ok 2 - mmio_width # AVP-MMIO-004", false), CONFORM_FAIL);
	/* Another test, and one that did not run. */
	assert_int_equal(repeated("ok 2 - mmio_widths # AVP-MMIO-004", true), CONFORM_FAIL);
	assert_int_equal(repeated("ok 2 - mmio # AVP-MMIO-004", true), CONFORM_FAIL);
	assert_int_equal(repeated("ok 2 - mmio_width # SKIP not selected", true), CONFORM_FAIL);
}

/* A repeat that hangs, is lost or damaged; one of a test that did not fail; one that is alone. */
static void test_repeats_that_show_nothing(void **state)
{
	struct writer writer = {.lines = 0}, alone = {.lines = 0};
	struct conform_log *log = &writer.log;
	struct error error;

	(void)state;
	say_boot(&writer, 1);
	say_tests(&writer);
	say_end(&writer);
	say_boot_with(&writer, 2, " repeat mmio_width");
	say_begin(&writer, 2, "mmio_width", "AVP-MMIO-004");
	conform_log_finish(log);
	say_boot_with(&writer, 3, " repeat mmio_width");
	conform_log_finish(log);
	say_boot_with(&writer, 4, " repeat blk_flush");
	say_begin(&writer, 4, "blk_flush", "AVP-BLK-009");
	say(&writer, "not ok 4 - blk_flush # AVP-BLK-009");
	say_end(&writer);
	assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
	assert_int_equal(log->tests[1].verdict, CONFORM_FAIL);
	assert_int_equal(log->tests[3].verdict, CONFORM_PASS);
	say_boot_with(&writer, 5, " repeat mmio_width");
	say_begin(&writer, 2, "mmio_width", "AVP-MMIO-004");
	assert_int_equal(conform_log_add(log, "ok 2 - mmio_width # AVP-MMIO-004", &error), 0);
	assert_int_equal(conform_log_add(log, "avp-conform: end passed 1 lines 6 crc 0x1", &error),
			 0);
	assert_int_equal(conform_log_state(log), CONFORM_DAMAGED);
	conform_log_free(log);
	say_repeat(&alone, 1, "ok 2 - mmio_width # AVP-MMIO-004");
	say_end(&alone);
	assert_int_equal(conform_log_state(&alone.log), CONFORM_INCOMPLETE);
	conform_log_free(&alone.log);
}

/* A repeat over a reset of the machine, and one that powers off. */
static void test_repeats_of_special_tests(void **state)
{
	struct writer writer = {.lines = 0};
	struct conform_log *log = &writer.log;
	struct error error;

	(void)state;
	say_boot(&writer, 1);
	say_tests(&writer);
	say_end(&writer);
	say_boot_with(&writer, 2, " repeat mmio_width");
	say_begin(&writer, 2, "mmio_width", "AVP-MMIO-004");
	say_reset_line(&writer, 0);
	say_repeat(&writer, 3, "ok 2 - mmio_width # AVP-MMIO-004");
	say_end(&writer);
	assert_int_equal(log->tests[1].verdict, CONFORM_UNSTABLE);
	assert_int_equal(conform_log_fail(log, "pwr_off", "AVP-PWR-001", "still there", &error), 0);
	say_boot_with(&writer, 4, " repeat pwr_off");
	say_begin(&writer, 5, "pwr_off", "AVP-PWR-001");
	conform_log_off(log, "pwr_off");
	conform_log_finish(log);
	assert_int_equal(log->tests[4].verdict, CONFORM_UNSTABLE);
	assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
	/* A caller that waits for a repeat ignores another boot. */
	log->repeats_only = true;
	say_boot(&writer, 5);
	assert_true(log->unannounced);
	conform_log_finish(log);
	assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
	conform_log_free(log);
}

/* A test left something behind: another boot continues after it, and nothing has failed. */
static void test_a_boot_that_wants_another(void **state)
{
	struct writer writer = {.lines = 0};
	struct conform_log *log = &writer.log;
	char line[100];

	(void)state;
	for (int together = 0; together < 2; together++) {
		say_boot(&writer, 1);
		say_begin(&writer, 1, "boot_state", "AVP-X-001");
		say(&writer, "ok 1 - boot_state # AVP-X-001");
		snprintf(line, sizeof(line), "avp-conform: restart 2 lines %u crc 0x%08x",
			 writer.lines, writer.crc);
		say(&writer, line);
		if (!together)
			conform_log_finish(log);
		assert_int_equal(conform_log_state(log), CONFORM_INCOMPLETE);
		assert_int_equal(conform_log_next(log), 2);
		say_boot(&writer, 2);
		for (unsigned int i = 2; i <= 4; i++) {
			snprintf(line, sizeof(line), "ok %u - test_%u # AVP-X-001", i, i);
			say(&writer, line);
		}
		say_end(&writer);
		assert_int_equal(conform_log_state(log), CONFORM_COMPLETE);
		assert_int_equal(conform_log_count(log, CONFORM_PASS), 4);
		conform_log_free(log);
	}
}

static void test_other_ends_of_lines(void **state)
{
	struct conform_log log = {.tests = NULL};
	char text[TEXT_MAX], *next = text, line[TEXT_MAX];
	struct error error;

	(void)state;
	text[write_text(text)] = 0;
	for (char *one; (one = strsep(&next, "\n")) && *one;) {
		snprintf(line, sizeof(line), "\r%s\r\r", one);
		assert_int_equal(conform_log_add(&log, line, &error), 0);
	}
	assert_int_equal(conform_log_state(&log), CONFORM_COMPLETE);
	conform_log_free(&log);
}

static void test_another_contract(void **state)
{
	struct writer writer = {.lines = 0};

	(void)state;
	say(&writer, "avp-conform: boot 1 suite 2.0.0 contract 9.9.9 arch x86-64");
	say_tests(&writer);
	say_end(&writer);
	assert_int_equal(conform_log_state(&writer.log), CONFORM_OTHER);
	conform_log_free(&writer.log);
}

/* A boot in each of two files. */
static void test_files(void **state)
{
	struct scratch scratch;
	struct conform_log log = {.tests = NULL};
	char text[TEXT_MAX];
	size_t cuts[2] = {write_text(text)};
	struct error error;
	const char *path;

	(void)state;
	scratch_make(&scratch);
	path = scratch_path(&scratch, "log");
	text[cuts[0]] = 0;
	cuts[1] = (size_t)(strstr(text, "avp-conform: begin 2") - text);
	for (int i = 0; i < 2; i++) {
		FILE *file = fopen(path, "we");

		assert_non_null(file);
		assert_int_equal(fwrite(text, 1, cuts[i], file), cuts[i]);
		fclose(file);
		assert_int_equal(conform_log_read(&log, path, &error), 0);
	}
	conform_log_finish(&log);
	assert_int_equal(log.boots, 2);
	assert_int_equal(log.count, 2);
	/* The second ended after its first test. */
	assert_int_equal(log.tests[0].verdict, CONFORM_WEDGED);
	assert_int_equal(log.tests[1].verdict, CONFORM_FAIL);
	conform_log_free(&log);
	scratch_remove(&scratch);
}

static void test_nonsense(void **state)
{
	static const char *const lines[] = {
		"avp-conform: boot 1",
		"1..",
		"1..99999999999999999999x",
		"ok",
		"ok ",
		"ok 0 - zero",
		"ok -1 - minus",
		"not ok 18446744073709551616 - big",
		"ok 4097 - above",
		"avp-conform: begin",
		"avp-conform: begin 0 x",
		"avp-conform: begin 5000 x",
		"avp-conform: result",
		"avp-conform: result a b n 1 min",
		"avp-conform: bucket a 3 4",
		"avp-conform: bucket",
		"  ---",
		"  message: \"",
		"  at:",
		"  ...",
		"avp-conform: end",
		"avp-conform: end lines crc",
	};
	struct conform_log log = {.tests = NULL};
	struct error error;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(conform_log_add(&log, lines[i], &error), 0);
	}
	conform_log_finish(&log);
	assert_int_not_equal(conform_log_state(&log), CONFORM_COMPLETE);
	conform_log_free(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_whole_log),
		cmocka_unit_test(test_a_log_that_is_cut),
		cmocka_unit_test(test_boots_of_another_run),
		cmocka_unit_test(test_a_console_that_drops),
		cmocka_unit_test(test_a_log_that_is_cut_anywhere),
		cmocka_unit_test(test_a_console_that_drops_any),
		cmocka_unit_test(test_a_test_that_hangs),
		cmocka_unit_test(test_a_test_that_resets),
		cmocka_unit_test(test_what_failed_stays_so),
		cmocka_unit_test(test_an_end_between_two_tests),
		cmocka_unit_test(test_damage_before_a_test_that_hangs),
		cmocka_unit_test(test_a_note_that_is_lost),
		cmocka_unit_test(test_power_off),
		cmocka_unit_test(test_a_failure_that_is_repeated),
		cmocka_unit_test(test_repeats_that_show_nothing),
		cmocka_unit_test(test_repeats_of_special_tests),
		cmocka_unit_test(test_a_boot_that_wants_another),
		cmocka_unit_test(test_other_ends_of_lines),
		cmocka_unit_test(test_another_contract),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

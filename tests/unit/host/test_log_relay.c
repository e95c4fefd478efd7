// SPDX-License-Identifier: BSD-3-Clause
/* Log lines of a child, played by the test, as relayed to standard error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_limit.h"
#include "host/log_relay.h"
#include "unit/capture.h"

struct fixture {
	struct event_loop loop;
	struct log_relay relay;
	int writer, log, saved;
	char text[1 << 20];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error error;

	log_set_level(LOG_INFO);
	log_set_format(LOG_FORMAT_TEXT);
	/* A file never blocks. */
	f->log = memfd_create("log", MFD_CLOEXEC);
	f->saved = dup(STDERR_FILENO);
	dup2(f->log, STDERR_FILENO);
	f->relay.name = "disk0";
	assert_int_equal(event_loop_init(&f->loop, 0, &error), 0);
	assert_int_equal(log_relay_open(&f->relay, &f->loop, &f->writer, &error), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	log_relay_close(&f->relay);
	close(f->writer);
	event_loop_close(&f->loop);
	dup2(f->saved, STDERR_FILENO);
	close(f->saved);
	close(f->log);
	free(f);
	return 0;
}

/* Writes as the child, and checks the lines logged since the last call. */
static void expect(struct fixture *f, const char *written, const char *logged)
{
	ssize_t length;

	assert_int_equal(write(f->writer, written, strlen(written)), strlen(written));
	log_relay_drain(&f->relay);
	length = pread(f->log, f->text, sizeof(f->text) - 1, 0);
	f->text[length] = 0;
	capture_take_times(f->text);
	assert_string_equal(f->text, logged);
	assert_int_equal(ftruncate(f->log, 0), 0);
	lseek(f->log, 0, SEEK_SET);
}

static void test_lines_are_the_childs(void **state)
{
	struct fixture *f = *state;

	log_relay_let_through(&f->relay);
	expect(f, "warning block: slow\n", "warning disk0: slow\n");
	expect(f, "error run: the guest: gone\n", "error disk0: the guest: gone\n");
	expect(f, "{\"level\":\"info\",\"component\":\"run\",\"msg\":\"x\\u009b\\ny\"}\n",
	       "info disk0: x???y\n");
	expect(f, "{\"level\":\"info\"}\n", "warning disk0: {\"level\":\"info\"}\n");
	expect(f, "malloc(): corrupted\n", "warning disk0: malloc(): corrupted\n");
	expect(f, "error\n", "warning disk0: error\n");
	/* Also filtered by the level of this process. */
	expect(f, "debug block: detail\n", "");
	f->relay.name = NULL;
	expect(f, "info monitor\x1b: up\n", "info monitor?: up\n");
}

static void test_fields_are_passed_on(void **state)
{
	static const char line[] =
		"{\"time\":\"x\",\"level\":\"warning\",\"guest\":\"forged\",\"component\":\"block\","
		"\"event\":\"slow\",\"ms\":12,\"list\":[1],\"BAD\":1,\"a\":1,\"b\":1,\"c\":1,\"d\":1,"
		"\"e\":1,\"f\":1,\"g\":1,\"msg\":\"slow\"}\n";
	struct fixture *f = *state;
	ssize_t length;
	json_t *json;

	log_relay_let_through(&f->relay);
	expect(f, line, "warning disk0: slow\n");
	log_set_format(LOG_FORMAT_JSON);
	assert_int_equal(write(f->writer, line, strlen(line)), strlen(line));
	log_relay_drain(&f->relay);
	log_set_format(LOG_FORMAT_TEXT);
	length = pread(f->log, f->text, sizeof(f->text) - 1, 0);
	f->text[length] = 0;
	assert_int_equal(ftruncate(f->log, 0), 0);
	lseek(f->log, 0, SEEK_SET);
	json = json_loads(f->text, JSON_REJECT_DUPLICATES, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "event")), "slow");
	assert_int_equal(json_integer_value(json_object_get(json, "ms")), 12);
	assert_string_equal(json_string_value(json_object_get(json, "component")), "disk0");
	assert_null(json_object_get(json, "guest"));
	assert_null(json_object_get(json, "list"));
	assert_null(json_object_get(json, "BAD"));
	/* Time, level, component, msg, and the most fields that are relayed. */
	assert_int_equal(json_object_size(json), 4 + 8);
	json_decref(json);
}

/* A child names its files by the inherited descriptors. */
static void test_files_have_their_paths(void **state)
{
	struct fixture *f = *state;
	char message[40];

	fd_names_add(&f->relay.files, 7, "/disks/a.img");
	fd_names_add(&f->relay.files, 12, "b");
	expect(f, "error block: /dev/fd/7: in use, not /dev/fd/71 or /dev/fd/\n", "");
	log_relay_take_message(&f->relay, message, sizeof(message));
	assert_string_equal(message, "/disks/a.img: in use, not /dev/fd/71 or");
	log_relay_let_through(&f->relay);
	expect(f, "warning block: /proc/self/fd/12/dev/fd/7\n", "warning disk0: b/disks/a.img\n");
	for (int i = 0; i < 2 * FD_NAMES_MAXIMUM; i++)
		fd_names_add(&f->relay.files, 100 + i, "c");
	expect(f, "warning block: /dev/fd/100 /dev/fd/9999999999999\n",
	       "warning disk0: c /dev/fd/9999999999999\n");
}

static void test_last_line_is_held_back(void **state)
{
	struct fixture *f = *state;
	char message[64];

	expect(f, "info block: first\nerror block: file: is bad\n", "info disk0: first\n");
	log_relay_take_message(&f->relay, message, sizeof(message));
	assert_string_equal(message, "file: is bad");
	log_relay_take_message(&f->relay, message, sizeof(message));
	assert_string_equal(message, "");
	expect(f, "{\"level\":\"error\",\"msg\":\"a\\nb\"}\n", "");
	log_relay_take_message(&f->relay, message, sizeof(message));
	assert_string_equal(message, "a?b");
	expect(f, "info block: ready\n", "");
	log_relay_let_through(&f->relay);
	expect(f, "", "info disk0: ready\n");
}

static void test_flood_is_cut(void **state)
{
	struct fixture *f = *state;
	unsigned int lines = 0, left_out;
	char *last = f->text;
	ssize_t length;

	log_relay_let_through(&f->relay);
	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < 100; j++)
			assert_int_equal(write(f->writer, "info block: x\n", 14), 14);
		log_relay_drain(&f->relay);
	}
	log_relay_close(&f->relay);
	length = pread(f->log, f->text, sizeof(f->text) - 1, 0);
	f->text[length] = 0;
	assert_true(capture_take_times(f->text));
	for (char *at = f->text; (at = strstr(at, "info disk0: x\n")); last = at)
		lines++, at += 14;
	assert_in_range(lines, 1000, 9000);
	assert_int_equal(sscanf(last, "warning disk0: %u lines of its process are suppressed",
				&left_out),
			 1);
	assert_in_range(lines + left_out, 1001, 10000);
}

static void test_limit_refills(void **state)
{
	struct log_limit limit = {.burst = 3, .interval_ms = 100}, young = limit;

	for (int i = 0; i < 3; i++)
		assert_true(log_limit_take(&limit, 5000));
	assert_false(log_limit_take(&limit, 5000));
	assert_false(log_limit_take(&limit, 5099));
	assert_int_equal(limit.suppressed, 2);
	assert_true(log_limit_take(&limit, 5100));
	assert_false(log_limit_take(&limit, 5199));
	/* No more than the burst, even after a long pause. */
	for (int i = 0; i < 3; i++)
		assert_true(log_limit_take(&limit, 1000000));
	assert_false(log_limit_take(&limit, 1000000));
	/* The clock starts at the host's boot, which was just now. */
	for (int i = 0; i < 3; i++)
		assert_true(log_limit_take(&young, 50));
	assert_false(log_limit_take(&young, 149));
	assert_true(log_limit_take(&young, 150));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines_are_the_childs),   TEST(test_fields_are_passed_on),
		TEST(test_files_have_their_paths), TEST(test_last_line_is_held_back),
		TEST(test_flood_is_cut),	   cmocka_unit_test(test_limit_refills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

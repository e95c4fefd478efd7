// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lines from a descriptor, and argument lists: input in pieces, without an end or too long, and
 * callbacks that close the reader.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/line_reader.h"

#define SIZE 16

static struct event_loop loop;
static struct line_reader reader;
static int writer;
static char seen[512];
static bool close_on_line;

static void on_line(void *context, char *line, size_t length, bool cut)
{
	size_t at = strlen(seen);

	assert_int_equal(line[length], 0);
	snprintf(seen + at, sizeof(seen) - at, "%s[%zu%s]", line, length, cut ? " cut" : "");
	if (close_on_line)
		line_reader_close(&reader);
}

static void on_ended(void *context)
{
	strcat(seen, "end");
}

static int set_up(void **state)
{
	int ends[2];

	seen[0] = 0;
	close_on_line = false;
	if (event_loop_init(&loop, 0, NULL) < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	writer = ends[1];
	reader = (struct line_reader){.line = on_line, .ended = on_ended};
	return line_reader_open(&reader, &loop, ends[0], SIZE, NULL);
}

static int tear_down(void **state)
{
	line_reader_close(&reader);
	if (writer >= 0)
		close(writer);
	event_loop_close(&loop);
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(write(writer, text, strlen(text)), strlen(text));
	while (event_loop_turn(&loop, 0) > 0)
		;
}

static void hang_up(void)
{
	close(writer);
	writer = -1;
	while (event_loop_turn(&loop, 0) > 0)
		;
}

static void test_lines(void **state)
{
	say("one\ntwo\r\n\nfo");
	assert_string_equal(seen, "one[3]two[3][0]");
	say("ur\nfi");
	hang_up();
	assert_string_equal(seen, "one[3]two[3][0]four[4]fi[2]end");
}

static void test_long_lines(void **state)
{
	/* The longest line that fits, one byte more, and many more. */
	say("12345678901234\n");
	assert_string_equal(seen, "12345678901234[14]");
	seen[0] = 0;
	say("123456789012345\nnext\n");
	assert_string_equal(seen, "123456789012345[15 cut]next[4]");
	seen[0] = 0;
	say("123456789012345678901234567890123456789012345678901234567890\nnext\n");
	assert_string_equal(seen, "123456789012345[15 cut]next[4]");
	seen[0] = 0;
	/* The rest of a truncated line is not a line, also at the end. */
	say("12345678901234567890");
	hang_up();
	assert_string_equal(seen, "123456789012345[15 cut]end");
}

static void test_close_within_a_line(void **state)
{
	close_on_line = true;
	say("one\ntwo\n");
	assert_string_equal(seen, "one[3]");
	line_reader_drain(&reader);
	line_reader_close(&reader);
}

static void test_close_within_the_last_line(void **state)
{
	close_on_line = true;
	say("one");
	hang_up();
	/* A callback that closes the reader gets no end callback. */
	assert_string_equal(seen, "one[3]");
}

static void test_drain(void **state)
{
	assert_int_equal(write(writer, "a\nb\n", 4), 4);
	line_reader_drain(&reader);
	assert_string_equal(seen, "a[1]b[1]");
	close(writer);
	writer = -1;
	line_reader_drain(&reader);
	assert_string_equal(seen, "a[1]b[1]end");
}

static void test_failed_open_closes(void **state)
{
	struct line_reader other = {.line = on_line};
	struct error error;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	/* A loop cannot watch it. */
	assert_int_equal(line_reader_open(&other, &loop, fd, SIZE, &error), -EPERM);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	line_reader_close(&other);
}

static void test_arguments(void **state)
{
	struct arguments arguments = {0};
	const char *const *items;
	struct error error;

	assert_null(arguments_finish(&arguments, &error));
	/* Before the first argument there is nothing to extend. */
	arguments_extend(&arguments, "x");
	arguments_add(&arguments, "program");
	arguments_add_format(&arguments, "--number=%d", 5);
	arguments_extend(&arguments, ",%s", "more");
	items = arguments_finish(&arguments, &error);
	assert_string_equal(items[0], "program");
	assert_string_equal(items[1], "--number=5,more");
	assert_null(items[2]);
	arguments_clear(&arguments);
	arguments_clear(&arguments);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_close_within_a_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_close_within_the_last_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_open_closes, set_up, tear_down),
		cmocka_unit_test(test_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

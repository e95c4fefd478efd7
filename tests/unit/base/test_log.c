// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of base/log.c: the lines on standard error.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "unit/capture.h"

static struct capture capture;

static int start(void **state)
{
	capture_start(&capture, STDERR_FILENO);
	log_set_level(LOG_INFO);
	log_set_format(LOG_FORMAT_TEXT);
	log_set_component("avp");
	log_set_guest("");
	return 0;
}

static int finish(void **state)
{
	capture_stop(&capture);
	return 0;
}

static const char *next_line(void)
{
	return capture_next(&capture);
}

static void text_lines_say_level_and_component(void **state)
{
	log_error("no %s", "disk");
	assert_string_equal(next_line(), "error avp: no disk\n");
	assert_true(capture.timed);
	log_set_component("block");
	log_warning("slow");
	assert_string_equal(next_line(), "warning block: slow\n");
	log_line(LOG_INFO, "net", "up");
	assert_string_equal(next_line(), "info net: up\n");
	assert_string_equal(next_line(), "");
}

static void the_guest_is_told_with_each_line(void **state)
{
	char name[100];

	log_set_guest("car");
	log_line(LOG_INFO, "run", "x");
	assert_string_equal(next_line(), "info car/run: x\n");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	log_set_guest(name);
	memset(name, 'm', sizeof(name) - 1);
	log_line(LOG_INFO, "run", "x");
	assert_int_equal(strspn(next_line() + 5, "n"), 64);
}

/* On a terminal neither time nor guest name is printed. */
static void terminals_get_short_lines(void **state)
{
	int pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), terminal;
	char line[200];
	ssize_t length;

	assert_true(pty >= 0);
	assert_int_equal(grantpt(pty) | unlockpt(pty), 0);
	terminal = open(ptsname(pty), O_RDWR | O_NOCTTY | O_CLOEXEC);
	dup2(terminal, STDERR_FILENO);
	log_set_guest("car");
	log_line(LOG_INFO, "run", "x");
	length = read(pty, line, sizeof(line) - 1);
	line[length > 0 ? length : 0] = 0;
	assert_string_equal(line, "info run: x\r\n");
	close(terminal);
	close(pty);
}

static void the_journal_has_the_time(void **state)
{
	char stream[64];
	struct stat status;

	assert_int_equal(fstat(STDERR_FILENO, &status), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_set_guest("car");
	log_info("x");
	assert_string_equal(next_line(), "info car/avp: x\n");
	assert_false(capture.timed);
	/* The standard error of a service's children may go elsewhere. */
	setenv("JOURNAL_STREAM", "1:2", 1);
	log_info("x");
	assert_string_equal(next_line(), "info car/avp: x\n");
	assert_true(capture.timed);
	unsetenv("JOURNAL_STREAM");
}

static void lines_below_the_level_are_not_written(void **state)
{
	log_debug("detail");
	assert_string_equal(next_line(), "");
	log_set_level(LOG_DEBUG);
	log_debug("detail");
	assert_string_equal(next_line(), "debug avp: detail\n");
	log_set_level(LOG_ERROR);
	log_warning("hidden");
	assert_string_equal(next_line(), "");
	log_error("shown");
	assert_string_equal(next_line(), "error avp: shown\n");
}

static void errno_is_kept(void **state)
{
	errno = EXDEV;
	log_error("x");
	assert_int_equal(errno, EXDEV);
	close(STDERR_FILENO);
	errno = EXDEV;
	log_error("nobody listens");
	assert_int_equal(errno, EXDEV);
}

static void a_message_cannot_forge_a_line(void **state)
{
	log_info("guest says: %s", "x\nerror avp: forged\x1b[0m");
	assert_string_equal(next_line(), "info avp: guest says: x?error avp: forged?[0m\n");
}

static json_t *next_json(void)
{
	const char *line = next_line();
	json_error_t error;
	json_t *json = json_loads(line, 0, &error);

	if (!json)
		fail_msg("%s: %s", error.text, line);
	/* One line, ended by its newline. */
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	return json;
}

static void check_json_message(const char *message, const char *expected)
{
	json_t *json;

	log_error("%s", message);
	json = next_json();
	assert_string_equal(json_string_value(json_object_get(json, "msg")), expected);
	json_decref(json);
}

static void json_lines_parse(void **state)
{
	json_t *json;

	log_set_format(LOG_FORMAT_JSON);
	log_line(LOG_WARNING, "net", "link %d down", 3);
	json = next_json();
	assert_string_equal(json_string_value(json_object_get(json, "level")), "warning");
	assert_string_equal(json_string_value(json_object_get(json, "component")), "net");
	assert_string_equal(json_string_value(json_object_get(json, "msg")), "link 3 down");
	/* RFC 3339, in UTC: 2026-01-02T03:04:05.678Z */
	assert_int_equal(strlen(json_string_value(json_object_get(json, "time"))), 24);
	json_decref(json);
}

static void json_lines_have_fields(void **state)
{
	char name[400];
	json_t *json;

	log_set_guest("car");
	log_fields(LOG_WARNING, "run",
		   LOG_FIELDS(LOG_TEXT("device", "disk\"0"), LOG_NUMBER("process", -7)), "%s ended",
		   "it");
	assert_string_equal(next_line(), "warning car/run: it ended\n");
	log_set_format(LOG_FORMAT_JSON);
	log_fields(LOG_WARNING, "run",
		   LOG_FIELDS(LOG_TEXT("device", "disk\"0"), LOG_NUMBER("process", -7)), "%s ended",
		   "it");
	json = next_json();
	assert_string_equal(json_string_value(json_object_get(json, "guest")), "car");
	assert_string_equal(json_string_value(json_object_get(json, "device")), "disk\"0");
	assert_int_equal(json_integer_value(json_object_get(json, "process")), -7);
	assert_true(json_is_integer(json_object_get(json, "process")));
	assert_string_equal(json_string_value(json_object_get(json, "msg")), "it ended");
	json_decref(json);
	/* A field that does not fit is omitted as a whole. */
	memset(name, 1, sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	log_fields(LOG_WARNING, "run",
		   LOG_FIELDS(LOG_TEXT("device", name), LOG_NUMBER("process", 5)), "x");
	json = next_json();
	assert_null(json_object_get(json, "device"));
	assert_int_equal(json_integer_value(json_object_get(json, "process")), 5);
	json_decref(json);
}

static void json_strings_are_escaped(void **state)
{
	log_set_format(LOG_FORMAT_JSON);
	check_json_message("say \"hi\" \\ there", "say \"hi\" \\ there");
	check_json_message("a\nb\tc\x1b[0m\x7f", "a\nb\tc\x1b[0m\x7f");
	check_json_message("\xc3\xa4 \xe2\x80\xa6", "\xc3\xa4 \xe2\x80\xa6");
	/* What is not UTF-8 becomes the replacement character. */
	check_json_message("a\xff z", "a\xef\xbf\xbd z");
	check_json_message("cut \xe2\x80", "cut \xef\xbf\xbd\xef\xbf\xbd");
}

static void long_lines_are_cut_but_whole(void **state)
{
	char message[4000];
	const char *line;

	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = 0;
	log_info("%s", message);
	line = next_line();
	assert_true(strlen(line) > 900 && strlen(line) < 1100);
	assert_int_equal(line[strlen(line) - 1], '\n');

	/* Each byte takes six in JSON. */
	log_set_format(LOG_FORMAT_JSON);
	memset(message, 1, sizeof(message) - 1);
	log_info("%s", message);
	json_decref(next_json());
	assert_string_equal(next_line(), "");
}

/* A reader that does not read blocks nobody, and is told how many lines it missed. */
static void a_full_pipe_holds_nobody_up(void **state)
{
	char text[1 << 20];
	unsigned int lines = 0, lost;
	ssize_t length;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	for (int i = 0; i < 5000; i++)
		log_info("as long as a line of a log often is, so that a pipe is full soon");
	length = read(ends[0], text, sizeof(text) - 1);
	assert_true(length > 0);
	text[length] = 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_in_range(lines, 100, 4000);
	log_info("again");
	length = read(ends[0], text, sizeof(text) - 1);
	text[length] = 0;
	assert_true(capture_take_times(text));
	assert_int_equal(sscanf(text, "warning avp: %u lines were dropped", &lost), 1);
	assert_int_equal(lines + lost, 5000);
	assert_non_null(strstr(text, "info avp: again\n"));
	log_info("once");
	length = read(ends[0], text, sizeof(text) - 1);
	text[length] = 0;
	assert_true(capture_take_times(text));
	assert_string_equal(text, "info avp: once\n");
	close(ends[0]);
}

/* The last test: the file stays open. */
static void a_file_gets_all_lines(void **state)
{
	char path[] = "/tmp/avp-log-XXXXXX", text[2000];
	int fd = mkstemp(path);
	ssize_t length;
	json_t *json;

	assert_int_equal(log_open("/nowhere/log"), -ENOENT);
	assert_int_equal(log_open(path), 0);
	log_set_format(LOG_FORMAT_JSON);
	log_info("up");
	assert_string_equal(next_line(), "");
	log_error("no \"disk\"");
	/* On standard error it is text. */
	assert_string_equal(next_line(), "error avp: no \"disk\"\n");
	log_write("relayed\n", 8);
	assert_string_equal(next_line(), "");
	length = read(fd, text, sizeof(text) - 1);
	assert_true(length > 0);
	text[length] = 0;
	json = json_loads(strtok(text, "\n"), 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "msg")), "up");
	json_decref(json);
	json = json_loads(strtok(NULL, "\n"), 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "level")), "error");
	assert_string_equal(json_string_value(json_object_get(json, "msg")), "no \"disk\"");
	assert_true(json_is_string(json_object_get(json, "time")));
	json_decref(json);
	assert_string_equal(strtok(NULL, "\n"), "relayed");
	close(fd);
	unlink(path);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(text_lines_say_level_and_component),
		TEST(the_guest_is_told_with_each_line),
		TEST(terminals_get_short_lines),
		TEST(the_journal_has_the_time),
		TEST(lines_below_the_level_are_not_written),
		TEST(errno_is_kept),
		TEST(a_message_cannot_forge_a_line),
		TEST(json_lines_parse),
		TEST(json_lines_have_fields),
		TEST(json_strings_are_escaped),
		TEST(long_lines_are_cut_but_whole),
		TEST(a_full_pipe_holds_nobody_up),
		TEST(a_file_gets_all_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

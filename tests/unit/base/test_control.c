// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lines of control channels: what is parsed, what is refused, what is built, and which line a
 * descriptor comes with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/control.h"

static struct event_loop loop;
static struct control_channel channel;
static int far;
static char seen[2 * CONTROL_LINE_SIZE];
static bool pause_on_line;

static int parse(struct control_line *line, char *text, struct error *error)
{
	return control_line_parse(line, text, strlen(text), error);
}

static void test_parse(void **state)
{
	char text[] = "set-it level=info x-1=\"a \\\"b\\\" \\u00e4\\ud83d\\ude00\\n\"   empty= u=ä";
	struct control_line line;
	struct error error;
	uint64_t number;

	assert_int_equal(parse(&line, text, &error), 0);
	assert_string_equal(line.verb, "set-it");
	assert_int_equal(line.count, 4);
	assert_string_equal(control_line_get(&line, "level"), "info");
	assert_string_equal(control_line_get(&line, "x-1"), "a \"b\" ä😀\n");
	assert_string_equal(control_line_get(&line, "empty"), "");
	assert_string_equal(control_line_get(&line, "u"), "ä");
	assert_null(control_line_get(&line, "leve"));
	assert_false(control_line_number(&line, "level", &number));
	assert_false(control_line_number(&line, "empty", &number));
	assert_false(control_line_number(&line, "none", &number));
}

static void test_numbers(void **state)
{
	char text[] = "a n=18446744073709551615 big=18446744073709551616 neg=-1 hex=0x1 z=0";
	struct control_line line;
	struct error error;
	uint64_t number = 7;

	assert_int_equal(parse(&line, text, &error), 0);
	assert_false(control_line_number(&line, "big", &number));
	assert_false(control_line_number(&line, "neg", &number));
	assert_false(control_line_number(&line, "hex", &number));
	assert_int_equal(number, 7);
	assert_true(control_line_number(&line, "n", &number));
	assert_true(number == UINT64_MAX);
	assert_true(control_line_number(&line, "z", &number));
	assert_int_equal(number, 0);
}

static void test_refused_lines(void **state)
{
	static const char *const lines[] = {
		"",
		" a",
		"A",
		"1a",
		"a\tb=1",
		"a\r",
		"a=1",
		"verb-that-is-longer-than-32-bytes",
		"a b",
		"a =1",
		"a B=1",
		"a key-that-is-longer-than-32-bytes-=1",
		"a b=1 b=2",
		"a b=\"1",
		"a b=\"1\"2",
		"a b=\"1\" 2",
		"a b=1\"",
		"a b=1\\n",
		"a b=\x01",
		"a b=\x7f",
		"a b=\xff",
		"a b=\xc2\x80",
		"a b=\"\x01\"",
		"a b=\"\xff\"",
		"a b=\"\\x\"",
		"a b=\"\\",
		"a b=\"\\\"",
		"a b=\"\\u0000\"",
		"a b=\"\\u12\"",
		"a b=\"\\u12g4\"",
		"a b=\"\\ud800\"",
		"a b=\"\\ud800\\u0041\"",
		"a b=\"\\ude00\"",
		("a b=0 c=0 d=0 e=0 f=0 g=0 h=0 i=0 j=0 k=0 l=0 m=0 n=0 o=0 p=0 q=0 r=0 "
		 "s=0 t=0 u=0 v=0 w=0 x=0 y=0 z=0"),
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		/* Exactly the line and its newline, so that a byte too many is found. */
		cleanup_free char *text = strdup(lines[i]);
		struct control_line line;
		struct error error;

		if (parse(&line, text, &error) != -EPROTO)
			fail_msg("accepted: %s", lines[i]);
	}
}

static void test_build(void **state)
{
	struct control_message message;
	struct control_line line;
	struct error error;

	control_message_begin(&message, "event");
	control_message_add(&message, "name", "off");
	control_message_add(&message, "empty", "");
	control_message_add(&message, "text", "it's \"off\" \\ ä\xff\n\x7f\xc2\x85");
	control_message_add_number(&message, "n", UINT64_MAX);
	assert_false(message.too_long);
	message.text[message.length] = 0;
	assert_string_equal(message.text, "event name=off empty=\"\" "
					  "text=\"it's \\\"off\\\" \\\\ ä?\\u000a\\u007f\\u0085\" "
					  "n=18446744073709551615");
	assert_int_equal(control_line_parse(&line, message.text, message.length, &error), 0);
	assert_string_equal(control_line_get(&line, "text"), "it's \"off\" \\ ä?\n\x7f\xc2\x85");
}

static void test_too_long(void **state)
{
	char value[CONTROL_LINE_SIZE];
	struct control_message message;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	memset(value, 'x', sizeof(value));
	/* "v k=" and the newline take five bytes. */
	value[CONTROL_LINE_SIZE - 5] = 0;
	control_message_begin(&message, "v");
	control_message_add(&message, "k", value);
	assert_int_equal(control_message_send(&message, ends[0], -1), 0);
	assert_int_equal(recv(ends[1], seen, sizeof(seen), 0), CONTROL_LINE_SIZE);
	value[CONTROL_LINE_SIZE - 5] = 'x';
	value[CONTROL_LINE_SIZE - 4] = 0;
	control_message_begin(&message, "v");
	control_message_add(&message, "k", value);
	assert_int_equal(control_message_send(&message, ends[0], -1), -EMSGSIZE);
	assert_int_equal(recv(ends[1], seen, sizeof(seen), MSG_DONTWAIT), -1);
	close(ends[0]);
	close(ends[1]);
}

static void handle_line(void *context, const struct control_line *line, int *fd)
{
	size_t length = strlen(seen);
	char byte = '-';

	assert_ptr_equal(context, &loop);
	if (*fd >= 0)
		assert_int_equal(pread(*fd, &byte, 1, 0), 1);
	snprintf(seen + length, sizeof(seen) - length, "[%s %zu %c]", line->verb, line->count,
		 byte);
	if (!strcmp(line->verb, "close"))
		control_channel_close(&channel);
	if (pause_on_line)
		control_channel_pause(&channel);
}

static void handle_end(void *context, const struct error *error)
{
	size_t length = strlen(seen);

	snprintf(seen + length, sizeof(seen) - length, "%s", error ? error->message : "end");
	control_channel_close(&channel);
}

static int set_up(void **state)
{
	int ends[2];

	if (event_loop_init(&loop, 0, NULL) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	seen[0] = 0;
	pause_on_line = false;
	far = ends[1];
	control_channel_init(&channel);
	channel.line = handle_line;
	channel.ended = handle_end;
	channel.context = &loop;
	return control_channel_open(&channel, &loop, ends[0], NULL);
}

static int tear_down(void **state)
{
	control_channel_close(&channel);
	close_fd(&far);
	event_loop_close(&loop);
	return 0;
}

static void turn(void)
{
	while (event_loop_turn(&loop, 0) > 0)
		;
}

static void say(const char *text)
{
	assert_int_equal(write(far, text, strlen(text)), strlen(text));
	turn();
}

/* Sends @text with @count descriptors of files whose first byte is @byte. */
static void say_with(const char *text, char byte, int count)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = {0};
	struct iovec data = {(void *)text, strlen(text)};
	struct msghdr header = {&(int){0}, 0, &data, 1, control, CMSG_SPACE(count * sizeof(int)),
				0};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
	cleanup_fd int fd = memfd_create("byte", MFD_CLOEXEC);
	int fds[4] = {fd, fd, fd, fd};

	assert_int_equal(write(fd, &byte, 1), 1);
	header.msg_name = NULL;
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
	assert_int_equal(sendmsg(far, &header, 0), strlen(text));
}

static void test_channel(void **state)
{
	say("one\ntwo a=1\nth");
	say("ree");
	assert_string_equal(seen, "[one 0 -][two 1 -]");
	say(" a=1 b=2\n");
	assert_string_equal(seen, "[one 0 -][two 1 -][three 2 -]");
	close_fd(&far);
	turn();
	assert_string_equal(seen, "[one 0 -][two 1 -][three 2 -]end");
}

static void test_bad_line_ends(void **state)
{
	say("one\n two\nthree\n");
	assert_string_equal(seen, "[one 0 -]a line does not start with a verb");
	assert_int_equal(control_channel_socket(&channel), -1);
}

static void test_long_line_ends(void **state)
{
	char text[CONTROL_LINE_SIZE + 1];

	memset(text, 'x', sizeof(text));
	memcpy(text, "v k=", 4);
	text[CONTROL_LINE_SIZE - 1] = '\n';
	text[CONTROL_LINE_SIZE] = 0;
	say(text);
	assert_string_equal(seen, "[v 1 -]");
	text[CONTROL_LINE_SIZE - 1] = 'x';
	say(text);
	assert_string_equal(seen, "[v 1 -]a line is too long");
}

static void test_pause(void **state)
{
	pause_on_line = true;
	say("one\ntwo\nthr");
	say("ee\n");
	assert_string_equal(seen, "[one 0 -]");
	control_channel_resume(&channel);
	assert_string_equal(seen, "[one 0 -][two 0 -]");
	pause_on_line = false;
	control_channel_resume(&channel);
	turn();
	assert_string_equal(seen, "[one 0 -][two 0 -][three 0 -]");
	control_channel_pause(&channel);
	say("four\n");
	close_fd(&far);
	turn();
	assert_string_equal(seen, "[one 0 -][two 0 -][three 0 -]end");
}

static void pause_channel(void *context, uint32_t events)
{
	control_channel_pause(context);
}

/* Paused by a handler of the same turn, after its bytes had come: they wait, and it stays open. */
static void test_pause_in_the_same_turn(void **state)
{
	struct event_source other = {eventfd(1, EFD_CLOEXEC), pause_channel, &channel};

	assert_int_equal(event_loop_add(&loop, &other, EPOLLIN, NULL), 0);
	assert_int_equal(write(far, "one\n", 4), 4);
	assert_int_equal(event_loop_turn(&loop, 0), 1);
	event_loop_remove(&loop, &other);
	close(other.fd);
	assert_string_equal(seen, "");
	control_channel_resume(&channel);
	turn();
	assert_string_equal(seen, "[one 0 -]");
}

static void test_close_within_a_line(void **state)
{
	say("close\ntwo\n");
	assert_string_equal(seen, "[close 0 -]");
	control_channel_drain(&channel);
}

static void test_drain(void **state)
{
	assert_int_equal(write(far, "one\n", 4), 4);
	close_fd(&far);
	control_channel_drain(&channel);
	assert_string_equal(seen, "[one 0 -]end");
}

static unsigned int count_descriptors(void)
{
	cleanup_directory DIR *stream = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(stream))
		count++;
	return count;
}

static void test_descriptors(void **state)
{
	unsigned int before = count_descriptors();

	say_with("one\n", '1', 1);
	say_with("two\n", '2', 1);
	assert_int_equal(write(far, "three\nfour\n", 11), 11);
	say_with("five\nsix\n", '6', 1);
	say_with("sev", '7', 1);
	say("en\neight\n");
	assert_string_equal(seen, "[one 0 1][two 0 2][three 0 -][four 0 -][five 0 -][six 0 6]"
				  "[seven 0 7][eight 0 -]");
	/* One that is not taken is closed. */
	assert_int_equal(count_descriptors(), before);
}

/* A line that is received in two parts, and behind its rest another one with a descriptor. */
static void test_descriptors_across_reads(void **state)
{
	char text[CONTROL_LINE_SIZE];

	memset(text, 'x', sizeof(text));
	memcpy(text, "long k=", 7);
	strcpy(text + sizeof(text) - 2, "\n");
	assert_int_equal(write(far, "one\n", 4), 4);
	say_with(text, 'l', 1);
	say_with("two\n", '2', 1);
	turn();
	assert_string_equal(seen, "[one 0 -][long 1 l][two 0 2]");
}

static void test_descriptors_while_paused(void **state)
{
	unsigned int before = count_descriptors();

	pause_on_line = true;
	assert_int_equal(write(far, "one\ntw", 6), 6);
	say_with("o\nthr", '3', 1);
	turn();
	pause_on_line = false;
	control_channel_resume(&channel);
	assert_string_equal(seen, "[one 0 -][two 0 -]");
	say("ee\n");
	assert_string_equal(seen, "[one 0 -][two 0 -][three 0 3]");
	/* A channel that is closed drops what was not delivered. */
	say_with("four", '4', 1);
	turn();
	assert_int_equal(count_descriptors(), before + 1);
	control_channel_close(&channel);
	assert_int_equal(count_descriptors(), before - 1);
}

static void test_too_many_descriptors(void **state)
{
	unsigned int before = count_descriptors();

	say_with("one\n", '1', 4);
	turn();
	assert_string_equal(seen, "more than one descriptor came with a line, or one for which "
				  "there is no room");
	assert_int_equal(count_descriptors(), before - 1);
}

static void test_second_descriptor_of_a_line(void **state)
{
	unsigned int before = count_descriptors();

	say_with("on", '1', 1);
	turn();
	say_with("e\n", '1', 1);
	turn();
	assert_string_equal(seen, "more than one descriptor came with a line");
	assert_int_equal(count_descriptors(), before - 1);
}

static void test_send_with_descriptor(void **state)
{
	struct control_message message;
	cleanup_fd int fd = memfd_create("byte", MFD_CLOEXEC);

	assert_int_equal(write(fd, "x", 1), 1);
	control_message_begin(&message, "give");
	control_message_add(&message, "name", "tap");
	assert_int_equal(control_message_send(&message, far, fd), 0);
	turn();
	assert_string_equal(seen, "[give 1 x]");
}

#define WITH_CHANNEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_refused_lines),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_too_long),
		WITH_CHANNEL(test_channel),
		WITH_CHANNEL(test_bad_line_ends),
		WITH_CHANNEL(test_long_line_ends),
		WITH_CHANNEL(test_pause),
		WITH_CHANNEL(test_pause_in_the_same_turn),
		WITH_CHANNEL(test_close_within_a_line),
		WITH_CHANNEL(test_drain),
		WITH_CHANNEL(test_descriptors),
		WITH_CHANNEL(test_descriptors_across_reads),
		WITH_CHANNEL(test_descriptors_while_paused),
		WITH_CHANNEL(test_too_many_descriptors),
		WITH_CHANNEL(test_second_descriptor_of_a_line),
		WITH_CHANNEL(test_send_with_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

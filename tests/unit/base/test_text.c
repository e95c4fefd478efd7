// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of base/text.c and device/net/port_forward.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "device/net/port_forward.h"

static void sizes_read_as_a_user_writes_them(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0"},
		{1, "1"},
		{512, "512"},
		{1023, "1023"},
		{1024, "1K"},
		{1025, "1025"},
		{1536, "1536"},
		{32 << 20, "32M"},
		{1ULL << 30, "1G"},
		{3ULL << 40, "3T"},
		{1ULL << 50, "1024T"},
		{UINT64_MAX, "18446744073709551615"},
	};
	char buffer[TEXT_SIZE_LENGTH];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(text_format_size(buffer, rows[i].bytes), rows[i].text);
}

static void names_keep_to_their_letters(void **state)
{
	char longest[66];

	memset(longest, 'a', 65);
	longest[64] = 0;
	assert_true(text_is_name("a"));
	assert_true(text_is_name("0-disk_1.img"));
	assert_true(text_is_name(longest));
	longest[64] = 'a';
	longest[65] = 0;
	assert_false(text_is_name(longest));
	assert_false(text_is_name(""));
	assert_false(text_is_name("-a"));
	assert_false(text_is_name(".a"));
	assert_false(text_is_name("a/b"));
	assert_false(text_is_name("a b"));
	assert_false(text_is_name("\xc3\xa4"));
	assert_false(text_is_name("a\xc3\xa4"));
}

static const char *nearest(const char *word, const char *const *candidates)
{
	struct text_match match = {.word = word, .length = strlen(word)};

	for (; *candidates; candidates++)
		text_match_offer(&match, *candidates);
	return match.nearest;
}

static void mistyped_words_find_what_was_meant(void **state)
{
	static const char *const words[] = {"readonly", "serial",     "queues",
					    "run",	"queue-size", NULL};

	assert_string_equal(nearest("serail", words), "serial");
	assert_string_equal(nearest("seral", words), "serial");
	assert_string_equal(nearest("read-only", words), "readonly");
	assert_string_equal(nearest("queue", words), "queues");
	assert_string_equal(nearest("rnu", words), "run");
	assert_null(nearest("x", words));
	assert_null(nearest("", words));
	assert_null(nearest("network", words));
	assert_null(nearest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", words));
}

static void utf8_is_told_from_other_bytes(void **state)
{
	assert_int_equal(text_utf8_length("a", 1), 1);
	assert_int_equal(text_utf8_length("\xc3\xa4", 2), 2);
	assert_int_equal(text_utf8_length("\xe2\x80\xa6", 3), 3);
	assert_int_equal(text_utf8_length("\xf0\x9f\x98\x80", 4), 4);
	assert_int_equal(text_utf8_length("", 0), 0);
	assert_int_equal(text_utf8_length("\xc3\xa4", 1), 0);	      /* cut short */
	assert_int_equal(text_utf8_length("\xc3(", 2), 0);	      /* no continuation */
	assert_int_equal(text_utf8_length("\xc0\xaf", 2), 0);	      /* overlong */
	assert_int_equal(text_utf8_length("\xe0\x80\xaf", 3), 0);     /* overlong */
	assert_int_equal(text_utf8_length("\xf0\x80\x80\xaf", 4), 0); /* overlong */
	assert_int_equal(text_utf8_length("\xed\xa0\x80", 3), 0);     /* surrogate */
	assert_int_equal(text_utf8_length("\xf4\x90\x80\x80", 4), 0); /* above the last */
	assert_int_equal(text_utf8_length("\x80", 1), 0);
	assert_int_equal(text_utf8_length("\xff", 1), 0);
}

static void control_characters_become_question_marks(void **state)
{
	char text[] = "a\nb\tc\x1b[31m\x7f\xc3\xa4";

	text_make_printable(text);
	assert_string_equal(text, "a?b?c?[31m?\xc3\xa4");
	strcpy(text, "\xc2\x9b"
		     "31m\xc2\xa0\xc2");
	text_make_printable(text);
	assert_string_equal(text, "??31m\xc2\xa0?");
	strcpy(text, "caf\xe9, \xed\xa0\x80");
	text_make_printable(text);
	assert_string_equal(text, "caf?, ???");
}

static void bytes_read_as_two_digits(void **state)
{
	assert_int_equal(text_hex_byte("00"), 0);
	assert_int_equal(text_hex_byte("9f"), 0x9f);
	assert_int_equal(text_hex_byte("Ab:"), 0xab);
	assert_int_equal(text_hex_byte(""), -1);
	assert_int_equal(text_hex_byte("1"), -1);
	assert_int_equal(text_hex_byte("g0"), -1);
	assert_int_equal(text_hex_byte("0g"), -1);
	/* Not even where one bit makes the difference to a digit. */
	assert_int_equal(text_hex_byte("\x10\x11"), -1);
}

static void replacing_frees_what_was_there(void **state)
{
	struct error error;
	char *text = NULL;

	assert_int_equal(text_replace(&text, "first", 5, &error), 0);
	assert_int_equal(text_replace(&text, "second", 3, &error), 0);
	assert_string_equal(text, "sec");
	/* The new text may be built from the old one. */
	assert_int_equal(text_replace_format(&text, &error, "%s-%d", text, 7), 0);
	assert_string_equal(text, "sec-7");
	free(text);
}

static void check_forward(const char *text, bool udp, const char *address, uint16_t port,
			  uint16_t guest_port)
{
	struct port_forward forward;
	struct error error;

	assert_int_equal(port_forward_parse(text, &forward, &error), 0);
	assert_int_equal(forward.udp, udp);
	assert_int_equal(forward.address.s_addr, inet_addr(address));
	assert_int_equal(forward.port, port);
	assert_int_equal(forward.guest_port, guest_port);
}

static void forwards_are_read(void **state)
{
	check_forward("tcp:8080:80", false, "127.0.0.1", 8080, 80);
	check_forward("udp:53:5353", true, "127.0.0.1", 53, 5353);
	check_forward("tcp:0.0.0.0:65535:1", false, "0.0.0.0", 65535, 1);
	check_forward("udp:192.168.1.2:1:2", true, "192.168.1.2", 1, 2);
}

static void wrong_forwards_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"tcp",
		"tcp:",
		"tcp:80",
		"tcp::80",
		"tcp:80:",
		"tcp:0:80",
		"tcp:80:0",
		"tcp:65536:80",
		"tcp:80:65536",
		"sctp:80:80",
		"tcp:-1:80",
		"tcp: 80:80",
		"tcp:80:80 ",
		"tcp:host:80:80",
		"tcp::80:80",
		"tcp:1.2.3:4:5",
		"tcp:1:2:3:4:5",
		"TCP:80:80",
		"8080:80",
		"tcp:99999999999999999999:80",
		"tcp:123.123.123.123123:80:80",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct port_forward forward;
		struct error error = {0};

		assert_true(port_forward_parse(texts[i], &forward, &error) < 0);
		assert_true(error.usage);
		assert_non_null(strstr(error.message, "tcp:[ADDRESS:]PORT:GUESTPORT"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_read_as_a_user_writes_them),
		cmocka_unit_test(names_keep_to_their_letters),
		cmocka_unit_test(mistyped_words_find_what_was_meant),
		cmocka_unit_test(utf8_is_told_from_other_bytes),
		cmocka_unit_test(control_characters_become_question_marks),
		cmocka_unit_test(bytes_read_as_two_digits),
		cmocka_unit_test(replacing_frees_what_was_there),
		cmocka_unit_test(forwards_are_read),
		cmocka_unit_test(wrong_forwards_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

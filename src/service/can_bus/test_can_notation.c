// SPDX-License-Identifier: BSD-3-Clause
/* CAN frames as text: what cansend and candump write, and what neither does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/can_bus/frame.h"
#include "service/can_bus/notation.h"

static const struct {
	const char *text;
	struct can_bus_frame frame;
	const char *written; /* NULL: as it was read */
} good[] = {
	{"123#", {.id = 0x123}, NULL},
	{"123#DEADBEEF", {.id = 0x123, .length = 4, .data = {0xde, 0xad, 0xbe, 0xef}}, NULL},
	{"7ff#de.ad", {.id = 0x7ff, .length = 2, .data = {0xde, 0xad}}, "7FF#DEAD"},
	{"1FFFFFFF#01", {.id = 0x1fffffff, .flags = 1, .length = 1, .data = {1}}, NULL},
	{"00000001#", {.id = 1, .flags = CAN_BUS_EXTENDED}, NULL},
	{"123#R", {.id = 0x123, .flags = CAN_BUS_RTR}, NULL},
	{"123#R8", {.id = 0x123, .flags = CAN_BUS_RTR, .length = 8}, NULL},
	{"123##1AABB", {.id = 0x123, .flags = CAN_BUS_FD, .length = 2, .data = {0xaa, 0xbb}}, NULL},
	{"123##3", {.id = 0x123, .flags = CAN_BUS_FD}, "123##1"},
	{"123##1112233445566778899AABBCC",
	 {.id = 0x123,
	  .flags = CAN_BUS_FD,
	  .length = 12,
	  .data = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc}},
	 NULL},
};

static const char *const bad[] = {
	"",	      "#",
	"123",	      "12#",
	"1234#",      "800#",
	"2FFFFFFF#",  "123#1",
	"123#XY",     "123#112233445566778899",
	"123#R9",     "123#RR",
	"123#R11",    "123##",
	"123##G",     "123##11",
	"123#11.",    "123#.11",
	"123#11..22", "123##1112233445566778899",
	"123456789#", " 123#",
	"123# ",      "123#11\n",
	"123#-1",     "00000000000000000000000001#",
};

static void test_frames(void **state)
{
	struct can_bus_frame frame;
	char text[CAN_NOTATION_SIZE];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!can_notation_parse(good[i].text, strlen(good[i].text), &frame))
			fail_msg("'%s' is not read", good[i].text);
		assert_memory_equal(&frame, &good[i].frame, sizeof(frame));
		can_notation_format(&frame, true, text);
		assert_string_equal(text, good[i].written ? good[i].written : good[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (can_notation_parse(bad[i], strlen(bad[i]), &frame))
			fail_msg("'%s' is read", bad[i]);
}

/* The longest frame fits, and comes back. */
static void test_longest(void **state)
{
	struct can_bus_frame frame = {.id = 0x1fffffff,
				      .flags = CAN_BUS_EXTENDED | CAN_BUS_FD,
				      .length = 64};
	struct can_bus_frame back;
	char text[CAN_NOTATION_SIZE];

	memset(frame.data, 0xa5, sizeof(frame.data));
	assert_int_equal(can_notation_format(&frame, false, text), CAN_NOTATION_SIZE - 1);
	assert_int_equal(strlen(text), CAN_NOTATION_SIZE - 1);
	assert_true(can_notation_parse(text, strlen(text), &back));
	assert_memory_equal(&frame, &back, sizeof(frame));
}

static void test_lines(void **state)
{
	static const char *const lines[] = {
		"(1436509052.249713) vcan0 044#2A366C2BBA",
		"(1436509052.249713) any-name_1 044#2A366C2BBA R",
		"(1436509052.249713) vcan0 044#2A366C2BBA T",
	};
	static const char *const wrong[] = {
		"",
		"1436509052.249713 vcan0 044#",
		"(1436509052) vcan0 044#",
		"(1436509052.2497) vcan0 044#",
		"(1436509052.249713)vcan0 044#",
		"(1436509052.249713) 044#",
		"(1436509052.249713)  044#",
		"(1436509052.249713) vcan0 044# X",
		"(1436509052.249713) vcan0 044# RT",
		"(14365090521.249713) vcan0 044#",
		"(.249713) vcan0 044#",
		"(1436509052.249713) vcan0",
		"(1436509052.249713) vcan0 60000004#",
		"(1436509052.249713) vcan0 004#00 R 1",
	};
	static const char *const errors[] = {
		"(1436509052.249713) vcan0 20000004#0004000000000000",
		"(1436509052.249713) vcan0 20000004#0004000000000000 R",
	};
	struct can_notation_line line;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_true(can_notation_parse_line(lines[i], strlen(lines[i]), &line));
		assert_int_equal(line.time_ns, UINT64_C(1436509052249713000));
		assert_int_equal(line.name_length, i == 1 ? 10 : 5);
		assert_ptr_equal(line.name, lines[i] + 20);
		assert_false(line.error);
		assert_int_equal(line.frame.id, 0x44);
		assert_int_equal(line.frame.length, 5);
	}
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		assert_true(can_notation_parse_line(errors[i], strlen(errors[i]), &line));
		assert_true(line.error);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (can_notation_parse_line(wrong[i], strlen(wrong[i]), &line))
			fail_msg("'%s' is read", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

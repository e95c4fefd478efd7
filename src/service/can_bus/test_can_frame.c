// SPDX-License-Identifier: BSD-3-Clause
/* CAN frames on the wire, against a second, slow description of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/can_bus/frame.h"

static void test_which_exist(void **state)
{
	static const struct {
		struct can_bus_frame frame;
		bool exists;
	} cases[] = {
		{{.id = 0x7ff, .length = 8}, true},
		{{.id = 0x800}, false},
		{{.id = 0x1fffffff, .flags = CAN_BUS_EXTENDED}, true},
		{{.id = 0x20000000, .flags = CAN_BUS_EXTENDED}, false},
		{{.length = 9}, false},
		{{.length = 8, .flags = CAN_BUS_RTR}, true},
		{{.length = 9, .flags = CAN_BUS_RTR}, false},
		{{.length = 8, .flags = CAN_BUS_RTR | CAN_BUS_FD}, false},
		{{.flags = 8}, false},
		{{.flags = 128}, false},
	};
	unsigned int lengths = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(can_frame_exists(&cases[i].frame), cases[i].exists);
	for (unsigned int length = 0; length < 256; length++)
		lengths += can_frame_exists(
			&(struct can_bus_frame){.flags = CAN_BUS_FD, .length = (uint8_t)length});
	assert_int_equal(lengths, 16);
}

/* Bits as text, to be appended. */
static char *append(char *bits, uint32_t value, unsigned int count)
{
	while (count-- > 0)
		*bits++ = value >> count & 1 ? '1' : '0';
	*bits = '\0';
	return bits;
}

/* Everything in front of the data length code that FD frames and classic ones have. */
static char *append_head(char *bits, const struct can_bus_frame *frame)
{
	bool remote = frame->flags & CAN_BUS_RTR, fd = frame->flags & CAN_BUS_FD;

	bits = append(bits, 0, 1);
	if (frame->flags & CAN_BUS_EXTENDED) {
		bits = append(bits, frame->id >> 18, 11);
		bits = append(bits, 3, 2);
		bits = append(bits, frame->id, 18);
		bits = append(bits, remote, 1);
	} else {
		bits = append(bits, frame->id, 11);
		bits = append(bits, remote, 1);
		bits = append(bits, 0, 1);
	}
	return append(bits, fd, 1);
}

/* The CRC by dividing polynomials on paper. */
static uint32_t divide(const char *bits)
{
	static const char polynomial[] = "1100010110011001";
	char rest[2000];
	size_t length = strlen(bits);

	memcpy(rest, bits, length);
	memset(rest + length, '0', 15);
	for (size_t i = 0; i < length; i++)
		for (size_t k = 0; rest[i] == '1' && k < 16; k++)
			if (polynomial[15 - k] == '1' || k == 15)
				rest[i + 15 - k] = rest[i + 15 - k] == '1' ? '0' : '1';
	rest[length + 15] = '\0';
	return (uint32_t)strtoul(rest + length, NULL, 2);
}

/* Writes the stuff bits into the text. */
static uint32_t stuffed_length(const char *bits)
{
	uint32_t count = 0, equal = 0;
	char last = 0;

	for (; *bits; bits++) {
		count++;
		equal = *bits == last ? equal + 1 : 1;
		last = *bits;
		if (equal == 5) {
			count++;
			last = last == '0' ? '1' : '0';
			equal = 1;
		}
	}
	return count;
}

static struct can_bus_frame random_frame(unsigned int *seed)
{
	static const uint8_t lengths[] = {12, 16, 20, 24, 32, 48, 64};
	struct can_bus_frame frame = {0};

	frame.flags = (uint8_t)(rand_r(seed) % 8);
	if (frame.flags & CAN_BUS_FD)
		frame.flags &= (uint8_t)~CAN_BUS_RTR;
	frame.id = (uint32_t)rand_r(seed) % (frame.flags & CAN_BUS_EXTENDED ? 1u << 29 : 1u << 11);
	frame.length = (uint8_t)(rand_r(seed) % 9);
	if (frame.flags & CAN_BUS_FD && rand_r(seed) % 2)
		frame.length = lengths[rand_r(seed) % 7];
	for (uint8_t i = 0; i < frame.length; i++)
		frame.data[i] = (uint8_t)(rand_r(seed) % 3 ? rand_r(seed) : rand_r(seed) % 2 * 255);
	return frame;
}

static void test_classic_bits(void **state)
{
	unsigned int seed = 3;

	for (int run = 0; run < 3000; run++) {
		struct can_bus_frame frame = random_frame(&seed);
		char bits[2000], *end;
		struct can_frame_bits counted;
		uint32_t plain;

		if (frame.flags & CAN_BUS_FD)
			continue;
		end = append_head(bits, &frame);
		if (frame.flags & CAN_BUS_EXTENDED)
			end = append(end, 0, 1);
		end = append(end, frame.length, 4);
		for (uint8_t i = 0; i < frame.length && !(frame.flags & CAN_BUS_RTR); i++)
			end = append(end, frame.data[i], 8);
		append(end, divide(bits), 15);
		counted = can_frame_bits(&frame, run % 2);
		assert_int_equal(counted.nominal, stuffed_length(bits) + 13);
		assert_int_equal(counted.data, 0);
		/* The lengths that everybody knows: 47 bits and the data, or 67. */
		plain = (frame.flags & CAN_BUS_EXTENDED ? 67 : 47) +
			(frame.flags & CAN_BUS_RTR ? 0 : frame.length * 8u);
		assert_int_equal(strlen(bits) + 13, plain);
		assert_in_range(counted.nominal, plain, plain + (plain - 13) / 4);
	}
}

/*
 * The number of bits of an FD frame: of its two parts, the second one being those of the data
 * phase. Fixed stuff bits take the place of one that would be due after the last data bit.
 */
static void fd_bits(const struct can_bus_frame *frame, bool switched, uint32_t counted[2])
{
	static const uint8_t lengths[] = {12, 16, 20, 24, 32, 48, 64};
	char bits[2000], *end = append_head(bits, frame);
	size_t border;
	uint32_t code = frame->length, whole;

	for (uint32_t i = 0; i < 7; i++)
		if (frame->length == lengths[i])
			code = 9 + i;
	end = append(end, 0, 1);
	end = append(end, switched, 1);
	border = (size_t)(end - bits);
	end = append(end, 0, 1);
	end = append(end, code, 4);
	for (uint8_t i = 0; i < frame->length; i++)
		end = append(end, frame->data[i], 8);
	whole = stuffed_length(bits);
	/* One due at the very end: with another last bit the text is shorter. */
	bits[strlen(bits) - 1] ^= 1;
	if (stuffed_length(bits) < whole)
		whole--;
	bits[strlen(bits) - 1] ^= 1;
	bits[border] = '\0';
	counted[0] = stuffed_length(bits);
	counted[1] = whole - counted[0] + (frame->length <= 16 ? 27 : 32);
	counted[0] += 13;
}

static void test_fd_bits(void **state)
{
	unsigned int seed = 4;
	uint32_t expected[2];

	for (int run = 0; run < 6000; run++) {
		struct can_bus_frame frame = random_frame(&seed);
		struct can_frame_bits switched = can_frame_bits(&frame, true);
		struct can_frame_bits one = can_frame_bits(&frame, false);

		if (!(frame.flags & CAN_BUS_FD))
			continue;
		fd_bits(&frame, true, expected);
		assert_int_equal(switched.nominal, expected[0]);
		assert_int_equal(switched.data, expected[1]);
		fd_bits(&frame, false, expected);
		assert_int_equal(one.nominal, expected[0] + expected[1]);
		assert_int_equal(one.data, 0);
	}
}

/* Of two frames, the one with the first dominant bit (0) where they differ wins. */
static void test_priorities(void **state)
{
	unsigned int seed = 5;

	for (int run = 0; run < 20000; run++) {
		struct can_bus_frame a = random_frame(&seed), b = random_frame(&seed);
		char bits_a[100], bits_b[100];
		size_t length;
		int order;

		/* Often the same base identifier. */
		if (rand_r(&seed) % 2)
			b.id = b.flags & CAN_BUS_EXTENDED ?
				       (a.flags & CAN_BUS_EXTENDED ? a.id : a.id << 18) :
				       (a.flags & CAN_BUS_EXTENDED ? a.id >> 18 : a.id);
		append_head(bits_a, &a);
		append_head(bits_b, &b);
		length = strlen(bits_a) < strlen(bits_b) ? strlen(bits_a) : strlen(bits_b);
		order = strncmp(bits_a, bits_b, length);
		if (order < 0)
			assert_true(can_frame_priority(&a) < can_frame_priority(&b));
		else if (order > 0)
			assert_true(can_frame_priority(&a) > can_frame_priority(&b));
		else
			assert_int_equal(can_frame_priority(&a), can_frame_priority(&b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_exist),
		cmocka_unit_test(test_classic_bits),
		cmocka_unit_test(test_fd_bits),
		cmocka_unit_test(test_priorities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

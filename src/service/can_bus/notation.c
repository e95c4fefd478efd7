// SPDX-License-Identifier: BSD-3-Clause
/* CAN frames as text. */
#include "service/can_bus/notation.h"

#include <inttypes.h>
#include <linux/can.h>
#include <stdio.h>
#include <string.h>

#include "service/can_bus/frame.h"

#define STANDARD_DIGITS 3
#define EXTENDED_DIGITS 8
#define SECOND_NS	UINT64_C(1000000000)
#define MICROSECOND_NS	1000

/* What is left to read. */
struct cursor {
	const char *at, *end;
};

static int digit_of(char letter)
{
	if (letter >= '0' && letter <= '9')
		return letter - '0';
	letter |= 0x20;
	return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* The next hexadecimal digit, or -1 without moving. */
static int take_digit(struct cursor *cursor)
{
	int digit = cursor->at < cursor->end ? digit_of(*cursor->at) : -1;

	if (digit >= 0)
		cursor->at++;
	return digit;
}

static bool take_letter(struct cursor *cursor, char letter)
{
	if (cursor->at == cursor->end || *cursor->at != letter)
		return false;
	cursor->at++;
	return true;
}

static bool take_id(struct cursor *cursor, struct can_bus_frame *frame)
{
	unsigned int count = 0;
	int digit;

	while (count < EXTENDED_DIGITS && (digit = take_digit(cursor)) >= 0) {
		frame->id = frame->id << 4 | (uint32_t)digit;
		count++;
	}
	if (count == EXTENDED_DIGITS)
		frame->flags |= CAN_BUS_EXTENDED;
	return (count == STANDARD_DIGITS || count == EXTENDED_DIGITS) && take_letter(cursor, '#');
}

static bool take_data(struct cursor *cursor, struct can_bus_frame *frame)
{
	while (cursor->at < cursor->end) {
		int high = take_digit(cursor), low = take_digit(cursor);

		if (high < 0 || low < 0 || frame->length == CAN_BUS_DATA_MAX)
			return false;
		frame->data[frame->length++] = (uint8_t)(high << 4 | low);
		if (cursor->end - cursor->at > 1)
			take_letter(cursor, '.');
	}
	return true;
}

static bool take_remote(struct cursor *cursor, struct can_bus_frame *frame)
{
	int length = take_digit(cursor);

	frame->flags |= CAN_BUS_RTR;
	frame->length = length > 0 ? (uint8_t)length : 0;
	return cursor->at == cursor->end;
}

bool can_notation_parse(const char *text, size_t length, struct can_bus_frame *frame)
{
	struct cursor cursor = {text, text + length};
	bool read;

	*frame = (struct can_bus_frame){0};
	if (!take_id(&cursor, frame))
		return false;
	if (take_letter(&cursor, '#')) {
		frame->flags |= CAN_BUS_FD;
		read = take_digit(&cursor) >= 0 && take_data(&cursor, frame);
	} else if (take_letter(&cursor, 'R')) {
		read = take_remote(&cursor, frame);
	} else {
		read = take_data(&cursor, frame);
	}
	return read && can_frame_exists(frame);
}

static char *put_hexadecimal(char *text, uint32_t value, unsigned int digits)
{
	while (digits-- > 0)
		*text++ = "0123456789ABCDEF"[value >> 4 * digits & 0x0f];
	return text;
}

size_t can_notation_format(const struct can_bus_frame *frame, bool switched,
			   char text[CAN_NOTATION_SIZE])
{
	char *at = put_hexadecimal(text, frame->id,
				   frame->flags & CAN_BUS_EXTENDED ? EXTENDED_DIGITS :
								     STANDARD_DIGITS);

	*at++ = '#';
	if (frame->flags & CAN_BUS_FD) {
		*at++ = '#';
		*at++ = switched ? '1' : '0';
	}
	if (frame->flags & CAN_BUS_RTR) {
		*at++ = 'R';
		if (frame->length)
			*at++ = (char)('0' + frame->length);
	} else {
		for (unsigned int i = 0; i < frame->length; i++)
			at = put_hexadecimal(at, frame->data[i], 2);
	}
	*at = 0;
	return (size_t)(at - text);
}

/* Decimal digits, at most @most of them. Returns how many there were. */
static unsigned int take_decimal(struct cursor *cursor, unsigned int most, uint64_t *value)
{
	unsigned int count = 0;

	*value = 0;
	for (; count < most && cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
	     count++)
		*value = *value * 10 + (uint64_t)(*cursor->at++ - '0');
	return count;
}

size_t can_notation_format_line(const struct can_bus_frame *frame, bool switched, const char *name,
				uint64_t time_ns, char line[CAN_NOTATION_LINE_SIZE])
{
	char text[CAN_NOTATION_SIZE];

	can_notation_format(frame, switched, text);
	return (size_t)snprintf(line, CAN_NOTATION_LINE_SIZE,
				"(%010" PRIu64 ".%06" PRIu64 ") %.*s %s\n", time_ns / SECOND_NS,
				time_ns % SECOND_NS / MICROSECOND_NS, CAN_NOTATION_NAME_MAX, name,
				text);
}

/* "(1436509052.249713) " */
static bool take_time(struct cursor *cursor, uint64_t *time_ns)
{
	uint64_t seconds, microseconds;

	if (!take_letter(cursor, '(') || !take_decimal(cursor, 10, &seconds) ||
	    !take_letter(cursor, '.') || take_decimal(cursor, 6, &microseconds) != 6 ||
	    !take_letter(cursor, ')') || !take_letter(cursor, ' '))
		return false;
	*time_ns = seconds * SECOND_NS + microseconds * MICROSECOND_NS;
	return true;
}

/* The bytes up to the next blank, which is passed, or to the end. */
static size_t take_word(struct cursor *cursor, const char **word)
{
	const char *blank = memchr(cursor->at, ' ', (size_t)(cursor->end - cursor->at));
	const char *end = blank ? blank : cursor->end;

	*word = cursor->at;
	cursor->at = blank ? blank + 1 : end;
	return (size_t)(end - *word);
}

/* An identifier with the bit that candump sets for error frames; what is behind it counts not. */
static bool is_error_frame(const char *text, size_t length)
{
	struct cursor cursor = {text, text + length};
	struct can_bus_frame frame = {0};

	return take_id(&cursor, &frame) && frame.flags & CAN_BUS_EXTENDED &&
	       frame.id & CAN_ERR_FLAG && !(frame.id & ~(CAN_ERR_FLAG | CAN_ERR_MASK));
}

bool can_notation_parse_line(const char *text, size_t length, struct can_notation_line *line)
{
	struct cursor cursor = {text, text + length};
	const char *frame, *direction;
	size_t frame_length, direction_length;

	if (!take_time(&cursor, &line->time_ns))
		return false;
	line->name_length = take_word(&cursor, &line->name);
	frame_length = take_word(&cursor, &frame);
	/* Newer versions write the direction behind it: "T" or "R". */
	direction_length = take_word(&cursor, &direction);
	if (!line->name_length || cursor.at != cursor.end || direction_length > 1 ||
	    (direction_length && *direction != 'T' && *direction != 'R'))
		return false;
	line->error = is_error_frame(frame, frame_length);
	return line->error || can_notation_parse(frame, frame_length, &line->frame);
}

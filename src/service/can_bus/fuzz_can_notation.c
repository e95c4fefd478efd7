// SPDX-License-Identifier: BSD-3-Clause
/* Text as CAN frames and as lines of a log: what is read exists, and is read again as written. */
#include <stdlib.h>
#include <string.h>

#include "promise.h"
#include "service/can_bus/frame.h"
#include "service/can_bus/notation.h"

static void check(const struct can_bus_frame *frame)
{
	struct can_bus_frame back;
	char text[CAN_NOTATION_SIZE];

	PROMISE(can_frame_exists(frame));
	PROMISE(can_notation_format(frame, true, text) < sizeof(text));
	PROMISE(can_notation_parse(text, strlen(text), &back));
	PROMISE(!memcmp(frame, &back, sizeof(back)));
}

static void check_line(const struct can_notation_line *line)
{
	char text[CAN_NOTATION_LINE_SIZE], name[CAN_NOTATION_NAME_MAX + 1] = "";
	struct can_notation_line back;
	size_t length;

	check(&line->frame);
	if (line->name_length > CAN_NOTATION_NAME_MAX || memchr(line->name, 0, line->name_length))
		return;
	memcpy(name, line->name, line->name_length);
	length = can_notation_format_line(&line->frame, true, name, line->time_ns, text);
	PROMISE(length < sizeof(text) && text[length - 1] == '\n');
	PROMISE(can_notation_parse_line(text, length - 1, &back));
	PROMISE(back.time_ns == line->time_ns && back.name_length == line->name_length);
	PROMISE(!memcmp(&line->frame, &back.frame, sizeof(back.frame)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of just that size: reading behind it is found. */
	char *text = malloc(size ? size : 1);
	struct can_notation_line line;
	struct can_bus_frame frame;

	memcpy(text, data, size);
	if (can_notation_parse(text, size, &frame))
		check(&frame);
	if (can_notation_parse_line(text, size, &line) && !line.error)
		check_line(&line);
	free(text);
	return 0;
}

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of just that size: reading behind it is found. */
	char *text = malloc(size ? size : 1);
	struct can_bus_frame frame;
	uint64_t time_ns;

	memcpy(text, data, size);
	if (can_notation_parse(text, size, &frame))
		check(&frame);
	if (can_notation_parse_line(text, size, &time_ns, &frame))
		check(&frame);
	free(text);
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
/* The input of a fuzz target, taken byte by byte. */
#ifndef AVP_TESTS_FUZZ_INPUT_H
#define AVP_TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct input {
	const uint8_t *data;
	size_t left;
};

/* The next byte; 0 after the end. */
static inline uint8_t take_byte(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->data++;
}

#endif

// SPDX-License-Identifier: BSD-3-Clause
/* Rounding, for sizes and offsets. */
#ifndef AVP_VIRTIO_ROUND_UP_H
#define AVP_VIRTIO_ROUND_UP_H

#include <stdint.h>

/* The next multiple of @unit, at least @value; the caller makes sure that it does not wrap. */
static inline uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

#endif

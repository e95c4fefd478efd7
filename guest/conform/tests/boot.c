// SPDX-License-Identifier: BSD-3-Clause
/* Chapter boot: what was there when the guest got control. */
#include "arch/image.h"
#include "machine.h"
#include "test.h"

const volatile uint32_t image_sum[4] __attribute__((section(".sum"), used)) = {1, 0, 0, 0};

static uint32_t sum_of(const uint8_t *start, const uint8_t *end)
{
	uint32_t sum = UINT32_MAX;

	for (const uint8_t *byte = start; byte < end; byte++) {
		sum ^= *byte;
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
	}
	return ~sum;
}

TEST(boot_image_intact, "AVP-BOOT-015")
{
	uint32_t sum = sum_of(image_start, image_checked_end);

	check(sum == image_sum[0], "code and constants have the sum 0x%x, not 0x%x", sum,
	      image_sum[0]);
}

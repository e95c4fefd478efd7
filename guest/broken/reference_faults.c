// SPDX-License-Identifier: BSD-3-Clause
/* Faults of the reference's devices (guest/reference). */
#include "machine_fault.h"

const struct machine_fault reference_faults[] = {
	{"erase-more", "a secure erase covers one sector too many", "blk_secure_erase",
	 "AVP-BLK-021", .reference = FAULT_ERASE_MORE},
	{.name = NULL},
};

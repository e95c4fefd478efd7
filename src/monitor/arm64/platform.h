// SPDX-License-Identifier: BSD-3-Clause
/*
 * The platform of an arm64 machine, for monitor/platform.h.
 */
#ifndef AVP_MONITOR_ARM64_PLATFORM_H
#define AVP_MONITOR_ARM64_PLATFORM_H

#include "monitor/platform.h"

/* As arch_platform_open; @frequency: the architecture's counter, in Hz. */
int arm64_platform_open(struct platform **platform, const struct platform_setup *setup,
			uint64_t frequency, struct error *error);

#endif

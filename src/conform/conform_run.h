// SPDX-License-Identifier: BSD-3-Clause
/*
 * The run of the conformance guest.
 */
#ifndef AVP_CONFORM_CONFORM_RUN_H
#define AVP_CONFORM_CONFORM_RUN_H

#include <stdio.h>

#include "base/error.h"
#include "conform/conform_log.h"
#include "conform/conform_options.h"

/*
 * Boots the guest until all its tests have a verdict in @log, which starts zeroed. What it says,
 * and what the hypervisor says on its standard error, goes to @kept, too, which may be NULL;
 * without it the messages of the hypervisor are counted and only shown where the guest said
 * nothing. Blocks SIGINT, SIGTERM and SIGHUP for this thread: they end the run. Returns 0, or a
 * negative errno with *error set, also when the guest said nothing before its hypervisor ended.
 */
int conform_run(const struct conform_options *options, struct conform_log *log, FILE *kept,
		struct error *error);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs the conformance guest.
 */
#ifndef AVP_CONFORM_CONFORM_RUN_H
#define AVP_CONFORM_CONFORM_RUN_H

#include <stdio.h>

#include "base/error.h"
#include "conform/conform_log.h"
#include "conform/conform_options.h"

/*
 * Boots the guest until all its tests have a verdict in @log, which starts zeroed. Its console, and
 * the hypervisor's standard error, are also written to @kept, unless it is NULL; then the messages
 * of the hypervisor are counted, and shown only if the guest printed nothing. Blocks SIGINT,
 * SIGTERM and SIGHUP for this thread: they end the run. Returns 0, or a negative errno with *error
 * set, also when the guest printed nothing before its hypervisor exited.
 */
int conform_run(const struct conform_options *options, struct conform_log *log, FILE *kept,
		struct error *error);

#endif

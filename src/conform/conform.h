// SPDX-License-Identifier: BSD-3-Clause
/*
 * A conformance run as a whole: the guest is run, or logs of guests are read; then the reports are
 * written.
 */
#ifndef AVP_CONFORM_CONFORM_H
#define AVP_CONFORM_CONFORM_H

#include "base/error.h"
#include "conform/conform_options.h"

/*
 * Executes `avp conform` with @options and prints the results on standard output. Blocks until the
 * guest has ended; signals as conform_run. Returns the exit status, 0 or 1, or a negative errno
 * with *error set; even then reports are written, so that no file keeps results of an earlier run.
 */
int conform_execute(const struct conform_options *options, struct error *error);

#endif

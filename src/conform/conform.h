// SPDX-License-Identifier: BSD-3-Clause
/*
 * A conformance run as a whole: the guest is run, or logs of guests are read; then the reports are
 * written.
 */
#ifndef AVP_CONFORM_CONFORM_H
#define AVP_CONFORM_CONFORM_H

#include "base/error.h"
#include "conform/conform_options.h"
#include "conform/conform_report.h"

/*
 * Executes `avp conform` with @options and prints the results on standard output. Blocks until the
 * guest has ended; signals as conform_run. Returns the exit status, 0 or 1, or a negative errno
 * with *error set; even then reports are written, so that no file keeps results of an earlier run.
 */
int conform_execute(const struct conform_options *options, struct error *error);

/*
 * Judges the result files at @paths, @count of them, of machines of one hypervisor, together: a
 * test passed if it passed on one of them and failed on none. Prints the verdict, and writes the
 * reports that @options ask for. Returns the exit status, or a negative errno with *error set.
 */
int conform_execute_judge(const struct conform_options *options, char *const *paths, size_t count,
			  struct error *error);

/*
 * For the two above: writes the reports that @options ask for. Returns 0 or a negative errno with
 * *error set.
 */
int conform_write_reports(const struct conform_options *options, const struct conform_judge *judge,
			  const struct conform_about *about, struct error *error);

#endif

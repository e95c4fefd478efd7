// SPDX-License-Identifier: BSD-3-Clause
/*
 * The results of a conformance guest on standard output, and the exit status.
 */
#ifndef AVP_CONFORM_CONFORM_SUMMARY_H
#define AVP_CONFORM_CONFORM_SUMMARY_H

#include "conform/conform_log.h"

/*
 * Prints failures, tests that pass although the file @expect (or NULL) lists them, measurements and
 * counts. Returns the exit status: 0 when the log is complete and each of its tests passed, was
 * skipped or is a known failure, else 1.
 */
int conform_summary(const struct conform_log *log, const char *expect);

#endif

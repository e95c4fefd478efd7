// SPDX-License-Identifier: BSD-3-Clause
/*
 * The results of a conformance guest on standard output, and the verdict on the whole.
 */
#ifndef AVP_CONFORM_CONFORM_SUMMARY_H
#define AVP_CONFORM_CONFORM_SUMMARY_H

#include "conform/conform_log.h"

/*
 * Prints what failed, what passes although the file @expect lists it (NULL: there is none),
 * measurements and counts. Returns the exit status: 0 when the log is whole and each of its tests
 * passed, was skipped or is a known failure, else 1.
 */
int conform_summary(const struct conform_log *log, const char *expect);

#endif

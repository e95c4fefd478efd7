// SPDX-License-Identifier: BSD-3-Clause
/*
 * The verdicts on standard output, and the exit status.
 */
#ifndef AVP_CONFORM_CONFORM_SUMMARY_H
#define AVP_CONFORM_CONFORM_SUMMARY_H

#include "conform/conform_judge.h"

/*
 * Prints failed tests, waivers, measurements, and the verdict on each chosen profile with what
 * stands against it. Returns 0 if conform_judge_is_good, else 1.
 */
int conform_summary(const struct conform_judge *judge, const struct conform_waivers *waivers);

#endif

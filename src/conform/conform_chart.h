// SPDX-License-Identifier: BSD-3-Clause
/*
 * Pictures of the HTML report, drawn inline so that the page needs nothing else.
 */
#ifndef AVP_CONFORM_CONFORM_CHART_H
#define AVP_CONFORM_CONFORM_CHART_H

#include <stdio.h>

#include "conform/conform_log.h"

/* A part of a bar: how many of what; the word is also the CSS class. */
struct conform_part {
	const char *word;
	size_t count;
};

/* Draws a bar whose parts, up to one without a word, fill its whole width. */
void conform_chart_bar(FILE *file, const struct conform_part *parts);

/*
 * Draws a distribution: a column for the values below each power of two, and lines at the median
 * and at the 99th percentile.
 */
void conform_chart_measure(FILE *file, const struct conform_measure *measure);

#endif

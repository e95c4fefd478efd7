// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the guest says: TAP and lines of its own, counted and summed, see docs/conform-log.md.
 */
#ifndef CONFORM_REPORT_H
#define CONFORM_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The line that begins a boot comes next: what was said before, as devices were found, does not
 * count.
 */
void report_start(void);
/* A line that begins with "avp-conform: ". */
void report_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line as it is: TAP. */
void report_raw(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The last line, with the count and sum of those before. */
void report_end(unsigned int passed, unsigned int failed, unsigned int wedged,
		unsigned int skipped);

/* The test with that number begins: what came before is counted and summed. */
void report_begin(unsigned int number, const char *name, const char *requirements);
/* The test with that number resets the machine: what came before is counted and summed. */
void report_reset(unsigned int number, const char *name);

/* While a line is on its way the test that sends it is not unwound. */
void report_busy(bool busy);

/*
 * A distribution of measured values. The samples beyond the first ones count in all but
 * percentiles.
 */
#define SAMPLES_MAX 4096

struct distribution {
	uint64_t samples[SAMPLES_MAX];
	uint64_t buckets[65];
	uint64_t count, minimum, maximum, sum;
};

void distribution_start(struct distribution *distribution);
void distribution_add(struct distribution *distribution, uint64_t value);
/* Reports it; sorts the samples. */
void distribution_report(struct distribution *distribution, const char *name, const char *unit);

#endif

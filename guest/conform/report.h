// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's log: TAP and lines of its own, counted and summed, see docs/conform-log.md.
 */
#ifndef CONFORM_REPORT_H
#define CONFORM_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next line begins a boot: lines before it (device discovery) are not counted. */
void report_start(void);
/* Writes a line that begins with "avp-conform: ". */
void report_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes a line unchanged: TAP. */
void report_raw(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes the last line, with the count and checksum of the lines before it. */
void report_end(unsigned int passed, unsigned int failed, unsigned int wedged,
		unsigned int skipped);

/* Test @number begins; the line has the count and checksum of the lines before it. */
void report_begin(unsigned int number, const char *name, const char *requirements);
/* Test @number is about to reset the machine; the line has count and checksum as well. */
void report_reset(unsigned int number, const char *name);

/*
 * This boot ends, because a test left something behind that only a fresh boot removes: test @number
 * is the next one. The line has count and checksum as well.
 */
void report_restart(unsigned int number);

/* While a line is being written, the running test is not unwound. */
void report_busy(bool busy);

/*
 * A distribution of measured values. Percentiles use the first SAMPLES_MAX samples, everything else
 * all of them.
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

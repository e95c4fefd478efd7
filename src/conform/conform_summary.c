// SPDX-License-Identifier: BSD-3-Clause
/* Prints the results of a conformance guest. */
#include "conform/conform_summary.h"

#include <inttypes.h>
#include <stdio.h>

#include "conform/conform_report.h"

static void show_failures(const struct conform_log *log)
{
	for (size_t i = 0; i < log->count; i++) {
		const struct conform_test *test = &log->tests[i];

		if (!conform_is_bad(test))
			continue;
		printf("%-9s%s%s%s%s%s",
		       test->known ? "known" : conform_verdict_name(test->verdict),
		       test->name[0] ? test->name : "(a test that is not in the log)",
		       test->message[0] ? ": " : "", test->message,
		       test->requirements[0] ? "; breaks " : "", test->requirements);
		if (test->known && test->known[0])
			printf(" (%s)", test->known);
		putchar('\n');
	}
}

/* Lists tests that pass although --expect lists them as failures. */
static void show_mended(const struct conform_log *log, const char *list)
{
	for (size_t i = 0; i < log->count; i++)
		if (log->tests[i].known && log->tests[i].verdict == CONFORM_PASS)
			printf("%-9s%s: it passes, and %s lists it as a known failure\n", "mended",
			       log->tests[i].name, list);
}

int conform_summary(const struct conform_log *log, const char *expect)
{
	enum conform_state state = conform_log_state(log);
	size_t passed = conform_log_count(log, CONFORM_PASS), known = 0;
	size_t skipped = conform_log_count(log, CONFORM_SKIPPED), left_out = 0;

	for (size_t i = 0; i < log->count; i++) {
		left_out += log->tests[i].left_out;
		known += conform_is_known(&log->tests[i]);
	}
	show_failures(log);
	show_mended(log, expect);
	for (size_t i = 0; i < log->measure_count; i++) {
		const struct conform_measure *measure = &log->measures[i];

		printf("%-9s%s: median %" PRIu64 ", 99 %%: %" PRIu64 " %s\n", "measured",
		       measure->name, measure->p50, measure->p99, measure->unit);
	}
	printf("%zu passed, %zu failed, %zu wedged, ", passed, conform_log_count(log, CONFORM_FAIL),
	       conform_log_count(log, CONFORM_WEDGED));
	if (known)
		printf("%zu of these known, ", known);
	printf("%zu skipped%s; the log is %s\n", skipped - left_out,
	       left_out ? ", others left out" : "", conform_state_describe(state));
	/* Tests without a verdict count as failures. */
	return state == CONFORM_COMPLETE && passed + known > 0 &&
			       passed + known + skipped == log->count ?
		       0 :
		       1;
}

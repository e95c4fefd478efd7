// SPDX-License-Identifier: BSD-3-Clause
/* Prints the verdicts on a conformance guest's log. */
#include "conform/conform_summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conform/conform_report.h"

#define COLUMN "%-10s "

static void show_failures(const struct conform_log *log)
{
	size_t unknown = conform_log_count(log, CONFORM_UNKNOWN);

	for (size_t i = 0; i < log->count; i++) {
		const struct conform_test *test = &log->tests[i];

		if (!conform_is_bad(test) || test->verdict == CONFORM_UNKNOWN)
			continue;
		printf(COLUMN "%s%s%s%s%s%s%s",
		       test->waived ? "waived" : conform_verdict_name(test->verdict), test->name,
		       test->on ? " on " : "", test->on ? test->on : "",
		       test->message[0] ? ": " : "", test->message,
		       test->requirements[0] ? "; breaks " : "", test->requirements);
		if (test->waived)
			printf(" (%s)", test->waived);
		putchar('\n');
	}
	if (unknown)
		printf(COLUMN "%zu tests that are not in the log\n",
		       conform_verdict_name(CONFORM_UNKNOWN), unknown);
}

/* Whether a waiver names something that the log shows to be kept. */
static bool is_mended(const struct conform_judge *judge, const struct conform_waiver *waiver)
{
	for (size_t i = 0; i < judge->log->count; i++)
		if (!strcmp(judge->log->tests[i].name, waiver->name))
			return judge->log->tests[i].verdict == CONFORM_PASS;
	for (size_t i = 0; contract_requirements[i].id; i++)
		if (!strcmp(contract_requirements[i].id, waiver->name))
			return judge->requirements[i].judgement == CONFORM_KEPT;
	for (size_t i = 0; contract_rows[i].id; i++)
		if (!strcmp(contract_rows[i].id, waiver->name) &&
		    judge->rows[i].judgement != CONFORM_KEPT)
			return false;
	return true;
}

static void show_waivers(const struct conform_judge *judge, const struct conform_waivers *waivers)
{
	for (size_t i = 0; i < waivers->count; i++) {
		const struct conform_waiver *waiver = &waivers->list[i];

		if (waiver->expired)
			printf(COLUMN "%s: its waiver ended on %s\n", "expired", waiver->name,
			       waiver->until);
		else if (is_mended(judge, waiver))
			printf(COLUMN "%s: it is kept; remove its waiver from %s\n", "mended",
			       waiver->name, waivers->path);
	}
}

static void end_finding(const struct conform_finding *finding)
{
	if (finding->waiver)
		printf(" (until %s: %s)", finding->waiver->until, finding->waiver->reason);
	putchar('\n');
}

/* What stands against a profile, with the judgement @shown. */
static void show_findings(const struct conform_judge *judge, unsigned int profile,
			  enum conform_judgement shown)
{
	char text[160];

	for (size_t i = 0; contract_requirements[i].id; i++) {
		const struct contract_requirement *requirement = &contract_requirements[i];
		const struct conform_test *test = judge->requirements[i].test;

		if (requirement->level != CONTRACT_MUST ||
		    !(requirement->profiles >> profile & 1) ||
		    conform_judge_in(judge, i, profile) != shown)
			continue;
		printf("  " COLUMN "%s, %s%s%s%s%s", conform_judgement_name(shown), requirement->id,
		       test		   ? test->name :
		       *requirement->tests ? "its test is not in the log" :
					     "no test exists yet",
		       test && test->on ? " on " : "", test && test->on ? test->on : "",
		       test && test->message[0] ? ": " : "", test ? test->message : "");
		end_finding(&judge->requirements[i]);
	}
	for (size_t i = 0; contract_rows[i].id; i++) {
		const struct contract_row *row = &contract_rows[i];
		const struct conform_finding *finding = &judge->rows[i];

		if (row->profile != profile || row->level != CONTRACT_MUST ||
		    finding->judgement != shown)
			continue;
		printf("  " COLUMN "%s, %s: %s", conform_judgement_name(shown), row->id,
		       contract_describe_row(row, text, sizeof(text)), finding->what);
		end_finding(finding);
	}
}

static void show_profile(const struct conform_judge *judge, unsigned int profile)
{
	const struct contract_profile *about = &contract_profiles[profile];
	const struct conform_profile *verdict = &judge->profiles[profile];
	enum conform_state state = conform_log_state(judge->log);
	char text[120];

	printf(COLUMN "%s", about->name,
	       conform_profile_describe(judge, profile, text, sizeof(text)));
	/* What such a log says is not worth a count. */
	if (state != CONFORM_COMPLETE && state != CONFORM_INCOMPLETE) {
		putchar('\n');
		return;
	}
	printf("; %zu MUST kept, %zu not applicable, %u checked elsewhere; %zu SHOULD broken\n",
	       verdict->musts[CONFORM_KEPT], verdict->musts[CONFORM_NOT_APPLICABLE],
	       about->elsewhere, verdict->shoulds[CONFORM_BROKEN]);
	show_findings(judge, profile, CONFORM_BROKEN);
	show_findings(judge, profile, CONFORM_WAIVED);
	if (state == CONFORM_INCOMPLETE)
		return;
	show_findings(judge, profile, CONFORM_UNPROVEN);
	show_findings(judge, profile, CONFORM_ENVIRONMENT);
}

int conform_summary(const struct conform_judge *judge, const struct conform_waivers *waivers)
{
	const struct conform_columns columns = conform_judge_columns(judge);
	const struct conform_log *log = judge->log;
	size_t passed = conform_log_count(log, CONFORM_PASS), waived = 0;
	size_t skipped = conform_log_count(log, CONFORM_SKIPPED), left_out = 0;

	for (size_t i = 0; i < log->count; i++) {
		left_out += log->tests[i].left_out;
		waived += conform_is_waived(&log->tests[i]);
	}
	show_failures(log);
	show_waivers(judge, waivers);
	for (size_t i = 0; i < log->measure_count; i++) {
		const struct conform_measure *measure = &log->measures[i];

		printf(COLUMN "%s: median %" PRIu64 ", 99 %%: %" PRIu64 " %s\n", "measured",
		       measure->name, measure->p50, measure->p99, measure->unit);
	}
	printf("%zu passed, %zu failed, %zu wedged, ", passed, conform_log_count(log, CONFORM_FAIL),
	       conform_log_count(log, CONFORM_WEDGED));
	if (waived)
		printf("%zu of these waived, ", waived);
	printf("%zu skipped%s; the log is %s\n", skipped - left_out,
	       left_out ? ", others left out" : "", conform_state_describe(conform_log_state(log)));
	printf("%zu break VIRTIO or another standard, %zu what the contract alone demands; "
	       "%zu cannot be judged here\n",
	       columns.standard, columns.own, columns.environment);
	for (unsigned int i = 0; contract_profiles[i].name && !judge->partial; i++)
		if (judge->profiles[i].chosen)
			show_profile(judge, i);
	return conform_judge_is_good(judge) ? 0 : 1;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The report for people: one page of HTML that needs nothing else, for a screen, a phone or a
 * printer. Verdicts on profiles come first, then chapters, then tests. All text comes from the
 * tested hypervisor or the caller, so it is escaped.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/contract_version.h"
#include "conform/conform_chart.h"
#include "conform/conform_output.h"
#include "conform/conform_report.h"

#define CHAPTERS_MAX 64

static const char page_head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<title>AVP conformance</title>\n<style>\n"
	"body{font:15px/1.5 sans-serif;max-width:60em;margin:1em auto;padding:0 1em;color:#222;"
	"background:#fff;overflow-wrap:anywhere}\n"
	"table{border-collapse:collapse;width:100%}td,th{padding:.25em .6em;text-align:left;"
	"border-bottom:1px solid #ddd;vertical-align:top}\n"
	"dt{font-weight:bold}dd{margin:0 0 .5em}code,pre{font-size:90%}h2{margin-top:2em}\n"
	"pre{white-space:pre-wrap;background:#f6f6f6;padding:.5em}"
	"details{border-bottom:1px solid #ddd;padding:.3em 0}summary{cursor:pointer}\n"
	".profile{border-left:.5em solid;padding:.2em .8em;margin:1em 0}"
	".profile h3{margin:.2em 0}.profile *{color:#222}\n"
	".pass,.conformant{color:#176b2c}.fail,.not{color:#b00020}.wedged{color:#b35900}"
	".waived{color:#7a5c00}.skipped,.unknown,.begun,.incomplete{color:#666}\n"
	".bar{display:flex;height:1.1em;min-width:6em}i.pass{background:#4c9f5f}"
	"i.fail{background:#c9303e}i.waived{background:#d8b84a}i.environment{background:#8aa4c8}"
	"i.skipped{background:#c8c8c8}.bars td:nth-child(2){width:60%}\n"
	"svg{width:100%;height:auto;max-width:40em}rect{fill:#4878a8}"
	"svg text{font:11px sans-serif;text-anchor:middle}.mark{stroke:#b00020}\n"
	"@media print{body{max-width:none;font-size:10pt}details{break-inside:avoid}}\n"
	"</style></head><body>\n<h1>AVP conformance</h1>\n";

/* The results of tests in the order of the page, worst first. */
enum group {
	GROUP_FAILED,
	GROUP_WAIVED,
	GROUP_ENVIRONMENT,
	GROUP_SKIPPED,
	GROUP_PASSED,
	GROUP_LEFT_OUT,
	GROUPS,
};

static const struct {
	const char *title, *class;
} groups[GROUPS] = {
	[GROUP_FAILED] = {"Failed", "fail"},
	[GROUP_WAIVED] = {"Failed and waived", "waived"},
	[GROUP_ENVIRONMENT] = {"Cannot be judged in this environment", "environment"},
	[GROUP_SKIPPED] = {"Skipped", "skipped"},
	[GROUP_PASSED] = {"Passed", "pass"},
	[GROUP_LEFT_OUT] = {NULL, NULL},
};

static enum group group_of(const struct conform_test *test)
{
	if (conform_is_waived(test))
		return GROUP_WAIVED;
	if (conform_is_bad(test))
		return GROUP_FAILED;
	if (conform_is_environment(test))
		return GROUP_ENVIRONMENT;
	if (test->verdict == CONFORM_SKIPPED)
		return test->left_out ? GROUP_LEFT_OUT : GROUP_SKIPPED;
	return GROUP_PASSED;
}

static size_t count_group(const struct conform_log *log, enum group group)
{
	size_t count = 0;

	for (size_t i = 0; i < log->count; i++)
		count += group_of(&log->tests[i]) == group;
	return count;
}

/* Profiles */

static void write_finding(FILE *file, const char *id, const struct conform_finding *finding,
			  enum conform_judgement judgement, const char *words, const char *seen)
{
	fprintf(file, "<tr><td>%s</td><td>%s</td><td>", conform_judgement_name(judgement), id);
	conform_escape(file, words);
	if (*seen) {
		fputs("<br>seen: ", file);
		conform_escape(file, seen);
	}
	if (finding->waiver) {
		fprintf(file, "<br>waived until %s: ", finding->waiver->until);
		conform_escape(file, finding->waiver->reason);
	}
	fputs("</td></tr>\n", file);
}

static bool is_against(enum conform_judgement judgement)
{
	return judgement != CONFORM_KEPT && judgement != CONFORM_NOT_APPLICABLE;
}

/* What stands against a profile, and the SHOULDs that are not kept. */
static void write_findings(FILE *file, const struct conform_judge *judge, unsigned int profile)
{
	char text[160];

	fputs("<table>\n", file);
	for (size_t i = 0; contract_rows[i].id; i++) {
		const struct contract_row *row = &contract_rows[i];
		const struct conform_finding *finding = &judge->rows[i];

		if (row->profile == profile && is_against(finding->judgement))
			write_finding(file, row->id, finding, finding->judgement,
				      contract_describe_row(row, text, sizeof(text)),
				      finding->what);
	}
	for (size_t i = 0; contract_requirements[i].id; i++) {
		const struct contract_requirement *requirement = &contract_requirements[i];
		const struct conform_test *test = judge->requirements[i].test;
		enum conform_judgement judgement = conform_judge_in(judge, i, profile);

		if (requirement->profiles >> profile & 1 && requirement->level != CONTRACT_MAY &&
		    is_against(judgement))
			write_finding(file, requirement->id, &judge->requirements[i], judgement,
				      requirement->text,
				      test		  ? test->message :
				      *requirement->tests ? "its test is not in the log" :
							    "no test exists yet");
	}
	fputs("</table>\n", file);
}

static void write_profile(FILE *file, const struct conform_judge *judge, unsigned int profile)
{
	static const char *const classes[] = {
		[CONFORM_CONFORMANT] = "conformant",
		[CONFORM_NOT_CONFORMANT] = "not",
		[CONFORM_NOT_JUDGED] = "incomplete",
	};
	const struct conform_profile *verdict = &judge->profiles[profile];
	enum conform_state state = conform_log_state(judge->log);
	char text[120];

	fprintf(file,
		"<div class=\"profile %s\"><h3>%s: %s</h3>\n"
		"<p>Of %u requirements with MUST, and what the profile asks of devices: %zu kept, "
		"%zu broken, %zu waived, %zu not proven, %zu cannot be judged here, %zu not "
		"applicable; %u are checked by inspection or by other tests. Of the SHOULDs, %zu "
		"are not kept.</p>\n",
		classes[verdict->result], contract_profiles[profile].title,
		conform_profile_describe(judge, profile, text, sizeof(text)),
		contract_profiles[profile].musts, verdict->musts[CONFORM_KEPT],
		verdict->musts[CONFORM_BROKEN], verdict->musts[CONFORM_WAIVED],
		verdict->musts[CONFORM_UNPROVEN], verdict->musts[CONFORM_ENVIRONMENT],
		verdict->musts[CONFORM_NOT_APPLICABLE], contract_profiles[profile].elsewhere,
		verdict->shoulds[CONFORM_BROKEN]);
	if (state == CONFORM_COMPLETE || state == CONFORM_INCOMPLETE) {
		fputs("<details><summary>What is not kept or not proven</summary>\n", file);
		write_findings(file, judge, profile);
		fputs("</details>\n", file);
	}
	fputs("</div>\n", file);
}

static void write_profiles(FILE *file, const struct conform_judge *judge)
{
	struct conform_columns columns = conform_judge_columns(judge);

	if (judge->partial)
		fputs("<p>Tests were selected by name: no profile is judged.</p>\n", file);
	for (unsigned int i = 0; contract_profiles[i].name && !judge->partial; i++)
		if (judge->profiles[i].chosen)
			write_profile(file, judge, i);
	fprintf(file,
		"<table><tr><th>breaks VIRTIO or another standard</th><th>breaks what the contract "
		"alone demands</th><th>cannot be judged in this environment</th></tr>\n"
		"<tr><td>%zu tests</td><td>%zu tests</td><td>%zu tests</td></tr></table>\n",
		columns.standard, columns.own, columns.environment);
}

/* Chapters */

struct chapter {
	char name[CONFORM_CHAPTER_LENGTH];
	size_t counts[GROUPS];
};

static size_t count_chapters(const struct conform_log *log, struct chapter chapters[CHAPTERS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < log->count; i++) {
		char name[CONFORM_CHAPTER_LENGTH];
		size_t at = 0;

		if (group_of(&log->tests[i]) == GROUP_LEFT_OUT)
			continue;
		conform_chapter(name, &log->tests[i]);
		while (at < count && strcmp(chapters[at].name, name))
			at++;
		if (at == CHAPTERS_MAX)
			continue;
		if (at == count) {
			memset(&chapters[count], 0, sizeof(chapters[count]));
			strcpy(chapters[count++].name, name);
		}
		chapters[at].counts[group_of(&log->tests[i])]++;
	}
	return count;
}

/* The title of a chapter by its prefix, or the prefix. */
static const char *chapter_title(const char *prefix)
{
	for (const struct contract_chapter *chapter = contract_chapters; chapter->name; chapter++)
		if (!strcmp(chapter->prefix, prefix))
			return chapter->title;
	return prefix;
}

static void write_chapters(FILE *file, const struct conform_log *log)
{
	static const enum group order[] = {
		GROUP_PASSED, GROUP_FAILED, GROUP_WAIVED, GROUP_ENVIRONMENT, GROUP_SKIPPED,
	};
	struct chapter chapters[CHAPTERS_MAX];
	size_t count = count_chapters(log, chapters);

	if (!count)
		return;
	fputs("<h2>Chapters</h2>\n<table class=\"bars\">\n", file);
	for (size_t i = 0; i < count; i++) {
		struct conform_part parts[GROUPS] = {{NULL, 0}};
		size_t all = 0;

		for (size_t part = 0; part < sizeof(order) / sizeof(order[0]); part++) {
			parts[part] = (struct conform_part){groups[order[part]].class,
							    chapters[i].counts[order[part]]};
			all += chapters[i].counts[order[part]];
		}
		fputs("<tr><td>", file);
		conform_escape(file, chapter_title(chapters[i].name));
		fputs("</td><td>", file);
		conform_chart_bar(file, parts);
		fprintf(file, "</td><td>%zu of %zu</td></tr>\n", chapters[i].counts[GROUP_PASSED],
			all);
	}
	fputs("</table>\n", file);
}

/* Tests */

/* What the contract demands there, and by which clause. */
static void write_requirements(FILE *file, const struct conform_test *test)
{
	bool known = false;

	fputs("<dl>\n", file);
	for (const struct contract_requirement *r = contract_requirements; r->id; r++) {
		if (!contract_is_checked_by(r, test->name))
			continue;
		known = true;
		fprintf(file, "<dt>%s, %s</dt><dd>", r->id, contract_level_name(r->level));
		conform_escape(file, r->text);
		fputs("<br>", file);
		conform_escape(file, r->source);
		fputs(r->basis == CONTRACT_OWN ? " (the contract's own demand)</dd>\n" : "</dd>\n",
		      file);
	}
	if (!known)
		conform_escape(file, test->requirements);
	fputs("</dl>\n", file);
}

static void write_lines(FILE *file, const struct conform_log *log, size_t number)
{
	const struct conform_lines *kept = &log->kept;

	fputs("<pre>", file);
	for (size_t i = 0; i < kept->count; i++) {
		if (kept->list[i].test != number)
			continue;
		conform_escape(file, kept->text + kept->list[i].offset);
		fputc('\n', file);
	}
	fputs("</pre>\n", file);
}

static void write_test(FILE *file, const struct conform_log *log, size_t number)
{
	const struct conform_test *test = &log->tests[number - 1];
	const char *verdict = conform_verdict_name(test->verdict);
	bool bad = conform_is_bad(test);

	fprintf(file, "<details%s><summary><code>", bad ? " open" : "");
	conform_escape(file, test->name);
	fprintf(file, "</code> <b class=\"%s\">%s%s</b> ", test->waived ? "waived" : verdict,
		verdict, test->waived ? ", waived" : "");
	if (test->on) {
		fputs("on ", file);
		conform_escape(file, test->on);
		fputs(": ", file);
	}
	conform_escape(file, test->message);
	fputs("</summary>\n", file);
	if (test->waived) {
		fputs("<p>Waived: ", file);
		conform_escape(file, test->waived);
		fputs("</p>\n", file);
	}
	if (test->at[0]) {
		fputs("<p>At <code>", file);
		conform_escape(file, test->at);
		fputs("</code></p>\n", file);
	}
	write_requirements(file, test);
	if (bad)
		write_lines(file, log, number);
	fputs("</details>\n", file);
}

static void write_group(FILE *file, const struct conform_log *log, enum group group)
{
	size_t count = count_group(log, group);

	if (!count)
		return;
	fprintf(file, "<h2>%s: %zu</h2>\n", groups[group].title, count);
	for (size_t i = 0; i < log->count; i++)
		if (group_of(&log->tests[i]) == group)
			write_test(file, log, i + 1);
}

/* The origin */

static void write_term(FILE *file, const char *term, const char *text)
{
	fprintf(file, "<dt>%s</dt><dd><code>", term);
	conform_escape(file, text);
	fputs("</code></dd>\n", file);
}

static void write_origin(FILE *file, const struct conform_log *log,
			 const struct conform_about *about)
{
	char date[CONFORM_DATE_LENGTH];

	fputs("<h2>Origin</h2>\n<dl>\n", file);
	write_term(file, "Date", conform_date(date, about->when));
	write_term(file, "Versions",
		   "avp " AVP_VERSION ", suite " SUITE_VERSION ", contract " CONTRACT_VERSION);
	write_term(file, "Booted by", about->command);
	write_term(file, "Tests", about->filter);
	write_term(file, "Guest", log->boot);
	write_term(file, "Hypervisor", log->hypervisor);
	for (size_t i = 0; i < log->device_count; i++)
		write_term(file, "Device", log->devices[i]);
	fputs("</dl>\n", file);
}

/* The machines of a verdict over several: what each proved alone, and where it comes from. */
static void write_machines(FILE *file, const struct conform_judge *judge,
			   const struct conform_about *about)
{
	char text[120];

	if (!about->machine_count)
		return;
	fputs("<h2>Machines</h2>\n<p>A test counts as passed if it passed on one of these machines "
	      "and failed on none.</p>\n",
	      file);
	for (size_t i = 0; i < about->machine_count; i++) {
		const struct conform_kept *kept = &about->machines[i];

		fputs("<h3>", file);
		conform_escape(file, kept->name);
		fputs("</h3>\n<dl>\n", file);
		for (unsigned int profile = 0; contract_profiles[profile].name; profile++)
			if (judge->profiles[profile].chosen)
				write_term(file, contract_profiles[profile].title,
					   conform_profile_describe(&kept->judge, profile, text,
								    sizeof(text)));
		for (const char *const *key = conform_machine_keys; *key; key++)
			write_term(file, *key, conform_kept_text(kept, *key));
		fputs("</dl>\n", file);
	}
}

static void write_counts(FILE *file, const struct conform_log *log)
{
	fprintf(file, "<p>The log is %s. ", conform_state_describe(conform_log_state(log)));
	for (int i = 0; i < CONFORM_VERDICTS; i++)
		if (conform_log_count(log, i))
			fprintf(file, "<b class=\"%s\">%zu %s</b> ", conform_verdict_name(i),
				conform_log_count(log, i), conform_verdict_name(i));
	if (count_group(log, GROUP_LEFT_OUT))
		fprintf(file, "(%zu of these left out)", count_group(log, GROUP_LEFT_OUT));
	fputs("</p>\n", file);
}

int conform_report_html(const struct conform_judge *judge, const struct conform_about *about,
			const char *path, struct error *error)
{
	const struct conform_log *log = judge->log;
	struct conform_output output;

	if (conform_output_open(&output, path, error) < 0)
		return -error->code;
	fputs(page_head, output.file);
	write_counts(output.file, log);
	write_profiles(output.file, judge);
	write_machines(output.file, judge, about);
	write_chapters(output.file, log);
	for (int group = 0; group < GROUP_LEFT_OUT; group++)
		write_group(output.file, log, group);
	if (log->measure_count)
		fputs("<h2>Measured</h2>\n", output.file);
	for (size_t i = 0; i < log->measure_count; i++)
		conform_chart_measure(output.file, &log->measures[i]);
	write_origin(output.file, log, about);
	fputs("</body></html>\n", output.file);
	return conform_output_close(&output, error);
}

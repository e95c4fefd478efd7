// SPDX-License-Identifier: BSD-3-Clause
/*
 * The report for people: one self-contained page of HTML. Failures come first. All text comes from
 * the tested hypervisor or the caller, so it is escaped. Bars are table cells, so that labels never
 * overlap, and widths are relative to the page.
 */
#include <inttypes.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/contract_version.h"
#include "conform/conform_output.h"
#include "conform/conform_report.h"
#include "conform/contract_requirement.h"

#define CHAPTERS_MAX 64

static const char page_head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<title>AVP conformance</title>\n<style>\n"
	"body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222;"
	"overflow-wrap:anywhere}\n"
	"table{border-collapse:collapse;width:100%}td,th{padding:.25em .6em;text-align:left;"
	"border-bottom:1px solid #ddd;vertical-align:top}\n"
	"dt{font-weight:bold}dd{margin:0 0 .5em}code{font-size:90%}h2{margin-top:2em}\n"
	".pass{color:#176b2c}.fail{color:#b00020}.wedged{color:#b35900}.known{color:#7a5c00}"
	".skipped,.unknown,.begun{color:#666}\n"
	".bars td{border:0;vertical-align:middle;white-space:nowrap}.bars .bar{width:100%}"
	".bar i{display:inline-block;height:1.1em;vertical-align:middle}\n"
	"i.pass{background:#4c9f5f}i.fail{background:#c9303e}i.wedged{background:#e08a2e}"
	"i.known{background:#d8b84a}i.skipped{background:#c8c8c8}i.unknown{background:#888}"
	"i.value{background:#4878a8}\n"
	"@media(max-width:40em){.tests,.tests tbody,.tests tr,.tests td{display:block}"
	".tests th{display:none}.tests td{border:0;padding:0 .6em}"
	".tests tr{border-bottom:1px solid #ddd;padding:.4em 0}}\n"
	"</style></head><body>\n<h1>AVP conformance</h1>\n";

/* The results of tests in the order of the page, worst first. */
enum group {
	GROUP_FAILED,
	GROUP_KNOWN,
	GROUP_MENDED,
	GROUP_PASSED,
	GROUP_SKIPPED,
	GROUP_LEFT_OUT,
	GROUPS,
};

static const char *const group_titles[] = {
	[GROUP_FAILED] = "Failed",
	[GROUP_KNOWN] = "Known failures",
	[GROUP_MENDED] = "Known failures that pass",
	[GROUP_PASSED] = "Passed",
	[GROUP_SKIPPED] = "Skipped",
};

static enum group group_of(const struct conform_test *test)
{
	if (conform_is_known(test))
		return GROUP_KNOWN;
	if (conform_is_bad(test))
		return GROUP_FAILED;
	if (test->verdict == CONFORM_SKIPPED)
		return test->left_out ? GROUP_LEFT_OUT : GROUP_SKIPPED;
	return test->known ? GROUP_MENDED : GROUP_PASSED;
}

static size_t count_group(const struct conform_log *log, enum group group)
{
	size_t count = 0;

	for (size_t i = 0; i < log->count; i++)
		count += group_of(&log->tests[i]) == group;
	return count;
}

/* Bars */

static void write_part(FILE *file, const char *class, double part, double all, const char *title)
{
	fprintf(file, "<i class=\"%s\" style=\"width:%.2f%%\" title=\"%s\"></i>", class,
		100 * part / all, title);
}

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

static void write_chapters(FILE *file, const struct conform_log *log)
{
	static const struct {
		enum group group;
		const char *class;
	} parts[] = {
		{GROUP_PASSED, "pass"}, {GROUP_MENDED, "pass"},	    {GROUP_FAILED, "fail"},
		{GROUP_KNOWN, "known"}, {GROUP_SKIPPED, "skipped"},
	};
	struct chapter chapters[CHAPTERS_MAX];
	size_t count = count_chapters(log, chapters);

	if (!count)
		return;
	fputs("<h2>Chapters</h2>\n<table class=\"bars\">\n", file);
	for (size_t i = 0; i < count; i++) {
		const size_t *counts = chapters[i].counts;
		size_t all = 0;

		for (int group = 0; group < GROUPS; group++)
			all += counts[group];
		fputs("<tr><td>", file);
		conform_escape(file, chapters[i].name);
		fputs("</td><td class=\"bar\">", file);
		for (size_t part = 0; part < sizeof(parts) / sizeof(parts[0]); part++) {
			char title[64];

			if (!counts[parts[part].group])
				continue;
			snprintf(title, sizeof(title), "%zu %s", counts[parts[part].group],
				 parts[part].class);
			write_part(file, parts[part].class, (double)counts[parts[part].group],
				   (double)all, title);
		}
		fprintf(file, "</td><td>%zu of %zu</td></tr>\n",
			counts[GROUP_PASSED] + counts[GROUP_MENDED], all);
	}
	fputs("</table>\n", file);
}

/* A distribution: a bar for the values below each power of two. */
static void write_measure(FILE *file, const struct conform_measure *measure)
{
	int first = CONFORM_BUCKETS, last = -1;
	uint64_t most = 1;

	for (int i = 0; i < CONFORM_BUCKETS; i++) {
		if (!measure->buckets[i])
			continue;
		first = i < first ? i : first;
		last = i;
		most = measure->buckets[i] > most ? measure->buckets[i] : most;
	}
	fputs("<h3><code>", file);
	conform_escape(file, measure->name);
	fprintf(file,
		"</code></h3>\n<p>%" PRIu64 " values, median %" PRIu64 ", 90 %%: %" PRIu64
		", 99 %%: %" PRIu64 ", from %" PRIu64 " to %" PRIu64 " ",
		measure->count, measure->p50, measure->p90, measure->p99, measure->minimum,
		measure->maximum);
	conform_escape(file, measure->unit);
	fputs("</p>\n", file);
	if (last < 0)
		return;
	fputs("<table class=\"bars\">\n", file);
	for (int i = first; i <= last; i++) {
		fprintf(file, "<tr><td>below %" PRIu64 "</td><td class=\"bar\">", UINT64_C(1) << i);
		if (measure->buckets[i])
			write_part(file, "value", (double)measure->buckets[i], (double)most, "");
		fprintf(file, "</td><td>%" PRIu64 "</td></tr>\n", measure->buckets[i]);
	}
	fputs("</table>\n", file);
}

/* Requirements */

static bool has_id(const struct contract_requirement *requirement, const char *id, size_t length)
{
	return strlen(requirement->id) == length && !memcmp(requirement->id, id, length);
}

/* The requirement with @id, of @length bytes, or NULL. */
static const struct contract_requirement *find_requirement(const char *id, size_t length)
{
	for (const struct contract_requirement *r = contract_requirements; r->id; r++)
		if (has_id(r, id, length))
			return r;
	return NULL;
}

/* Returns the next word of *text and advances it; NULL at the end. */
static const char *next_word(const char **text, size_t *length)
{
	const char *word = *text + strspn(*text, " ");

	*length = strcspn(word, " ");
	*text = word + *length;
	return *length ? word : NULL;
}

/* Writes the ids; those of the contract link to their text. */
static void write_requirements(FILE *file, const char *text)
{
	const char *word;
	size_t length;

	while ((word = next_word(&text, &length))) {
		const struct contract_requirement *requirement = find_requirement(word, length);
		char copy[sizeof(((struct conform_test *)0)->requirements)];

		snprintf(copy, sizeof(copy), "%.*s", (int)length, word);
		if (requirement)
			fprintf(file, "<a href=\"#%s\">%s</a> ", requirement->id, requirement->id);
		else
			conform_escape(file, copy);
	}
}

static bool is_named(const struct conform_log *log, const struct contract_requirement *requirement)
{
	for (size_t i = 0; i < log->count; i++) {
		const char *text = log->tests[i].requirements, *word;
		size_t length;

		while ((word = next_word(&text, &length)))
			if (has_id(requirement, word, length))
				return true;
	}
	return false;
}

static void write_contract(FILE *file, const struct conform_log *log)
{
	fputs("<h2>Requirements</h2>\n<table class=\"tests\"><tr><th>id</th><th>level</th>"
	      "<th>what it demands</th></tr>\n",
	      file);
	for (const struct contract_requirement *r = contract_requirements; r->id; r++) {
		if (!is_named(log, r))
			continue;
		fprintf(file, "<tr id=\"%s\"><td>%s</td><td>%s</td><td>", r->id, r->id, r->level);
		conform_escape(file, r->text);
		fputs("</td></tr>\n", file);
	}
	fputs("</table>\n", file);
}

/* Tests */

static void write_row(FILE *file, const struct conform_test *test, size_t number)
{
	const char *verdict = conform_verdict_name(test->verdict);

	fprintf(file, "<tr><td>%zu</td><td><code>", number);
	conform_escape(file, test->name);
	fprintf(file, "</code></td><td class=\"%s\">%s%s</td><td>",
		conform_is_known(test) ? "known" : verdict, verdict,
		conform_is_known(test) ? ", known" : "");
	conform_escape(file, test->message);
	if (test->at[0]) {
		fputs(" <code>", file);
		conform_escape(file, test->at);
		fputs("</code>", file);
	}
	if (test->known && test->known[0]) {
		fputs(" (known: ", file);
		conform_escape(file, test->known);
		fputs(")", file);
	}
	fputs("</td><td>", file);
	write_requirements(file, test->requirements);
	fputs("</td></tr>\n", file);
}

static void write_group(FILE *file, const struct conform_log *log, enum group group)
{
	size_t count = count_group(log, group);

	if (!count)
		return;
	fprintf(file,
		"<h2>%s: %zu</h2>\n<table class=\"tests\"><tr><th>#</th><th>test</th>"
		"<th>verdict</th><th>why</th><th>requirements</th></tr>\n",
		group_titles[group], count);
	for (size_t i = 0; i < log->count; i++)
		if (group_of(&log->tests[i]) == group)
			write_row(file, &log->tests[i], i + 1);
	fputs("</table>\n", file);
}

static void write_term(FILE *file, const char *term, const char *text)
{
	fprintf(file, "<dt>%s</dt><dd><code>", term);
	conform_escape(file, text);
	fputs("</code></dd>\n", file);
}

static void write_summary(FILE *file, const struct conform_log *log,
			  const struct conform_about *about)
{
	char date[CONFORM_DATE_LENGTH];

	fprintf(file, "<p>The log is %s.</p>\n<p>", conform_state_describe(conform_log_state(log)));
	for (int i = 0; i < CONFORM_VERDICTS; i++)
		if (conform_log_count(log, i))
			fprintf(file, "<b class=\"%s\">%zu %s</b> ", conform_verdict_name(i),
				conform_log_count(log, i), conform_verdict_name(i));
	if (count_group(log, GROUP_KNOWN))
		fprintf(file, "<b class=\"known\">%zu of these known</b> ",
			count_group(log, GROUP_KNOWN));
	if (count_group(log, GROUP_LEFT_OUT))
		fprintf(file, "(%zu of these left out)", count_group(log, GROUP_LEFT_OUT));
	fputs("</p>\n<dl>\n", file);
	write_term(file, "Date", conform_date(date, about->when));
	write_term(file, "Versions", "avp " AVP_VERSION ", contract " CONTRACT_VERSION);
	write_term(file, "Booted by", about->command);
	write_term(file, "Tests", about->filter);
	write_term(file, "Guest", log->boot);
	write_term(file, "Hypervisor", log->hypervisor);
	for (size_t i = 0; i < log->device_count; i++)
		write_term(file, "Device", log->devices[i]);
	fputs("</dl>\n", file);
}

int conform_report_html(const struct conform_log *log, const struct conform_about *about,
			const char *path, struct error *error)
{
	struct conform_output output;

	if (conform_output_open(&output, path, error) < 0)
		return -error->code;
	fputs(page_head, output.file);
	write_summary(output.file, log, about);
	for (int group = GROUP_FAILED; group <= GROUP_MENDED; group++)
		write_group(output.file, log, group);
	write_chapters(output.file, log);
	if (log->measure_count)
		fputs("<h2>Measured</h2>\n", output.file);
	for (size_t i = 0; i < log->measure_count; i++)
		write_measure(output.file, &log->measures[i]);
	for (int group = GROUP_PASSED; group < GROUP_LEFT_OUT; group++)
		write_group(output.file, log, group);
	write_contract(output.file, log);
	fputs("</body></html>\n", output.file);
	return conform_output_close(&output, error);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reports. All text in them comes from the hypervisor that was tested, so it is escaped.
 */
#include "runtime/conform_report.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/contract_version.h"
#include "base/text.h"

#define CHAPTERS_MAX 64

static const char other_contract_text[] = "of a guest of another contract than " CONTRACT_VERSION
					  ", this program's";

static const char *const state_texts[] = {
	[CONFORM_COMPLETE] = "complete",
	[CONFORM_INCOMPLETE] = "incomplete: the guest's last word is missing",
	[CONFORM_DAMAGED] = "damaged: the console dropped or changed something",
	[CONFORM_OTHER] = other_contract_text,
	[CONFORM_EMPTY] = "empty: no conformance guest spoke",
};

const char *conform_state_describe(enum conform_state state)
{
	return state_texts[state];
}

const char *conform_chapter(char chapter[CONFORM_CHAPTER_LENGTH], const struct conform_test *test)
{
	bool told = !strncmp(test->requirements, "AVP-", 4);
	const char *from = told ? test->requirements + 4 : test->name;
	size_t length = strcspn(from, told ? "-" : "_");

	if (length >= CONFORM_CHAPTER_LENGTH)
		length = CONFORM_CHAPTER_LENGTH - 1;
	for (size_t i = 0; i < length; i++)
		chapter[i] = (char)toupper((unsigned char)from[i]);
	chapter[length] = 0;
	return chapter;
}

/* A file that appears under its name when it is whole. */
struct output {
	FILE *file;
	const char *path;
	char *temporary;
};

static int open_output(struct output *output, const char *path, struct error *error)
{
	*output = (struct output){.path = path};
	if (text_replace_format(&output->temporary, error, "%s.new", path) < 0)
		return -ENOMEM;
	output->file = fopen(output->temporary, "we");
	if (output->file)
		return 0;
	error_set_usage(error, "%s: %s; check the path and its permissions", path, strerror(errno));
	free(output->temporary);
	return -error->code;
}

static int close_output(struct output *output, struct error *error)
{
	bool failed = ferror(output->file);
	int result = 0;

	failed |= fclose(output->file) != 0;
	if (failed || rename(output->temporary, output->path) < 0) {
		result = error_set_errno(error, errno, "%s", output->path);
		unlink(output->temporary);
	}
	free(output->temporary);
	return result;
}

/* Writes text as XML and HTML have it. */
static void escape(FILE *file, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		case '&':
			fputs("&amp;", file);
			break;
		case '"':
			fputs("&quot;", file);
			break;
		default:
			/* Bytes beyond ASCII may be no UTF-8. */
			fputc((unsigned char)*text < 0x80 ? *text : '?', file);
		}
	}
}

/* Verdicts by chapter */

struct chapter {
	char name[CONFORM_CHAPTER_LENGTH];
	size_t counts[CONFORM_VERDICTS];
};

static size_t count_chapters(const struct conform_log *log, struct chapter chapters[CHAPTERS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < log->count; i++) {
		char name[CONFORM_CHAPTER_LENGTH];
		size_t at = 0;

		conform_chapter(name, &log->tests[i]);
		while (at < count && strcmp(chapters[at].name, name))
			at++;
		if (at == CHAPTERS_MAX)
			continue;
		if (at == count) {
			memset(&chapters[count], 0, sizeof(chapters[count]));
			strcpy(chapters[count++].name, name);
		}
		chapters[at].counts[log->tests[i].verdict]++;
	}
	return count;
}

/* JUnit */

static void write_case(FILE *file, const struct conform_test *test)
{
	char chapter[CONFORM_CHAPTER_LENGTH];

	fputs("  <testcase classname=\"avp.", file);
	escape(file, conform_chapter(chapter, test));
	fputs("\" name=\"", file);
	escape(file, test->name[0] ? test->name : "unknown");
	fputs("\">", file);
	/* As servers take what is known and not to fail a build. */
	if (conform_is_known(test)) {
		fputs("<skipped message=\"known failure: ", file);
		escape(file, test->known);
		fputs("\"/></testcase>\n", file);
		return;
	}
	switch (test->verdict) {
	case CONFORM_PASS:
		break;
	case CONFORM_SKIPPED:
		fputs("<skipped message=\"", file);
		escape(file, test->message);
		fputs("\"/>", file);
		break;
	case CONFORM_FAIL:
		fputs("<failure message=\"", file);
		escape(file, test->message);
		fputs("\">", file);
		escape(file, test->requirements);
		fputs(" ", file);
		escape(file, test->at);
		fputs("</failure>", file);
		break;
	default:
		fprintf(file, "<error type=\"%s\" message=\"", conform_verdict_name(test->verdict));
		escape(file, test->message[0] ? test->message : "it has no verdict");
		fputs("\"/>", file);
	}
	fputs("</testcase>\n", file);
}

int conform_report_junit(const struct conform_log *log, const char *path, struct error *error)
{
	enum conform_state state = conform_log_state(log);
	size_t passed = conform_log_count(log, CONFORM_PASS);
	size_t failed = conform_log_count(log, CONFORM_FAIL);
	size_t skipped = conform_log_count(log, CONFORM_SKIPPED);
	bool whole = state == CONFORM_COMPLETE;
	struct output output;

	for (size_t i = 0; i < log->count; i++) {
		bool known = conform_is_known(&log->tests[i]);

		failed -= known && log->tests[i].verdict == CONFORM_FAIL;
		skipped += known;
	}

	if (open_output(&output, path, error) < 0)
		return -error->code;
	fprintf(output.file,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
		" <testsuite name=\"avp-conform\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" "
		"skipped=\"%zu\">\n",
		log->count + !whole, failed, log->count - passed - failed - skipped + !whole,
		skipped);
	for (size_t i = 0; i < log->count; i++)
		write_case(output.file, &log->tests[i]);
	/* A log that is not whole never looks like success. */
	if (!whole)
		fprintf(output.file,
			"  <testcase classname=\"avp\" name=\"log\"><error type=\"log\" "
			"message=\"%s\"/></testcase>\n",
			conform_state_describe(state));
	fputs(" </testsuite>\n</testsuites>\n", output.file);
	return close_output(&output, error);
}

/* JSON */

static json_t *list_requirements(const char *text)
{
	json_t *list = json_array();

	while (*text) {
		size_t length = strcspn(text, " ");

		if (length)
			json_array_append_new(list, json_stringn(text, length));
		text += length + strspn(text + length, " ");
	}
	return list;
}

static json_t *describe_test(const struct conform_test *test, size_t number)
{
	char chapter[CONFORM_CHAPTER_LENGTH];

	return json_pack("{s:I,s:s,s:s,s:s,s:s*,s:o,s:s,s:s}", "number", (json_int_t)number, "test",
			 test->name, "chapter", conform_chapter(chapter, test), "verdict",
			 conform_verdict_name(test->verdict), "known", test->known, "requirements",
			 list_requirements(test->requirements), "reason", test->message, "at",
			 test->at);
}

static json_t *describe_measure(const struct conform_measure *measure)
{
	json_t *buckets = json_array();

	for (int i = 0; i < CONFORM_BUCKETS; i++)
		if (measure->buckets[i])
			json_array_append_new(buckets,
					      json_pack("{s:I,s:I}", "below",
							(json_int_t)(UINT64_C(1) << i), "count",
							(json_int_t)measure->buckets[i]));
	return json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "name", measure->name, "unit",
			 measure->unit, "count", (json_int_t)measure->count, "minimum",
			 (json_int_t)measure->minimum, "p50", (json_int_t)measure->p50, "p90",
			 (json_int_t)measure->p90, "p99", (json_int_t)measure->p99, "maximum",
			 (json_int_t)measure->maximum, "sum", (json_int_t)measure->sum, "buckets",
			 buckets);
}

static json_t *describe_log(const struct conform_log *log)
{
	json_t *tests = json_array(), *measures = json_array(), *devices = json_array();
	json_t *counts = json_object();

	for (size_t i = 0; i < log->count; i++)
		json_array_append_new(tests, describe_test(&log->tests[i], i + 1));
	for (size_t i = 0; i < log->measure_count; i++)
		json_array_append_new(measures, describe_measure(&log->measures[i]));
	for (size_t i = 0; i < log->device_count; i++)
		json_array_append_new(devices, json_string(log->devices[i]));
	for (int i = 0; i < CONFORM_VERDICTS; i++)
		json_object_set_new(counts, conform_verdict_name(i),
				    json_integer((json_int_t)conform_log_count(log, i)));
	return json_pack("{s:s,s:s,s:s,s:I,s:o,s:o,s:o,s:o}", "log",
			 conform_state_describe(conform_log_state(log)), "boot", log->boot,
			 "engine", log->hypervisor, "boots", (json_int_t)log->boots, "counts",
			 counts, "devices", devices, "results", tests, "measures", measures);
}

int conform_report_json(const struct conform_log *log, const char *path, struct error *error)
{
	json_t *root = describe_log(log);
	struct output output;

	if (!root)
		return error_set(error, ENOMEM, "out of memory");
	if (open_output(&output, path, error) < 0) {
		json_decref(root);
		return -error->code;
	}
	json_dumpf(root, output.file, JSON_INDENT(1) | JSON_ENSURE_ASCII);
	fputs("\n", output.file);
	json_decref(root);
	return close_output(&output, error);
}

/* HTML */

static const char page_head[] =
	"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width\">"
	"<title>AVP conformance</title>\n<style>\n"
	"body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}\n"
	"table{border-collapse:collapse;width:100%}td,th{padding:.25em .6em;text-align:left;"
	"border-bottom:1px solid #ddd;vertical-align:top}\n"
	"code{font-size:90%}.pass{color:#176b2c}.fail{color:#b00020}.wedged{color:#b35900}"
	".skipped,.unknown,.begun{color:#666}\n"
	"svg text{font:12px sans-serif}h2{margin-top:2em}\n</style>\n<h1>AVP conformance</h1>\n";

static const struct {
	enum conform_verdict verdict;
	const char *colour;
} bar_parts[] = {
	{CONFORM_PASS, "#4c9f5f"},    {CONFORM_FAIL, "#c9303e"},    {CONFORM_WEDGED, "#e08a2e"},
	{CONFORM_SKIPPED, "#c8c8c8"}, {CONFORM_UNKNOWN, "#888888"},
};

#define BAR_HEIGHT 18
#define BAR_START  90
#define BAR_WIDTH  600

static void write_chapters(FILE *file, const struct conform_log *log)
{
	struct chapter chapters[CHAPTERS_MAX];
	size_t count = count_chapters(log, chapters);

	fprintf(file,
		"<h2>Chapters</h2>\n<svg width=\"%d\" height=\"%zu\" role=\"img\" "
		"aria-label=\"verdicts by chapter\">\n",
		BAR_START + BAR_WIDTH + 160, count * (BAR_HEIGHT + 6));
	for (size_t i = 0; i < count; i++) {
		size_t all = 0, y = i * (BAR_HEIGHT + 6);
		double x = BAR_START;

		for (int verdict = 0; verdict < CONFORM_VERDICTS; verdict++)
			all += chapters[i].counts[verdict];
		fprintf(file, "<text x=\"0\" y=\"%zu\">", y + 13);
		escape(file, chapters[i].name);
		fputs("</text>", file);
		for (size_t part = 0; part < sizeof(bar_parts) / sizeof(bar_parts[0]); part++) {
			size_t number = chapters[i].counts[bar_parts[part].verdict];
			double width = BAR_WIDTH * (double)number / (double)all;

			if (number)
				fprintf(file,
					"<rect x=\"%.1f\" y=\"%zu\" width=\"%.1f\" height=\"%d\" "
					"fill=\"%s\"><title>%zu %s</title></rect>",
					x, y, width, BAR_HEIGHT, bar_parts[part].colour, number,
					conform_verdict_name(bar_parts[part].verdict));
			x += width;
		}
		fprintf(file, "<text x=\"%d\" y=\"%zu\">%zu of %zu</text>\n",
			BAR_START + BAR_WIDTH + 8, y + 13, chapters[i].counts[CONFORM_PASS], all);
	}
	fputs("</svg>\n", file);
}

/* A distribution: a column for each power of two that values fell below. */
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
	escape(file, measure->name);
	fprintf(file,
		"</code></h3>\n<p>%" PRIu64 " values, median %" PRIu64 ", 90 %%: %" PRIu64
		", 99 %%: %" PRIu64 ", from %" PRIu64 " to %" PRIu64 " ",
		measure->count, measure->p50, measure->p90, measure->p99, measure->minimum,
		measure->maximum);
	escape(file, measure->unit);
	fputs("</p>\n", file);
	if (last < 0)
		return;
	fprintf(file, "<svg width=\"%d\" height=\"130\" role=\"img\">\n", (last - first + 1) * 56);
	for (int i = first; i <= last; i++) {
		double height = 90.0 * (double)measure->buckets[i] / (double)most;

		fprintf(file,
			"<rect x=\"%d\" y=\"%.1f\" width=\"48\" height=\"%.1f\" fill=\"#4878a8\">"
			"<title>%" PRIu64 "</title></rect><text x=\"%d\" y=\"115\">&lt;%" PRIu64
			"</text>\n",
			(i - first) * 56, 95 - height, height, measure->buckets[i],
			(i - first) * 56, UINT64_C(1) << i);
	}
	fputs("</svg>\n", file);
}

static void write_row(FILE *file, const struct conform_test *test, size_t number)
{
	const char *verdict = conform_verdict_name(test->verdict);

	fprintf(file, "<tr><td>%zu</td><td><code>", number);
	escape(file, test->name);
	fprintf(file, "</code></td><td class=\"%s\">%s</td><td>", verdict, verdict);
	escape(file, test->message);
	if (test->at[0]) {
		fputs(" <code>", file);
		escape(file, test->at);
		fputs("</code>", file);
	}
	fputs("</td><td>", file);
	escape(file, test->requirements);
	fputs("</td></tr>\n", file);
}

static void write_summary(FILE *file, const struct conform_log *log)
{
	fprintf(file, "<p>The log is %s.</p>\n<p>", conform_state_describe(conform_log_state(log)));
	for (int i = 0; i < CONFORM_VERDICTS; i++)
		if (conform_log_count(log, i))
			fprintf(file, "<b class=\"%s\">%zu %s</b> ", conform_verdict_name(i),
				conform_log_count(log, i), conform_verdict_name(i));
	fputs("</p>\n<p>Guest: <code>", file);
	escape(file, log->boot);
	fputs("</code><br>Hypervisor: <code>", file);
	escape(file, log->hypervisor);
	fputs("</code></p>\n<ul>\n", file);
	for (size_t i = 0; i < log->device_count; i++) {
		fputs("<li><code>device ", file);
		escape(file, log->devices[i]);
		fputs("</code></li>\n", file);
	}
	fputs("</ul>\n", file);
}

int conform_report_html(const struct conform_log *log, const char *path, struct error *error)
{
	struct output output;

	if (open_output(&output, path, error) < 0)
		return -error->code;
	fputs(page_head, output.file);
	write_summary(output.file, log);
	write_chapters(output.file, log);
	if (log->measure_count)
		fputs("<h2>Measured</h2>\n", output.file);
	for (size_t i = 0; i < log->measure_count; i++)
		write_measure(output.file, &log->measures[i]);
	fputs("<h2>Tests</h2>\n<table><tr><th>#</th><th>test</th><th>verdict</th><th>why</th>"
	      "<th>requirements</th></tr>\n",
	      output.file);
	for (size_t i = 0; i < log->count; i++)
		write_row(output.file, &log->tests[i], i + 1);
	fputs("</table>\n</html>\n", output.file);
	return close_output(&output, error);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reports. All text in them comes from the tested hypervisor, so it is escaped.
 */
#include "conform/conform_report.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/contract_version.h"
#include "conform/conform_output.h"

static const char other_contract_text[] = "of a guest of another contract than " CONTRACT_VERSION
					  ", this program's";

static const char *const state_texts[] = {
	[CONFORM_COMPLETE] = "complete",
	[CONFORM_INCOMPLETE] = "incomplete: the guest's last line is missing",
	[CONFORM_DAMAGED] = "damaged: the console dropped or changed lines",
	[CONFORM_OTHER] = other_contract_text,
	[CONFORM_EMPTY] = "empty: it has no line of a conformance guest",
};

const char *conform_state_describe(enum conform_state state)
{
	return state_texts[state];
}

const char *conform_date(char date[CONFORM_DATE_LENGTH], time_t when)
{
	struct tm fields;

	if (!gmtime_r(&when, &fields) ||
	    !strftime(date, CONFORM_DATE_LENGTH, "%Y-%m-%dT%H:%M:%SZ", &fields))
		strcpy(date, "unknown");
	return date;
}

const char *conform_chapter(char chapter[CONFORM_CHAPTER_LENGTH], const struct conform_test *test)
{
	bool has_id = !strncmp(test->requirements, "AVP-", 4);
	const char *from = has_id ? test->requirements + 4 : test->name;
	size_t length = strcspn(from, has_id ? "-" : "_");

	if (length >= CONFORM_CHAPTER_LENGTH)
		length = CONFORM_CHAPTER_LENGTH - 1;
	for (size_t i = 0; i < length; i++)
		chapter[i] = (char)toupper((unsigned char)from[i]);
	chapter[length] = 0;
	return chapter;
}

/* JUnit */

static void write_case(FILE *file, const struct conform_test *test)
{
	char chapter[CONFORM_CHAPTER_LENGTH];

	fputs("  <testcase classname=\"avp.", file);
	conform_escape(file, conform_chapter(chapter, test));
	fputs("\" name=\"", file);
	conform_escape(file, test->name[0] ? test->name : "unknown");
	fputs("\">", file);
	/* Build servers do not count a skipped test as a failure. */
	if (conform_is_known(test)) {
		fputs("<skipped message=\"known failure: ", file);
		conform_escape(file, test->known);
		fputs("\"/></testcase>\n", file);
		return;
	}
	switch (test->verdict) {
	case CONFORM_PASS:
		break;
	case CONFORM_SKIPPED:
		fputs("<skipped message=\"", file);
		conform_escape(file, test->message);
		fputs("\"/>", file);
		break;
	case CONFORM_FAIL:
		fputs("<failure message=\"", file);
		conform_escape(file, test->message);
		fputs("\">", file);
		conform_escape(file, test->requirements);
		fputs(" ", file);
		conform_escape(file, test->at);
		fputs("</failure>", file);
		break;
	default:
		fprintf(file, "<error type=\"%s\" message=\"", conform_verdict_name(test->verdict));
		conform_escape(file, test->message[0] ? test->message : "it has no verdict");
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
	struct conform_output output;

	for (size_t i = 0; i < log->count; i++) {
		bool known = conform_is_known(&log->tests[i]);

		failed -= known && log->tests[i].verdict == CONFORM_FAIL;
		skipped += known;
	}

	if (conform_output_open(&output, path, error) < 0)
		return -error->code;
	fprintf(output.file,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
		" <testsuite name=\"avp-conform\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" "
		"skipped=\"%zu\">\n",
		log->count + !whole, failed, log->count - passed - failed - skipped + !whole,
		skipped);
	for (size_t i = 0; i < log->count; i++)
		write_case(output.file, &log->tests[i]);
	/* An incomplete or damaged log is reported as an error. */
	if (!whole)
		fprintf(output.file,
			"  <testcase classname=\"avp\" name=\"log\"><error type=\"log\" "
			"message=\"%s\"/></testcase>\n",
			conform_state_describe(state));
	fputs(" </testsuite>\n</testsuites>\n", output.file);
	return conform_output_close(&output, error);
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

static json_t *describe_log(const struct conform_log *log, const struct conform_about *about)
{
	char date[CONFORM_DATE_LENGTH];
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
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:o,s:o,s:o,s:o}", "date",
			 conform_date(date, about->when), "version", AVP_VERSION, "contract",
			 CONTRACT_VERSION, "command", about->command, "filter", about->filter,
			 "log", conform_state_describe(conform_log_state(log)), "boot", log->boot,
			 "engine", log->hypervisor, "boots", (json_int_t)log->boots, "counts",
			 counts, "devices", devices, "results", tests, "measures", measures);
}

int conform_report_json(const struct conform_log *log, const struct conform_about *about,
			const char *path, struct error *error)
{
	json_t *root = describe_log(log, about);
	struct conform_output output;

	if (!root)
		return error_set(error, ENOMEM, "out of memory");
	if (conform_output_open(&output, path, error) < 0) {
		json_decref(root);
		return -error->code;
	}
	json_dumpf(root, output.file, JSON_INDENT(1) | JSON_ENSURE_ASCII);
	fputs("\n", output.file);
	json_decref(root);
	return conform_output_close(&output, error);
}

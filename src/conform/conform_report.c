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
	if (conform_is_waived(test)) {
		fputs("<skipped message=\"waived: ", file);
		conform_escape(file, test->waived);
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

int conform_report_junit(const struct conform_judge *judge, const char *path, struct error *error)
{
	const struct conform_log *log = judge->log;
	enum conform_state state = conform_log_state(log);
	size_t passed = conform_log_count(log, CONFORM_PASS);
	size_t failed = conform_log_count(log, CONFORM_FAIL);
	size_t skipped = conform_log_count(log, CONFORM_SKIPPED);
	bool whole = state == CONFORM_COMPLETE;
	struct conform_output output;

	for (size_t i = 0; i < log->count; i++) {
		bool waived = conform_is_waived(&log->tests[i]);

		failed -= waived && log->tests[i].verdict == CONFORM_FAIL;
		skipped += waived;
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

/* The ids of what a test checks; of a test that the contract does not know, those in the log. */
static json_t *list_requirements(const struct conform_test *test)
{
	json_t *list = json_array();

	for (const struct contract_requirement *r = contract_requirements; r->id; r++)
		if (contract_is_checked_by(r, test->name))
			json_array_append_new(list, json_string(r->id));
	for (const char *text = test->requirements; *text && !json_array_size(list);) {
		json_array_append_new(list, json_stringn(text, strcspn(text, " ")));
		text += strcspn(text, " ");
		text += strspn(text, " ");
	}
	return list;
}

/* The column of the published table that a test belongs to; NULL: none. */
static const char *column(const struct conform_test *test)
{
	if (conform_is_environment(test))
		return "environment";
	if (!conform_is_bad(test))
		return NULL;
	return conform_judge_basis(test) == CONTRACT_STANDARD ? "standard" : "own";
}

static json_t *describe_test(const struct conform_test *test, size_t number)
{
	char chapter[CONFORM_CHAPTER_LENGTH];

	return json_pack("{s:I,s:s,s:s,s:s,s:s*,s:s*,s:s*,s:b,s:o,s:s,s:s}", "number",
			 (json_int_t)number, "test", test->name, "chapter",
			 conform_chapter(chapter, test), "verdict",
			 conform_verdict_name(test->verdict), "on", test->on, "waived",
			 test->waived, "breaks", column(test), "should", conform_is_should(test),
			 "requirements", list_requirements(test), "reason", test->message, "at",
			 test->at);
}

/* The ids with that judgement, of level MUST or SHOULD; a row's with what was found. */
static json_t *list_findings(const struct conform_judge *judge, unsigned int profile,
			     enum contract_level level, enum conform_judgement judgement)
{
	json_t *list = json_array();

	for (size_t i = 0; contract_requirements[i].id; i++)
		if (contract_requirements[i].level == level &&
		    contract_requirements[i].profiles >> profile & 1 &&
		    conform_judge_in(judge, i, profile) == judgement)
			json_array_append_new(list, json_string(contract_requirements[i].id));
	for (size_t i = 0; contract_rows[i].id; i++)
		if (contract_rows[i].profile == profile && contract_rows[i].level == level &&
		    judge->rows[i].judgement == judgement)
			json_array_append_new(list, json_sprintf("%s: %s", contract_rows[i].id,
								 judge->rows[i].what));
	return list;
}

static json_t *describe_profile(const struct conform_judge *judge, unsigned int profile)
{
	static const struct {
		const char *key;
		enum contract_level level;
		enum conform_judgement judgement;
	} lists[] = {
		{"broken", CONTRACT_MUST, CONFORM_BROKEN},
		{"waived", CONTRACT_MUST, CONFORM_WAIVED},
		{"not proven", CONTRACT_MUST, CONFORM_UNPROVEN},
		{"cannot be judged here", CONTRACT_MUST, CONFORM_ENVIRONMENT},
		{"broken SHOULDs", CONTRACT_SHOULD, CONFORM_BROKEN},
	};
	const struct conform_profile *verdict = &judge->profiles[profile];
	char text[120];
	json_t *object =
		json_pack("{s:s,s:s,s:I,s:I,s:I}", "profile", contract_profiles[profile].name,
			  "verdict", conform_profile_describe(judge, profile, text, sizeof(text)),
			  "kept", (json_int_t)verdict->musts[CONFORM_KEPT], "not applicable",
			  (json_int_t)verdict->musts[CONFORM_NOT_APPLICABLE], "checked elsewhere",
			  (json_int_t)contract_profiles[profile].elsewhere);

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		json_object_set_new(object, lists[i].key,
				    list_findings(judge, profile, lists[i].level,
						  lists[i].judgement));
	return object;
}

static json_t *describe_profiles(const struct conform_judge *judge)
{
	json_t *list = json_array();

	for (unsigned int i = 0; contract_profiles[i].name && !judge->partial; i++)
		if (judge->profiles[i].chosen)
			json_array_append_new(list, describe_profile(judge, i));
	return list;
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

json_t *conform_report_describe(const struct conform_judge *judge)
{
	const struct conform_log *log = judge->log;
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
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:o,s:o,s:o,s:o,s:o}", "suite", SUITE_VERSION,
			 "contract", CONTRACT_VERSION, "log",
			 conform_state_describe(conform_log_state(log)), "boot", log->boot,
			 "engine", log->hypervisor, "boots", (json_int_t)log->boots, "counts",
			 counts, "devices", devices, "profiles", describe_profiles(judge),
			 "results", tests, "measures", measures);
}

const char *const conform_machine_keys[] = {
	"hypervisor", "host", "command", "image", "image sha256", "log sha256", "date", NULL,
};

/* The result files of a verdict over several machines. */
static json_t *describe_machines(const struct conform_about *about)
{
	json_t *list = json_array();

	for (size_t i = 0; i < about->machine_count; i++) {
		const struct conform_kept *kept = &about->machines[i];
		json_t *machine = json_pack("{s:s}", "file", kept->name);

		for (const char *const *key = conform_machine_keys; *key; key++)
			json_object_set_new(machine, *key,
					    json_string(conform_kept_text(kept, *key)));
		json_object_set_new(machine, "profiles", describe_profiles(&kept->judge));
		json_array_append_new(list, machine);
	}
	return list;
}

int conform_report_json(const struct conform_judge *judge, const struct conform_about *about,
			const char *path, struct error *error)
{
	char date[CONFORM_DATE_LENGTH];
	json_t *root = conform_report_describe(judge);
	struct conform_output output;

	if (!root)
		return error_set(error, ENOMEM, "out of memory");
	json_object_set_new(root, "date", json_string(conform_date(date, about->when)));
	json_object_set_new(root, "version", json_string(AVP_VERSION));
	json_object_set_new(root, "command", json_string(about->command));
	json_object_set_new(root, "filter", json_string(about->filter));
	if (about->machine_count)
		json_object_set_new(root, "machines", describe_machines(about));
	if (conform_output_open(&output, path, error) < 0) {
		json_decref(root);
		return -error->code;
	}
	json_dumpf(root, output.file, JSON_INDENT(1) | JSON_ENSURE_ASCII);
	fputs("\n", output.file);
	json_decref(root);
	return conform_output_close(&output, error);
}

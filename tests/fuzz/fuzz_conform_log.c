// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of the log of a conformance guest, which comes from the hypervisor under test: the
 * input is the log. Whatever it contains, each test gets a verdict, each report lists all tests,
 * and a boot without its last line counts as incomplete.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conform/conform_host.h"
#include "conform/conform_log.h"
#include "conform/conform_report.h"

/* Reports are written only for this many tests: thousands take longer and show no more. */
#define REPORTED_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char report[64];

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void remove_report(void)
{
	unlink(report);
}

/* One file for all inputs. */
static void make_report_path(void)
{
	if (report[0])
		return;
	snprintf(report, sizeof(report), "/tmp/fuzz-conform-log.%d", (int)getpid());
	atexit(remove_report);
}

static void require_plain(const char *text)
{
	for (; *text; text++)
		require(*text >= 0x20 && *text < 0x7f);
}

static void check_tests(const struct conform_log *log)
{
	size_t sum = 0;

	require(log->count <= CONFORM_TESTS_MAX && log->measure_count <= CONFORM_MEASURES_MAX &&
		log->device_count <= CONFORM_DEVICES_MAX);
	for (int verdict = 0; verdict < CONFORM_VERDICTS; verdict++)
		sum += conform_log_count(log, (enum conform_verdict)verdict);
	require(sum == log->count);
	require(conform_log_count(log, CONFORM_BEGUN) == 0);
	for (size_t i = 0; i < log->count; i++) {
		require_plain(log->tests[i].name);
		require_plain(log->tests[i].requirements);
		require_plain(log->tests[i].message);
		require_plain(log->tests[i].at);
	}
	if (conform_log_state(log) == CONFORM_COMPLETE)
		require(log->count > 0 && conform_log_next(log) == 0 &&
			conform_log_count(log, CONFORM_UNKNOWN) == 0);
}

static void check_report(struct conform_log *log)
{
	static const struct conform_about about = {.command = "fuzz", .filter = "every test"};
	static const struct conform_waivers none;
	static const struct option_list usual;
	struct conform_judge judge = {.log = NULL};
	struct error error;
	json_t *root;

	require(conform_judge_log(&judge, log, &none, &usual, false, &error) == 0);
	require(!conform_judge_is_good(&judge) || conform_log_state(log) == CONFORM_COMPLETE);
	require(conform_report_json(&judge, &about, report, &error) == 0);
	root = json_load_file(report, 0, NULL);
	require(root && json_array_size(json_object_get(root, "results")) == log->count &&
		json_array_size(json_object_get(root, "measures")) == log->measure_count &&
		json_array_size(json_object_get(root, "devices")) == log->device_count);
	json_decref(root);
	require(conform_report_junit(&judge, report, &error) == 0);
	require(conform_report_html(&judge, &about, report, &error) == 0);
	conform_judge_free(&judge);
}

/* What an adapter is called with are the words of the line and no others. */
static void check_action(const char *line)
{
	struct conform_action action;
	char again[128];

	if (!conform_action_parse(&action, line))
		return;
	snprintf(again, sizeof(again), "avp-conform: host %s%s%s", action.verb,
		 action.argument[0] ? " " : "", action.argument);
	require(!strncmp(again, line, strlen(again)));
	require(strspn(action.verb, "abcdefghijklmnopqrstuvwxyz") == strlen(action.verb));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conform_log log = {.tests = NULL};
	struct error error;

	make_report_path();
	for (size_t at = 0; at < size;) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		size_t length = end ? (size_t)(end - data) - at : size - at;
		char *line = strndup((const char *)data + at, length);

		require(line && conform_log_add(&log, line, &error) == 0);
		/* A boot that repeats a test follows those that are complete. */
		require(!log.in_boot || log.repeat[0] ||
			conform_log_state(&log) != CONFORM_COMPLETE);
		check_action(line);
		free(line);
		at += length + 1;
	}
	conform_log_finish(&log);
	check_tests(&log);
	if (log.count <= REPORTED_MAX)
		check_report(&log);
	conform_log_free(&log);
	return 0;
}

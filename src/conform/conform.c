// SPDX-License-Identifier: BSD-3-Clause
/* Executes a conformance run: from its options to its reports and exit status. */
#include "conform/conform.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conform/conform_expect.h"
#include "conform/conform_image.h"
#include "conform/conform_report.h"
#include "conform/conform_run.h"
#include "conform/conform_summary.h"

struct conform {
	struct conform_log log;
	struct conform_expect expect;
};

static int read_logs(const struct conform_options *options, struct conform_log *log,
		     struct error *error)
{
	int result = 0;

	for (size_t i = 0; i < options->from.count && result == 0; i++)
		result = conform_log_read(log, options->from.items[i], error);
	conform_log_finish(log);
	return result;
}

/* Runs the guest, and writes its console to the file of --log. */
static int run_and_keep(const struct conform_options *options, struct conform_log *log,
			struct error *error)
{
	FILE *kept = NULL;
	bool failed;
	int result;

	if (options->log) {
		kept = fopen(options->log, "we");
		if (!kept)
			return error_set_usage(error,
					       "--log: %s: %s; check the path and its permissions",
					       options->log, strerror(errno));
	}
	result = conform_run(options, log, kept, error);
	if (!kept)
		return result;
	failed = ferror(kept);
	failed |= fclose(kept) != 0;
	if (failed && result == 0)
		result = error_set_errno(error, errno, "--log: %s", options->log);
	return result;
}

static int write_reports(const struct conform_options *options, const struct conform_log *log,
			 struct error *error)
{
	cleanup_free char *command = NULL, *filter = NULL;
	struct conform_about about = {.when = time(NULL)};
	int result = conform_options_describe_command(&command, options, error);

	if (result == 0)
		result = conform_options_describe_filter(&filter, options, error);
	about.command = command;
	about.filter = filter;
	if (result == 0 && options->junit)
		result = conform_report_junit(log, options->junit, error);
	if (result == 0 && options->json)
		result = conform_report_json(log, &about, options->json, error);
	if (result == 0 && options->html)
		result = conform_report_html(log, &about, options->html, error);
	return result;
}

/* An error if the filter matched no test: a complete log in which all tests were left out. */
static int check_selection(const struct conform_options *options, const struct conform_log *log,
			   struct error *error)
{
	bool profile = options->profile != 0 && !options->from.count;

	if (conform_log_state(log) != CONFORM_COMPLETE)
		return 0;
	for (size_t i = 0; i < log->count; i++)
		if (!log->tests[i].left_out)
			return 0;
	if (options->from.count || !options->only)
		return error_set_usage(error, "no test was selected when this guest ran");
	return error_set_usage(error,
			       "--only: no test%s%s has a name that matches '%s'; docs/contract "
			       "and an --html page of all tests have the names",
			       profile ? " of profile " : "",
			       profile ? conform_profiles[options->profile] : "", options->only);
}

/* Check the names before the boot: the run takes minutes. */
static int read_expect(const struct conform_options *options, struct conform_expect *expect,
		       struct error *error)
{
	int result = conform_expect_read(expect, options->expect, error);
	char image[PATH_MAX];

	/* A log that is read may come from another version of the guest. */
	if (result < 0 || options->from.count)
		return result;
	result = conform_image_find(image, options, error);
	return result < 0 ? result : conform_expect_check(expect, image, error);
}

static void free_conform(struct conform *conform)
{
	conform_log_free(&conform->log);
	conform_expect_free(&conform->expect);
}

int conform_execute(const struct conform_options *options, struct error *error)
{
	__attribute__((cleanup(free_conform))) struct conform conform = {.log.tests = NULL};
	struct error later;
	int result, reported;

	if (options->image)
		return conform_image_write(options, error);
	result = conform_options_check(options, error);
	if (result == 0 && options->expect)
		result = read_expect(options, &conform.expect, error);
	if (result < 0)
		return result;
	result = options->from.count ? read_logs(options, &conform.log, error) :
				       run_and_keep(options, &conform.log, error);
	if (result == 0)
		result = check_selection(options, &conform.log, error);
	if (result == 0 && options->expect)
		result = conform_expect_apply(&conform.expect, &conform.log, error);
	/* Also after an error, so that no file keeps results of an earlier run. */
	reported = write_reports(options, &conform.log, result < 0 ? &later : error);
	if (result < 0 && reported < 0)
		log_error("%s", later.message);
	if (result < 0 || reported < 0)
		return result < 0 ? result : reported;
	return conform_summary(&conform.log, options->expect);
}

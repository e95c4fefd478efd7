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
#include "base/text.h"
#include "conform/conform_image.h"
#include "conform/conform_judge.h"
#include "conform/conform_keep.h"
#include "conform/conform_report.h"
#include "conform/conform_run.h"
#include "conform/conform_summary.h"

struct conform {
	struct conform_log log;
	struct conform_waivers waivers;
	struct conform_judge judge;
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

/* Runs the guest, and writes its console to the file at @path, or nowhere. */
static int run_and_keep(const struct conform_options *options, const char *path,
			struct conform_log *log, struct error *error)
{
	FILE *kept = NULL;
	bool failed;
	int result;

	if (path) {
		kept = fopen(path, "we");
		if (!kept)
			return error_set_usage(error,
					       "--log: %s: %s; check the path and its permissions",
					       path, strerror(errno));
	}
	result = conform_run(options, log, kept, error);
	if (!kept)
		return result;
	failed = ferror(kept);
	failed |= fclose(kept) != 0;
	if (failed && result == 0)
		result = error_set_errno(error, errno, "--log: %s", path);
	return result;
}

int conform_write_reports(const struct conform_options *options, const struct conform_judge *judge,
			  const struct conform_about *about, struct error *error)
{
	int result = 0;

	if (options->junit)
		result = conform_report_junit(judge, options->junit, error);
	if (result == 0 && options->json)
		result = conform_report_json(judge, about, options->json, error);
	if (result == 0 && options->html)
		result = conform_report_html(judge, about, options->html, error);
	return result;
}

static int report(const struct conform_options *options, const struct conform_judge *judge,
		  struct error *error)
{
	cleanup_free char *command = NULL, *filter = NULL;
	struct conform_about about = {.when = time(NULL)};
	int result = conform_options_describe_command(&command, options, error);

	if (result == 0)
		result = conform_options_describe_filter(&filter, options, error);
	about.command = command;
	about.filter = filter;
	return result < 0 ? result : conform_write_reports(options, judge, &about, error);
}

/* An error if the filter matched no test: a complete log in which all tests were left out. */
static int check_selection(const struct conform_options *options, const struct conform_log *log,
			   struct error *error)
{
	if (conform_log_state(log) != CONFORM_COMPLETE)
		return 0;
	for (size_t i = 0; i < log->count; i++)
		if (!log->tests[i].left_out)
			return 0;
	if (options->from.count || !options->only)
		return error_set_usage(error, "no test was selected when this guest ran");
	return error_set_usage(error,
			       "--only: no test has a name that matches '%s'; docs/contract "
			       "and an --html page of all tests have the names",
			       options->only);
}

/* What a result file does not hold. */
static int check_keep(const struct conform_options *options, struct error *error)
{
	if (!options->keep)
		return 0;
	if (options->only || options->profile.count || options->log)
		return error_set_usage(error, "a result has all tests and profiles, and its log "
					      "beside it: omit --only, --profile and --log");
	if (options->from.count > 1)
		return error_set_usage(error, "--from: a result has one log; join the logs of its "
					      "boots in one file");
	if (!options->host || !options->hypervisor)
		return error_set_usage(error,
				       "keep needs --host and --hypervisor: the machine, and "
				       "the hypervisor with its version");
	return 0;
}

static int keep(const struct conform_options *options, const struct conform *conform, time_t when,
		struct error *error)
{
	cleanup_free char *command = NULL;
	int result = conform_options_describe_command(&command, options, error);

	return result < 0 ? result :
			    conform_keep(options, &conform->judge, &conform->waivers, command, when,
					 options->keep, error);
}

static void free_conform(struct conform *conform)
{
	conform_judge_free(&conform->judge);
	conform_waivers_free(&conform->waivers);
	conform_log_free(&conform->log);
}

int conform_execute(const struct conform_options *options, struct error *error)
{
	__attribute__((cleanup(free_conform))) struct conform conform = {.log.tests = NULL};
	const struct option_list all = {(char *[]){(char *)"all"}, 1};
	cleanup_free char *log = NULL;
	const time_t now = time(NULL);
	struct error later;
	int result, judged;

	if (options->image && !options->keep != !options->from.count)
		return error_set_usage(error, "--image names the image that ran only with both "
					      "keep and --from");
	if (options->image && !options->keep)
		return conform_image_write(options, error);
	result = conform_options_check(options, error);
	if (result == 0)
		result = check_keep(options, error);
	if (result == 0 && options->keep)
		result = conform_keep_log_path(&log, options->keep, error);
	else if (result == 0 && options->log)
		result = text_replace(&log, options->log, strlen(options->log), error);
	/* Check the names before the boot: the run takes minutes. */
	if (result == 0 && options->waivers)
		result = conform_waivers_read(&conform.waivers, options->waivers, now, error);
	if (result < 0)
		return result;
	result = options->from.count ? read_logs(options, &conform.log, error) :
				       run_and_keep(options, log, &conform.log, error);
	if (result == 0)
		result = check_selection(options, &conform.log, error);
	/* Also after an error, so that no file keeps results of an earlier run. */
	judged = conform_judge_log(&conform.judge, &conform.log, &conform.waivers,
				   options->keep ? &all : &options->profile, options->only != NULL,
				   result < 0 ? &later : error);
	if (judged == 0)
		judged = report(options, &conform.judge, result < 0 ? &later : error);
	if (result < 0 && judged < 0)
		log_error("%s", later.message);
	if (result < 0 || judged < 0)
		return result < 0 ? result : judged;
	result = conform_summary(&conform.judge, &conform.waivers);
	return options->keep ? keep(options, &conform, now, error) : result;
}

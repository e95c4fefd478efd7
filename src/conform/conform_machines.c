// SPDX-License-Identifier: BSD-3-Clause
/*
 * One verdict over several machines of a hypervisor: no machine lets all tests run, since some need
 * devices that others exclude. The logs of their result files are made into one, which is judged
 * like any other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/contract_version.h"
#include "base/text.h"
#include "conform/conform.h"
#include "conform/conform_keep.h"
#include "conform/conform_summary.h"

#define MACHINES_MAX 32

struct machines {
	struct conform_kept kept[MACHINES_MAX];
	size_t count;
	struct conform_log log; /* of all */
	struct conform_judge judge;
};

static void free_machines(struct machines **machines)
{
	if (!*machines)
		return;
	for (size_t i = 0; i < (*machines)->count; i++)
		conform_kept_free(&(*machines)->kept[i]);
	conform_judge_free(&(*machines)->judge);
	conform_log_free(&(*machines)->log);
	free(*machines);
}

/* An error unless @kept may be judged together with the files before it. */
static int compare(const struct machines *machines, const struct conform_kept *kept,
		   struct error *error)
{
	const struct conform_kept *first = &machines->kept[0];
	const json_t *waivers = json_object_get(kept->root, "waivers");
	const json_t *others = json_object_get(first->root, "waivers");

	for (const struct conform_kept *other = first; other < kept; other++)
		if (!strcmp(conform_kept_text(kept, "log sha256"),
			    conform_kept_text(other, "log sha256")))
			return error_set(error, EINVAL, "%s: it has the same log as %s", kept->name,
					 other->name);
	if (strcmp(conform_kept_text(kept, "hypervisor"), conform_kept_text(first, "hypervisor")))
		return error_set(
			error, EINVAL,
			"%s: it is of hypervisor '%s', and %s of '%s': a verdict is on one "
			"hypervisor; if it is the same, keep both with the same --hypervisor",
			kept->name, conform_kept_text(kept, "hypervisor"), first->name,
			conform_kept_text(first, "hypervisor"));
	if (strcmp(kept->judge.architecture, first->judge.architecture))
		return error_set(error, EINVAL, "%s: it is of a guest for %s, and %s of one for %s",
				 kept->name, kept->judge.architecture, first->name,
				 first->judge.architecture);
	/* A waiver would hold on a machine of which nobody has accepted the failure. */
	if (waivers != others && !json_equal(waivers, others))
		return error_set(error, EINVAL,
				 "%s: it has other waivers than %s; keep both with the same "
				 "--waivers",
				 kept->name, first->name);
	return 0;
}

static int read_all(struct machines *machines, char *const *paths, size_t count,
		    struct error *error)
{
	int result = 0;

	if (count > MACHINES_MAX)
		return error_set_usage(error, "more than %d result files", MACHINES_MAX);
	for (size_t i = 0; i < count && result == 0; i++) {
		machines->count++;
		result = conform_kept_read(&machines->kept[i], paths[i], error);
		if (result == 0)
			result = compare(machines, &machines->kept[i], error);
	}
	return result;
}

/* Of two machines the worse verdict counts, but any verdict counts more than a skip. */
static int rank(const struct conform_test *test)
{
	static const int ranks[CONFORM_VERDICTS] = {
		[CONFORM_FAIL] = 4,
		[CONFORM_WEDGED] = 3,
		[CONFORM_UNSTABLE] = 2,
		[CONFORM_PASS] = 1,
	};

	return ranks[test->verdict];
}

/* The lines of test @number there, for the report. */
static int copy_lines(struct conform_log *to, size_t as, const struct conform_log *from,
		      size_t number, struct error *error)
{
	const struct conform_lines *lines = &from->kept;
	int result = 0;

	for (size_t i = 0; i < lines->count && result == 0; i++)
		if (lines->list[i].test == number)
			result = conform_lines_add(&to->kept, as,
						   lines->text + lines->list[i].offset, error);
	return result;
}

static int join_tests(struct machines *machines, struct error *error)
{
	struct conform_log *all = &machines->log;
	int result = 0;

	all->room = CONFORM_TESTS_MAX;
	all->tests = calloc(all->room, sizeof(*all->tests));
	if (!all->tests)
		return error_set(error, ENOMEM, "out of memory");
	for (const struct conform_kept *kept = machines->kept;
	     kept < machines->kept + machines->count; kept++)
		for (size_t i = 0; i < kept->log.count; i++) {
			const struct conform_test *test = &kept->log.tests[i];
			size_t at = 0;

			while (at < all->count && strcmp(all->tests[at].name, test->name))
				at++;
			if (at == all->room)
				return error_set(error, EINVAL, "%s: too many tests", kept->name);
			if (at < all->count && rank(&all->tests[at]) >= rank(test))
				continue;
			all->count += at == all->count;
			all->tests[at] = *test;
			all->tests[at].waived = NULL;
			all->tests[at].on = conform_is_bad(test) ? kept->name : NULL;
		}
	for (size_t i = 0; i < all->count && result == 0; i++)
		for (size_t n = 0; n < machines->count && result == 0; n++) {
			const struct conform_log *log = &machines->kept[n].log;

			for (size_t at = 0; at < log->count && result == 0; at++)
				if (all->tests[i].on == machines->kept[n].name &&
				    !strcmp(log->tests[at].name, all->tests[i].name))
					result = copy_lines(all, i + 1, log, at + 1, error);
		}
	return result;
}

static int join_devices(struct machines *machines, struct error *error)
{
	struct conform_log *all = &machines->log;

	for (size_t n = 0; n < machines->count; n++) {
		const struct conform_kept *kept = &machines->kept[n];

		for (size_t i = 0; i < kept->log.device_count; i++) {
			if (all->device_count == CONFORM_DEVICES_MAX)
				return error_set(error, EINVAL,
						 "%s: the machines have more than %d devices",
						 kept->name, CONFORM_DEVICES_MAX);
			memcpy(all->devices[all->device_count], kept->log.devices[i],
			       sizeof(all->devices[0]));
			all->devices_on[all->device_count++] = kept->name;
		}
	}
	return 0;
}

/* The line of a boot that stands for all of them. */
static void join_boots(struct machines *machines)
{
	struct conform_log *all = &machines->log;
	char entries[sizeof(machines->judge.entries)] = "";

	for (size_t i = 0; i < machines->count; i++) {
		const struct conform_kept *kept = &machines->kept[i];
		size_t length = strlen(entries);

		all->boots += kept->log.boots;
		if (!strstr(entries, kept->judge.entries))
			snprintf(entries + length, sizeof(entries) - length, "%s%s",
				 length ? "," : "", kept->judge.entries);
	}
	snprintf(all->boot, sizeof(all->boot),
		 "%zu machines suite " SUITE_VERSION " contract " CONTRACT_VERSION
		 " arch %s entry %s",
		 machines->count, machines->kept[0].judge.architecture, entries);
	memcpy(all->hypervisor, machines->kept[0].log.hypervisor, sizeof(all->hypervisor));
	all->ended = true;
}

static void show_machines(const struct machines *machines)
{
	char text[120];

	for (const struct conform_kept *kept = machines->kept;
	     kept < machines->kept + machines->count; kept++)
		for (size_t i = 0; contract_profiles[i].name; i++)
			if (machines->judge.profiles[i].chosen)
				printf("alone      %s, %s: %s\n", kept->name,
				       contract_profiles[i].name,
				       conform_profile_describe(&kept->judge, i, text,
								sizeof(text)));
}

int conform_execute_judge(const struct conform_options *options, char *const *paths, size_t count,
			  struct error *error)
{
	__attribute__((cleanup(free_machines))) struct machines *machines =
		calloc(1, sizeof(*machines));
	cleanup_free char *command = NULL;
	struct conform_about about = {.when = time(NULL), .filter = "every test"};
	const struct conform_waivers *waivers;
	int result;

	if (!machines)
		return error_set(error, ENOMEM, "out of memory");
	if (options->only || options->command || options->image || options->log ||
	    options->waivers || options->from.count || options->host || options->hypervisor)
		return error_set_usage(error,
				       "judge takes result files, --profile and reports: omit "
				       "the other options");
	result = conform_judge_check_profiles(&options->profile, error);
	if (result == 0)
		result = read_all(machines, paths, count, error);
	if (result == 0)
		result = join_tests(machines, error);
	if (result == 0)
		result = join_devices(machines, error);
	if (result < 0)
		return result;
	join_boots(machines);
	waivers = &machines->kept[0].waivers;
	result = conform_judge_log(&machines->judge, &machines->log, waivers, &options->profile,
				   false, error);
	if (result == 0)
		result = text_replace_format(&command, error, "avp conform judge");
	for (size_t i = 0; i < count && result == 0; i++)
		result = text_replace_format(&command, error, "%s %s", command, paths[i]);
	about.command = command;
	about.machines = machines->kept;
	about.machine_count = machines->count;
	if (result == 0)
		result = conform_write_reports(options, &machines->judge, &about, error);
	if (result < 0)
		return result;
	show_machines(machines);
	return conform_summary(&machines->judge, waivers);
}

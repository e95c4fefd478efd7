// SPDX-License-Identifier: BSD-3-Clause
/*
 * avp-conform-log: reads the console log of the conformance guest and prints the verdicts, as `avp
 * conform --from` does. A program of its own, built with a C compiler and nothing else, for those
 * who test a hypervisor and have no use for the rest of AVP.
 */
#include <stdio.h>
#include <string.h>

#include "base/option.h"
#include "conform/conform_judge.h"
#include "conform/conform_log.h"
#include "conform/conform_summary.h"

#define PROFILE "--profile"
#define NEXT	"next       start the guest again with "
#define USAGE                                                                      \
	"usage: avp-conform-log [--profile=NAME,...] LOG...\n"                     \
	"LOG: the guest's console, - is standard input; several are the boots of " \
	"one guest, in this order\n"

struct run {
	struct conform_log log;
	struct conform_waivers waivers; /* none */
	struct conform_judge judge;
};

static void free_run(struct run *run)
{
	conform_judge_free(&run->judge);
	conform_log_free(&run->log);
}

static int fail(const struct error *error)
{
	fprintf(stderr, "avp-conform-log: %s\n", error->message);
	return error_exit_status(error);
}

/*
 * Says how the guest has to be started again so that its log becomes whole: after it hung or the
 * hypervisor ended, and for the tests that power it off.
 */
static void show_next(const struct conform_log *log)
{
	unsigned long boot = log->number + 1;
	size_t next = conform_log_next(log);

	if (conform_log_state(log) == CONFORM_INCOMPLETE && next)
		printf(NEXT "start=%zu boot=%lu\n", next, boot);
	if (conform_log_state(log) != CONFORM_COMPLETE)
		return;
	for (const char *const *name = conform_off_tests; *name; name++) {
		next = conform_log_find_fatal(log, *name);
		if (next)
			printf(NEXT "start=%zu boot=%lu only=%s fatal=1; if the hypervisor ends "
				    "with status 0, append the line '" CONFORM_OFF
				    "%s' to the log\n",
			       next, boot++, *name, *name);
	}
}

int main(int argc, char **argv)
{
	__attribute__((cleanup(free_run))) struct run run = {.log.tests = NULL};
	struct option_list profiles = {argv + 1, 0};
	struct error error;
	int first = 1, result;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(USAGE, stdout);
		return 0;
	}
	for (; first < argc && !strncmp(argv[first], PROFILE, strlen(PROFILE)); first++) {
		char *name = argv[first] + strlen(PROFILE);

		if (*name == '=')
			name++;
		else if (!*name && first + 1 < argc)
			name = argv[++first];
		else
			break;
		/* Never beyond the words that were read. */
		profiles.items[profiles.count++] = name;
	}
	if (first == argc || (argv[first][0] == '-' && argv[first][1])) {
		fputs(USAGE, stderr);
		return ERROR_EXIT_USAGE;
	}
	if (conform_judge_check_profiles(&profiles, &error) < 0)
		return fail(&error);
	for (int i = first; i < argc; i++)
		if (conform_log_read(&run.log, argv[i], &error) < 0)
			return fail(&error);
	conform_log_finish(&run.log);
	if (conform_judge_log(&run.judge, &run.log, &run.waivers, &profiles, false, &error) < 0)
		return fail(&error);
	result = conform_summary(&run.judge, &run.waivers);
	show_next(&run.log);
	return result;
}

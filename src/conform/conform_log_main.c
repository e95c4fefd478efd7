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

int main(int argc, char **argv)
{
	__attribute__((cleanup(free_run))) struct run run = {.log.tests = NULL};
	struct option_list profiles = {argv + 1, 0};
	struct error error;
	int first = 1;

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
	return conform_summary(&run.judge, &run.waivers);
}

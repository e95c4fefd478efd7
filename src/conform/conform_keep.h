// SPDX-License-Identifier: BSD-3-Clause
/*
 * Result files: the verdicts on a log with their origin, beside the log. NAME.json names NAME.log
 * and has its digest; all verdicts in it follow from that log and from the contract, and a seal
 * over the whole file shows a change by hand. The seal is not a signature: who wants to deceive can
 * make another one, so a result counts for as much as its publisher.
 */
#ifndef AVP_CONFORM_CONFORM_KEEP_H
#define AVP_CONFORM_CONFORM_KEEP_H

#include <jansson.h>
#include <time.h>

#include "conform/conform_options.h"
#include "conform/conform_judge.h"

/* Where the log of a result is: NAME.log for NAME.json. Frees and replaces *log. */
int conform_keep_log_path(char **log, const char *path, struct error *error);

/*
 * Writes the result file at @path from @judge, which has judged each profile with @waivers as they
 * were at @when, the date of the result. The log of a run is already beside it; one of --from is
 * copied there. The origin comes from @options and @command. An error if the log is not whole, or
 * tests were left out. Returns 0 or a negative errno with *error set.
 */
int conform_keep(const struct conform_options *options, const struct conform_judge *judge,
		 const struct conform_waivers *waivers, const char *command, time_t when,
		 const char *path, struct error *error);

/* A kept result, and what its log says by the contract of this program. */
struct conform_kept {
	json_t *root;	  /* the file */
	const char *name; /* of the file, without its directory */
	struct conform_log log;
	struct conform_waivers waivers;
	struct conform_judge judge; /* of all profiles, on the date of the result */
};

/*
 * Reads the result file at @path, which must be as it was kept, and judges its log. *kept must be
 * zeroed; @path must outlive it, and it must not move. Returns 0, or a negative errno with *error
 * set; call conform_kept_free in both cases.
 */
int conform_kept_read(struct conform_kept *kept, const char *path, struct error *error);
void conform_kept_free(struct conform_kept *kept);

/* A text of the file, "" if it has none. */
const char *conform_kept_text(const struct conform_kept *kept, const char *key);

/*
 * Checks that the result file at @path is as it was kept, that its log is the one that was judged,
 * and that the verdicts follow from it. Returns 0, or a negative errno with *error set, which says
 * what differs.
 */
int conform_keep_check(const char *path, struct error *error);

/*
 * Judges the log of the result file at @path anew, by the contract of this program, and writes its
 * verdicts. The file must be as it was kept. Returns as above.
 */
int conform_keep_again(const char *path, struct error *error);

#endif

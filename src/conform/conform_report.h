// SPDX-License-Identifier: BSD-3-Clause
/*
 * The results of a conformance guest as JUnit for build servers, as JSON for programs, and as a
 * page of HTML for people.
 */
#ifndef AVP_CONFORM_CONFORM_REPORT_H
#define AVP_CONFORM_CONFORM_REPORT_H

#include <jansson.h>
#include <time.h>

#include "base/error.h"
#include "conform/conform_judge.h"
#include "conform/conform_keep.h"

/* The origin of a log. */
struct conform_about {
	time_t when;	     /* the report was written */
	const char *command; /* what booted the guest, or which logs were read */
	const char *filter;  /* which tests were selected */
	/* A verdict over several machines: their result files; else none. */
	const struct conform_kept *machines;
	size_t machine_count;
};

/* What a report says of each machine: keys of its result file. Ends with NULL. */
extern const char *const conform_machine_keys[];

/*
 * Each writes the file at @path and replaces it atomically. Returns 0 or a negative errno with
 * *error set.
 */
int conform_report_junit(const struct conform_judge *judge, const char *path, struct error *error);
int conform_report_json(const struct conform_judge *judge, const struct conform_about *about,
			const char *path, struct error *error);
int conform_report_html(const struct conform_judge *judge, const struct conform_about *about,
			const char *path, struct error *error);

/* What the contract says of a log, without its origin; the caller owns it. NULL: no memory. */
json_t *conform_report_describe(const struct conform_judge *judge);

/* Writes a time as 2026-11-30T08:15:00Z. Returns @date. */
#define CONFORM_DATE_LENGTH 32
const char *conform_date(char date[CONFORM_DATE_LENGTH], time_t when);

/*
 * The chapter of a test: the letters of its first requirement's id ("BLK" of AVP-BLK-001), or
 * derived from its name if it has none. Returns @chapter.
 */
#define CONFORM_CHAPTER_LENGTH 16
const char *conform_chapter(char chapter[CONFORM_CHAPTER_LENGTH], const struct conform_test *test);

#endif

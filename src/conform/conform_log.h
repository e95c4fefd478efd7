// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the conformance guest said on its console, read back: TAP version 14 with lines of its own
 * (docs/conform-log.md). A log may be of several boots, and stands among lines of others; it comes
 * from a hypervisor that is being tested, so nothing in it is trusted.
 */
#ifndef AVP_CONFORM_CONFORM_LOG_H
#define AVP_CONFORM_CONFORM_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Tests and measurements of one guest: bounds, far above what there are. */
#define CONFORM_TESTS_MAX    4096
#define CONFORM_MEASURES_MAX 64
#define CONFORM_DEVICES_MAX  64
#define CONFORM_BUCKETS	     64
#define CONFORM_LINE_MAX     512

enum conform_verdict {
	CONFORM_UNKNOWN, /* it has not been heard of */
	CONFORM_BEGUN,	 /* and nothing more was heard */
	CONFORM_PASS,
	CONFORM_FAIL,
	CONFORM_WEDGED, /* it hung */
	CONFORM_SKIPPED,
	CONFORM_VERDICTS,
};

/* "pass", "fail", … */
const char *conform_verdict_name(enum conform_verdict verdict);

struct conform_test {
	enum conform_verdict verdict;
	bool left_out; /* skipped because it was not asked for */
	const char *
		known; /* it may fail, for this reason or ""; NULL: it may not (conform_expect.h) */
	char name[64];
	char requirements[192]; /* ids with blanks between */
	char message[256];	/* why it failed, hung or was skipped; "" if unknown */
	char at[64];		/* the place in the source */
};

/* A distribution that was measured. */
struct conform_measure {
	char name[64], unit[16];
	uint64_t count, minimum, p50, p90, p99, maximum, sum;
	uint64_t buckets[CONFORM_BUCKETS]; /* values below 2^i and not below 2^(i-1) */
};

enum conform_state {
	CONFORM_COMPLETE,
	CONFORM_INCOMPLETE, /* its end is missing */
	CONFORM_DAMAGED,    /* lines are missing, or other ones than were sent */
	CONFORM_OTHER,	    /* its guest is of another version of the contract */
	CONFORM_EMPTY,	    /* no conformance guest spoke */
};

struct conform_log {
	struct conform_test *tests; /* number 1 first; allocated */
	size_t count, room;
	struct conform_measure *measures; /* allocated */
	size_t measure_count;
	char devices[CONFORM_DEVICES_MAX][CONFORM_LINE_MAX];
	size_t device_count;
	/* Of the last boot. */
	unsigned int boots;
	char boot[CONFORM_LINE_MAX], hypervisor[CONFORM_LINE_MAX];
	bool ended;
	bool unannounced; /* the boot before did not say that this one would follow */
	/* Of all. */
	bool damaged, other_contract;
	bool lost;	/* a boot ended before its first test */
	uint64_t taken; /* lines of the guest */
	/* While lines come. */
	bool in_boot, reset_announced;
	bool said_end;	      /* a boot behind it is none that the guest asked for */
	unsigned long number; /* of the boot, as it says */
	size_t current;	      /* the test that what follows is about; 0: none */
	size_t last;	      /* that this boot spoke of */
	bool in_details;
	uint64_t lines;
	uint32_t crc;
};

/* One that is zeroed is empty. */
void conform_log_free(struct conform_log *log);

/*
 * Takes the next line, without its end but for \r. Lines of others are left alone; ones that no
 * guest says make the log a damaged one. What failed or hung stays so, whatever is said later.
 * Returns 0, or -ENOMEM with *error set.
 */
int conform_log_add(struct conform_log *log, const char *line, struct error *error);

/*
 * The whole file at @path, "-": standard input; it begins with a boot that somebody started.
 * Returns 0 or a negative errno with *error set.
 */
int conform_log_read(struct conform_log *log, const char *path, struct error *error);

/*
 * No more lines come, or of another boot that was started by itself: a test that has begun and not
 * ended hung; behind the last one the hypervisor ended, where neither end nor reset was announced.
 */
void conform_log_finish(struct conform_log *log);

/* The guest went off in the test that has begun, as it was to: that passes, and ends the boot. */
void conform_log_off(struct conform_log *log);

/*
 * The host's own verdict on a test, known to the guest or not. Returns 0, or -ENOMEM with *error
 * set.
 */
int conform_log_fail(struct conform_log *log, const char *name, const char *requirements,
		     const char *message, struct error *error);

/* It failed, hung or was not heard of, as --expect has it. */
bool conform_is_known(const struct conform_test *test);

/* Anything but a pass or a skip. */
bool conform_is_bad(const struct conform_test *test);

/* How much of it can be believed. */
enum conform_state conform_log_state(const struct conform_log *log);

/* The number of the first test that has no verdict yet, or 0 when all have one. */
size_t conform_log_next(const struct conform_log *log);

/* How many tests have that verdict. */
size_t conform_log_count(const struct conform_log *log, enum conform_verdict verdict);

#endif

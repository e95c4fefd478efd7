// SPDX-License-Identifier: BSD-3-Clause
/*
 * Parses the console log of the conformance guest: TAP version 14 with lines of its own
 * (docs/conform-log.md). A log may hold several boots, and lines of others. It comes from a
 * hypervisor that is being tested, so nothing in it is trusted.
 */
#ifndef AVP_CONFORM_CONFORM_LOG_H
#define AVP_CONFORM_CONFORM_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "conform/conform_lines.h"

/* Tests and measurements of one guest: limits, far above the real numbers. */
#define CONFORM_TESTS_MAX    4096
#define CONFORM_MEASURES_MAX 64
#define CONFORM_DEVICES_MAX  64
#define CONFORM_BUCKETS	     64
#define CONFORM_LINE_MAX     512

enum conform_verdict {
	CONFORM_UNKNOWN, /* not in the log */
	CONFORM_BEGUN,	 /* begun, without a verdict yet */
	CONFORM_PASS,
	CONFORM_FAIL,
	CONFORM_WEDGED, /* it hung */
	CONFORM_SKIPPED,
	CONFORM_UNSTABLE, /* it failed or hung, and did not when it was repeated alone */
	CONFORM_VERDICTS,
};

/* "pass", "fail", … */
const char *conform_verdict_name(enum conform_verdict verdict);

struct conform_test {
	enum conform_verdict verdict;
	bool left_out;	    /* skipped because it was not selected */
	const char *waived; /* the reason if the failure is waived, else NULL (conform_judge.h) */
	const char *on;	    /* of several machines: the one with this verdict, else NULL */
	char name[64];
	char requirements[192]; /* ids separated by blanks */
	char message[256];	/* why it failed, hung or was skipped; "" if unknown */
	char at[64];		/* file and line in the source */
};

/* A measured distribution. */
struct conform_measure {
	char name[64], unit[16];
	uint64_t count, minimum, p50, p90, p99, maximum, sum;
	uint64_t buckets[CONFORM_BUCKETS]; /* values below 2^i and not below 2^(i-1) */
};

enum conform_state {
	CONFORM_COMPLETE,
	CONFORM_INCOMPLETE,  /* its end is missing */
	CONFORM_DAMAGED,     /* lines are missing or changed */
	CONFORM_OTHER_SUITE, /* from a guest with another version of the tests */
	CONFORM_OTHER,	     /* from a guest of another version of the contract */
	CONFORM_MIXED,	     /* it has boots of different machines or runs */
	CONFORM_EMPTY,	     /* no line of a conformance guest */
};

struct conform_log {
	struct conform_test *tests; /* number 1 first; allocated */
	size_t count, room;
	struct conform_measure *measures; /* allocated */
	size_t measure_count;
	char devices[CONFORM_DEVICES_MAX][CONFORM_LINE_MAX];
	const char *devices_on[CONFORM_DEVICES_MAX]; /* of several machines: which one, else NULL */
	size_t device_count;
	struct conform_lines kept;
	/* The last boot. */
	unsigned int boots;
	char boot[CONFORM_LINE_MAX], hypervisor[CONFORM_LINE_MAX];
	bool ended;
	bool unannounced; /* it is unwanted: the boot before did not announce a reset */
	/* All boots. */
	bool damaged, other_suite, other_contract, mixed;
	bool lost;	/* a boot ended before its first test */
	uint64_t taken; /* number of lines of the guest */
	/* Set by the caller: a boot that does not repeat a test is unwanted. */
	bool repeats_only;
	/* State of the parser. */
	bool in_boot, reset_announced;
	bool restart_announced; /* the boot ends, and another one must follow */
	bool said_end;		/* a boot after it is unwanted unless its number is higher */
	unsigned long number;	/* the boot's own number */
	unsigned long highest;	/* of the boots that repeat no test */
	char repeat[64];	/* the test that this boot repeats, or "" */
	bool repeat_passed;
	size_t current; /* number of the test that details belong to; 0: none */
	size_t last;	/* number of the last test of this boot */
	bool in_details;
	uint64_t lines;
	uint32_t crc;
};

/* A zeroed log is empty. */
void conform_log_free(struct conform_log *log);

/*
 * Parses the next line, without its newline; \r may be left. Lines of others are ignored; a line
 * that looks like the guest's but is invalid marks the log as damaged. A failure or hang is final,
 * unless a boot that repeats this test shows that it is unstable. Returns 0, or -ENOMEM with *error
 * set.
 */
int conform_log_add(struct conform_log *log, const char *line, struct error *error);

/* The words before what this program notes in a log that it keeps (docs/conform-log.md). */
#define CONFORM_HOST   "host: "
#define CONFORM_ENDED  CONFORM_HOST "the hypervisor ended"
#define CONFORM_OFF    CONFORM_HOST "powered off "
#define CONFORM_FAILED CONFORM_HOST "failed "

/* Parses the next line of a log that was kept, as conform_log_add and with the host's notes. */
int conform_log_add_kept(struct conform_log *log, const char *line, struct error *error);

/*
 * Parses the whole file at @path ("-": standard input), which begins with a new boot. Returns 0 or
 * a negative errno with *error set.
 */
int conform_log_read(struct conform_log *log, const char *path, struct error *error);

/*
 * Call it at the end of the log, or before a boot that was started from outside: a test without a
 * verdict hung; if neither end nor reset was announced, the hypervisor ended after the last test.
 */
void conform_log_finish(struct conform_log *log);

/* Tests that power the guest off: each has a boot of its own. Ends with NULL. */
extern const char *const conform_off_tests[];

/* The number of test @name if the guest runs it only with fatal=1 and did not, else 0. */
size_t conform_log_find_fatal(const struct conform_log *log, const char *name);

/*
 * The guest powered off, as test @name does: if this is the current test, it passes, and the boot
 * ends.
 */
void conform_log_off(struct conform_log *log, const char *name);

/*
 * Sets a verdict of the host: test @name failed, whether or not the guest has such a test. Returns
 * 0, or -ENOMEM with *error set.
 */
int conform_log_fail(struct conform_log *log, const char *name, const char *requirements,
		     const char *message, struct error *error);

/* Whether it is bad, and waived. */
bool conform_is_waived(const struct conform_test *test);

/* Whether its verdict is neither pass nor skip. */
bool conform_is_bad(const struct conform_test *test);

/* Whether the log is complete and undamaged. */
enum conform_state conform_log_state(const struct conform_log *log);
/* "complete", "incomplete: …": a description of the state. */
const char *conform_state_describe(enum conform_state state);

/* Whether a boot that runs only this test could change its verdict: it failed or hung. */
bool conform_wants_repeat(const struct conform_test *test);

/* The number of the first test that has no verdict yet, or 0 when all have one. */
size_t conform_log_next(const struct conform_log *log);

/* The number of tests with that verdict. */
size_t conform_log_count(const struct conform_log *log, enum conform_verdict verdict);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Parses the log of the conformance guest. Each boot sums up its lines (count and CRC), and reports
 * the sums where a test begins and in its last line, which shows what a console dropped or changed.
 */
#include "conform/conform_log.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/contract_version.h"
#include "base/crc32.h"
#include "base/text.h"
#include "guest/config/contract.h"

#define OWN	 "avp-conform: "
#define LEFT_OUT "not selected"
#define REPEAT	 " repeat "

static const char *const verdict_names[CONFORM_VERDICTS] = {
	[CONFORM_UNKNOWN] = "unknown",	 [CONFORM_BEGUN] = "begun",   [CONFORM_PASS] = "pass",
	[CONFORM_FAIL] = "fail",	 [CONFORM_WEDGED] = "wedged", [CONFORM_SKIPPED] = "skipped",
	[CONFORM_UNSTABLE] = "unstable",
};

static const char other_contract_text[] = "of a guest of another contract than " CONTRACT_VERSION
					  ", this program's";
static const char other_suite_text[] = "of another suite than " SUITE_VERSION
				       ", this program's: run its guest again";

static const char mixed_text[] = "mixed: it has boots of different machines or runs, or one that "
				 "the host started without a higher number";

static const char *const state_texts[] = {
	[CONFORM_COMPLETE] = "complete",
	[CONFORM_INCOMPLETE] = "incomplete: the guest's last line is missing",
	[CONFORM_DAMAGED] = "damaged: the console dropped or changed lines",
	[CONFORM_OTHER_SUITE] = other_suite_text,
	[CONFORM_OTHER] = other_contract_text,
	[CONFORM_MIXED] = mixed_text,
	[CONFORM_EMPTY] = "empty: it has no line of a conformance guest",
};

const char *conform_verdict_name(enum conform_verdict verdict)
{
	return verdict_names[verdict];
}

void conform_log_free(struct conform_log *log)
{
	free(log->tests);
	free(log->measures);
	conform_lines_free(&log->kept);
	*log = (struct conform_log){.tests = NULL};
}

/* Whether @line begins with @prefix; *rest is what follows it. */
static bool begins(const char *line, const char *prefix, const char **rest)
{
	size_t length = strlen(prefix);

	if (strncmp(line, prefix, length))
		return false;
	*rest = line + length;
	return true;
}

/*
 * Replaces bytes that are not ASCII: the guest prints only ASCII, so they are damage, and reports
 * need valid UTF-8.
 */
static void make_plain(char *text)
{
	text_make_printable(text);
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			*text = '?';
}

/* Copies @length bytes of @text as ASCII, truncated to @size. */
static void keep(char *to, size_t size, const char *text, size_t length)
{
	snprintf(to, size, "%.*s", (int)(length < size ? length : size - 1), text);
	make_plain(to);
}

#define KEEP(to, text, length) keep(to, sizeof(to), text, length)

/*
 * Finds test @number, and makes room for it. *test is NULL when no guest has such a number, so the
 * line was damaged. Returns 0 or -ENOMEM.
 */
static int get_test(struct conform_log *log, unsigned long number, struct conform_test **test,
		    struct error *error)
{
	*test = NULL;
	if (number == 0 || number > CONFORM_TESTS_MAX) {
		log->damaged = true;
		return 0;
	}
	if (number > log->room) {
		size_t room = number < 128 ? 128 : number * 2;
		struct conform_test *tests = realloc(log->tests, room * sizeof(*tests));

		if (!tests)
			return error_set(error, ENOMEM, "out of memory");
		memset(tests + log->room, 0, (room - log->room) * sizeof(*tests));
		log->tests = tests;
		log->room = room;
	}
	if (number > log->count)
		log->count = number;
	*test = &log->tests[number - 1];
	return 0;
}

/* A failure or hang is final. */
static bool is_bad(const struct conform_test *test)
{
	return test->verdict == CONFORM_FAIL || test->verdict == CONFORM_WEDGED ||
	       test->verdict == CONFORM_UNSTABLE;
}

bool conform_wants_repeat(const struct conform_test *test)
{
	return test->verdict == CONFORM_FAIL || test->verdict == CONFORM_WEDGED;
}

/* The number of the test, or the next one if there is none. */
static size_t find_test(const struct conform_log *log, const char *name)
{
	size_t number = 1;

	while (number <= log->count && strcmp(log->tests[number - 1].name, name))
		number++;
	return number;
}

/* A boot that repeats a test came to its end. */
static void end_repeat(struct conform_log *log)
{
	size_t number = find_test(log, log->repeat);

	if (log->repeat_passed && number <= log->count &&
	    conform_wants_repeat(&log->tests[number - 1]))
		log->tests[number - 1].verdict = CONFORM_UNSTABLE;
	log->repeat_passed = false;
}

static void wedge(struct conform_test *test, const char *message)
{
	if (is_bad(test))
		return;
	test->verdict = CONFORM_WEDGED;
	test->left_out = false;
	KEEP(test->message, message, strlen(message));
}

/* Ends a boot. If the guest did not announce the end, blames the test that was running. */
static void end_boot(struct conform_log *log)
{
	bool begun = false;

	/* Of a test that is repeated the verdict of the first time remains. */
	if (log->repeat[0])
		log->in_boot = false;
	for (size_t i = 0; i < log->count && !log->repeat[0]; i++) {
		if (log->tests[i].verdict != CONFORM_BEGUN)
			continue;
		wedge(&log->tests[i], "the guest printed nothing more");
		begun = true;
	}
	if (log->in_boot && !begun && log->last && !log->restart_announced)
		wedge(&log->tests[log->last - 1], "the hypervisor ended after it");
	log->lost |= log->in_boot && !begun && !log->last;
	log->in_boot = log->in_details = log->reset_announced = log->restart_announced = false;
	log->repeat[0] = 0;
	log->current = log->last = 0;
}

/* What a boot's line says of its run, without the test that it repeats. */
static size_t machine_length(const char *machine)
{
	const char *repeat = strstr(machine, REPEAT);

	return repeat ? (size_t)(repeat - machine) : strlen(machine);
}

static bool is_same_machine(const char *boot, const char *before)
{
	size_t length;

	boot += strcspn(boot, " ");
	before += strcspn(before, " ");
	length = machine_length(boot);
	return length == machine_length(before) && !memcmp(boot, before, length);
}

/*
 * "boot 1 suite 2.0.0 contract 0.2.0 …", and "… repeat NAME" if it runs only this test again. The
 * rest of it describes the run, and is the same in all its boots.
 */
static int take_boot(struct conform_log *log, const char *text, struct error *error)
{
	unsigned long number = strtoul(text, NULL, 10);
	const char *repeat = strstr(text, REPEAT);
	/*
	 * A boot with the same number has lost what the guest keeps over a reset: it would reset
	 * forever. Boots that the host starts have higher numbers than those before.
	 */
	bool higher = !log->in_boot || number > log->number;
	bool resumes = log->reset_announced && higher;
	char suite[20] = "", version[20] = "", name[sizeof(log->repeat)] = "";
	struct error mismatch;

	if (repeat)
		KEEP(name, repeat + strlen(REPEAT), strcspn(repeat + strlen(REPEAT), " "));
	resumes = resumes && !strcmp(name, log->repeat);
	if (log->said_end && number > log->number)
		log->said_end = false;
	log->unannounced = log->said_end || (log->in_boot && !resumes);
	if (log->repeats_only && !name[0]) {
		log->unannounced = true;
		return 0;
	}
	/*
	 * The power off was a reset. Ignore this boot: it would only run to its end again.
	 */
	if (log->said_end)
		return conform_log_fail(log, "pwr_off", "AVP-PWR-001",
					"the guest was restarted after its end", error);
	/* A boot that the host starts has a higher number than all before, or is of another run. */
	log->mixed |= log->boots && !log->in_boot && !log->reset_announced && !name[0] &&
		      number <= log->highest;
	if (!resumes)
		end_boot(log);
	log->in_boot = true;
	log->reset_announced = log->restart_announced = log->in_details = false;
	log->current = log->last = 0;
	log->number = number;
	if (!name[0] && number > log->highest)
		log->highest = number;
	log->boots++;
	log->lines = 0;
	log->crc = 0;
	log->mixed |= log->boot[0] && !is_same_machine(text, log->boot);
	sscanf(text, "%*u suite %19s contract %19s", suite, version);
	log->other_suite |= strcmp(suite, SUITE_VERSION) != 0;
	log->other_contract |=
		contract_compare(version, CONTRACT_VERSION, CONTRACT_PROFILES, &mismatch) != 0;
	log->repeat_passed = false;
	memcpy(log->repeat, name, sizeof(name));
	if (name[0])
		return 0;
	log->ended = false;
	log->device_count = 0;
	KEEP(log->boot, text, strlen(text));
	return 0;
}

/* "… lines 312 crc 0x…": compares with the lines so far. False: the line has no sums. */
static bool take_sums(struct conform_log *log, const char *text)
{
	const char *lines = strstr(text, " lines "), *crc = strstr(text, " crc ");

	if (!lines || !crc)
		return false;
	if (strtoull(lines + strlen(" lines "), NULL, 10) != log->lines ||
	    strtoull(crc + strlen(" crc "), NULL, 16) != log->crc)
		log->damaged = true;
	return true;
}

/* "end passed 80 … lines 312 crc 0x…". In a single boot the counts must match the verdicts. */
static void take_end(struct conform_log *log, const char *text)
{
	unsigned long passed = 0, failed = 0, wedged = 0, skipped = 0;
	bool whole = take_sums(log, text);

	if (log->repeat[0])
		end_repeat(log);
	else
		log->ended = whole;
	sscanf(text, "passed %lu failed %lu wedged %lu skipped %lu", &passed, &failed, &wedged,
	       &skipped);
	if (log->boots == 1 && (passed != conform_log_count(log, CONFORM_PASS) ||
				failed != conform_log_count(log, CONFORM_FAIL) ||
				wedged != conform_log_count(log, CONFORM_WEDGED) ||
				skipped != conform_log_count(log, CONFORM_SKIPPED)))
		log->damaged = true;
	log->said_end = true;
	log->in_boot = false;
	log->taken++;
	end_boot(log);
}

static struct conform_measure *find_measure(struct conform_log *log, const char *name,
					    size_t length)
{
	for (size_t i = 0; i < log->measure_count; i++)
		if (!strncmp(log->measures[i].name, name, length) && !log->measures[i].name[length])
			return &log->measures[i];
	return NULL;
}

/* "result NAME UNIT n 1000 min 1 p50 2 p90 3 p99 4 max 5 sum 6" */
static int take_measure(struct conform_log *log, const char *text, struct error *error)
{
	struct conform_measure measure = {.count = 0}, *place;

	if (sscanf(text,
		   "%63s %15s n %" SCNu64 " min %" SCNu64 " p50 %" SCNu64 " p90 %" SCNu64
		   " p99 %" SCNu64 " max %" SCNu64 " sum %" SCNu64,
		   measure.name, measure.unit, &measure.count, &measure.minimum, &measure.p50,
		   &measure.p90, &measure.p99, &measure.maximum, &measure.sum) != 9)
		return 0;
	make_plain(measure.name);
	make_plain(measure.unit);
	place = find_measure(log, measure.name, strlen(measure.name));
	if (!place && log->measure_count == CONFORM_MEASURES_MAX)
		return 0;
	if (!log->measures)
		log->measures = calloc(CONFORM_MEASURES_MAX, sizeof(*log->measures));
	if (!log->measures)
		return error_set(error, ENOMEM, "out of memory");
	if (!place)
		place = &log->measures[log->measure_count++];
	*place = measure;
	return 0;
}

/* "bucket NAME LIMIT COUNT" */
static void take_bucket(struct conform_log *log, const char *text)
{
	size_t length = strcspn(text, " ");
	struct conform_measure *measure = find_measure(log, text, length);
	uint64_t limit, count;

	if (!measure || sscanf(text + length, " %" SCNu64 " %" SCNu64, &limit, &count) != 2 ||
	    limit == 0 || limit & (limit - 1))
		return;
	measure->buckets[__builtin_ctzll(limit)] = count;
}

/*
 * "begin NUMBER NAME lines … crc … # REQUIREMENTS": a test that hangs prints nothing after it.
 */
static int take_begin(struct conform_log *log, const char *text, struct error *error)
{
	char *name;
	unsigned long number = strtoul(text, &name, 10);
	struct conform_test *test;
	int result = get_test(log, number, &test, error);
	const char *note;

	if (!test)
		return result;
	log->last = number;
	log->current = is_bad(test) && !log->repeat[0] ? 0 : number;
	if (is_bad(test) || log->repeat[0])
		return 0;
	*test = (struct conform_test){.verdict = CONFORM_BEGUN};
	name += strspn(name, " ");
	note = strstr(name, " # ");
	KEEP(test->name, name, strcspn(name, " "));
	if (note)
		KEEP(test->requirements, note + 3, strlen(note + 3));
	return 0;
}

static int take_own(struct conform_log *log, const char *text, struct error *error)
{
	const char *rest;

	if (begins(text, "begin ", &rest))
		return take_begin(log, rest, error);
	if (log->repeat[0])
		return 0;
	if (begins(text, "result ", &rest))
		return take_measure(log, rest, error);
	if (begins(text, "bucket ", &rest)) {
		take_bucket(log, rest);
	} else if (begins(text, "hypervisor ", &rest)) {
		KEEP(log->hypervisor, rest, strlen(rest));
	} else if (begins(text, "device ", &rest) && log->device_count < CONFORM_DEVICES_MAX) {
		KEEP(log->devices[log->device_count], rest, strlen(rest));
		log->device_count++;
	}
	return 0;
}

/* "NUMBER - NAME # REQUIREMENTS", or "# SKIP REASON" */
static int take_verdict(struct conform_log *log, const char *text, bool passed, struct error *error)
{
	char *name;
	unsigned long number = strtoul(text, &name, 10);
	struct conform_test *test;
	int result = get_test(log, number, &test, error);
	const char *note, *reason;
	bool left_out;

	if (!test)
		return result;
	if (!strncmp(name, " - ", 3))
		name += 3;
	note = strstr(name, " # ");
	left_out = passed && note && begins(note, " # SKIP " LEFT_OUT, &reason);
	log->reset_announced = false;
	if (!left_out || !log->last)
		log->last = number;
	log->current = 0;
	if (log->repeat[0]) {
		if (!left_out && note && !strncmp(name, log->repeat, (size_t)(note - name)))
			log->repeat_passed = passed && !log->repeat[note - name];
		return 0;
	}
	/* A later boot leaves out earlier tests, which have their verdicts. */
	if (is_bad(test) || (left_out && test->verdict != CONFORM_UNKNOWN))
		return 0;
	KEEP(test->name, name, note ? (size_t)(note - name) : strlen(name));
	test->message[0] = test->at[0] = test->requirements[0] = 0;
	test->left_out = left_out;
	test->verdict = passed ? CONFORM_PASS : CONFORM_FAIL;
	if (passed && note && begins(note, " # SKIP", &reason)) {
		test->verdict = CONFORM_SKIPPED;
		reason += strspn(reason, " ");
		KEEP(test->message, reason, strlen(reason));
	} else if (note) {
		KEEP(test->requirements, note + 3, strlen(note + 3));
	}
	log->current = number;
	return 0;
}

/* The value of a line "  KEY: VALUE" or "  KEY: "VALUE"", or NULL. */
static const char *detail(const char *line, const char *key, size_t *length)
{
	const char *value;

	if (!begins(line, key, &value))
		return NULL;
	value += strspn(value, " ");
	*length = strlen(value);
	if (*length >= 2 && value[0] == '"' && value[*length - 1] == '"') {
		value++;
		*length -= 2;
	}
	return value;
}

static void take_detail(struct conform_log *log, const char *line)
{
	struct conform_test *test = log->current ? &log->tests[log->current - 1] : NULL;
	const char *value;
	size_t length;

	if (!strcmp(line, "...")) {
		log->in_details = false;
		return;
	}
	if (!test || log->repeat[0])
		return;
	value = detail(line, "verdict:", &length);
	if (value && test->verdict == CONFORM_FAIL && length == strlen("wedged") &&
	    !strncmp(value, "wedged", length))
		test->verdict = CONFORM_WEDGED;
	value = detail(line, "message:", &length);
	if (value)
		KEEP(test->message, value, length);
	value = detail(line, "at:", &length);
	if (value)
		KEEP(test->at, value, length);
}

/* A line that is the guest's own. */
static int take_own_line(struct conform_log *log, const char *line, struct error *error)
{
	struct conform_test *test;
	const char *rest;

	if (begins(line, OWN, &rest))
		return take_own(log, rest, error);
	if (begins(line, "ok ", &rest))
		return take_verdict(log, rest, true, error);
	if (begins(line, "not ok ", &rest))
		return take_verdict(log, rest, false, error);
	/* The plan gives the number of tests, also of those that never begin. */
	if (begins(line, "1..", &rest) && isdigit((unsigned char)*rest) && strtoul(rest, NULL, 10))
		return get_test(log, strtoul(rest, NULL, 10), &test, error);
	if (!strcmp(line, "  ---"))
		log->in_details = true;
	else if (log->in_details)
		take_detail(log, line + 2);
	return 0;
}

static int take_line(struct conform_log *log, const char *line, struct error *error)
{
	const char *rest;
	int result = 0;

	if (begins(line, OWN "boot ", &rest))
		result = take_boot(log, rest, error);
	if (!log->in_boot || result < 0)
		return result;
	if (begins(line, OWN "end ", &rest)) {
		take_end(log, rest);
		return 0;
	}
	if (strncmp(line, OWN, strlen(OWN)) && strncmp(line, "ok ", 3) &&
	    strncmp(line, "not ok ", 7) && strncmp(line, "TAP version ", 12) &&
	    strncmp(line, "1..", 3) && strcmp(line, "  ---") &&
	    !(log->in_details && !strncmp(line, "  ", 2)))
		return 0;
	/* The boot may end here: a test resets, and continues in the next boot. */
	if (begins(line, OWN "reset ", &rest))
		log->reset_announced = take_sums(log, rest);
	/* The boot ends here, and another one continues. */
	if (begins(line, OWN "restart ", &rest)) {
		log->reset_announced = log->restart_announced = take_sums(log, rest);
		if (log->repeat[0] && log->restart_announced)
			end_repeat(log);
	}
	/* If this test hangs, no other line has the sums. */
	if (begins(line, OWN "begin ", &rest) && !take_sums(log, rest))
		log->damaged = true;
	log->taken++;
	log->lines++;
	log->crc = crc32_add(crc32_add(log->crc, line, strlen(line)), "\n", 1);
	result = take_own_line(log, line, error);
	return result < 0 ? result : conform_lines_add(&log->kept, log->last, line, error);
}

int conform_log_add(struct conform_log *log, const char *line, struct error *error)
{
	char copy[CONFORM_LINE_MAX * 2];
	size_t length;

	/* A console may add carriage returns to lines. */
	line += strspn(line, "\r");
	length = strlen(line);
	while (length && line[length - 1] == '\r')
		length--;
	/* Longer lines are not the guest's, or damaged. */
	if (length >= sizeof(copy))
		length = sizeof(copy) - 1;
	memcpy(copy, line, length);
	copy[length] = 0;
	return take_line(log, copy, error);
}

/* "NAME REQUIREMENT MESSAGE" */
static int take_failed(struct conform_log *log, const char *text, struct error *error)
{
	char name[64], requirement[64];
	int at = 0;

	if (sscanf(text, "%63s %63s %n", name, requirement, &at) != 2 || !at) {
		log->damaged = true;
		return 0;
	}
	return conform_log_fail(log, name, requirement, text + at, error);
}

int conform_log_add_kept(struct conform_log *log, const char *line, struct error *error)
{
	const char *rest;

	if (begins(line, CONFORM_FAILED, &rest))
		return take_failed(log, rest, error);
	if (!strcmp(line, CONFORM_ENDED))
		conform_log_finish(log);
	else if (begins(line, CONFORM_OFF, &rest))
		conform_log_off(log, rest);
	else
		return conform_log_add(log, line, error);
	return 0;
}

static void close_file(FILE **file)
{
	if (*file && *file != stdin)
		fclose(*file);
}

int conform_log_read(struct conform_log *log, const char *path, struct error *error)
{
	__attribute__((cleanup(close_file))) FILE *file = strcmp(path, "-") ? fopen(path, "re") :
									      stdin;
	cleanup_free char *line = NULL;
	size_t room = 0;
	int result = 0;

	if (!file)
		return error_set_usage(error, "%s: %s; check the path and its permissions", path,
				       strerror(errno));
	/* After a reset the next log continues this one: the guest kept its state on its disk. */
	if (log->reset_announced)
		log->in_boot = false;
	else
		conform_log_finish(log);
	while (result == 0 && getline(&line, &room, file) >= 0) {
		line[strcspn(line, "\n")] = 0;
		result = conform_log_add_kept(log, line, error);
	}
	if (result == 0 && ferror(file))
		result = error_set_errno(error, errno, "%s", path);
	else if (result < 0)
		error_prefix(error, "%s", path);
	return result;
}

void conform_log_finish(struct conform_log *log)
{
	end_boot(log);
	log->said_end = false;
}

const char *const conform_off_tests[] = {"pwr_off", "pwr_off_secondary", NULL};

size_t conform_log_find_fatal(const struct conform_log *log, const char *name)
{
	for (size_t i = 0; i < log->count; i++)
		if (!strcmp(log->tests[i].name, name) && log->tests[i].verdict == CONFORM_SKIPPED &&
		    strstr(log->tests[i].message, "fatal=1"))
			return i + 1;
	return 0;
}

void conform_log_off(struct conform_log *log, const char *name)
{
	struct conform_test *test = log->current ? &log->tests[log->current - 1] : NULL;

	if (!log->in_boot || !test || strcmp(test->name, name))
		return;
	if (log->repeat[0]) {
		log->repeat_passed = true;
		end_repeat(log);
	} else if (test->verdict != CONFORM_BEGUN) {
		return;
	} else {
		test->verdict = CONFORM_PASS;
		log->ended = true;
	}
	log->in_boot = false;
}

int conform_log_fail(struct conform_log *log, const char *name, const char *requirements,
		     const char *message, struct error *error)
{
	struct conform_test *test;
	int result = get_test(log, find_test(log, name), &test, error);

	if (!test || is_bad(test))
		return result;
	*test = (struct conform_test){.verdict = CONFORM_FAIL};
	KEEP(test->name, name, strlen(name));
	KEEP(test->requirements, requirements, strlen(requirements));
	KEEP(test->message, message, strlen(message));
	return 0;
}

size_t conform_log_next(const struct conform_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		if (log->tests[i].verdict == CONFORM_UNKNOWN)
			return i + 1;
	return 0;
}

bool conform_is_bad(const struct conform_test *test)
{
	return test->verdict != CONFORM_PASS && test->verdict != CONFORM_SKIPPED;
}

bool conform_is_waived(const struct conform_test *test)
{
	return test->waived && conform_is_bad(test);
}

const char *conform_state_describe(enum conform_state state)
{
	return state_texts[state];
}

enum conform_state conform_log_state(const struct conform_log *log)
{
	if (log->boots == 0)
		return CONFORM_EMPTY;
	/* First, because another suite may have other sums. */
	if (log->other_suite)
		return CONFORM_OTHER_SUITE;
	if (log->damaged)
		return CONFORM_DAMAGED;
	if (log->other_contract)
		return CONFORM_OTHER;
	if (log->mixed)
		return CONFORM_MIXED;
	return log->ended && !log->lost && log->count > 0 && conform_log_next(log) == 0 ?
		       CONFORM_COMPLETE :
		       CONFORM_INCOMPLETE;
}

size_t conform_log_count(const struct conform_log *log, enum conform_verdict verdict)
{
	size_t count = 0;

	for (size_t i = 0; i < log->count; i++)
		count += log->tests[i].verdict == verdict;
	return count;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The log of the conformance guest. Each boot counts its lines and sums them up, and says both in its
 * last line: what a console dropped or changed shows there.
 */
#include "runtime/conform_log.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/crc32.h"
#include "base/text.h"

#define OWN	 "avp-conform: "
#define LEFT_OUT "not selected"

static const char *const verdict_names[CONFORM_VERDICTS] = {
	[CONFORM_UNKNOWN] = "unknown", [CONFORM_BEGUN] = "begun",   [CONFORM_PASS] = "pass",
	[CONFORM_FAIL] = "fail",       [CONFORM_WEDGED] = "wedged", [CONFORM_SKIPPED] = "skipped",
};

const char *conform_verdict_name(enum conform_verdict verdict)
{
	return verdict_names[verdict];
}

void conform_log_free(struct conform_log *log)
{
	free(log->tests);
	free(log->measures);
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

/* The guest says nothing but ASCII: another byte is damage, and may be no UTF-8, as reports need it. */
static void make_plain(char *text)
{
	text_make_printable(text);
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			*text = '?';
}

/* Copies the first @length bytes of @text, made plain and cut to what fits. */
static void keep(char *to, size_t size, const char *text, size_t length)
{
	snprintf(to, size, "%.*s", (int)(length < size ? length : size - 1), text);
	make_plain(to);
}

#define KEEP(to, text, length) keep(to, sizeof(to), text, length)

/*
 * The test with that number, made room for: *test, NULL when no guest says such a number, so that the
 * line came otherwise than it was sent. Returns 0 or -ENOMEM.
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

/* A boot is over, by its end or as another one begins. */
static void end_boot(struct conform_log *log)
{
	for (size_t i = 0; i < log->count; i++) {
		struct conform_test *test = &log->tests[i];

		if (test->verdict != CONFORM_BEGUN)
			continue;
		test->verdict = CONFORM_WEDGED;
		if (!test->message[0])
			KEEP(test->message, "the guest was not heard of again",
			     sizeof(test->message));
	}
	log->in_boot = log->in_details = log->reset_announced = false;
	log->current = 0;
}

/* "boot 1 contract …" */
static void take_boot(struct conform_log *log, const char *text)
{
	log->unannounced = log->in_boot && !log->reset_announced;
	end_boot(log);
	log->in_boot = true;
	log->ended = false;
	log->boots++;
	log->lines = 0;
	log->crc = 0;
	log->device_count = 0;
	KEEP(log->boot, text, strlen(text));
}

/* "… lines 312 crc 0x…": compares with what came before. False: they are not in it. */
static bool take_sums(struct conform_log *log, const char *text)
{
	const char *lines = strstr(text, "lines "), *crc = strstr(text, "crc ");

	if (!lines || !crc)
		return false;
	if (strtoull(lines + strlen("lines "), NULL, 10) != log->lines ||
	    strtoull(crc + strlen("crc "), NULL, 16) != log->crc)
		log->damaged = true;
	return true;
}

/* "end passed 80 … lines 312 crc 0x…" */
static void take_end(struct conform_log *log, const char *text)
{
	log->ended = take_sums(log, text);
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

/* "begin NUMBER NAME # REQUIREMENTS": of one that hangs, nothing else will be heard. */
static int take_begin(struct conform_log *log, const char *text, struct error *error)
{
	char *name;
	unsigned long number = strtoul(text, &name, 10);
	struct conform_test *test;
	int result = get_test(log, number, &test, error);
	const char *note;

	if (!test)
		return result;
	*test = (struct conform_test){.verdict = CONFORM_BEGUN};
	name += strspn(name, " ");
	note = strstr(name, " # ");
	KEEP(test->name, name, note ? (size_t)(note - name) : strlen(name));
	if (note)
		KEEP(test->requirements, note + 3, strlen(note + 3));
	log->current = number;
	return 0;
}

static int take_own(struct conform_log *log, const char *text, struct error *error)
{
	const char *rest;

	if (begins(text, "begin ", &rest))
		return take_begin(log, rest, error);
	if (begins(text, "result ", &rest))
		return take_measure(log, rest, error);
	if (begins(text, "bucket ", &rest))
		take_bucket(log, rest);
	else if (begins(text, "hypervisor ", &rest))
		KEEP(log->hypervisor, rest, strlen(rest));
	else if (begins(text, "device ", &rest) && log->device_count < CONFORM_DEVICES_MAX)
		KEEP(log->devices[log->device_count++], rest, strlen(rest));
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
	/* In a boot that begins later, those before it are left out, and have their verdicts. */
	if (left_out && test->verdict != CONFORM_UNKNOWN)
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
	log->reset_announced = false;
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
	if (!test)
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

int conform_log_add(struct conform_log *log, const char *line, struct error *error)
{
	struct conform_test *test;
	const char *rest;

	if (begins(line, OWN "boot ", &rest))
		take_boot(log, rest);
	if (!log->in_boot)
		return 0;
	if (begins(line, OWN "end ", &rest)) {
		take_end(log, rest);
		return 0;
	}
	if (strncmp(line, OWN, strlen(OWN)) && strncmp(line, "ok ", 3) &&
	    strncmp(line, "not ok ", 7) && strncmp(line, "TAP version ", 12) &&
	    strncmp(line, "1..", 3) && strcmp(line, "  ---") &&
	    !(log->in_details && !strncmp(line, "  ", 2)))
		return 0;
	/* The boot may end here, in the reset of a test that begins again in the next one. */
	if (begins(line, OWN "reset ", &rest))
		log->reset_announced = take_sums(log, rest);
	log->lines++;
	log->crc = crc32_add(crc32_add(log->crc, line, strlen(line)), "\n", 1);
	if (begins(line, OWN, &rest))
		return take_own(log, rest, error);
	if (begins(line, "ok ", &rest))
		return take_verdict(log, rest, true, error);
	if (begins(line, "not ok ", &rest))
		return take_verdict(log, rest, false, error);
	/* The plan makes those known of which nothing will be heard. */
	if (begins(line, "1..", &rest) && isdigit((unsigned char)*rest) && strtoul(rest, NULL, 10))
		return get_test(log, strtoul(rest, NULL, 10), &test, error);
	if (!strcmp(line, "  ---"))
		log->in_details = true;
	else if (log->in_details)
		take_detail(log, line + 2);
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
	while (result == 0 && getline(&line, &room, file) >= 0) {
		/* A console may give each line a start and an end of its own. */
		char *start = line + strspn(line, "\r");

		start[strcspn(start, "\r\n")] = 0;
		result = conform_log_add(log, start, error);
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
}

size_t conform_log_next(const struct conform_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		if (log->tests[i].verdict == CONFORM_UNKNOWN)
			return i + 1;
	return 0;
}

enum conform_state conform_log_state(const struct conform_log *log)
{
	if (log->boots == 0)
		return CONFORM_EMPTY;
	if (log->damaged)
		return CONFORM_DAMAGED;
	return log->ended && log->count > 0 && conform_log_next(log) == 0 ? CONFORM_COMPLETE :
									    CONFORM_INCOMPLETE;
}

size_t conform_log_count(const struct conform_log *log, enum conform_verdict verdict)
{
	size_t count = 0;

	for (size_t i = 0; i < log->count; i++)
		count += log->tests[i].verdict == verdict;
	return count;
}

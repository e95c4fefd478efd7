// SPDX-License-Identifier: BSD-3-Clause
/* Reads a file of waivers. */
#include "conform/conform_waiver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "conform/contract_table.h"

#define BLANKS	    " \t\r\n"
#define WAIVERS_MAX 512
#define UNTIL	    "until"

void conform_waivers_free(struct conform_waivers *waivers)
{
	free(waivers->list);
	*waivers = (struct conform_waivers){.list = NULL};
}

static const struct conform_waiver *find(const struct conform_waivers *waivers, const char *name)
{
	for (size_t i = 0; i < waivers->count; i++)
		if (!strcmp(waivers->list[i].name, name))
			return &waivers->list[i];
	return NULL;
}

const struct conform_waiver *conform_waivers_find(const struct conform_waivers *waivers,
						  const char *name)
{
	const struct conform_waiver *waiver = find(waivers, name);

	return waiver && !waiver->expired ? waiver : NULL;
}

/* Returns the next word of *text and ends it there; "" at the end. */
static char *next_word(char **text)
{
	char *word = *text + strspn(*text, BLANKS);
	size_t length = strcspn(word, BLANKS);

	*text = word + length + (word[length] != 0);
	word[length] = 0;
	return word;
}

/* YYYY-MM-DD of a day that exists. */
static bool is_date(const char *text)
{
	struct tm day = {.tm_year = 0}, same;
	char again[12];

	if (strlen(text) != 10 ||
	    sscanf(text, "%4d-%2d-%2d", &day.tm_year, &day.tm_mon, &day.tm_mday) != 3)
		return false;
	day.tm_year -= 1900;
	day.tm_mon -= 1;
	same = day;
	return timegm(&same) != (time_t)-1 && strftime(again, sizeof(again), "%Y-%m-%d", &same) &&
	       !strcmp(text, again);
}

static int refuse(const struct conform_waivers *waivers, size_t number, struct error *error)
{
	return error_set_usage(error,
			       "%s:%zu: write NAME until YYYY-MM-DD REASON: a waiver has a last "
			       "day and a reason",
			       waivers->path, number);
}

int conform_waivers_add(struct conform_waivers *waivers, const struct conform_waiver *added,
			const char *today, struct error *error)
{
	const struct conform_waiver *same = find(waivers, added->name);

	if (!is_date(added->until) || !added->reason[0])
		return refuse(waivers, added->line, error);
	if (!contract_has_name(added->name))
		return error_set_usage(error,
				       "%s:%zu: the contract has no test, requirement or row '%s'; "
				       "correct the name, or remove the line",
				       waivers->path, added->line, added->name);
	if (same)
		return error_set_usage(error, "%s:%zu: %s is already in line %zu", waivers->path,
				       added->line, added->name, same->line);
	if (waivers->count == WAIVERS_MAX)
		return error_set_usage(error, "%s:%zu: more than %d waivers", waivers->path,
				       added->line, WAIVERS_MAX);
	if (!waivers->list)
		waivers->list = calloc(WAIVERS_MAX, sizeof(*waivers->list));
	if (!waivers->list)
		return error_set(error, ENOMEM, "out of memory");
	waivers->list[waivers->count] = *added;
	waivers->list[waivers->count++].expired = strcmp(added->until, today) < 0;
	return 0;
}

/* Parses one line; an empty one is skipped. */
static int take_line(struct conform_waivers *waivers, char *line, size_t number, const char *today,
		     struct error *error)
{
	struct conform_waiver waiver = {.line = number};
	char *name, *until, *date;
	size_t length;

	line[strcspn(line, "#")] = 0;
	name = next_word(&line);
	if (!*name)
		return 0;
	until = next_word(&line);
	date = next_word(&line);
	line += strspn(line, BLANKS);
	for (length = strlen(line); length && strchr(BLANKS, line[length - 1]);)
		line[--length] = 0;
	if (strcmp(until, UNTIL) != 0)
		return refuse(waivers, number, error);
	snprintf(waiver.name, sizeof(waiver.name), "%s", name);
	snprintf(waiver.until, sizeof(waiver.until), "%s", date);
	snprintf(waiver.reason, sizeof(waiver.reason), "%s", line);
	text_make_printable(waiver.name);
	text_make_printable(waiver.reason);
	return conform_waivers_add(waivers, &waiver, today, error);
}

int conform_waivers_read(struct conform_waivers *waivers, const char *path, time_t now,
			 struct error *error)
{
	cleanup_file FILE *file = fopen(path, "re");
	cleanup_free char *line = NULL;
	size_t room = 0, number = 0;
	struct tm fields;
	char today[12];
	int result = 0;

	waivers->path = path;
	if (!file)
		return error_set_usage(error,
				       "--waivers: %s: %s; check the path and its permissions",
				       path, strerror(errno));
	if (!gmtime_r(&now, &fields) || !strftime(today, sizeof(today), "%Y-%m-%d", &fields))
		return error_set(error, EINVAL, "the time is out of range");
	while (result == 0 && getline(&line, &room, file) >= 0)
		result = take_line(waivers, line, ++number, today, error);
	if (result == 0 && ferror(file))
		result = error_set_errno(error, errno, "%s", path);
	return result;
}

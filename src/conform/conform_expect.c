// SPDX-License-Identifier: BSD-3-Clause
/*
 * Known failures of the conformance guest.
 */
#include "conform/conform_expect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

#define BLANKS " \t\r\n"
/* guest/conform/build makes none that is larger than 1 MiB. */
#define IMAGE_SIZE_MAX (4u << 20)

void conform_expect_free(struct conform_expect *expect)
{
	free(expect->known);
	*expect = (struct conform_expect){.known = NULL};
}

static const struct conform_known *find(const struct conform_expect *expect, const char *name)
{
	for (size_t i = 0; i < expect->count; i++)
		if (!strcmp(expect->known[i].name, name))
			return &expect->known[i];
	return NULL;
}

/* Removes a comment, and blanks at both ends. */
static char *trim(char *text)
{
	size_t length;

	text[strcspn(text, "#")] = 0;
	text += strspn(text, BLANKS);
	length = strlen(text);
	while (length && strchr(BLANKS, text[length - 1]))
		length--;
	text[length] = 0;
	return text;
}

/* Parses NAME or NAME REASON; an empty line is skipped. */
static int take_line(struct conform_expect *expect, char *line, size_t number, struct error *error)
{
	char *name = trim(line);
	size_t length = strcspn(name, BLANKS);
	const char *reason = name + length + strspn(name + length, BLANKS);
	struct conform_known *known;

	if (!*name)
		return 0;
	name[length] = 0;
	text_make_printable(name);
	if (length >= sizeof(known->name) ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")])
		return error_set_usage(error, "%s:%zu: '%.80s' is not the name of a test",
				       expect->path, number, name);
	if (find(expect, name))
		return error_set_usage(error, "%s:%zu: %s is already in line %zu", expect->path,
				       number, name, find(expect, name)->line);
	if (expect->count == CONFORM_TESTS_MAX)
		return error_set_usage(error, "%s:%zu: more than %d tests", expect->path, number,
				       CONFORM_TESTS_MAX);
	known = &expect->known[expect->count++];
	*known = (struct conform_known){.line = number};
	snprintf(known->name, sizeof(known->name), "%s", name);
	snprintf(known->reason, sizeof(known->reason), "%s", reason);
	text_make_printable(known->reason);
	return 0;
}

int conform_expect_read(struct conform_expect *expect, const char *path, struct error *error)
{
	cleanup_file FILE *file = fopen(path, "re");
	cleanup_free char *line = NULL;
	size_t room = 0, number = 0;
	int result = 0;

	expect->path = path;
	if (!file)
		return error_set_usage(error,
				       "--expect: %s: %s; check the path and its permissions", path,
				       strerror(errno));
	expect->known = calloc(CONFORM_TESTS_MAX, sizeof(*expect->known));
	if (!expect->known)
		return error_set(error, ENOMEM, "out of memory");
	while (result == 0 && getline(&line, &room, file) >= 0)
		result = take_line(expect, line, ++number, error);
	if (result == 0 && ferror(file))
		result = error_set_errno(error, errno, "%s", path);
	return result;
}

static int refuse_name(const struct conform_expect *expect, const struct conform_known *known,
		       struct error *error)
{
	return error_set_usage(error, "%s:%zu: there is no test '%s'; remove the line",
			       expect->path, known->line, known->name);
}

int conform_expect_check(const struct conform_expect *expect, const char *image,
			 struct error *error)
{
	cleanup_file FILE *file = fopen(image, "re");
	cleanup_free char *bytes = malloc(IMAGE_SIZE_MAX);
	size_t size;

	if (!bytes)
		return error_set(error, ENOMEM, "out of memory");
	if (!file)
		return error_set_errno(error, errno, "%s", image);
	size = fread(bytes, 1, IMAGE_SIZE_MAX, file);
	if (ferror(file))
		return error_set_errno(error, errno, "%s", image);
	for (size_t i = 0; i < expect->count; i++) {
		char marked[1 + sizeof(expect->known[i].name)];
		int length = snprintf(marked, sizeof(marked), "\1%s", expect->known[i].name);

		if (!memmem(bytes, size, marked, (size_t)length + 1))
			return refuse_name(expect, &expect->known[i], error);
	}
	return 0;
}

int conform_expect_apply(const struct conform_expect *expect, struct conform_log *log,
			 struct error *error)
{
	for (size_t i = 0; i < expect->count; i++) {
		const struct conform_known *known = &expect->known[i];
		bool found = false;

		for (size_t n = 0; n < log->count; n++)
			if (!strcmp(log->tests[n].name, known->name)) {
				log->tests[n].known = known->reason;
				found = true;
			}
		if (!found && conform_log_state(log) == CONFORM_COMPLETE)
			return refuse_name(expect, known, error);
	}
	return 0;
}

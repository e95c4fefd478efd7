// SPDX-License-Identifier: BSD-3-Clause
/* Keeps the guest's own lines of a log. */
#include "conform/conform_lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void conform_lines_free(struct conform_lines *lines)
{
	free(lines->list);
	free(lines->text);
	*lines = (struct conform_lines){.list = NULL};
}

/* Makes room for @needed elements of @each bytes. */
static int grow(void **array, size_t *room, size_t needed, size_t each, struct error *error)
{
	size_t more = *room ? *room : 1024;
	void *grown;

	if (needed <= *room)
		return 0;
	while (more < needed)
		more *= 2;
	grown = realloc(*array, more * each);
	if (!grown)
		return error_set(error, ENOMEM, "out of memory");
	*array = grown;
	*room = more;
	return 0;
}

int conform_lines_add(struct conform_lines *lines, size_t test, const char *line,
		      struct error *error)
{
	size_t length = strlen(line) + 1;
	int result;

	if (lines->count == CONFORM_LINES_MAX || length > CONFORM_TEXT_MAX - lines->used)
		return 0;
	result = grow((void **)&lines->list, &lines->room, lines->count + 1, sizeof(*lines->list),
		      error);
	if (result == 0)
		result = grow((void **)&lines->text, &lines->size, lines->used + length, 1, error);
	if (result < 0)
		return result;
	for (size_t i = 0; i < length; i++) {
		bool plain = !line[i] || (line[i] >= ' ' && line[i] <= '~');

		lines->text[lines->used + i] = plain ? line[i] : '?';
	}
	lines->list[lines->count++] = (struct conform_line){test, lines->used};
	lines->used += length;
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's own lines of a log, by the test in which they came, for reports.
 */
#ifndef AVP_CONFORM_CONFORM_LINES_H
#define AVP_CONFORM_CONFORM_LINES_H

#include <stddef.h>

#include "base/error.h"

/* Far above a real log; later lines are not kept. */
#define CONFORM_LINES_MAX 65536
#define CONFORM_TEXT_MAX  (8u << 20)

struct conform_line {
	size_t test;   /* number of the test; 0: before the first */
	size_t offset; /* in the text */
};

struct conform_lines {
	struct conform_line *list; /* allocated */
	size_t count, room;
	char *text; /* allocated: all lines, each with a zero at its end */
	size_t used, size;
};

/* A zeroed struct is empty. */
void conform_lines_free(struct conform_lines *lines);

/* Adds a copy of @line as ASCII. Returns 0, or -ENOMEM with *error set. */
int conform_lines_add(struct conform_lines *lines, size_t test, const char *line,
		      struct error *error);

#endif

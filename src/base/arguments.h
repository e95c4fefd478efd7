// SPDX-License-Identifier: BSD-3-Clause
/*
 * The argument list of a program to be started, built piece by piece.
 */
#ifndef AVP_BASE_ARGUMENTS_H
#define AVP_BASE_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Starts as {0}. Once memory has run out, additions do nothing and arguments_finish fails. */
struct arguments {
	char **items; /* allocated, as is each; a NULL follows the last */
	size_t count;
	bool failed;
};

/* Appends one argument. */
void arguments_add(struct arguments *arguments, const char *text);
void arguments_add_format(struct arguments *arguments, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Appends to the last argument. */
void arguments_extend(struct arguments *arguments, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The finished list, which lives as long as *arguments; NULL with *error set when memory ran out.
 */
const char *const *arguments_finish(const struct arguments *arguments, struct error *error);

/* Frees all of it. */
void arguments_clear(struct arguments *arguments);
#define cleanup_arguments __attribute__((cleanup(arguments_clear)))

#endif

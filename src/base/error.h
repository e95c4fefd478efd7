// SPDX-License-Identifier: BSD-3-Clause
/*
 * The one error object of the hosted code: a line that a person can act on, an errno for the
 * program, and whether the fault lies in the call or a file (exit status 2) or elsewhere (1).
 */
#ifndef AVP_BASE_ERROR_H
#define AVP_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#define ERROR_MESSAGE_SIZE 480

struct error {
	int code;   /* a positive errno value */
	bool usage; /* the call or a file that it names was wrong: exit status 2 */
	char message[ERROR_MESSAGE_SIZE]; /* one line, no trailing newline */
};

/*
 * Fills *error (which may be NULL) with a formatted line and the errno value @code (positive).
 * Returns -code, so that a failing function can say `return error_set(...)`.
 */
int error_set(struct error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As error_set, for mistakes in the call or in a file: the command ends with exit status 2. */
int error_set_usage(struct error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * As error_set, with ": " and the text of @code appended, and with the resource limit that may be
 * behind it, where there is one.
 */
int error_set_errno(struct error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Prepends a formatted text and ": " to the message, such as what was being done. */
void error_prefix(struct error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The exit status of a command that was called wrongly, or whose file is wrong. */
#define ERROR_EXIT_USAGE 2

/* The exit status that *error calls for: ERROR_EXIT_USAGE for usage errors, else 1. */
int error_exit_status(const struct error *error);

#endif

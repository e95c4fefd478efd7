// SPDX-License-Identifier: BSD-3-Clause
/*
 * Captures what is written to standard output or standard error, write by write.
 */
#ifndef AVP_TESTS_UNIT_CAPTURE_H
#define AVP_TESTS_UNIT_CAPTURE_H

#include <stdbool.h>

struct capture {
	int fd; /* whose output is captured */
	int saved;
	int reader;
	bool timed; /* number of lines of the last text whose time was removed */
	char text[65536];
};

/* Captures what is written to @fd, STDOUT_FILENO or STDERR_FILENO, until capture_stop. */
void capture_start(struct capture *capture, int fd);
void capture_stop(struct capture *capture);

/* The text of the next write(2); "" when there is none. Valid until the next call. */
const char *capture_next(struct capture *capture);

/* Removes the times from the lines of a log. Returns whether all lines had one. */
bool capture_take_times(char *text);

/* The text of all writes since the last call. */
const char *capture_all(struct capture *capture);

#endif

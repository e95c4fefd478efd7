// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads what is written to standard output or standard error meanwhile, write by write.
 */
#ifndef AVP_TESTS_UNIT_CAPTURE_H
#define AVP_TESTS_UNIT_CAPTURE_H

struct capture {
	int fd; /* whose output is captured */
	int saved;
	int reader;
	char text[65536];
};

/* Captures what is written to @fd, STDOUT_FILENO or STDERR_FILENO, until capture_stop. */
void capture_start(struct capture *capture, int fd);
void capture_stop(struct capture *capture);

/* The text of the next write(2); "" when there is none. Valid until the next call. */
const char *capture_next(struct capture *capture);

/* The text of all writes since the last call. */
const char *capture_all(struct capture *capture);

#endif

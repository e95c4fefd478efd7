// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs a program for the sake of what it prints.
 */
#ifndef AVP_BASE_PROCESS_OUTPUT_H
#define AVP_BASE_PROCESS_OUTPUT_H

#include "base/process.h"

/*
 * Starts @spawn, whose standard output becomes a pipe (and standard error too, if @with_errors),
 * writes what it prints to @text of @size bytes with a zero at the end, and waits for its end.
 * Blocks, at most @timeout_ms. Returns 0 with *status as process_reap gives it, or a negative errno
 * with *error set: -ETIMEDOUT: it did not end in time; -EOVERFLOW: it prints more than @size - 1
 * bytes. No process is left. @text is always terminated, and has what was read.
 */
int process_output_read(char *text, size_t size, struct process_spawn *spawn, bool with_errors,
			int timeout_ms, int *status, struct error *error);

#endif

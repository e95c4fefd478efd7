// SPDX-License-Identifier: BSD-3-Clause
/*
 * A file to which a service appends a record for each thing that passes, such as a frame. Records
 * are collected, and written when there are enough of them, or when the owner is idle and calls
 * record_file_flush.
 *
 * Writing never waits for a reader: what a pipe has no room for is kept for the next time, and
 * records that find no room then are lost and counted. Any other failure ends the file, with a line
 * in the log of the process. A record is written as a whole, unless the process is killed.
 */
#ifndef AVP_BASE_RECORD_FILE_H
#define AVP_BASE_RECORD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The longest record. */
#define RECORD_FILE_SIZE (128 * 1024)

struct record_file {
	int fd;		      /* -1: none, or it has ended */
	const char *option;   /* that named it, for messages; the caller's */
	uint64_t realtime_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC, when it was opened */
	uint64_t lost;	      /* records that were not written */
	size_t length;	      /* of what is collected */
	uint8_t bytes[RECORD_FILE_SIZE];
};

/*
 * Opens @path for appending, or, with NULL, none: then records go nowhere. Returns 0, or a negative
 * errno with *error set, a usage error that starts with @option.
 */
int record_file_open(struct record_file *file, const char *option, const char *path,
		     struct error *error);
static inline bool record_file_is_open(const struct record_file *file)
{
	return file->fd >= 0;
}

/*
 * Room for a record of at most @size bytes, which record_file_add adds, with its true length. NULL:
 * it is lost. Both only while the file is open.
 */
void *record_file_reserve(struct record_file *file, size_t size);
void record_file_add(struct record_file *file, size_t length);
/* Writes what was collected. */
void record_file_flush(struct record_file *file);
/* Writes, and closes the file. Safe on one that was never opened: its fd is -1. */
void record_file_close(struct record_file *file);

#endif

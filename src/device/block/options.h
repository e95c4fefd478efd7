// SPDX-License-Identifier: BSD-3-Clause
/* The options of a disk; the members' meaning is in the table in type.c. */
#ifndef AVP_DEVICE_BLOCK_OPTIONS_H
#define AVP_DEVICE_BLOCK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"

struct block_options {
	char *file;
	uint64_t format; /* enum block_format */
	bool readonly;
	char *serial;
	uint64_t queues;
	uint64_t queue_size; /* largest ring that is accepted */
	uint64_t cache;	     /* enum block_cache_choice */
	uint64_t on_full;    /* enum block_on_full */
	uint64_t logical_block_size;
	uint64_t physical_block_size; /* 0: as the logical one */
};

/* Raw whatever the image looks like; or raw unless it looks like another format. */
enum block_format { BLOCK_FORMAT_AUTO, BLOCK_FORMAT_RAW };

enum block_on_full { BLOCK_ON_FULL_STOP, BLOCK_ON_FULL_ERROR };

enum block_cache_choice { BLOCK_CACHE_WRITEBACK, BLOCK_CACHE_WRITETHROUGH };

extern const struct option_row block_option_rows[];

/* Options of the program that a guest does not see. */
struct block_host_options {
	uint64_t engine; /* enum file_engine_kind */
};

enum file_engine_kind { FILE_ENGINE_AUTO, FILE_ENGINE_IO_URING, FILE_ENGINE_THREADS };

/*
 * Checks what the table cannot express. @options: struct block_options. Opens the file for what the
 * guest may do, and closes it. As device_type.check.
 */
int block_options_check(const void *options, struct error *error);

struct device_peer;
/* As device_type.complete: refuses disks that share a file, and keeps the format that was found. */
int block_options_complete(const struct device_peer *peers, size_t count, size_t index,
			   const char *guest, struct error *error);

struct device_type;
extern const struct device_type device_type_block;

#endif

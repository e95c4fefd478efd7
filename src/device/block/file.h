// SPDX-License-Identifier: BSD-3-Clause
/*
 * The block device's backend on a raw disk image.
 *
 * What the page cache can serve at once is done at once, in the caller's thread: a read that it
 * has, a small write that it takes. The rest goes to io_uring, or to a few threads where the host
 * forbids io_uring.
 */
#ifndef AVP_DEVICE_BLOCK_FILE_H
#define AVP_DEVICE_BLOCK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "device/block/block.h"
#include "device/block/file_image.h"
#include "device/block/options.h"
#include "host/host_check.h"

struct file_backend;

struct file_backend_options {
	enum file_engine_kind engine;
	/*
	 * What needs room where there is none (ENOSPC, EDQUOT) waits until there is, with a line in
	 * the log; else it fails. A flush fails either way: see file.c.
	 */
	bool stop_when_full;
};

/*
 * Makes a backend on *image, which stays the caller's and open until file_backend_free. Everything
 * happens on @loop, and all memory is allocated here. FILE_ENGINE_AUTO falls back to threads;
 * FILE_ENGINE_IO_URING fails where io_uring cannot be had.
 */
struct file_backend *file_backend_new(struct event_loop *loop, const struct file_image *image,
				      const struct file_backend_options *options,
				      struct error *error);

/* What `avp doctor` tells of disks. */
extern const struct host_check block_host_checks[]; /* host_check.c */

/* Waits for what is in flight and frees the backend. NULL is fine. */
void file_backend_free(struct file_backend *backend);

struct block_backend *file_backend_block(struct file_backend *backend);

/* What it came to: FILE_ENGINE_IO_URING or FILE_ENGINE_THREADS. */
enum file_engine_kind file_backend_engine(const struct file_backend *backend);

/* How many operations were done at once, and how many were left to the engine. */
struct file_backend_counts {
	uint64_t immediate, deferred;
};
struct file_backend_counts file_backend_counts(const struct file_backend *backend);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The block device's backend on a raw disk image.
 *
 * Transfers that the page cache can serve are done at once, in the caller's thread: cached reads
 * and small writes. The rest goes to io_uring, or to a few threads where the host forbids io_uring.
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
	 * An operation that finds no room (ENOSPC, EDQUOT) waits until there is some, with a line
	 * in the log; otherwise it fails. A flush fails in both cases: see file.c.
	 */
	bool stop_when_full;
};

/*
 * Makes a backend on *image, which the caller keeps open until file_backend_free. Everything
 * happens on @loop, and all memory is allocated here. FILE_ENGINE_AUTO falls back to threads;
 * FILE_ENGINE_IO_URING fails where io_uring is not available.
 */
struct file_backend *file_backend_new(struct event_loop *loop, const struct file_image *image,
				      const struct file_backend_options *options,
				      struct error *error);

/* The checks of `avp doctor` for disks. */
extern const struct host_check block_host_checks[]; /* host_check.c */

/* Waits for what is in flight and frees the backend. NULL is allowed. */
void file_backend_free(struct file_backend *backend);

struct block_backend *file_backend_block(struct file_backend *backend);

/* The engine in use: FILE_ENGINE_IO_URING or FILE_ENGINE_THREADS. */
enum file_engine_kind file_backend_engine(const struct file_backend *backend);

/* How many operations were done at once, and how many were left to the engine. */
struct file_backend_counts {
	uint64_t immediate, deferred;
};
struct file_backend_counts file_backend_counts(const struct file_backend *backend);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The file backend in a test: on an image in a directory of its own, with its event loop, and
 * operations as the block device makes them. On a host without io_uring, tests that need it are
 * skipped.
 */
#ifndef AVP_DEVICE_BLOCK_TEST_FILE_RIG_H
#define AVP_DEVICE_BLOCK_TEST_FILE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/block/file.h"
#include "unit/scratch.h"

#define FILE_RIG_SIZE  (8u << 20)
#define FILE_RIG_BLOCK 4096u

struct file_rig {
	struct scratch scratch;
	struct file_image image;
	struct event_loop loop;
	struct file_backend *backend;
	struct block_backend *block;
	unsigned int batches;
};

/* An operation with its data. */
struct file_job {
	struct block_operation operation;
	struct virtio_segment segments[4];
	bool complete;
	int result;
	unsigned int *counter; /* of completions; may be NULL */
};

/* Both engines. */
extern const enum file_engine_kind file_rig_kinds[2];

/* Opens an image with blocks of 512 bytes; as file_image_open. */
int file_rig_open_image(struct file_image *image, const char *path, bool readonly,
			struct error *error);

/* A backend on f->image, which is open. */
void file_rig_make_backend(struct file_rig *f, enum file_engine_kind kind, bool stop_when_full);

/* A backend on the image at @path, and its end. */
void file_rig_open_backend(struct file_rig *f, const char *path, bool readonly,
			   enum file_engine_kind kind);
void file_rig_open_backend_with(struct file_rig *f, const char *path, bool readonly,
				enum file_engine_kind kind, bool stop_when_full);
void file_rig_close_backend(struct file_rig *f);

/* A backend on an empty image of FILE_RIG_SIZE bytes. */
struct file_rig *file_rig_start(enum file_engine_kind kind);
void file_rig_stop(struct file_rig *f);

/* An operation on @length bytes at @offset, with @data cut into three segments. */
void file_rig_submit(struct file_rig *f, struct file_job *job, enum block_action action,
		     uint64_t offset, void *data, size_t length);

/* Runs the loop until @done; fails if that takes too long, as after a missed completion. */
void file_rig_run_until(struct file_rig *f, const bool *done);

/* Commits and runs until the job is complete. Returns its result. */
int file_rig_finish(struct file_rig *f, struct file_job *job);

/* Submits and finishes an operation. Returns its result. */
int file_rig_perform(struct file_rig *f, enum block_action action, uint64_t offset, void *data,
		     size_t length);

void file_rig_fill(uint8_t *data, size_t length, uint64_t seed);

#endif

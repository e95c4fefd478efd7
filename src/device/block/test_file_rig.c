// SPDX-License-Identifier: BSD-3-Clause
/* See file_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "device/block/test_file_rig.h"
#include "unit/ring_pair.h"

static void count_batch(void *context)
{
	((struct file_rig *)context)->batches++;
}

static void job_complete(struct block_operation *operation, int result)
{
	struct file_job *job = (struct file_job *)operation; /* its first member */

	assert_false(job->complete);
	job->complete = true;
	job->result = result;
	if (job->counter)
		++*job->counter;
}

int file_rig_open_image(struct file_image *image, const char *path, bool readonly,
			struct error *error)
{
	const struct file_image_request request = {.readonly = readonly, .block_size = 512};

	return file_image_open(image, path, &request, error);
}

void file_rig_make_backend(struct file_rig *f, enum file_engine_kind kind, bool stop_when_full)
{
	const struct file_backend_options options = {kind, stop_when_full};
	struct error error = {0};

	assert_int_equal(event_loop_init(&f->loop, 0, &error), 0);
	f->backend = file_backend_new(&f->loop, &f->image, &options, &error);
	if (!f->backend && kind == FILE_ENGINE_IO_URING) {
		print_message("%s\n", error.message);
		skip();
	}
	assert_non_null(f->backend);
	assert_int_equal(file_backend_engine(f->backend), kind);
	f->block = file_backend_block(f->backend);
	f->block->completed = count_batch;
	f->block->context = f;
}

void file_rig_open_backend_with(struct file_rig *f, const char *path, bool readonly,
				enum file_engine_kind kind, bool stop_when_full)
{
	struct error error = {0};

	assert_int_equal(file_rig_open_image(&f->image, path, readonly, &error), 0);
	file_rig_make_backend(f, kind, stop_when_full);
}

void file_rig_open_backend(struct file_rig *f, const char *path, bool readonly,
			   enum file_engine_kind kind)
{
	file_rig_open_backend_with(f, path, readonly, kind, false);
}

void file_rig_close_backend(struct file_rig *f)
{
	file_backend_free(f->backend);
	event_loop_close(&f->loop);
	file_image_close(&f->image);
}

struct file_rig *file_rig_start(enum file_engine_kind kind)
{
	struct file_rig *f = calloc(1, sizeof(*f));

	scratch_make(&f->scratch);
	file_rig_open_backend(f, scratch_write_zeros(&f->scratch, "disk.img", FILE_RIG_SIZE), false,
			      kind);
	return f;
}

void file_rig_stop(struct file_rig *f)
{
	file_rig_close_backend(f);
	scratch_remove(&f->scratch);
	free(f);
}

void file_rig_submit(struct file_rig *f, struct file_job *job, enum block_action action,
		     uint64_t offset, void *data, size_t length)
{
	size_t cuts[4] = {0, length / 3, length / 2, length};

	job->complete = false;
	job->operation.action = action;
	job->operation.offset = offset;
	job->operation.length = length;
	job->operation.complete = job_complete;
	job->operation.data = (struct virtio_stream){job->segments, data ? 3 : 0, length};
	for (int i = 0; data && i < 3; i++)
		job->segments[i] =
			(struct virtio_segment){(uint8_t *)data + cuts[i], cuts[i + 1] - cuts[i]};
	f->block->ops->submit(f->block, &job->operation);
}

void file_rig_run_until(struct file_rig *f, const bool *done)
{
	const time_t limit = time(NULL) + 20;

	while (!*done) {
		assert_true(event_loop_turn(&f->loop, 30000) >= 0);
		assert_true(time(NULL) < limit);
	}
}

int file_rig_finish(struct file_rig *f, struct file_job *job)
{
	f->block->ops->commit(f->block);
	file_rig_run_until(f, &job->complete);
	return job->result;
}

int file_rig_perform(struct file_rig *f, enum block_action action, uint64_t offset, void *data,
		     size_t length)
{
	struct file_job job = {0};

	file_rig_submit(f, &job, action, offset, data, length);
	return file_rig_finish(f, &job);
}

const enum file_engine_kind file_rig_kinds[2] = {FILE_ENGINE_IO_URING, FILE_ENGINE_THREADS};

void file_rig_fill(uint8_t *data, size_t length, uint64_t seed)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)test_random(&seed);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The file backend on real files, with io_uring and with threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <liburing.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/capture.h"
#include "device/block/file_engine.h"
#include "device/block/test_file_rig.h"

#define IN_FLIGHT 300 /* more than the ring of the engine has entries */

/* Lengths that are served at once, and lengths that go to the engine. */
static void read_and_write(enum file_engine_kind kind)
{
	static const size_t lengths[] = {512, 4096, 65536, 65536 + 512, 3u << 20};
	struct file_rig *f = file_rig_start(kind);
	uint8_t *out = malloc(FILE_RIG_SIZE), *in = malloc(FILE_RIG_SIZE);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t offset = 4096 * i + (i % 2 ? 512 : 0);

		file_rig_fill(out, lengths[i], i);
		assert_int_equal(file_rig_perform(f, BLOCK_WRITE, offset, out, lengths[i]), 0);
		memset(in, 0, lengths[i]);
		assert_int_equal(file_rig_perform(f, BLOCK_READ, offset, in, lengths[i]), 0);
		assert_memory_equal(in, out, lengths[i]);
		assert_int_equal(pread(f->image.fd, in, lengths[i], (off_t)offset), lengths[i]);
		assert_memory_equal(in, out, lengths[i]);
	}
	assert_int_equal(file_rig_perform(f, BLOCK_FLUSH, 0, NULL, 0), 0);
	assert_true(file_backend_counts(f->backend).deferred > 0);
	assert_true(file_backend_counts(f->backend).immediate > 0);
	free(out);
	free(in);
	file_rig_stop(f);
}

static void test_read_and_write_ring(void **state)
{
	(void)state;
	read_and_write(FILE_ENGINE_IO_URING);
}

static void test_read_and_write_threads(void **state)
{
	(void)state;
	read_and_write(FILE_ENGINE_THREADS);
}

/* A driver without limits may ask for more than one call should move, in segments of any size. */
static void test_pieces(void **state)
{
	const size_t piece = 16u << 20, length = 6 * piece + 512;
	uint8_t *out = malloc(length), *in = malloc(length);

	(void)state;
	file_rig_fill(out, 4096, 1);
	for (size_t i = 4096; i < length; i++)
		out[i] = (uint8_t)(out[i - 4096] + 1);
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = file_rig_start(file_rig_kinds[i]);
		struct file_job job = {0};
		struct file_call call;

		assert_int_equal(ftruncate(f->image.fd, (off_t)length + 512), 0);
		/* Segments of two pieces, of one, and of three and a bit. */
		file_rig_submit(f, &job, BLOCK_WRITE, 512, out, length);
		file_backend_describe(f->backend, &job.operation, &call);
		assert_int_equal(call.vector_count, 1);
		assert_int_equal(call.vector->iov_len, piece);
		assert_int_equal(file_rig_finish(f, &job), 0);
		assert_int_equal(file_rig_perform(f, BLOCK_READ, 512, in, length), 0);
		assert_memory_equal(in, out, length);
		/* Small segments are combined. */
		file_rig_submit(f, &job, BLOCK_WRITE, 0, out, piece);
		file_backend_describe(f->backend, &job.operation, &call);
		assert_int_equal(call.vector_count, 3);
		assert_int_equal(file_rig_finish(f, &job), 0);
		memset(in, 0, length);
		assert_int_equal(pread(f->image.fd, in, length, 512), length);
		assert_memory_equal(in, out + 512, piece - 512);
		assert_memory_equal(in + piece - 512, out + piece - 512, length - piece + 512);
		file_rig_stop(f);
	}
	free(out);
	free(in);
}

static void test_durable_writes(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = file_rig_start(file_rig_kinds[i]);
		struct file_job job = {.operation.durable = true};
		uint8_t out[FILE_RIG_BLOCK], in[FILE_RIG_BLOCK];

		file_rig_fill(out, sizeof(out), i);
		file_rig_submit(f, &job, BLOCK_WRITE, FILE_RIG_BLOCK, out, sizeof(out));
		/* Never at once: it has to wait for the medium. */
		assert_false(job.complete);
		assert_int_equal(file_rig_finish(f, &job), 0);
		assert_int_equal(pread(f->image.fd, in, sizeof(in), FILE_RIG_BLOCK), sizeof(in));
		assert_memory_equal(in, out, sizeof(in));
		job.operation.durable = true;
		file_rig_submit(f, &job, BLOCK_ZERO, FILE_RIG_BLOCK, NULL, FILE_RIG_BLOCK);
		assert_int_equal(file_rig_finish(f, &job), 0);
		file_rig_stop(f);
	}
}

/* The calls that make it durable: no test sees whether the medium has it. */
static void test_durable_calls(void **state)
{
	struct file_rig *f = file_rig_start(FILE_ENGINE_THREADS);
	struct file_job job = {.operation.durable = true};
	struct file_call call;
	uint8_t data[FILE_RIG_BLOCK] = {0};

	(void)state;
	file_rig_submit(f, &job, BLOCK_WRITE, FILE_RIG_BLOCK, data, FILE_RIG_BLOCK);
	file_backend_describe(f->backend, &job.operation, &call);
	assert_int_equal(call.kind, FILE_CALL_WRITE);
	assert_int_equal(call.flags, RWF_DSYNC);
	assert_int_equal(call.offset, FILE_RIG_BLOCK);
	assert_int_equal(file_rig_finish(f, &job), 0);
	/* Zeroes are made somehow, and then synchronized. */
	file_rig_submit(f, &job, BLOCK_ZERO, 0, NULL, FILE_RIG_BLOCK);
	assert_int_equal(file_rig_finish(f, &job), 0);
	file_backend_describe(f->backend, &job.operation, &call);
	assert_int_equal(call.kind, FILE_CALL_SYNC);
	file_rig_submit(f, &job, BLOCK_FLUSH, 0, NULL, 0);
	file_backend_describe(f->backend, &job.operation, &call);
	assert_int_equal(call.kind, FILE_CALL_SYNC);
	assert_int_equal(file_rig_finish(f, &job), 0);
	file_rig_stop(f);
}

static blkcnt_t blocks_of(const struct file_rig *f)
{
	struct stat status;

	assert_int_equal(fsync(f->image.fd), 0);
	assert_int_equal(fstat(f->image.fd, &status), 0);
	return status.st_blocks;
}

static void test_discard_and_zero(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = file_rig_start(file_rig_kinds[i]);
		static uint8_t out[FILE_RIG_SIZE], in[FILE_RIG_SIZE], zeroes[1u << 20];
		struct file_job job = {0};
		blkcnt_t before;

		file_rig_fill(out, sizeof(out), i);
		assert_int_equal(file_rig_perform(f, BLOCK_WRITE, 0, out, FILE_RIG_SIZE), 0);
		before = blocks_of(f);
		if (f->image.discard_granularity) {
			assert_int_equal(file_rig_perform(f, BLOCK_DISCARD, 0, NULL, 1u << 20), 0);
			assert_true(blocks_of(f) < before);
		}
		assert_int_equal(file_rig_perform(f, BLOCK_ZERO, 1u << 20, NULL, 1u << 20), 0);
		/* Not aligned to blocks, and allowed to free storage. */
		job.operation.may_unmap = true;
		file_rig_submit(f, &job, BLOCK_ZERO, (2u << 20) + 512, NULL, (1u << 20) - 1024);
		assert_int_equal(file_rig_finish(f, &job), 0);
		assert_int_equal(file_rig_perform(f, BLOCK_READ, 0, in, FILE_RIG_SIZE), 0);
		assert_memory_equal(in + (1u << 20), zeroes, 1u << 20);
		assert_memory_equal(in + (2u << 20), out + (2u << 20), 512);
		assert_memory_equal(in + (2u << 20) + 512, zeroes, (1u << 20) - 1024);
		assert_memory_equal(in + (3u << 20) - 512, out + (3u << 20) - 512, 512);
		assert_memory_equal(in + (3u << 20), out + (3u << 20), FILE_RIG_SIZE - (3u << 20));
		file_rig_stop(f);
	}
}

/* Where neither holes nor zeroed ranges are supported, zeroes are written. */
static void test_zero_by_writing(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = calloc(1, sizeof(*f));
		const size_t length = (1u << 20) + 65536 + 1536;
		uint8_t *out = malloc(FILE_RIG_SIZE), *in = malloc(FILE_RIG_SIZE),
			*zeroes = calloc(1, FILE_RIG_SIZE);
		struct file_job job = {.operation = {.may_unmap = true, .durable = i}};
		int fd = memfd_create("disk", MFD_CLOEXEC);
		struct error error = {0};
		char path[32];

		assert_true(fd >= 0);
		file_rig_fill(out, FILE_RIG_SIZE, i);
		assert_int_equal(write(fd, out, FILE_RIG_SIZE), FILE_RIG_SIZE);
		snprintf(path, sizeof(path), "/dev/fd/%d", fd);
		assert_int_equal(file_rig_open_image(&f->image, path, false, &error), 0);
		/* A memfd has no zeroed ranges but has holes: pretend that it has none. */
		f->image.discard_granularity = 0;
		file_rig_make_backend(f, file_rig_kinds[i], false);
		file_rig_submit(f, &job, BLOCK_ZERO, 512, NULL, length);
		assert_int_equal(file_rig_finish(f, &job), 0);
		assert_int_equal(pread(fd, in, FILE_RIG_SIZE, 0), FILE_RIG_SIZE);
		assert_memory_equal(in, out, 512);
		assert_memory_equal(in + 512, zeroes, length);
		assert_memory_equal(in + 512 + length, out + 512 + length,
				    FILE_RIG_SIZE - 512 - length);
		file_rig_close_backend(f);
		free(out);
		free(in);
		free(zeroes);
		free(f);
	}
}

/* More at once than fits the ring; all come back, each once, with the right data. */
static void test_many_in_flight(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = file_rig_start(file_rig_kinds[i]);
		struct file_job *jobs = calloc(IN_FLIGHT, sizeof(*jobs));
		uint8_t *data = malloc(IN_FLIGHT * 512);
		unsigned int done = 0;
		uint8_t in[512];

		for (unsigned int j = 0; j < IN_FLIGHT; j++) {
			memset(data + j * 512, (int)j, 512);
			jobs[j].counter = &done;
			/* Durable ones are left to the engine. */
			jobs[j].operation.durable = true;
			file_rig_submit(f, &jobs[j], BLOCK_WRITE, j * 512, data + j * 512, 512);
		}
		f->block->ops->commit(f->block);
		for (unsigned int j = 0; j < IN_FLIGHT; j++)
			file_rig_run_until(f, &jobs[j].complete);
		assert_int_equal(done, IN_FLIGHT);
		for (unsigned int j = 0; j < IN_FLIGHT; j++) {
			assert_int_equal(jobs[j].result, 0);
			assert_int_equal(pread(f->image.fd, in, 512, j * 512), 512);
			assert_memory_equal(in, data + j * 512, 512);
		}
		assert_true(f->batches > 0);
		free(data);
		free(jobs);
		file_rig_stop(f);
	}
}

static void test_drain_waits(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = file_rig_start(file_rig_kinds[i]);
		struct file_job jobs[20] = {0};
		uint8_t data[512] = {1};

		for (int j = 0; j < 20; j++) {
			jobs[j].operation.durable = true;
			file_rig_submit(f, &jobs[j], BLOCK_WRITE, (uint64_t)j * 512, data, 512);
		}
		/* Not even committed. */
		f->block->ops->drain(f->block, BLOCK_ALL_QUEUES);
		for (int j = 0; j < 20; j++)
			assert_true(jobs[j].complete);
		f->block->ops->drain(f->block, BLOCK_ALL_QUEUES);
		file_rig_stop(f);
	}
}

static void test_file_cut_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = file_rig_start(file_rig_kinds[i]);
		uint8_t data[2 * FILE_RIG_BLOCK];

		assert_int_equal(ftruncate(f->image.fd, FILE_RIG_SIZE - FILE_RIG_BLOCK), 0);
		assert_int_equal(file_rig_perform(f, BLOCK_READ, FILE_RIG_SIZE - 2 * FILE_RIG_BLOCK,
						  data, 2 * FILE_RIG_BLOCK),
				 -EIO);
		assert_int_equal(file_rig_perform(f, BLOCK_READ, FILE_RIG_SIZE - FILE_RIG_BLOCK,
						  data, FILE_RIG_BLOCK),
				 -EIO);
		assert_int_equal(file_rig_perform(f, BLOCK_READ, FILE_RIG_SIZE - 2 * FILE_RIG_BLOCK,
						  data, FILE_RIG_BLOCK),
				 0);
		file_rig_stop(f);
	}
}

/* Errors of one kind do not hide the first of another. */
static void test_errors_are_counted_by_kind(void **state)
{
	struct file_rig *f = file_rig_start(FILE_ENGINE_THREADS);
	struct capture capture;
	uint8_t data[FILE_RIG_BLOCK] = {0};
	const char *text;

	(void)state;
	assert_int_equal(ftruncate(f->image.fd, FILE_RIG_SIZE - FILE_RIG_BLOCK), 0);
	capture_start(&capture, STDERR_FILENO);
	for (int i = 0; i < 3; i++)
		file_rig_perform(f, BLOCK_READ, 0, (void *)8, FILE_RIG_BLOCK);
	file_rig_perform(f, BLOCK_READ, FILE_RIG_SIZE - FILE_RIG_BLOCK, data, FILE_RIG_BLOCK);
	file_rig_perform(f, BLOCK_WRITE, 0, (void *)8, FILE_RIG_BLOCK);
	for (int i = 0; i < 2; i++)
		file_rig_perform(f, BLOCK_READ, FILE_RIG_SIZE - FILE_RIG_BLOCK, data,
				 FILE_RIG_BLOCK);
	text = capture_all(&capture);
	capture_stop(&capture);
	assert_non_null(strstr(text, "read of 4096 bytes at 0 failed: Bad address (error 1)"));
	assert_non_null(strstr(text, "read of 4096 bytes at 0 failed: Bad address (error 2)"));
	assert_null(strstr(text, "read of 4096 bytes at 0 failed: Bad address (error 3)"));
	assert_non_null(strstr(text, "failed: the file became shorter (error 1)"));
	assert_non_null(strstr(text, "failed: the file became shorter (error 2)"));
	assert_null(strstr(text, "failed: the file became shorter (error 3)"));
	assert_non_null(strstr(text, "write of 4096 bytes at 0 failed: Bad address (error 1)"));
	file_rig_stop(f);
}

static void test_memory_that_is_gone(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = file_rig_start(file_rig_kinds[i]);

		/* As when a frontend takes guest memory away in the middle. */
		assert_int_equal(file_rig_perform(f, BLOCK_READ, 0, (void *)8, FILE_RIG_BLOCK),
				 -EFAULT);
		assert_int_equal(file_rig_perform(f, BLOCK_WRITE, 0, (void *)8, FILE_RIG_BLOCK),
				 -EFAULT);
		file_rig_stop(f);
	}
}

/* An idle loop stays asleep: no timer, no left-over event. */
static void test_idle_is_quiet(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = file_rig_start(file_rig_kinds[i]);
		struct file_job job = {.operation.durable = true};
		uint8_t data[512] = {0};

		file_rig_submit(f, &job, BLOCK_WRITE, 0, data, 512);
		assert_int_equal(file_rig_finish(f, &job), 0);
		while (event_loop_turn(&f->loop, 0) > 0)
			;
		assert_int_equal(event_loop_turn(&f->loop, 200), 0);
		file_rig_stop(f);
	}
}

/* Makes the kernel refuse to restrict a ring, for the rest of the calling process. */
static void refuse_restrictions(void)
{
	const struct scmp_arg_cmp what = {1, SCMP_CMP_EQ, IORING_REGISTER_RESTRICTIONS, 0};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	assert_non_null(filter);
	assert_int_equal(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EINVAL),
						SCMP_SYS(io_uring_register), 1, &what),
			 0);
	assert_int_equal(seccomp_load(filter), 0);
	seccomp_release(filter);
}

/* The engines when a ring could open files: 0 when the choice is right. */
static int use_unrestricted(const struct file_image *image)
{
	struct file_backend_options options = {.engine = FILE_ENGINE_IO_URING};
	struct file_backend *backend;
	struct event_loop loop;
	struct error error = {0};
	struct capture capture;
	int result = 0;

	refuse_restrictions();
	if (event_loop_init(&loop, 0, &error) < 0)
		return 1;
	if (file_backend_new(&loop, image, &options, &error) ||
	    !strstr(error.message, "restricted to the image"))
		return 2;
	options.engine = FILE_ENGINE_AUTO;
	capture_start(&capture, STDERR_FILENO);
	backend = file_backend_new(&loop, image, &options, &error);
	capture_all(&capture);
	capture_stop(&capture);
	if (!backend || file_backend_engine(backend) != FILE_ENGINE_THREADS)
		result = 3;
	else if (!strstr(capture.text, "using threads"))
		result = 4;
	file_backend_free(backend);
	event_loop_close(&loop);
	return result;
}

/* A ring that cannot be restricted would be a way out of the sandbox: it is not used. */
static void test_ring_that_cannot_be_restricted(void **state)
{
	struct file_rig *f = file_rig_start(FILE_ENGINE_THREADS);
	int status;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0)
		for (int result = use_unrestricted(&f->image);;)
			syscall(SYS_exit_group, result);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	file_rig_stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_and_write_ring),
		cmocka_unit_test(test_read_and_write_threads),
		cmocka_unit_test(test_ring_that_cannot_be_restricted),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_durable_writes),
		cmocka_unit_test(test_durable_calls),
		cmocka_unit_test(test_discard_and_zero),
		cmocka_unit_test(test_zero_by_writing),
		cmocka_unit_test(test_many_in_flight),
		cmocka_unit_test(test_drain_waits),
		cmocka_unit_test(test_file_cut_short),
		cmocka_unit_test(test_errors_are_counted_by_kind),
		cmocka_unit_test(test_memory_that_is_gone),
		cmocka_unit_test(test_idle_is_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

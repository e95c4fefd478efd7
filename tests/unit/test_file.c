// SPDX-License-Identifier: BSD-3-Clause
/*
 * The file backend on real files, with io_uring and with threads, and the image that it stands on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/file.h"
#include "backend/file_engine.h"
#include "base/cleanup.h"
#include "capture.h"
#include "ring_pair.h"
#include "scratch.h"

#define SIZE	  (8u << 20)
#define BLOCK	  4096u
#define IN_FLIGHT 300 /* more than the ring of the engine has entries */

struct fixture {
	struct scratch scratch;
	struct file_image image;
	struct event_loop loop;
	struct file_backend *backend;
	struct block_backend *block;
	unsigned int batches;
};

/* An operation with its data. */
struct job {
	struct block_operation operation;
	struct virtio_segment segments[4];
	bool complete;
	int result;
	unsigned int *counter; /* of completions; may be NULL */
};

static void count_batch(void *context)
{
	((struct fixture *)context)->batches++;
}

static void job_complete(struct block_operation *operation, int result)
{
	struct job *job = (struct job *)operation; /* its first member */

	assert_false(job->complete);
	job->complete = true;
	job->result = result;
	if (job->counter)
		++*job->counter;
}

static int open_image(struct file_image *image, const char *path, bool readonly,
		      struct error *error)
{
	const struct file_image_wish wish = {.readonly = readonly, .block_size = 512};

	return file_image_open(image, path, &wish, error);
}

static void open_backend_with(struct fixture *f, const char *path, bool readonly,
			      enum file_engine_kind kind, bool stop_when_full)
{
	const struct file_backend_options options = {kind, stop_when_full};
	struct error error = {0};

	assert_int_equal(open_image(&f->image, path, readonly, &error), 0);
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

static void open_backend(struct fixture *f, const char *path, bool readonly,
			 enum file_engine_kind kind)
{
	open_backend_with(f, path, readonly, kind, false);
}

static void close_backend(struct fixture *f)
{
	file_backend_free(f->backend);
	event_loop_close(&f->loop);
	file_image_close(&f->image);
}

static struct fixture *start(enum file_engine_kind kind)
{
	struct fixture *f = calloc(1, sizeof(*f));

	scratch_make(&f->scratch);
	open_backend(f, scratch_write_zeros(&f->scratch, "disk.img", SIZE), false, kind);
	return f;
}

static void stop(struct fixture *f)
{
	close_backend(f);
	scratch_remove(&f->scratch);
	free(f);
}

/* An operation on @length bytes at @offset, with @data cut into three segments. */
static void submit(struct fixture *f, struct job *job, enum block_action action, uint64_t offset,
		   void *data, size_t length)
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

/* Runs the loop until @done; what takes this long was not noticed when it happened. */
static void run_until(struct fixture *f, const bool *done)
{
	const time_t limit = time(NULL) + 20;

	while (!*done) {
		assert_true(event_loop_turn(&f->loop, 30000) >= 0);
		assert_true(time(NULL) < limit);
	}
}

static int finish(struct fixture *f, struct job *job)
{
	f->block->ops->commit(f->block);
	run_until(f, &job->complete);
	return job->result;
}

static int perform(struct fixture *f, enum block_action action, uint64_t offset, void *data,
		   size_t length)
{
	struct job job = {0};

	submit(f, &job, action, offset, data, length);
	return finish(f, &job);
}

static const enum file_engine_kind kinds[] = {FILE_ENGINE_IO_URING, FILE_ENGINE_THREADS};

static void fill(uint8_t *data, size_t length, uint64_t seed)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)test_random(&seed);
}

/* Lengths that are served at once, and such that are left to the engine. */
static void read_and_write(enum file_engine_kind kind)
{
	static const size_t lengths[] = {512, 4096, 65536, 65536 + 512, 3u << 20};
	struct fixture *f = start(kind);
	uint8_t *out = malloc(SIZE), *in = malloc(SIZE);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t offset = 4096 * i + (i % 2 ? 512 : 0);

		fill(out, lengths[i], i);
		assert_int_equal(perform(f, BLOCK_WRITE, offset, out, lengths[i]), 0);
		memset(in, 0, lengths[i]);
		assert_int_equal(perform(f, BLOCK_READ, offset, in, lengths[i]), 0);
		assert_memory_equal(in, out, lengths[i]);
		assert_int_equal(pread(f->image.fd, in, lengths[i], (off_t)offset), lengths[i]);
		assert_memory_equal(in, out, lengths[i]);
	}
	assert_int_equal(perform(f, BLOCK_FLUSH, 0, NULL, 0), 0);
	assert_true(file_backend_counts(f->backend).deferred > 0);
	assert_true(file_backend_counts(f->backend).immediate > 0);
	free(out);
	free(in);
	stop(f);
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
	fill(out, 4096, 1);
	for (size_t i = 4096; i < length; i++)
		out[i] = (uint8_t)(out[i - 4096] + 1);
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = start(kinds[i]);
		struct job job = {0};
		struct file_call call;

		assert_int_equal(ftruncate(f->image.fd, (off_t)length + 512), 0);
		/* Segments of two pieces, of one, and of three with something more. */
		submit(f, &job, BLOCK_WRITE, 512, out, length);
		file_backend_describe(f->backend, &job.operation, &call);
		assert_int_equal(call.vector_count, 1);
		assert_int_equal(call.vector->iov_len, piece);
		assert_int_equal(finish(f, &job), 0);
		assert_int_equal(perform(f, BLOCK_READ, 512, in, length), 0);
		assert_memory_equal(in, out, length);
		/* Small segments go together. */
		submit(f, &job, BLOCK_WRITE, 0, out, piece);
		file_backend_describe(f->backend, &job.operation, &call);
		assert_int_equal(call.vector_count, 3);
		assert_int_equal(finish(f, &job), 0);
		memset(in, 0, length);
		assert_int_equal(pread(f->image.fd, in, length, 512), length);
		assert_memory_equal(in, out + 512, piece - 512);
		assert_memory_equal(in + piece - 512, out + piece - 512, length - piece + 512);
		stop(f);
	}
	free(out);
	free(in);
}

static void test_durable_writes(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = start(kinds[i]);
		struct job job = {.operation.durable = true};
		uint8_t out[BLOCK], in[BLOCK];

		fill(out, sizeof(out), i);
		submit(f, &job, BLOCK_WRITE, BLOCK, out, sizeof(out));
		/* Never at once: it has to wait for the medium. */
		assert_false(job.complete);
		assert_int_equal(finish(f, &job), 0);
		assert_int_equal(pread(f->image.fd, in, sizeof(in), BLOCK), sizeof(in));
		assert_memory_equal(in, out, sizeof(in));
		job.operation.durable = true;
		submit(f, &job, BLOCK_ZERO, BLOCK, NULL, BLOCK);
		assert_int_equal(finish(f, &job), 0);
		stop(f);
	}
}

/* The calls that make it durable: no test sees whether the medium has it. */
static void test_durable_calls(void **state)
{
	struct fixture *f = start(FILE_ENGINE_THREADS);
	struct job job = {.operation.durable = true};
	struct file_call call;
	uint8_t data[BLOCK] = {0};

	(void)state;
	submit(f, &job, BLOCK_WRITE, BLOCK, data, BLOCK);
	file_backend_describe(f->backend, &job.operation, &call);
	assert_int_equal(call.kind, FILE_CALL_WRITE);
	assert_int_equal(call.flags, RWF_DSYNC);
	assert_int_equal(call.offset, BLOCK);
	assert_int_equal(finish(f, &job), 0);
	/* Zeroes are made in one way or another, and then synchronized. */
	submit(f, &job, BLOCK_ZERO, 0, NULL, BLOCK);
	assert_int_equal(finish(f, &job), 0);
	file_backend_describe(f->backend, &job.operation, &call);
	assert_int_equal(call.kind, FILE_CALL_SYNC);
	submit(f, &job, BLOCK_FLUSH, 0, NULL, 0);
	file_backend_describe(f->backend, &job.operation, &call);
	assert_int_equal(call.kind, FILE_CALL_SYNC);
	assert_int_equal(finish(f, &job), 0);
	stop(f);
}

static blkcnt_t blocks_of(const struct fixture *f)
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
		struct fixture *f = start(kinds[i]);
		static uint8_t out[SIZE], in[SIZE], zeroes[1u << 20];
		struct job job = {0};
		blkcnt_t before;

		fill(out, sizeof(out), i);
		assert_int_equal(perform(f, BLOCK_WRITE, 0, out, SIZE), 0);
		before = blocks_of(f);
		if (f->image.discard_granularity) {
			assert_int_equal(perform(f, BLOCK_DISCARD, 0, NULL, 1u << 20), 0);
			assert_true(blocks_of(f) < before);
		}
		assert_int_equal(perform(f, BLOCK_ZERO, 1u << 20, NULL, 1u << 20), 0);
		/* Not on borders of blocks, with leave to give storage back. */
		job.operation.may_unmap = true;
		submit(f, &job, BLOCK_ZERO, (2u << 20) + 512, NULL, (1u << 20) - 1024);
		assert_int_equal(finish(f, &job), 0);
		assert_int_equal(perform(f, BLOCK_READ, 0, in, SIZE), 0);
		assert_memory_equal(in + (1u << 20), zeroes, 1u << 20);
		assert_memory_equal(in + (2u << 20), out + (2u << 20), 512);
		assert_memory_equal(in + (2u << 20) + 512, zeroes, (1u << 20) - 1024);
		assert_memory_equal(in + (3u << 20) - 512, out + (3u << 20) - 512, 512);
		assert_memory_equal(in + (3u << 20), out + (3u << 20), SIZE - (3u << 20));
		stop(f);
	}
}

/* Where neither holes nor zeroed ranges can be had, zeroes are written. */
static void test_zero_by_writing(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = calloc(1, sizeof(*f));
		const size_t length = (1u << 20) + 65536 + 1536;
		uint8_t *out = malloc(SIZE), *in = malloc(SIZE), *zeroes = calloc(1, SIZE);
		struct job job = {.operation = {.may_unmap = true, .durable = i}};
		int fd = memfd_create("disk", MFD_CLOEXEC);
		struct error error = {0};
		char path[32];

		assert_true(fd >= 0);
		fill(out, SIZE, i);
		assert_int_equal(write(fd, out, SIZE), SIZE);
		snprintf(path, sizeof(path), "/dev/fd/%d", fd);
		assert_int_equal(open_image(&f->image, path, false, &error), 0);
		/* Memory has no zeroed ranges, and it has holes: pretend that it has not. */
		f->image.discard_granularity = 0;
		assert_int_equal(event_loop_init(&f->loop, 0, &error), 0);
		f->backend = file_backend_new(&f->loop, &f->image,
					      &(struct file_backend_options){.engine = kinds[i]},
					      &error);
		assert_non_null(f->backend);
		f->block = file_backend_block(f->backend);
		f->block->completed = count_batch;
		f->block->context = f;
		submit(f, &job, BLOCK_ZERO, 512, NULL, length);
		assert_int_equal(finish(f, &job), 0);
		assert_int_equal(pread(fd, in, SIZE, 0), SIZE);
		assert_memory_equal(in, out, 512);
		assert_memory_equal(in + 512, zeroes, length);
		assert_memory_equal(in + 512 + length, out + 512 + length, SIZE - 512 - length);
		close_backend(f);
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
		struct fixture *f = start(kinds[i]);
		struct job *jobs = calloc(IN_FLIGHT, sizeof(*jobs));
		uint8_t *data = malloc(IN_FLIGHT * 512);
		unsigned int done = 0;
		uint8_t in[512];

		for (unsigned int j = 0; j < IN_FLIGHT; j++) {
			memset(data + j * 512, (int)j, 512);
			jobs[j].counter = &done;
			/* Durable ones are left to the engine. */
			jobs[j].operation.durable = true;
			submit(f, &jobs[j], BLOCK_WRITE, j * 512, data + j * 512, 512);
		}
		f->block->ops->commit(f->block);
		for (unsigned int j = 0; j < IN_FLIGHT; j++)
			run_until(f, &jobs[j].complete);
		assert_int_equal(done, IN_FLIGHT);
		for (unsigned int j = 0; j < IN_FLIGHT; j++) {
			assert_int_equal(jobs[j].result, 0);
			assert_int_equal(pread(f->image.fd, in, 512, j * 512), 512);
			assert_memory_equal(in, data + j * 512, 512);
		}
		assert_true(f->batches > 0);
		free(data);
		free(jobs);
		stop(f);
	}
}

static void test_drain_waits(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = start(kinds[i]);
		struct job jobs[20] = {0};
		uint8_t data[512] = {1};

		for (int j = 0; j < 20; j++) {
			jobs[j].operation.durable = true;
			submit(f, &jobs[j], BLOCK_WRITE, (uint64_t)j * 512, data, 512);
		}
		/* Not even committed. */
		f->block->ops->drain(f->block, BLOCK_ALL_QUEUES);
		for (int j = 0; j < 20; j++)
			assert_true(jobs[j].complete);
		f->block->ops->drain(f->block, BLOCK_ALL_QUEUES);
		stop(f);
	}
}

static void test_file_cut_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = start(kinds[i]);
		uint8_t data[2 * BLOCK];

		assert_int_equal(ftruncate(f->image.fd, SIZE - BLOCK), 0);
		assert_int_equal(perform(f, BLOCK_READ, SIZE - 2 * BLOCK, data, 2 * BLOCK), -EIO);
		assert_int_equal(perform(f, BLOCK_READ, SIZE - BLOCK, data, BLOCK), -EIO);
		assert_int_equal(perform(f, BLOCK_READ, SIZE - 2 * BLOCK, data, BLOCK), 0);
		stop(f);
	}
}

/* Errors of one kind do not hide the first of another. */
static void test_errors_are_counted_by_kind(void **state)
{
	struct fixture *f = start(FILE_ENGINE_THREADS);
	struct capture capture;
	uint8_t data[BLOCK] = {0};
	const char *text;

	(void)state;
	assert_int_equal(ftruncate(f->image.fd, SIZE - BLOCK), 0);
	capture_start(&capture, STDERR_FILENO);
	for (int i = 0; i < 3; i++)
		perform(f, BLOCK_READ, 0, (void *)8, BLOCK);
	perform(f, BLOCK_READ, SIZE - BLOCK, data, BLOCK);
	perform(f, BLOCK_WRITE, 0, (void *)8, BLOCK);
	for (int i = 0; i < 2; i++)
		perform(f, BLOCK_READ, SIZE - BLOCK, data, BLOCK);
	text = capture_all(&capture);
	capture_stop(&capture);
	assert_non_null(strstr(text, "read of 4096 bytes at 0 failed: Bad address (error 1)"));
	assert_non_null(strstr(text, "read of 4096 bytes at 0 failed: Bad address (error 2)"));
	assert_null(strstr(text, "read of 4096 bytes at 0 failed: Bad address (error 3)"));
	assert_non_null(strstr(text, "failed: the file became shorter (error 1)"));
	assert_non_null(strstr(text, "failed: the file became shorter (error 2)"));
	assert_null(strstr(text, "failed: the file became shorter (error 3)"));
	assert_non_null(strstr(text, "write of 4096 bytes at 0 failed: Bad address (error 1)"));
	stop(f);
}

/* A file system of 4 MiB, and a process in whose namespace it is mounted, for as long as it lives. */
struct small_system {
	struct scratch scratch;
	pid_t pid;
	char image[128], filler[128];
};

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(1);
	close(fd);
}

static void mount_small(const char *directory)
{
	char map[64];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNS) < 0) {
		snprintf(map, sizeof(map), "0 %d 1", (int)geteuid());
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			_exit(1);
		write_file("/proc/self/uid_map", map);
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("small", directory, "tmpfs", 0, "size=4M") < 0)
		_exit(1);
}

static bool small_system_make(struct small_system *small)
{
	int ready[2];
	char byte;
	bool made;
	int fd;

	scratch_make(&small->scratch);
	assert_int_equal(pipe(ready), 0);
	small->pid = fork();
	assert_true(small->pid >= 0);
	if (small->pid == 0) {
		close(ready[0]);
		mount_small(small->scratch.directory);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	made = read(ready[0], &byte, 1) == 1;
	close(ready[0]);
	snprintf(small->image, sizeof(small->image), "/proc/%d/root%s/disk", (int)small->pid,
		 small->scratch.directory);
	snprintf(small->filler, sizeof(small->filler), "/proc/%d/root%s/filler", (int)small->pid,
		 small->scratch.directory);
	fd = made ? open(small->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd >= 0)
		assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	return fd >= 0;
}

static void small_system_remove(struct small_system *small)
{
	kill(small->pid, SIGKILL);
	assert_int_equal(waitpid(small->pid, NULL, 0), small->pid);
	scratch_remove(&small->scratch);
}

/* Takes all the room there is, or @leave bytes less. */
static void fill_up(const struct small_system *small, size_t leave)
{
	int fd = open(small->filler, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct statvfs system;

	assert_int_equal(fstatvfs(fd, &system), 0);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)(system.f_bavail * system.f_bsize - leave)),
			 0);
	close(fd);
}

static struct fixture *start_full(struct small_system *small, enum file_engine_kind kind,
				  bool stop_when_full)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!small_system_make(small)) {
		small_system_remove(small);
		free(f);
		print_message("no file system can be mounted here\n");
		skip();
	}
	open_backend_with(f, small->image, false, kind, stop_when_full);
	return f;
}

static void stop_full(struct fixture *f, struct small_system *small)
{
	close_backend(f);
	free(f);
	small_system_remove(small);
}

/* Runs the loop until the capture has @text. */
static void run_until_said(struct fixture *f, struct capture *capture, const char *text)
{
	const time_t limit = time(NULL) + 60;

	while (!strstr(capture_all(capture), text)) {
		assert_true(event_loop_turn(&f->loop, 100) >= 0);
		assert_true(time(NULL) < limit);
	}
}

static void test_full_waits(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct small_system small;
		struct fixture *f = start_full(&small, kinds[i], true);
		struct job jobs[8] = {0}, durable = {.operation.durable = true};
		struct job zero = {.operation.durable = true};
		uint8_t *out = malloc(SIZE), *in = malloc(SIZE), *zeroes = calloc(1, 1 << 20);
		struct capture capture;

		fill(out, SIZE, i);
		assert_int_equal(perform(f, BLOCK_WRITE, 0, out, 1 << 20), 0);
		fill_up(&small, 65536);
		capture_start(&capture, STDERR_FILENO);
		/* There is room for a part of the first one. */
		for (size_t j = 0; j < 8; j++)
			submit(f, &jobs[j], BLOCK_WRITE, (1u << 20) + j * 131072,
			       out + (1u << 20) + j * 131072, 131072);
		submit(f, &durable, BLOCK_WRITE, 2u << 20, out + (2u << 20), 131072);
		submit(f, &zero, BLOCK_ZERO, 3u << 20, NULL, 1u << 20);
		f->block->ops->commit(f->block);
		run_until_said(f, &capture, "no room on the host for a write of 131072 bytes");
		/* What needs no room goes on: reads, other flushes, writes where there is storage. */
		assert_int_equal(perform(f, BLOCK_READ, 0, in, 1 << 20), 0);
		assert_memory_equal(in, out, 1 << 20);
		assert_int_equal(perform(f, BLOCK_FLUSH, 0, NULL, 0), 0);
		assert_int_equal(perform(f, BLOCK_WRITE, 0, out + 512, 131072), 0);
		for (size_t j = 0; j < 8; j++)
			assert_false(jobs[j].complete);
		assert_false(durable.complete);
		/* It has been said, and is not said with each attempt. */
		for (int turn = 0; turn < 20; turn++)
			event_loop_turn(&f->loop, 100);
		assert_string_equal(capture_all(&capture), "");
		assert_int_equal(unlink(small.filler), 0);
		for (size_t j = 0; j < 8; j++)
			run_until(f, &jobs[j].complete);
		run_until(f, &durable.complete);
		run_until(f, &zero.complete);
		run_until_said(f, &capture, "there is room on the host again");
		capture_stop(&capture);
		for (size_t j = 0; j < 8; j++)
			assert_int_equal(jobs[j].result, 0);
		assert_int_equal(durable.result, 0);
		assert_int_equal(zero.result, 0);
		assert_int_equal(perform(f, BLOCK_READ, 0, in, SIZE), 0);
		assert_memory_equal(in, out + 512, 131072);
		assert_memory_equal(in + (1u << 20), out + (1u << 20), 1u << 20);
		assert_memory_equal(in + (2u << 20), out + (2u << 20), 131072);
		assert_memory_equal(in + (3u << 20), zeroes, 1 << 20);
		free(out);
		free(in);
		free(zeroes);
		stop_full(f, &small);
	}
}

/* What waits does not hold up the end of its queue; that of another queue goes on waiting. */
static void test_full_drains(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct small_system small;
		struct fixture *f = start_full(&small, kinds[i], true);
		struct job first = {.operation.queue = 0}, other = {.operation.queue = 1};
		struct capture capture;
		uint8_t data[BLOCK] = {1};

		fill_up(&small, 0);
		capture_start(&capture, STDERR_FILENO);
		submit(f, &first, BLOCK_WRITE, 0, data, BLOCK);
		submit(f, &other, BLOCK_WRITE, 1u << 20, data, BLOCK);
		f->block->ops->commit(f->block);
		run_until_said(f, &capture, "no room on the host");
		f->block->ops->drain(f->block, 0);
		assert_true(first.complete);
		assert_int_equal(first.result, -ENOSPC);
		assert_false(other.complete);
		assert_int_equal(unlink(small.filler), 0);
		/* Room is looked for once more. */
		submit(f, &first, BLOCK_WRITE, 0, data, BLOCK);
		f->block->ops->drain(f->block, 1);
		assert_true(other.complete);
		assert_int_equal(other.result, 0);
		assert_int_equal(finish(f, &first), 0);
		/* And then there is nothing left that wakes anybody. */
		fill_up(&small, 0);
		submit(f, &first, BLOCK_WRITE, 2u << 20, data, BLOCK);
		f->block->ops->drain(f->block, BLOCK_ALL_QUEUES);
		assert_int_equal(first.result, -ENOSPC);
		submit(f, &first, BLOCK_WRITE, 2u << 20, data, BLOCK);
		f->block->ops->commit(f->block);
		run_until_said(f, &capture, "no room on the host");
		capture_stop(&capture);
		/* The backend is freed with one that waits. */
		close_backend(f);
		assert_true(first.complete);
		free(f);
		small_system_remove(&small);
	}
}

/*
 * Found out only when it is written back: the page cache has lost it, and a second flush would find
 * nothing wrong. So a flush fails, and zeroes that were to be durable are made again.
 */
static void test_full_when_written_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = calloc(1, sizeof(*f));
		struct job flush = {0}, zero = {.operation.durable = true};
		struct file_call call;

		scratch_make(&f->scratch);
		open_backend_with(f, scratch_write_zeros(&f->scratch, "disk.img", SIZE), false,
				  kinds[i], true);
		submit(f, &flush, BLOCK_FLUSH, 0, NULL, 0);
		assert_int_equal(finish(f, &flush), 0);
		submit(f, &zero, BLOCK_ZERO, 0, NULL, BLOCK);
		assert_int_equal(finish(f, &zero), 0);
		file_backend_describe(f->backend, &zero.operation, &call);
		assert_int_equal(call.kind, FILE_CALL_SYNC);
		/* As if the engine said so. */
		flush.complete = zero.complete = false;
		file_backend_done(f->backend, &flush.operation, -ENOSPC);
		assert_true(flush.complete);
		assert_int_equal(flush.result, -ENOSPC);
		file_backend_done(f->backend, &zero.operation, -EDQUOT);
		assert_false(zero.complete);
		file_backend_describe(f->backend, &zero.operation, &call);
		assert_int_not_equal(call.kind, FILE_CALL_SYNC);
		assert_int_equal(call.length, BLOCK);
		run_until(f, &zero.complete);
		assert_int_equal(zero.result, 0);
		stop(f);
	}
}

static void test_full_is_an_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct small_system small;
		struct fixture *f = start_full(&small, kinds[i], false);
		uint8_t data[BLOCK] = {1};

		fill_up(&small, 0);
		assert_int_equal(perform(f, BLOCK_WRITE, 0, data, BLOCK), -ENOSPC);
		assert_int_equal(perform(f, BLOCK_ZERO, 1u << 20, NULL, 1u << 20), -ENOSPC);
		stop_full(f, &small);
	}
}

/* A file that must not grow is an error of its own, which room does not help. */
static void test_size_limit_is_an_error(void **state)
{
	struct rlimit before, limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 1u << 20;
	signal(SIGXFSZ, SIG_IGN);
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = calloc(1, sizeof(*f));
		struct job job = {0};
		uint8_t data[BLOCK] = {1};

		scratch_make(&f->scratch);
		open_backend_with(f, scratch_write_zeros(&f->scratch, "disk.img", SIZE), false,
				  kinds[i], true);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		submit(f, &job, BLOCK_WRITE, 2u << 20, data, BLOCK);
		f->block->ops->commit(f->block);
		run_until(f, &job.complete);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(job.result, -EFBIG);
		stop(f);
	}
}

static void test_memory_that_is_gone(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = start(kinds[i]);

		/* As when a frontend takes guest memory away in the middle. */
		assert_int_equal(perform(f, BLOCK_READ, 0, (void *)8, BLOCK), -EFAULT);
		assert_int_equal(perform(f, BLOCK_WRITE, 0, (void *)8, BLOCK), -EFAULT);
		stop(f);
	}
}

/* A loop that nothing wakes stays asleep: no timer, no left-over event. */
static void test_idle_is_quiet(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = start(kinds[i]);
		struct job job = {.operation.durable = true};
		uint8_t data[512] = {0};

		submit(f, &job, BLOCK_WRITE, 0, data, 512);
		assert_int_equal(finish(f, &job), 0);
		while (event_loop_turn(&f->loop, 0) > 0)
			;
		assert_int_equal(event_loop_turn(&f->loop, 200), 0);
		stop(f);
	}
}

static void expect_refused(const char *path, bool readonly, uint32_t block_size, int code,
			   const char *text)
{
	struct file_image image;
	struct error error = {0};

	const struct file_image_wish wish = {.readonly = readonly, .block_size = block_size};

	assert_int_equal(file_image_open(&image, path, &wish, &error), -code);
	assert_int_equal(image.fd, -1);
	if (!strstr(error.message, text))
		fail_msg("'%s' is not in '%s'", text, error.message);
}

static void test_bad_images(void **state)
{
	struct scratch scratch;
	const char *path;
	char fd_path[32];
	int fd;

	(void)state;
	scratch_make(&scratch);
	expect_refused(scratch_path(&scratch, "missing"), false, 512, EINVAL, "No such file");
	expect_refused(scratch.directory, true, 512, EINVAL, "neither a regular file");
	expect_refused("/dev/null", false, 512, EINVAL, "neither a regular file");
	expect_refused(scratch_write_zeros(&scratch, "empty", 0), false, 512, EINVAL, "is empty");
	expect_refused(scratch_write_zeros(&scratch, "odd", 1000), false, 512, EINVAL,
		       "truncate -s %512 FILE");
	path = scratch_write_zeros(&scratch, "sectors", 512 * 3);
	expect_refused(path, false, 4096, EINVAL, "truncate -s %4096 FILE");
	expect_refused("/dev/fd/4711", false, 512, EINVAL, "no such descriptor");
	/* An inherited descriptor must allow what the device needs. */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(fd_path, sizeof(fd_path), "/dev/fd/%d", fd);
	expect_refused(fd_path, false, 512, EINVAL, "not open for reading and writing");
	close(fd);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	snprintf(fd_path, sizeof(fd_path), "/dev/fd/%d", fd);
	expect_refused(fd_path, true, 512, EINVAL, "not open for reading");
	close(fd);
	scratch_remove(&scratch);
}

/* What another format begins or ends with is not served as raw, unless the user says that it is. */
static void test_other_formats(void **state)
{
	static const struct {
		const char *format, *bytes;
		size_t length, offset, size;
	} rows[] = {
		{"qcow2", "QFI\xfb\0\0\0\3", 8, 0, 196616}, /* an odd size */
		{"qcow2", "QFI\xfb\0\0\0\2", 8, 0, 65536},
		{"qcow,", "QFI\xfb\0\0\0\1", 8, 0, 65536},
		{"qed", "QED\0", 4, 0, 65536},
		{"vmdk", "KDMV", 4, 0, 65536},
		{"vmdk", "COWD", 4, 0, 512},
		{"vmdk", "# Disk DescriptorFile\nversion=1\n", 32, 0, 343},
		{"vdi", "\x7f\x10\xda\xbe", 4, 0x40, 2 << 20},
		{"vpc (VHD)", "conectix", 8, 0, 65536},
		{"vpc (VHD)", "conectix", 8, 65536, 65536 + 512},
		{"vpc (VHD)", "conectix", 8, 65536, 65536 + 511},
		{"vhdx", "vhdxfile", 8, 0, 4 << 20},
		{"parallels", "WithoutFreeSpace", 16, 0, 65536},
		{"parallels", "WithouFreSpacExt", 16, 0, 65536},
		{"luks", "LUKS\xba\xbe\0\2", 8, 0, 1 << 20},
		/* Shorter than most signatures. */
		{"qed", "QED\0", 4, 0, 4},
	};
	const struct file_image_wish any = {.any_format = true, .block_size = 512};
	struct scratch scratch;
	struct file_image image;
	struct error error = {0};

	(void)state;
	scratch_make(&scratch);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *path = strdup(scratch_write_zeros(&scratch, "disk", rows[i].size));
		char text[40], fd_path[32];
		int fd = open(path, O_RDWR | O_CLOEXEC);

		assert_int_equal(pwrite(fd, rows[i].bytes, rows[i].length, (off_t)rows[i].offset),
				 rows[i].length);
		snprintf(text, sizeof(text), "in format %s", rows[i].format);
		expect_refused(path, false, 512, EINVAL, text);
		expect_refused(path, true, 4096, EINVAL, "qemu-img convert");
		expect_refused(path, true, 4096, EINVAL, "format=raw");
		snprintf(fd_path, sizeof(fd_path), "/dev/fd/%d", fd);
		expect_refused(fd_path, false, 512, EINVAL, text);
		if (rows[i].size % 512 == 0) {
			assert_int_equal(file_image_open(&image, path, &any, &error), 0);
			file_image_close(&image);
		}
		free(path);
	}
	/* One byte off is none. */
	for (size_t i = 0; i < 8; i++) {
		char bytes[8] = "vhdxfile";

		bytes[i] ^= 1;
		assert_int_equal(open_image(&image, scratch_write(&scratch, "disk", bytes, 8), true,
					    &error),
				 -EINVAL);
		assert_non_null(strstr(error.message, "its size"));
	}
	scratch_remove(&scratch);
}

static void test_inherited_descriptor(void **state)
{
	struct scratch scratch;
	struct file_image image;
	struct error error = {0};
	char path[32];
	int fd;

	(void)state;
	scratch_make(&scratch);
	fd = open(scratch_write_zeros(&scratch, "disk", 1 << 16), O_RDWR | O_NONBLOCK);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	assert_int_equal(open_image(&image, path, false, &error), 0);
	assert_int_equal(image.fd, fd);
	assert_int_equal(image.size, 1 << 16);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	file_image_close(&image);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	scratch_remove(&scratch);
}

/* A process of its own that opens the image: only there is its lock another's. */
struct opener {
	pid_t pid;
	int log; /* its standard error */
};

static struct opener opener_start(const char *path, bool readonly)
{
	struct opener opener;
	int log[2];

	assert_int_equal(pipe(log), 0);
	opener = (struct opener){fork(), log[0]};
	assert_true(opener.pid >= 0);
	if (opener.pid == 0) {
		struct file_image image;
		struct error error = {0};
		sigset_t signals;
		int result;

		/* Also when the test fails in between. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* As a device process does, which takes its signals from a descriptor. */
		sigemptyset(&signals);
		sigaddset(&signals, SIGTERM);
		sigprocmask(SIG_BLOCK, &signals, NULL);
		dup2(log[1], STDERR_FILENO);
		close(log[1]);
		result = open_image(&image, path, readonly, &error);
		fprintf(stderr, "%s\n", result == 0 ? "open" : error.message);
		pause();
		_exit(0);
	}
	close(log[1]);
	return opener;
}

/* What it says next: a line of its log, "open", or why it failed. */
static void opener_expect(const struct opener *opener, const char *text)
{
	char line[1024];
	size_t length = 0;

	while (length < sizeof(line) - 1 && read(opener->log, line + length, 1) == 1 &&
	       line[length] != '\n')
		length++;
	line[length] = 0;
	if (!strstr(line, text))
		fail_msg("'%s' is not in '%s'", text, line);
}

static void opener_stop(struct opener *opener)
{
	assert_int_equal(kill(opener->pid, SIGKILL), 0);
	assert_int_equal(waitpid(opener->pid, NULL, 0), opener->pid);
	close(opener->log);
}

static void opener_run(const char *path, bool readonly, const char *text)
{
	struct opener opener = opener_start(path, readonly);

	opener_expect(&opener, text);
	opener_stop(&opener);
}

static void test_locks(void **state)
{
	struct scratch scratch;
	struct opener first, second;
	const char *path;
	char text[64];

	(void)state;
	scratch_make(&scratch);
	path = scratch_write_zeros(&scratch, "disk", 1 << 16);
	first = opener_start(path, false);
	opener_expect(&first, "open");
	snprintf(text, sizeof(text), "process %d has it open for use", (int)first.pid);
	opener_run(path, false, text);
	snprintf(text, sizeof(text), "process %d has it open for writing", (int)first.pid);
	opener_run(path, true, text);
	opener_stop(&first);
	/* Any number of readers. */
	first = opener_start(path, true);
	opener_expect(&first, "open");
	second = opener_start(path, true);
	opener_expect(&second, "open");
	opener_run(path, false, "has it open for use");
	opener_stop(&first);
	opener_stop(&second);
	opener_run(path, false, "open");
	scratch_remove(&scratch);
}

/* One descriptor that two processes inherited: the lock proper is the same one for both. */
static void test_lock_of_one_descriptor(void **state)
{
	struct scratch scratch;
	struct opener first;
	char path[32];
	int fd;

	(void)state;
	scratch_make(&scratch);
	fd = open(scratch_write_zeros(&scratch, "disk", 1 << 16), O_RDWR);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	first = opener_start(path, false);
	opener_expect(&first, "open");
	/* And the message has its real name. */
	opener_run(path, false, "/disk: process ");
	opener_stop(&first);
	opener_run(path, false, "open");
	close(fd);
	scratch_remove(&scratch);
}

static int lock_range(const char *path, int command, short type, off_t start, off_t length)
{
	struct flock lock = {.l_type = type, .l_start = start, .l_len = length};
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, command, &lock), 0);
	return fd;
}

/* Other programs' locks are theirs for as long as they live. */
static void test_locks_of_others(void **state)
{
	static const struct {
		int command;
		short type;
		off_t start, length;
		const char *text;
	} rows[] = {
		{F_OFD_SETLK, F_WRLCK, 0, 0, "another process has it open for use"},
		{F_OFD_SETLK, F_RDLCK, 101, 1, "another process has it open for use"},
		{F_SETLK, F_WRLCK, 0, 0, NULL}, /* its process is known */
	};
	struct scratch scratch;
	const char *path;
	char text[64];

	(void)state;
	scratch_make(&scratch);
	path = scratch_write_zeros(&scratch, "disk", 1 << 16);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = lock_range(path, rows[i].command, rows[i].type, rows[i].start,
				    rows[i].length);

		snprintf(text, sizeof(text), "process %d has it open for use", (int)getpid());
		opener_run(path, false, rows[i].text ? rows[i].text : text);
		close(fd);
	}
	opener_run(path, false, "open");
	scratch_remove(&scratch);
}

/* By itself, for children have inherited the descriptor. */
static void unlock(int fd)
{
	struct flock lock = {.l_type = F_UNLCK};

	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	close(fd);
}

/* The lock as the kernel keeps it for a process that has ended: the lock proper alone. */
static int lock_as_ended(const char *path, short type)
{
	return lock_range(path, F_OFD_SETLK, type, 0, INT64_MAX - 1);
}

static void test_lock_of_an_ended_process(void **state)
{
	const struct timespec longer_than_the_living = {.tv_sec = 4};
	struct scratch scratch;
	struct opener opener, late;
	const char *path;
	int fd;

	(void)state;
	scratch_make(&scratch);
	path = scratch_write_zeros(&scratch, "disk", 1 << 16);
	fd = lock_as_ended(path, F_WRLCK);
	opener = opener_start(path, false);
	opener_expect(&opener, "still locked for a process that has ended; waiting");
	/* Who waits lives, and will have the image. */
	late = opener_start(path, true);
	nanosleep(&longer_than_the_living, NULL);
	unlock(fd);
	opener_expect(&opener, "open");
	opener_expect(&late, "has it open for writing");
	opener_stop(&opener);
	opener_stop(&late);
	/* Readers that ended do not keep readers out. */
	fd = lock_as_ended(path, F_RDLCK);
	opener_run(path, true, "open");
	opener = opener_start(path, false);
	opener_expect(&opener, "still locked for a process that has ended; waiting");
	/* The wait has no end of its own, but it has one. */
	assert_int_equal(kill(opener.pid, SIGTERM), 0);
	opener_expect(&opener, "told to end");
	opener_stop(&opener);
	unlock(fd);
	opener_run(path, false, "open");
	scratch_remove(&scratch);
}

/* A process that is killed in the middle of its requests leaves nothing that stops the next. */
static void test_restart_after_kill(void **state)
{
	struct scratch scratch;
	const char *path;

	(void)state;
	scratch_make(&scratch);
	path = scratch_write_zeros(&scratch, "disk.img", SIZE);
	for (size_t i = 0; i < 2; i++) {
		for (int round = 0; round < 5; round++) {
			struct fixture f = {0};
			struct error error = {0};
			int ready[2];
			pid_t child;
			char byte;

			assert_int_equal(pipe(ready), 0);
			child = fork();
			if (child == 0) {
				static struct job jobs[64];
				static uint8_t data[BLOCK];

				open_backend(&f, path, false, kinds[i]);
				for (int j = 0; j < 64; j++) {
					jobs[j].operation.durable = true;
					submit(&f, &jobs[j], BLOCK_WRITE, (uint64_t)j * BLOCK, data,
					       BLOCK);
				}
				f.block->ops->commit(f.block);
				if (write(ready[1], "x", 1) != 1)
					_exit(1);
				pause();
				_exit(1);
			}
			assert_true(child > 0);
			assert_int_equal(read(ready[0], &byte, 1), 1);
			close(ready[0]);
			close(ready[1]);
			assert_int_equal(kill(child, SIGKILL), 0);
			assert_int_equal(waitpid(child, NULL, 0), child);
			assert_int_equal(open_image(&f.image, path, false, &error), 0);
			file_image_close(&f.image);
		}
	}
	scratch_remove(&scratch);
}

/* To look at an image leaves it as it was. */
static void test_opening_changes_nothing(void **state)
{
	const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	struct scratch scratch;
	struct file_image image;
	struct error error = {0};
	struct stat before, after;
	const char *path;

	(void)state;
	scratch_make(&scratch);
	path = scratch_write_zeros(&scratch, "disk", 1 << 16);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(open_image(&image, path, false, &error), 0);
	assert_true(image.discard_granularity > 0);
	file_image_close(&image);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(after.st_blocks, before.st_blocks);
	scratch_remove(&scratch);
}

/*
 * Attaches @backing to a loop device, which is detached when nobody has it open any more. Returns
 * its descriptor, with its path in @path, or skips the test.
 */
static int attach_loop(const char *backing, bool readonly, char path[32])
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int file = open(backing, readonly ? O_RDONLY : O_RDWR | O_CLOEXEC);
	struct loop_config config = {
		.fd = (uint32_t)file,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | (readonly ? LO_FLAGS_READ_ONLY : 0),
	};
	int device = -1;

	assert_true(file >= 0);
	/* Another process may take the free one first. */
	for (int attempt = 0; control >= 0 && device < 0 && attempt < 100; attempt++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(path, 32, "/dev/loop%d", number);
		device = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &config) < 0)
			close_fd(&device);
	}
	close(control);
	close(file);
	return device;
}

static void test_loop_devices(void **state)
{
	struct scratch scratch;
	struct file_image image = {0};
	struct error error = {0};
	const char *backing;
	char path[32], text[100];
	struct opener opener;
	int loop, holder;

	(void)state;
	scratch_make(&scratch);
	backing = scratch_write_zeros(&scratch, "disk", 1 << 20);
	loop = attach_loop(backing, false, path);
	if (loop < 0) {
		scratch_remove(&scratch);
		print_message("no loop device can be had here\n");
		skip();
	}
	assert_int_equal(open_image(&image, path, false, &error), 0);
	assert_true(image.block_device);
	/* Its claim keeps mounts and the like away, and those keep it away. */
	assert_int_equal(open(path, O_RDONLY | O_EXCL | O_CLOEXEC), -1);
	assert_int_equal(errno, EBUSY);
	opener_run(path, false, "has it open for use");
	file_image_close(&image);
	holder = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(holder >= 0);
	expect_refused(path, false, 512, EBUSY, "is mounted or otherwise in use");
	assert_int_equal(open_image(&image, path, true, &error), 0);
	file_image_close(&image);
	close(holder);
	/* The file below it. */
	snprintf(text, sizeof(text), "is the backing file of %s; detach that: losetup -d", path);
	expect_refused(backing, false, 512, EBUSY, text);
	assert_int_equal(open_image(&image, backing, true, &error), 0);
	file_image_close(&image);
	close(loop);
	/* Taken by a process before it got a loop device. */
	opener = opener_start(backing, false);
	opener_expect(&opener, "open");
	loop = attach_loop(backing, false, path);
	assert_true(loop >= 0);
	expect_refused(path, false, 512, EBUSY, "another process has its backing file");
	opener_stop(&opener);
	assert_int_equal(open_image(&image, path, false, &error), 0);
	file_image_close(&image);
	close(loop);
	scratch_remove(&scratch);
}

static void test_read_only_device(void **state)
{
	struct scratch scratch;
	struct file_image image = {0};
	struct error error = {0};
	char path[32];
	int loop;

	(void)state;
	scratch_make(&scratch);
	loop = attach_loop(scratch_write_zeros(&scratch, "disk", 1 << 20), true, path);
	if (loop < 0) {
		scratch_remove(&scratch);
		print_message("no loop device can be had here\n");
		skip();
	}
	expect_refused(path, false, 512, EINVAL, "is a read-only device; add readonly");
	assert_int_equal(open_image(&image, path, true, &error), 0);
	file_image_close(&image);
	close(loop);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_and_write_ring),
		cmocka_unit_test(test_read_and_write_threads),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_durable_writes),
		cmocka_unit_test(test_durable_calls),
		cmocka_unit_test(test_discard_and_zero),
		cmocka_unit_test(test_zero_by_writing),
		cmocka_unit_test(test_many_in_flight),
		cmocka_unit_test(test_drain_waits),
		cmocka_unit_test(test_file_cut_short),
		cmocka_unit_test(test_errors_are_counted_by_kind),
		cmocka_unit_test(test_full_waits),
		cmocka_unit_test(test_full_drains),
		cmocka_unit_test(test_full_when_written_back),
		cmocka_unit_test(test_full_is_an_error),
		cmocka_unit_test(test_size_limit_is_an_error),
		cmocka_unit_test(test_memory_that_is_gone),
		cmocka_unit_test(test_idle_is_quiet),
		cmocka_unit_test(test_bad_images),
		cmocka_unit_test(test_other_formats),
		cmocka_unit_test(test_inherited_descriptor),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_lock_of_one_descriptor),
		cmocka_unit_test(test_locks_of_others),
		cmocka_unit_test(test_lock_of_an_ended_process),
		cmocka_unit_test(test_restart_after_kill),
		cmocka_unit_test(test_opening_changes_nothing),
		cmocka_unit_test(test_loop_devices),
		cmocka_unit_test(test_read_only_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

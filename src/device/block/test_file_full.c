// SPDX-License-Identifier: BSD-3-Clause
/*
 * The file backend on a host that has no room, with io_uring and with threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit/capture.h"
#include "device/block/file_engine.h"
#include "device/block/test_file_rig.h"

/*
 * A file system of 4 MiB, and a process in whose namespace it is mounted, for as long as it lives.
 */
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
		assert_int_equal(ftruncate(fd, FILE_RIG_SIZE), 0);
	close(fd);
	return fd >= 0;
}

static void small_system_remove(struct small_system *small)
{
	kill(small->pid, SIGKILL);
	assert_int_equal(waitpid(small->pid, NULL, 0), small->pid);
	scratch_remove(&small->scratch);
}

/* Fills the file system except for @leave bytes. */
static void fill_up(const struct small_system *small, size_t leave)
{
	int fd = open(small->filler, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct statvfs system;

	assert_int_equal(fstatvfs(fd, &system), 0);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)(system.f_bavail * system.f_bsize - leave)),
			 0);
	close(fd);
}

static struct file_rig *start_full(struct small_system *small, enum file_engine_kind kind,
				   bool stop_when_full)
{
	struct file_rig *f = calloc(1, sizeof(*f));

	if (!small_system_make(small)) {
		small_system_remove(small);
		free(f);
		print_message("no file system can be mounted here\n");
		skip();
	}
	file_rig_open_backend_with(f, small->image, false, kind, stop_when_full);
	return f;
}

static void stop_full(struct file_rig *f, struct small_system *small)
{
	file_rig_close_backend(f);
	free(f);
	small_system_remove(small);
}

/* Runs the loop until the capture has @text. */
static void run_until_logged(struct file_rig *f, struct capture *capture, const char *text)
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
		struct file_rig *f = start_full(&small, file_rig_kinds[i], true);
		struct file_job jobs[8] = {0}, durable = {.operation.durable = true};
		struct file_job zero = {.operation.durable = true};
		uint8_t *out = malloc(FILE_RIG_SIZE), *in = malloc(FILE_RIG_SIZE),
			*zeroes = calloc(1, 1 << 20);
		struct capture capture;

		file_rig_fill(out, FILE_RIG_SIZE, i);
		assert_int_equal(file_rig_perform(f, BLOCK_WRITE, 0, out, 1 << 20), 0);
		fill_up(&small, 65536);
		capture_start(&capture, STDERR_FILENO);
		/* There is room for a part of the first one. */
		for (size_t j = 0; j < 8; j++)
			file_rig_submit(f, &jobs[j], BLOCK_WRITE, (1u << 20) + j * 131072,
					out + (1u << 20) + j * 131072, 131072);
		file_rig_submit(f, &durable, BLOCK_WRITE, 2u << 20, out + (2u << 20), 131072);
		file_rig_submit(f, &zero, BLOCK_ZERO, 3u << 20, NULL, 1u << 20);
		f->block->ops->commit(f->block);
		run_until_logged(f, &capture, "no room on the host for a write of 131072 bytes");
		/*
		 * Operations that need no room continue: reads, other flushes, writes to allocated
		 * storage.
		 */
		assert_int_equal(file_rig_perform(f, BLOCK_READ, 0, in, 1 << 20), 0);
		assert_memory_equal(in, out, 1 << 20);
		assert_int_equal(file_rig_perform(f, BLOCK_FLUSH, 0, NULL, 0), 0);
		assert_int_equal(file_rig_perform(f, BLOCK_WRITE, 0, out + 512, 131072), 0);
		for (size_t j = 0; j < 8; j++)
			assert_false(jobs[j].complete);
		assert_false(durable.complete);
		/* It is logged once, not with each attempt. */
		for (int turn = 0; turn < 20; turn++)
			event_loop_turn(&f->loop, 100);
		assert_string_equal(capture_all(&capture), "");
		assert_int_equal(unlink(small.filler), 0);
		for (size_t j = 0; j < 8; j++)
			file_rig_run_until(f, &jobs[j].complete);
		file_rig_run_until(f, &durable.complete);
		file_rig_run_until(f, &zero.complete);
		run_until_logged(f, &capture, "there is room on the host again");
		capture_stop(&capture);
		for (size_t j = 0; j < 8; j++)
			assert_int_equal(jobs[j].result, 0);
		assert_int_equal(durable.result, 0);
		assert_int_equal(zero.result, 0);
		assert_int_equal(file_rig_perform(f, BLOCK_READ, 0, in, FILE_RIG_SIZE), 0);
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

/* A waiting operation does not delay the stop of its queue; one of another queue keeps waiting. */
static void test_full_drains(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct small_system small;
		struct file_rig *f = start_full(&small, file_rig_kinds[i], true);
		struct file_job first = {.operation.queue = 0}, other = {.operation.queue = 1};
		struct capture capture;
		uint8_t data[FILE_RIG_BLOCK] = {1};

		fill_up(&small, 0);
		capture_start(&capture, STDERR_FILENO);
		file_rig_submit(f, &first, BLOCK_WRITE, 0, data, FILE_RIG_BLOCK);
		file_rig_submit(f, &other, BLOCK_WRITE, 1u << 20, data, FILE_RIG_BLOCK);
		f->block->ops->commit(f->block);
		run_until_logged(f, &capture, "no room on the host");
		f->block->ops->drain(f->block, 0);
		assert_true(first.complete);
		assert_int_equal(first.result, -ENOSPC);
		assert_false(other.complete);
		assert_int_equal(unlink(small.filler), 0);
		/* It is tried once more. */
		file_rig_submit(f, &first, BLOCK_WRITE, 0, data, FILE_RIG_BLOCK);
		f->block->ops->drain(f->block, 1);
		assert_true(other.complete);
		assert_int_equal(other.result, 0);
		assert_int_equal(file_rig_finish(f, &first), 0);
		/* After that nothing wakes the loop. */
		fill_up(&small, 0);
		file_rig_submit(f, &first, BLOCK_WRITE, 2u << 20, data, FILE_RIG_BLOCK);
		f->block->ops->drain(f->block, BLOCK_ALL_QUEUES);
		assert_int_equal(first.result, -ENOSPC);
		file_rig_submit(f, &first, BLOCK_WRITE, 2u << 20, data, FILE_RIG_BLOCK);
		f->block->ops->commit(f->block);
		run_until_logged(f, &capture, "no room on the host");
		capture_stop(&capture);
		/* The backend is freed with one that waits. */
		file_rig_close_backend(f);
		assert_true(first.complete);
		free(f);
		small_system_remove(&small);
	}
}

/*
 * Lack of room that shows only at write-back: the page cache has dropped the data, and a second
 * flush would report success. So a flush fails, and durable zeroes are made again.
 */
static void test_full_when_written_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = calloc(1, sizeof(*f));
		struct file_job flush = {0}, zero = {.operation.durable = true};
		struct file_call call;

		scratch_make(&f->scratch);
		file_rig_open_backend_with(
			f, scratch_write_zeros(&f->scratch, "disk.img", FILE_RIG_SIZE), false,
			file_rig_kinds[i], true);
		file_rig_submit(f, &flush, BLOCK_FLUSH, 0, NULL, 0);
		assert_int_equal(file_rig_finish(f, &flush), 0);
		file_rig_submit(f, &zero, BLOCK_ZERO, 0, NULL, FILE_RIG_BLOCK);
		assert_int_equal(file_rig_finish(f, &zero), 0);
		file_backend_describe(f->backend, &zero.operation, &call);
		assert_int_equal(call.kind, FILE_CALL_SYNC);
		/* As if the engine reported it. */
		flush.complete = zero.complete = false;
		file_backend_done(f->backend, &flush.operation, -ENOSPC);
		assert_true(flush.complete);
		assert_int_equal(flush.result, -ENOSPC);
		file_backend_done(f->backend, &zero.operation, -EDQUOT);
		assert_false(zero.complete);
		file_backend_describe(f->backend, &zero.operation, &call);
		assert_int_not_equal(call.kind, FILE_CALL_SYNC);
		assert_int_equal(call.length, FILE_RIG_BLOCK);
		file_rig_run_until(f, &zero.complete);
		assert_int_equal(zero.result, 0);
		file_rig_stop(f);
	}
}

static void test_full_is_an_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct small_system small;
		struct file_rig *f = start_full(&small, file_rig_kinds[i], false);
		uint8_t data[FILE_RIG_BLOCK] = {1};

		fill_up(&small, 0);
		assert_int_equal(file_rig_perform(f, BLOCK_WRITE, 0, data, FILE_RIG_BLOCK),
				 -ENOSPC);
		assert_int_equal(file_rig_perform(f, BLOCK_ZERO, 1u << 20, NULL, 1u << 20),
				 -ENOSPC);
		stop_full(f, &small);
	}
}

/* A file size limit is an error of its own: free space does not help. */
static void test_size_limit_is_an_error(void **state)
{
	struct rlimit before, limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 1u << 20;
	signal(SIGXFSZ, SIG_IGN);
	for (size_t i = 0; i < 2; i++) {
		struct file_rig *f = calloc(1, sizeof(*f));
		struct file_job job = {0};
		uint8_t data[FILE_RIG_BLOCK] = {1};

		scratch_make(&f->scratch);
		file_rig_open_backend_with(
			f, scratch_write_zeros(&f->scratch, "disk.img", FILE_RIG_SIZE), false,
			file_rig_kinds[i], true);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		file_rig_submit(f, &job, BLOCK_WRITE, 2u << 20, data, FILE_RIG_BLOCK);
		f->block->ops->commit(f->block);
		file_rig_run_until(f, &job.complete);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(job.result, -EFBIG);
		file_rig_stop(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_waits),
		cmocka_unit_test(test_full_drains),
		cmocka_unit_test(test_full_when_written_back),
		cmocka_unit_test(test_full_is_an_error),
		cmocka_unit_test(test_size_limit_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

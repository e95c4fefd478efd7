// SPDX-License-Identifier: BSD-3-Clause
/* The image of the file backend: what is refused, its lock, and its other uses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/block/test_file_rig.h"

static void expect_refused(const char *path, bool readonly, uint32_t block_size, int code,
			   const char *text)
{
	struct file_image image;
	struct error error = {0};

	const struct file_image_request request = {.readonly = readonly, .block_size = block_size};

	assert_int_equal(file_image_open(&image, path, &request, &error), -code);
	assert_int_equal(image.fd, -1);
	assert_true(error.usage);
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

/* An image with the signature of another format is not served as raw, unless the user says so. */
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
	const struct file_image_request any = {.any_format = true, .block_size = 512};
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
	/* A signature with one wrong byte is none. */
	for (size_t i = 0; i < 8; i++) {
		char bytes[8] = "vhdxfile";

		bytes[i] ^= 1;
		assert_int_equal(file_rig_open_image(&image,
						     scratch_write(&scratch, "disk", bytes, 8),
						     true, &error),
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
	assert_int_equal(file_rig_open_image(&image, path, false, &error), 0);
	assert_int_equal(image.fd, fd);
	assert_int_equal(image.size, 1 << 16);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	file_image_close(&image);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	scratch_remove(&scratch);
}

/* A process of its own that opens the image, so that its lock belongs to another process. */
struct opener {
	pid_t pid;
	int log; /* its standard error */
};

/* The process that serves a guest's device, 0: none does; the guest is run by this one. */
static pid_t device_of_guest;

static pid_t find_guest(pid_t pid, char *name, size_t size)
{
	if (pid != device_of_guest)
		return 0;
	snprintf(name, size, "car");
	return getppid();
}

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
		result = file_image_open(&image, path,
					 &(struct file_image_request){.readonly = readonly,
								      .block_size = 512,
								      .find_guest = find_guest},
					 &error);
		fprintf(stderr, "%s\n", result == 0 ? "open" : error.message);
		pause();
		_exit(0);
	}
	close(log[1]);
	return opener;
}

/* Expects its next output: a line of its log, "open", or why it failed. */
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

/* The message names the guest, which a person can stop, not its device process. */
static void test_lock_of_a_guest(void **state)
{
	struct scratch scratch;
	struct opener first;
	const char *path;
	char text[128];

	(void)state;
	scratch_make(&scratch);
	path = scratch_write_zeros(&scratch, "disk", 1 << 16);
	first = opener_start(path, false);
	opener_expect(&first, "open");
	device_of_guest = first.pid;
	snprintf(text, sizeof(text),
		 ": guest 'car' (process %d) has it open for use; stop that guest, or use",
		 (int)getpid());
	opener_run(path, false, text);
	device_of_guest = 0;
	opener_stop(&first);
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
	/* And the message has the file's real name. */
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

/* Locks of other programs hold as long as those live. */
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

/* Explicitly, because children have inherited the descriptor. */
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
	/* The waiting process lives, and will get the image. */
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
	/* The wait has no time limit, but a signal ends it. */
	assert_int_equal(kill(opener.pid, SIGTERM), 0);
	opener_expect(&opener, "asked to end");
	opener_stop(&opener);
	unlock(fd);
	opener_run(path, false, "open");
	scratch_remove(&scratch);
}

/* A process that is killed in the middle of its requests leaves nothing that blocks the next. */
static void test_restart_after_kill(void **state)
{
	struct scratch scratch;
	const char *path;

	(void)state;
	scratch_make(&scratch);
	path = scratch_write_zeros(&scratch, "disk.img", FILE_RIG_SIZE);
	for (size_t i = 0; i < 2; i++) {
		for (int round = 0; round < 5; round++) {
			struct file_rig f = {0};
			struct error error = {0};
			int ready[2];
			pid_t child;
			char byte;

			assert_int_equal(pipe(ready), 0);
			child = fork();
			if (child == 0) {
				static struct file_job jobs[64];
				static uint8_t data[FILE_RIG_BLOCK];

				file_rig_open_backend(&f, path, false, file_rig_kinds[i]);
				for (int j = 0; j < 64; j++) {
					jobs[j].operation.durable = true;
					file_rig_submit(&f, &jobs[j], BLOCK_WRITE,
							(uint64_t)j * FILE_RIG_BLOCK, data,
							FILE_RIG_BLOCK);
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
			assert_int_equal(file_rig_open_image(&f.image, path, false, &error), 0);
			file_image_close(&f.image);
		}
	}
	scratch_remove(&scratch);
}

/* Opening an image does not change it. */
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
	assert_int_equal(file_rig_open_image(&image, path, false, &error), 0);
	assert_true(image.discard_granularity > 0);
	file_image_close(&image);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(after.st_blocks, before.st_blocks);
	scratch_remove(&scratch);
}

/*
 * Attaches @backing to a loop device, which is detached when it is closed everywhere. Returns its
 * descriptor, with its path in @path, or skips the test.
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
	assert_int_equal(file_rig_open_image(&image, path, false, &error), 0);
	assert_true(image.block_device);
	/* Its claim keeps mounts and the like away, and those keep it away. */
	assert_int_equal(open(path, O_RDONLY | O_EXCL | O_CLOEXEC), -1);
	assert_int_equal(errno, EBUSY);
	opener_run(path, false, "has it open for use");
	file_image_close(&image);
	holder = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(holder >= 0);
	expect_refused(path, false, 512, EBUSY, "is mounted or otherwise in use");
	assert_int_equal(file_rig_open_image(&image, path, true, &error), 0);
	file_image_close(&image);
	close(holder);
	/* The file below it. */
	snprintf(text, sizeof(text), "is the backing file of %s; detach that: losetup -d", path);
	expect_refused(backing, false, 512, EBUSY, text);
	assert_int_equal(file_rig_open_image(&image, backing, true, &error), 0);
	file_image_close(&image);
	close(loop);
	/* Locked by a process before it got a loop device. */
	opener = opener_start(backing, false);
	opener_expect(&opener, "open");
	loop = attach_loop(backing, false, path);
	assert_true(loop >= 0);
	snprintf(text, sizeof(text), "process %d has its backing file", (int)opener.pid);
	expect_refused(path, false, 512, EBUSY, text);
	opener_stop(&opener);
	assert_int_equal(file_rig_open_image(&image, path, false, &error), 0);
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
	assert_int_equal(file_rig_open_image(&image, path, true, &error), 0);
	file_image_close(&image);
	close(loop);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_images),
		cmocka_unit_test(test_other_formats),
		cmocka_unit_test(test_inherited_descriptor),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_lock_of_a_guest),
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

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Windows of shared memory: what a process may map, what a hostile one may not, and what the guest
 * finds where nothing is mapped. The guest is this test, which looks through the host's addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/virtio/shared_memory.h"
#include "unit/fake_hypervisor.h"
#include "unit/fuse_file.h"
#include "unit/vhost_rig.h"

#define PAGE	    UINT64_C(0x1000)
#define PAGES	    64 /* of region 0 */
#define OTHER	    7  /* another region */
#define OTHER_PAGES 3
#define FILE_PAGES  80
#define GUEST	    UINT64_C(0x100000000)

struct stage {
	struct fake_hypervisor fake;
	struct event_loop loop;
	struct shared_memory memory;
	uint8_t *window, *other; /* the guest's view of the two regions */
	int fd;			 /* page n of this file begins with byte n + 1 */
	uint8_t *file;
	int pipe[2];
	unsigned int fds; /* open without mappings */
};

static int set_up(void **state)
{
	static struct stage stage;
	struct vhost_shmem_config config = {.count = 2};
	struct error error;

	memset(&stage, 0, sizeof(stage));
	config.sizes[0] = PAGES * PAGE;
	config.sizes[OTHER] = OTHER_PAGES * PAGE;
	fake_open(&stage.fake);
	assert_int_equal(event_loop_init(&stage.loop, 0, NULL), 0);
	assert_done(shared_memory_open(&stage.memory, "test0", &config, &stage.loop, &error),
		    &error);
	assert_int_equal(shared_memory_place(&stage.memory, GUEST - 1),
			 GUEST + SHARED_MEMORY_ALIGNMENT + OTHER_PAGES * PAGE);
	assert_int_equal(shared_memory_attach(&stage.memory, &stage.fake.hypervisor, NULL), 0);
	assert_int_equal(stage.fake.window_count, 2);
	stage.window = stage.fake.windows[0].host;
	stage.other = stage.fake.windows[1].host;
	stage.fd = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(ftruncate(stage.fd, (off_t)(FILE_PAGES * PAGE)), 0);
	stage.file = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, stage.fd, 0);
	assert_true(stage.file != MAP_FAILED);
	for (unsigned int i = 0; i < FILE_PAGES; i++)
		stage.file[i * PAGE] = (uint8_t)(i + 1);
	assert_int_equal(pipe2(stage.pipe, O_CLOEXEC | O_NONBLOCK), 0);
	stage.fds = rig_count_fds();
	*state = &stage;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *stage = *state;

	shared_memory_clear(&stage->memory);
	assert_int_equal(rig_count_fds(), stage->fds);
	shared_memory_close(&stage->memory);
	assert_int_equal(rig_count_fds(), stage->fds - 2);
	munmap(stage->file, FILE_PAGES * PAGE);
	close(stage->fd);
	close(stage->pipe[0]);
	close(stage->pipe[1]);
	event_loop_close(&stage->loop);
	fake_close(&stage->fake);
	return 0;
}

static struct vhost_shmem_map at(uint64_t page, uint64_t pages, uint64_t file_page)
{
	return (struct vhost_shmem_map){
		.shm_offset = page * PAGE,
		.length = pages * PAGE,
		.fd_offset = file_page * PAGE,
		.flags = VHOST_SHMEM_WRITABLE,
	};
}

static int map(struct stage *stage, uint64_t page, uint64_t pages, uint64_t file_page)
{
	const struct vhost_shmem_map map = at(page, pages, file_page);

	return shared_memory_map(&stage->memory, &map, stage->fd);
}

static int unmap(struct stage *stage, uint64_t page, uint64_t pages)
{
	const struct vhost_shmem_map map = at(page, pages, 0);

	return shared_memory_unmap(&stage->memory, &map);
}

/* The first byte of each page of region 0 that is not 0. -1: the page cannot be read. */
static int look(struct stage *stage, uint64_t page)
{
	uint8_t byte;

	/* Reads as KVM does: a page that is not there is an error, not a signal. */
	if (write(stage->pipe[1], stage->window + page * PAGE, 1) != 1) {
		assert_int_equal(errno, EFAULT);
		return -1;
	}
	assert_int_equal(read(stage->pipe[0], &byte, 1), 1);
	return byte;
}

static void expect(struct stage *stage, uint64_t page, uint64_t pages, int first)
{
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(look(stage, page + i), first > 0 ? first + (int)i : first);
}

static void test_regions(void **state)
{
	struct stage *stage = *state;
	struct vhost_shmem_config config = {.count = 2};

	assert_int_equal(stage->fake.windows[0].address, GUEST);
	assert_int_equal(stage->fake.windows[0].size, PAGES * PAGE);
	assert_int_equal(stage->fake.windows[1].address, GUEST + SHARED_MEMORY_ALIGNMENT);
	assert_int_equal(stage->fake.windows[1].size, OTHER_PAGES * PAGE);
	assert_int_equal((uintptr_t)stage->window % SHARED_MEMORY_ALIGNMENT, 0);
	assert_int_equal((uintptr_t)stage->other % SHARED_MEMORY_ALIGNMENT, 0);
	assert_int_equal(shared_memory_find(&stage->memory, OTHER)->address,
			 GUEST + SHARED_MEMORY_ALIGNMENT);
	assert_null(shared_memory_find(&stage->memory, 1));
	assert_null(shared_memory_find(&stage->memory, VHOST_SHMEM_REGIONS));
	assert_null(shared_memory_find(&stage->memory, UINT32_MAX));
	assert_false(shared_memory_matches(&stage->memory, &config));
	config.sizes[0] = PAGES * PAGE;
	assert_false(shared_memory_matches(&stage->memory, &config));
	config.sizes[OTHER] = OTHER_PAGES * PAGE;
	assert_true(shared_memory_matches(&stage->memory, &config));
	config.sizes[255] = PAGE;
	assert_false(shared_memory_matches(&stage->memory, &config));
}

static void test_no_regions(void **state)
{
	struct vhost_shmem_config none = {.count = 0};
	const struct vhost_shmem_map map = at(0, 1, 0);
	unsigned int fds = rig_count_fds();
	struct shared_memory memory;

	(void)state;
	assert_int_equal(shared_memory_open(&memory, "test0", &none, NULL, NULL), 0);
	assert_int_equal(rig_count_fds(), fds);
	assert_int_equal(shared_memory_place(&memory, 123), 123);
	assert_int_equal(shared_memory_attach(&memory, NULL, NULL), 0);
	assert_int_equal(shared_memory_map(&memory, &map, 0), -EINVAL);
	assert_int_equal(shared_memory_unmap(&memory, &map), -EINVAL);
	assert_false(shared_memory_mend(&memory));
	shared_memory_clear(&memory);
	shared_memory_close(&memory);
	shared_memory_close(&memory);
}

static void expect_refused(const struct vhost_shmem_config *config, const char *text)
{
	struct shared_memory memory;
	struct error error;

	assert_int_equal(shared_memory_open(&memory, "test0", config, NULL, &error), -EPROTO);
	assert_non_null(strstr(error.message, text));
}

static void test_limits_of_regions(void **state)
{
	struct vhost_shmem_config many = {.count = 9}, odd = {.count = 1}, large = {.count = 2};
	unsigned int fds = rig_count_fds();

	(void)state;
	for (int i = 0; i < SHARED_MEMORY_REGIONS_MAX + 1; i++)
		many.sizes[i * 28] = PAGE;
	expect_refused(&many, "more than 8");
	odd.sizes[3] = PAGE + 1;
	expect_refused(&odd, "whole number of pages");
	large.sizes[0] = PAGE;
	large.sizes[1] = SHARED_MEMORY_BYTES_MAX;
	expect_refused(&large, "GiB");
	large.sizes[1] = UINT64_MAX - PAGE + 1;
	expect_refused(&large, "GiB");
	assert_int_equal(rig_count_fds(), fds);
}

static void test_map_and_unmap(void **state)
{
	struct stage *stage = *state;

	expect(stage, 0, PAGES, 0);
	assert_int_equal(map(stage, 4, 8, 20), 0);
	expect(stage, 0, 4, 0);
	expect(stage, 4, 8, 21);
	expect(stage, 12, PAGES - 12, 0);
	/* Both see what the other writes. */
	stage->window[5 * PAGE + 1] = 0xaa;
	assert_int_equal(stage->file[21 * PAGE + 1], 0xaa);
	stage->file[22 * PAGE + 1] = 0xbb;
	assert_int_equal(stage->window[6 * PAGE + 1], 0xbb);
	/* Next to each other, up to the ends of the region; the same page twice. */
	assert_int_equal(map(stage, 0, 4, 20), 0);
	assert_int_equal(map(stage, 12, PAGES - 12, 0), 0);
	expect(stage, 0, 4, 21);
	expect(stage, 4, 8, 21);
	expect(stage, 12, PAGES - 12, 1);
	/* In use: the guest sees nothing of it any more. */
	assert_int_equal(unmap(stage, 4, 8), 0);
	stage->window[5 * PAGE + 1] = 0xcc;
	assert_int_equal(stage->file[21 * PAGE + 1], 0xaa);
	expect(stage, 0, 4, 21);
	expect(stage, 4, 8, 0);
	expect(stage, 12, PAGES - 12, 1);
	assert_int_equal(map(stage, 4, 8, 40), 0);
	expect(stage, 4, 8, 41);
}

static void test_out_of_bounds(void **state)
{
	struct stage *stage = *state;
	const struct vhost_shmem_map wrong[] = {
		at(PAGES, 1, 0),
		at(PAGES - 1, 2, 0),
		at(0, PAGES + 1, 0),
		at(0, 0, 0),
		at(1, UINT64_MAX / PAGE, 0),
		at(UINT64_MAX / PAGE, 1, 0),
		at(UINT64_MAX / PAGE, 2, 0),
		at(0, 1, INT64_MAX / PAGE),
		at(0, 1, UINT64_MAX / PAGE),
		/* not whole pages */
		{.shm_offset = 0, .length = PAGE - 1},
		{.shm_offset = 0, .length = PAGE + 1},
		{.shm_offset = 512, .length = PAGE},
		{.shm_offset = 0, .length = PAGE, .fd_offset = 512},
		{.shm_offset = UINT64_MAX, .length = 1},
		/* other regions */
		{.id = 1, .length = PAGE},
		{.id = OTHER, .shm_offset = OTHER_PAGES * PAGE, .length = PAGE},
		{.id = OTHER, .length = (OTHER_PAGES + 1) * PAGE},
		{.id = 255, .length = PAGE},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(shared_memory_map(&stage->memory, &wrong[i], stage->fd), -EINVAL);
		assert_int_equal(shared_memory_unmap(&stage->memory, &wrong[i]), -EINVAL);
	}
	expect(stage, 0, PAGES, 0);
	assert_int_equal(rig_count_fds(), stage->fds);
}

static void test_map_over_a_map(void **state)
{
	struct stage *stage = *state;
	static const uint64_t over[][2] = {{10, 4}, {9, 2}, {13, 2}, {11, 1}, {8, 10}, {0, PAGES}};
	struct vhost_shmem_map other = at(0, OTHER_PAGES, 0);

	assert_int_equal(map(stage, 10, 4, 0), 0);
	for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++)
		assert_int_equal(map(stage, over[i][0], over[i][1], 30), -EEXIST);
	expect(stage, 0, 10, 0);
	expect(stage, 10, 4, 1);
	expect(stage, 14, PAGES - 14, 0);
	/* The same place of another region is free. */
	other.id = OTHER;
	assert_int_equal(shared_memory_map(&stage->memory, &other, stage->fd), 0);
	assert_int_equal(stage->other[PAGE], 2);
}

static void test_unmap_a_part(void **state)
{
	struct stage *stage = *state;
	static const uint64_t parts[][2] = {{10, 1}, {10, 3}, {11, 3}, {9, 5}, {10, 5}, {0, PAGES}};

	assert_int_equal(unmap(stage, 10, 4), -EINVAL);
	assert_int_equal(map(stage, 10, 4, 0), 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		assert_int_equal(unmap(stage, parts[i][0], parts[i][1]), -EINVAL);
	expect(stage, 10, 4, 1);
	assert_int_equal(unmap(stage, 10, 4), 0);
	assert_int_equal(unmap(stage, 10, 4), -EINVAL);
}

static void test_descriptors_that_are_not_files(void **state)
{
	struct stage *stage = *state;
	const struct vhost_shmem_map map = at(0, 1, 0);
	int sockets[2];
	int fds[] = {
		open("/dev/zero", O_RDWR | O_CLOEXEC),
		open("/", O_RDONLY | O_CLOEXEC),
		eventfd(0, EFD_CLOEXEC),
		dup(stage->pipe[0]),
		memfd_create("", MFD_CLOEXEC),
		0,
	};

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	close(sockets[1]);
	fds[5] = sockets[0];
	/* A file, but without permission to read or write. */
	close(fds[4]);
	fds[4] = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		assert_true(fds[i] >= 0);
		assert_true(shared_memory_map(&stage->memory, &map, fds[i]) < 0);
		expect(stage, 0, 2, 0);
		close(fds[i]);
	}
	assert_int_equal(shared_memory_map(&stage->memory, &map, -1), -ENODEV);
	assert_int_equal(rig_count_fds(), stage->fds);
}

/* A process may serve a file itself, by FUSE, and leave questions about it unanswered. */
static void test_a_file_that_makes_others_wait(void **state)
{
	struct stage *stage = *state;
	const struct vhost_shmem_map map = at(0, 1, 0);
	struct fuse_file served;

	if (!fuse_file_open(&served))
		skip();
	assert_int_equal(shared_memory_map(&stage->memory, &map, served.fd), -ENODEV);
	expect(stage, 0, 2, 0);
	assert_false(fuse_file_close(&served));
}

/* Linux maps whole huge pages, whatever the length: nothing may be covered that way. */
static void test_huge_pages(void **state)
{
	struct stage *stage = *state;
	const uint64_t huge = SHARED_MEMORY_ALIGNMENT;
	struct vhost_shmem_config config = {.count = 1, .sizes[0] = 3 * huge};
	const struct vhost_shmem_map wrong[] = {
		at(0, 1, 0),
		at(1, huge / PAGE, 0),
		at(0, huge / PAGE + 1, 0),
		at(0, huge / PAGE, 1),
	};
	struct vhost_shmem_map small = at(0, 1, 0), whole = at(huge / PAGE, huge / PAGE, 0);
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	struct shared_memory memory;

	/* None need be reserved, but the host's kernel must know them. */
	if (fd < 0)
		skip();
	assert_int_equal(ftruncate(fd, (off_t)(2 * huge)), 0);
	assert_int_equal(map(stage, 4, 8, 20), 0);
	assert_int_equal(shared_memory_map(&stage->memory, &small, fd), -EINVAL);
	expect(stage, 0, 4, 0);
	expect(stage, 4, 8, 21);
	expect(stage, 12, PAGES - 12, 0);
	assert_int_equal(unmap(stage, 4, 8), 0);
	assert_int_equal(shared_memory_open(&memory, "test0", &config, &stage->loop, NULL), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(shared_memory_map(&memory, &wrong[i], fd), -EINVAL);
	assert_int_equal(shared_memory_map(&memory, &whole, fd), 0);
	assert_int_equal(memory.host[0] | memory.host[huge - 1] | memory.host[2 * huge], 0);
	assert_int_equal(shared_memory_unmap(&memory, &whole), 0);
	assert_int_equal(memory.host[huge] | memory.host[2 * huge - 1], 0);
	shared_memory_close(&memory);
	close(fd);
}

/* The guest may write to what the process maps read-only, but the file does not change. */
static void test_read_only(void **state)
{
	struct stage *stage = *state;
	char path[64];
	struct vhost_shmem_map map = at(0, 2, 0);
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", stage->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(shared_memory_map(&stage->memory, &map, fd), -EACCES);
	expect(stage, 0, 2, 0);
	map.flags = 0;
	assert_int_equal(shared_memory_map(&stage->memory, &map, fd), 0);
	close(fd);
	expect(stage, 0, 2, 1);
	stage->window[1] = 0xaa;
	assert_int_equal(stage->file[1], 0);
	stage->file[PAGE + 1] = 0xbb;
	assert_int_equal(stage->window[PAGE + 1], 0xbb);
}

static unsigned int count_host_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int lines = 0;

	for (int c; (c = fgetc(maps)) != EOF;)
		lines += c == '\n';
	fclose(maps);
	return lines;
}

static void test_flood(void **state)
{
	const uint64_t pages = 4 * SHARED_MEMORY_MAPPINGS_MAX;
	struct vhost_shmem_config config = {.count = 1, .sizes[0] = pages * PAGE};
	struct stage *stage = *state;
	unsigned int fds = rig_count_fds(), before = count_host_mappings(), done = 0;
	struct vhost_shmem_map map;
	struct shared_memory memory;
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(shared_memory_open(&memory, "test0", &config, &stage->loop, NULL), 0);
	/* With gaps, in an order that makes places in the middle. */
	for (uint64_t i = 0; i < pages / 2; i++) {
		map = at((i * 7 % (pages / 2)) * 2, 1, 0);
		done += shared_memory_map(&memory, &map, stage->fd) == 0;
	}
	assert_int_equal(done, SHARED_MEMORY_MAPPINGS_MAX);
	assert_int_equal(shared_memory_map(&memory, &map, stage->fd), -ENOSPC);
	assert_true(count_host_mappings() - before <= 2 * SHARED_MEMORY_MAPPINGS_MAX + 264);
	map = at(0, 1, 0);
	assert_int_equal(shared_memory_unmap(&memory, &map), 0);
	assert_int_equal(shared_memory_map(&memory, &map, stage->fd), 0);
	shared_memory_clear(&memory);
	assert_int_equal(rig_count_fds(), fds + 2);
	assert_int_equal(shared_memory_map(&memory, &map, stage->fd), 0);
	shared_memory_close(&memory);
	assert_int_equal(rig_count_fds(), fds);
	/* The memory of the test itself may have grown. */
	assert_true(count_host_mappings() < before + 32);
}

/* What the guest writes without a mapping takes little memory, however large the window is. */
static void test_writes_to_blank_memory(void **state)
{
	struct stage *stage = *state;
	struct vhost_shmem_config config = {.count = 1, .sizes[0] = SHARED_MEMORY_BYTES_MAX};
	struct shared_memory memory;
	struct stat blank;

	assert_int_equal(shared_memory_open(&memory, "test0", &config, &stage->loop, NULL), 0);
	for (uint64_t i = 0; i < SHARED_MEMORY_BYTES_MAX; i += UINT64_C(1) << 26)
		memory.host[i + i / 64 % (1 << 26)] = 1;
	memory.host[SHARED_MEMORY_BYTES_MAX - 1] = 1;
	assert_int_equal(fstat(memory.blank_fd, &blank), 0);
	assert_true(blank.st_size <= (off_t)(SHARED_MEMORY_BYTES_MAX / 256));
	shared_memory_clear(&memory);
	assert_int_equal(fstat(memory.blank_fd, &blank), 0);
	assert_int_equal(blank.st_blocks, 0);
	assert_int_equal(memory.host[SHARED_MEMORY_BYTES_MAX - 1], 0);
	shared_memory_close(&memory);
}

/* Mappings of a process that is gone stay, until the next one maps the same. */
static void test_inherited(void **state)
{
	struct stage *stage = *state;
	struct vhost_shmem_map wrong = at(0, 4, 0);

	assert_int_equal(map(stage, 0, 4, 0), 0);
	assert_int_equal(map(stage, 10, 4, 10), 0);
	shared_memory_inherit(&stage->memory);
	expect(stage, 0, 4, 1);
	expect(stage, 10, 4, 11);
	/* Not exactly the same. */
	assert_int_equal(map(stage, 0, 3, 0), -EEXIST);
	assert_int_equal(map(stage, 0, 5, 0), -EEXIST);
	assert_int_equal(map(stage, 0, 14, 0), -EEXIST);
	wrong.fd_offset = 512;
	assert_int_equal(shared_memory_map(&stage->memory, &wrong, stage->fd), -EINVAL);
	expect(stage, 0, 4, 1);
	assert_int_equal(map(stage, 0, 4, 40), 0);
	expect(stage, 0, 4, 41);
	assert_int_equal(map(stage, 0, 4, 0), -EEXIST);
	assert_int_equal(unmap(stage, 10, 4), 0);
	expect(stage, 10, 4, 0);
	/* The driver's reset ends all of it. */
	shared_memory_inherit(&stage->memory);
	shared_memory_clear(&stage->memory);
	expect(stage, 0, PAGES, 0);
	assert_int_equal(map(stage, 0, 3, 0), 0);
}

static void test_shrinking_files(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(map(stage, 0, 10, 0), 0);
	assert_int_equal(map(stage, 20, 10, 50), 0);
	assert_false(shared_memory_mend(&stage->memory));
	/* In the middle of page 55 of the file. */
	assert_int_equal(ftruncate(stage->fd, (off_t)(55 * PAGE + 100)), 0);
	expect(stage, 20, 6, 51);
	expect(stage, 26, 4, -1);
	assert_true(shared_memory_mend(&stage->memory));
	expect(stage, 0, 10, 1);
	expect(stage, 20, 6, 51);
	expect(stage, 26, 4, 0);
	stage->window[26 * PAGE] = 1;
	assert_false(shared_memory_mend(&stage->memory));
	/* Again: all of one and a part of the other. */
	assert_int_equal(ftruncate(stage->fd, (off_t)(2 * PAGE)), 0);
	expect(stage, 20, 6, -1);
	assert_true(shared_memory_mend(&stage->memory));
	assert_false(shared_memory_mend(&stage->memory));
	expect(stage, 0, 2, 1);
	expect(stage, 2, 8, 0);
	/* What is gone does not come back by itself; the mapping is still one. */
	assert_int_equal(ftruncate(stage->fd, (off_t)(FILE_PAGES * PAGE)), 0);
	stage->file[5 * PAGE] = 6;
	expect(stage, 5, 1, 0);
	assert_false(shared_memory_mend(&stage->memory));
	assert_int_equal(map(stage, 25, 1, 0), -EEXIST);
	assert_int_equal(unmap(stage, 20, 10), 0);
	assert_int_equal(unmap(stage, 0, 10), 0);
	assert_int_equal(map(stage, 0, 10, 0), 0);
	expect(stage, 5, 1, 6);
}

/* Nobody looks at a file that cannot shrink: a part that it never had is blank from the start. */
static void test_files_that_are_too_short(void **state)
{
	struct stage *stage = *state;
	struct vhost_shmem_map map = at(20, 4, 0);
	int sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(sealed, 2 * PAGE), 0);
	assert_int_equal(write(sealed, "\x55", 1), 1);
	assert_int_equal(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(shared_memory_map(&stage->memory, &map, sealed), 0);
	expect(stage, 20, 1, 0x55);
	expect(stage, 21, 3, 0);
	stage->window[23 * PAGE] = 1;
	assert_int_equal(unmap(stage, 20, 4), 0);
	map.fd_offset = 2 * PAGE;
	assert_int_equal(shared_memory_map(&stage->memory, &map, sealed), 0);
	stage->window[20 * PAGE] = 1;
	close(sealed);
}

/* A timer looks at files, but for those that cannot shrink. */
static void test_files_that_shrink_are_noticed(void **state)
{
	struct stage *stage = *state;
	struct vhost_shmem_map sealed_map = at(20, 4, 0);
	int sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(sealed, 4 * PAGE), 0);
	assert_int_equal(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(shared_memory_map(&stage->memory, &sealed_map, sealed), 0);
	assert_false(stage->memory.mappings[0].may_shrink);
	assert_int_equal(map(stage, 0, 10, 0), 0);
	assert_true(stage->memory.mappings[0].may_shrink);
	assert_int_equal(ftruncate(stage->fd, (off_t)(2 * PAGE)), 0);
	expect(stage, 2, 8, -1);
	for (int i = 0; i < 300 && look(stage, 2) < 0; i++)
		event_loop_turn(&stage->loop, 10);
	expect(stage, 0, 2, 1);
	expect(stage, 2, 8, 0);
	/* And once more. */
	assert_int_equal(ftruncate(stage->fd, (off_t)PAGE), 0);
	for (int i = 0; i < 300 && look(stage, 1) < 0; i++)
		event_loop_turn(&stage->loop, 10);
	expect(stage, 1, 1, 0);
	close(sealed);
}

#define STAGE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_regions),
		cmocka_unit_test(test_no_regions),
		cmocka_unit_test(test_limits_of_regions),
		STAGE_TEST(test_map_and_unmap),
		STAGE_TEST(test_out_of_bounds),
		STAGE_TEST(test_map_over_a_map),
		STAGE_TEST(test_unmap_a_part),
		STAGE_TEST(test_descriptors_that_are_not_files),
		STAGE_TEST(test_a_file_that_makes_others_wait),
		STAGE_TEST(test_huge_pages),
		STAGE_TEST(test_read_only),
		STAGE_TEST(test_flood),
		STAGE_TEST(test_writes_to_blank_memory),
		STAGE_TEST(test_inherited),
		STAGE_TEST(test_shrinking_files),
		STAGE_TEST(test_files_that_are_too_short),
		STAGE_TEST(test_files_that_shrink_are_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

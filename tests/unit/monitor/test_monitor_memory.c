// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's memory, and loading files into it; huge pages as far as a host without reserved ones
 * allows (tests/lab/amd64/huge-pages has some).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/boot_file.h"
#include "monitor/memory.h"

#define MIB (UINT64_C(1) << 20)

static void load_file(struct monitor_memory *memory)
{
	struct boot_file file;
	struct error error;
	uint8_t data[10000];
	int fd = memfd_create("file", MFD_CLOEXEC);

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	assert_int_equal(pwrite(fd, data, sizeof(data), 0), sizeof(data));
	assert_int_equal(boot_file_open(&file, fd, "FILE", "a file", &error), 0);
	memset(memory->host + 0x1000, 0xff, 0x4000);
	assert_int_equal(boot_file_load(memory, &file, 123, 0x1234, 8000, 9000, &error), 0);
	assert_int_equal(memory->host[0x1233], 0xff);
	assert_memory_equal(memory->host + 0x1234, data + 123, 8000);
	for (size_t i = 8000; i < 9000; i++)
		assert_int_equal(memory->host[0x1234 + i], 0);
	assert_int_equal(memory->host[0x1234 + 9000], 0xff);
	assert_int_equal(boot_file_load(memory, &file, 0, 2 * MIB - 100, 8000, 8000, &error),
			 -EINVAL);
	assert_non_null(strstr(error.message, "does not fit"));
	/* It is truncated after its size was read. */
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(boot_file_load(memory, &file, 0, 0x1234, 9000, 9000, &error), -EINVAL);
	assert_non_null(strstr(error.message, "is truncated"));
	close(fd);
}

static void test_files(void **state)
{
	const struct memory_range range = {0, 2 * MIB};
	struct monitor_memory memory;

	(void)state;
	assert_int_equal(monitor_memory_open(&memory, &range, 1, false, NULL), 0);
	load_file(&memory);
	/* The other way, as into huge pages. */
	memory.huge_pages = true;
	load_file(&memory);
	monitor_memory_close(&memory);
}

/* In a child, as lowered limits cannot be raised. */
static void expect_limit(int resource, rlim_t value, const char *text)
{
	const struct memory_range range = {0, 64 * MIB};
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit limit = {value, value};
		struct monitor_memory memory;
		struct error error;

		signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(resource, &limit) < 0)
			_exit(2);
		if (monitor_memory_open(&memory, &range, 1, false, &error) == 0)
			_exit(3);
		_exit(strstr(error.message, text) ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The message names the limit and its value. */
static void test_limits(void **state)
{
	(void)state;
	expect_limit(RLIMIT_FSIZE, MIB,
		     "cannot make 67108864 bytes of guest memory: File too large (perhaps a limit: "
		     "RLIMIT_FSIZE is 1048576, `ulimit -f`)");
	expect_limit(RLIMIT_AS, MIB,
		     "cannot map 67108864 bytes of guest memory: Cannot allocate memory (perhaps a "
		     "limit: RLIMIT_AS is 1048576, `ulimit -v`)");
	expect_limit(RLIMIT_NOFILE, 0,
		     "cannot make 67108864 bytes of guest memory: Too many open files (perhaps a "
		     "limit: RLIMIT_NOFILE is 0, `ulimit -n`)");
}

static void test_huge_pages(void **state)
{
	/* Multiples of any huge page; the second range, or the first, of none. */
	const struct memory_range odd[][2] = {
		{{0, 1024 * MIB}, {4096 * MIB, 1024 * MIB + 65536}},
		{{0, 1024 * MIB - 65536}, {4096 * MIB, 65536}},
	};
	const struct memory_range vast = {0, UINT64_C(1) << 42};
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	struct monitor_memory memory;
	struct error error;

	(void)state;
	if (fd < 0)
		skip();
	close(fd);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(monitor_memory_open(&memory, odd[i], 2, true, &error), -EINVAL);
		assert_true(error.usage);
		assert_non_null(strstr(error.message, "huge pages of"));
		assert_int_equal(memory.fd, -1);
	}
	/* Too few are an error here, not a kill when they are touched. */
	assert_int_equal(monitor_memory_open(&memory, &vast, 1, true, &error), -ENOMEM);
	assert_non_null(strstr(error.message, "nr_hugepages"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_huge_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

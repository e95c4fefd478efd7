// SPDX-License-Identifier: BSD-3-Clause
/* The files that the monitor is started with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor/run/boot_paths.h"
#include "unit/scratch.h"

static struct scratch scratch;

static int set_up(void **state)
{
	scratch_make(&scratch);
	scratch_write(&scratch, "kernel", "k", 1);
	scratch_write(&scratch, "initrd", "i", 1);
	return 0;
}

static int tear_down(void **state)
{
	scratch_remove(&scratch);
	return 0;
}

static void check_byte(int fd, char wanted)
{
	char byte = 0;

	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, wanted);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void test_paths(void **state)
{
	char kernel[4096], initrd[4096];
	struct monitor_setup setup = {.kernel = kernel, .initrd = initrd};
	struct boot_paths paths;
	struct error error;

	snprintf(kernel, sizeof(kernel), "%s", scratch_path(&scratch, "kernel"));
	snprintf(initrd, sizeof(initrd), "%s", scratch_path(&scratch, "initrd"));
	assert_int_equal(boot_paths_open(&paths, &setup, &error), 0);
	check_byte(paths.source.kernel_fd, 'k');
	check_byte(paths.source.initrd_fd, 'i');
	assert_string_equal(paths.source.kernel_name, kernel);
	assert_string_equal(paths.source.command_line, "");
	assert_int_equal(paths.source.firmware_fd, -1);
	assert_int_equal(paths.source.tree_fd, -1);
	boot_paths_close(&paths);
	assert_int_equal(paths.kernel.fd, -1);
	assert_int_equal(paths.initrd.fd, -1);
}

/* Errors name the file of an inherited descriptor, which the caller owns. */
static void test_inherited(void **state)
{
	char name[4096], path[32];
	struct monitor_setup setup = {.kernel = path, .append = "quiet"};
	struct boot_paths paths;
	struct error error;
	int fd;

	snprintf(name, sizeof(name), "%s", scratch_path(&scratch, "kernel"));
	fd = open(name, O_RDONLY);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	assert_int_equal(boot_paths_open(&paths, &setup, &error), 0);
	assert_int_not_equal(paths.source.kernel_fd, fd);
	check_byte(paths.source.kernel_fd, 'k');
	assert_string_equal(paths.source.kernel_name, name);
	assert_string_equal(paths.source.command_line, "quiet");
	boot_paths_close(&paths);
	assert_int_equal(close(fd), 0);
}

static void check_refused(struct monitor_setup setup, const char *message)
{
	struct boot_paths paths;
	struct error error;

	assert_true(boot_paths_open(&paths, &setup, &error) < 0);
	boot_paths_close(&paths);
	assert_true(error.usage);
	if (!strstr(error.message, message))
		fail_msg("\"%s\" is not in: %s", message, error.message);
}

static void test_wrong_options(void **state)
{
	check_refused((struct monitor_setup){.initrd = "/dev/null"}, "--kernel is missing");
	check_refused((struct monitor_setup){.kernel = "/nowhere/kernel"},
		      "--kernel: /nowhere/kernel: No such file");
	check_refused((struct monitor_setup){.kernel = "/dev/null", .initrd = "/nowhere/initrd"},
		      "--initrd: /nowhere/initrd: No such file");
	if (arch_has_firmware)
		check_refused((struct monitor_setup){.kernel = "/dev/null",
						     .firmware = "/dev/null"},
			      "--firmware finds the kernel itself");
	else
		check_refused((struct monitor_setup){.firmware = "/dev/null"},
			      "--firmware: only machines of arm64");
	if (arch_has_tree)
		check_refused((struct monitor_setup){.kernel = "/dev/null",
						     .dump_dtb = "/nowhere/tree"},
			      "--dump-dtb: /nowhere/tree: No such file");
	else
		check_refused((struct monitor_setup){.kernel = "/dev/null", .dump_dtb = "tree"},
			      "--dump-dtb: a machine of this architecture");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_wrong_options),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of guest/config/host_kernel.c, with the directory layouts of distributions,
 * and of the bundle that is made with what it finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/config/bundle.h"
#include "guest/config/bundle_example.h"
#include "guest/config/host_kernel.h"
#include "host/json_file.h"
#include "unit/scratch.h"

static struct scratch scratch;
static struct host_kernel found;

static int set_up(void **state)
{
	scratch_make(&scratch);
	chmod(scratch.directory, 0755);
	return mkdir(scratch_path(&scratch, "boot"), 0755);
}

static int tear_down(void **state)
{
	static const char *const names[] = {
		"boot/vmlinuz",
		"boot/initrd.img",
		"boot/vmlinuz-6.1.0-9",
		"boot/vmlinuz-6.1.0-10",
		"boot/vmlinuz-6.12.1",
		"boot/initrd.img-6.1.0-9",
		"boot/initrd.img-6.1.0-10",
		"boot/initramfs-6.12.1.img",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(scratch_path(&scratch, names[i]));
	rmdir(scratch_path(&scratch, "boot"));
	scratch_remove(&scratch);
	return 0;
}

static void put_kernel(const char *name, mode_t mode)
{
	chmod(scratch_write_kernel(&scratch, name), mode);
}

static void put_initrd(const char *name, mode_t mode)
{
	chmod(scratch_write(&scratch, name, "i", 1), mode);
}

/* Searches as a user other than root. */
static bool find(void)
{
	bool root = geteuid() == 0, result;

	assert_int_equal(root ? seteuid(65534) : 0, 0);
	result = host_kernel_find(&found, scratch.directory);
	assert_int_equal(root ? seteuid(0) : 0, 0);
	return result;
}

static void expect(const char *kernel, const char *initrd, bool readable)
{
	assert_true(find());
	assert_string_equal(found.kernel, scratch_path(&scratch, kernel));
	assert_string_equal(found.initrd, scratch_path(&scratch, initrd));
	assert_int_equal(found.readable, readable);
}

static void test_nothing_is_found_in_an_empty_root(void **state)
{
	assert_false(find());
	assert_string_equal(found.kernel, "");
	/* A kernel without its initial file system boots to a panic. */
	put_kernel("vmlinuz", 0644);
	assert_false(find());
	scratch_write(&scratch, "initrd.img", "", 0);
	assert_false(find());
}

static void test_versions(void **state)
{
	put_kernel("boot/vmlinuz-6.1.0-9", 0644);
	put_initrd("boot/initrd.img-6.1.0-9", 0644);
	put_kernel("boot/vmlinuz-6.1.0-10", 0644);
	put_initrd("boot/initrd.img-6.1.0-10", 0644);
	expect("boot/vmlinuz-6.1.0-10", "boot/initrd.img-6.1.0-10", true);
	put_kernel("boot/vmlinuz-6.12.1", 0644);
	expect("boot/vmlinuz-6.1.0-10", "boot/initrd.img-6.1.0-10", true);
	put_initrd("boot/initramfs-6.12.1.img", 0644);
	expect("boot/vmlinuz-6.12.1", "boot/initramfs-6.12.1.img", true);
	/*
	 * One that is readable comes before a newer one that is not; either file may be the reason.
	 */
	chmod(scratch_path(&scratch, "boot/vmlinuz-6.12.1"), 0600);
	expect("boot/vmlinuz-6.1.0-10", "boot/initrd.img-6.1.0-10", true);
	chmod(scratch_path(&scratch, "boot/initrd.img-6.1.0-10"), 0600);
	expect("boot/vmlinuz-6.1.0-9", "boot/initrd.img-6.1.0-9", true);
	chmod(scratch_path(&scratch, "boot/initrd.img-6.1.0-9"), 0600);
	expect("boot/vmlinuz-6.12.1", "boot/initramfs-6.12.1.img", false);
	/* Root can read all of them. */
	if (geteuid() == 0) {
		assert_true(host_kernel_find(&found, scratch.directory));
		assert_true(found.readable);
	}
}

static void test_links(void **state)
{
	put_kernel("boot/vmlinuz-6.1.0-9", 0644);
	put_initrd("boot/initrd.img-6.1.0-9", 0644);
	assert_int_equal(symlink("vmlinuz-6.1.0-9", scratch_path(&scratch, "boot/vmlinuz")), 0);
	assert_int_equal(symlink("initrd.img-6.1.0-9", scratch_path(&scratch, "boot/initrd.img")),
			 0);
	expect("boot/vmlinuz", "boot/initrd.img", true);
	assert_int_equal(symlink("boot/vmlinuz-6.1.0-9", scratch_path(&scratch, "vmlinuz")), 0);
	assert_int_equal(symlink("boot/initrd.img-6.1.0-9", scratch_path(&scratch, "initrd.img")),
			 0);
	/* Links stay valid when the kernel is replaced. */
	expect("vmlinuz", "initrd.img", true);
	/* A dangling link does not count. */
	unlink(scratch_path(&scratch, "vmlinuz"));
	assert_int_equal(symlink("boot/gone", scratch_path(&scratch, "vmlinuz")), 0);
	expect("boot/vmlinuz", "boot/initrd.img", true);
	/* Nor does a file that is not a kernel. */
	unlink(scratch_path(&scratch, "vmlinuz"));
	chmod(scratch_write(&scratch, "vmlinuz", "#!/bin/sh", 9), 0644);
	expect("boot/vmlinuz", "boot/initrd.img", true);
}

static void test_the_bundle_has_what_was_found(void **state)
{
	cleanup_json json_t *bundle = NULL;
	cleanup_guest_config struct guest_config config = {0};
	struct error error;
	char *text;

	put_kernel("vmlinuz", 0644);
	put_initrd("initrd.img", 0644);
	assert_true(find());
	assert_int_equal(bundle_example(&bundle, &found, &error), 0);
	text = json_dumps(bundle, 0);
	assert_int_equal(bundle_parse(text, strlen(text), "dir", &config, &error), 0);
	free(text);
	assert_string_equal(config.kernel, scratch_path(&scratch, "vmlinuz"));
	assert_string_equal(config.initrd, scratch_path(&scratch, "initrd.img"));
	assert_non_null(strstr(config.append, "console=tty"));
	assert_int_equal(guest_config_check(&config, &error), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_found_in_an_empty_root),
		TEST(test_versions),
		TEST(test_links),
		TEST(test_the_bundle_has_what_was_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

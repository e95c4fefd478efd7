// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of guest/config/config.c, device_type.c, device_check.c and kernel_image.c: a guest
 * built as by `avp run`, and what is refused before anything is started.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/disk_format.h"
#include "base/text.h"
#include "device/block/options.h"
#include "device/net/options.h"
#include "guest/config/config.h"
#include "guest/config/kernel_image.h"
#include "unit/capture.h"
#include "unit/scratch.h"

static struct scratch scratch;
static struct guest_config config;
static struct error error;

static int start(void **state)
{
	const char *kernel;

	scratch_make(&scratch);
	memset(&error, 0, sizeof(error));
	kernel = scratch_write_kernel(&scratch, "kernel");
	if (guest_config_init(&config, &error) < 0)
		return -1;
	return text_replace(&config.kernel, kernel, strlen(kernel), &error);
}

static int finish(void **state)
{
	guest_config_clear(&config);
	scratch_remove(&scratch);
	return 0;
}

static int add(const char *type, const char *text)
{
	return guest_config_parse_device(&config, device_type_find(type), text, &error);
}

static int add_disk(const char *name, const char *rest)
{
	char text[400];

	snprintf(text, sizeof(text), "%s%s", scratch_path(&scratch, name), rest);
	return add("block", text);
}

static int check(void)
{
	memset(&error, 0, sizeof(error));
	return guest_config_check(&config, &error);
}

static void check_refused(const char *part)
{
	assert_true(check() < 0);
	assert_int_equal(error_exit_status(&error), 2);
	if (!strstr(error.message, part))
		fail_msg("\"%s\" is not in: %s", part, error.message);
}

static void options_of_types_differ_from_those_of_every_device(void **state)
{
	for_each_device_type(type)
		for (const struct option_row *row = type->options; row->name; row++)
			assert_null(option_find(device_option_rows, row->name, strlen(row->name)));
	assert_null(device_type_find("blok"));
}

static void a_guest_with_defaults_is_complete(void **state)
{
	assert_int_equal(check(), 0);
	assert_string_equal(config.name, "guest");
	assert_int_equal(config.cpus, 1);
	assert_int_equal(config.memory, 512 << 20);
	assert_int_equal(config.engine, ENGINE_AUTO);
	assert_int_equal(config.device_count, 0);
}

static void devices_keep_their_order_and_get_names(void **state)
{
	scratch_write_zeros(&scratch, "a.img", 1024);
	scratch_write_zeros(&scratch, "b.img", 1024);
	assert_int_equal(add_disk("a.img", ""), 0);
	assert_int_equal(add("net", "user,mtu=1400,forward=tcp:80:80,forward=udp:1.2.3.4:53:53"),
			 0);
	assert_int_equal(add("entropy", ""), 0);
	assert_int_equal(add_disk("b.img", ",readonly,serial=A1,name=block0,cache=writethrough"),
			 0);
	assert_int_equal(check(), 0);
	assert_int_equal(config.device_count, 4);
	/* A generated name does not collide with a given one. */
	assert_string_equal(config.devices[0].name, "block1");
	assert_string_equal(config.devices[1].name, "net0");
	assert_string_equal(config.devices[2].name, "entropy0");
	assert_string_equal(config.devices[3].name, "block0");

	const struct block_options *block = config.devices[3].options;
	const struct net_options *net = config.devices[1].options;

	assert_true(block->readonly);
	assert_string_equal(block->serial, "A1");
	assert_int_equal(block->cache, BLOCK_CACHE_WRITETHROUGH);
	assert_int_equal(block->queues, 1);
	assert_int_equal(block->queue_size, 256);
	assert_int_equal(block->logical_block_size, 512);
	assert_int_equal(block->physical_block_size, 0);
	assert_true(net->user);
	assert_int_equal(net->mtu, 1400);
	assert_int_equal(net->forwards.count, 2);
}

static void two_devices_with_one_name_are_refused(void **state)
{
	assert_int_equal(add("net", "user,name=a"), 0);
	assert_int_equal(add("entropy", "name=a"), 0);
	check_refused(
		"--entropy: name: another device is named 'a' already; give each a unique name");
}

static void too_many_devices_are_refused(void **state)
{
	for (int i = 0; i < GUEST_DEVICES_MAXIMUM; i++)
		assert_int_equal(add("entropy", ""), 0);
	assert_true(add("entropy", "") < 0);
	assert_true(error.usage);
	assert_int_equal(config.device_count, GUEST_DEVICES_MAXIMUM);
	assert_int_equal(check(), 0);
}

static void a_device_without_its_file_is_refused(void **state)
{
	assert_true(add("block", "readonly") < 0);
	assert_true(error.usage);
	assert_non_null(strstr(error.message, "--block: file is missing"));
	assert_true(add("block", "") < 0);
	assert_non_null(strstr(error.message, "--block: file is missing"));
}

static void wrong_disk_images_are_refused(void **state)
{
	static const struct {
		const char *name;
		off_t size;
		const char *options;
		const char *message;
	} rows[] = {
		{"missing", -1, "", "missing: No such file or directory; check the path"},
		{"empty", 0, "", "empty: is empty; give it a size: truncate"},
		{"odd", 1000, "",
		 "odd: its size, 1000 bytes, is not a multiple of the sector of 512"},
		{"sectors", 1536, ",logical-block-size=1024",
		 "--block: logical-block-size: the size of"},
		{"blocks", 4096, ",logical-block-size=4096,physical-block-size=512",
		 "--block: physical-block-size: 512 is smaller than the logical block size"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].size >= 0)
			scratch_write_zeros(&scratch, rows[i].name, rows[i].size);
		assert_int_equal(add_disk(rows[i].name, rows[i].options), 0);
		check_refused(rows[i].message);
		finish(NULL);
		assert_int_equal(start(NULL), 0);
	}
	assert_int_equal(add_disk("", ""), 0);
	check_refused("is a directory; give a regular file or a block device");
}

static void a_pipe_is_no_disk_and_no_kernel(void **state)
{
	/* Opening it must not wait for a writer. */
	assert_int_equal(mkfifo(scratch_path(&scratch, "pipe"), 0600), 0);
	assert_int_equal(add_disk("pipe", ",readonly"), 0);
	check_refused("give a regular file or a block device");
	text_replace_format(&config.kernel, &error, "%s", scratch_path(&scratch, "pipe"));
	check_refused("--kernel: ");
	assert_non_null(strstr(error.message, "give a regular file"));
}

static void a_file_without_permission_says_what_to_do(void **state)
{
	const char *path = scratch_write_zeros(&scratch, "disk", 512);
	bool root = geteuid() == 0;

	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(chmod(scratch.directory, 0755), 0);
	assert_int_equal(add_disk("disk", ""), 0);
	/* Root can write everything. */
	assert_int_equal(root ? seteuid(65534) : 0, 0);
	check();
	assert_int_equal(root ? seteuid(0) : 0, 0);
	assert_true(error.usage);
	assert_non_null(strstr(error.message, "Permission denied; make it readable and writable "
					      "for this user, or add readonly"));

	((struct block_options *)config.devices[0].options)->readonly = true;
	assert_int_equal(root ? seteuid(65534) : 0, 0);
	assert_int_equal(check(), 0);
	assert_int_equal(root ? seteuid(0) : 0, 0);
}

static void an_image_of_another_format_is_refused(void **state)
{
	static const char qcow2[1025] = "QFI\xfb\0\0\0\3";
	struct block_options *block;
	char line[300];

	/* Of an odd size, where a hint to pad it would be wrong. */
	scratch_write(&scratch, "a disk.qcow2", qcow2, sizeof(qcow2));
	assert_int_equal(add_disk("a disk.qcow2", ""), 0);
	block = config.devices[0].options;
	snprintf(line, sizeof(line), "qemu-img convert -f qcow2 -O raw '%s' '%s.raw'", block->file,
		 block->file);
	check_refused(line);
	check_refused("file: ");
	block->readonly = true;
	check_refused(line);
	scratch_write(&scratch, "a disk.qcow2", qcow2, 1024);
	check_refused(line);
	/* An explicit format overrides the check. */
	block->format = BLOCK_FORMAT_RAW;
	assert_int_equal(check(), 0);
}

/* A guest may write the signature of another format before its device process restarts. */
static void a_disk_that_was_raw_at_the_start_stays_raw(void **state)
{
	scratch_write_zeros(&scratch, "disk", 512);
	assert_int_equal(add_disk("disk", ""), 0);
	assert_int_equal(check(), 0);
	assert_int_equal(((struct block_options *)config.devices[0].options)->format,
			 BLOCK_FORMAT_RAW);
}

static void what_can_never_be_kept_is_warned_of(void **state)
{
	const char *path = scratch_write_zeros(&scratch, "disk", 512);
	struct capture capture;
	struct statvfs system;
	const char *text;

	assert_int_equal(add_disk("disk", ""), 0);
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(check(), 0);
	assert_string_equal(capture_all(&capture), "");
	config.memory = UINT64_C(900) << 40;
	assert_int_equal(check(), 0);
	text = capture_all(&capture);
	assert_non_null(strstr(text, "memory: 900T is more than this host has, "));
	config.memory = 64 << 20;
	assert_int_equal(statvfs(path, &system), 0);
	if (truncate(path, (off_t)(system.f_blocks * system.f_frsize / 4096 * 4096 + 8192)) == 0) {
		assert_int_equal(check(), 0);
		assert_non_null(
			strstr(capture_all(&capture), "long, but its file system holds only "));
		((struct block_options *)config.devices[0].options)->readonly = true;
		assert_int_equal(check(), 0);
		assert_string_equal(capture_all(&capture), "");
	}
	capture_stop(&capture);
}

/* The number of hints about changing addresses for a guest with these two network devices. */
static int count_hints(const char *first, const char *second, const char *name)
{
	struct capture capture;
	int count = 0;

	finish(NULL);
	assert_int_equal(start(NULL), 0);
	assert_int_equal(text_replace(&config.name, name, strlen(name), &error), 0);
	if (!*name) {
		free(config.name);
		config.name = NULL;
	}
	assert_int_equal(add("net", first), 0);
	assert_int_equal(add("net", second), 0);
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(check(), 0);
	assert_string_equal(capture_all(&capture), "");
	guest_config_hint(&config);
	for (const char *text = capture_all(&capture);
	     (text = strstr(text, "its MAC address may change")); text++)
		count++;
	capture_stop(&capture);
	return count;
}

static void an_address_that_may_change_is_told_of(void **state)
{
	assert_int_equal(count_hints("user", "user", ""), 1);
	assert_int_equal(count_hints("user,mac=02:00:00:00:00:01", "user", ""), 1);
	assert_int_equal(
		count_hints("user,mac=02:00:00:00:00:01", "user,mac=02:00:00:00:00:02", ""), 0);
	assert_int_equal(count_hints("user", "user", "mine"), 0);
}

static void what_converts_an_image_can_be_pasted(void **state)
{
	static const struct {
		const char *path, *words;
	} rows[] = {
		{"a.qcow2", " -O raw a.qcow2 a.qcow2.raw "},
		{"-a", " -O raw ./-a ./-a.raw "},
		{"nbd:a", " -O raw ./nbd:a ./nbd:a.raw "},
		{"/a:b", " -O raw /a:b /a:b.raw "},
		{"a b$c", " -O raw 'a b$c' 'a b$c.raw' "},
		{"it's", " -O raw FILE FILE.raw "},
		{"a\nb", " -O raw FILE FILE.raw "},
		{"a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890"
		 "a234567890a234567890",
		 " -O raw FILE FILE.raw "},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(disk_format_refuse("file", rows[i].path, "qcow2", &error),
				 -EINVAL);
		if (!strstr(error.message, rows[i].words))
			fail_msg("\"%s\" is not in: %s", rows[i].words, error.message);
	}
	/* The remedy is not truncated. */
	disk_format_refuse("file", rows[4].path, "luks", &error);
	assert_non_null(strstr(error.message, "add format=raw if the guest encrypts this disk"));
	assert_non_null(strstr(error.message, " -O raw 'a b$c.raw'"));
}

static void a_disk_is_written_by_one_device_only(void **state)
{
	scratch_write_zeros(&scratch, "disk", 512);
	assert_int_equal(symlink(scratch_path(&scratch, "disk"), scratch_path(&scratch, "link")),
			 0);
	assert_int_equal(add_disk("disk", ",readonly"), 0);
	assert_int_equal(add_disk("disk", ",readonly"), 0);
	assert_int_equal(check(), 0);
	assert_int_equal(add_disk("link", ",name=third"), 0);
	check_refused("is also the disk of block0; give each its own file");
}

static void a_net_device_has_one_other_end(void **state)
{
	static const struct {
		const char *options;
		const char *message;
	} rows[] = {
		{"user,tap=tap0", "--net: user: excludes tap and link; give one of them"},
		{"tap=tap0,link=sw.sock", "--net: tap: excludes link; give one of them"},
		{"link=sw.sock,forward=tcp:1:1", "--net: forward: works with user only; omit it"},
		{"link=sw.sock,queue-pairs=2", "--net: queue-pairs: works with tap only; omit it"},
		{"user,client=a", "--net: client: works with link only; omit it"},
		{"mtu=1500", "--net: user: none of user, tap and link is given; add one of them"},
		{"tap=a/b", "--net: tap: 'a/b' is not the name of an interface"},
		{"tap=..", "--net: tap: '..' is not the name of an interface"},
		{"tap=tap0,forward=tcp:80:80", "--net: forward: works with user only"},
		{"tap=tap0,subnet=10.0.2.0/24", "--net: subnet: works with user only"},
		{"tap=tap0,host-loopback", "--net: host-loopback: works with user only"},
		{"tap=tap0,host-name=a", "--net: host-name: works with user only"},
		{"user,forward=tcp:80", "--net: forward: 'tcp:80' is not a forward; write tcp:"},
		{"user,mtu=575", "--net: mtu: a user network needs at least 576 bytes"},
		{"tap=tap0,ipv6=off", "--net: ipv6: works with user only"},
		{"user,mtu=1279,ipv6=on", "--net: mtu: IPv6 needs at least 1280 bytes"},
		{"user,host-name=a_b", "--net: host-name: 'a_b' is not a host name"},
		{"user,host-name=-a", "--net: host-name: '-a' is not a host name"},
		{"user,subnet=10.0.2.0", "--net: subnet: '10.0.2.0' is not a network"},
		{"user,subnet=10.0.2.1/24", "--net: subnet: '10.0.2.1/24' is not a network"},
		{"user,subnet=10.0.2.0/28", "--net: subnet: '10.0.2.0/28' is not a network"},
		{"user,subnet=0.0.0.0/7", "--net: subnet: '0.0.0.0/7' is not a network"},
		{"user,subnet=127.0.0.0/8", "--net: subnet: '127.0.0.0/8' is not a network"},
		{"user,subnet=224.0.0.0/24", "--net: subnet: '224.0.0.0/24' is not a network"},
		{"user,subnet=10.0.2.0/240", "--net: subnet: '10.0.2.0/240' is not a network"},
		{"user,subnet=a/24", "--net: subnet: 'a/24' is not a network"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(add("net", rows[i].options), 0);
		check_refused(rows[i].message);
		finish(NULL);
		assert_int_equal(start(NULL), 0);
	}
	assert_true(add("net", "tap=a123456789012345") < 0);
	assert_true(add("net", "user,mtu=67") < 0);
	assert_true(add("net", "user,queue-pairs=9") < 0);
}

static const struct net_options *net_options(size_t index)
{
	return config.devices[index].options;
}

static void user_networks_of_a_guest_differ(void **state)
{
	assert_int_equal(add("net", "user,subnet=10.0.3.0/26,host-name=first"), 0);
	assert_int_equal(add("net", "user,mtu=1279"), 0);
	assert_int_equal(add("net", "tap=tap0"), 0);
	assert_int_equal(add("net", "user,host-loopback,ipv6=on,mtu=1280"), 0);
	assert_int_equal(check(), 0);
	assert_string_equal(net_options(0)->subnet, "10.0.3.0/26");
	assert_string_equal(net_options(1)->subnet, "10.0.2.0/24");
	assert_null(net_options(2)->subnet);
	assert_string_equal(net_options(3)->subnet, "10.0.4.0/24");
	assert_false(net_options(1)->host_loopback);
	assert_true(net_options(3)->host_loopback);
	assert_int_equal(net_options(1)->ipv6, NET_IPV6_AUTO);
	assert_int_equal(net_options(3)->ipv6, NET_IPV6_ON);
	assert_string_equal(net_options(0)->host_name, "first");
	assert_string_equal(net_options(1)->host_name, "guest");
	assert_null(net_options(2)->host_name);
	finish(NULL);
	assert_int_equal(start(NULL), 0);
	assert_int_equal(add("net", "user,subnet=10.0.0.0/16"), 0);
	assert_int_equal(add("net", "user,subnet=10.0.2.0/24"), 0);
	check_refused("--net: subnet: 10.0.2.0/24 overlaps the network of net0");
}

static void dhcp_tells_a_name_that_hosts_can_have(void **state)
{
	assert_int_equal(add("net", "user"), 0);
	free(config.name);
	config.name = strdup("left_cluster.7.");
	assert_int_equal(check(), 0);
	assert_string_equal(net_options(0)->host_name, "left-cluster-7");
}

static void wrong_boot_files_are_refused(void **state)
{
	char path[200];

	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "missing"));
	text_replace(&config.initrd, path, strlen(path), &error);
	check_refused("--initrd: ");
	assert_non_null(
		strstr(error.message, "missing: No such file or directory; check the path"));

	snprintf(path, sizeof(path), "%s", scratch_write(&scratch, "empty", "", 0));
	text_replace(&config.initrd, path, strlen(path), &error);
	check_refused("is empty; give an initial file system");

	text_replace(&config.kernel, path, strlen(path), &error);
	check_refused("--kernel: ");
	assert_non_null(strstr(error.message, "is not a kernel (bzImage, Image or ELF)"));

	text_replace(&config.kernel, scratch.directory, strlen(scratch.directory), &error);
	check_refused("is a directory; give a regular file");
}

static void firmware_takes_the_place_of_a_kernel(void **state)
{
	char path[200];

	snprintf(path, sizeof(path), "%s", scratch_write(&scratch, "firmware", "F", 1));
	text_replace(&config.firmware, path, strlen(path), &error);
	check_refused("--firmware: finds the kernel itself");
	free(take_pointer(config.kernel));
	assert_int_equal(check(), 0);
	text_replace(&config.append, "quiet", 5, &error);
	check_refused("--firmware: finds the kernel itself");
	free(take_pointer(config.append));
	snprintf(path, sizeof(path), "%s", scratch_write(&scratch, "empty", "", 0));
	text_replace(&config.firmware, path, strlen(path), &error);
	check_refused("is empty; give firmware");
	text_replace_format(&config.firmware, &error, "/nowhere/f");
	check_refused("--firmware: /nowhere/f: No such file or directory");
	free(take_pointer(config.firmware));
	check_refused("--kernel: is missing");
}

static void memory_must_hold_the_guest(void **state)
{
	const char *path = scratch_write_zeros(&scratch, "initrd", 33 << 20);

	text_replace(&config.initrd, path, strlen(path), &error);
	config.memory = 32 << 20;
	check_refused("--memory: 33554432 bytes cannot hold the kernel");
	config.memory = 64 << 20;
	assert_int_equal(check(), 0);
}

static void memory_must_hold_the_unpacked_kernel(void **state)
{
	/*
	 * Version 2.15, preferred address 16 MiB, needs 51.5 MiB there: a cloud kernel of Debian.
	 */
	char bytes[1024] = {0};
	const char *path;

	memcpy(bytes + 0x202, "HdrS\x0f\x02", 6);
	memcpy(bytes + 0x258, "\0\0\0\x01", 4);
	memcpy(bytes + 0x260, "\0\x80\x37\x03", 4);
	path = scratch_write(&scratch, "big", bytes, sizeof(bytes));
	text_replace(&config.kernel, path, strlen(path), &error);
	config.memory = 64 << 20;
	check_refused("--memory: 67108864 bytes cannot hold the kernel");
	config.memory = 72 << 20;
	assert_int_equal(check(), 0);
	/* An arm64 Image also gives its size: 70 MiB. */
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes + 0x10, "\0\0\x60\x04", 4);
	memcpy(bytes + 0x38, "ARM\x64", 4);
	path = scratch_write(&scratch, "big", bytes, sizeof(bytes));
	text_replace(&config.kernel, path, strlen(path), &error);
	assert_int_equal(check(), 0);
	config.memory = 64 << 20;
	check_refused("--memory: 67108864 bytes cannot hold the kernel");
}

static void messages_name_the_place_that_was_wrong(void **state)
{
	text_replace_format(&config.source, &error, "dir/config.json");
	text_replace_format(&config.kernel, &error, "/nowhere/k");
	check_refused("dir/config.json: vm.kernel.path: /nowhere/k: No such file or directory");
	/* The kernel on the command line overrides the bundle's. */
	for (int i = 0; guest_option_rows[i].name; i++)
		if (!strcmp(guest_option_rows[i].name, "kernel"))
			config.overridden |= 1U << i;
	check_refused("--kernel: /nowhere/k: No such file or directory");
}

static void kernels_are_known_by_their_signature(void **state)
{
	static const struct {
		size_t offset;
		const char *bytes;
		int result;
		enum kernel_format format;
	} rows[] = {
		{0x202, "HdrS", 0, KERNEL_BZIMAGE},
		{0x38, "ARM\x64", 0, KERNEL_ARM64_IMAGE},
		{0,
		 "\x7f"
		 "ELF",
		 0, KERNEL_ELF},
		{4, "zimg", 0, KERNEL_ZBOOT},
		{0, "\x1f\x8b", 0, KERNEL_GZIP},
		{0, "!<arch>\n", -1, 0},
		{0, "#!/bin/sh", -1, 0},
		{0x200, "HdrS", -1, 0},
	};

	struct kernel_image kernel;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char bytes[1024] = {0};
		const char *path;

		memcpy(bytes + rows[i].offset, rows[i].bytes, strlen(rows[i].bytes));
		path = scratch_write(&scratch, "image", bytes, sizeof(bytes));
		assert_int_equal(kernel_image_check(path, &kernel, &error) < 0, rows[i].result < 0);
		assert_true(rows[i].result < 0 || kernel.format == rows[i].format);
	}
	/* A file that ends before the signature's offset. */
	assert_true(kernel_image_check(scratch_write(&scratch, "image", "Hdr", 3), &kernel,
				       &error) < 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_of_types_differ_from_those_of_every_device),
		TEST(a_guest_with_defaults_is_complete),
		TEST(devices_keep_their_order_and_get_names),
		TEST(two_devices_with_one_name_are_refused),
		TEST(too_many_devices_are_refused),
		TEST(a_device_without_its_file_is_refused),
		TEST(wrong_disk_images_are_refused),
		TEST(a_pipe_is_no_disk_and_no_kernel),
		TEST(a_file_without_permission_says_what_to_do),
		TEST(an_image_of_another_format_is_refused),
		TEST(a_disk_that_was_raw_at_the_start_stays_raw),
		TEST(what_can_never_be_kept_is_warned_of),
		TEST(what_converts_an_image_can_be_pasted),
		TEST(a_disk_is_written_by_one_device_only),
		TEST(a_net_device_has_one_other_end),
		TEST(user_networks_of_a_guest_differ),
		TEST(dhcp_tells_a_name_that_hosts_can_have),
		TEST(wrong_boot_files_are_refused),
		TEST(firmware_takes_the_place_of_a_kernel),
		TEST(an_address_that_may_change_is_told_of),
		TEST(memory_must_hold_the_guest),
		TEST(memory_must_hold_the_unpacked_kernel),
		TEST(messages_name_the_place_that_was_wrong),
		TEST(kernels_are_known_by_their_signature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

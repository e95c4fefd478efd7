// SPDX-License-Identifier: BSD-3-Clause
/* The keys of `avp monitor --device`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "base/arguments.h"
#include "guest/config/config.h"
#include "guest/engine/kvm/monitor_device.h"

static void check_same(const struct device_shape *shape, const struct device_shape *wanted)
{
	assert_int_equal(shape->virtio_id, wanted->virtio_id);
	assert_int_equal(shape->queues, wanted->queues);
	assert_int_equal(shape->queue_size_max, wanted->queue_size_max);
	assert_memory_equal(shape->config_sizes, wanted->config_sizes, sizeof(shape->config_sizes));
	assert_int_equal(shape->setting_offset, wanted->setting_offset);
	assert_int_equal(shape->setting_length, wanted->setting_length);
	assert_int_equal(shape->replay, wanted->replay);
	assert_int_equal(shape->config_length, wanted->config_length);
	if (wanted->config_length)
		assert_memory_equal(shape->config, wanted->config, wanted->config_length);
}

static void check_parsed(const char *text, const struct device_shape *wanted)
{
	struct monitor_device device;
	struct error error;

	if (monitor_device_parse(&device, text, &error) < 0)
		fail_msg("'%s': %s", text, error.message);
	check_same(&device.shape, wanted);
	monitor_device_clear(&device);
}

/* `avp run` passes the shape of the type, whether or not the monitor knows the type. */
static void test_handed_down(void **state)
{
	for_each_device_type(type) {
		cleanup_arguments struct arguments arguments = {0};
		struct monitor_device device;
		const char *text;
		struct error error;

		monitor_device_add(&arguments, "disk.0", &type->shape, 17, -1);
		assert_int_equal(arguments.count, 1);
		text = arguments.items[0];
		assert_int_equal(strncmp(text, "--device=", 9), 0);
		if (monitor_device_parse(&device, text + 9, &error) < 0)
			fail_msg("'%s': %s", text, error.message);
		check_same(&device.shape, &type->shape);
		assert_string_equal(device.name, "disk.0");
		assert_string_equal(device.socket, "/dev/fd/17");
		monitor_device_clear(&device);
	}
}

/* A type's name sets the defaults; given keys override them. */
static void test_by_hand(void **state)
{
	struct device_shape shape = device_type_find("block")->shape;

	check_parsed("block,socket=disk.sock", &shape);
	shape.queue_size_max = 128;
	shape.queues = 4;
	memset(shape.config_sizes, 0, sizeof(shape.config_sizes));
	shape.config_sizes[0] = 60;
	check_parsed("block,socket=a,,b.sock,queues=4,queue-size=128,config-size=60", &shape);
	check_parsed("26,socket=fs.sock,queues=2,config-size=44,config-size=40",
		     &(struct device_shape){.virtio_id = 26,
					    .queues = 2,
					    .queue_size_max = 256,
					    .config_sizes = {44, 40}});
	check_parsed("type=18,socket=input.sock,config-size=136,setting-length=2",
		     &(struct device_shape){.virtio_id = 18,
					    .queues = 1,
					    .queue_size_max = 256,
					    .config_sizes = {136},
					    .setting_length = 2});
	check_parsed("26,socket=fs.sock,replay=nothing",
		     &(struct device_shape){.virtio_id = 26,
					    .queues = 1,
					    .queue_size_max = 256,
					    .replay = DEVICE_REPLAY_NOTHING});
}

static void test_config(void **state)
{
	static const uint8_t wanted[] = {0x68, 0x6f, 0x00, 0xAb};
	struct monitor_device device;
	struct error error;

	assert_int_equal(monitor_device_parse(&device, "26,socket=s,config=686F00ab", &error), 0);
	assert_int_equal(device.shape.config_length, sizeof(wanted));
	assert_memory_equal(device.shape.config, wanted, sizeof(wanted));
	monitor_device_clear(&device);
}

/* What is handed down is read again as it was. */
static void test_replay_and_config_are_handed_down(void **state)
{
	static const uint8_t config[] = {0x68, 0x00, 0xff};
	cleanup_arguments struct arguments arguments = {0};
	const struct device_shape shape = {.virtio_id = 26,
					   .queues = 2,
					   .queue_size_max = 128,
					   .config = config,
					   .config_length = sizeof(config),
					   .replay = DEVICE_REPLAY_NOTHING};

	monitor_device_add(&arguments, "fs", &shape, 3, -1);
	check_parsed(arguments.items[0] + strlen("--device="), &shape);
}

/* As written by an engine, and read by its monitor. */
static void test_part_of_the_device_tree(void **state)
{
	cleanup_arguments struct arguments arguments = {0};
	const struct device_shape shape = {.virtio_id = 41, .queues = 2, .queue_size_max = 64};
	FILE *file = tmpfile();
	struct monitor_device device;
	struct error error;
	char tree[256];

	assert_int_equal(fdt_create_empty_tree(tree, sizeof(tree)), 0);
	assert_int_equal(fwrite(tree, 1, sizeof(tree), file), sizeof(tree));
	fflush(file);
	monitor_device_add(&arguments, "gpio", &shape, 3, fileno(file));
	assert_int_equal(
		monitor_device_parse(&device, arguments.items[0] + strlen("--device="), &error), 0);
	assert_int_equal(device.shape.tree_length, sizeof(tree));
	assert_memory_equal(device.shape.tree, tree, sizeof(tree));
	monitor_device_clear(&device);
	fclose(file);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{"block", "--device: socket is missing"},
		{"socket=disk.sock", "--device: type is missing"},
		{"blok,socket=s", "there is no device type 'blok'"},
		{"0,socket=s", "there is no device type '0'"},
		{"65536,socket=s", "there is no device type '65536'"},
		{"-2,socket=s", "there is no device type '-2'"},
		{"2x,socket=s", "there is no device type '2x'"},
		{"block,socket=s,queues=65", "--device: queues"},
		{"block,socket=s,queue-size=100", "--device: queue-size"},
		{"block,socket=s,queue-size=2048", "--device: queue-size"},
		{"block,socket=s,config-size=257",
		 "config-size: '257' is not a number from 1 to 256"},
		{"block,socket=s,config-size=", "--device: config-size"},
		{"block,socket=s,config-size=8,config-size=8", "give the longest first"},
		{"26,socket=s,config-size=5,config-size=4,config-size=3,config-size=2,config-size=1",
		 "is given more than 4 times"},
		{"26,socket=s,setting-offset=200,setting-length=57", "ends beyond byte 256"},
		{"26,socket=s,replay=twice", "--device: replay"},
		{"26,socket=s,config=0", "--device: config"},
		{"26,socket=s,config=001", "config: '1' at digit 3 is not a byte in hexadecimal"},
		{"26,socket=s,config=0x20", "config: '0x' at digit 1 is not a byte"},
		{"26,socket=s,settings=1", "there is no option 'settings'"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct monitor_device device;
		struct error error = {0};

		assert_int_equal(monitor_device_parse(&device, cases[i].text, &error), -EINVAL);
		assert_true(error.usage);
		if (!strstr(error.message, cases[i].words))
			fail_msg("'%s' says '%s'", cases[i].text, error.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handed_down),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_replay_and_config_are_handed_down),
		cmocka_unit_test(test_part_of_the_device_tree),
		cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

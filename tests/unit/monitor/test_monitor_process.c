// SPDX-License-Identifier: BSD-3-Clause
/* What the monitor's process refuses before it makes a machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <libfdt.h>
#include <string.h>

#include "monitor/boot.h"
#include "monitor/run/process.h"

static void refuse(const struct monitor_setup *setup, const char *message)
{
	enum monitor_end end;
	struct error error;

	assert_int_equal(monitor_process_run(setup, &end, &error), -EINVAL);
	assert_true(error.usage);
	if (!strstr(error.message, message))
		fail_msg("\"%s\" is not in: %s", message, error.message);
}

static void test_memory_in_part_of_a_page(void **state)
{
	refuse(&(const struct monitor_setup){.memory = 4097}, "--memory: 4097 bytes");
}

static void test_parts_of_the_device_tree(void **state)
{
	static char garbage[64], tree[256];
	struct machine_device device = {
		.name = "gpio",
		.shape = {.virtio_id = 41, .tree = garbage, .tree_length = sizeof(garbage)}};
	const struct monitor_setup setup = {.memory = 1 << 20,
					    .devices = &device,
					    .device_count = 1};

	if (arch_has_tree) {
		refuse(&setup, "--device: gpio: device-tree: is not a flattened device tree");
		return;
	}
	assert_int_equal(fdt_create_empty_tree(tree, sizeof(tree)), 0);
	device.shape.tree = tree;
	device.shape.tree_length = sizeof(tree);
	refuse(&setup, "--device: gpio: device-tree: machines of this architecture have none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_in_part_of_a_page),
		cmocka_unit_test(test_parts_of_the_device_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

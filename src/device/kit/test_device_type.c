// SPDX-License-Identifier: BSD-3-Clause
/* Unit tests of the types' tables: those of this build are complete, and each mistake is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <string.h>

#include "device/kit/device_type.h"

struct toy_options {
	bool fast;
	char *file;
};

static struct option_row rows[3];
static struct device_type type;

static void set_up_type(void)
{
	rows[0] = (struct option_row){.name = "fast",
				      .type = OPTION_FLAG,
				      .offset = offsetof(struct toy_options, fast),
				      .help = "be fast"};
	rows[1] = (struct option_row){.name = "file",
				      .type = OPTION_PATH,
				      .argument = "FILE",
				      .offset = offsetof(struct toy_options, file),
				      .help = "a file"};
	rows[2] = (struct option_row){.name = NULL};
	type = (struct device_type){
		.name = "toy",
		.summary = "a toy",
		.shape = {.virtio_id = 63,
			  .queues = 1,
			  .queue_size_max = 64,
			  .config_sizes = {16, 8}},
		.options = rows,
		.options_size = sizeof(struct toy_options),
		.positional = "file",
		.run_row = {.argument = "FILE", .help = "add a toy"},
		.vhost_user_type = "toy",
		.program = {DEVICE_PROGRAM("toy"), .summary = "serve a toy"},
	};
}

static int set_up(void **state)
{
	set_up_type();
	return 0;
}

/* Expects the refusal of the current mistake, then restores the table. */
static void check_found(const char *message)
{
	const struct device_type *const types[] = {&type, NULL};
	struct error error = {0};

	assert_true(device_types_check(types, &error) < 0);
	assert_string_equal(error.message, message);
	set_up_type();
	assert_int_equal(device_types_check(types, &error), 0);
}

static void test_types_of_this_build(void **state)
{
	struct error error = {0};

	if (device_types_check(device_types, &error) < 0)
		fail_msg("%s", error.message);
}

static void test_names(void **state)
{
	const struct device_type *const twice[] = {&type, &type, NULL};
	struct error error = {0};

	assert_true(device_types_check(twice, &error) < 0);
	assert_string_equal(error.message, "two types are named toy");
	type.name = NULL;
	check_found("type 1 of the list has no name");
	type.name = "a/b";
	check_found("type 1 of the list has no name");
	type.program.name = "other";
	check_found("toy: its program is named other");
}

static void test_texts(void **state)
{
	type.summary = "";
	check_found("toy: summary is missing");
	type.run_row.help = NULL;
	check_found("toy: run_row.help is missing");
	type.run_row.argument = NULL;
	check_found("toy: run_row.argument is missing");
	type.vhost_user_type = NULL;
	check_found("toy: vhost_user_type is missing");
	type.program.program = NULL;
	check_found("toy: program.program is missing");
	type.program.summary = NULL;
	check_found("toy: program.summary is missing");
}

static void test_shape(void **state)
{
	type.shape.virtio_id = 0;
	check_found("toy: has no VIRTIO id");
	type.shape.queues = 0;
	check_found("toy: has no queues");
	type.shape.queue_size_max = 0;
	check_found("toy: its queue size, 0, is not a power of two");
	type.shape.queue_size_max = 48;
	check_found("toy: its queue size, 48, is not a power of two");
	type.shape.config_sizes[1] = 16;
	check_found("toy: its configuration sizes are not in falling order");
}

static void test_options(void **state)
{
	rows[1].name = "fast";
	check_found("toy: two options are named fast");
	rows[1].name = "type";
	check_found("toy: an option may not be named type");
	rows[0].help = "";
	check_found("toy: option fast has no help");
	rows[0].argument = "WHY";
	check_found("toy: option fast: a flag has no argument, any other type has one");
	rows[1].argument = NULL;
	check_found("toy: option file: a flag has no argument, any other type has one");
	type.options_size = 1;
	check_found("toy: option file lies outside its struct");
	type.positional = "size";
	check_found("toy: there is no option size");
	type.qemu = &(const struct qemu_device){
		.name = "toy-pci",
		.properties = (const struct qemu_property[]){{.name = "speed", .option = "pace"},
							     {.name = NULL}}};
	check_found("toy: QEMU's speed comes from no option");
	rows[0] = (struct option_row){.name = "speed",
				      .type = OPTION_NUMBER,
				      .argument = "N",
				      .offset = offsetof(struct toy_options, file),
				      .minimum = 2,
				      .maximum = 9,
				      .default_text = "1",
				      .help = "its speed"};
	check_found("toy: --speed: 1 is too small; give a number, from 2 to 9");
	type.vm_image = "image";
	check_found("toy: there is no option image");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_types_of_this_build, set_up),
		cmocka_unit_test_setup(test_names, set_up),
		cmocka_unit_test_setup(test_texts, set_up),
		cmocka_unit_test_setup(test_shape, set_up),
		cmocka_unit_test_setup(test_options, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

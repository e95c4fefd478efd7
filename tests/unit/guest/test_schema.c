// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of guest/config/schema.c and bundle_example.c: that the schema and the starting bundle
 * say what the parser of a bundle does.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "device/block/options.h"
#include "device/net/options.h"
#include "guest/config/bundle.h"
#include "guest/config/bundle_example.h"
#include "guest/config/config.h"
#include "host/json_file.h"
#include "host/option_json.h"
#include "guest/config/schema.h"

static const char *type_of(const json_t *schema)
{
	return json_string_value(json_object_get(schema, "type"));
}

static bool has_item(const json_t *array, const char *text)
{
	const json_t *item;
	size_t i;

	json_array_foreach(array, i, item)
		if (!strcmp(json_string_value(item), text))
			return true;
	return false;
}

/* The part of the schema for a device type. */
static json_t *device_schema(json_t *schema, const char *type)
{
	json_t *devices = json_object_get(json_object_get(schema, "properties"), "devices");
	json_t *types = json_object_get(json_object_get(devices, "items"), "oneOf");
	json_t *found;
	size_t i;

	json_array_foreach(types, i, found) {
		json_t *name = json_object_get(json_object_get(found, "properties"), "type");

		if (!strcmp(json_string_value(json_object_get(name, "const")), type))
			return found;
	}
	return NULL;
}

/*
 * The parser accepts a value that the row's schema allows: its default or the first of its choices.
 */
static void check_row(const struct option_row *row, const json_t *schema)
{
	assert_non_null(schema);
	assert_non_null(json_object_get(schema, "description"));
	switch (row->type) {
	case OPTION_FLAG:
		assert_string_equal(type_of(schema), "boolean");
		break;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		assert_string_equal(type_of(schema), "integer");
		break;
	case OPTION_LIST:
		assert_string_equal(type_of(schema), "array");
		break;
	default:
		assert_string_equal(type_of(schema), "string");
		break;
	}
	assert_int_equal(!row->default_text, !json_object_get(schema, "default"));
}

static void every_row_has_its_place_in_the_schema(void **state)
{
	cleanup_json json_t *schema = bundle_schema();

	assert_non_null(schema);
	assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
			    "https://json-schema.org/draft/2020-12/schema");
	for (const struct option_row *row = guest_option_rows; row->name; row++) {
		json_t *value = json_object_get(json_object_get(schema, "properties"), row->name);

		if (row->bundle_key || row->command_line_only)
			assert_null(value);
		else
			check_row(row, value);
	}
	for_each_device_type(type) {
		json_t *device = device_schema(schema, type->name);
		json_t *properties = json_object_get(device, "properties");
		size_t count = 1;

		assert_non_null(device);
		assert_true(json_is_false(json_object_get(device, "additionalProperties")));
		assert_true(has_item(json_object_get(device, "required"), "type"));
		for (const struct option_row *row = type->options; row->name; row++, count++) {
			check_row(row, json_object_get(properties, row->name));
			assert_int_equal(has_item(json_object_get(device, "required"), row->name),
					 row->required);
		}
		for (const struct option_row *row = device_option_rows; row->name; row++, count++)
			check_row(row, json_object_get(properties, row->name));
		/* Only what the parser accepts. */
		assert_int_equal(json_object_size(properties), count);
	}
}

/* Whether the parser accepts a value for a row of the block device. */
static bool accepts(const struct option_row *row, json_t *value)
{
	const struct json_location location = {.source = "s", .key = "k"};
	struct block_options options = {0};
	bool accepted = option_set_json(row, &options, value, &location, NULL) == 0;

	json_decref(value);
	option_clear(block_option_rows, &options);
	return accepted;
}

static void limits_are_those_of_the_parser(void **state)
{
	cleanup_json json_t *schema = bundle_schema();
	json_t *properties = json_object_get(device_schema(schema, "block"), "properties");

	for (const struct option_row *row = block_option_rows; row->name; row++) {
		json_t *value = json_object_get(properties, row->name);
		json_t *maximum = json_object_get(value, "maximum");
		json_t *words = json_object_get(value, "enum");
		json_t *word;
		size_t i;

		json_array_foreach(words, i, word)
			assert_true(accepts(row, json_incref(word)));
		if (maximum) {
			json_int_t limit = json_integer_value(maximum);

			assert_true(accepts(row, json_integer(limit)));
			assert_false(accepts(row, json_integer(limit + 1)));
		}
	}
	/* 2, 4, 8 … 1024 */
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(properties, "queue-size"), "enum")),
		10);
}

static void the_starting_bundle_is_read_by_the_parser(void **state)
{
	cleanup_json json_t *bundle = NULL;
	cleanup_guest_config struct guest_config config = {0};
	struct error error;
	char *text;

	assert_int_equal(bundle_example(&bundle, NULL, &error), 0);
	text = json_dumps(bundle, 0);
	assert_non_null(text);
	if (bundle_parse(text, strlen(text), "dir", &config, &error) < 0)
		fail_msg("%s", error.message);
	free(text);
	assert_string_equal(config.kernel, "/boot/vmlinuz");
	assert_string_equal(config.initrd, "/boot/initrd.img");
	assert_int_equal(config.cpus, 1);
	assert_int_equal(config.memory, 512 << 20);
	assert_int_equal(config.device_count, 2);
	assert_string_equal(config.devices[0].name, "net0");
	assert_true(((struct net_options *)config.devices[0].options)->user);
	assert_string_equal(config.devices[1].name, "entropy0");
}

static void options_survive_the_way_through_json(void **state)
{
	static const char text[] = "tap=tap0,mac=52:54:00:00:00:0a,mtu=9000,queue-pairs=3";
	const struct json_location location = {.source = "s", .key = "k"};
	struct net_options before = {0}, after = {0};
	struct error error;

	assert_int_equal(option_set_defaults(net_option_rows, &before, &error), 0);
	assert_int_equal(option_parse_list(net_option_rows, &before, text, NULL, "--net", &error),
			 0);
	assert_int_equal(option_list_append(&before.forwards, "tcp:1:2", 7, &error), 0);
	for (const struct option_row *row = net_option_rows; row->name; row++) {
		json_t *value = option_to_json(row, &before);

		if (value)
			assert_int_equal(option_set_json(row, &after, value, &location, &error), 0);
		json_decref(value);
	}
	assert_false(after.user);
	assert_string_equal(after.tap, "tap0");
	assert_memory_equal(after.mac, before.mac, 6);
	assert_int_equal(after.mtu, 9000);
	assert_int_equal(after.queue_pairs, 3);
	assert_int_equal(after.forwards.count, 1);
	assert_string_equal(after.forwards.items[0], "tcp:1:2");
	option_clear(net_option_rows, &before);
	option_clear(net_option_rows, &after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_has_its_place_in_the_schema),
		cmocka_unit_test(limits_are_those_of_the_parser),
		cmocka_unit_test(the_starting_bundle_is_read_by_the_parser),
		cmocka_unit_test(options_survive_the_way_through_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/* The schema of a service's configuration file says what its reader accepts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <string.h>

#include "host/json_file.h"
#include "host/option_schema.h"
#include "service/kit/service_schema.h"

static json_t *get(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	assert_non_null(value);
	return value;
}

/* An object with just the keys of the rows. */
static void check_rows(const json_t *schema, const struct option_row *rows)
{
	size_t count = 0;

	assert_true(json_is_false(get(schema, "additionalProperties")));
	for (; rows[count].name; count++) {
		const json_t *row = get(get(schema, "properties"), rows[count].name);

		assert_string_equal(json_string_value(get(row, "description")), rows[count].help);
		if (rows[count].type == OPTION_NUMBER)
			assert_int_equal(json_integer_value(get(row, "maximum")),
					 rows[count].maximum);
		if (rows[count].default_text)
			get(row, "default");
	}
	assert_int_equal(json_object_size(get(schema, "properties")), count);
}

static void test_schemas(void **state)
{
	assert_non_null(service_types[0]);
	for (size_t i = 0; service_types[i]; i++) {
		const struct service_type *type = service_types[i];
		cleanup_json json_t *schema = service_schema(type);
		const json_t *clients;

		assert_string_equal(service_names[i], type->name);
		assert_string_equal(json_string_value(get(schema, "$schema")), SCHEMA_DRAFT);
		assert_true(json_is_false(get(schema, "additionalProperties")));
		assert_int_equal(json_object_size(get(schema, "properties")), 2);
		check_rows(get(get(schema, "properties"), type->key), type->options);
		clients = get(get(schema, "properties"), SERVICE_CLIENTS_KEY);
		assert_int_equal(json_integer_value(get(clients, "maxProperties")),
				 SERVICE_CLIENTS_MAX);
		assert_string_equal(
			json_string_value(get(get(clients, "propertyNames"), "pattern")),
			SCHEMA_NAME_PATTERN);
		check_rows(get(clients, "additionalProperties"), type->client_options);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schemas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

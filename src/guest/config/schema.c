// SPDX-License-Identifier: BSD-3-Clause
/*
 * The JSON schema of the `avp` object of a bundle (JSON Schema, draft 2020-12), made from the same
 * tables that its parser reads. The schema does not express what the tables do not, such as options
 * that exclude each other.
 */
#include "guest/config/schema.h"

#include <stdbool.h>

#include "guest/config/config.h"
#include "host/option_json.h"

/* What text_is_name accepts. */
#define NAME_PATTERN "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
/* A MAC address whose first byte is even. */
#define MAC_PATTERN "^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$"

/* Sets *failed when memory is short: the schema would be incomplete. */
static void put(json_t *object, const char *key, json_t *value, bool *failed)
{
	if (json_object_set_new(object, key, value) < 0)
		*failed = true;
}

static void append(json_t *array, json_t *value, bool *failed)
{
	if (json_array_append_new(array, value) < 0)
		*failed = true;
}

/* Lists the powers of two that a row accepts: a schema cannot express them otherwise. */
static json_t *powers_of_two(const struct option_row *row, bool *failed)
{
	json_t *values = json_array();

	for (uint64_t value = 1; value <= row->maximum && value; value <<= 1)
		if (value >= row->minimum)
			append(values, json_integer(value), failed);
	return values;
}

static json_t *choice_values(const struct option_row *row, bool *failed)
{
	json_t *values = json_array();

	for (size_t i = 0; row->choices[i]; i++)
		append(values, json_string(row->choices[i]), failed);
	return values;
}

static void put_number_limits(json_t *schema, const struct option_row *row, bool *failed)
{
	if (row->power_of_two && row->maximum) {
		put(schema, "enum", powers_of_two(row, failed), failed);
		return;
	}
	put(schema, "minimum", json_integer(row->minimum), failed);
	if (row->maximum)
		put(schema, "maximum", json_integer(row->maximum), failed);
}

static void put_text_limits(json_t *schema, const struct option_row *row, bool *failed)
{
	if (row->minimum || row->type == OPTION_PATH)
		put(schema, "minLength", json_integer(row->minimum ? row->minimum : 1), failed);
	/* The schema counts characters, the row bytes; for ASCII they are the same. */
	if (row->maximum)
		put(schema, "maxLength", json_integer(row->maximum), failed);
	if (row->ascii)
		put(schema, "pattern", json_string("^[ -~]*$"), failed);
}

static void put_type(json_t *schema, const struct option_row *row, bool *failed)
{
	const char *type = "string";

	switch (row->type) {
	case OPTION_FLAG:
		type = "boolean";
		break;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		type = "integer";
		put_number_limits(schema, row, failed);
		break;
	case OPTION_CHOICE:
		put(schema, "enum", choice_values(row, failed), failed);
		break;
	case OPTION_MAC:
		put(schema, "pattern", json_string(MAC_PATTERN), failed);
		break;
	case OPTION_NAME:
		put(schema, "pattern", json_string(NAME_PATTERN), failed);
		break;
	case OPTION_STRING:
	case OPTION_PATH:
		put_text_limits(schema, row, failed);
		break;
	case OPTION_LIST:
		type = "array";
		put(schema, "items", json_pack("{s:s, s:i}", "type", "string", "minLength", 1),
		    failed);
		break;
	}
	put(schema, "type", json_string(type), failed);
}

/* The default as a JSON value, read as the parser would read it. */
static json_t *default_value(const struct option_row *row)
{
	struct option_row rows[] = {*row, {.name = NULL}};
	union {
		uint64_t number;
		char *text;
	} value = {.number = 0};
	json_t *result = NULL;

	rows[0].offset = 0;
	if (option_set(&rows[0], &value, row->default_text, NULL, NULL) == 0)
		result = option_to_json(&rows[0], &value);
	option_clear(rows, &value);
	return result;
}

static json_t *row_schema(const struct option_row *row, bool *failed)
{
	json_t *schema = json_object();

	put(schema, "description", json_string(row->help), failed);
	put_type(schema, row, failed);
	if (row->default_text)
		put(schema, "default", default_value(row), failed);
	return schema;
}

/* Adds the keys of a table to an object's schema. */
static void put_rows(json_t *properties, json_t *required, const struct option_row *rows,
		     bool *failed)
{
	for (const struct option_row *row = rows; row->name; row++) {
		if (row->command_line_only || row->bundle_key)
			continue;
		put(properties, row->name, row_schema(row, failed), failed);
		if (row->required)
			append(required, json_string(row->name), failed);
	}
}

/* An object with exactly these keys; takes ownership of @properties and @required. */
static json_t *object_schema(const char *description, json_t *properties, json_t *required)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:b}", "description", description, "type", "object",
			 "properties", properties, "required", required, "additionalProperties", 0);
}

static json_t *device_schema(const struct device_type *type, bool *failed)
{
	json_t *properties = json_object();
	json_t *required = json_array();

	put(properties, "type",
	    json_pack("{s:s, s:s}", "const", type->name, "description", "the type of the device"),
	    failed);
	append(required, json_string("type"), failed);
	put_rows(properties, required, device_option_rows, failed);
	put_rows(properties, required, type->options, failed);
	return object_schema(type->summary, properties, required);
}

static json_t *devices_schema(bool *failed)
{
	json_t *types = json_array();

	for_each_device_type(type)
		append(types, device_schema(type, failed), failed);
	return json_pack("{s:s, s:s, s:i, s:{s:o}}", "description",
			 "the devices of the guest, in the order in which it finds them", "type",
			 "array", "maxItems", GUEST_DEVICES_MAXIMUM, "items", "oneOf", types);
}

json_t *bundle_schema(void)
{
	json_t *properties = json_object();
	json_t *required = json_array();
	bool failed = false;
	json_t *schema;

	put_rows(properties, required, guest_option_rows, &failed);
	put(properties, "devices", devices_schema(&failed), &failed);
	schema = object_schema("AVP's own part of an OCI bundle's config.json", properties,
			       required);
	put(schema, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"),
	    &failed);
	put(schema, "title", json_string("avp"), &failed);
	if (failed) {
		json_decref(schema);
		return NULL;
	}
	return schema;
}

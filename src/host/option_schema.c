// SPDX-License-Identifier: BSD-3-Clause
/* JSON schemas from option tables. */
#include "host/option_schema.h"

#include "host/option_json.h"

/* A MAC address whose first byte is even. */
#define MAC_PATTERN "^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$"

void schema_put(json_t *object, const char *key, json_t *value, bool *failed)
{
	if (json_object_set_new(object, key, value) < 0)
		*failed = true;
}

void schema_append(json_t *array, json_t *value, bool *failed)
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
			schema_append(values, json_integer(value), failed);
	return values;
}

static json_t *choice_values(const struct option_row *row, bool *failed)
{
	json_t *values = json_array();

	for (size_t i = 0; row->choices[i]; i++)
		schema_append(values, json_string(row->choices[i]), failed);
	return values;
}

static void put_number_limits(json_t *schema, const struct option_row *row, bool *failed)
{
	if (row->power_of_two && row->maximum) {
		schema_put(schema, "enum", powers_of_two(row, failed), failed);
		return;
	}
	schema_put(schema, "minimum", json_integer(row->minimum), failed);
	if (row->maximum)
		schema_put(schema, "maximum", json_integer(row->maximum), failed);
}

static void put_text_limits(json_t *schema, const struct option_row *row, bool *failed)
{
	if (row->minimum || row->type == OPTION_PATH)
		schema_put(schema, "minLength", json_integer(row->minimum ? row->minimum : 1),
			   failed);
	/* The schema counts characters, the row bytes; for ASCII they are the same. */
	if (row->maximum)
		schema_put(schema, "maxLength", json_integer(row->maximum), failed);
	if (row->ascii)
		schema_put(schema, "pattern", json_string("^[ -~]*$"), failed);
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
		schema_put(schema, "enum", choice_values(row, failed), failed);
		break;
	case OPTION_MAC:
		schema_put(schema, "pattern", json_string(MAC_PATTERN), failed);
		break;
	case OPTION_NAME:
		schema_put(schema, "pattern", json_string(SCHEMA_NAME_PATTERN), failed);
		break;
	case OPTION_STRING:
	case OPTION_PATH:
		put_text_limits(schema, row, failed);
		break;
	case OPTION_LIST:
		type = "array";
		schema_put(schema, "items",
			   json_pack("{s:s, s:i}", "type", "string", "minLength", 1), failed);
		break;
	}
	schema_put(schema, "type", json_string(type), failed);
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
		/* The default 0 is a value, too. */
		result = row->type == OPTION_NUMBER || row->type == OPTION_SIZE ?
				 json_integer(value.number) :
				 option_to_json(&rows[0], &value);
	option_clear(rows, &value);
	return result;
}

static json_t *row_schema(const struct option_row *row, bool *failed)
{
	json_t *schema = json_object();

	schema_put(schema, "description", json_string(row->help), failed);
	put_type(schema, row, failed);
	if (row->default_text)
		schema_put(schema, "default", default_value(row), failed);
	return schema;
}

void schema_put_rows(json_t *properties, json_t *required, const struct option_row *rows,
		     bool *failed)
{
	for (const struct option_row *row = rows; row->name; row++) {
		if (row->command_line_only || row->bundle_key)
			continue;
		schema_put(properties, row->name, row_schema(row, failed), failed);
		if (row->required)
			schema_append(required, json_string(row->name), failed);
	}
}

json_t *schema_object(const char *description, json_t *properties, json_t *required)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:b}", "description", description, "type", "object",
			 "properties", properties, "required", required, "additionalProperties", 0);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Options as JSON: reading members of an options struct from a JSON object as their rows describe
 * them, and writing them.
 */
#include "host/option_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

/* Keys are cut here in errors. */
#define KEY_LENGTH 200

const char *json_type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a number";
	case JSON_REAL:
		return "a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "unknown";
}

int json_refuse_type(const json_t *value, const struct json_location *location,
		     const char *expected, struct error *error)
{
	return error_set_usage(error, "%s: %s%smust be %s, not %s", location->source, location->key,
			       *location->key ? ": " : "", expected, json_type_name(value));
}

static int set_from_text(const struct option_row *row, void *options, const char *text,
			 const struct json_location *location, struct error *error)
{
	int result = option_set(row, options, text, location->key, error);

	if (result < 0)
		error_prefix(error, "%s", location->source);
	return result;
}

/* Makes a path relative to the bundle and confines it. *resolved is NULL if it is unchanged. */
static int resolve_path(const char *path, enum option_path_use use,
			const struct json_location *location, char **resolved, struct error *error)
{
	cleanup_free char *joined = NULL;

	if (*path != '/' && location->directory) {
		if (text_replace_format(&joined, error, "%s/%s", location->directory, path) < 0)
			return -ENOMEM;
		path = joined;
	}
	if (location->confinement)
		return location->confine(path, use, location, resolved, error);
	*resolved = take_pointer(joined);
	return 0;
}

static int set_path(const struct option_row *row, void *options, const char *path,
		    const struct json_location *location, struct error *error)
{
	cleanup_free char *resolved = NULL;
	int result = *path ? resolve_path(path, OPTION_PATH_OPENED, location, &resolved, error) : 0;

	return result < 0 ?
		       result :
		       set_from_text(row, options, resolved ? resolved : path, location, error);
}

/* Sets an item of a list; the item may contain a path. */
static int set_item(const struct option_row *row, void *options, const char *item,
		    const struct json_location *location, struct error *error)
{
	enum option_path_use use = OPTION_PATH_OPENED;
	const char *path = row->item_path ? row->item_path(item, &use) : NULL;
	cleanup_free char *resolved = NULL, *whole = NULL;
	int result = path ? resolve_path(path, use, location, &resolved, error) : 0;

	if (result == 0 && resolved)
		result = text_replace_format(&whole, error, "%.*s%s", (int)(path - item), item,
					     resolved);
	return result < 0 ? result :
			    set_from_text(row, options, whole ? whole : item, location, error);
}

/* An array of words becomes one text with spaces between them. */
static int set_words(const struct option_row *row, void *options, const json_t *value,
		     const struct json_location *location, struct error *error)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	cleanup_file FILE *stream = open_memstream(&text, &length);
	const json_t *word;
	size_t i;

	if (!stream)
		return error_set(error, ENOMEM, "out of memory");
	json_array_foreach(value, i, word) {
		if (!json_is_string(word))
			return json_refuse_type(word, location, "an array of strings", error);
		fprintf(stream, "%s%s", i ? " " : "", json_string_value(word));
	}
	if (fflush(stream) || ferror(stream))
		return error_set(error, ENOMEM, "out of memory");
	return set_from_text(row, options, text, location, error);
}

static int set_list(const struct option_row *row, void *options, const json_t *value,
		    const struct json_location *location, struct error *error)
{
	const json_t *item;
	size_t i;

	json_array_foreach(value, i, item) {
		char key[KEY_LENGTH];
		struct json_location item_location = *location;
		int result;

		snprintf(key, sizeof(key), "%s[%zu]", location->key, i);
		item_location.key = key;
		if (!json_is_string(item))
			return json_refuse_type(item, &item_location, "a string", error);
		result = set_item(row, options, json_string_value(item), &item_location, error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* In JSON a size is a plain number of bytes, without the command line's suffixes. */
static int check_size(const struct option_row *row, uint64_t value,
		      const struct json_location *location, struct error *error)
{
	char number[TEXT_SIZE_LENGTH], meant[80] = "";

	if (value >= row->minimum && (!row->maximum || value <= row->maximum))
		return 0;
	if (option_meant_mebibytes(row, value))
		snprintf(meant, sizeof(meant), "; %" PRIu64 "M is %" PRIu64, value, value << 20);
	return error_set_usage(error,
			       "%s: %s: %s%s is too %s; give a number of bytes, from %" PRIu64
			       " to %" PRIu64 "%s",
			       location->source, location->key, text_format_size(number, value),
			       value % 1024 ? " bytes" : "",
			       value < row->minimum ? "small" : "large", row->minimum,
			       row->maximum ? row->maximum : UINT64_MAX, meant);
}

/* Refuses a size that is not a number; the message gives the number. */
static int refuse_size(const struct option_row *row, void *options, const json_t *value,
		       const struct json_location *location, struct error *error)
{
	const char *text = json_string_value(value);

	/* The options are no longer used after this error, so set may change them. */
	if (!text || option_set(row, options, text, location->key, NULL) < 0)
		return json_refuse_type(value, location, "a number of bytes", error);
	return error_set_usage(error,
			       "%s: %s: must be a number of bytes, not a string; write %" PRIu64
			       " for \"%s\"",
			       location->source, location->key, option_number(row, options), text);
}

static int set_number(const struct option_row *row, void *options, const json_t *value,
		      const struct json_location *location, struct error *error)
{
	int result = 0;

	if (json_integer_value(value) < 0)
		return error_set_usage(error, "%s: %s: must not be negative", location->source,
				       location->key);
	if (row->type == OPTION_SIZE)
		result = check_size(row, (uint64_t)json_integer_value(value), location, error);
	if (result < 0)
		return result;
	result = option_set_number(row, options, json_integer_value(value), location->key, error);
	if (result < 0)
		error_prefix(error, "%s", location->source);
	return result;
}

int option_set_json(const struct option_row *row, void *options, const json_t *value,
		    const struct json_location *location, struct error *error)
{
	switch (row->type) {
	case OPTION_FLAG:
		if (!json_is_boolean(value))
			return json_refuse_type(value, location, "true or false", error);
		return option_set_flag(row, options, json_is_true(value));
	case OPTION_NUMBER:
	case OPTION_SIZE:
		if (!json_is_integer(value) && row->type == OPTION_SIZE)
			return refuse_size(row, options, value, location, error);
		if (!json_is_integer(value))
			return json_refuse_type(value, location, "a number", error);
		return set_number(row, options, value, location, error);
	case OPTION_LIST:
		if (!json_is_array(value))
			return json_refuse_type(value, location, "an array of strings", error);
		return set_list(row, options, value, location, error);
	case OPTION_STRING:
		if (row->words && !json_is_array(value))
			return json_refuse_type(value, location, "an array of strings", error);
		if (row->words)
			return set_words(row, options, value, location, error);
		break;
	case OPTION_NAME:
	case OPTION_PATH:
	case OPTION_CHOICE:
	case OPTION_MAC:
		break;
	}
	if (!json_is_string(value))
		return json_refuse_type(value, location, "a string", error);
	if (row->type == OPTION_PATH)
		return set_path(row, options, json_string_value(value), location, error);
	return set_from_text(row, options, json_string_value(value), location, error);
}

/* Finds the row of a key of a bundle in @targets. */
static const struct option_row *find_key(const struct option_target *targets, const char *key,
					 void **options)
{
	for (const struct option_target *target = targets; target->rows; target++) {
		const struct option_row *row = option_find(target->rows, key, strlen(key));

		if (row && !row->command_line_only && !row->bundle_key) {
			*options = target->options;
			return row;
		}
	}
	return NULL;
}

static int refuse_key(const struct option_target *targets, const char *const *others,
		      const char *key, const struct json_location *location, struct error *error)
{
	struct text_match match = {.word = key, .length = strlen(key)};

	for (const struct option_target *target = targets; target->rows; target++)
		for (const struct option_row *row = target->rows; row->name; row++)
			if (!row->command_line_only && !row->bundle_key)
				text_match_offer(&match, row->name);
	for (; *others; others++)
		text_match_offer(&match, *others);
	if (match.nearest)
		return error_set_usage(error, "%s: %s: is an unknown key; did you mean '%s'?",
				       location->source, location->key, match.nearest);
	return error_set_usage(error, "%s: %s: is an unknown key; remove it", location->source,
			       location->key);
}

static bool is_among(const char *const *words, const char *word)
{
	for (; *words; words++)
		if (!strcmp(*words, word))
			return true;
	return false;
}

int option_set_json_object(const struct option_target *targets, const char *const *others,
			   json_t *object, const struct json_location *location,
			   struct error *error)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		char key[KEY_LENGTH];
		struct json_location value_location = *location;
		const struct option_row *row;
		void *options = NULL;
		int result;

		if (is_among(others, name))
			continue;
		snprintf(key, sizeof(key), "%s%s%.80s", location->key, *location->key ? "." : "",
			 name);
		value_location.key = key;
		row = find_key(targets, name, &options);
		if (!row)
			return refuse_key(targets, others, name, &value_location, error);
		result = option_set_json(row, options, value, &value_location, error);
		if (result < 0)
			return result;
	}
	return 0;
}

static json_t *list_to_json(const struct option_list *list)
{
	json_t *array = list->count ? json_array() : NULL;

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(array, json_string(list->items[i]));
	return array;
}

json_t *option_to_json(const struct option_row *row, const void *options)
{
	const void *member = (const char *)options + row->offset;
	const uint8_t *mac = member;
	const char *text;

	switch (row->type) {
	case OPTION_FLAG:
		return *(const bool *)member ? json_true() : NULL;
	case OPTION_STRING:
	case OPTION_NAME:
	case OPTION_PATH:
		text = *(char *const *)member;
		return text ? json_string(text) : NULL;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return option_number(row, options) ? json_integer(option_number(row, options)) :
						     NULL;
	case OPTION_CHOICE:
		return json_string(row->choices[option_number(row, options)]);
	case OPTION_MAC:
		return mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5] ?
			       json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
					    mac[3], mac[4], mac[5]) :
			       NULL;
	case OPTION_LIST:
		return list_to_json(member);
	}
	return NULL;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Options as data: setting one member of an options struct as its row describes it.
 */
#include "base/option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* An error message cuts a quoted value here, so that the remedy still fits. */
#define QUOTED "'%.80s'"

/* Room for "--" and an option's name, or for where a value stands in a file. */
#define LABEL_LENGTH 160

static void *member(const struct option_row *row, const void *options)
{
	return (char *)options + row->offset;
}

/* How an error message names the option. */
static const char *option_label(char buffer[LABEL_LENGTH], const struct option_row *row,
				const char *where)
{
	if (where)
		return where;
	snprintf(buffer, LABEL_LENGTH, "--%s", row->name);
	return buffer;
}

void option_list_clear(struct option_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct option_list){0};
}

int option_list_append(struct option_list *list, const char *text, size_t length,
		       struct error *error)
{
	char **items = reallocarray(list->items, list->count + 1, sizeof(*items));

	if (!items)
		return error_set(error, ENOMEM, "out of memory");
	list->items = items;
	items[list->count] = NULL;
	if (text_replace(&items[list->count], text, length, error) < 0)
		return -ENOMEM;
	list->count++;
	return 0;
}

bool option_list_has(const struct option_list *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->items[i], text))
			return true;
	return false;
}

static void clear_member(const struct option_row *row, void *options)
{
	switch (row->type) {
	case OPTION_FLAG:
		*(bool *)member(row, options) = false;
		break;
	case OPTION_STRING:
	case OPTION_NAME:
	case OPTION_PATH:
		free(*(char **)member(row, options));
		*(char **)member(row, options) = NULL;
		break;
	case OPTION_NUMBER:
	case OPTION_SIZE:
	case OPTION_CHOICE:
		*(uint64_t *)member(row, options) = 0;
		break;
	case OPTION_MAC:
		memset(member(row, options), 0, 6);
		break;
	case OPTION_LIST:
		option_list_clear(member(row, options));
		break;
	}
}

void option_clear(const struct option_row *rows, void *options)
{
	for (const struct option_row *row = rows; row->name; row++)
		clear_member(row, options);
}

static size_t member_size(const struct option_row *row)
{
	switch (row->type) {
	case OPTION_FLAG:
		return sizeof(bool);
	case OPTION_STRING:
	case OPTION_NAME:
	case OPTION_PATH:
		return sizeof(char *);
	case OPTION_NUMBER:
	case OPTION_SIZE:
	case OPTION_CHOICE:
		return sizeof(uint64_t);
	case OPTION_MAC:
		return 6;
	case OPTION_LIST:
		return sizeof(struct option_list);
	}
	return 0;
}

void option_move(const struct option_row *row, void *from, void *to)
{
	clear_member(row, to);
	memcpy(member(row, to), member(row, from), member_size(row));
	/* Nothing is freed: what the member owned belongs to the other struct now. */
	memset(member(row, from), 0, member_size(row));
}

int option_set_defaults(const struct option_row *rows, void *options, struct error *error)
{
	for (const struct option_row *row = rows; row->name; row++) {
		int result;

		clear_member(row, options);
		if (!row->default_text)
			continue;
		result = option_set(row, options, row->default_text, NULL, error);
		if (result < 0) {
			option_clear(rows, options);
			return result;
		}
	}
	return 0;
}

const struct option_row *option_find(const struct option_row *rows, const char *name, size_t length)
{
	for (const struct option_row *row = rows; row->name; row++)
		if (strlen(row->name) == length && !memcmp(row->name, name, length))
			return row;
	return NULL;
}

int option_set_flag(const struct option_row *row, void *options, bool value)
{
	*(bool *)member(row, options) = value;
	return 0;
}

static int set_flag_text(const struct option_row *row, void *options, const char *text,
			 const char *where, struct error *error)
{
	if (!text || !strcmp(text, "on"))
		return option_set_flag(row, options, true);
	if (!strcmp(text, "off"))
		return option_set_flag(row, options, false);
	return error_set_usage(error, "%s: " QUOTED " is neither on nor off; omit the value for on",
			       where, text);
}

static const char *format_number(char buffer[TEXT_SIZE_LENGTH], const struct option_row *row,
				 uint64_t value)
{
	if (row->type == OPTION_SIZE)
		return text_format_size(buffer, value);
	snprintf(buffer, TEXT_SIZE_LENGTH, "%" PRIu64, value);
	return buffer;
}

/* Writes what a number must be, to put after a semicolon. */
static const char *describe_range(char *buffer, size_t size, const struct option_row *row)
{
	char minimum[TEXT_SIZE_LENGTH], maximum[TEXT_SIZE_LENGTH];
	const char *kind = "a number";

	if (row->power_of_two)
		kind = "a power of two";
	else if (row->type == OPTION_SIZE)
		kind = "bytes, or a number with K, M, G or T";
	format_number(minimum, row, row->minimum);
	format_number(maximum, row, row->maximum);
	if (row->maximum)
		snprintf(buffer, size, "give %s, from %s to %s", kind, minimum, maximum);
	else if (row->minimum)
		snprintf(buffer, size, "give %s, at least %s", kind, minimum);
	else
		snprintf(buffer, size, "give %s", kind);
	return buffer;
}

bool option_meant_mebibytes(const struct option_row *row, uint64_t value)
{
	const unsigned int shift = 20;

	return row->type == OPTION_SIZE && value < row->minimum && value <= UINT64_MAX >> shift &&
	       value << shift >= row->minimum && (!row->maximum || value << shift <= row->maximum);
}

int option_set_number(const struct option_row *row, void *options, uint64_t value,
		      const char *where, struct error *error)
{
	bool range_wrong = value < row->minimum || (row->maximum && value > row->maximum);
	bool power_wrong = row->power_of_two && (!value || (value & (value - 1)));
	char name[LABEL_LENGTH], number[TEXT_SIZE_LENGTH], range[120], meant[40] = "";

	if (range_wrong || power_wrong) {
		const char *fault = "is not a power of two";

		if (range_wrong)
			fault = value < row->minimum ? "is too small" : "is too large";
		if (option_meant_mebibytes(row, value))
			snprintf(meant, sizeof(meant), "; did you mean %" PRIu64 "M?", value);
		return error_set_usage(error, "%s: %s%s %s; %s%s", option_label(name, row, where),
				       format_number(number, row, value),
				       row->type == OPTION_SIZE && value % 1024 ? " bytes" : "",
				       fault, describe_range(range, sizeof(range), row), meant);
	}
	*(uint64_t *)member(row, options) = value;
	return 0;
}

/* Reads decimal digits up to the first other character. False: none, or too large. */
static bool read_digits(const char **text, uint64_t *value)
{
	const char *start = *text;

	for (*value = 0; **text >= '0' && **text <= '9'; (*text)++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(**text - '0'), value))
			return false;
	return *text != start;
}

static bool read_size_suffix(const char **text, uint64_t *value)
{
	static const char suffixes[] = "KkMmGgTt";
	const char *suffix = **text ? strchr(suffixes, **text) : NULL;
	unsigned int shift;

	if (!suffix)
		return true;
	shift = 10 * ((suffix - suffixes) / 2 + 1);
	if (*value > UINT64_MAX >> shift)
		return false;
	*value <<= shift;
	(*text)++;
	return true;
}

static int set_number_text(const struct option_row *row, void *options, const char *text,
			   const char *where, struct error *error)
{
	const char *position = text;
	char range[120];
	uint64_t value;

	if (!read_digits(&position, &value) ||
	    (row->type == OPTION_SIZE && !read_size_suffix(&position, &value)) || *position)
		return error_set_usage(error, "%s: " QUOTED " is not a %s; %s", where, text,
				       row->type == OPTION_SIZE ? "size" : "number",
				       describe_range(range, sizeof(range), row));
	return option_set_number(row, options, value, where, error);
}

static int set_choice_text(const struct option_row *row, void *options, const char *text,
			   const char *where, struct error *error)
{
	char words[160] = "";
	size_t length = 0;

	for (uint64_t i = 0; row->choices[i]; i++) {
		if (!strcmp(row->choices[i], text)) {
			*(uint64_t *)member(row, options) = i;
			return 0;
		}
		if (length < sizeof(words))
			length += snprintf(words + length, sizeof(words) - length, "%s%s",
					   i ? ", " : "", row->choices[i]);
	}
	return error_set_usage(error, "%s: there is no choice " QUOTED "; give one of: %s", where,
			       text, words);
}

static bool read_mac(const char *text, uint8_t mac[6])
{
	for (size_t i = 0; i < 6; i++, text += 3) {
		int byte = text_hex_byte(text);

		if (byte < 0 || text[2] != (i < 5 ? ':' : 0))
			return false;
		mac[i] = (uint8_t)byte;
	}
	return true;
}

static int set_mac_text(const struct option_row *row, void *options, const char *text,
			const char *where, struct error *error)
{
	static const uint8_t zero[6];
	uint8_t mac[6];

	if (!read_mac(text, mac))
		return error_set_usage(error,
				       "%s: " QUOTED
				       " is not a MAC address; write it as 52:54:00:12:34:56",
				       where, text);
	if (mac[0] & 1 || !memcmp(mac, zero, sizeof(mac)))
		return error_set_usage(error,
				       "%s: " QUOTED " is not the address of one station; give one "
				       "with an even first byte, such as 52:54:00:12:34:56",
				       where, text);
	memcpy(member(row, options), mac, sizeof(mac));
	return 0;
}

/* Checks what a text may consist of, as its row says. */
static int check_text(const struct option_row *row, const char *text, const char *where,
		      struct error *error)
{
	size_t length = strlen(text);

	if (row->type == OPTION_NAME && !text_is_name(text))
		return error_set_usage(error,
				       "%s: " QUOTED " is not a name; give at most 64 letters, "
				       "digits, '.', '_' or '-', a letter or digit first",
				       where, text);
	if (!length && (row->minimum || row->type == OPTION_PATH || row->type == OPTION_LIST))
		return error_set_usage(error, "%s: is empty; give %s", where,
				       row->argument ? row->argument : "a value");
	if (length < row->minimum)
		return error_set_usage(error,
				       "%s: " QUOTED " is too short; give at least %" PRIu64
				       " bytes",
				       where, text, row->minimum);
	if (row->maximum && length > row->maximum)
		return error_set_usage(error,
				       "%s: " QUOTED " is too long; give at most %" PRIu64 " bytes",
				       where, text, row->maximum);
	for (size_t i = 0; row->ascii && i < length; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return error_set_usage(
				error,
				"%s: " QUOTED
				" has a character that is not printable ASCII; omit it",
				where, text);
	return 0;
}

static int append_item(const struct option_row *row, void *options, const char *text,
		       struct error *error)
{
	char *tagged = NULL;
	int result;

	if (!row->tagged)
		return option_list_append(member(row, options), text, strlen(text), error);
	if (text_replace_format(&tagged, error, "%s=%s", row->name, text) < 0)
		return -ENOMEM;
	result = option_list_append(member(row, options), tagged, strlen(tagged), error);
	free(tagged);
	return result;
}

int option_set(const struct option_row *row, void *options, const char *text, const char *where,
	       struct error *error)
{
	char name[LABEL_LENGTH];
	int result;

	where = option_label(name, row, where);
	if (!text && row->argument_optional)
		return append_item(row, options, "", error);
	if (!text && row->type != OPTION_FLAG)
		return error_set_usage(error, "%s: the value is missing; give %s", where,
				       row->argument ? row->argument : "one");

	switch (row->type) {
	case OPTION_FLAG:
		return set_flag_text(row, options, text, where, error);
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return set_number_text(row, options, text, where, error);
	case OPTION_CHOICE:
		return set_choice_text(row, options, text, where, error);
	case OPTION_MAC:
		return set_mac_text(row, options, text, where, error);
	case OPTION_LIST:
		result = check_text(row, text, where, error);
		return result < 0 ? result : append_item(row, options, text, error);
	case OPTION_STRING:
	case OPTION_NAME:
	case OPTION_PATH:
		break;
	}
	result = check_text(row, text, where, error);
	return result < 0 ? result : text_replace(member(row, options), text, strlen(text), error);
}

uint64_t option_number(const struct option_row *row, const void *options)
{
	return *(const uint64_t *)member(row, options);
}

static bool is_set(const struct option_row *row, const void *options)
{
	static const uint8_t zero[6];

	switch (row->type) {
	case OPTION_STRING:
	case OPTION_NAME:
	case OPTION_PATH:
		return *(char **)member(row, options);
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return option_number(row, options);
	case OPTION_MAC:
		return memcmp(member(row, options), zero, sizeof(zero));
	case OPTION_LIST:
		return ((struct option_list *)member(row, options))->count;
	case OPTION_FLAG:
	case OPTION_CHOICE:
		break;
	}
	return true; /* false and the first choice are values too */
}

int option_check_required(const struct option_row *rows, const void *options, const char *where,
			  struct error *error)
{
	for (const struct option_row *row = rows; row->name; row++) {
		const char *argument = row->argument ? row->argument : "VALUE";

		if (!row->required || is_set(row, options))
			continue;
		if (!where)
			return error_set_usage(error, "--%s is missing; add --%s %s", row->name,
					       row->name, argument);
		return error_set_usage(error, "%s: %s is missing; add it: %s (%s)", where,
				       row->name, argument, row->help);
	}
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * How an option row reads to a person.
 */
#include "base/option_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

const char *option_text_term(const struct option_row *row, const char *dashes,
			     char buffer[OPTION_TEXT_LENGTH])
{
	const char *before = *dashes ? " " : "=", *after = "";

	if (!row->argument)
		before = "";
	else if (row->argument_optional) {
		before = "[=";
		after = "]";
	}
	snprintf(buffer, OPTION_TEXT_LENGTH, "%s%s%s%s%s", dashes, row->name, before,
		 row->argument ? row->argument : "", after);
	return buffer;
}

static const char *choices_text(const struct option_row *row, char buffer[OPTION_TEXT_LENGTH])
{
	size_t length = 0;

	buffer[0] = 0;
	for (size_t i = 0; row->choices[i] && length < OPTION_TEXT_LENGTH; i++)
		length += snprintf(buffer + length, OPTION_TEXT_LENGTH - length, "%s%s",
				   i ? ", " : "one of ", row->choices[i]);
	return buffer;
}

static const char *number_text(char buffer[TEXT_SIZE_LENGTH], const struct option_row *row,
			       uint64_t value)
{
	if (row->type == OPTION_SIZE)
		return text_format_size(buffer, value);
	snprintf(buffer, TEXT_SIZE_LENGTH, "%" PRIu64, value);
	return buffer;
}

/* What the row itself says of its values. */
static void own_values_text(const struct option_row *row, char buffer[OPTION_TEXT_LENGTH])
{
	char minimum[TEXT_SIZE_LENGTH], maximum[TEXT_SIZE_LENGTH];

	buffer[0] = 0;
	if (row->type == OPTION_CHOICE)
		choices_text(row, buffer);
	if (row->type != OPTION_NUMBER && row->type != OPTION_SIZE)
		return;
	number_text(minimum, row, row->minimum);
	number_text(maximum, row, row->maximum);
	if (row->maximum)
		snprintf(buffer, OPTION_TEXT_LENGTH, "%s to %s", minimum, maximum);
	else if (row->minimum)
		snprintf(buffer, OPTION_TEXT_LENGTH, "at least %s", minimum);
}

const char *option_text_values(const struct option_row *row, char buffer[OPTION_TEXT_LENGTH])
{
	char limits[OPTION_TEXT_LENGTH];
	size_t length;

	own_values_text(row, buffer);
	if (!row->values_text)
		return buffer;
	row->values_text(row, limits, sizeof(limits));
	length = strlen(buffer);
	if (limits[0])
		snprintf(buffer + length, OPTION_TEXT_LENGTH - length, "%s%s", length ? "; " : "",
			 limits);
	return buffer;
}

const char *option_text_remarks(const struct option_row *row, char buffer[OPTION_TEXT_LENGTH])
{
	char values[OPTION_TEXT_LENGTH];
	const char *separator = "";
	int length;

	option_text_values(row, values);
	if (!values[0] && !row->default_text && !row->required)
		return "";
	length = snprintf(buffer, OPTION_TEXT_LENGTH, " (%s", values);
	if (values[0])
		separator = "; ";
	if (row->default_text)
		length += snprintf(buffer + length, OPTION_TEXT_LENGTH - length, "%sdefault %s",
				   separator, row->default_text);
	else if (row->required)
		length += snprintf(buffer + length, OPTION_TEXT_LENGTH - length, "%srequired",
				   separator);
	snprintf(buffer + length, OPTION_TEXT_LENGTH - length, ")");
	return buffer;
}

const char *option_text_json_type(const struct option_row *row)
{
	switch (row->type) {
	case OPTION_FLAG:
		return "true or false";
	case OPTION_NUMBER:
		return "number";
	case OPTION_SIZE:
		return "number of bytes";
	case OPTION_LIST:
		return "array of strings";
	case OPTION_STRING:
		return row->words ? "array of strings" : "string";
	case OPTION_NAME:
	case OPTION_PATH:
	case OPTION_CHOICE:
	case OPTION_MAC:
		break;
	}
	return "string";
}

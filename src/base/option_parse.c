// SPDX-License-Identifier: BSD-3-Clause
/*
 * The `VALUE,key=value,flag,…` form of repeated options such as --block.
 */
#include "base/option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

/* Bounds the record of the keys seen; no sensible list comes near. */
#define PARTS_MAXIMUM 64

struct parser {
	const struct option_target *targets;
	const char *positional;
	const char *where;
	const struct option_row *seen[PARTS_MAXIMUM];
	size_t seen_count;
};

static const struct option_row *find_row(const struct parser *parser, const char *name,
					 size_t length, void **options)
{
	for (const struct option_target *target = parser->targets; target->rows; target++) {
		const struct option_row *row = option_find(target->rows, name, length);

		if (row) {
			*options = target->options;
			return row;
		}
	}
	return NULL;
}

static int refuse_unknown(const struct parser *parser, const char *name, size_t length,
			  struct error *error)
{
	struct text_match match = {.word = name, .length = length};

	for (const struct option_target *target = parser->targets; target->rows; target++)
		for (const struct option_row *row = target->rows; row->name; row++)
			text_match_offer(&match, row->name);
	if (match.nearest)
		return error_set_usage(error, "%s: there is no option '%.*s'; did you mean '%s'?",
				       parser->where, length < 80 ? (int)length : 80, name,
				       match.nearest);
	return error_set_usage(error,
			       "%s: there is no option '%.*s'; a comma within a value is written "
			       "twice",
			       parser->where, length < 80 ? (int)length : 80, name);
}

/* True when the text before an equals sign could be meant as a key: /a=b.img could not. */
static bool is_key(const char *text, size_t length)
{
	return length && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_") >= length;
}

static int refuse_repeated(struct parser *parser, const struct option_row *row, struct error *error)
{
	if (row->type == OPTION_LIST)
		return 0;
	for (size_t i = 0; i < parser->seen_count; i++)
		if (parser->seen[i] == row)
			return error_set_usage(error, "%s: %s is given twice; omit one",
					       parser->where, row->name);
	if (parser->seen_count < PARTS_MAXIMUM)
		parser->seen[parser->seen_count++] = row;
	return 0;
}

/* Sets the option in one part between commas. */
static int parse_part(struct parser *parser, const char *part, bool first, struct error *error)
{
	const char *equals = strchr(part, '=');
	size_t length = equals ? (size_t)(equals - part) : strlen(part);
	const char *value = equals ? equals + 1 : NULL;
	void *options = NULL;
	const struct option_row *row = find_row(parser, part, length, &options);
	char where[160];
	int result;

	if (first && parser->positional &&
	    (equals ? !is_key(part, length) : !row || row->type != OPTION_FLAG)) {
		row = find_row(parser, parser->positional, strlen(parser->positional), &options);
		value = part;
	}
	if (!row)
		return refuse_unknown(parser, part, length, error);

	result = refuse_repeated(parser, row, error);
	if (result < 0)
		return result;
	snprintf(where, sizeof(where), "%s: %s", parser->where, row->name);
	return option_set(row, options, value, where, error);
}

/*
 * Copies the part at *text to @part, each doubled comma as one, and moves *text to the next part
 * or sets it to NULL after the last.
 */
static void next_part(const char **text, char *part)
{
	const char *position = *text;

	for (;; position++) {
		if (*position == ',' && position[1] == ',')
			position++;
		else if (!*position || *position == ',')
			break;
		*part++ = *position;
	}
	*part = 0;
	*text = *position ? position + 1 : NULL;
}

int option_parse_targets(const struct option_target *targets, const char *text,
			 const char *positional, const char *where, struct error *error)
{
	struct parser parser = {.targets = targets, .positional = positional, .where = where};
	cleanup_free char *part = malloc(strlen(text) + 1);
	bool first = true;

	if (!part)
		return error_set(error, ENOMEM, "out of memory");
	while (text) {
		int result;

		next_part(&text, part);
		if (!*part)
			return error_set_usage(error, "%s: %s", where,
					       first && !text ? "is empty; give its options" :
								"has a comma too many; omit it");
		result = parse_part(&parser, part, first, error);
		if (result < 0)
			return result;
		first = false;
	}
	return 0;
}

int option_parse_list(const struct option_row *rows, void *options, const char *text,
		      const char *positional, const char *where, struct error *error)
{
	const struct option_target targets[] = {{rows, options}, {NULL, NULL}};

	return option_parse_targets(targets, text, positional, where, error);
}

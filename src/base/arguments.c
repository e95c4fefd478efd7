// SPDX-License-Identifier: BSD-3-Clause
/*
 * The argument list of a program to be started, built piece by piece.
 */
#include "base/arguments.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Takes ownership of @text; NULL means that memory ran out. */
static void append(struct arguments *arguments, char *text)
{
	char **items = NULL;

	if (text && !arguments->failed)
		items = reallocarray(arguments->items, arguments->count + 2, sizeof(*items));
	if (!items) {
		arguments->failed = true;
		free(text);
		return;
	}
	items[arguments->count++] = text;
	items[arguments->count] = NULL;
	arguments->items = items;
}

void arguments_add(struct arguments *arguments, const char *text)
{
	append(arguments, strdup(text));
}

void arguments_add_format(struct arguments *arguments, const char *format, ...)
{
	va_list values;
	char *text;

	va_start(values, format);
	if (vasprintf(&text, format, values) < 0)
		text = NULL;
	va_end(values);
	append(arguments, text);
}

void arguments_extend(struct arguments *arguments, const char *format, ...)
{
	cleanup_free char *more = NULL;
	char *text, **last;
	va_list values;

	if (arguments->failed || !arguments->count)
		return;
	va_start(values, format);
	if (vasprintf(&more, format, values) < 0)
		more = NULL;
	va_end(values);
	last = &arguments->items[arguments->count - 1];
	if (!more || asprintf(&text, "%s%s", *last, more) < 0) {
		arguments->failed = true;
		return;
	}
	free(*last);
	*last = text;
}

const char *const *arguments_finish(const struct arguments *arguments, struct error *error)
{
	if (!arguments->failed && arguments->count)
		return (const char *const *)arguments->items;
	error_set(error, ENOMEM, "out of memory");
	return NULL;
}

void arguments_clear(struct arguments *arguments)
{
	for (size_t i = 0; i < arguments->count; i++)
		free(arguments->items[i]);
	free(arguments->items);
	*arguments = (struct arguments){0};
}

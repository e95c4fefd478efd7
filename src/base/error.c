// SPDX-License-Identifier: BSD-3-Clause
/*
 * The one error object of the hosted code.
 */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/resource_limit.h"
#include "base/text.h"

static void error_format(struct error *error, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));
static int error_fill(struct error *error, int code, bool usage, const char *format,
		      va_list arguments) __attribute__((format(printf, 4, 0)));
static void error_format_list(struct error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Formats into *error; the arguments may point into error->message. */
static void error_format(struct error *error, const char *format, va_list arguments)
{
	char message[ERROR_MESSAGE_SIZE];
	int length = vsnprintf(message, sizeof(message), format, arguments);

	if (length < 0)
		message[0] = 0;
	else if ((size_t)length >= sizeof(message))
		strcpy(message + sizeof(message) - sizeof("..."), "...");
	/* File names and guests' text get here: keep it one line. */
	text_make_printable(message);
	memcpy(error->message, message, sizeof(message));
}

static int error_fill(struct error *error, int code, bool usage, const char *format,
		      va_list arguments)
{
	/* A failure must not read as success, whatever the caller passed. */
	if (code <= 0)
		code = EIO;
	if (error) {
		error_format(error, format, arguments);
		error->code = code;
		error->usage = usage;
	}
	return -code;
}

int error_set(struct error *error, int code, const char *format, ...)
{
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = error_fill(error, code, false, format, arguments);
	va_end(arguments);
	return result;
}

int error_set_usage(struct error *error, const char *format, ...)
{
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = error_fill(error, EINVAL, true, format, arguments);
	va_end(arguments);
	return result;
}

int error_set_errno(struct error *error, int code, const char *format, ...)
{
	va_list arguments;
	char text[ERROR_MESSAGE_SIZE], limit[RESOURCE_LIMIT_TEXT];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return error_set(error, code, "%s: %s%s", text, strerrordesc_np(code) ?: "unknown error",
			 resource_limit_describe(limit, code));
}

static void error_format_list(struct error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	error_format(error, format, arguments);
	va_end(arguments);
}

void error_prefix(struct error *error, const char *format, ...)
{
	va_list arguments;
	char text[ERROR_MESSAGE_SIZE];

	if (!error)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	error_format_list(error, "%s: %s", text, error->message);
}

int error_exit_status(const struct error *error)
{
	return error->usage ? ERROR_EXIT_USAGE : 1;
}

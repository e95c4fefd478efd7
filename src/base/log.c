// SPDX-License-Identifier: BSD-3-Clause
/*
 * Log lines on standard error, as text or as JSON (RFC 8259), one write(2) a line.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define MESSAGE_SIZE 1024
/* A message byte can become six (\u001b); a pipe takes PIPE_BUF (4096) bytes in one piece. */
#define LINE_SIZE 4096
/* What a terminal takes without blocking once it says that it takes something. */
#define TERMINAL_SIZE 128
/* How long standard error may take to have room; after that it is not waited for until it has. */
#define WAIT_MS 100

static enum log_level log_level = LOG_INFO;
static enum log_format log_format = LOG_FORMAT_TEXT;
static const char *log_component = "avp";

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	log_level = level;
}

void log_set_format(enum log_format format)
{
	log_format = format;
}

enum log_level log_get_level(void)
{
	return log_level;
}

enum log_format log_get_format(void)
{
	return log_format;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

int log_level_find(const char *word, size_t length)
{
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
		if (strlen(level_names[i]) == length && !strncmp(level_names[i], word, length))
			return i;
	return -1;
}

void log_set_component(const char *component)
{
	log_component = component;
}

/* A line being put together; what does not fit is left out. */
struct line {
	char text[LINE_SIZE];
	size_t length;
};

static bool line_append(struct line *line, const char *text, size_t length, size_t limit)
{
	if (length > limit - line->length)
		return false;
	memcpy(line->text + line->length, text, length);
	line->length += length;
	return true;
}

/* Appends a JSON string in quotes; leaves room for @reserve bytes after it. */
static void line_append_json_string(struct line *line, const char *text, size_t reserve)
{
	size_t limit = sizeof(line->text) - reserve - 1;
	size_t left = strlen(text);
	char escaped[8];

	line_append(line, "\"", 1, limit);
	while (left) {
		size_t length = text_utf8_length(text, left);
		const char *piece = text;
		size_t piece_length = length;

		if (!length) {
			/* Not UTF-8, so not allowed in JSON. */
			length = 1;
			piece = "\\ufffd";
			piece_length = strlen(piece);
		} else if (*text == '"' || *text == '\\') {
			piece_length = snprintf(escaped, sizeof(escaped), "\\%c", *text);
			piece = escaped;
		} else if ((unsigned char)*text < 0x20 || *text == 0x7f) {
			piece_length =
				snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned int)*text);
			piece = escaped;
		} else if (length == 2 && *text == '\xc2' && (unsigned char)text[1] < 0xa0) {
			/* The controls above ASCII: U+0080 to U+009F. */
			piece_length = snprintf(escaped, sizeof(escaped), "\\u%04x",
						(unsigned int)(unsigned char)text[1]);
			piece = escaped;
		}
		if (!line_append(line, piece, piece_length, limit))
			break;
		text += length;
		left -= length;
	}
	line_append(line, "\"", 1, limit + 1);
}

static void line_append_text(struct line *line, const char *text)
{
	line_append(line, text, strlen(text), sizeof(line->text));
}

static void format_json(struct line *line, enum log_level level, const char *component,
			const char *message)
{
	struct timespec now;
	struct tm calendar;
	char date[32], fraction[16];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &calendar);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &calendar);
	snprintf(fraction, sizeof(fraction), ".%03uZ", (unsigned int)(now.tv_nsec / 1000000));

	line_append_text(line, "{\"time\":\"");
	line_append_text(line, date);
	line_append_text(line, fraction);
	line_append_text(line, "\",\"level\":\"");
	line_append_text(line, level_names[level]);
	line_append_text(line, "\",\"component\":");
	line_append_json_string(line, component, LINE_SIZE / 2);
	line_append_text(line, ",\"msg\":");
	line_append_json_string(line, message, sizeof("}\n"));
	line_append_text(line, "}\n");
}

static void format_text(struct line *line, enum log_level level, const char *component,
			const char *message)
{
	/* One byte stays for the end of the line. */
	snprintf(line->text, sizeof(line->text) - 1, "%s %s: %s", level_names[level], component,
		 message);
	text_make_printable(line->text);
	line->length = strlen(line->text);
	line->text[line->length++] = '\n';
}

static atomic_uint lost_lines;

/* Has standard error room for a line? */
static bool has_room(void)
{
	struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};

	/* What cannot be asked is asked by writing. */
	return poll(&writable, 1, lost_lines ? 0 : WAIT_MS) != 0;
}

static bool write_text(const char *text, size_t length)
{
	bool terminal = length > TERMINAL_SIZE && isatty(STDERR_FILENO);

	while (length) {
		size_t piece = terminal && length > TERMINAL_SIZE ? TERMINAL_SIZE : length;
		ssize_t written;

		if (!has_room())
			return false;
		written = write(STDERR_FILENO, text, piece);
		if (written < 0 && errno == EINTR)
			continue;
		/* There is nowhere to report that standard error is gone. */
		if (written < 0)
			return errno != EAGAIN;
		text += written;
		length -= written;
	}
	return true;
}

static void format_line(struct line *line, enum log_level level, const char *component,
			const char *message)
{
	if (log_format == LOG_FORMAT_JSON)
		format_json(line, level, component, message);
	else
		format_text(line, level, component, message);
}

/* Says how many lines were left out, if any were and there is room to say so. */
static void tell_lost(void)
{
	struct line line = {.length = 0};
	char message[80];
	unsigned int lost;

	if (!lost_lines || !has_room())
		return;
	lost = atomic_exchange(&lost_lines, 0);
	snprintf(message, sizeof(message), "%u lines are left out: standard error took no more",
		 lost);
	format_line(&line, LOG_WARNING, log_component, message);
	if (!write_text(line.text, line.length))
		lost_lines += lost;
}

void log_write(const char *text, size_t length)
{
	int saved_errno = errno;

	tell_lost();
	if (!write_text(text, length))
		lost_lines++;
	errno = saved_errno;
}

void log_line(enum log_level level, const char *component, const char *format, ...)
{
	int saved_errno = errno;
	char message[MESSAGE_SIZE];
	struct line line = {.length = 0};
	va_list arguments;

	if (level > log_level)
		return;
	va_start(arguments, format);
	if (vsnprintf(message, sizeof(message), format, arguments) < 0)
		message[0] = 0;
	va_end(arguments);

	if (!component)
		component = log_component;
	format_line(&line, level, component, message);
	errno = saved_errno;
	log_write(line.text, line.length);
}

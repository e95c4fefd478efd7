// SPDX-License-Identifier: BSD-3-Clause
/*
 * Log lines on standard error, as text or as JSON (RFC 8259), one write(2) a line.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define MESSAGE_SIZE 1024
#define GUEST_SIZE   65
/* A message byte can become six (\u001b); a pipe takes PIPE_BUF (4096) bytes in one piece. */
#define LINE_SIZE 4096
/* What a terminal takes without blocking once poll reports it writable. */
#define TERMINAL_SIZE 128
/*
 * How long to wait for room on standard error; after that, do not wait until there is room again.
 */
#define WAIT_MS 100

static _Atomic enum log_level log_level = LOG_INFO;
static enum log_format log_format = LOG_FORMAT_TEXT;
static const char *log_component = "avp";
static char log_guest[GUEST_SIZE];
static int log_fd = -1; /* a file for all lines */

const char *const log_level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
	NULL,
};

void log_set_level(enum log_level level)
{
	log_level = level;
}

void log_set_format(enum log_format format)
{
	log_format = format;
}

int log_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);

	if (fd < 0)
		return -errno;
	if (log_fd >= 0)
		close(log_fd);
	log_fd = fd;
	return 0;
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
	return log_level_names[level];
}

int log_level_find(const char *word, size_t length)
{
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
		if (strlen(log_level_names[i]) == length &&
		    !strncmp(log_level_names[i], word, length))
			return i;
	return -1;
}

void log_set_component(const char *component)
{
	log_component = component;
}

void log_set_guest(const char *name)
{
	snprintf(log_guest, sizeof(log_guest), "%s", name);
}

/* A line being put together; what does not fit is dropped. */
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

static void log_list(enum log_level level, const char *component, const struct log_field *fields,
		     const char *format, va_list arguments) __attribute__((format(printf, 4, 0)));

static void line_append_text(struct line *line, const char *text)
{
	line_append(line, text, strlen(text), sizeof(line->text));
}

/* Appends the time as RFC 3339 has it, in UTC. */
static void line_append_time(struct line *line)
{
	struct timespec now;
	struct tm calendar;
	char date[32], fraction[16];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &calendar);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &calendar);
	snprintf(fraction, sizeof(fraction), ".%03uZ", (unsigned int)(now.tv_nsec / 1000000));
	line_append_text(line, date);
	line_append_text(line, fraction);
}

/* Appends `,"NAME":` and the value, unless there is no room for it and @reserve bytes after it. */
static void line_append_field(struct line *line, const struct log_field *field, size_t reserve)
{
	const size_t before = line->length, limit = sizeof(line->text) - reserve;
	char number[24];
	bool fits = line_append(line, ",\"", 2, limit) &&
		    line_append(line, field->name, strlen(field->name), limit) &&
		    line_append(line, "\":", 2, limit);

	if (fits && field->text) {
		/* A byte can become six; with its quotes. */
		fits = 6 * strlen(field->text) + 2 <= limit - line->length;
		if (fits)
			line_append_json_string(line, field->text, reserve);
	} else if (fits) {
		snprintf(number, sizeof(number), "%" PRId64, field->number);
		fits = line_append(line, number, strlen(number), limit);
	}
	if (!fits)
		line->length = before;
}

static void format_json(struct line *line, enum log_level level, const char *component,
			const struct log_field *fields, const char *message)
{
	const struct log_field guest = LOG_TEXT("guest", log_guest);

	line_append_text(line, "{\"time\":\"");
	line_append_time(line);
	line_append_text(line, "\",\"level\":\"");
	line_append_text(line, log_level_names[level]);
	line_append_text(line, "\"");
	if (log_guest[0])
		line_append_field(line, &guest, LINE_SIZE / 2);
	line_append_text(line, ",\"component\":");
	line_append_json_string(line, component, LINE_SIZE / 2);
	for (; fields && fields->name; fields++)
		line_append_field(line, fields, LINE_SIZE / 2);
	line_append_text(line, ",\"msg\":");
	line_append_json_string(line, message, sizeof("}\n"));
	line_append_text(line, "}\n");
}

/* Whether standard error leads to systemd's journal (systemd.exec(5), "$JOURNAL_STREAM"). */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

static void format_text(struct line *line, enum log_level level, const char *component,
			const char *message)
{
	bool file = log_fd >= 0, terminal = !file && isatty(STDERR_FILENO);

	if (!terminal && (file || !is_journal())) {
		line_append_time(line);
		line_append_text(line, " ");
	}
	/* One byte stays for the end of the line. */
	snprintf(line->text + line->length, sizeof(line->text) - 1 - line->length, "%s %s%s%s: %s",
		 log_level_names[level], terminal ? "" : log_guest,
		 terminal || !log_guest[0] ? "" : "/", component, message);
	text_make_printable(line->text);
	line->length = strlen(line->text);
	line->text[line->length++] = '\n';
}

static atomic_uint lost_lines;

/* Whether standard error has room for a line. */
static bool has_room(void)
{
	struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};

	/* If poll fails, try to write. */
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
			const struct log_field *fields, const char *message)
{
	if (log_format == LOG_FORMAT_JSON)
		format_json(line, level, component, fields, message);
	else
		format_text(line, level, component, message);
}

/* Reports how many lines were dropped, if any were and there is room for the report. */
static void report_lost(void)
{
	struct line line = {.length = 0};
	char message[80];
	unsigned int lost;

	if (!lost_lines || !has_room())
		return;
	lost = atomic_exchange(&lost_lines, 0);
	snprintf(message, sizeof(message), "%u lines were dropped: standard error had no room",
		 lost);
	format_line(&line, LOG_WARNING, log_component, NULL, message);
	if (!write_text(line.text, line.length))
		lost_lines += lost;
}

void log_write(const char *text, size_t length)
{
	int saved_errno = errno;

	/* A file has room, or never will: there is nowhere to report that. */
	if (log_fd >= 0 && write(log_fd, text, length) >= 0) {
		errno = saved_errno;
		return;
	}
	report_lost();
	if (!write_text(text, length))
		lost_lines++;
	errno = saved_errno;
}

static void log_list(enum log_level level, const char *component, const struct log_field *fields,
		     const char *format, va_list arguments)
{
	int saved_errno = errno;
	char message[MESSAGE_SIZE];
	struct line line = {.length = 0};

	if (level > log_level)
		return;
	if (vsnprintf(message, sizeof(message), format, arguments) < 0)
		message[0] = 0;
	if (!component)
		component = log_component;
	format_line(&line, level, component, fields, message);
	errno = saved_errno;
	log_write(line.text, line.length);
	if (log_fd < 0 || level != LOG_ERROR)
		return;
	line.length = 0;
	format_text(&line, level, component, message);
	if (!write_text(line.text, line.length))
		lost_lines++;
	errno = saved_errno;
}

void log_line(enum log_level level, const char *component, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_list(level, component, NULL, format, arguments);
	va_end(arguments);
}

void log_fields(enum log_level level, const char *component, const struct log_field *fields,
		const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_list(level, component, fields, format, arguments);
	va_end(arguments);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Log lines on standard error, as text or as JSON. On a terminal a line is `level component:
 * message`; elsewhere the time comes first (not in the journal, which has its own) and the guest
 * stands before the component: `2026-01-02T03:04:05.678Z level guest/component: message`. A line is
 * written with one write(2), so lines of several processes do not mix. Nothing here allocates, and
 * nothing waits long for a reader that stalls: lines that standard error has no room for are
 * dropped, and a line reports how many as soon as there is room again.
 */
#ifndef AVP_BASE_LOG_H
#define AVP_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Process-wide settings. Defaults: LOG_INFO, text. The level is for any thread, at any time. */
void log_set_level(enum log_level level);
/* Call before any thread is started. */
void log_set_format(enum log_format format);
/*
 * Appends the lines to the file @path from now on, which is created if it is not there. Only errors
 * go to standard error as well, as text. Call before any thread is started. Returns 0 or a negative
 * errno.
 */
int log_open(const char *path);
/* The settings, to hand them down to a child process. */
enum log_level log_get_level(void);
enum log_format log_get_format(void);

/* The words for the levels; they end with NULL. */
extern const char *const log_level_names[];

/* The word for a level, and the level of a word of @length bytes; -1 for any other. */
const char *log_level_name(enum log_level level);
int log_level_find(const char *word, size_t length);

/*
 * The name that log lines of this process carry as component when log_line is given NULL, such as
 * "block". Kept by reference.
 */
void log_set_component(const char *component);

/* The guest that this process serves, for each line; copied, cut to 64 bytes. "": none. */
void log_set_guest(const char *name);

/* Any thread. Lines longer than about a kilobyte are cut. Keeps errno. */
void log_line(enum log_level level, const char *component, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What a message is about, for programs: a member of a JSON line. */
struct log_field {
	const char *name; /* NULL ends a list; of letters and '_' */
	const char *text; /* NULL: the number */
	int64_t number;
};

/* A list of fields for log_fields. */
#define LOG_FIELDS(...)              \
	((const struct log_field[]){ \
		__VA_ARGS__,         \
		{NULL, NULL, 0},     \
	})
#define LOG_TEXT(name, text)      \
	{                         \
		(name), (text), 0 \
	}
#define LOG_NUMBER(name, number)                \
	{                                       \
		(name), NULL, (int64_t)(number) \
	}

/*
 * As log_line, with fields, which text lines omit: the message must say everything. Fields that do
 * not fit into the line are dropped. docs/logs.md lists their names.
 */
void log_fields(enum log_level level, const char *component, const struct log_field *fields,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * Any thread. Writes @length bytes of text, whole lines with their newlines, unchanged, unless
 * standard error has no room.
 */
void log_write(const char *text, size_t length);

#define log_error(...)	 log_line(LOG_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, NULL, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_DEBUG, NULL, __VA_ARGS__)

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Log lines on standard error: `level component: message`, or JSON lines. A line is written with
 * one write(2), so lines of several processes do not mix. Nothing here allocates, and nothing
 * waits for a reader that does not read: lines that standard error does not take are left out, and
 * a line tells how many as soon as it takes some again.
 */
#ifndef AVP_BASE_LOG_H
#define AVP_BASE_LOG_H

#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Process-wide settings; call before any thread is started. Defaults: LOG_INFO, text. */
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
/* The settings, to hand them down to a child process. */
enum log_level log_get_level(void);
enum log_format log_get_format(void);

/* The word for a level, and the level of a word of @length bytes; -1 for any other. */
const char *log_level_name(enum log_level level);
int log_level_find(const char *word, size_t length);

/*
 * The name that log lines of this process carry as component when log_line is given NULL, such as
 * "block". Kept by reference.
 */
void log_set_component(const char *component);

/* Any thread. Lines longer than about a kilobyte are cut. Keeps errno. */
void log_line(enum log_level level, const char *component, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Any thread. Writes @length bytes of text, whole lines with their ends, as they are, unless
 * standard error takes nothing.
 */
void log_write(const char *text, size_t length);

#define log_error(...)	 log_line(LOG_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, NULL, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_DEBUG, NULL, __VA_ARGS__)

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads JSON (RFC 8259) strictly, from memory or from a file.
 */
#include "host/json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static bool is_space(char letter)
{
	return letter == ' ' || letter == '\t' || letter == '\n' || letter == '\r';
}

/*
 * Finds a trailing comma, which other languages allow, before the closing bracket at
 * @position - 1. Returns its offset, or -1.
 */
static ssize_t find_last_comma(const char *text, size_t length, int position)
{
	ssize_t at = position - 1;

	if (position < 1 || (size_t)position > length || (text[at] != '}' && text[at] != ']'))
		return -1;
	do {
		at--;
	} while (at >= 0 && is_space(text[at]));
	return at >= 0 && text[at] == ',' ? at : -1;
}

/* Line and column of an offset in a text; like jansson, counts columns in characters. */
static void find_line(const char *text, size_t offset, int *line, int *column)
{
	*line = 1;
	*column = 1;
	for (size_t i = 0; i < offset; i++) {
		if (text[i] == '\n') {
			++*line;
			*column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			++*column;
		}
	}
}

int json_text_load(const char *text, size_t length, const char *source, json_t **json,
		   struct error *error)
{
	json_error_t json_error;
	int line, column;
	ssize_t comma;

	/* jansson itself limits the depth (JSON_PARSER_MAX_DEPTH). */
	*json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &json_error);
	if (*json)
		return 0;
	if (json_error_code(&json_error) == json_error_out_of_memory)
		return error_set(error, ENOMEM, "%s: out of memory", source);
	comma = find_last_comma(text, length, json_error.position);
	if (comma >= 0) {
		find_line(text, (size_t)comma, &line, &column);
		return error_set_usage(error,
				       "%s: line %d, column %d: there is a comma before the '%c'; "
				       "remove it",
				       source, line, column, text[json_error.position - 1]);
	}
	return error_set_usage(error, "%s: line %d, column %d: %s", source, json_error.line,
			       json_error.column, json_error.text);
}

/* Reads at most @size bytes up to the end of the file; returns their number or -errno. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t count = read(fd, buffer + length, size - length);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		if (count == 0)
			break;
		length += count;
	}
	return length;
}

/*
 * Opens a regular file, or returns a negative errno. Anything else gets -EMEDIUMTYPE and is not
 * opened, because opening it may have effects.
 */
static int open_regular_file(int directory, const char *path, struct stat *status)
{
	cleanup_fd int fd = -1;

	if (fstatat(directory, path, status, 0) < 0)
		return -errno;
	if (!S_ISREG(status->st_mode))
		return -EMEDIUMTYPE;
	/* The file may have been replaced by a FIFO meanwhile: do not block. */
	fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, status) < 0)
		return -errno;
	return S_ISREG(status->st_mode) ? take_fd(&fd) : -EMEDIUMTYPE;
}

int json_descriptor_load(int fd, const char *path, size_t size_maximum, json_t **json,
			 struct error *error)
{
	cleanup_free char *text = NULL;
	struct stat status;
	ssize_t length;

	if (fstat(fd, &status) < 0)
		return error_set_errno(error, errno, "%s", path);
	if (!S_ISREG(status.st_mode))
		return error_set_usage(error, "%s: is not a regular file; give a JSON file", path);
	if (status.st_size > (off_t)size_maximum)
		return error_set_usage(error, "%s: is larger than %zu bytes; shorten it", path,
				       size_maximum);
	/* The file may grow meanwhile. */
	text = malloc(size_maximum);
	if (!text)
		return error_set(error, ENOMEM, "%s: out of memory", path);
	length = read_all(fd, text, size_maximum);
	if (length < 0)
		return error_set_errno(error, -length, "%s", path);
	return json_text_load(text, length, path, json, error);
}

int json_file_load_at(int directory, const char *name, const char *path, size_t size_maximum,
		      json_t **json, struct error *error)
{
	struct stat status;
	cleanup_fd int fd = open_regular_file(directory, name, &status);

	if (fd == -EMEDIUMTYPE)
		return error_set_usage(error, "%s: is not a regular file; give a JSON file", path);
	if (fd < 0)
		return error_set_usage(error, "%s: %s; %s", path, strerror(-fd),
				       fd == -EACCES ? "make it readable for this user" :
						       "check the path");
	return json_descriptor_load(fd, path, size_maximum, json, error);
}

int json_file_load(const char *path, size_t size_maximum, json_t **json, struct error *error)
{
	return json_file_load_at(AT_FDCWD, path, path, size_maximum, json, error);
}

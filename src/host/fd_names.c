// SPDX-License-Identifier: BSD-3-Clause
/*
 * Replaces descriptor paths in log lines with the names of the files.
 */
#include "host/fd_names.h"

#include <stdlib.h>
#include <string.h>

void fd_names_add(struct fd_names *names, int fd, const char *path)
{
	if (names->count < FD_NAMES_MAXIMUM)
		names->names[names->count++] = (struct fd_name){fd, path};
}

/* The path for the /dev/fd/N, of *length bytes, that @text starts with; NULL: there is none. */
static const char *find_path(const struct fd_names *names, const char *text, size_t *length)
{
	static const char *const starts[] = {"/dev/fd/", "/proc/self/fd/"};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		const char *number = text + strlen(starts[i]);
		size_t digits;

		if (strncmp(text, starts[i], strlen(starts[i])))
			continue;
		digits = strspn(number, "0123456789");
		*length = strlen(starts[i]) + digits;
		for (size_t j = 0; digits && digits < 10 && j < names->count; j++)
			if (names->names[j].fd == atoi(number))
				return names->names[j].path;
	}
	return NULL;
}

const char *fd_names_replace(const struct fd_names *names, const char *text, char *buffer,
			     size_t size)
{
	size_t length = 0;

	while (*text && length < size - 1) {
		size_t taken = 1, piece = 1;
		const char *path = *text == '/' ? find_path(names, text, &taken) : NULL;

		if (path)
			piece = strlen(path);
		else
			taken = 1;
		if (piece > size - 1 - length)
			piece = size - 1 - length;
		memcpy(buffer + length, path ? path : text, piece);
		length += piece;
		text += taken;
	}
	buffer[length] = 0;
	return buffer;
}

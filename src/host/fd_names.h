// SPDX-License-Identifier: BSD-3-Clause
/*
 * The files that a child process inherited as descriptors. Its messages name them /dev/fd/N; the
 * user knows only their paths.
 */
#ifndef AVP_HOST_FD_NAMES_H
#define AVP_HOST_FD_NAMES_H

#include <stddef.h>

struct fd_name {
	int fd;		  /* number in the child */
	const char *path; /* not copied; must outlive the table */
};

/* The most files of a child that get a name. */
#define FD_NAMES_MAXIMUM 16

struct fd_names {
	struct fd_name names[FD_NAMES_MAXIMUM];
	size_t count;
};

/* Adds a row. When the table is full the row is dropped: that descriptor stays a number. */
void fd_names_add(struct fd_names *names, int fd, const char *path);

/*
 * Copies @text to @buffer, of @size bytes, and replaces /dev/fd/N and /proc/self/fd/N with the
 * paths; truncates to @size. Returns @buffer.
 */
const char *fd_names_replace(const struct fd_names *names, const char *text, char *buffer,
			     size_t size);

#endif

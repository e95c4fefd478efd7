// SPDX-License-Identifier: BSD-3-Clause
/*
 * The files that a child process got as descriptors: what it says of /dev/fd/N means nothing to a
 * person, who knows the path.
 */
#ifndef AVP_GUEST_RUN_FD_NAMES_H
#define AVP_GUEST_RUN_FD_NAMES_H

#include <stddef.h>

struct fd_name {
	int fd;		  /* as the child knows it */
	const char *path; /* the owner's; must live as long as the table is used */
};

/* The most files that a child has names for: those of a console. */
#define FD_NAMES_MAXIMUM 16

struct fd_names {
	struct fd_name names[FD_NAMES_MAXIMUM];
	size_t count;
};

/* Adds a row. What does not fit is left out: it stays a number. */
void fd_names_add(struct fd_names *names, int fd, const char *path);

/*
 * Copies @text to @buffer, of @size bytes, with paths in the place of /dev/fd/N and
 * /proc/self/fd/N; cut to its size. Returns @buffer.
 */
const char *fd_names_replace(const struct fd_names *names, const char *text, char *buffer,
			     size_t size);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/* Files that options name for writing, and sockets that they name for listening. */
#include "base/option_path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"

/* Duplicates a descriptor that the parent opened for writing. */
static int copy_writable(const char *option, const char *path, int inherited, struct error *error)
{
	int flags = fcntl(inherited, F_GETFL), fd;

	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return error_set_usage(error,
				       "%s: %s: is not open for writing; give a descriptor that "
				       "this process inherits",
				       option, path);
	fd = fcntl(inherited, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? error_set_errno(error, errno, "%s: %s", option, path) : fd;
}

int path_open_appended(const char *option, const char *path, struct error *error)
{
	int inherited = text_inherited_fd(path), fd;

	/*
	 * Do not open it again: a pipe would then need a reader now, which may be away for a
	 * moment.
	 */
	if (inherited >= 0)
		return copy_writable(option, path, inherited, error);
	/* Without O_NONBLOCK a pipe that nobody reads would block for ever. */
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
	if (fd < 0 && errno == ENXIO)
		return error_set_usage(error,
				       "%s: %s: nobody reads this pipe; start its reader first",
				       option, path);
	if (fd < 0)
		return error_set_usage(error, "%s: %s: %s; check the path and its permissions",
				       option, path, strerror(errno));
	return fd;
}

int path_listen(const char *option, const char *path, struct socket_path *made, struct error *error)
{
	int fd = text_inherited_fd(path), accepting = 0;
	socklen_t length = sizeof(accepting);

	if (fd < 0)
		return socket_path_listen(made, path, 1, option, error);
	*made = (struct socket_path){.path = NULL};
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &length) < 0 || !accepting)
		return error_set_usage(
			error,
			"%s: %s: is not a listening socket; give one that this process inherits",
			option, path);
	return fd;
}

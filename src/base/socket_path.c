// SPDX-License-Identifier: BSD-3-Clause
/* A listening Unix stream socket that others find by its path. */
#include "base/socket_path.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Says why the path cannot be bound: something is there. */
static int explain_taken(const char *path, const struct sockaddr_un *address, const char *option,
			 struct error *error)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat status;

	if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
		return error_set_usage(error,
				       "%s: %s: exists and is no socket; choose another path",
				       option, path);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	    errno == ECONNREFUSED)
		return error_set_usage(
			error, "%s: %s: exists, though nobody listens on it; remove it: rm %s",
			option, path, path);
	return error_set_usage(error,
			       "%s: %s: another process listens on it; end that one or choose "
			       "another path",
			       option, path);
}

int socket_path_listen(struct socket_path *made, const char *path, int backlog, const char *option,
		       struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cleanup_free char *absolute = NULL;
	struct stat status;

	*made = (struct socket_path){.path = NULL};
	if (strlen(path) >= sizeof(address.sun_path))
		return error_set_usage(error,
				       "%s: %s: is longer than the %zu bytes that a socket may "
				       "have; choose a shorter path",
				       option, path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	if (fd < 0)
		return error_set_errno(error, errno, "cannot make a socket");
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == EADDRINUSE)
			return explain_taken(path, &address, option, error);
		return error_set_usage(error,
				       "%s: %s: %s; choose a directory that exists and that this "
				       "user may write to",
				       option, path, strerror(errno));
	}
	absolute = realpath(path, NULL);
	if (!absolute || lstat(path, &status) < 0 || listen(fd, backlog) < 0) {
		error_set_errno(error, errno, "%s: %s", option, path);
		unlink(path);
		return error ? -error->code : -EIO;
	}
	made->path = take_pointer(absolute);
	made->device = status.st_dev;
	made->inode = status.st_ino;
	return take_fd(&fd);
}

void socket_path_remove(struct socket_path *made)
{
	struct stat status;

	if (made->path && lstat(made->path, &status) == 0 && status.st_dev == made->device &&
	    status.st_ino == made->inode)
		unlink(made->path);
	free(made->path);
	made->path = NULL;
}

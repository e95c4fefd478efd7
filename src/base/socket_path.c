// SPDX-License-Identifier: BSD-3-Clause
/* A listening Unix stream socket that others find by its path, and the lock beside it. */
#include "base/socket_path.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LOCK_SUFFIX ".lock"

/* With the terminating zero. */
#define PATH_ROOM sizeof(((struct sockaddr_un *)0)->sun_path)

/* How often a lock file may vanish while it is being locked; each time its holder has ended. */
#define LOCK_ATTEMPTS 100

_Static_assert(SOCKET_PATH_LENGTH == PATH_ROOM - 1, "with its terminating zero");

int socket_path_connect(const char *path, int flags)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int fd = -1;

	if (strlen(path) > SOCKET_PATH_LENGTH)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return take_fd(&fd);
}

static int refuse_listener(const char *path, const char *option, struct error *error)
{
	return error_set_usage(error,
			       "%s: %s: another process listens on it; end that one or choose "
			       "another path",
			       option, path);
}

static int refuse_directory(const char *path, const char *option, int code, struct error *error)
{
	return error_set_usage(error,
			       "%s: %s: %s; choose a directory that exists and that this user may "
			       "write to",
			       option, path, strerror(code));
}

static bool is_at(const struct stat *status, const char *path)
{
	struct stat there;

	return lstat(path, &there) == 0 && there.st_dev == status->st_dev &&
	       there.st_ino == status->st_ino;
}

/*
 * Opens and locks the file @lock. The holder unlinks the file before it releases the lock, so the
 * file locked here may have lost its name meanwhile, and another one may have it: then try again.
 */
static int take_lock(const char *lock, const char *path, const char *option, struct error *error)
{
	for (int i = 0; i < LOCK_ATTEMPTS; i++) {
		cleanup_fd int fd = open(
			lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
			0600);
		struct stat status;

		if (fd < 0 && errno != ELOOP && errno != EISDIR)
			return refuse_directory(path, option, errno, error);
		if (fd >= 0 && fstat(fd, &status) < 0)
			return error_set_errno(error, errno, "%s: %s", option, lock);
		if (fd < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid())
			return error_set_usage(error,
					       "%s: %s: is in the way of a lock file; remove it or "
					       "choose another path",
					       option, lock);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ?
				       refuse_listener(path, option, error) :
				       error_set_errno(error, errno, "%s: %s", option, lock);
		if (is_at(&status, lock))
			return take_fd(&fd);
	}
	return refuse_listener(path, option, error);
}

/* Whether every user may replace the file at @path. */
static bool in_open_directory(const char *path)
{
	char copy[PATH_MAX];
	struct stat status;

	snprintf(copy, sizeof(copy), "%s", path);
	return stat(dirname(copy), &status) < 0 ||
	       ((status.st_mode & S_IWOTH) && !(status.st_mode & S_ISVTX));
}

/*
 * Removes the socket at @path if it is ours and nobody listens on it; the lock is held. Returns 0,
 * or says why not.
 */
static int remove_stale(const char *path, const struct sockaddr_un *address, const char *option,
			struct error *error)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat status;

	if (fd < 0)
		return error_set_errno(error, errno, "cannot make a socket");
	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : error_set_errno(error, errno, "%s: %s", option, path);
	if (!S_ISSOCK(status.st_mode))
		return error_set_usage(error,
				       "%s: %s: exists and is not a socket; choose another path",
				       option, path);
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno != ECONNREFUSED)
		return refuse_listener(path, option, error);
	if (status.st_uid != geteuid() || in_open_directory(path) || !is_at(&status, path))
		return error_set_usage(
			error, "%s: %s: exists, though nobody listens on it; remove it: rm %s",
			option, path, path);
	if (unlink(path) < 0 && errno != ENOENT)
		return error_set_errno(error, errno, "%s: %s", option, path);
	return 0;
}

static int bind_path(int fd, const char *path, const char *option, struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int result = 0;

	strcpy(address.sun_path, path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	if (errno == EADDRINUSE) {
		result = remove_stale(path, &address, option, error);
		if (result < 0)
			return result;
		if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
			return 0;
	}
	if (errno == EADDRINUSE)
		return refuse_listener(path, option, error);
	return refuse_directory(path, option, errno, error);
}

/* Makes the bound socket listen and fills *made; the lock stays with the caller. */
static int listen_bound(struct socket_path *made, int fd, const char *path, int backlog,
			const char *option, struct error *error)
{
	/*
	 * An absolute path is kept as it is: one through a descriptor still leads to its directory
	 * when that is moved.
	 */
	cleanup_free char *absolute = *path == '/' ? strdup(path) : realpath(path, NULL);
	struct stat status;

	if (!absolute || lstat(path, &status) < 0 || listen(fd, backlog) < 0) {
		int code = errno;

		unlink(path);
		return error_set_errno(error, code, "%s: %s", option, path);
	}
	made->path = take_pointer(absolute);
	made->device = status.st_dev;
	made->inode = status.st_ino;
	return 0;
}

int socket_path_listen(struct socket_path *made, const char *path, int backlog, const char *option,
		       struct error *error)
{
	char lock[PATH_ROOM + sizeof(LOCK_SUFFIX)];
	cleanup_fd int fd = -1, lock_fd = -1;
	int result;

	*made = (struct socket_path){.path = NULL};
	if (strlen(path) >= PATH_ROOM)
		return error_set_usage(error,
				       "%s: %s: is longer than the %zu bytes that a socket may "
				       "have; choose a shorter path",
				       option, path, PATH_ROOM - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(error, errno, "cannot make a socket");
	snprintf(lock, sizeof(lock), "%s" LOCK_SUFFIX, path);
	lock_fd = take_lock(lock, path, option, error);
	if (lock_fd < 0)
		return lock_fd;
	result = bind_path(fd, path, option, error);
	if (result == 0)
		result = listen_bound(made, fd, path, backlog, option, error);
	if (result < 0) {
		unlink(lock);
		return result;
	}
	made->lock_fd = take_fd(&lock_fd);
	return take_fd(&fd);
}

void socket_path_remove(struct socket_path *made)
{
	const struct stat own = {.st_dev = made->device, .st_ino = made->inode};
	struct stat lock_status;
	char lock[PATH_MAX];

	if (!made->path)
		return;
	if (is_at(&own, made->path))
		unlink(made->path);
	snprintf(lock, sizeof(lock), "%s" LOCK_SUFFIX, made->path);
	/* Before the lock is given up: see take_lock. */
	if (fstat(made->lock_fd, &lock_status) == 0 && is_at(&lock_status, lock))
		unlink(lock);
	close(made->lock_fd);
	free(made->path);
	made->path = NULL;
}

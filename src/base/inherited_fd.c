// SPDX-License-Identifier: BSD-3-Clause
/*
 * Descriptors that a program was started with. A closed standard descriptor is occupied by
 * /dev/null opened with O_PATH: the number is taken, and yet what uses it gets EBADF, so that
 * output that cannot be printed is still an error and not silence.
 */
#include "base/inherited_fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

static int open_placeholder(void)
{
	int fd = open("/dev/null", O_PATH);

	return fd < 0 ? -errno : fd;
}

int inherited_fd_fill_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int opened;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* It becomes the lowest free descriptor, which is this one. */
		opened = open_placeholder();
		if (opened < 0)
			return opened;
	}
	return 0;
}

void inherited_fd_close_others(void)
{
	cleanup_directory DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		int fd = atoi(entry->d_name), flags = fcntl(fd, F_GETFD);

		if (fd > STDERR_FILENO && flags >= 0 && !(flags & FD_CLOEXEC))
			close(fd);
	}
}

int inherited_fd_take(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	cleanup_fd int own = -1, placeholder = -1;

	if (flags < 0 || flags & O_PATH)
		return -EBADF;
	if (fd > STDERR_FILENO)
		return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : fd;
	own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (own < 0)
		return -errno;
	placeholder = open_placeholder();
	if (placeholder < 0)
		return placeholder;
	if (dup2(placeholder, fd) < 0)
		return -errno;
	return take_fd(&own);
}

int inherited_fd_take_socket(int fd, int type, const char *option, struct error *error)
{
	socklen_t length = sizeof(int);
	int found, own, code = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &found, &length) < 0)
		code = errno;
	else if (found != type)
		code = EPROTOTYPE;
	if (code)
		return error_set_usage(error,
				       "%s: descriptor %d is not a %s socket: %s; give the number "
				       "of one that this process inherits",
				       option, fd, type == SOCK_STREAM ? "stream" : "packet",
				       strerror(code));
	own = inherited_fd_take(fd);
	return own < 0 ? error_set_errno(error, -own, "%s: descriptor %d", option, fd) : own;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * A listening socket without a name. connect(2) needs a path that the socket is bound to, but a
 * descriptor opened on that path with O_PATH still leads to it through /proc/self/fd after the path
 * is removed. So the name exists only for a moment, in a directory that only this user may enter,
 * and nothing is left to clean up if the program is killed. A socket pair would be simpler, but
 * nobody can connect to it again after a device process or an engine has lost its end.
 */
#include "guest/run/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SOCKET_NAME "socket"
/* One connection at a time is served; another may wait until it ends. */
#define BACKLOG 4

/* Makes a directory with mode 0700 for the socket. Returns 0 or -errno. */
static int make_directory(char *path, size_t size)
{
	const char *const parents[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
	int code = ENOENT;

	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
		if (!parents[i] || parents[i][0] != '/' ||
		    snprintf(path, size, "%s/avp-XXXXXX", parents[i]) >= (int)size)
			continue;
		if (mkdtemp(path))
			return 0;
		code = errno;
	}
	return -code;
}

/* Binds in the directory open at @directory, and opens what was bound. Returns 0 or -errno. */
static int bind_in(struct listener *listener, int directory)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	/* The path through /proc is short enough whatever the directory's path is. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" SOCKET_NAME,
		 directory);
	if (bind(listener->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	listener->connect_fd = openat(directory, SOCKET_NAME, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (listener->connect_fd < 0 || listen(listener->listen_fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

int listener_open(struct listener *listener, struct error *error)
{
	cleanup_fd int directory = -1;
	char path[4096];
	int result;

	*listener = LISTENER_NONE;
	result = make_directory(path, sizeof(path));
	if (result < 0)
		return error_set_errno(error, -result,
				       "cannot make a directory for sockets in XDG_RUNTIME_DIR, "
				       "TMPDIR or /tmp");
	directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	listener->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	result = directory < 0 || listener->listen_fd < 0 ? -errno : bind_in(listener, directory);
	if (directory >= 0)
		unlinkat(directory, SOCKET_NAME, 0);
	rmdir(path);
	if (result < 0) {
		listener_close(listener);
		return error_set_errno(error, -result, "cannot make a socket in %s", path);
	}
	return 0;
}

void listener_close(struct listener *listener)
{
	close_fd(&listener->listen_fd);
	close_fd(&listener->connect_fd);
}

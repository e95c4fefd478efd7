// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host's identity, and the names of the guests that run on it. A name is taken by an abstract
 * socket (unix(7)): it leaves nothing behind, however the program ends, and tells who has it.
 */
#include "runtime/host_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

/* More guests without a name are refused one. */
#define NUMBERS 1000

const char *host_identity_read(char identity[HOST_IDENTITY_LENGTH])
{
	static const char *const paths[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};
	/* 32 hexadecimal digits and the end of the line; "uninitialized" on a first boot. */
	const size_t digits = 32;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		cleanup_fd int fd = open(paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		ssize_t length = fd < 0 ? -1 : read(fd, identity, digits);

		if (length != (ssize_t)digits)
			continue;
		identity[digits] = 0;
		if (strspn(identity, "0123456789abcdef") == digits)
			return identity;
	}
	if (gethostname(identity, HOST_IDENTITY_LENGTH) < 0)
		identity[0] = 0;
	identity[HOST_IDENTITY_LENGTH - 1] = 0;
	return identity;
}

/* Who listens there; 0: not known. */
static pid_t find_holder(const struct sockaddr_un *address, socklen_t length)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t size = sizeof(struct ucred);
	struct ucred holder = {0};

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, length) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &size) < 0)
		return 0;
	return holder.pid;
}

/* Returns a descriptor, or -EADDRINUSE with *holder set, or another negative errno. */
static int take(const char *name, pid_t *holder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Behind the zero byte of an abstract name. Two users may have guests of one name. */
	int length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "avp/guest/%u/%s",
			      (unsigned int)getuid(), name);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);

	if (length >= (int)sizeof(address.sun_path) - 1)
		return -ENAMETOOLONG;
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, size) < 0) {
		int code = errno;

		*holder = code == EADDRINUSE ? find_holder(&address, size) : 0;
		return -code;
	}
	/* Only so that whoever wants the name learns who has it; nothing is ever accepted. */
	if (listen(fd, 0) < 0)
		return -errno;
	return take_fd(&fd);
}

static int refuse(const char *name, int code, pid_t holder, struct error *error)
{
	if (code != -EADDRINUSE)
		return error_set_errno(error, -code, "--name: cannot take '%s'", name);
	if (!holder)
		return error_set_usage(
			error, "--name: a guest named '%s' runs already; give another name", name);
	return error_set_usage(
		error, "--name: a guest named '%s' runs already, in process %d; give another name",
		name, (int)holder);
}

int host_take_guest_name(struct guest_config *config, struct error *error)
{
	cleanup_free char *name = NULL;
	pid_t holder = 0;
	int fd = take(config->name, &holder);

	for (int number = 1; config->unnamed && fd == -EADDRINUSE && number < NUMBERS; number++) {
		if (text_replace_format(&name, error, "%s%d", config->name, number) < 0)
			return -ENOMEM;
		fd = take(name, &holder);
	}
	if (fd < 0)
		return refuse(config->name, fd, holder, error);
	if (name && text_replace(&config->name, name, strlen(name), error) < 0) {
		close(fd);
		return -ENOMEM;
	}
	return fd;
}

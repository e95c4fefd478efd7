// SPDX-License-Identifier: BSD-3-Clause
/* The host's identity. */
#include "host/host_identity.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

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

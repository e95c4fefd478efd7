// SPDX-License-Identifier: BSD-3-Clause
/* Options of sockets that the C library's headers of today lack. */
#ifndef AVP_BASE_SOCKET_OPTION_H
#define AVP_BASE_SOCKET_OPTION_H

#include <errno.h>
#include <sys/socket.h>

/* Whether descriptors may come with what is received: Linux 6.16 and later. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/*
 * Lets the peer send no descriptors from now on: closing one that it has let go of could take this
 * process as long as the peer likes. Returns 0, also on kernels that cannot; or a negative errno.
 */
static inline int socket_refuse_descriptors(int socket)
{
	const int off = 0;

	if (setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) < 0 &&
	    errno != ENOPROTOOPT)
		return -errno;
	return 0;
}

#endif

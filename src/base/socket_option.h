// SPDX-License-Identifier: BSD-3-Clause
/* Options of sockets that the C library's headers of today lack. */
#ifndef AVP_BASE_SOCKET_OPTION_H
#define AVP_BASE_SOCKET_OPTION_H

#include <sys/socket.h>

/* Whether descriptors may come with what is received: Linux 6.16 and later. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#endif

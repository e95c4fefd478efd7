// SPDX-License-Identifier: BSD-3-Clause
/* Bytes with at most one descriptor (SCM_RIGHTS) on a Unix socket. */
#ifndef AVP_BASE_SOCKET_FD_H
#define AVP_BASE_SOCKET_FD_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Sends @size bytes with the descriptor @fd, which stays the caller's, or with none if it is -1.
 * @flags are those of sendmsg. Returns the number of bytes or a negative errno.
 */
ssize_t socket_send_fd(int socket, const void *bytes, size_t size, int fd, int flags);

/*
 * Receives at most @size bytes; *fd is the descriptor that came with them, owned by the caller, or
 * -1. @flags are those of recvmsg. Returns the number of bytes, 0 when the peer hung up, or a
 * negative errno: -EPROTO when more than one descriptor came, or one for which this process has no
 * room; they are closed and the bytes are lost.
 */
ssize_t socket_receive_fd(int socket, void *bytes, size_t size, int *fd, int flags);

#endif

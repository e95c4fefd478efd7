// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a port of the console device leads to on the host: a socket, the clients of a listening
 * socket one after the other, a file, back to the guest, or nothing.
 */
#ifndef AVP_DEVICE_CONSOLE_STREAM_H
#define AVP_DEVICE_CONSOLE_STREAM_H

#include "base/error.h"
#include "base/event_loop.h"
#include "device/console/console.h"

struct stream_backend;

/* Bytes go to and come from the connected stream socket @fd. */
struct stream_backend *stream_backend_new_connected(struct event_loop *loop, int fd,
						    struct error *error);
/*
 * Bytes go to and come from the client of the listening stream socket @fd. Further clients wait
 * until the first one has hung up and the guest has read what it sent.
 */
struct stream_backend *stream_backend_new_listening(struct event_loop *loop, int fd,
						    struct error *error);
/* The guest's bytes are written to @fd: a file, a pipe, a character device. None come from it. */
struct stream_backend *stream_backend_new_output(struct event_loop *loop, int fd,
						 struct error *error);
/* The guest's bytes come back to it. What it does not read, beyond what a socket holds, is lost. */
struct stream_backend *stream_backend_new_echo(struct event_loop *loop, struct error *error);
/* The guest's bytes are dropped, and none come. */
struct stream_backend *stream_backend_new_null(struct error *error);

/*
 * All of them take over @fd, also on failure, and return NULL then, with *error set. Free the
 * device, or stop serving it, before a stream is freed. NULL is allowed.
 */
void stream_backend_free(struct stream_backend *backend);

struct console_stream *stream_backend_stream(struct stream_backend *backend);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost-user messages written by hand, correct or wrong: for tests that play a hostile peer.
 */
#ifndef AVP_TESTS_UNIT_VHOST_RAW_H
#define AVP_TESTS_UNIT_VHOST_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost/message.h"

#define RAW_FDS_MAX 64

struct raw_message {
	uint32_t id, flags, size; /* as written into the header */
	union vhost_payload payload;
	uint8_t excess[8]; /* of a payload that is too long */
	size_t length;	   /* bytes of payload that are actually sent */
	int fds[RAW_FDS_MAX];
	unsigned int fd_count;
};

/* A message with a fixed payload of @size bytes. */
struct raw_message raw_message(uint32_t id, const void *payload, size_t size);
struct raw_message raw_number(uint32_t id, uint64_t number);
struct raw_message raw_state(uint32_t id, uint32_t index, uint32_t number);
/* Adds a descriptor; the caller keeps it. */
void raw_add_fd(struct raw_message *message, int fd);

/* Sends it in one piece. Returns false when the peer has disconnected. */
bool raw_send(int socket, const struct raw_message *message);
/* Sends it byte by byte, the descriptors with the first. */
void raw_send_slowly(int socket, const struct raw_message *message);
/* Writes its bytes to a buffer; returns how many. */
size_t raw_bytes(const struct raw_message *message, uint8_t *bytes);

/*
 * Waits for the next message; the caller owns descriptors that come with it. False: the peer
 * disconnected.
 */
bool raw_receive(int socket, struct raw_message *message);
void raw_close_fds(struct raw_message *message);
/* Reads until the peer disconnects. False: it does not, within some seconds. */
bool raw_wait_end(int socket);

#endif

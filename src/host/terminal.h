// SPDX-License-Identifier: BSD-3-Clause
/*
 * Connects the terminal that a guest is run from with the device process of its console: bytes in
 * both directions, and the terminal's size. The device process inherits its ends; a restarted
 * process finds the size in the same file.
 */
#ifndef AVP_HOST_TERMINAL_H
#define AVP_HOST_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The device's ends, and one end of this process; -1: none. */
struct terminal {
	int stream_fd;	/* a connected stream socket */
	int size_fd;	/* a memory file that holds struct terminal_size */
	int resized_fd; /* a connected stream socket: a byte comes when it changed */
	int notify_fd;	/* this process's end of that socket */
};

struct terminal_size {
	uint16_t columns, rows;
};

#define TERMINAL_NONE ((struct terminal){-1, -1, -1, -1})

/*
 * Makes the ends and the socket of the other side, *peer_fd; the caller owns all. There is no size
 * if standard output (or else input) is not a terminal. Returns 0, or a negative errno with *error
 * set and nothing made.
 */
int terminal_open(struct terminal *terminal, int *peer_fd, struct error *error);

/* Notifies the device process that the terminal's size may have changed; never blocks. */
void terminal_resized(const struct terminal *terminal);

/* For the device process: the current size. Returns false when there is none. */
bool terminal_read_size(const struct terminal *terminal, struct terminal_size *size);

/*
 * For the device process: reads a notification. Returns false when none will come any more.
 */
bool terminal_take_resized(const struct terminal *terminal);

/* Closes the ends. */
void terminal_close(struct terminal *terminal);

#endif

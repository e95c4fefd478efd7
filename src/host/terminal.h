// SPDX-License-Identifier: BSD-3-Clause
/*
 * What stands between the terminal that a guest is run from and the device process of its console:
 * bytes both ways, and the terminal's size. The device process inherits its ends, and one that is
 * started again finds the size where it was.
 */
#ifndef AVP_HOST_TERMINAL_H
#define AVP_HOST_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The device's ends, and one of our own; -1: none. */
struct terminal {
	int stream_fd;	/* a connected stream socket */
	int size_fd;	/* a memory file that holds struct terminal_size */
	int resized_fd; /* a connected stream socket: a byte comes when it changed */
	int notify_fd;	/* ours: the other side of it */
};

struct terminal_size {
	uint16_t columns, rows;
};

#define TERMINAL_NONE ((struct terminal){-1, -1, -1, -1})

/*
 * Makes the ends and the socket of the other side, *peer_fd; all are the caller's. With standard
 * output (or else input) being no terminal there is no size. Returns 0, or a negative errno with
 * *error set and nothing made.
 */
int terminal_open(struct terminal *terminal, int *peer_fd, struct error *error);

/* The terminal may have another size: tells it to the device process, and never waits for it. */
void terminal_resized(const struct terminal *terminal);

/* For the device process: the size as it is. Returns false when there is none. */
bool terminal_read_size(const struct terminal *terminal, struct terminal_size *size);

/*
 * For the device process: takes news from resized_fd. Returns false when none will come any more.
 */
bool terminal_take_resized(const struct terminal *terminal);

/* Closes the ends. */
void terminal_close(struct terminal *terminal);

#endif

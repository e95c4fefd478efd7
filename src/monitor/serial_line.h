// SPDX-License-Identifier: BSD-3-Clause
/*
 * The line of a serial port: what is on its way between the port's registers, which the threads of
 * the vCPUs use, and its far end, which the event loop serves. What the guest writes is gathered
 * and passed on in large pieces, so a log of megabytes costs few system calls; when nobody takes it
 * for a while there is no more room, as on a slow line. When nobody has taken anything for a second
 * the line is stalled: there is room for all, and what is sent is lost and counted, until somebody
 * takes again. So a kernel that waits for room with interrupts off is not held for ever.
 *
 * What comes from the far end stays there until the receiver of the port has nothing more that the
 * guest could read: a driver that empties the receiver loses no more than that held. For a driver
 * that has not enabled the receiver's interrupt, as it starts or polls, that is one byte: it may
 * empty the receiver several times, or read until nothing more is there and drop what it read.
 *
 * A port embeds a line and keeps its registers under the line's lock. Functions marked "locked" are
 * called with it held.
 */
#ifndef AVP_MONITOR_SERIAL_LINE_H
#define AVP_MONITOR_SERIAL_LINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"

/* Bytes on their way out: enough for a kernel's early log while the event loop is busy. */
#define SERIAL_OUTPUT_SIZE 65536u
/* The longest FIFO of a receiver. */
#define SERIAL_INPUT_SIZE 32u
/* How long the far end may take nothing. */
#define SERIAL_STALL_MS 1000u

struct serial_line {
	struct event_loop *loop;
	pthread_mutex_t lock; /* of all below but the sources, and of the port's registers */
	uint8_t input[SERIAL_INPUT_SIZE]; /* the receiver */
	uint32_t input_size;		  /* how many bytes it holds: FIFOs can be switched off */
	bool awaited;			  /* the driver has enabled the receiver's interrupt */
	uint32_t input_start, input_count;
	uint8_t output[SERIAL_OUTPUT_SIZE];
	uint32_t output_start, output_count;
	uint64_t lost; /* bytes for which there was no room, since this was logged last */
	bool stalled;  /* the far end takes nothing: as if there were room */
	bool cut;      /* the receiver is off the line, as in loopback: what comes waits */
	/* Locked: bytes came in or went out. */
	void (*changed)(void *context);
	void *context;
	/* The event loop's side. */
	struct event_watch input_watch, output_watch;
	struct event_source work;  /* an eventfd: there is output, or room for input again */
	struct event_source stall; /* a timer: the far end has taken nothing for so long */
	int input_fd, output_fd;
	bool blocked;	   /* the timer runs: the far end took nothing the last time */
	uint32_t stall_ms; /* SERIAL_STALL_MS, but in tests; set before anything is sent */
};

/*
 * Prepares *line, which must not move, with the descriptors @input_fd and @output_fd as its far
 * end. They may be the same socket; both are owned from now on, also on failure, and set to
 * non-blocking; -1: nothing comes, what is sent is dropped. The receiver holds one byte. Returns 0
 * or a negative errno with *error set.
 */
int serial_line_open(struct serial_line *line, struct event_loop *loop, int input_fd, int output_fd,
		     void (*changed)(void *context), void *context, struct error *error);
/* Passes on what is left, within @limit_ms, and gives all back. No vCPU runs. */
void serial_line_close(struct serial_line *line, int limit_ms);

/*
 * Locked: whether another byte can be sent, or @count of them; sends one, or loses it. On a line
 * that is stalled any number can be sent, and is lost.
 */
bool serial_line_has_room(const struct serial_line *line);
bool serial_line_has_room_for(const struct serial_line *line, uint32_t count);
void serial_line_send(struct serial_line *line, uint8_t byte);

/* Locked: takes the first byte that has come in; 0 when there is none. */
uint8_t serial_line_take(struct serial_line *line);
/* Locked: the port hears itself. Returns whether the receiver had room; else the byte is lost. */
bool serial_line_loop_back(struct serial_line *line, uint8_t byte);
/* Locked: takes the receiver off the line, where what comes waits, or puts it back. */
void serial_line_cut(struct serial_line *line, bool cut);
/* Locked: forgets what the receiver holds, which is @size bytes at most from now on. */
void serial_line_empty(struct serial_line *line, uint32_t size);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The line of a serial port: the buffers between the port's registers, which the threads of the
 * vCPUs use, and its far end, which the event loop serves. Output of the guest is collected and
 * written in large pieces, so a log of megabytes costs few system calls. While nobody reads it, the
 * buffer fills up and reports no room, like a slow line. After a second without a reader the line
 * is stalled: it reports room, and output is lost and counted, until somebody reads again. So a
 * kernel that waits for room with interrupts off is not blocked forever.
 *
 * Input stays at the far end until the receiver of the port is empty: a driver that resets the
 * receiver loses no more than the receiver's content. While the driver has not enabled the
 * receiver's interrupt, because it starts or polls, the receiver holds one byte: such a driver may
 * reset the receiver several times, or read until it is empty and drop what it read.
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

/* The output buffer: enough for a kernel's early log while the event loop is busy. */
#define SERIAL_OUTPUT_SIZE 65536u
/* The longest FIFO of a receiver. */
#define SERIAL_INPUT_SIZE 32u
/* How long the far end may accept nothing before the line is stalled. */
#define SERIAL_STALL_MS 1000u

struct serial_line {
	struct event_loop *loop;
	pthread_mutex_t lock; /* of all below except the sources, and of the port's registers */
	uint8_t input[SERIAL_INPUT_SIZE]; /* the receiver */
	uint32_t input_size;		  /* its size, which depends on whether FIFOs are on */
	bool awaited;			  /* the driver has enabled the receiver's interrupt */
	uint32_t input_start, input_count;
	uint8_t output[SERIAL_OUTPUT_SIZE];
	uint32_t output_start, output_count;
	uint64_t lost; /* bytes lost since this was last logged */
	bool stalled;  /* the far end accepts nothing: report room */
	bool cut;      /* the receiver is disconnected, as in loopback: input waits */
	/* Called locked when bytes came in or went out. */
	void (*changed)(void *context);
	void *context;
	/* The event loop's side. */
	struct event_watch input_watch, output_watch;
	struct event_source work;  /* an eventfd: there is output, or again room for input */
	struct event_source stall; /* a timer: the far end has accepted nothing for stall_ms */
	int input_fd, output_fd;
	bool blocked;	   /* the timer runs: the far end accepted nothing the last time */
	uint32_t stall_ms; /* SERIAL_STALL_MS except in tests; set before anything is sent */
};

/*
 * Prepares *line, which must not move, with the descriptors @input_fd and @output_fd, which may be
 * the same socket, as its far end. Takes ownership of both, also on failure, and makes them
 * non-blocking. -1: there is no input, output is dropped. The receiver holds one byte. Returns 0 or
 * a negative errno with *error set.
 */
int serial_line_open(struct serial_line *line, struct event_loop *loop, int input_fd, int output_fd,
		     void (*changed)(void *context), void *context, struct error *error);
/* Sends the rest of the output, within @limit_ms, and frees. No vCPU may run. */
void serial_line_close(struct serial_line *line, int limit_ms);

/*
 * Locked: whether there is room for a byte, or for @count; and sends a byte, which is lost without
 * room. A stalled line always reports room, and loses the output.
 */
bool serial_line_has_room(const struct serial_line *line);
bool serial_line_has_room_for(const struct serial_line *line, uint32_t count);
void serial_line_send(struct serial_line *line, uint8_t byte);

/* Locked: removes and returns the first input byte; 0 when there is none. */
uint8_t serial_line_take(struct serial_line *line);
/* Locked: puts a byte in the receiver, for loopback. Returns false if it is full: byte lost. */
bool serial_line_loop_back(struct serial_line *line, uint8_t byte);
/* Locked: disconnects the receiver from the far end, whose input waits, or reconnects it. */
void serial_line_cut(struct serial_line *line, bool cut);
/* Locked: empties the receiver, and sets its size. */
void serial_line_empty(struct serial_line *line, uint32_t size);

#endif

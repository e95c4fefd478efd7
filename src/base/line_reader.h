// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lines from a descriptor of the event loop: what another process writes to its standard error,
 * or a protocol of one message a line. Memory is bounded: a line longer than the buffer is cut.
 */
#ifndef AVP_BASE_LINE_READER_H
#define AVP_BASE_LINE_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/event_loop.h"

struct line_reader {
	struct event_loop *loop;
	struct event_source source; /* fd -1 once it is closed */
	char *buffer;		    /* allocated */
	size_t size, length;
	bool cut; /* the start of the current line was delivered; drop the rest */
	/*
	 * A line without its end (\n or \r\n), followed by a zero byte that does not count in
	 * @length. @cut: it was longer than the buffer, and this is its start. It may be changed.
	 */
	void (*line)(void *context, char *line, size_t length, bool cut);
	/* No more lines will come; the descriptor is closed already. May be NULL. */
	void (*ended)(void *context);
	void *context;
};

/*
 * Starts to read lines of at most @size - 2 bytes from @fd, which becomes non-blocking and is owned
 * from now on, also on failure. The callbacks and context of *reader must be set; they may close
 * the reader.
 */
int line_reader_open(struct line_reader *reader, struct event_loop *loop, int fd, size_t size,
		     struct error *error);

/*
 * Reads what is there now, without waiting for the loop: the last lines of a process that has
 * ended.
 */
void line_reader_drain(struct line_reader *reader);

/* Stops reading and frees everything; does nothing when the reader is closed or zeroed. */
void line_reader_close(struct line_reader *reader);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Lines from a descriptor of the event loop.
 */
#include "base/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A writer that never pauses must not keep the loop from its other sources. */
#define READS_PER_EVENT 16

/* Delivers one line of @length bytes at @line; the byte after it is free for the zero. */
static void deliver_line(struct line_reader *reader, char *line, size_t length, bool cut)
{
	if (length && line[length - 1] == '\r')
		length--;
	line[length] = 0;
	reader->line(reader->context, line, length, cut);
}

/* Delivers the complete lines in the buffer. A callback may close the reader. */
static void deliver_lines(struct line_reader *reader)
{
	size_t start = 0;

	while (reader->buffer) {
		char *line = reader->buffer + start;
		char *end = memchr(line, '\n', reader->length - start);

		if (!end)
			break;
		start += end - line + 1;
		if (reader->cut)
			reader->cut = false;
		else
			deliver_line(reader, line, end - line, false);
	}
	if (!reader->buffer)
		return;
	reader->length -= start;
	memmove(reader->buffer, reader->buffer + start, reader->length);
	/* One byte stays free for the zero. */
	if (reader->length < reader->size - 1)
		return;
	start = reader->length;
	reader->length = 0;
	if (!reader->cut) {
		reader->cut = true;
		deliver_line(reader, reader->buffer, start, true);
	}
}

static void reader_end(struct line_reader *reader)
{
	void (*ended)(void *) = reader->ended;
	void *context = reader->context;

	/* A last line without a newline. */
	if (reader->length && !reader->cut) {
		size_t length = reader->length;

		reader->length = 0;
		deliver_line(reader, reader->buffer, length, false);
	}
	if (!reader->buffer)
		return;
	line_reader_close(reader);
	if (ended)
		ended(context);
}

/* Reads once. Returns false when there is nothing more to read for now, or at all. */
static bool read_some(struct line_reader *reader)
{
	ssize_t bytes = read(reader->source.fd, reader->buffer + reader->length,
			     reader->size - 1 - reader->length);

	if (bytes < 0 && errno == EINTR)
		return true;
	if (bytes < 0 && errno == EAGAIN)
		return false;
	if (bytes <= 0) {
		reader_end(reader);
		return false;
	}
	reader->length += bytes;
	deliver_lines(reader);
	return reader->buffer != NULL;
}

static void handle_readable(void *context, uint32_t events)
{
	struct line_reader *reader = context;

	for (int i = 0; i < READS_PER_EVENT && read_some(reader); i++)
		;
}

int line_reader_open(struct line_reader *reader, struct event_loop *loop, int fd, size_t size,
		     struct error *error)
{
	int flags = fcntl(fd, F_GETFL), result;

	reader->loop = loop;
	reader->source = (struct event_source){fd, handle_readable, reader};
	reader->buffer = malloc(size);
	reader->size = size;
	reader->length = 0;
	reader->cut = false;
	if (!reader->buffer)
		result = error_set(error, ENOMEM, "out of memory");
	else if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		result = error_set_errno(error, errno, "cannot read from descriptor %d", fd);
	else
		result = event_loop_add(loop, &reader->source, EPOLLIN, error);
	if (result < 0)
		line_reader_close(reader);
	return result;
}

void line_reader_drain(struct line_reader *reader)
{
	/*
	 * Bounded: a writer that still runs could go on for ever; one that has ended left at most
	 * what a pipe holds.
	 */
	for (int i = 0; i < 4096 && reader->buffer && read_some(reader); i++)
		;
}

void line_reader_close(struct line_reader *reader)
{
	if (!reader->buffer && !reader->loop)
		return;
	event_loop_remove(reader->loop, &reader->source);
	if (reader->source.fd >= 0)
		close(reader->source.fd);
	free(reader->buffer);
	reader->buffer = NULL;
	reader->source.fd = -1;
	reader->loop = NULL;
}

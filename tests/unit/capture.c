// SPDX-License-Identifier: BSD-3-Clause
/*
 * Captures what is written to standard output or standard error, write by write: a packet socket
 * keeps each write(2) separate.
 */
#include "unit/capture.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void capture_start(struct capture *capture, int fd)
{
	int sockets[2];

	fflush(NULL);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets), 0);
	capture->fd = fd;
	capture->saved = dup(fd);
	assert_true(capture->saved >= 0);
	assert_int_equal(dup2(sockets[1], fd), fd);
	close(sockets[1]);
	capture->reader = sockets[0];
}

void capture_stop(struct capture *capture)
{
	fflush(NULL);
	dup2(capture->saved, capture->fd);
	close(capture->saved);
	close(capture->reader);
}

/* The length of "2026-01-02T03:04:05.678Z " at the start of @text, or 0. */
static size_t time_length(const char *text)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ ";

	for (size_t i = 0; form[i]; i++)
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return 0;
	return sizeof(form) - 1;
}

bool capture_take_times(char *text)
{
	char *to = text;
	bool all = *text;

	for (const char *from = text; *from;) {
		size_t taken = time_length(from), length = strcspn(from + taken, "\n");

		all &= taken > 0;
		from += taken;
		length += from[length] == '\n';
		memmove(to, from, length);
		to += length;
		from += length;
	}
	*to = 0;
	return all;
}

const char *capture_next(struct capture *capture)
{
	ssize_t length;

	fflush(NULL);
	length = read(capture->reader, capture->text, sizeof(capture->text) - 1);
	capture->text[length > 0 ? length : 0] = 0;
	capture->timed = capture_take_times(capture->text);
	return capture->text;
}

const char *capture_all(struct capture *capture)
{
	size_t total = 0;
	ssize_t length;

	fflush(NULL);
	while ((length = read(capture->reader, capture->text + total,
			      sizeof(capture->text) - 1 - total)) > 0)
		total += length;
	capture->text[total] = 0;
	capture->timed = capture_take_times(capture->text);
	return capture->text;
}

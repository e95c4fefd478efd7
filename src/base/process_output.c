// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads a child's output within a time limit and a size.
 */
#include "base/process_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

static int left_ms(int64_t deadline)
{
	int64_t left = deadline - clock_now_ms();

	return left > 0 ? (int)left : 0;
}

/* Reads @fd to its end. Returns 0 or a negative errno. */
static int read_to_end(int fd, char *text, size_t size, int64_t deadline)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	size_t length = 0;

	for (;;) {
		char beyond;
		bool full = length == size - 1;
		int ready = poll(&readable, 1, left_ms(deadline));
		ssize_t bytes;

		if (ready == 0)
			return -ETIMEDOUT;
		bytes = ready < 0 ? -1 :
				    read(fd, full ? &beyond : text + length,
					 full ? 1 : size - 1 - length);
		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes <= 0)
			return bytes < 0 ? -errno : 0;
		if (full)
			return -EOVERFLOW;
		length += (size_t)bytes;
		text[length] = 0;
	}
}

int process_output_read(char *text, size_t size, struct process_spawn *spawn, bool with_errors,
			int timeout_ms, int *status, struct error *error)
{
	int64_t deadline = clock_now_ms() + timeout_ms;
	cleanup_fd int reader = -1, writer = -1;
	struct process process;
	int ends[2], result;

	text[0] = 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	reader = ends[0];
	writer = ends[1];
	spawn->stdout_fd = writer;
	if (with_errors)
		spawn->stderr_fd = writer;
	result = process_spawn(&process, spawn, error);
	close_fd(&writer);
	if (result < 0)
		return result;
	result = read_to_end(reader, text, size, deadline);
	if (result == 0 && process_wait(&process, left_ms(deadline), status))
		return 0;
	process_end(&process, 0);
	if (result == -EOVERFLOW)
		return error_set(error, EOVERFLOW, "%s prints more than %zu bytes", spawn->program,
				 size - 1);
	if (result == 0 || result == -ETIMEDOUT)
		return error_set(error, ETIMEDOUT, "%s has not answered after %d s", spawn->program,
				 timeout_ms / 1000);
	return error_set_errno(error, -result, "cannot read what %s prints", spawn->program);
}

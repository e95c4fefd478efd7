// SPDX-License-Identifier: BSD-3-Clause
/*
 * The line of a serial port. The lock is not held over system calls but those that never wait.
 */
#include "monitor/serial_line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

static void wake_loop(struct serial_line *line)
{
	eventfd_write(line->work.fd, 1);
}

static void put_input(struct serial_line *line, uint8_t byte)
{
	if (line->input_count < SERIAL_INPUT_SIZE)
		line->input[(line->input_start + line->input_count++) % SERIAL_INPUT_SIZE] = byte;
}

uint8_t serial_line_take(struct serial_line *line)
{
	uint8_t byte;

	if (line->input_count == 0)
		return 0;
	byte = line->input[line->input_start];
	line->input_start = (line->input_start + 1) % SERIAL_INPUT_SIZE;
	/* The loop stops reading while there is something, and is told when there is nothing. */
	if (--line->input_count == 0)
		wake_loop(line);
	return byte;
}

void serial_line_loop_back(struct serial_line *line, uint8_t byte)
{
	put_input(line, byte);
}

void serial_line_reset(struct serial_line *line)
{
	line->input_count = 0;
	line->cut = false;
	wake_loop(line);
}

bool serial_line_has_room_for(const struct serial_line *line, uint32_t count)
{
	return count <= SERIAL_OUTPUT_SIZE - line->output_count;
}

bool serial_line_has_room(const struct serial_line *line)
{
	return serial_line_has_room_for(line, 1);
}

void serial_line_send(struct serial_line *line, uint8_t byte)
{
	if (line->output_fd < 0)
		return;
	if (!serial_line_has_room(line)) {
		line->lost++;
		return;
	}
	line->output[(line->output_start + line->output_count) % SERIAL_OUTPUT_SIZE] = byte;
	if (line->output_count++ == 0)
		wake_loop(line);
}

/* The event loop's side */

static void watch(struct serial_line *line, struct event_source *source, bool *watched, bool wanted,
		  uint32_t events)
{
	if (source->fd < 0 || *watched == wanted)
		return;
	*watched = wanted && event_loop_add(line->loop, source, events, NULL) == 0;
	if (!wanted)
		event_loop_remove(line->loop, source);
}

enum passed {
	PASSED_ALL,
	PASSED_SOME,	/* more came meanwhile: others have their turn first */
	PASSED_BLOCKED, /* the far end takes no more */
};

/*
 * Writes out what there is, but no more than the line holds: guests may add faster than one thread
 * takes out. The lock is not held over the system call, and only this thread takes bytes out.
 */
static enum passed pass_on(struct serial_line *line)
{
	uint32_t limit = SERIAL_OUTPUT_SIZE;

	for (;;) {
		uint32_t start, length;
		ssize_t written;

		pthread_mutex_lock(&line->lock);
		start = line->output_start;
		length = line->output_count;
		pthread_mutex_unlock(&line->lock);
		if (length == 0)
			return PASSED_ALL;
		if (limit == 0)
			return PASSED_SOME;
		if (length > SERIAL_OUTPUT_SIZE - start)
			length = SERIAL_OUTPUT_SIZE - start;
		if (length > limit)
			length = limit;
		written = write(line->output_fd, line->output + start, length);
		if (written < 0 && errno == EAGAIN)
			return PASSED_BLOCKED;
		if (written < 0 && errno == EINTR)
			continue;
		/* Nobody is there any more: what is sent is lost, as on a line. */
		if (written <= 0)
			written = length;
		limit -= written;
		pthread_mutex_lock(&line->lock);
		line->output_start = (start + written) % SERIAL_OUTPUT_SIZE;
		line->output_count -= written;
		line->changed(line->context);
		pthread_mutex_unlock(&line->lock);
	}
}

static void handle_output(void *context, uint32_t events)
{
	struct serial_line *line = context;
	enum passed passed = pass_on(line);

	if (passed == PASSED_SOME)
		wake_loop(line);
	watch(line, &line->output_source, &line->output_watched, passed == PASSED_BLOCKED,
	      EPOLLOUT);
}

static void handle_input(void *context, uint32_t events)
{
	struct serial_line *line = context;
	uint8_t bytes[SERIAL_INPUT_SIZE];
	ssize_t length = read(line->input_fd, bytes, sizeof(bytes));
	bool room;

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length <= 0) {
		watch(line, &line->input_source, &line->input_watched, false, 0);
		line->input_source.fd = -1;
		return;
	}
	pthread_mutex_lock(&line->lock);
	for (ssize_t i = 0; i < length && !line->cut; i++)
		put_input(line, bytes[i]);
	room = line->input_count == 0;
	line->changed(line->context);
	pthread_mutex_unlock(&line->lock);
	watch(line, &line->input_source, &line->input_watched, room, EPOLLIN);
}

static void handle_work(void *context, uint32_t events)
{
	struct serial_line *line = context;
	eventfd_t count;
	bool room;

	eventfd_read(line->work.fd, &count);
	handle_output(line, 0);
	pthread_mutex_lock(&line->lock);
	room = line->input_count == 0;
	pthread_mutex_unlock(&line->lock);
	watch(line, &line->input_source, &line->input_watched, room, EPOLLIN);
}

int serial_line_open(struct serial_line *line, struct event_loop *loop, int input_fd, int output_fd,
		     void (*changed)(void *context), void *context, struct error *error)
{
	int result;

	memset(line, 0, sizeof(*line));
	line->loop = loop;
	line->changed = changed;
	line->context = context;
	line->input_fd = input_fd;
	line->output_fd = output_fd;
	pthread_mutex_init(&line->lock, NULL);
	/* Of two sources on one descriptor epoll would take only one. */
	if (input_fd >= 0 && input_fd == output_fd)
		line->output_fd = fcntl(input_fd, F_DUPFD_CLOEXEC, 0);
	if (input_fd >= 0)
		fcntl(input_fd, F_SETFL, fcntl(input_fd, F_GETFL) | O_NONBLOCK);
	if (line->output_fd >= 0)
		fcntl(line->output_fd, F_SETFL, fcntl(line->output_fd, F_GETFL) | O_NONBLOCK);
	line->input_source = (struct event_source){input_fd, handle_input, line};
	line->output_source = (struct event_source){line->output_fd, handle_output, line};
	line->work =
		(struct event_source){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), handle_work, line};
	if (line->work.fd < 0 || (input_fd >= 0 && line->output_fd < 0 && output_fd >= 0)) {
		result = error_set_errno(error, errno, "serial port");
	} else {
		result = event_loop_add(loop, &line->work, EPOLLIN, error);
	}
	if (result < 0) {
		serial_line_close(line, 0);
		return result;
	}
	watch(line, &line->input_source, &line->input_watched, true, EPOLLIN);
	return 0;
}

void serial_line_close(struct serial_line *line, int limit_ms)
{
	struct timespec from, now;
	int left = limit_ms;

	clock_gettime(CLOCK_MONOTONIC, &from);
	while (line->output_fd >= 0 && pass_on(line) != PASSED_ALL && left > 0) {
		struct pollfd writable = {.fd = line->output_fd, .events = POLLOUT};

		poll(&writable, 1, left);
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = limit_ms - (int)((now.tv_sec - from.tv_sec) * 1000 +
					(now.tv_nsec - from.tv_nsec) / 1000000);
	}
	watch(line, &line->input_source, &line->input_watched, false, 0);
	watch(line, &line->output_source, &line->output_watched, false, 0);
	event_loop_remove(line->loop, &line->work);
	close_fd(&line->work.fd);
	close_fd(&line->input_fd);
	close_fd(&line->output_fd);
	pthread_mutex_destroy(&line->lock);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The line of a serial port. The lock is held only over system calls that never block.
 */
#include "monitor/serial_line.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

/*
 * Bytes in one write: a socket accepts no more before the piece is read in full, so with larger
 * pieces a slow far end would look stalled.
 */
#define PIECE_MAX 8192u

static void wake_loop(struct serial_line *line)
{
	eventfd_write(line->work.fd, 1);
}

static bool put_input(struct serial_line *line, uint8_t byte)
{
	if (line->input_count >= line->input_size)
		return false;
	line->input[(line->input_start + line->input_count++) % SERIAL_INPUT_SIZE] = byte;
	return true;
}

/* Only when the receiver is empty: a driver reads all, and the loop refills it at once. */
static bool wants_input(const struct serial_line *line)
{
	return line->input_count == 0 && !line->cut;
}

uint8_t serial_line_take(struct serial_line *line)
{
	uint8_t byte;

	if (line->input_count == 0)
		return 0;
	byte = line->input[line->input_start];
	line->input_start = (line->input_start + 1) % SERIAL_INPUT_SIZE;
	line->input_count--;
	if (wants_input(line))
		wake_loop(line);
	return byte;
}

bool serial_line_loop_back(struct serial_line *line, uint8_t byte)
{
	return put_input(line, byte);
}

void serial_line_cut(struct serial_line *line, bool cut)
{
	line->cut = cut;
	if (wants_input(line))
		wake_loop(line);
}

void serial_line_empty(struct serial_line *line, uint32_t size)
{
	line->input_count = 0;
	line->input_size = size;
	if (wants_input(line))
		wake_loop(line);
}

bool serial_line_has_room_for(const struct serial_line *line, uint32_t count)
{
	return line->stalled || count <= SERIAL_OUTPUT_SIZE - line->output_count;
}

bool serial_line_has_room(const struct serial_line *line)
{
	return serial_line_has_room_for(line, 1);
}

void serial_line_send(struct serial_line *line, uint8_t byte)
{
	if (line->output_fd < 0)
		return;
	if (line->output_count == SERIAL_OUTPUT_SIZE) {
		line->lost++;
		return;
	}
	line->output[(line->output_start + line->output_count) % SERIAL_OUTPUT_SIZE] = byte;
	if (line->output_count++ == 0)
		wake_loop(line);
}

/* The event loop's side */

static void watch(struct serial_line *line, struct event_watch *watch, uint32_t events)
{
	if (watch->source.fd >= 0)
		event_watch_set(line->loop, watch, events);
}

static void log_lost(uint64_t count)
{
	if (count)
		log_warning("serial port: %" PRIu64 " bytes were lost while nobody read", count);
}

/* Removes bytes that the far end has accepted. */
static void take_out(struct serial_line *line, uint32_t count)
{
	uint64_t lost = 0;

	pthread_mutex_lock(&line->lock);
	line->output_start = (line->output_start + count) % SERIAL_OUTPUT_SIZE;
	line->output_count -= count;
	if (line->stalled) {
		lost = line->lost;
		line->lost = 0;
		line->stalled = false;
	}
	line->changed(line->context);
	pthread_mutex_unlock(&line->lock);
	log_lost(lost);
}

enum passed {
	PASSED_ALL,
	PASSED_SOME,	/* more came meanwhile: other sources have their turn first */
	PASSED_BLOCKED, /* the far end would block */
};

/*
 * Writes the buffered output, but no more than the line holds, as guests may add faster than one
 * thread writes. *taken is the number of bytes. The lock is not held over the system call; only
 * this thread removes bytes.
 */
static enum passed write_output(struct serial_line *line, uint32_t *taken)
{
	*taken = 0;
	for (;;) {
		uint32_t start, length;
		ssize_t written;

		pthread_mutex_lock(&line->lock);
		start = line->output_start;
		length = line->output_count;
		pthread_mutex_unlock(&line->lock);
		if (length == 0)
			return PASSED_ALL;
		if (*taken == SERIAL_OUTPUT_SIZE)
			return PASSED_SOME;
		if (length > SERIAL_OUTPUT_SIZE - start)
			length = SERIAL_OUTPUT_SIZE - start;
		if (length > SERIAL_OUTPUT_SIZE - *taken)
			length = SERIAL_OUTPUT_SIZE - *taken;
		if (length > PIECE_MAX)
			length = PIECE_MAX;
		written = write(line->output_fd, line->output + start, length);
		if (written < 0 && errno == EAGAIN)
			return PASSED_BLOCKED;
		if (written < 0 && errno == EINTR)
			continue;
		/* The far end is gone: output is lost, as on a real line. */
		if (written <= 0)
			written = length;
		*taken += (uint32_t)written;
		take_out(line, (uint32_t)written);
	}
}

/*
 * Writes output, and arranges that this continues. Returns whether the far end accepts nothing. The
 * timer runs from the last time that it accepted something.
 */
static bool serve(struct serial_line *line)
{
	struct timespec limit = {line->stall_ms / 1000, line->stall_ms % 1000 * 1000000L};
	const struct itimerspec run = {.it_value = limit, .it_interval = limit}, stop = {0};
	uint32_t taken = 0;
	enum passed passed = write_output(line, &taken);
	bool blocked = passed == PASSED_BLOCKED;

	if (passed == PASSED_SOME)
		wake_loop(line);
	if (blocked ? taken > 0 || !line->blocked : line->blocked)
		timerfd_settime(line->stall.fd, 0, blocked ? &run : &stop, NULL);
	line->blocked = blocked;
	watch(line, &line->output_watch, blocked ? EPOLLOUT : 0);
	return blocked && taken == 0;
}

static void handle_output(void *context, uint32_t events)
{
	serve(context);
}

static void handle_stall(void *context, uint32_t events)
{
	struct serial_line *line = context;
	uint64_t count;

	/*
	 * Try once more: a socket reports that it is writable only when most of its buffer was
	 * read.
	 */
	if (read(line->stall.fd, &count, sizeof(count)) < 0 || !serve(line))
		return;
	pthread_mutex_lock(&line->lock);
	line->stalled = true;
	line->changed(line->context);
	pthread_mutex_unlock(&line->lock);
}

static void handle_input(void *context, uint32_t events)
{
	struct serial_line *line = context;
	uint8_t bytes[SERIAL_INPUT_SIZE];
	bool wants, ended = false;
	ssize_t length;

	/* Read under the lock: the guest may switch to loopback at any time. */
	pthread_mutex_lock(&line->lock);
	if (wants_input(line)) {
		length = read(line->input_fd, bytes, line->awaited ? line->input_size : 1);
		ended = length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR);
		for (ssize_t i = 0; i < length; i++)
			put_input(line, bytes[i]);
		line->changed(line->context);
	}
	wants = wants_input(line) && !ended;
	pthread_mutex_unlock(&line->lock);
	watch(line, &line->input_watch, wants ? EPOLLIN : 0);
	if (ended)
		line->input_watch.source.fd = -1;
}

static void handle_work(void *context, uint32_t events)
{
	struct serial_line *line = context;
	eventfd_t count;
	bool wants;

	eventfd_read(line->work.fd, &count);
	serve(line);
	pthread_mutex_lock(&line->lock);
	wants = wants_input(line);
	pthread_mutex_unlock(&line->lock);
	watch(line, &line->input_watch, wants ? EPOLLIN : 0);
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
	line->input_size = 1;
	line->stall_ms = SERIAL_STALL_MS;
	pthread_mutex_init(&line->lock, NULL);
	/* epoll accepts a descriptor only once. */
	if (input_fd >= 0 && input_fd == output_fd)
		line->output_fd = fcntl(input_fd, F_DUPFD_CLOEXEC, 0);
	if (input_fd >= 0)
		fcntl(input_fd, F_SETFL, fcntl(input_fd, F_GETFL) | O_NONBLOCK);
	if (line->output_fd >= 0)
		fcntl(line->output_fd, F_SETFL, fcntl(line->output_fd, F_GETFL) | O_NONBLOCK);
	line->input_watch.source = (struct event_source){input_fd, handle_input, line};
	line->output_watch.source = (struct event_source){line->output_fd, handle_output, line};
	line->work =
		(struct event_source){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), handle_work, line};
	line->stall = (struct event_source){
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), handle_stall, line};
	if (line->work.fd < 0 || line->stall.fd < 0 ||
	    (input_fd >= 0 && line->output_fd < 0 && output_fd >= 0)) {
		result = error_set_errno(error, errno, "serial port");
	} else {
		result = event_loop_add(loop, &line->work, EPOLLIN, error);
		if (result == 0)
			result = event_loop_add(loop, &line->stall, EPOLLIN, error);
	}
	if (result < 0) {
		serial_line_close(line, 0);
		return result;
	}
	watch(line, &line->input_watch, EPOLLIN);
	return 0;
}

void serial_line_close(struct serial_line *line, int limit_ms)
{
	const int64_t end = clock_now_ms() + limit_ms;
	int left = limit_ms;
	uint32_t taken;

	while (line->output_fd >= 0 && write_output(line, &taken) != PASSED_ALL && left > 0) {
		struct pollfd writable = {.fd = line->output_fd, .events = POLLOUT};

		poll(&writable, 1, left);
		left = (int)(end - clock_now_ms());
	}
	watch(line, &line->input_watch, 0);
	watch(line, &line->output_watch, 0);
	log_lost(line->stalled ? line->lost : 0);
	event_loop_remove(line->loop, &line->work);
	event_loop_remove(line->loop, &line->stall);
	close_fd(&line->work.fd);
	close_fd(&line->stall.fd);
	close_fd(&line->input_fd);
	close_fd(&line->output_fd);
	pthread_mutex_destroy(&line->lock);
}

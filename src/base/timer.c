// SPDX-License-Identifier: BSD-3-Clause
/*
 * Timers on timerfd.
 */
#include "base/timer.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SECOND_NS UINT64_C(1000000000)

static void handle_timer(void *context, uint32_t events)
{
	struct timer *timer = context;
	uint64_t expirations;

	/* Setting a timerfd again discards an expiry that was not read. */
	if (read(timer->source.fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		timer->expired(timer->context);
}

int timer_open(struct timer *timer, struct event_loop *loop, clockid_t clock,
	       void (*expired)(void *context), void *context, struct error *error)
{
	int fd = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK), result;

	*timer = (struct timer){loop, {fd, handle_timer, timer}, expired, context};
	if (fd < 0)
		return error_set_errno(error, errno, "cannot make a timer");
	result = event_loop_add(loop, &timer->source, EPOLLIN, error);
	if (result < 0)
		close_fd(&timer->source.fd);
	return result;
}

void timer_close(struct timer *timer)
{
	if (timer->source.fd < 0)
		return;
	event_loop_remove(timer->loop, &timer->source);
	close_fd(&timer->source.fd);
}

static void set(struct timer *timer, int flags, struct timespec at)
{
	struct itimerspec time = {.it_value = at};

	if (timer->source.fd >= 0)
		timerfd_settime(timer->source.fd, flags, &time, NULL);
}

void timer_set(struct timer *timer, uint64_t ns)
{
	/* Zero would cancel it. */
	if (ns == 0)
		ns = 1;
	set(timer, 0,
	    (struct timespec){.tv_sec = (time_t)(ns / SECOND_NS),
			      .tv_nsec = (long)(ns % SECOND_NS)});
}

void timer_set_at(struct timer *timer, uint64_t second)
{
	set(timer, TFD_TIMER_ABSTIME, (struct timespec){.tv_sec = (time_t)second, .tv_nsec = 1});
}

void timer_cancel(struct timer *timer)
{
	set(timer, 0, (struct timespec){0});
}

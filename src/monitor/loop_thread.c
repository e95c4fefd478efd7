// SPDX-License-Identifier: BSD-3-Clause
/*
 * Threads of the monitor, and event loops in threads.
 */
#include "monitor/loop_thread.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/resource_limit.h"

int monitor_thread_create(pthread_t *thread, void *(*run)(void *argument), void *argument)
{
	static const int faults[] = {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
	pthread_attr_t attributes;
	sigset_t all, before;
	int code;

	/*
	 * Signals are for the main thread, except those of faults: while blocked they would kill
	 * the process, and memory shared with a device process may disappear at any time
	 * (vhost/guard.h).
	 */
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	/* The default would be the value of RLIMIT_STACK at the start. */
	pthread_attr_setstacksize(&attributes, RESOURCE_LIMIT_STACK);
	code = pthread_create(thread, &attributes, run, argument);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code;
}

void monitor_thread_set_name(const char *format, ...)
{
	char name[16];
	va_list values;

	va_start(values, format);
	vsnprintf(name, sizeof(name), format, values);
	va_end(values);
	/* For another thread it would have to open a file. */
	pthread_setname_np(pthread_self(), name);
}

static void handle_stop(void *context, uint32_t events)
{
	struct loop_thread *thread = context;

	event_loop_stop(&thread->loop, 0);
}

int loop_thread_open(struct loop_thread *thread, struct error *error)
{
	int result;

	*thread = (struct loop_thread){.stop = {-1, handle_stop, thread}};
	result = event_loop_init(&thread->loop, 0, error);
	if (result < 0)
		return result;
	thread->stop.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->stop.fd < 0)
		result = error_set_errno(error, errno, "cannot make an eventfd");
	else
		result = event_loop_add(&thread->loop, &thread->stop, EPOLLIN, error);
	if (result < 0)
		loop_thread_close(thread);
	return result;
}

static void *run_loop(void *argument)
{
	struct loop_thread *thread = argument;

	monitor_thread_set_name("%s", thread->name);
	event_loop_run(&thread->loop);
	return NULL;
}

int loop_thread_start(struct loop_thread *thread, const char *name, struct error *error)
{
	int code;

	if (thread->runs)
		return 0;
	thread->name = name;
	code = monitor_thread_create(&thread->thread, run_loop, thread);
	thread->runs = code == 0;
	return code ? error_set_errno(error, code, "cannot start a thread for %s", name) : 0;
}

void loop_thread_stop(struct loop_thread *thread)
{
	if (!thread->runs)
		return;
	eventfd_write(thread->stop.fd, 1);
	pthread_join(thread->thread, NULL);
	thread->runs = false;
}

void loop_thread_close(struct loop_thread *thread)
{
	close_fd(&thread->stop.fd);
	event_loop_close(&thread->loop);
}

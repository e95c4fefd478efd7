// SPDX-License-Identifier: BSD-3-Clause
/*
 * An event loop in a thread of its own, for what may have to wait and must not keep others waiting.
 */
#ifndef AVP_MONITOR_LOOP_THREAD_H
#define AVP_MONITOR_LOOP_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/event_loop.h"

struct loop_thread {
	struct event_loop loop;
	struct event_source stop; /* an eventfd: the thread is to end */
	const char *name;
	pthread_t thread;
	bool runs;
};

/* Makes the loop; its sources can be added. *thread must not move. */
int loop_thread_open(struct loop_thread *thread, struct error *error);

/*
 * Starts the thread, unless it runs, which has all signals blocked but those of faults. From now on
 * *loop is that thread's. @name outlives it.
 */
int loop_thread_start(struct loop_thread *thread, const char *name, struct error *error);

/* Ends the thread after the event at hand. The sources can be removed. One not started is fine. */
void loop_thread_stop(struct loop_thread *thread);

/* Closes the loop. The thread has been stopped. */
void loop_thread_close(struct loop_thread *thread);

/*
 * Starts a thread that runs @run(@argument), with signals as above, in *thread: what vCPUs and
 * loops have in common. Returns 0 or a positive errno.
 */
int monitor_thread_create(pthread_t *thread, void *(*run)(void *argument), void *argument);

/* Names the calling thread; the name is cut after 15 characters. */
void monitor_thread_set_name(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

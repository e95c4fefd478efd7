// SPDX-License-Identifier: BSD-3-Clause
/*
 * An event loop in its own thread, for handlers that may block and must not delay others.
 */
#ifndef AVP_MONITOR_LOOP_THREAD_H
#define AVP_MONITOR_LOOP_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/event_loop.h"

struct loop_thread {
	struct event_loop loop;
	struct event_source stop; /* an eventfd: stops the thread */
	const char *name;
	pthread_t thread;
	bool runs;
};

/* Makes the loop; then sources can be added. *thread must not move. */
int loop_thread_open(struct loop_thread *thread, struct error *error);

/*
 * Starts the thread, unless it runs, with all signals blocked except those of faults. From now on
 * only that thread uses *loop. @name must outlive it.
 */
int loop_thread_start(struct loop_thread *thread, const char *name, struct error *error);

/* Stops the thread after the current event; then sources can be removed. Need not be started. */
void loop_thread_stop(struct loop_thread *thread);

/* Closes the loop. The thread must have been stopped. */
void loop_thread_close(struct loop_thread *thread);

/*
 * Starts a thread that runs @run(@argument), with signals as above; for vCPUs and loops. Returns 0
 * or a positive errno.
 */
int monitor_thread_create(pthread_t *thread, void *(*run)(void *argument), void *argument);

/* Names the calling thread; the name is truncated to 15 characters. */
void monitor_thread_set_name(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The event loop of a process: file descriptors through epoll, and pollers that look for work
 * without a system call. Before it sleeps, the loop polls for a short time, the poll window, that
 * adapts: it grows while work comes soon after the loop went to sleep and shrinks to nothing when
 * it does not, so that a busy device answers without a wake-up and an idle one costs nothing.
 *
 * The rule, applied after each sleep, where "soon" is within twice the poll limit since the last
 * work (the wake-up itself takes some of that time):
 *   - work came soon: the window doubles, from EVENT_LOOP_POLL_START_NS up to the limit;
 *   - work came later: polling was in vain, the window halves, and below the start value it is 0;
 *   - work came soon, but EVENT_LOOP_POLL_VAIN times in a row just after a window of the longest
 *     length: polling misses it, so there is none for the next EVENT_LOOP_POLL_PAUSE sleeps.
 * Work met while polling leaves the window as it is. A loop without events sleeps without wake-ups.
 *
 * Everything here belongs to the one thread that runs the loop.
 */
#ifndef AVP_BASE_EVENT_LOOP_H
#define AVP_BASE_EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A file descriptor being watched. Owned by the caller; must live until it is removed. */
struct event_source {
	int fd;
	void (*handle)(void *context, uint32_t events); /* EPOLL* bits */
	void *context;
};

/*
 * A source whose watched events change, at times to none. Owned by the caller, who fills in the
 * source and zeroes the rest; it must live until its events are set to none.
 */
struct event_watch {
	struct event_source source;
	uint32_t wanted, watched; /* EPOLL* bits: as it was set, and as the kernel knows it */
	struct event_watch *next_failed;
};

/* Something that can be looked at without a system call, such as a ring in shared memory. */
struct event_poller {
	/*
	 * Does what work there is, bounded. Returns true when there was some. Called at least once
	 * a turn, and again and again within the poll window. May be NULL.
	 */
	bool (*poll)(void *context);
	/*
	 * The loop is about to sleep: ask for wake-ups. May lower *timeout_ms (-1: for ever); the
	 * turn ends when that time is over, and the next one calls poll and prepare again.
	 * Returns true when work came in the meantime, so that the loop polls again. May be NULL.
	 */
	bool (*prepare)(void *context, int *timeout_ms);
	void *context;
	struct event_poller *next;
};

struct epoll_event;

struct event_loop {
	int epoll_fd;
	bool stopped;
	int exit_status;
	uint64_t poll_limit_ns;	 /* longest time to poll before sleeping; 0: poll once only */
	uint64_t poll_window_ns; /* the adapted time */
	uint64_t idle_since_ns;	 /* the end of the last work; 0: not yet known */
	unsigned int poll_vain;	 /* windows at the limit in a row that found no work */
	unsigned int poll_pause; /* sleeps to come before the window may grow again */
	unsigned int polls_since_epoll; /* polling done since epoll was last asked */
	uint64_t sleeps; /* how often the loop went to sleep: for tests and statistics */
	struct event_poller *pollers;
	struct event_poller *next_poller; /* where the walk over the pollers stands */
	struct event_watch *failed;	  /* watches that the kernel had no room for */
	struct epoll_event *batch;	  /* the events being handled: a removed source gets none */
	int batch_count;
};

/* The poll limit that device processes use. */
#define EVENT_LOOP_POLL_LIMIT_NS 50000
/* The numbers in the rule above. */
#define EVENT_LOOP_POLL_START_NS 10000
#define EVENT_LOOP_POLL_VAIN	 4
#define EVENT_LOOP_POLL_PAUSE	 64
/* The time between two tries of a watch that failed. */
#define EVENT_LOOP_RETRY_MS 100

/* Makes an empty loop. Returns 0 or a negative errno with *error set. */
int event_loop_init(struct event_loop *loop, uint64_t poll_limit_ns, struct error *error);
/* Closes what the loop owns; the sources and pollers are the caller's and are only forgotten. */
void event_loop_close(struct event_loop *loop);

/*
 * Watches source->fd for @events (EPOLLIN, …; level-triggered unless EPOLLET is there). The
 * source is not owned. Fails with -EPERM for what is always ready, such as a regular file.
 */
int event_loop_add(struct event_loop *loop, struct event_source *source, uint32_t events,
		   struct error *error);
/* Changes what a watched source is watched for. Returns 0 or a negative errno. */
int event_loop_modify(struct event_loop *loop, struct event_source *source, uint32_t events);
/*
 * Stops watching; call before closing the descriptor. Safe inside any handler: the source gets no
 * further event, not even one that had arrived. One that is not watched is left alone.
 */
void event_loop_remove(struct event_loop *loop, struct event_source *source);

/*
 * Watches the source for @events, or, with 0, not at all; EPOLLHUP alone watches for hang-up only.
 * Costs nothing when nothing changes. A watch that the kernel has no room for is logged and tried
 * again every EVENT_LOOP_RETRY_MS until it works. What is always ready, such as a regular file, is
 * never watched. Safe inside any handler, as event_loop_remove.
 */
void event_watch_set(struct event_loop *loop, struct event_watch *watch, uint32_t events);

/* Adds a poller after those that are there. It is not owned and must live until removed. */
void event_loop_add_poller(struct event_loop *loop, struct event_poller *poller);
/* Safe inside any handler and poller; one that was not added is left alone. */
void event_loop_remove_poller(struct event_loop *loop, struct event_poller *poller);

/* Runs until event_loop_stop. Returns the status given there, or a negative errno. */
int event_loop_run(struct event_loop *loop);
/*
 * One turn: handles what is ready, sleeping at most @timeout_ms (-1: until something is). Not from
 * inside a handler. Returns 1 when something was handled, 0 when nothing was (the time is over, or
 * a signal came), or a negative errno.
 */
int event_loop_turn(struct event_loop *loop, int timeout_ms);
/*
 * Ends the run that is going on, or else the next one, after the events at hand. Until then a turn
 * does not sleep.
 */
void event_loop_stop(struct event_loop *loop, int exit_status);

#endif

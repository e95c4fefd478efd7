// SPDX-License-Identifier: BSD-3-Clause
/*
 * The event loop: epoll for file descriptors, adaptive polling for shared memory. The rule by which
 * the poll window adapts is in the header.
 */
#include "base/event_loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define BATCH_SIZE 64

/*
 * How much polling may pass before epoll is asked again, so that a ring that is never empty does
 * not starve control messages. A poll that found work takes longer and counts for more: epoll is
 * asked after every 8 polls with work, or 64 without.
 */
#define EPOLL_AFTER    64
#define POLL_COST_IDLE 1
#define POLL_COST_WORK 8

/* Reading the clock costs as much as polling a few rings: within the window, do it now and then. */
#define POLLS_PER_CLOCK 8

/* Work that comes within this many poll limits came soon. */
#define SOON_FACTOR 2

/* Tells the processor that this is a spin: saves power and yields to the sibling thread. */
static void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

int event_loop_init(struct event_loop *loop, uint64_t poll_limit_ns, struct error *error)
{
	*loop = (struct event_loop){
		.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
		.poll_limit_ns = poll_limit_ns,
	};
	if (loop->epoll_fd < 0)
		return error_set_errno(error, errno, "cannot make an event loop");
	return 0;
}

void event_loop_close(struct event_loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	*loop = (struct event_loop){.epoll_fd = -1};
}

int event_loop_add(struct event_loop *loop, struct event_source *source, uint32_t events,
		   struct error *error)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
		return error_set_errno(error, errno, "cannot watch descriptor %d", source->fd);
	return 0;
}

int event_loop_modify(struct event_loop *loop, struct event_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0)
		return -errno;
	return 0;
}

void event_loop_remove(struct event_loop *loop, struct event_source *source)
{
	if (source->fd < 0)
		return;
	/* Fails only for a source that is not watched, which is allowed. */
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	for (int i = 0; i < loop->batch_count; i++) {
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
	}
}

/* Makes the kernel watch what is wanted. Returns 0 or a negative errno. */
static int apply_watch(struct event_loop *loop, struct event_watch *watch)
{
	struct epoll_event event = {.events = watch->wanted, .data.ptr = &watch->source};
	int operation = watch->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (!watch->wanted) {
		event_loop_remove(loop, &watch->source);
		watch->watched = 0;
		return 0;
	}
	if (epoll_ctl(loop->epoll_fd, operation, watch->source.fd, &event) == 0) {
		watch->watched = watch->wanted;
		return 0;
	}
	return errno == EPERM ? 0 : -errno;
}

/* Takes the watch off the list of those that failed. Returns whether it was there. */
static bool forget_failed(struct event_loop *loop, struct event_watch *watch)
{
	for (struct event_watch **link = &loop->failed; *link; link = &(*link)->next_failed) {
		if (*link != watch)
			continue;
		*link = watch->next_failed;
		watch->next_failed = NULL;
		return true;
	}
	return false;
}

void event_watch_set(struct event_loop *loop, struct event_watch *watch, uint32_t events)
{
	bool had_failed;
	int result;

	if (watch->wanted == events)
		return;
	watch->wanted = events;
	had_failed = forget_failed(loop, watch);
	result = apply_watch(loop, watch);
	if (result == 0)
		return;
	watch->next_failed = loop->failed;
	loop->failed = watch;
	if (!had_failed)
		log_error("descriptor %d cannot be watched: %s; this is tried again until it works",
			  watch->source.fd, strerror(-result));
}

/* Retries the failed watches, and shortens *timeout_ms so that the next try is in time. */
static void retry_failed(struct event_loop *loop, int *timeout_ms)
{
	struct event_watch **link = &loop->failed;

	while (*link) {
		struct event_watch *watch = *link;

		if (apply_watch(loop, watch) < 0) {
			link = &watch->next_failed;
			continue;
		}
		*link = watch->next_failed;
		watch->next_failed = NULL;
		log_info("descriptor %d is watched now", watch->source.fd);
	}
	if (loop->failed && (*timeout_ms < 0 || *timeout_ms > EVENT_LOOP_RETRY_MS))
		*timeout_ms = EVENT_LOOP_RETRY_MS;
}

void event_loop_add_poller(struct event_loop *loop, struct event_poller *poller)
{
	struct event_poller **link = &loop->pollers;

	while (*link)
		link = &(*link)->next;
	poller->next = NULL;
	*link = poller;
}

void event_loop_remove_poller(struct event_loop *loop, struct event_poller *poller)
{
	for (struct event_poller **link = &loop->pollers; *link; link = &(*link)->next) {
		if (*link != poller)
			continue;
		*link = poller->next;
		if (loop->next_poller == poller)
			loop->next_poller = poller->next;
		poller->next = NULL;
		return;
	}
}

/* Polls every poller once. Returns whether there was work. */
static bool poll_once(struct event_loop *loop)
{
	bool worked = false;

	for (struct event_poller *poller = loop->pollers; poller; poller = loop->next_poller) {
		/* A poller may remove itself or others; removal moves next_poller on. */
		loop->next_poller = poller->next;
		if (poller->poll && poller->poll(poller->context))
			worked = true;
	}
	loop->polls_since_epoll += worked ? POLL_COST_WORK : POLL_COST_IDLE;
	return worked;
}

/* Has every poller ask for wake-ups. Returns whether work came in the meantime. */
static bool prepare_all(struct event_loop *loop, int *timeout_ms)
{
	bool work = false;

	for (struct event_poller *poller = loop->pollers; poller; poller = loop->next_poller) {
		loop->next_poller = poller->next;
		if (poller->prepare && poller->prepare(poller->context, timeout_ms))
			work = true;
	}
	return work;
}

static void adapt_window(struct event_loop *loop, uint64_t idle_ns)
{
	if (idle_ns > SOON_FACTOR * loop->poll_limit_ns) {
		loop->poll_window_ns /= 2;
		if (loop->poll_window_ns < EVENT_LOOP_POLL_START_NS)
			loop->poll_window_ns = 0;
	} else if (loop->poll_pause) {
		loop->poll_pause--;
	} else if (loop->poll_window_ns < loop->poll_limit_ns) {
		loop->poll_window_ns *= 2;
		if (loop->poll_window_ns < EVENT_LOOP_POLL_START_NS)
			loop->poll_window_ns = EVENT_LOOP_POLL_START_NS;
		if (loop->poll_window_ns > loop->poll_limit_ns)
			loop->poll_window_ns = loop->poll_limit_ns;
	} else if (++loop->poll_vain == EVENT_LOOP_POLL_VAIN) {
		loop->poll_vain = 0;
		loop->poll_window_ns = 0;
		loop->poll_pause = EVENT_LOOP_POLL_PAUSE;
	}
}

/*
 * Asks epoll and calls the handlers. Returns 1 when there was an event, 0 when not, or a negative
 * errno.
 */
static int handle_events(struct event_loop *loop, int timeout_ms)
{
	struct epoll_event events[BATCH_SIZE];
	int count;

	loop->polls_since_epoll = 0;
	if (timeout_ms)
		loop->sleeps++;
	count = epoll_wait(loop->epoll_fd, events, BATCH_SIZE, timeout_ms);
	if (count < 0 && errno == EINTR)
		count = 0;
	if (count < 0)
		return -errno;
	if (timeout_ms && loop->idle_since_ns) {
		uint64_t idle_ns = clock_now_ns() - loop->idle_since_ns;

		/*
		 * A sleep that ended without an event tells nothing, unless it was too long for
		 * "soon".
		 */
		if (count || idle_ns > SOON_FACTOR * loop->poll_limit_ns)
			adapt_window(loop, idle_ns);
	}
	loop->batch = events;
	loop->batch_count = count;
	for (int i = 0; i < count; i++) {
		struct event_source *source = events[i].data.ptr;

		/* Emptied by event_loop_remove in the handler of an earlier event. */
		if (source)
			source->handle(source->context, events[i].events);
	}
	loop->batch = NULL;
	loop->batch_count = 0;
	return count > 0;
}

/*
 * Polls until there was work, an event, or the window is over. Returns 1 when something was
 * handled, 0 when not, or a negative errno.
 */
static int poll_window(struct event_loop *loop)
{
	for (unsigned int polls = 1;; polls++) {
		if (poll_once(loop)) {
			loop->poll_vain = 0;
			return 1;
		}
		if (loop->stopped)
			return 1;
		if (loop->polls_since_epoll >= EPOLL_AFTER) {
			int handled = handle_events(loop, 0);

			if (handled)
				return handled;
		}
		if (polls % POLLS_PER_CLOCK == 0 &&
		    clock_now_ns() - loop->idle_since_ns >= loop->poll_window_ns)
			return 0;
		cpu_relax();
	}
}

static int take_turn(struct event_loop *loop, int timeout_ms)
{
	int handled;

	if (loop->polls_since_epoll >= EPOLL_AFTER) {
		handled = handle_events(loop, 0);
		if (handled)
			return handled;
	}
	if (poll_once(loop))
		return 1;
	if (loop->poll_limit_ns && loop->pollers && timeout_ms) {
		if (!loop->idle_since_ns)
			loop->idle_since_ns = clock_now_ns();
		if (loop->poll_window_ns) {
			handled = poll_window(loop);
			if (handled)
				return handled;
		}
	}
	if (prepare_all(loop, &timeout_ms)) {
		poll_once(loop);
		return 1;
	}
	if (loop->failed)
		retry_failed(loop, &timeout_ms);
	/*
	 * A poller may have stopped the loop: then do not sleep, for nothing would end the sleep.
	 */
	return handle_events(loop, loop->stopped ? 0 : timeout_ms);
}

int event_loop_turn(struct event_loop *loop, int timeout_ms)
{
	int handled = take_turn(loop, timeout_ms);

	/* The idle time starts with the next turn, once it has seen that there is no more work. */
	if (handled)
		loop->idle_since_ns = 0;
	return handled;
}

int event_loop_run(struct event_loop *loop)
{
	while (!loop->stopped) {
		int handled = event_loop_turn(loop, -1);

		if (handled < 0)
			return handled;
	}
	loop->stopped = false;
	return loop->exit_status;
}

void event_loop_stop(struct event_loop *loop, int exit_status)
{
	loop->stopped = true;
	loop->exit_status = exit_status;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The event loop: events reach their handlers but no removed source, pollers and epoll share the
 * thread, the poll window adapts by the documented rule, and an idle loop sleeps.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/event_loop.h"
#include "unit/failing_epoll.h"

struct fixture {
	struct event_loop loop;
	struct event_source sources[3];
	unsigned int handled[3];
	struct event_source *to_remove; /* by any handler */
	int stop_after;			/* handler calls; 0: never */
};

struct watched {
	struct fixture *fixture;
	unsigned int index;
};

static struct fixture fixture;
static struct watched watched[3];

static void kick(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void handle(void *context, uint32_t events)
{
	struct watched *mine = context;
	struct fixture *f = mine->fixture;
	uint64_t count;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(f->sources[mine->index].fd, &count, sizeof(count)), sizeof(count));
	f->handled[mine->index]++;
	if (f->to_remove)
		event_loop_remove(&f->loop, f->to_remove);
	if (f->stop_after && --f->stop_after == 0)
		event_loop_stop(&f->loop, 7);
}

static void start(uint64_t poll_limit_ns)
{
	struct error error = {0};

	memset(&fixture, 0, sizeof(fixture));
	assert_int_equal(event_loop_init(&fixture.loop, poll_limit_ns, &error), 0);
	for (unsigned int i = 0; i < 3; i++) {
		watched[i] = (struct watched){&fixture, i};
		fixture.sources[i] = (struct event_source){
			.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.handle = handle,
			.context = &watched[i],
		};
		assert_int_equal(
			event_loop_add(&fixture.loop, &fixture.sources[i], EPOLLIN, &error), 0);
	}
}

static int finish(void **state)
{
	for (unsigned int i = 0; i < 3; i++)
		close(fixture.sources[i].fd);
	event_loop_close(&fixture.loop);
	return 0;
}

static void test_events_reach_handlers(void **state)
{
	start(0);
	assert_int_equal(event_loop_turn(&fixture.loop, 0), 0);
	kick(fixture.sources[0].fd);
	kick(fixture.sources[2].fd);
	assert_int_equal(event_loop_turn(&fixture.loop, -1), 1);
	assert_int_equal(fixture.handled[0], 1);
	assert_int_equal(fixture.handled[1], 0);
	assert_int_equal(fixture.handled[2], 1);
	assert_int_equal(event_loop_turn(&fixture.loop, 1), 0);
}

static void test_run_returns_the_status(void **state)
{
	start(0);
	fixture.stop_after = 1;
	kick(fixture.sources[1].fd);
	assert_int_equal(event_loop_run(&fixture.loop), 7);
	/* Stopped while it was not running: the next run ends at once, the one after that works. */
	event_loop_stop(&fixture.loop, 9);
	assert_int_equal(event_loop_run(&fixture.loop), 9);
	fixture.stop_after = 1;
	kick(fixture.sources[1].fd);
	assert_int_equal(event_loop_run(&fixture.loop), 7);
	assert_int_equal(fixture.handled[1], 2);
}

static unsigned int watch_events;

static void note_events(void *context, uint32_t events)
{
	watch_events |= events;
}

/*
 * A watch that the kernel had no room for is added as soon as there is room, without another event.
 */
static void test_watch_that_fails_is_tried_again(void **state)
{
	struct event_watch watch = {.source = {eventfd(1, EFD_CLOEXEC), note_events, NULL}};
	struct event_watch other = {.source = {eventfd(1, EFD_CLOEXEC), note_events, NULL}};
	const int timeout_ms = 2000;

	start(0);
	watch_events = 0;
	failing_watches = 4;
	failed_watches = 0;
	event_watch_set(&fixture.loop, &watch, EPOLLIN);
	event_watch_set(&fixture.loop, &other, EPOLLIN);
	/* A removed source is not added later. */
	event_watch_set(&fixture.loop, &other, 0);
	assert_int_equal(failed_watches, 2);
	for (int turns = 0; watch_events == 0 && turns < 10; turns++)
		assert_true(event_loop_turn(&fixture.loop, timeout_ms) >= 0);
	assert_int_equal(failed_watches, 4);
	assert_int_equal(watch_events, EPOLLIN);
	assert_int_equal(other.watched, 0);
	/* Also a modification that fails. */
	watch_events = 0;
	failing_watches = 1;
	event_watch_set(&fixture.loop, &watch, EPOLLOUT);
	for (int turns = 0; !(watch_events & EPOLLOUT) && turns < 10; turns++)
		assert_true(event_loop_turn(&fixture.loop, timeout_ms) >= 0);
	assert_int_equal(failed_watches, 5);
	assert_int_equal(watch.watched, EPOLLOUT);
	/* A removed source is not modified later. */
	failing_watches = 1;
	event_watch_set(&fixture.loop, &watch, EPOLLIN);
	event_watch_set(&fixture.loop, &watch, 0);
	assert_null(fixture.loop.failed);
	close(watch.source.fd);
	close(other.source.fd);
}

/* A regular file is always ready; that is not logged. */
static void test_watch_of_a_file(void **state)
{
	FILE *file = tmpfile();
	struct event_watch watch = {.source = {fileno(file), note_events, NULL}};

	start(0);
	event_watch_set(&fixture.loop, &watch, EPOLLIN);
	assert_int_equal(watch.watched, 0);
	assert_null(fixture.loop.failed);
	event_watch_set(&fixture.loop, &watch, 0);
	fclose(file);
}

/*
 * Whichever of two ready sources is handled first removes the other, whose event has already
 * arrived.
 */
static void test_removed_source_gets_no_event(void **state)
{
	for (unsigned int removed = 0; removed < 2; removed++) {
		start(0);
		kick(fixture.sources[0].fd);
		kick(fixture.sources[1].fd);
		fixture.to_remove = &fixture.sources[removed];
		event_loop_turn(&fixture.loop, -1);
		event_loop_turn(&fixture.loop, 0);
		/* The kernel reports them in the order in which they became ready. */
		assert_int_equal(fixture.handled[0], 1);
		assert_int_equal(fixture.handled[1], removed == 1 ? 0 : 1);
		if (!removed)
			finish(NULL);
	}
}

static void test_remove_is_tolerant(void **state)
{
	struct event_source closed = {.fd = -1};

	start(0);
	event_loop_remove(&fixture.loop, &closed);
	event_loop_remove(&fixture.loop, &fixture.sources[0]);
	event_loop_remove(&fixture.loop, &fixture.sources[0]);
	kick(fixture.sources[0].fd);
	assert_int_equal(event_loop_turn(&fixture.loop, 0), 0);
	assert_int_equal(fixture.handled[0], 0);
}

static void test_modify(void **state)
{
	start(0);
	kick(fixture.sources[0].fd);
	assert_int_equal(event_loop_modify(&fixture.loop, &fixture.sources[0], 0), 0);
	assert_int_equal(event_loop_turn(&fixture.loop, 0), 0);
	assert_int_equal(event_loop_modify(&fixture.loop, &fixture.sources[0], EPOLLIN), 0);
	assert_int_equal(event_loop_turn(&fixture.loop, 0), 1);
	assert_int_equal(fixture.handled[0], 1);
}

static void test_bad_descriptor_is_an_error(void **state)
{
	struct event_source source = {.fd = 1 << 20, .handle = handle};
	struct error error = {0};

	start(0);
	assert_int_equal(event_loop_add(&fixture.loop, &source, EPOLLIN, &error), -EBADF);
	assert_non_null(strstr(error.message, "1048576"));
}

static void ignore_signal(int number)
{
}

static void test_signal_does_not_end_run(void **state)
{
	struct sigaction action = {.sa_handler = ignore_signal};
	struct itimerval timer = {.it_value.tv_usec = 20000};

	start(0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	assert_int_equal(event_loop_turn(&fixture.loop, 5000), 0);
}

/* A poller with scripted work. */
struct script {
	struct event_poller poller;
	struct event_loop *loop;
	unsigned int polls, prepares;
	unsigned int work;	/* number of polls that find work */
	unsigned int work_at;	/* this poll finds work */
	bool work_before_sleep; /* the next prepare finds work */
	int timeout_ms;		/* what prepare lowers the sleep to; -1: unchanged */
	struct event_poller *to_remove;
	unsigned int stop_at; /* this poll stops the loop */
	int kick_fd;	      /* prepare makes this source ready; -1: none */
};

static bool script_poll(void *context)
{
	struct script *script = context;

	script->polls++;
	if (script->to_remove)
		event_loop_remove_poller(script->loop, script->to_remove);
	if (script->stop_at == script->polls)
		event_loop_stop(script->loop, 5);
	if (script->work_at == script->polls)
		return true;
	if (!script->work)
		return false;
	script->work--;
	return true;
}

static bool script_prepare(void *context, int *timeout_ms)
{
	struct script *script = context;

	script->prepares++;
	if (script->kick_fd >= 0)
		kick(script->kick_fd);
	if (script->timeout_ms >= 0)
		*timeout_ms = script->timeout_ms;
	if (!script->work_before_sleep)
		return false;
	script->work_before_sleep = false;
	script->work++;
	return true;
}

static void script_add(struct script *script)
{
	*script = (struct script){
		.poller = {script_poll, script_prepare, script, NULL},
		.loop = &fixture.loop,
		.timeout_ms = -1,
		.kick_fd = -1,
	};
	event_loop_add_poller(&fixture.loop, &script->poller);
}

static void test_poller_work_prevents_sleep(void **state)
{
	struct script script;

	start(0);
	script_add(&script);
	script.work = 3;
	for (int i = 0; i < 3; i++)
		assert_int_equal(event_loop_turn(&fixture.loop, -1), 1);
	assert_int_equal(fixture.loop.sleeps, 0);
	assert_int_equal(script.prepares, 0);
	/* Work that arrives between the last check and the sleep. */
	script.work_before_sleep = true;
	assert_int_equal(event_loop_turn(&fixture.loop, -1), 1);
	assert_int_equal(script.work, 0);
	assert_int_equal(fixture.loop.sleeps, 0);
}

static void test_prepare_lowers_the_sleep(void **state)
{
	struct script script;

	start(EVENT_LOOP_POLL_LIMIT_NS);
	script_add(&script);
	script.timeout_ms = 5;
	assert_int_equal(event_loop_turn(&fixture.loop, -1), 0);
	assert_int_equal(fixture.loop.sleeps, 1);
	assert_int_equal(script.prepares, 1);
}

static void test_busy_poller_does_not_starve_events(void **state)
{
	struct script script;
	unsigned int turns = 0;

	start(EVENT_LOOP_POLL_LIMIT_NS);
	script_add(&script);
	script.work = 1000000;
	kick(fixture.sources[0].fd);
	while (!fixture.handled[0] && turns++ < 1000)
		event_loop_turn(&fixture.loop, -1);
	assert_in_range(turns, 1, 10);
	assert_int_equal(fixture.loop.sleeps, 0);
}

static void test_events_are_seen_within_the_window(void **state)
{
	struct script script;

	start(2000000000);
	script_add(&script);
	fixture.loop.poll_window_ns = 2000000000;
	kick(fixture.sources[0].fd);
	assert_int_equal(event_loop_turn(&fixture.loop, -1), 1);
	assert_int_equal(fixture.handled[0], 1);
	assert_int_equal(fixture.loop.sleeps, 0);
	assert_in_range(script.polls, 1, 100);
}

static void test_pollers_may_be_removed_while_polling(void **state)
{
	struct script first, second, third;

	start(0);
	script_add(&first);
	script_add(&second);
	script_add(&third);
	first.to_remove = &second.poller;
	second.to_remove = &second.poller;
	event_loop_turn(&fixture.loop, 0);
	assert_int_equal(first.polls, 1);
	assert_int_equal(second.polls, 0);
	assert_int_equal(third.polls, 1);
	first.to_remove = &first.poller;
	event_loop_turn(&fixture.loop, 0);
	event_loop_turn(&fixture.loop, 0);
	assert_int_equal(first.polls, 2);
	assert_int_equal(third.polls, 3);
	event_loop_remove_poller(&fixture.loop, &third.poller);
	event_loop_remove_poller(&fixture.loop, &third.poller);
	event_loop_turn(&fixture.loop, 0);
	assert_int_equal(third.polls, 3);
}

static void test_stop_from_a_poller(void **state)
{
	struct script script;

	start(0);
	script_add(&script);
	script.stop_at = 1;
	assert_int_equal(event_loop_run(&fixture.loop), 5);
}

/* Checks the rule of the header. False: a window differed, or the machine was delayed by @limit. */
static bool window_adapts(uint64_t limit)
{
	static struct script script; /* the loop has it until it is closed */
	uint64_t want = EVENT_LOOP_POLL_START_NS;

	start(limit);
	script_add(&script);
	/* The event comes just before the sleep: soon, and out of polling's reach. */
	script.kick_fd = fixture.sources[0].fd;
	do {
		event_loop_turn(&fixture.loop, -1);
		if (fixture.loop.poll_window_ns != want)
			return false;
		want = want * 2 < limit ? want * 2 : limit;
	} while (fixture.loop.poll_window_ns < limit);

	for (int i = 1; i < EVENT_LOOP_POLL_VAIN; i++) {
		event_loop_turn(&fixture.loop, -1);
		if (fixture.loop.poll_window_ns != limit)
			return false;
	}
	/* Work within the window: the count starts again. */
	script.work_at = script.polls + 2;
	event_loop_turn(&fixture.loop, -1);
	if (fixture.loop.poll_window_ns != limit)
		return false;
	for (int i = 0; i < EVENT_LOOP_POLL_VAIN; i++) {
		if (fixture.loop.poll_window_ns != limit)
			return false;
		event_loop_turn(&fixture.loop, -1);
	}

	for (int i = 0; i < EVENT_LOOP_POLL_PAUSE; i++) {
		if (fixture.loop.poll_window_ns != 0)
			return false;
		event_loop_turn(&fixture.loop, -1);
	}
	if (fixture.loop.poll_window_ns != 0)
		return false;
	event_loop_turn(&fixture.loop, -1);
	if (fixture.loop.poll_window_ns != EVENT_LOOP_POLL_START_NS)
		return false;
	return true;
}

static void test_window_adapts(void **state)
{
	/* No delay of the machine is as long as the last limit. */
	static const uint64_t limits_ms[] = {400, 400, 2000, 5000};
	bool adapts = false;

	for (size_t i = 0; i < sizeof(limits_ms) / sizeof(limits_ms[0]) && !adapts; i++) {
		if (i > 0)
			finish(NULL);
		adapts = window_adapts(limits_ms[i] * 1000000);
	}
	assert_true(adapts);
}

/* Sleeps for @idle_us, with work at the end. */
static void sleep_for(unsigned int idle_us)
{
	struct itimerval timer = {.it_value.tv_usec = idle_us};

	setitimer(ITIMER_REAL, &timer, NULL);
	while (event_loop_turn(&fixture.loop, -1) == 0)
		;
}

static void kick_on_alarm(int number)
{
	uint64_t one = 1;
	ssize_t written = write(fixture.sources[0].fd, &one, sizeof(one));

	(void)written;
}

static void test_late_work_ends_polling(void **state)
{
	struct sigaction action = {.sa_handler = kick_on_alarm, .sa_flags = SA_RESTART};
	struct script script;

	start(EVENT_LOOP_POLL_LIMIT_NS);
	script_add(&script);
	sigaction(SIGALRM, &action, NULL);
	fixture.loop.poll_window_ns = EVENT_LOOP_POLL_LIMIT_NS;
	for (int i = 0; i < 3; i++)
		sleep_for(3000);
	assert_int_equal(fixture.handled[0], 3);
	assert_int_equal(fixture.loop.poll_window_ns, 0);
	/* One check before each sleep, nothing more. */
	script.polls = 0;
	sleep_for(3000);
	assert_in_range(script.polls, 1, 4);
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void test_idle_loop_sleeps(void **state)
{
	struct script script;
	double before;

	start(EVENT_LOOP_POLL_LIMIT_NS);
	script_add(&script);
	fixture.loop.poll_window_ns = EVENT_LOOP_POLL_LIMIT_NS;
	before = cpu_seconds();
	assert_int_equal(event_loop_turn(&fixture.loop, 300), 0);
	assert_int_equal(fixture.loop.sleeps, 1);
	assert_true(cpu_seconds() - before < 0.1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_events_reach_handlers, finish),
		cmocka_unit_test_teardown(test_run_returns_the_status, finish),
		cmocka_unit_test_teardown(test_watch_that_fails_is_tried_again, finish),
		cmocka_unit_test_teardown(test_watch_of_a_file, finish),
		cmocka_unit_test_teardown(test_removed_source_gets_no_event, finish),
		cmocka_unit_test_teardown(test_remove_is_tolerant, finish),
		cmocka_unit_test_teardown(test_modify, finish),
		cmocka_unit_test_teardown(test_bad_descriptor_is_an_error, finish),
		cmocka_unit_test_teardown(test_signal_does_not_end_run, finish),
		cmocka_unit_test_teardown(test_poller_work_prevents_sleep, finish),
		cmocka_unit_test_teardown(test_prepare_lowers_the_sleep, finish),
		cmocka_unit_test_teardown(test_busy_poller_does_not_starve_events, finish),
		cmocka_unit_test_teardown(test_events_are_seen_within_the_window, finish),
		cmocka_unit_test_teardown(test_pollers_may_be_removed_while_polling, finish),
		cmocka_unit_test_teardown(test_stop_from_a_poller, finish),
		cmocka_unit_test_teardown(test_window_adapts, finish),
		cmocka_unit_test_teardown(test_late_work_ends_polling, finish),
		cmocka_unit_test_teardown(test_idle_loop_sleeps, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The broker of a stand-alone monitor. The monitor may be hostile, so the broker sandboxes itself,
 * too, with the right to connect.
 */
#include "monitor/run/broker_process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "base/request_pace.h"
#include "host/sandbox.h"
#include "monitor/boot.h"

static _Noreturn void serve(int fd, const struct broker_service *service)
{
	char threads[32];
	const char *const readable[] = {threads, NULL};
	/*
	 * Only the watchdogs need the run time of threads: without them no file has to be opened by
	 * name.
	 */
	const struct sandbox_rights rights = {
		.needs = SANDBOX_BROKER | (arch_has_watchdogs ? SANDBOX_TIMES : 0),
		.readable = arch_has_watchdogs ? readable : NULL,
	};
	struct request_pace pace = {.count = 0};
	struct error error;

	process_die_with_parent(service->monitor);
	snprintf(threads, sizeof(threads), "/proc/%d/task", (int)service->monitor);
	/* Also this copy of the other end, so that its close shows when the monitor exits. */
	process_close_all_but(fd);
	if (sandbox_lock_in(&rights, &error) < 0) {
		log_error("%s", error.message);
		_exit(1);
	}
	/* The monitor may be hostile: limit its rate of requests. */
	while (broker_answer(fd, service) > 0) {
		int wait_ms = request_pace_count(&pace, clock_now_ms());

		if (wait_ms > 0)
			poll(NULL, 0, wait_ms);
	}
	_exit(0);
}

int broker_process_start(struct broker *broker, const char *const *paths, size_t count,
			 struct error *error)
{
	const struct broker_service service = {
		.monitor = getpid(),
		.paths = paths,
		.count = count,
	};
	int ends[2], result = broker_make_pair(ends, error);
	pid_t child;

	if (result < 0)
		return result;
	broker->fd = ends[0];
	child = fork();
	if (child == 0)
		serve(ends[1], &service);
	close(ends[1]);
	if (child > 0)
		return 0;
	result = error_set_errno(error, errno, "cannot start a process that connects to devices");
	broker_close(broker);
	return result;
}

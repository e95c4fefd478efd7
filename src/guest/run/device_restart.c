// SPDX-License-Identifier: BSD-3-Clause
/* The steps of an orderly restart. */
#include "guest/run/device_restart.h"

#include <errno.h>
#include <stdio.h>

/* The first reason counts. */
static void note_loss(struct device_restart *restart, const char *lost)
{
	if (lost && !restart->lost[0])
		snprintf(restart->lost, sizeof(restart->lost), "%s", lost);
}

static void finish(struct device_restart *restart, const struct error *error)
{
	restart->step = DEVICE_RESTART_NONE;
	timer_cancel(&restart->limit);
	restart->done(restart->context, restart->lost[0] ? restart->lost : NULL, error);
}

static void replace(struct device_restart *restart)
{
	restart->step = DEVICE_RESTART_REPLACING;
	timer_set_ms(&restart->limit, DEVICE_RESTART_REPLACE_MS);
	/* One that has died meanwhile is started again already, or will be. */
	if (supervised_process_pid(restart->process) == restart->before)
		supervised_process_replace(restart->process);
}

static void handle_limit(void *context)
{
	struct device_restart *restart = context;
	struct error error;

	if (restart->step == DEVICE_RESTART_RELEASING) {
		note_loss(restart, "the monitor does not let go of the process");
		replace(restart);
		return;
	}
	error_set(&error, ETIMEDOUT, "%s: no new device process is attached after %d s",
		  restart->process->setup.name, DEVICE_RESTART_REPLACE_MS / 1000);
	finish(restart, &error);
}

int device_restart_open(struct device_restart *restart, struct event_loop *loop,
			struct error *error)
{
	restart->step = DEVICE_RESTART_NONE;
	return timer_open(&restart->limit, loop, CLOCK_MONOTONIC, handle_limit, restart, error);
}

int device_restart_begin(struct device_restart *restart, struct error *error)
{
	const struct supervised_process *process = restart->process;

	if (device_restart_is_under_way(restart))
		return error_set(error, EBUSY, "%s: its device process is being restarted already",
				 process->setup.name);
	if (process->state != SUPERVISED_SERVING)
		return error_set(error, EAGAIN, "%s: its device process does not serve now",
				 process->setup.name);
	restart->step = DEVICE_RESTART_RELEASING;
	restart->before = supervised_process_pid(process);
	restart->lost[0] = 0;
	restart->attached_early = false;
	timer_set_ms(&restart->limit, DEVICE_RESTART_RELEASE_MS);
	return 0;
}

void device_restart_released(struct device_restart *restart, const char *lost)
{
	if (restart->step != DEVICE_RESTART_RELEASING)
		return;
	note_loss(restart, lost);
	/* The process had died, and the next one was there before the monitor came to it. */
	if (restart->attached_early)
		finish(restart, NULL);
	else
		replace(restart);
}

void device_restart_attached(struct device_restart *restart, const char *lost)
{
	pid_t pid = supervised_process_pid(restart->process);

	/* An event about the process before is late. */
	if (!device_restart_is_under_way(restart) || !pid || pid == restart->before)
		return;
	note_loss(restart, lost);
	/* The monitor still answers the request to let go. */
	if (restart->step == DEVICE_RESTART_RELEASING)
		restart->attached_early = true;
	else
		finish(restart, NULL);
}

void device_restart_close(struct device_restart *restart)
{
	if (restart->process)
		timer_close(&restart->limit);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The orderly restart of a device: the engine lets go of the device's process and keeps the
 * device's state, the process is replaced, and the engine gives the state to the next one. Where
 * the state cannot be kept, the process is replaced as if it had died. Each wait has a limit.
 *
 * Everything here belongs to the thread of the loop.
 */
#ifndef AVP_GUEST_RUN_DEVICE_RESTART_H
#define AVP_GUEST_RUN_DEVICE_RESTART_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/timer.h"
#include "host/supervised_process.h"

/*
 * How long the engine may take to let go of the process: longer than a device may take for the
 * requests that it has, and a process that hangs for its end.
 */
#define DEVICE_RESTART_RELEASE_MS 20000
/* How long the rest may take: the end of the process, the start of the next one, its connection. */
#define DEVICE_RESTART_REPLACE_MS 30000

struct device_restart {
	struct supervised_process *process;
	/*
	 * It is done, @lost: why the state of the device was not carried, or NULL. Or it was not
	 * done in time: *error, else NULL. May begin another one.
	 */
	void (*done)(void *context, const char *lost, const struct error *error);
	void *context;
	/* The rest is private. */
	enum { DEVICE_RESTART_NONE, DEVICE_RESTART_RELEASING, DEVICE_RESTART_REPLACING } step;
	pid_t before;	     /* the process to be replaced */
	bool attached_early; /* the next one is attached, and @before not yet let go */
	char lost[ERROR_MESSAGE_SIZE];
	struct timer limit;
};

/*
 * Makes *restart, zeroed but for its public members, ready for use; it must not move. Returns 0, or
 * a negative errno with *error set.
 */
int device_restart_open(struct device_restart *restart, struct event_loop *loop,
			struct error *error);

/*
 * Begins a restart: have the engine let go of the process next. Returns 0, or a negative errno with
 * *error set: -EBUSY when one is under way, -EAGAIN when the process does not serve now.
 */
int device_restart_begin(struct device_restart *restart, struct error *error);

static inline bool device_restart_is_under_way(const struct device_restart *restart)
{
	return restart->step != DEVICE_RESTART_NONE;
}

/*
 * The engine has let go of the process, or has connected to another one. @lost: why the state does
 * not get to the next process, or NULL.
 */
void device_restart_released(struct device_restart *restart, const char *lost);
void device_restart_attached(struct device_restart *restart, const char *lost);

/* Also for one that was only zeroed. */
void device_restart_close(struct device_restart *restart);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Locks a process in once everything that it needs is open, a device process or the monitor: the
 * guest that it serves is hostile, and may one day find a hole in it.
 *
 * In two steps, because some rights belong to threads and threads inherit them, while starting
 * threads is itself something that is forbidden in the end:
 *
 *	sandbox_drop_rights	no new privileges, no capabilities, no files, no core dumps
 *	(start threads)
 *	sandbox_filter_calls	only the system calls that are needed, for all threads
 */
#ifndef AVP_BACKEND_SANDBOX_H
#define AVP_BACKEND_SANDBOX_H

#include "base/error.h"

/* What a device does beyond serving vhost-user; the reasons are in sandbox.c. */
enum sandbox_need {
	SANDBOX_DISK = 1,      /* transfers on an image that is open */
	SANDBOX_TAP = 2,       /* frames on a tap that is open */
	SANDBOX_SOCKETS = 4,   /* connections of the guest, for user-mode networking */
	SANDBOX_RANDOM = 8,    /* random bytes */
	SANDBOX_UNLINK = 16,   /* removing sockets that were listened on */
	SANDBOX_TERMINAL = 32, /* the size and the mode of a terminal */
	SANDBOX_MONITOR = 64,  /* virtual machines, threads, connections to device processes */
};

/*
 * Gives up rights of the calling thread and those it starts: privileges, and all access to files
 * by name, but for reading @readable, unless NULL, and removing files in the directories @removable,
 * which NULL ends (or there are none: NULL). Where the kernel has no Landlock, names are only kept out by sandbox_filter_calls.
 */
int sandbox_drop_rights(const char *readable, const char *const *removable, struct error *error);

/*
 * From now on all threads may make only the system calls that serving vhost-user and @needs (of
 * enum sandbox_need) take; others fail with EPERM.
 */
int sandbox_filter_calls(unsigned int needs, struct error *error);

#endif

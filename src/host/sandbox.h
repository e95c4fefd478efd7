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
#ifndef AVP_HOST_SANDBOX_H
#define AVP_HOST_SANDBOX_H

#include <stdbool.h>

#include "base/error.h"

/* What a process does beyond serving vhost-user; the reasons are in sandbox_filter.c. */
enum sandbox_need {
	SANDBOX_DISK = 1,      /* transfers on an image that is open */
	SANDBOX_TAP = 2,       /* frames on a tap that is open */
	SANDBOX_SOCKETS = 4,   /* connections of the guest, for user-mode networking */
	SANDBOX_RANDOM = 8,    /* random bytes */
	SANDBOX_UNLINK = 16,   /* removing sockets that were listened on */
	SANDBOX_TERMINAL = 32, /* the size and the mode of a terminal */
	SANDBOX_MONITOR = 64,  /* virtual machines, threads, other ends of vhost-user */
	SANDBOX_BROKER = 128,  /* connections to device processes, for the monitor */
	SANDBOX_RING = 256,    /* an io_uring that is restricted to transfers on the image */
	SANDBOX_READER = 512,  /* follows a file, and serves nobody: nothing else is left to it */
	SANDBOX_TIMES = 1024,  /* of a broker: opens how long threads of the monitor have run */
};

/* What a process may still do with what has a name. */
struct sandbox_rights {
	unsigned int needs; /* of enum sandbox_need */
	/* Files, or directories below which all files may be read, which NULL ends; NULL: none. */
	const char *const *readable;
	/* Directories in which files may be removed, which NULL ends; NULL: none. */
	const char *const *removable;
};

/*
 * Gives up rights of the calling thread and those it starts: privileges, all access to files by
 * name but for those of @rights, signals and abstract sockets of others, and TCP for who does not
 * have SANDBOX_SOCKETS. Where the kernel has no Landlock, names are kept out by
 * sandbox_filter_calls alone, and a warning says what that leaves.
 */
int sandbox_drop_rights(const struct sandbox_rights *rights, struct error *error);

/*
 * From now on all threads may make only the system calls that serving vhost-user and @needs (of
 * enum sandbox_need) take; others fail with EPERM. For this process: not for its children.
 */
int sandbox_filter_calls(unsigned int needs, struct error *error);

/* Both steps, for a process that starts no thread in between. */
int sandbox_lock_in(const struct sandbox_rights *rights, struct error *error);

/*
 * For a process that starts and ends others, and for them: gives up new privileges, capabilities
 * that none of them needs, and the system calls of administration. In the one thread that there is.
 */
int sandbox_limit_supervisor(struct error *error);

/* The version of the kernel's Landlock; 0: it has none, and errno says why. */
int sandbox_landlock_version(void);

/* Whether this process may make the namespaces that hide files where there is no Landlock. */
bool sandbox_can_hide_files(void);

#endif

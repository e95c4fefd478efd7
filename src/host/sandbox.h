// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sandboxes a process, a device process or the monitor, once everything that it needs is open: the
 * guest that it serves is hostile, and may exploit a bug in it.
 *
 * It takes two steps: some rights belong to threads and threads inherit them, but starting threads
 * is also forbidden at the end.
 *
 *	sandbox_drop_rights	no new privileges, no capabilities, no files, no core dumps
 *	(start threads)
 *	sandbox_filter_calls	only the system calls that are needed, for all threads
 */
#ifndef AVP_HOST_SANDBOX_H
#define AVP_HOST_SANDBOX_H

#include <stdbool.h>

#include "base/error.h"

/* What a process needs beyond serving vhost-user; the reasons are in sandbox_filter.c. */
enum sandbox_need {
	SANDBOX_DISK = 1,	/* transfers on an open image */
	SANDBOX_TAP = 2,	/* frames on an open tap */
	SANDBOX_SOCKETS = 4,	/* connections of the guest, for user-mode networking */
	SANDBOX_RANDOM = 8,	/* random bytes */
	SANDBOX_UNLINK = 16,	/* removing sockets that were listened on */
	SANDBOX_TERMINAL = 32,	/* the size and the mode of a terminal */
	SANDBOX_MONITOR = 64,	/* virtual machines, threads, other ends of vhost-user */
	SANDBOX_BROKER = 128,	/* connections to device processes, for the monitor */
	SANDBOX_RING = 256,	/* an io_uring that is restricted to transfers on the image */
	SANDBOX_READER = 512,	/* only reads a file again and again */
	SANDBOX_TIMES = 1024,	/* a broker's: opens the run times of the monitor's threads */
	SANDBOX_CONTROL = 2048, /* serves a control socket */
	SANDBOX_CHANNEL = 4096, /* ends of channels between a service and its clients */
	SANDBOX_STREAMS = 8192, /* connected and listening stream sockets */
};

/* The accesses by name that a process keeps. */
struct sandbox_rights {
	unsigned int needs; /* of enum sandbox_need */
	/* Readable files, and directories with readable files; ends with NULL. NULL: none. */
	const char *const *readable;
	/* Directories in which files may be removed; ends with NULL. NULL: none. */
	const char *const *removable;
};

/*
 * Drops rights of the calling thread and those it starts: privileges, access to files by name
 * except for @rights, signals and abstract sockets of other processes, and TCP without
 * SANDBOX_SOCKETS. If the kernel has no Landlock, only sandbox_filter_calls denies access by name,
 * and a warning says what remains possible.
 */
int sandbox_drop_rights(const struct sandbox_rights *rights, struct error *error);

/*
 * Restricts all threads to the system calls needed for serving vhost-user and for @needs (of enum
 * sandbox_need); others fail with EPERM. Not meant for programs that this process starts.
 */
int sandbox_filter_calls(unsigned int needs, struct error *error);

/* Both steps, for a process that starts no thread in between. */
int sandbox_lock_in(const struct sandbox_rights *rights, struct error *error);

/*
 * For a supervisor and the processes that it starts: drops new privileges, the capabilities that
 * none of them needs, and the system calls of administration. The caller must have one thread.
 */
int sandbox_limit_supervisor(struct error *error);

/* The version of the kernel's Landlock; 0: none, with errno set. */
int sandbox_landlock_version(void);

/* Whether this process can make the namespaces that hide files without Landlock. */
bool sandbox_can_hide_files(void);

#endif

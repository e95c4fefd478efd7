// SPDX-License-Identifier: BSD-3-Clause
/*
 * The lock on a disk image: one process writes to it, or any number read it.
 *
 * The lock proper belongs to the open file description, so it lives as long as the kernel still
 * uses the file. With io_uring transfers in progress that is longer than the process, which is
 * needed: none of them may overlap writes of the next process. A second lock, the life lock, on one
 * byte that no image reaches, belongs to the process and ends with it. It shows whether the holder
 * still lives.
 */
#ifndef AVP_DEVICE_BLOCK_FILE_LOCK_H
#define AVP_DEVICE_BLOCK_FILE_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Finds the guest that the process @pid serves with a device, and writes its name. Returns the
 * process that runs the guest, or 0 when @pid serves none or that is unknown. NULL instead of a
 * function: no guests are known.
 */
typedef pid_t file_guest_finder(pid_t pid, char *name, size_t size);

/* Long enough for "guest 'NAME' (process N)". */
#define FILE_HOLDER_LENGTH 128

/* The holder of a file and how to stop it, for a message. */
struct file_holder {
	char name[FILE_HOLDER_LENGTH];
	const char *remedy; /* "end that process" or "stop that guest" */
};

/* Describes the process @pid; 0: unknown. */
void file_holder_describe(struct file_holder *holder, pid_t pid, file_guest_finder *find_guest);

/*
 * Locks @fd, shared if @readonly, else exclusive; @path and @find_guest are for messages. The
 * process must not close another descriptor of the same file from then on, which would end the
 * second lock.
 *
 * Waits as long as the kernel holds the lock for a process that has ended, and logs that once;
 * waits a few seconds for a process that lives, which may be about to end.
 *
 * Returns 0, also where the file system has no locks, with a warning; -EBUSY with *error set when
 * a living process has the lock; -EINTR with *error set when a blocked SIGTERM, SIGINT, SIGHUP or
 * SIGQUIT arrived during the wait.
 */
int file_lock(int fd, const char *path, bool readonly, file_guest_finder *find_guest,
	      struct error *error);

/* Whether another open file has a lock on the file @fd, and its process; *pid 0: unknown. */
bool file_is_locked(int fd, pid_t *pid);

/*
 * Releases the lock of @fd when no transfer is in progress: the next process need not wait until
 * the kernel has released io_uring's reference to the file.
 */
void file_unlock(int fd);

#endif

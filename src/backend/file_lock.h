// SPDX-License-Identifier: BSD-3-Clause
/*
 * The lock on a disk image: one process writes to it, or any number read it.
 *
 * The lock proper belongs to the open file description, so it lives as long as anything of the
 * kernel still uses the file. That is longer than the process when io_uring has transfers under
 * way, and good: none of them can meet what the next process writes. A second lock, on one byte
 * that no image reaches, belongs to the process and ends with it. It tells the two apart.
 */
#ifndef AVP_BACKEND_FILE_LOCK_H
#define AVP_BACKEND_FILE_LOCK_H

#include <stdbool.h>

#include "base/error.h"

/*
 * Locks @fd, shared if @readonly, else exclusive; @path is for messages. The process must not close
 * another descriptor of the same file from then on, which would end the second lock.
 *
 * Waits for as long as the lock is held for a process that has ended, and says so once; a few
 * seconds for one that lives, which may be about to end.
 *
 * Returns 0, also where the file system has no locks, with a warning; -EBUSY with *error set when
 * a living process has the lock; -EINTR with *error set when a blocked SIGTERM, SIGINT, SIGHUP or
 * SIGQUIT arrived during the wait.
 */
int file_lock(int fd, const char *path, bool readonly, struct error *error);

/*
 * Ends the lock of @fd when no transfer is under way any more: the next process need not wait until
 * the kernel has taken down what io_uring had of the file.
 */
void file_unlock(int fd);

#endif

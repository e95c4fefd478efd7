// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory that another process can take away. A file that a frontend shares can be truncated by it
 * at any time; touching the part that was cut off raises SIGBUS. The handler then replaces guarded
 * memory by private zero pages and sets a flag: the access continues on these pages, and the owner
 * ends the connection when it next checks the flag.
 *
 * Sealing (F_SEAL_SHRINK) would prevent it, but frontends need not seal, and files, huge page
 * files and memory with hardware errors have no seals: so all shared memory is guarded. System
 * calls on such memory fail with EFAULT and raise no signal.
 *
 * A signal handler belongs to the whole process: a guard installs it if it is not installed. A
 * SIGBUS elsewhere has the effect that it would have had without the handler. The handler makes
 * only the calls mmap, rt_sigaction and rt_sigreturn, which a system call filter must let through.
 */
#ifndef AVP_VHOST_GUARD_H
#define AVP_VHOST_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The most ranges that a process can guard at a time. */
#define VHOST_GUARDS_MAX 512

/*
 * Guards the mapping of @length bytes at @start; both are multiples of its page size. *@lost
 * becomes true when the memory was taken away; it must stay valid until the guard is removed. Any
 * thread. -ENOSPC with *error set: too many guards.
 */
int vhost_guard_add(void *start, size_t length, volatile bool *lost, struct error *error);

/* Ends the guard of the range that begins at @start; call before unmapping it. Any thread. */
void vhost_guard_remove(void *start);

#endif

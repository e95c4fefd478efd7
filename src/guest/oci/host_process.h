// SPDX-License-Identifier: BSD-3-Clause
/*
 * A process that is not a child of this one, known by its number and the time of its start: the
 * kernel gives numbers to other processes once they are free.
 */
#ifndef AVP_GUEST_OCI_HOST_PROCESS_H
#define AVP_GUEST_OCI_HOST_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct host_process {
	pid_t pid;	     /* 0: none */
	uint64_t start_time; /* in clock ticks since the boot (proc(5), /proc/PID/stat) */
};

/* What /proc tells of a process. */
struct host_process_stat {
	char state; /* as in proc(5): 'Z' is a zombie */
	uint64_t start_time;
	uint64_t ticks; /* processor time, user and system */
};

/* Reads it. Returns false when there is no such process. */
bool host_process_read(pid_t pid, struct host_process_stat *stat);

/* The process @pid as it is now; pid 0 if there is none. */
struct host_process host_process_find(pid_t pid);

/* Whether it lives; a zombie does not. */
bool host_process_lives(const struct host_process *process);

/*
 * Sends @signal_number to it and to no other one. Returns 0, or a negative errno: -ESRCH, it has
 * ended.
 */
int host_process_signal(const struct host_process *process, int signal_number);

/*
 * Waits for its end, @limit_ms at most (-1: for ever). Returns 0; -ESRCH, it had ended; -ETIMEDOUT.
 */
int host_process_wait(const struct host_process *process, int limit_ms);

/* The most processes of one guest that host_process_list finds. */
#define HOST_PROCESS_TREE 64

/*
 * Writes @pid and its descendants to @pids, @size of them at most; returns their number. Which of
 * them still run may change at any time.
 */
size_t host_process_list(pid_t pid, pid_t *pids, size_t size);

/*
 * Kills it with SIGKILL, and waits until it and its descendants, which die with their parents, have
 * ended, @limit_ms at most. Returns 0; -ESRCH, it has ended before; -ETIMEDOUT; or another negative
 * errno.
 */
int host_process_kill(const struct host_process *process, int limit_ms);

#endif

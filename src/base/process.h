// SPDX-License-Identifier: BSD-3-Clause
/*
 * Child processes: started with exactly the descriptors they are meant to have, watched through a
 * pidfd, and gone when the parent is gone, however that ended.
 */
#ifndef AVP_BASE_PROCESS_H
#define AVP_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/process_settings.h"

/* A child process; one that does not run has pid 0. */
struct process {
	pid_t pid;
	int pidfd; /* readable once the process has ended; -1 when there is none */
};

#define PROCESS_NONE ((struct process){.pidfd = -1})

struct process_spawn {
	/*
	 * What to execute: a path, or a name without '/' that is looked for in PATH. It need not
	 * be argv[0].
	 */
	const char *program;
	const char *const *argv; /* ends with NULL */
	/*
	 * Descriptors, besides standard input, output and error, that the child keeps, each under
	 * its own number. All others are closed in it, whether or not they are CLOEXEC.
	 */
	const int *kept_fds;
	size_t kept_fd_count;
	int stdin_fd;  /* becomes standard input; -1: /dev/null */
	int stdout_fd; /* becomes standard output; -1: the parent's */
	int stderr_fd; /* becomes standard error; -1: the parent's */
	/* Start a process group of its own, so that keys of the terminal do not signal it. */
	bool own_group;
	/*
	 * SIGTERM, SIGINT, SIGHUP and SIGQUIT do not end it, whoever sends them: `systemctl stop`
	 * sends one to every process of a unit, while only the caller knows when a child is to end.
	 * They are ignored, for programs that leave ignored signals alone (signals_open), and
	 * blocked, for programs that install handlers all the same, as QEMU does.
	 */
	bool shielded;
	bool outlives; /* goes on when this process ends, in a session of its own */
	const struct process_settings *settings; /* NULL: those of this process */
};

/*
 * Starts a child. Unless it @outlives this process, it dies (SIGKILL) when the calling thread ends:
 * call from a thread that lives as long as the program. Signal handlers, ignored signals and the
 * signal mask are reset in it, but for what @shielded says. The caller stops ignoring SIGCHLD,
 * which would discard its children's exit statuses. Returns 0 with *process set, or a negative
 * errno with *error set, also when the program could not be executed: then no process is left.
 */
int process_spawn(struct process *process, const struct process_spawn *spawn, struct error *error);

/*
 * Has the kernel kill this process when its parent ends, @parent. If its parent is another process,
 * @parent has ended already, and this process ends too. Children of process_spawn have it from the
 * start; call again after a change of user or group ids or of capabilities, which cancels it.
 */
void process_die_with_parent(pid_t parent);

/*
 * Closes all descriptors but the standard ones and @kept, which is above those: for a forked child
 * that does not exec.
 */
void process_close_all_but(int kept);

/* Sends @signal_number. A process that has ended is left alone. */
void process_signal(const struct process *process, int signal_number);

/* An unknown status: neither WIFEXITED nor WIFSIGNALED, and so not a success. */
#define PROCESS_STATUS_UNKNOWN (-1)

/*
 * Takes the exit status of a child that has ended, in the form of waitpid, or
 * PROCESS_STATUS_UNKNOWN. Returns false while it runs. After true the child is gone and *process is
 * PROCESS_NONE.
 */
bool process_reap(struct process *process, int *status);

/*
 * Waits at most @timeout_ms (-1: for ever) for the end of the child, then as process_reap. Blocks.
 */
bool process_wait(struct process *process, int timeout_ms, int *status);

/*
 * Waits for a child that was asked to end, and kills it (SIGKILL) after @grace_ms (0: at once).
 * Blocks.
 */
void process_end(struct process *process, int grace_ms);

/* Long enough for any status that process_describe writes. */
#define PROCESS_STATUS_LENGTH 64

/*
 * Writes what a status of process_reap means: "exit status 1", "signal 9 (Killed)", or not known.
 */
const char *process_describe(char buffer[PROCESS_STATUS_LENGTH], int status);

#endif

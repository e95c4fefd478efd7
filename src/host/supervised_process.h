// SPDX-License-Identifier: BSD-3-Clause
/*
 * A child process with a supervisor: started with what its owner says, watched until it serves,
 * its output logged, its end noticed and explained, and started again by the one restart policy
 * (restart_policy.h), or never. Devices and engines are such processes.
 *
 * A process that reports inherits two descriptors. It writes a byte to one when it serves for the
 * first time. The other is its end of a control channel (base/control.h), over which
 * - the supervisor sends `heartbeat`, which the process answers by `ok`;
 * - the supervisor sends the event `log-level`, after which the process logs at that level;
 * - the process sends requests, which the supervisor answers by `ok`, perhaps with a descriptor, or
 *   by `error`. One that sends more than SUPERVISED_REQUESTS at once waits for its next answers;
 * - the supervisor closes its end to ask the process to end.
 * A process that breaks these rules is killed, as is one that does not serve in time or leaves its
 * heartbeats unanswered: each is a death.
 *
 * Everything here belongs to the thread of the loop.
 */
#ifndef AVP_HOST_SUPERVISED_PROCESS_H
#define AVP_HOST_SUPERVISED_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arguments.h"
#include "base/control.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "base/oom.h"
#include "base/process.h"
#include "base/timer.h"
#include "host/log_relay.h"
#include "host/restart_policy.h"

/* How long a process that reports may take until it serves. */
#define SUPERVISED_READY_MS 10000
/* A process that leaves this many heartbeats in a row unanswered is killed. */
#define SUPERVISED_UNANSWERED 2
/* Requests that are answered at once, and the time that earns another one. */
#define SUPERVISED_REQUESTS   16
#define SUPERVISED_REQUEST_MS 500
/* The most descriptors that a process inherits. */
#define SUPERVISED_DESCRIPTORS 64

/* How long a process may take to end that is replaced; then it is killed. */
#define SUPERVISED_END_MS 2000

/* The verb of a heartbeat. */
#define SUPERVISED_HEARTBEAT "heartbeat"
/* The event that sets the level of its log: level=LEVEL. */
#define SUPERVISED_LOG_LEVEL "log-level"
/*
 * The verb by which a process asks for a descriptor of what was named when it was started:
 * option=NAME index=NUMBER.
 */
#define SUPERVISED_OPEN "open"

/* How a process is started, made anew for each start. */
struct supervised_launch {
	/*
	 * The owner sets the program and, to read the output itself, both output descriptors. The
	 * rest is set: standard input, process group, shield, settings and arguments.
	 */
	struct process_spawn spawn;
	struct arguments arguments;
	int ready_fd, control_fd; /* of a process that reports: numbers for its arguments */
	int kept[SUPERVISED_DESCRIPTORS];
};

/* The process inherits @fd, under the same number. */
void supervised_launch_keep(struct supervised_launch *launch, int fd);

/* Calls from the loop, but for prepare. They must not close the process. */
struct supervised_ops {
	/*
	 * Sets up the next start. Called in supervised_process_start and, for later starts, from
	 * the loop. Returns 0 or a negative errno with *error set. What *launch points to must
	 * live until the next call.
	 */
	int (*prepare)(void *context, struct supervised_launch *launch, struct error *error);
	/*
	 * An event of the log happened: it is logged next. The first of @fields is its name. May be
	 * NULL.
	 */
	void (*happened)(void *context, const struct log_field *fields);
	/* It serves, @again after a restart. Only for a process that reports. */
	void (*serves)(void *context, bool again);
	/*
	 * Answers a request: returns 0, with *answer a descriptor to send, which is closed then, or
	 * -1; or a negative errno with *error set. May add fields to *reply. Takes *received, a
	 * descriptor that came with the request, with take_fd. NULL: every request is refused.
	 */
	int (*request)(void *context, const struct control_line *line, int *received,
		       struct control_message *reply, int *answer, struct error *error);
	/* It has ended with @status of process_reap. Only for one that is never restarted. */
	void (*ended)(void *context, int status);
	/*
	 * Its first start failed, or the limit is reached, and it stays dead. Only for one that is
	 * restarted.
	 */
	void (*failed)(void *context, const struct error *error);
};

struct supervised_setup {
	struct event_loop *loop;
	const struct supervised_ops *ops;
	void *context;
	/*
	 * Of which kind it is, and its name: log lines and errors say "NAME: KIND process", and the
	 * events of the log are called KIND-ended and so on.
	 */
	const char *kind, *name;
	const char *origin; /* what replaces the "--" of an option in an error of the process */
	const struct process_settings *settings; /* NULL: those of this process */
	bool reports;				 /* else it serves from the start */
	bool once;				 /* never restarted */
	uint64_t restart_limit;			 /* deaths in a row; 0: none */
	uint64_t heartbeat_ms;			 /* between two heartbeats; 0: none */
};

enum supervised_state {
	SUPERVISED_DEAD,
	SUPERVISED_STARTING,
	SUPERVISED_SERVING,
	SUPERVISED_ENDING, /* to be replaced */
};

struct supervised_process {
	struct supervised_setup setup;
	/*
	 * Logs its standard output and error. The owner sets the name and the files before the
	 * first start.
	 */
	struct log_relay output;
	enum supervised_state state;
	struct process process;
	unsigned int restarts;	   /* after deaths */
	unsigned int replacements; /* by supervised_process_replace */
	/* The rest is private. */
	struct event_source exit_source;  /* the pidfd */
	struct event_source ready_source; /* the pipe that it reports through; fd -1: closed */
	struct control_channel control;
	struct timer heartbeat;
	unsigned int unanswered; /* heartbeats */
	struct log_limit requests;
	/* Until the start, until it must serve or end, or until the next request. */
	struct timer timer;
	bool replaced; /* the next start is not due to a death */
	bool served;   /* at least once */
	bool retired;  /* not started again */
	int64_t started_ms;
	struct oom_counts oom_before;
	struct restart_policy policy;
};

/*
 * Makes a process that does not run yet; *process must not move and was only zeroed. Returns 0, or
 * a negative errno with *error set; supervised_process_close is due in either case.
 */
int supervised_process_open(struct supervised_process *process,
			    const struct supervised_setup *setup, struct error *error);

/* Starts it for the first time. Returns 0 or a negative errno with *error set. */
int supervised_process_start(struct supervised_process *process, struct error *error);

/* Its number, or 0. */
static inline pid_t supervised_process_pid(const struct supervised_process *process)
{
	return process->process.pid;
}

/* Kills it if it runs, which is a death like any other. */
void supervised_process_kill(struct supervised_process *process);

/*
 * Replaces one that reports and serves, which is not a death: asks it to end, kills it after
 * SUPERVISED_END_MS, and starts it again at once. Does nothing in other states.
 */
void supervised_process_replace(struct supervised_process *process);

/* Has it log at @level from now on, if it reports and runs. */
void supervised_process_set_log_level(struct supervised_process *process, enum log_level level);

/* Lets it go on, but it is not started again. */
static inline void supervised_process_retire(struct supervised_process *process)
{
	process->retired = true;
}

/*
 * Asks it to end, when it reports; kills it if it has not served yet. It is not restarted. As
 * supervised_process_close, also for one that was only zeroed.
 */
void supervised_process_ask_to_end(struct supervised_process *process);

/*
 * Waits at most @grace_ms for its end, kills it then, and closes everything. Blocks. One that was
 * only zeroed is fine.
 */
void supervised_process_close(struct supervised_process *process, int grace_ms);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest on a caller's event loop: it starts the device processes and the engine, supervises them,
 * restarts a device process that dies, keeps the time limits, and reports how the guest ended. It
 * handles no signals and no terminal, and has no state outside of itself, so that a process can
 * have several guests. What happens to the guest is logged.
 *
 * All functions are for the thread of the loop, which must be the main thread (base/process.h).
 */
#ifndef AVP_GUEST_RUN_GUEST_H
#define AVP_GUEST_RUN_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "guest/config/config.h"
#include "guest/run/supervisor.h"
#include "host/terminal.h"

/* How a guest ended; the values are the exit statuses of `avp run`. */
enum guest_end {
	/*
	 * The guest powered itself off, by itself or because its power button was pressed. Also a
	 * guest that was asked to stop before it ran.
	 */
	GUEST_POWERED_OFF = 0,
	GUEST_FAILED = 1,   /* the engine or a device process failed for good */
	GUEST_PANICKED = 3, /* the guest's kernel reported a panic */
	/* Killed: it did not shut down in time, or guest_kill was called. */
	GUEST_KILLED = 4,
};

/* An engine whose guest does not run within this time has failed. */
#define GUEST_START_MS 60000
/* How long an engine gets to exit when its guest is killed. */
#define GUEST_KILL_MS 3000

struct guest;

/* Called from the loop, or within a call of a function below. They must not free the guest. */
struct guest_events {
	/* A step of the start was done, at @nanoseconds of CLOCK_MONOTONIC. */
	void (*step)(void *context, uint64_t nanoseconds, const char *step);
	/*
	 * The engine's process was started: the console may be connected. A negative errno with
	 * *error set makes the guest fail.
	 */
	int (*started)(void *context, struct error *error);
	/* All devices are served, and the guest's vCPUs run. Called once. */
	void (*ready)(void *context);
	/* The vCPUs run. Called once. */
	void (*running)(void *context);
	/*
	 * The guest was asked to shut down within @limit_ms, or, with 0, is being killed; may come
	 * several times. What is done is logged next.
	 */
	void (*stopping)(void *context, uint64_t limit_ms);
	/*
	 * Something happened; the first of @fields is LOG_TEXT("event", …). docs/control.md lists
	 * them. May be NULL.
	 */
	void (*happened)(void *context, const struct log_field *fields);
	/*
	 * What guest_pause or guest_resume asked for is done, or, with *error, which is NULL
	 * otherwise, is refused. May be NULL.
	 */
	void (*paused)(void *context, const struct error *error);
	void (*resumed)(void *context, const struct error *error);
	/*
	 * What guest_restart_device asked for device @index is done: see struct device_restart. May
	 * be NULL, if that is not called.
	 */
	void (*device_restarted)(void *context, size_t index, const char *lost,
				 const struct error *error);
	/* The guest has ended, or will never run: call guest_end. The last event. */
	void (*ended)(void *context);
};

struct guest_setup {
	struct event_loop *loop;
	const struct guest_config *config; /* checked; must outlive the guest */
	/*
	 * The guest's end of its console, its serial port: a connected stream socket, owned by the
	 * guest, also on failure.
	 */
	int console_fd;
	/* For the device that uses the terminal, or NULL; must outlive the guest. */
	const struct terminal *terminal;
	const struct guest_events *events;
	void *context;
	bool held; /* start no process before guest_release is called */
};

/*
 * Chooses the engine, opens all files, and starts the guest's processes. Blocks for as long as the
 * probe of KVM takes, KVM_PROBE_LIMIT_MS at most, and for the starts of processes. Returns 0 with
 * *guest set, or a negative errno with *error set and nothing started. *guest is set before events
 * come.
 */
int guest_start(struct guest **guest, const struct guest_setup *setup, struct error *error);

/*
 * Starts the processes of a guest that is held, as guest_start does. Returns 0 or a negative errno
 * with *error set; then the guest has failed.
 */
int guest_release(struct guest *guest, struct error *error);

/*
 * Asks the guest to shut down: presses its power button, again and again, and kills it after the
 * configured time. A guest that does not run yet, or that was asked before, is killed at once. @why
 * starts the log line.
 */
void guest_stop(struct guest *guest, const char *why);

/* Kills the guest; @why as above. The second time with SIGKILL. */
void guest_kill(struct guest *guest, const char *why);

/*
 * Pauses the guest's vCPUs; resume has them run again. Device processes finish the requests that
 * they have; the guest's clocks go on. Returns 0 when the guest is in that state already,
 * -EINPROGRESS when the event follows, or a negative errno with *error set: the guest does not run
 * yet, is being stopped, or its engine cannot. Stopping a paused guest resumes it.
 */
int guest_pause(struct guest *guest, struct error *error);
int guest_resume(struct guest *guest);

/*
 * Restarts the process of device @name, an untrusted text, without the guest noticing more than a
 * pause of the device. Returns -EINPROGRESS with *index set: the event follows; or a negative errno
 * with *error set: there is no such device, it or the guest is not ready, or the engine cannot.
 */
int guest_restart_device(struct guest *guest, const char *name, size_t *index, struct error *error);

/* Whether the guest was asked to shut down, or is being killed. */
bool guest_is_stopping(const struct guest *guest);

/* "created" (it is held), "starting", "running", "paused", "stopping" or "ended". */
const char *guest_state(const struct guest *guest);

/* The process of the engine; 0: it does not run. */
pid_t guest_engine_process(const struct guest *guest);

/* Device @index, in the order of the configuration. */
struct supervisor_device guest_device(const struct guest *guest, size_t index);

/* Whether the engine is connected to the process of device @index; -1: it does not report that. */
int guest_device_attached(const struct guest *guest, size_t index);

/* Sets the level of the log of the engine's process, if it is AVP's. */
void guest_set_log_level(struct guest *guest, enum log_level level);

/*
 * Logs once which processes run what. It is done by itself when the guest runs; a caller that shows
 * the console does it before the first output.
 */
void guest_announce(struct guest *guest);

/* The name of the engine. */
const char *guest_engine_name(const struct guest *guest);

/* Whether @pid is a child that the guest has started and will reap. */
bool guest_has_child(const struct guest *guest, pid_t pid);

/* Whether the vCPUs have run. */
bool guest_has_run(const struct guest *guest);

/*
 * Ends all processes that are left and waits for them: at most a few seconds. On return they and
 * their sockets are gone, and the console has no writer any more. Safe to call again; NULL is fine.
 */
void guest_end(struct guest *guest);

/* Words that complete "the guest …"; "" before the event ended. */
const char *guest_how(const struct guest *guest);

/*
 * After guest_end: logs how the guest ended. @output, words on its output, is appended; "": none.
 * Returns 0 with *end set, or a negative errno with *error set when the guest never ran.
 */
int guest_take_result(struct guest *guest, const char *output, enum guest_end *end,
		      struct error *error);

/* Ends and frees the guest. NULL is fine. */
void guest_free(struct guest *guest);

#endif

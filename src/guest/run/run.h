// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs one guest in the foreground: with its console on the terminal, and signals that end it.
 */
#ifndef AVP_GUEST_RUN_RUN_H
#define AVP_GUEST_RUN_RUN_H

#include "base/error.h"
#include "guest/config/config.h"
#include "guest/run/guest.h"

/*
 * SIGTERM, SIGINT, SIGQUIT and SIGHUP press the guest's power button, except those that were
 * ignored at the start. A guest that still runs after the configured time, or at a second signal,
 * is killed; see base/stop_request.h.
 */

/* A caller that holds the guest until the verb `start`, and follows its status. */
struct guest_run_holder {
	int control_fd; /* a socket that listens; owned by guest_run, also on failure */
	/* All is open, and the verb `start` is waited for next. May block. */
	int (*held)(void *context, struct error *error);
	/* The guest is "running" (from its start on) or "paused"; reported to clients next. */
	int (*changed)(void *context, const char *status, struct error *error);
	void *context;
};

/*
 * Runs the guest that *config describes, which guest_config_check has accepted, and blocks until it
 * has ended. The guest's name is reserved meanwhile: a given name that is taken is a usage error; a
 * guest without a name gets a free one in *config. The console is standard input and output. Which
 * processes run and how the guest ended is logged. On return every process and socket is gone; no
 * socket ever had a name in the file system for longer than a moment. Returns 0 with *end set, or a
 * negative errno with *error set when the guest never ran. Call from the main thread; it takes over
 * the signals named above meanwhile. With a @holder the guest waits for the verb `start` of its
 * control socket, and its name is not reserved; NULL: there is none. A callback that returns a
 * negative errno with *error set makes what was asked for fail.
 */
int guest_run(struct guest_config *config, const struct guest_run_holder *holder,
	      enum guest_end *end, struct error *error);

#endif

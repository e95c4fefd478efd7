// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs one guest to its end: starts the device processes and the engine, supervises them,
 * restarts a device process that dies, and tells how the guest ended.
 */
#ifndef AVP_GUEST_RUN_RUN_H
#define AVP_GUEST_RUN_RUN_H

#include "base/error.h"
#include "guest/config/config.h"

/* How a guest ended; the values are the exit statuses of `avp run`. */
enum guest_end {
	/*
	 * The guest switched itself off: by itself, or because a signal had its power button
	 * pressed. Also one that was asked to stop before it ran.
	 */
	GUEST_POWERED_OFF = 0,
	GUEST_FAILED = 1,   /* the engine or a device process failed for good */
	GUEST_PANICKED = 3, /* the guest's kernel reported a panic */
	/*
	 * Ended as it stood: it did not shut down in time, a second signal, the console's quit
	 * keys.
	 */
	GUEST_KILLED = 4,
};

/*
 * SIGTERM, SIGINT, SIGQUIT and SIGHUP, but those that were ignored at the start, press the guest's
 * power button. A guest that still runs after the configured time, or at a second signal, is ended
 * as it stands; see base/stop_request.h.
 */

/* An engine that does not have the guest's processors run after this time has failed. */
#define GUEST_START_MS 60000

/*
 * Runs the guest that *config describes, which guest_config_check has accepted, and blocks until it
 * has ended. Its name is its own meanwhile: a given one that is taken is a usage error, and *config
 * gets another one when none was given. Its console is standard input and output; what runs where
 * and how it ended is logged. On return every process and socket that was started or made is gone,
 * and none has ever had a name in the file system. Returns 0 with *end set, or a negative errno
 * with *error set when the guest never ran. Call from the main thread; it takes over the signals
 * named above meanwhile.
 */
int guest_run(struct guest_config *config, enum guest_end *end, struct error *error);

#endif

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

/*
 * Runs the guest that *config describes, which guest_config_check has accepted, and blocks until it
 * has ended. The guest's name is reserved meanwhile: a given name that is taken is a usage error; a
 * guest without a name gets a free one in *config. The console is standard input and output. Which
 * processes run and how the guest ended is logged. On return every process and socket is gone; no
 * socket ever had a name in the file system for longer than a moment. Returns 0 with *end set, or a
 * negative errno with *error set when the guest never ran. Call from the main thread; it takes over
 * the signals named above meanwhile.
 */
int guest_run(struct guest_config *config, enum guest_end *end, struct error *error);

#endif

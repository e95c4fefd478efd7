// SPDX-License-Identifier: BSD-3-Clause
/*
 * What only the host can do to a machine, for tests of how devices tell the guest. The word host=1
 * says that it acts on lines "host VERB ARGUMENT" of the log (docs/conform-log.md). Nothing
 * answers: a test waits HOST_MS for the effect, and skips if it sees none.
 */
#ifndef CONFORM_HOST_H
#define CONFORM_HOST_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_MS	    5000
#define HOST_NEEDED "the host must act during the test: add host=1 to the command line if it does"

bool host_acts(void);
/* Each asks; do so only if host_acts(). The first network device's link: */
void host_set_link(bool up);
/* The size of the disk that tests write to, in bytes: */
void host_resize(uint64_t size);
/* Takes a port away from the console: */
void host_unplug(void);
/* Has the first network device ask its driver for announcements, as after a migration: */
void host_announce(void);

/*
 * Brings the controller of the first CAN device off the bus when it sends next. Ask only if
 * host_breaks_bus().
 */
bool host_breaks_bus(void);
void host_break_bus(void);

/* Asks to undo what the test has changed, and waits for it. Called by the runner. */
void host_restore(void);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Notifies a service manager of the state of this process (sd_notify(3)): a datagram of lines
 * VARIABLE=VALUE to the socket that NOTIFY_SOCKET names. Without that variable nothing is sent.
 */
#ifndef AVP_GUEST_RUN_SERVICE_MANAGER_H
#define AVP_GUEST_RUN_SERVICE_MANAGER_H

#include <stdbool.h>

#include "base/event_loop.h"
#include "base/timer.h"

struct service_manager {
	int fd;		       /* connected; -1: no service manager */
	struct timer watchdog; /* period: half of WATCHDOG_USEC */
	uint64_t watchdog_ns;
	bool complained;
};

#define SERVICE_MANAGER_NONE ((struct service_manager){.fd = -1, .watchdog = TIMER_NONE})

/*
 * Connects to the service manager that the environment names, if any, and has the event loop notify
 * its watchdog (WATCHDOG_USEC). Removes the variables from the environment so that children do not
 * inherit them. A service manager that cannot be reached is only worth a warning, as the variables
 * may have been inherited by mistake.
 */
void service_manager_open(struct service_manager *manager, struct event_loop *loop);

/* Sends lines, without a final newline. The first failure is logged. */
void service_manager_notify(struct service_manager *manager, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Does nothing on SERVICE_MANAGER_NONE. */
void service_manager_close(struct service_manager *manager);

#endif

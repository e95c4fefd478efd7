// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a service manager is told of this process (sd_notify(3)): a datagram of lines VARIABLE=VALUE
 * to the socket that NOTIFY_SOCKET names. Nobody who listens is fine.
 */
#ifndef AVP_GUEST_RUN_SERVICE_MANAGER_H
#define AVP_GUEST_RUN_SERVICE_MANAGER_H

#include <stdbool.h>

#include "base/event_loop.h"
#include "base/timer.h"

struct service_manager {
	int fd;		       /* connected; -1: there is none */
	struct timer watchdog; /* at half of the time that it allows */
	uint64_t watchdog_ns;
	bool complained;
};

#define SERVICE_MANAGER_NONE ((struct service_manager){.fd = -1, .watchdog = TIMER_NONE})

/*
 * Connects to the service manager that the environment names, if any, and has the loop tell it that
 * it turns as often as it wants to hear that (WATCHDOG_USEC). What the environment says is removed
 * from it: it is not for children. A service manager that cannot be reached gets a warning, as an
 * environment is easily inherited.
 */
void service_manager_open(struct service_manager *manager, struct event_loop *loop);

/* Tells lines, without the end of the last one. One that is not heard is logged, the first time. */
void service_manager_tell(struct service_manager *manager, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* One that is SERVICE_MANAGER_NONE is left alone. */
void service_manager_close(struct service_manager *manager);

#endif

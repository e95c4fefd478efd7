// SPDX-License-Identifier: BSD-3-Clause
/* The broker of a stand-alone monitor: a child process that connects for it. */
#ifndef AVP_MONITOR_RUN_BROKER_PROCESS_H
#define AVP_MONITOR_RUN_BROKER_PROCESS_H

#include <stddef.h>

#include "vhost/broker.h"

/*
 * Starts the child, which connects to the sockets at @paths and exits with this process. Call it
 * before any thread is started. Returns 0 with *broker usable, or a negative errno with *error set.
 */
int broker_process_start(struct broker *broker, const char *const *paths, size_t count,
			 struct error *error);

#endif

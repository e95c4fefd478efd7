// SPDX-License-Identifier: BSD-3-Clause
/* A service in the test's process, with its socket and its configuration in a directory. */
#ifndef AVP_TESTS_UNIT_SERVICE_RIG_H
#define AVP_TESTS_UNIT_SERVICE_RIG_H

#include "service/run/service.h"
#include "unit/scratch.h"

struct service_rig {
	struct service service;
	struct scratch scratch;
	struct service_options serving;
	char socket_path[128], config_path[128];
};

/*
 * Opens the service with its @options, of which @given were given, and with the text of a
 * configuration file, or NULL. Returns what service_open does; prints why it does not open.
 */
int service_rig_open(struct service_rig *rig, const struct service_program *program, void *options,
		     const struct option_list *given, const char *config);
void service_rig_close(struct service_rig *rig);

/* Joins as @name. Returns the client's end, owned by the caller, or a negative errno. */
int service_rig_join(struct service_rig *rig, const char *name);

#endif

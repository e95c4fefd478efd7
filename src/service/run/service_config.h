// SPDX-License-Identifier: BSD-3-Clause
/*
 * The configuration file of a service: JSON, an object with the options of the service and one with
 * its clients, read by the same rows as the command line.
 */
#ifndef AVP_SERVICE_RUN_SERVICE_CONFIG_H
#define AVP_SERVICE_RUN_SERVICE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/option.h"
#include "service/kit/service_type.h"

struct service_config {
	const struct service_type *type;
	void *options;	      /* of the service */
	void *client_options; /* of a client without an entry: the defaults */
	bool listed;	      /* only the clients below may join */
	size_t client_count;
	struct {
		char *name;
		void *options;
	} clients[SERVICE_CLIENTS_MAX];
};

/*
 * Takes the options of the command line: the members of @options that @given names, and for the
 * rest the file at @path (NULL: none) and the defaults; and checks them. Call service_config_clear
 * in any case. Mistakes are usage errors.
 */
int service_config_read(struct service_config *config, const struct service_type *type,
			void *options, const struct option_list *given, const char *path,
			struct error *error);

/* The options of a client; NULL: it may not join. */
const void *service_config_client(const struct service_config *config, const char *name);

/* Safe on one that is zeroed. */
void service_config_clear(struct service_config *config);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the rest of AVP knows about a service: a table row. `avp service NAME`, its configuration
 * file and the tables on its page come from it.
 */
#ifndef AVP_SERVICE_KIT_SERVICE_TYPE_H
#define AVP_SERVICE_KIT_SERVICE_TYPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/command.h"
#include "base/control_server.h"
#include "base/error.h"
#include "base/option.h"

struct service_type {
	const char *name;    /* as in `avp service NAME` */
	const char *summary; /* one line for help */
	/* Its own options: of the command line, and of the object @key in a configuration file. */
	const char *key;
	const struct option_row *options;
	size_t options_size;
	/* What each client may do: the objects in `clients` in a configuration file. */
	const struct option_row *client_options;
	size_t client_options_size;
	/*
	 * Check the values of the two against each other; NULL: nothing to check. Messages start
	 * with the name of the option that is wrong.
	 */
	int (*check)(const void *options, struct error *error);
	int (*check_client)(const void *options, struct error *error);
	/*
	 * What its control socket answers beside service_verbs, for documents: the program has the
	 * handlers. May be NULL.
	 */
	const struct control_verb *verbs;
	/* Its program: see SERVICE_PROGRAM. The folder's program.c has the code. */
	struct command program;
};

/* The names of the program of @type, which avp executes. */
#define SERVICE_PROGRAM(type) .name = type, .path = "avp service " type, .program = "service-" type

#define SERVICE_PROGRAM_GROUPS(rows, size)                                                       \
	(const struct option_group[])                                                            \
	{                                                                                        \
		{"Service options", rows, size, true},                                           \
			{"Serving options", service_option_rows, sizeof(struct service_options), \
			 false},                                                                 \
			{NULL, NULL, 0, false},                                                  \
	}

/* The options that every service takes for serving. */
struct service_options {
	char *socket_path;
	char *config;
	uint64_t ready_fd;
	uint64_t sandbox; /* enum service_sandbox */
};

enum service_sandbox { SERVICE_SANDBOX_ON, SERVICE_SANDBOX_OFF };

extern const struct option_row service_option_rows[];

/* What the control socket of every service answers; the handlers are in service/run. */
extern const struct control_verb service_verbs[];
extern const struct control_verb service_events[];

/* Clients that are connected, and in a configuration file, under this key. */
#define SERVICE_CLIENTS_MAX 64
#define SERVICE_CLIENTS_KEY "clients"

/* The longest name of a client, with its zero. */
#define SERVICE_NAME_SIZE 64

struct service_join {
	char *client;
};

/* One for each folder that src/service/meson.build lists, in that order; ends with NULL. */
extern const struct service_type *const service_types[];
/* Their programs, in the same order. */
extern const struct command *const service_programs[];

/* Their names, for an option that takes one; ends with NULL. */
extern const char *const service_names[];

/* The service of that name; NULL: there is none. */
const struct service_type *service_type_find(const char *name);

#endif

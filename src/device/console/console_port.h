// SPDX-License-Identifier: BSD-3-Clause
/*
 * The ports of a console device as text: NAME:terminal, NAME:socket:PATH, NAME:file:PATH,
 * NAME:echo and NAME:null.
 */
#ifndef AVP_DEVICE_CONSOLE_CONSOLE_PORT_H
#define AVP_DEVICE_CONSOLE_CONSOLE_PORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "device/console/console.h"
#include "device/console/options.h"

enum console_port_kind {
	CONSOLE_PORT_TERMINAL, /* standard input and output of the process that runs the guest */
	CONSOLE_PORT_SOCKET,   /* clients of a Unix stream socket, one at a time */
	CONSOLE_PORT_FILE,     /* what the guest writes is appended to a file */
	CONSOLE_PORT_ECHO,     /* what the guest writes comes back to it */
	CONSOLE_PORT_NULL,
};

struct console_port_option {
	char name[CONSOLE_PORT_NAME_MAX + 1];
	enum console_port_kind kind;
	const char *path; /* a part of the option's text; NULL for kinds that have none */
};

/*
 * Reads the ports of @options: without any there is one, which leads to the terminal. Returns their
 * number, or a negative errno with *error set: a usage error that starts with "port".
 */
int console_ports_read(const struct console_options *options,
		       struct console_port_option ports[CONSOLE_PORTS_MAX], struct error *error);

/* The path within the text of a port; NULL when it has none, or is not a port. */
const char *console_port_path(const char *text, enum option_path_use *use);

/* Whether one of the ports leads to the terminal. @options: struct console_options, checked. */
bool console_uses_terminal(const void *options);

#endif

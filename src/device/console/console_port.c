// SPDX-License-Identifier: BSD-3-Clause
/* The ports of a console device as text. */
#include "device/console/console_port.h"

#include <string.h>

#include "base/text.h"
#include "device/console/options.h"

static const struct {
	const char *name;
	bool has_path;
} kinds[] = {
	[CONSOLE_PORT_TERMINAL] = {"terminal", false}, [CONSOLE_PORT_SOCKET] = {"socket", true},
	[CONSOLE_PORT_FILE] = {"file", true},	       [CONSOLE_PORT_ECHO] = {"echo", false},
	[CONSOLE_PORT_NULL] = {"null", false},
};

static bool read_port(const char *text, struct console_port_option *port)
{
	const char *kind = strchr(text, ':'), *path;
	size_t length;

	if (!kind || (size_t)(kind - text) >= sizeof(port->name))
		return false;
	memcpy(port->name, text, (size_t)(kind - text));
	port->name[kind - text] = 0;
	/* The guest's udev makes a file with this name: /dev/virtio-ports/NAME. */
	if (!text_is_name(port->name))
		return false;
	kind++;
	path = strchr(kind, ':');
	length = path ? (size_t)(path - kind) : strlen(kind);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strlen(kinds[i].name) != length || strncmp(kind, kinds[i].name, length))
			continue;
		port->kind = (enum console_port_kind)i;
		port->path = path ? path + 1 : NULL;
		return kinds[i].has_path ? path && path[1] : !path;
	}
	return false;
}

const char *console_port_path(const char *text, enum option_path_use *use)
{
	struct console_port_option port = {.path = NULL};

	if (!read_port(text, &port))
		return NULL;
	*use = port.kind == CONSOLE_PORT_SOCKET ? OPTION_PATH_BOUND : OPTION_PATH_APPENDED;
	return port.path;
}

int console_ports_read(const struct console_options *options,
		       struct console_port_option ports[CONSOLE_PORTS_MAX], struct error *error)
{
	size_t count = options->ports.count;
	bool terminal = false;

	if (count == 0) {
		ports[0] = (struct console_port_option){"console", CONSOLE_PORT_TERMINAL, NULL};
		return 1;
	}
	if (count > CONSOLE_PORTS_MAX)
		return error_set_usage(error, "port: is given %zu times; give at most %d", count,
				       CONSOLE_PORTS_MAX);
	for (size_t i = 0; i < count; i++) {
		const char *text = options->ports.items[i];

		if (!read_port(text, &ports[i]))
			return error_set_usage(error,
					       "port: '%s' is not a port; give NAME:terminal, "
					       "NAME:socket:PATH, NAME:file:PATH, NAME:echo or "
					       "NAME:null",
					       text);
		if (ports[i].kind == CONSOLE_PORT_TERMINAL && terminal)
			return error_set_usage(
				error, "port: two lead to the terminal; give one of them a socket");
		terminal = terminal || ports[i].kind == CONSOLE_PORT_TERMINAL;
		for (size_t j = 0; j < i; j++)
			if (!strcmp(ports[j].name, ports[i].name))
				return error_set_usage(
					error, "port: two are called '%s'; rename one of them",
					ports[i].name);
	}
	return (int)count;
}

bool console_uses_terminal(const void *options)
{
	struct console_port_option ports[CONSOLE_PORTS_MAX] = {0};
	int count = console_ports_read(options, ports, NULL);

	for (int i = 0; i < count; i++)
		if (ports[i].kind == CONSOLE_PORT_TERMINAL)
			return true;
	return false;
}

int console_options_check(const void *options, struct error *error)
{
	struct console_port_option ports[CONSOLE_PORTS_MAX];
	int count = console_ports_read(options, ports, error);

	return count < 0 ? count : 0;
}

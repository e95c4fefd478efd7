// SPDX-License-Identifier: BSD-3-Clause
/* A forward from a port of the host to a port of the guest, as text: tcp:127.0.0.1:8080:80. */
#include "device/net/port_forward.h"

#include <arpa/inet.h>
#include <string.h>

/* Reads a port up to @end, which must come right after its digits. */
static bool read_port(const char *text, const char *end, uint16_t *port)
{
	unsigned int value = 0;

	if (text == end)
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (*text - '0');
		if (value > UINT16_MAX)
			return false;
	}
	*port = value;
	return value != 0;
}

static bool read_address(const char *text, const char *end, struct in_addr *address)
{
	char copy[INET_ADDRSTRLEN];
	size_t length = end - text;

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = 0;
	return inet_pton(AF_INET, copy, address) == 1;
}

static bool read_forward(const char *text, struct port_forward *forward)
{
	const char *last = strrchr(text, ':');
	const char *rest = text + strlen("tcp:");
	const char *middle;

	*forward = (struct port_forward){.address.s_addr = htonl(INADDR_LOOPBACK)};
	forward->udp = !strncmp(text, "udp:", 4);
	if ((!forward->udp && strncmp(text, "tcp:", 4)) || last < rest)
		return false;
	middle = memrchr(rest, ':', last - rest);
	if (middle && !read_address(rest, middle, &forward->address))
		return false;
	return read_port(middle ? middle + 1 : rest, last, &forward->port) &&
	       read_port(last + 1, text + strlen(text), &forward->guest_port);
}

int port_forward_parse(const char *text, struct port_forward *forward, struct error *error)
{
	if (!read_forward(text, forward))
		return error_set_usage(error,
				       "'%.80s' is not a forward; write "
				       "tcp:[ADDRESS:]PORT:GUESTPORT or udp:…, such as "
				       "tcp:127.0.0.1:8080:80",
				       text);
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
/* The host's name servers, as resolv.conf(5) lists them. */
#ifndef AVP_DEVICE_NET_USER_NAME_SERVERS_H
#define AVP_DEVICE_NET_USER_NAME_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Servers that are used; a longer list is cut. */
#define NAME_SERVERS_MAX 8

/* Room for a server's address as text. */
#define NAME_SERVER_TEXT 64

struct name_server {
	uint32_t family;     /* AF_INET or AF_INET6 */
	uint32_t scope;	     /* interface of a link-local IPv6 address; 0: none */
	uint8_t address[16]; /* IPv4 uses the first 4 bytes; the rest is 0 */
};

/* Unused entries are all zero. */
struct name_servers {
	uint32_t count;
	struct name_server servers[NAME_SERVERS_MAX];
};

/* Returns the number of the interface @name, 0 when there is none. */
typedef uint32_t name_servers_find_interface(const char *name, void *context);

/*
 * Reads the @length bytes of a resolv.conf: lines "nameserver ADDRESS", with %INTERFACE, a name or
 * a number, after an IPv6 address. Other lines, invalid addresses and duplicates are ignored.
 */
void name_servers_parse(struct name_servers *servers, const char *text, size_t length,
			name_servers_find_interface *find_interface, void *context);

/* Whether a list from another process is one that name_servers_parse can make. */
bool name_servers_are_sane(const struct name_servers *servers);

bool name_servers_are_equal(const struct name_servers *one, const struct name_servers *other);

/* Makes the socket address of a server. Returns its length. */
socklen_t name_server_address(const struct name_server *server, uint16_t port,
			      struct sockaddr_storage *address);

const char *name_server_print(const struct name_server *server, char text[NAME_SERVER_TEXT]);

#endif

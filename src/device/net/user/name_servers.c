// SPDX-License-Identifier: BSD-3-Clause
/* Lists of name servers. */
#include "device/net/user/name_servers.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define KEYWORD	 "nameserver"
#define BLANKS	 " \t"
#define WORD_MAX (INET6_ADDRSTRLEN + IF_NAMESIZE)

/* The number of an interface; 0: not a number. */
static uint32_t read_number(const char *text)
{
	uint64_t number = 0;

	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		number = number * 10 + (uint64_t)(*text - '0');
		if (number > UINT32_MAX)
			return 0;
	}
	return (uint32_t)number;
}

static bool read_server(struct name_server *server, char *word,
			name_servers_find_interface *find_interface, void *context)
{
	char *scope = strchr(word, '%');

	*server = (struct name_server){.family = AF_INET};
	if (inet_pton(AF_INET, word, server->address) == 1)
		return true;
	if (scope)
		*scope++ = 0;
	server->family = AF_INET6;
	if (inet_pton(AF_INET6, word, server->address) != 1)
		return false;
	/* RFC 4007, 11.2: a name, or a number. */
	if (scope)
		server->scope = find_interface(scope, context);
	if (scope && !server->scope)
		server->scope = read_number(scope);
	return !scope || server->scope;
}

static void add_server(struct name_servers *servers, const struct name_server *server)
{
	for (uint32_t i = 0; i < servers->count; i++)
		if (!memcmp(&servers->servers[i], server, sizeof(*server)))
			return;
	if (servers->count < NAME_SERVERS_MAX)
		servers->servers[servers->count++] = *server;
}

/* The address of a line, as a string in @word. False: the line names no server. */
static bool find_word(const char *line, size_t length, char word[WORD_MAX])
{
	const size_t keyword = strlen(KEYWORD);
	size_t at = keyword, size = 0;

	if (length <= keyword || memcmp(line, KEYWORD, keyword) || !strchr(BLANKS, line[keyword]))
		return false;
	while (at < length && line[at] && strchr(BLANKS, line[at]))
		at++;
	while (at < length && line[at] && !strchr(BLANKS "\r", line[at])) {
		if (size == WORD_MAX - 1)
			return false;
		word[size++] = line[at++];
	}
	word[size] = 0;
	return size > 0;
}

void name_servers_parse(struct name_servers *servers, const char *text, size_t length,
			name_servers_find_interface *find_interface, void *context)
{
	memset(servers, 0, sizeof(*servers));
	while (length > 0) {
		const char *end = memchr(text, '\n', length);
		size_t line = end ? (size_t)(end - text) : length;
		struct name_server server;
		char word[WORD_MAX];

		if (find_word(text, line, word) &&
		    read_server(&server, word, find_interface, context))
			add_server(servers, &server);
		line += end ? 1 : 0;
		text += line;
		length -= line;
	}
}

bool name_servers_are_sane(const struct name_servers *servers)
{
	if (servers->count > NAME_SERVERS_MAX)
		return false;
	for (uint32_t i = 0; i < servers->count; i++)
		if (servers->servers[i].family != AF_INET && servers->servers[i].family != AF_INET6)
			return false;
	return true;
}

bool name_servers_are_equal(const struct name_servers *one, const struct name_servers *other)
{
	return !memcmp(one, other, sizeof(*one));
}

socklen_t name_server_address(const struct name_server *server, uint16_t port,
			      struct sockaddr_storage *address)
{
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof(*address));
	if (server->family == AF_INET) {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons(port);
		memcpy(&ipv4->sin_addr, server->address, sizeof(ipv4->sin_addr));
		return sizeof(*ipv4);
	}
	ipv6->sin6_family = AF_INET6;
	ipv6->sin6_port = htons(port);
	ipv6->sin6_scope_id = server->scope;
	memcpy(&ipv6->sin6_addr, server->address, sizeof(ipv6->sin6_addr));
	return sizeof(*ipv6);
}

const char *name_server_print(const struct name_server *server, char text[NAME_SERVER_TEXT])
{
	char address[INET6_ADDRSTRLEN];

	inet_ntop((int)server->family, server->address, address, sizeof(address));
	if (server->scope)
		snprintf(text, NAME_SERVER_TEXT, "%s%%%u", address, server->scope);
	else
		snprintf(text, NAME_SERVER_TEXT, "%s", address);
	return text;
}

// SPDX-License-Identifier: BSD-3-Clause
/* The DHCP server of the user-mode network. */
#include "device/net/user/dhcp.h"

#include <string.h>

#include "base/big_endian.h"
#include "device/net/user/packet.h"

/* The message (RFC 2131, figure 1). */
#define OP	       0
#define HARDWARE       1
#define HARDWARE_SIZE  2
#define SECONDS	       8
#define CLIENT_ADDRESS 12
#define YOUR_ADDRESS   16
#define SERVER_ADDRESS 20
#define RELAY_ADDRESS  24
#define CLIENT_MAC     28
#define COOKIE	       236
#define OPTIONS	       240
#define LENGTH_MIN     300 /* RFC 951, 3: clients of BOOTP expect at least that */
#define OP_REQUEST     1
#define OP_REPLY       2
#define ETHERNET       1
#define MAGIC	       0x63825363
#define BROADCAST      UINT32_MAX
#define LEASE_SECONDS  86400

enum option {
	OPTION_PAD = 0,
	OPTION_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_NAME_SERVER = 6,
	OPTION_HOST_NAME = 12,
	OPTION_MTU = 26,
	OPTION_REQUESTED = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_END = 255,
};

enum type {
	TYPE_BOOTP = 0, /* not DHCP: a client of RFC 951 */
	TYPE_DISCOVER = 1,
	TYPE_OFFER = 2,
	TYPE_REQUEST = 3,
	TYPE_ACK = 5,
	TYPE_NAK = 6,
	TYPE_RELEASE = 7,
	TYPE_INFORM = 8,
};

/* The relevant parts of a client's message. */
struct request {
	const uint8_t *mac;
	uint8_t type;
	uint32_t server, requested; /* 0: not given */
	uint32_t client;	    /* the address that it uses; 0: none */
};

static void read_option(struct request *request, uint8_t option, const uint8_t *value,
			uint8_t length)
{
	if (option == OPTION_TYPE && length == 1)
		request->type = value[0];
	else if (option == OPTION_SERVER && length == 4)
		request->server = big_endian_get32(value);
	else if (option == OPTION_REQUESTED && length == 4)
		request->requested = big_endian_get32(value);
}

/* False: the message is damaged. */
static bool read_options(struct request *request, const uint8_t *at, size_t left)
{
	while (left > 0 && *at != OPTION_END) {
		size_t size = 1;

		if (*at != OPTION_PAD) {
			if (left < 2 || (size_t)at[1] + 2 > left)
				return false;
			read_option(request, at[0], at + 2, at[1]);
			size = (size_t)at[1] + 2;
		}
		at += size;
		left -= size;
	}
	return true;
}

static bool read_request(struct request *request, const uint8_t *message, size_t length)
{
	if (length < COOKIE || message[OP] != OP_REQUEST || message[HARDWARE] != ETHERNET ||
	    message[HARDWARE_SIZE] != ETH_ALEN || big_endian_get32(message + RELAY_ADDRESS))
		return false;
	*request = (struct request){
		.mac = message + CLIENT_MAC,
		.client = big_endian_get32(message + CLIENT_ADDRESS),
	};
	if (length < OPTIONS || big_endian_get32(message + COOKIE) != MAGIC)
		return true;
	return read_options(request, message + OPTIONS, length - OPTIONS);
}

/* The client's lease or, if it has none, a free one; DHCP_LEASES when all are in use. */
static size_t find_lease(const struct dhcp_server *server, const uint8_t *mac, uint32_t desired)
{
	size_t wanted = desired - server->settings.first_address, found = DHCP_LEASES;

	for (size_t i = 0; i < DHCP_LEASES; i++) {
		if (server->leases[i].used && !memcmp(server->leases[i].mac, mac, ETH_ALEN))
			return i;
		if (!server->leases[i].used && (found == DHCP_LEASES || i == wanted))
			found = i;
	}
	return found;
}

struct writer {
	uint8_t *at, *end;
};

static void add_option(struct writer *writer, uint8_t option, const void *value, size_t length)
{
	/* The answer has room for all options; its last byte is for the end option. */
	if (length > UINT8_MAX || (size_t)(writer->end - writer->at) < length + 3)
		return;
	*writer->at++ = option;
	*writer->at++ = (uint8_t)length;
	memcpy(writer->at, value, length);
	writer->at += length;
}

static void add_number(struct writer *writer, uint8_t option, uint32_t value)
{
	uint8_t bytes[4];

	big_endian_put32(bytes, value);
	add_option(writer, option, bytes, sizeof(bytes));
}

static void add_settings(struct writer *writer, const struct dhcp_settings *settings)
{
	uint8_t mtu[2];

	add_number(writer, OPTION_MASK, settings->mask);
	add_number(writer, OPTION_ROUTER, settings->gateway);
	add_number(writer, OPTION_NAME_SERVER, settings->name_server);
	if (settings->host_name)
		add_option(writer, OPTION_HOST_NAME, settings->host_name,
			   strlen(settings->host_name));
	big_endian_put16(mtu, settings->mtu);
	if (settings->mtu)
		add_option(writer, OPTION_MTU, mtu, sizeof(mtu));
}

/* Writes the answer of @type that gives @address, 0 for none. Returns its length. */
static size_t write_answer(const struct dhcp_server *server, const uint8_t *message,
			   uint8_t *answer, uint8_t type, uint32_t address)
{
	const struct dhcp_settings *settings = &server->settings;
	struct writer writer = {answer + OPTIONS, answer + DHCP_ANSWER_MAX};

	memset(answer, 0, DHCP_ANSWER_MAX);
	/* Copy transaction, flags, relay and hardware address from the client, but no names. */
	memcpy(answer, message, CLIENT_MAC + 16);
	answer[OP] = OP_REPLY;
	big_endian_put16(answer + SECONDS, 0);
	if (type != TYPE_ACK)
		big_endian_put32(answer + CLIENT_ADDRESS, 0);
	big_endian_put32(answer + YOUR_ADDRESS, address);
	big_endian_put32(answer + SERVER_ADDRESS, type == TYPE_NAK ? 0 : settings->gateway);
	big_endian_put32(answer + COOKIE, MAGIC);
	if (type != TYPE_BOOTP) {
		add_option(&writer, OPTION_TYPE, &type, 1);
		add_number(&writer, OPTION_SERVER, settings->gateway);
		/* RFC 2131, 4.3.5: no lease for a client that has its address already. */
		if (address)
			add_number(&writer, OPTION_LEASE, LEASE_SECONDS);
	}
	if (type != TYPE_NAK)
		add_settings(&writer, settings);
	*writer.at++ = OPTION_END;
	return writer.at < answer + LENGTH_MIN ? LENGTH_MIN : (size_t)(writer.at - answer);
}

static size_t give_address(struct dhcp_server *server, const struct request *request,
			   const uint8_t *message, uint8_t *answer, uint32_t *to)
{
	uint32_t desired = request->requested ? request->requested : request->client;
	size_t lease = find_lease(server, request->mac, desired);
	uint32_t address = server->settings.first_address + (uint32_t)lease;
	uint8_t type = request->type == TYPE_DISCOVER ? TYPE_OFFER :
		       request->type == TYPE_REQUEST  ? TYPE_ACK :
							TYPE_BOOTP;

	/* RFC 2131, 4.3.2: a request for an address that cannot be granted is denied. */
	if (type == TYPE_ACK && (lease == DHCP_LEASES || desired != address)) {
		*to = BROADCAST;
		return write_answer(server, message, answer, TYPE_NAK, 0);
	}
	if (lease == DHCP_LEASES)
		return 0;
	server->leases[lease].used = true;
	memcpy(server->leases[lease].mac, request->mac, ETH_ALEN);
	return write_answer(server, message, answer, type, address);
}

static void release(struct dhcp_server *server, const struct request *request)
{
	size_t lease = find_lease(server, request->mac, 0);

	if (lease < DHCP_LEASES)
		server->leases[lease].used = false;
}

size_t dhcp_answer(struct dhcp_server *server, const uint8_t *message, size_t length,
		   uint8_t answer[DHCP_ANSWER_MAX], uint32_t *to)
{
	struct request request;

	if (!read_request(&request, message, length) ||
	    (request.server && request.server != server->settings.gateway))
		return 0;
	/* RFC 2131, 4.1: to the client's address, or broadcast if it has none. */
	*to = request.client ? request.client : BROADCAST;
	switch (request.type) {
	case TYPE_INFORM:
		if (!request.client)
			return 0;
		return write_answer(server, message, answer, TYPE_ACK, 0);
	case TYPE_BOOTP:
	case TYPE_DISCOVER:
	case TYPE_REQUEST:
		return give_address(server, &request, message, answer, to);
	case TYPE_RELEASE:
		release(server, &request);
		return 0;
	}
	return 0;
}

bool dhcp_is_start(const uint8_t *message, size_t length)
{
	struct request request;

	return read_request(&request, message, length) &&
	       (request.type == TYPE_DISCOVER || request.type == TYPE_BOOTP);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The DHCP server of the user-mode network (RFC 2131, options of RFC 2132): addresses for the guest
 * and a few interfaces behind it, and the settings of the network. Freestanding.
 */
#ifndef AVP_DEVICE_NET_USER_DHCP_H
#define AVP_DEVICE_NET_USER_DHCP_H

#include <linux/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68

/* Interfaces that get an address: first_address and those that follow. */
#define DHCP_LEASES 16

/* The longest host name (RFC 1035, 2.3.4: a label). */
#define DHCP_HOST_NAME_MAX 63

/* The size that every client accepts: RFC 2131, 2, an IP packet of 576 bytes. */
#define DHCP_ANSWER_MAX (576 - 28)

/* Addresses are in host byte order. */
struct dhcp_settings {
	uint32_t gateway, mask, name_server;
	uint32_t first_address;
	uint16_t mtu;	       /* 0: the guest decides */
	const char *host_name; /* of the guest, at most DHCP_HOST_NAME_MAX bytes; NULL: none */
};

struct dhcp_server {
	struct dhcp_settings settings;
	struct {
		bool used;
		uint8_t mac[ETH_ALEN];
	} leases[DHCP_LEASES];
};

/*
 * Handles a client's message of @length bytes and writes the answer into @answer. Returns its
 * length, or 0 for no answer. *to becomes its destination: the client's address, or all ones.
 */
size_t dhcp_answer(struct dhcp_server *server, const uint8_t *message, size_t length,
		   uint8_t answer[DHCP_ANSWER_MAX], uint32_t *to);

/* Whether a client starts to ask for an address with this message, as after boot. */
bool dhcp_is_start(const uint8_t *message, size_t length);

#endif

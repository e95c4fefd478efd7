// SPDX-License-Identifier: BSD-3-Clause
/*
 * The name server of the user-mode network: handles the guest's packets to it, over UDP and TCP,
 * and asks the host's current name servers.
 */
#ifndef AVP_DEVICE_NET_USER_USER_DNS_H
#define AVP_DEVICE_NET_USER_USER_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "device/net/user/dns_relay.h"
#include "device/net/user/dns_tcp.h"
#include "device/net/user/resolv_reader.h"

/* A packet's payload starts after room for the longest headers, even if its own are shorter. */
#define USER_DNS_FRAME_MAX (DNS_TCP_ROOM + IPV4_LENGTH_MAX - IPV4_HEADER)

/* A frame for the guest. */
typedef void user_dns_deliver(void *context, const void *frame, size_t length);

struct user_dns {
	struct dns_relay relay;
	struct dns_tcp tcp;
	struct resolv_reader reader;
	bool known; /* whether the host's name servers are known yet */
	uint32_t address;
	uint8_t prefix[IPV6_PREFIX];
	uint16_t mtu;
	user_dns_deliver *deliver;
	void *context;
	uint8_t frame[USER_DNS_FRAME_MAX];
};

/*
 * @dns: zeroed. @address is the name server's, @prefix that of the IPv6 network, @mtu that of the
 * link. No query may come before user_dns_start.
 */
void user_dns_init(struct user_dns *dns, uint32_t address, const uint8_t prefix[IPV6_PREFIX],
		   uint16_t mtu, user_dns_deliver *deliver, void *context);

/*
 * Starts to follow the file @path, which lists the host's name servers; NULL: there are none.
 * Forks: see resolv_reader_start.
 */
int user_dns_start(struct user_dns *dns, struct event_loop *loop, const char *path,
		   struct error *error);

/* Safe after user_dns_init. */
void user_dns_stop(struct user_dns *dns);

/* Handles a frame with the verdict FRAME_FOR_DNS. False: it is not a query. */
bool user_dns_take(struct user_dns *dns, const uint8_t *frame, size_t length, int64_t now_ms);

/* The guest has been reset: forgets what it asked and its connections. */
void user_dns_reset(struct user_dns *dns);

/* When to call user_dns_expire; INT64_MAX: never. */
int64_t user_dns_deadline_ms(const struct user_dns *dns);
void user_dns_expire(struct user_dns *dns, int64_t now_ms);

/* Whether anything could expire. */
static inline bool user_dns_is_active(const struct user_dns *dns)
{
	return dns->relay.active || dns->tcp.active;
}

#endif

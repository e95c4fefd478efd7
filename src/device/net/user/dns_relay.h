// SPDX-License-Identifier: BSD-3-Clause
/*
 * Relays the guest's DNS queries to the host's name servers: each query has a socket and an id of
 * its own, and goes to the next server when one is silent or fails, as resolvers do. An answer is
 * accepted only from the server that was asked and for the question that was asked; its content is
 * not checked.
 *
 * All memory is allocated at the start, for a bounded number of queries of bounded size. Without
 * queries there are no watches and no timers.
 */
#ifndef AVP_DEVICE_NET_USER_DNS_RELAY_H
#define AVP_DEVICE_NET_USER_DNS_RELAY_H

#include <linux/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/event_loop.h"
#include "device/net/user/dns_message.h"
#include "device/net/user/name_servers.h"

/* Queries at a time. One more is answered with a failure. */
#define DNS_RELAY_QUESTIONS 64

/* The longest query, and the longest answer over TCP, with its length. */
#define DNS_QUESTION_MAX 4096
#define DNS_PREFIX	 2
#define DNS_STREAM_MAX	 (DNS_PREFIX + DNS_MESSAGE_MAX)

/* The time limit of a query in ms, and how often each server is asked at most. */
#define DNS_RELAY_GIVE_UP_MS 10000
#define DNS_RELAY_ROUNDS     2

/* Each server gets its share of that time before the next one is asked, but at least this. */
#define DNS_RELAY_TRY_MS 2000

/* How long another server is asked first after the first one was silent. */
#define DNS_RELAY_PREFER_MS 60000

/* The asker of a query; unknown members are zero. */
struct dns_asker {
	uint8_t mac[ETH_ALEN];
	uint16_t port;
	bool is_ipv6;
	uint8_t address[16]; /* IPv4 uses the first 4 bytes; the rest is 0 */
	int connection;	     /* of dns_tcp.h; -1: by UDP */
};

/* Whether two are the same address and port. */
bool dns_asker_is(const struct dns_asker *one, const struct dns_asker *other);

struct dns_relay;

struct dns_question {
	struct dns_relay *relay;
	struct event_source source; /* fd -1: no server is being asked */
	uint32_t watched;	    /* EPOLL* bits */
	bool used;
	struct dns_asker asker;
	uint32_t server;    /* the current one, an index; UINT32_MAX: one of an earlier list */
	unsigned int tries; /* servers of the list asked, including this one */
	bool passed_over;   /* a server before this one was silent */
	int64_t try_until_ms, give_up_ms;
	uint16_t guest_id;
	size_t head;	 /* length of the part that the answer repeats */
	size_t length;	 /* of the message */
	size_t done;	 /* bytes sent to the server, then, over TCP, received from it */
	bool sent;	 /* all of the question, to this server */
	uint8_t *stream; /* buffer for the answer: TCP only */
	uint8_t bytes[DNS_PREFIX + DNS_QUESTION_MAX]; /* as sent to the server */
};

/* Delivers an answer with the query's id. With TCP it is in the asker's own memory. */
typedef void dns_relay_answer(void *context, const struct dns_asker *asker, const uint8_t *message,
			      size_t length);

struct dns_relay {
	struct event_loop *loop;
	dns_relay_answer *answer;
	void *context;
	uint16_t port; /* of the servers */
	struct name_servers servers;
	uint32_t preferred; /* the server to ask first */
	int64_t prefer_until_ms;
	size_t active; /* questions */
	struct dns_question questions[DNS_RELAY_QUESTIONS];
	uint8_t message[DNS_MESSAGE_MAX]; /* a received one */
};

/* @relay: zeroed. There are no servers yet. */
void dns_relay_init(struct dns_relay *relay, struct event_loop *loop, dns_relay_answer *answer,
		    void *context);

/* Sets the servers. Queries in progress continue with the first of them. */
void dns_relay_set_servers(struct dns_relay *relay, const struct name_servers *servers);

/*
 * Relays a query, which is copied. @stream, for queries of a connection: room for DNS_STREAM_MAX
 * bytes, which the relay uses until the answer or dns_relay_forget. Returns false if the message is
 * not a query or too long; otherwise an answer follows, perhaps before this returns, and at the
 * latest a failure after DNS_RELAY_GIVE_UP_MS.
 */
bool dns_relay_ask(struct dns_relay *relay, const struct dns_asker *asker, const uint8_t *message,
		   size_t length, uint8_t *stream, int64_t now_ms);

/* Drops the queries of a connection, or those of all askers. No answers follow. */
void dns_relay_forget(struct dns_relay *relay, int connection);
void dns_relay_forget_all(struct dns_relay *relay);

/* When to call dns_relay_expire; INT64_MAX: never. */
int64_t dns_relay_deadline_ms(const struct dns_relay *relay);
void dns_relay_expire(struct dns_relay *relay, int64_t now_ms);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Asks the host's name servers what the guest asks: each question by a socket and with an id of its
 * own, the next server when one is silent or fails, as resolvers do. An answer is taken from the
 * server that was asked, to the question that was asked; its content is the guest's to judge.
 *
 * All memory is there from the start: so many questions at a time, of a bounded size. Without
 * questions nothing is watched and no time is kept.
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

/* Questions at a time. One more is answered with a failure. */
#define DNS_RELAY_QUESTIONS 64

/* The longest question, and the longest of an answer as it comes over TCP: its length first. */
#define DNS_QUESTION_MAX 4096
#define DNS_PREFIX	 2
#define DNS_STREAM_MAX	 (DNS_PREFIX + DNS_MESSAGE_MAX)

/* A question has that long in all, in ms, and each server is asked at most so often. */
#define DNS_RELAY_GIVE_UP_MS 10000
#define DNS_RELAY_ROUNDS     2

/* So a server has its share of that before the next one is asked, but no less than this. */
#define DNS_RELAY_TRY_MS 2000

/* How long the first server is left out after another one had to answer for it. */
#define DNS_RELAY_PREFER_MS 60000

/* Who asks: all zero but for what is known. */
struct dns_asker {
	uint8_t mac[ETH_ALEN];
	uint16_t port;
	bool is_ipv6;
	uint8_t address[16]; /* of which IPv4 takes the first 4 bytes; the rest is 0 */
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
	uint32_t server;    /* that is asked, an index; UINT32_MAX: one of an earlier list */
	unsigned int tries; /* servers of the list asked, this one counted */
	bool passed_over;   /* a server before this one was silent */
	int64_t try_until_ms, give_up_ms;
	uint16_t guest_id;
	size_t head;	 /* length of the part that an answer repeats */
	size_t length;	 /* of the message */
	size_t done;	 /* bytes sent to the server, then, over TCP, received from it */
	bool sent;	 /* all of the question, to this server */
	uint8_t *stream; /* where the answer goes: TCP only */
	uint8_t bytes[DNS_PREFIX + DNS_QUESTION_MAX]; /* as it goes to the server */
};

/* An answer, whose id is that of the question. With TCP it is in the asker's own memory. */
typedef void dns_relay_answer(void *context, const struct dns_asker *asker, const uint8_t *message,
			      size_t length);

struct dns_relay {
	struct event_loop *loop;
	dns_relay_answer *answer;
	void *context;
	uint16_t port; /* of the servers */
	struct name_servers servers;
	uint32_t preferred; /* the server that is asked first */
	int64_t prefer_until_ms;
	size_t active; /* questions */
	struct dns_question questions[DNS_RELAY_QUESTIONS];
	uint8_t message[DNS_MESSAGE_MAX]; /* one that came */
};

/* @relay: zeroed. There are no servers yet. */
void dns_relay_init(struct dns_relay *relay, struct event_loop *loop, dns_relay_answer *answer,
		    void *context);

/* The servers from now on. Questions that are being asked go on with the first of them. */
void dns_relay_set_servers(struct dns_relay *relay, const struct name_servers *servers);

/*
 * Asks. The message is copied. @stream, for questions of a connection: room for DNS_STREAM_MAX
 * bytes, which is the relay's until the answer, or dns_relay_forget. Returns false for what is no
 * question or too long; else there will be an answer, perhaps before this returns: one that says
 * that there is none, after DNS_RELAY_GIVE_UP_MS at the latest.
 */
bool dns_relay_ask(struct dns_relay *relay, const struct dns_asker *asker, const uint8_t *message,
		   size_t length, uint8_t *stream, int64_t now_ms);

/* Drops the questions of a connection, or those of all askers. There will be no answer. */
void dns_relay_forget(struct dns_relay *relay, int connection);
void dns_relay_forget_all(struct dns_relay *relay);

/* When dns_relay_expire has something to do; INT64_MAX: never. */
int64_t dns_relay_deadline_ms(const struct dns_relay *relay);
void dns_relay_expire(struct dns_relay *relay, int64_t now_ms);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/* A name server of a test, on the test's event loop, which behaves as the test says. */
#ifndef AVP_DEVICE_NET_USER_TEST_FAKE_DNS_H
#define AVP_DEVICE_NET_USER_TEST_FAKE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/event_loop.h"

enum fake_dns_manner {
	FAKE_DNS_ANSWERS,
	FAKE_DNS_IS_SILENT,
	FAKE_DNS_FAILS,	  /* SERVFAIL */
	FAKE_DNS_REFUSES, /* REFUSED, without the question */
	FAKE_DNS_LIES, /* answers with another id, to another question, as a question; then well */
	FAKE_DNS_HANGS_UP,	 /* TCP: closes in the middle of the answer */
	FAKE_DNS_ANSWERS_SLOWLY, /* TCP: byte by byte */
};

struct fake_dns {
	struct event_loop *loop;
	struct event_source udp, listener, stream; /* fd -1: none */
	enum fake_dns_manner manner;
	uint8_t mark;	    /* in the address that it answers with */
	size_t padding;	    /* extra bytes in its answers */
	unsigned int asked; /* queries received */
	uint8_t stream_in[8192];
	size_t stream_length;
};

/* Serves at @address, UDP and TCP. @port 0: one that is free. Returns the port. */
uint16_t fake_dns_start(struct fake_dns *server, struct event_loop *loop, const char *address,
			uint16_t port, uint8_t mark);
void fake_dns_stop(struct fake_dns *server);

/* Makes the question for the address of "@name.example". Returns its length. */
size_t fake_dns_question(uint8_t message[512], const char *name, uint16_t id);

/*
 * Checks that an answer has the id and question of the query. Returns the mark of its server, or
 * minus its code.
 */
int fake_dns_mark(const uint8_t *question, size_t question_length, const uint8_t *answer,
		  size_t length);

#endif

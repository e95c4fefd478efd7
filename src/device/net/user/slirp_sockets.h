// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host's sockets that libslirp uses for the guest's connections: on the event loop, counted,
 * and closed when their guest is gone.
 *
 * Before each sleep libslirp reports which sockets to watch (slirp_pollfds_fill). Only changes go
 * to the event loop, and mostly there are none. The table of watches is indexed by descriptor and
 * has an entry for each that the process may open.
 */
#ifndef AVP_DEVICE_NET_USER_SLIRP_SOCKETS_H
#define AVP_DEVICE_NET_USER_SLIRP_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/log_limit.h"

/* The most descriptors of the process, if its limit allows so many. */
#define SLIRP_SOCKETS_MAX 4096

/*
 * Of these, reserved for the rest of the process: a frontend's memory and eventfds, and queries to
 * name servers.
 */
#define SLIRP_SOCKETS_RESERVE 192

/* How long to stop listening after a connection could not be accepted, in ms. */
#define SLIRP_SOCKETS_PAUSE 1000

struct slirp_watch {
	struct event_source source;
	struct slirp_sockets *sockets;
	uint32_t generation; /* the last fill that asked for it */
	uint32_t watched;    /* EPOLL* bits */
	int happened;	     /* SLIRP_POLL_* bits since the last poll */
	uint32_t life;	     /* the life of the guest in which it was opened */
	bool open;	     /* belongs to a connection of the guest */
	bool forward;	     /* belongs to a forwarded port */
	bool listens;	     /* a forwarded port that accepts connections */
};

struct slirp_sockets {
	struct event_loop *loop;
	struct slirp_watch *watches;
	int limit;	     /* above every possible descriptor */
	struct rlimit files; /* the limit in force while libslirp does not run */
	size_t most;	     /* the most sockets of the guest's connections */
	size_t open;	     /* how many there are */
	size_t asked;	     /* how many the last fill asked for */
	size_t forwards;     /* of these, forwarded ports */
	uint32_t generation, life;
	int highest;	 /* above the highest descriptor ever watched */
	bool events;	 /* some watch has events */
	bool closed_off; /* libslirp runs with a limit of no descriptors */
	bool refused;	 /* the last poll could not accept a connection */
	int64_t listen_again_ms;
	struct log_limit full_limit, watch_limit;
};

/* Raises the limit of descriptors as far as permitted, up to SLIRP_SOCKETS_MAX. */
int slirp_sockets_init(struct slirp_sockets *sockets, struct event_loop *loop, struct error *error);

/* Stops watching; libslirp has closed all of them. Safe when *sockets is zeroed. */
void slirp_sockets_close(struct slirp_sockets *sockets);

/* libslirp opened a socket for the guest, or is about to close it. -1 is fine. */
void slirp_sockets_opened(struct slirp_sockets *sockets, int fd);
void slirp_sockets_closing(struct slirp_sockets *sockets, int fd);

/*
 * libslirp may run only between these two calls. When all sockets are in use it cannot open more:
 * new connections are refused as if the process had run out of descriptors.
 */
void slirp_sockets_enter(struct slirp_sockets *sockets);
void slirp_sockets_leave(struct slirp_sockets *sockets);

/* Whether all sockets are in use. */
bool slirp_sockets_full(const struct slirp_sockets *sockets);

/* Before and after a fill whose callback is slirp_sockets_watch. */
void slirp_sockets_begin_fill(struct slirp_sockets *sockets);
void slirp_sockets_end_fill(struct slirp_sockets *sockets);

/* Callbacks of slirp_pollfds_fill and slirp_pollfds_poll, whose context is struct slirp_sockets. */
int slirp_sockets_watch(int fd, int events, void *context);
int slirp_sockets_happened(int index, void *context);

/* The first fill after forwards were added: all sockets that it asks for are forwarded ports. */
int slirp_sockets_mark_forward(int fd, int events, void *context);

/* When to listen again on paused ports; INT64_MAX: none is paused. */
int64_t slirp_sockets_resume_ms(const struct slirp_sockets *sockets);

/* The guest that opened the present sockets is gone, or may be: a new life begins. */
void slirp_sockets_next_life(struct slirp_sockets *sockets);

/*
 * Ends the TCP connections of earlier lives; libslirp closes them at its next poll. Returns the
 * number of sockets of these lives, including those other than TCP.
 */
size_t slirp_sockets_end_old(struct slirp_sockets *sockets);

#endif

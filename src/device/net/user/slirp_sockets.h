// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host's sockets that libslirp uses for the guest's connections: on the event loop, counted,
 * and closed when their guest is gone.
 *
 * libslirp has to be asked before each sleep which sockets to watch (slirp_pollfds_fill). Only
 * changes are passed on to the event loop, and mostly there are none. The table of watches is
 * indexed by descriptor and has an entry for each that the process may open.
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

/* Descriptors that the process takes at most, if it may have so many. */
#define SLIRP_SOCKETS_MAX 4096

/*
 * Of them, what is left to the rest of the process: a frontend's memory and eventfds, and questions
 * to name servers.
 */
#define SLIRP_SOCKETS_RESERVE 192

/* How long a port is not listened on after a connection could not be taken, in ms. */
#define SLIRP_SOCKETS_PAUSE 1000

struct slirp_watch {
	struct event_source source;
	struct slirp_sockets *sockets;
	uint32_t generation; /* of the last fill that asked for it */
	uint32_t watched;    /* EPOLL* bits */
	int happened;	     /* SLIRP_POLL_* bits since the last poll */
	uint32_t life;	     /* of the guest, in which it was opened */
	bool open;	     /* belongs to a connection of the guest */
	bool forward;	     /* belongs to a forwarded port */
	bool listens;	     /* a forwarded port that takes connections */
};

struct slirp_sockets {
	struct event_loop *loop;
	struct slirp_watch *watches;
	int limit;	     /* above each descriptor that there can be */
	struct rlimit files; /* as it is in force while libslirp does not run */
	size_t most;	     /* sockets of the guest's connections that there may be */
	size_t open;	     /* that there are */
	size_t asked;	     /* that the last fill asked for */
	size_t forwards;     /* of these, forwarded ports */
	uint32_t generation, life;
	int highest;	 /* above the highest descriptor that was ever watched */
	bool events;	 /* some watch has news */
	bool closed_off; /* libslirp runs, and gets no descriptors */
	bool refused;	 /* the last poll could not take a connection */
	int64_t listen_again_ms;
	struct log_limit full_limit, watch_limit;
};

/* Takes as many descriptors as the process may have, up to SLIRP_SOCKETS_MAX. */
int slirp_sockets_init(struct slirp_sockets *sockets, struct event_loop *loop, struct error *error);

/* Stops watching; libslirp has closed all of them. Also fine for one that is all zero. */
void slirp_sockets_close(struct slirp_sockets *sockets);

/* libslirp opened a socket for the guest, or is about to close it. -1 is fine. */
void slirp_sockets_opened(struct slirp_sockets *sockets, int fd);
void slirp_sockets_closing(struct slirp_sockets *sockets, int fd);

/*
 * Between these two calls libslirp may run. With all sockets in use that there may be, it gets no
 * more: what it would open one for is refused as if the process had run out of descriptors.
 */
void slirp_sockets_enter(struct slirp_sockets *sockets);
void slirp_sockets_leave(struct slirp_sockets *sockets);

/* Whether all sockets are in use that there may be. */
bool slirp_sockets_full(const struct slirp_sockets *sockets);

/* Before and after a fill whose callback is slirp_sockets_watch. */
void slirp_sockets_begin_fill(struct slirp_sockets *sockets);
void slirp_sockets_end_fill(struct slirp_sockets *sockets);

/* Callbacks of slirp_pollfds_fill and slirp_pollfds_poll, whose context is struct slirp_sockets. */
int slirp_sockets_watch(int fd, int events, void *context);
int slirp_sockets_happened(int index, void *context);

/* The first fill after forwards were added: what it asks for are forwarded ports. */
int slirp_sockets_mark_forward(int fd, int events, void *context);

/* When ports are listened on again that are not now; INT64_MAX: all are. */
int64_t slirp_sockets_resume_ms(const struct slirp_sockets *sockets);

/* The guest that opened the sockets up to now is gone, or may be: another life begins. */
void slirp_sockets_next_life(struct slirp_sockets *sockets);

/*
 * Ends the TCP connections of lives before this one. libslirp sees the end at its next poll and
 * closes them. Returns how many sockets of these lives there are, other than TCP too.
 */
size_t slirp_sockets_end_old(struct slirp_sockets *sockets);

#endif

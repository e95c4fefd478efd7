// SPDX-License-Identifier: BSD-3-Clause
/* The sockets of the guest's connections. */
#include "device/net/user/slirp_sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"

int slirp_sockets_init(struct slirp_sockets *sockets, struct event_loop *loop, struct error *error)
{
	struct rlimit files;

	*sockets = (struct slirp_sockets){
		.loop = loop,
		.listen_again_ms = INT64_MAX,
		.full_limit = {.burst = 1, .interval_ms = 60000},
		.watch_limit = {.burst = 1, .interval_ms = 60000},
	};
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return error_set_errno(error, errno, "user: cannot read the limit on descriptors");
	if (files.rlim_cur < SLIRP_SOCKETS_MAX)
		files.rlim_cur = files.rlim_max < SLIRP_SOCKETS_MAX ? files.rlim_max :
								      SLIRP_SOCKETS_MAX;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return error_set_errno(error, errno, "user: cannot set the limit on descriptors");
	if (files.rlim_cur < 2 * SLIRP_SOCKETS_RESERVE)
		return error_set(error, EMFILE,
				 "user: only %llu descriptors are allowed, %d are needed; raise "
				 "the limit: ulimit -n",
				 (unsigned long long)files.rlim_cur, 2 * SLIRP_SOCKETS_RESERVE);
	sockets->files = files;
	sockets->limit = files.rlim_cur > SLIRP_SOCKETS_MAX ? SLIRP_SOCKETS_MAX :
							      (int)files.rlim_cur;
	sockets->most = (size_t)sockets->limit - SLIRP_SOCKETS_RESERVE;
	sockets->watches = calloc((size_t)sockets->limit, sizeof(sockets->watches[0]));
	if (!sockets->watches)
		return error_set(error, ENOMEM, "no memory for the network");
	return 0;
}

static struct slirp_watch *find_watch(struct slirp_sockets *sockets, int fd)
{
	return fd >= 0 && fd < sockets->limit ? &sockets->watches[fd] : NULL;
}

static void stop_watching(struct slirp_sockets *sockets, struct slirp_watch *watch)
{
	if (watch->watched)
		event_loop_remove(sockets->loop, &watch->source);
	watch->watched = 0;
	watch->happened = 0;
}

void slirp_sockets_close(struct slirp_sockets *sockets)
{
	for (int fd = 0; fd < sockets->highest; fd++)
		stop_watching(sockets, &sockets->watches[fd]);
	free(sockets->watches);
	*sockets = (struct slirp_sockets){0};
}

void slirp_sockets_opened(struct slirp_sockets *sockets, int fd)
{
	struct slirp_watch *watch = find_watch(sockets, fd);

	if (!watch || watch->forward)
		return;
	/* The descriptor is new: the old state belongs to a closed one of the same number. */
	watch->watched = 0;
	watch->happened = 0;
	watch->life = sockets->life;
	if (!watch->open)
		sockets->open++;
	watch->open = true;
	sockets->refused = false;
}

void slirp_sockets_closing(struct slirp_sockets *sockets, int fd)
{
	struct slirp_watch *watch = find_watch(sockets, fd);

	if (!watch)
		return;
	stop_watching(sockets, watch);
	if (watch->open)
		sockets->open--;
	watch->open = false;
}

bool slirp_sockets_full(const struct slirp_sockets *sockets)
{
	return sockets->open >= sockets->most;
}

static void set_descriptors(const struct slirp_sockets *sockets, rlim_t count)
{
	const struct rlimit files = {.rlim_cur = count, .rlim_max = sockets->files.rlim_max};

	/* Cannot fail for our own process below the hard limit. */
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		log_error("cannot set the limit on descriptors: %s", strerror(errno));
}

void slirp_sockets_enter(struct slirp_sockets *sockets)
{
	if (!slirp_sockets_full(sockets))
		return;
	if (log_limit_take(&sockets->full_limit, clock_now_ms()))
		log_warning("all %zu sockets for the guest's connections are in use: new "
			    "connections are refused",
			    sockets->most);
	/* Allow none: the limit does not affect descriptors that are open. */
	set_descriptors(sockets, 0);
	sockets->closed_off = true;
}

void slirp_sockets_leave(struct slirp_sockets *sockets)
{
	if (!sockets->closed_off)
		return;
	set_descriptors(sockets, sockets->files.rlim_cur);
	sockets->closed_off = false;
}

static uint32_t to_epoll(int events)
{
	return (events & SLIRP_POLL_IN ? EPOLLIN : 0u) | (events & SLIRP_POLL_OUT ? EPOLLOUT : 0u) |
	       (events & SLIRP_POLL_PRI ? EPOLLPRI : 0u);
}

static int from_epoll(uint32_t events)
{
	return (events & EPOLLIN ? SLIRP_POLL_IN : 0) | (events & EPOLLOUT ? SLIRP_POLL_OUT : 0) |
	       (events & EPOLLPRI ? SLIRP_POLL_PRI : 0) | (events & EPOLLERR ? SLIRP_POLL_ERR : 0) |
	       (events & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

static void handle_event(void *context, uint32_t events)
{
	struct slirp_watch *watch = context;

	watch->happened |= from_epoll(events);
	watch->sockets->events = true;
}

void slirp_sockets_begin_fill(struct slirp_sockets *sockets)
{
	int64_t now_ms;

	sockets->generation++;
	sockets->asked = 0;
	if (sockets->refused) {
		/* accept would fail again and again, without a pause. */
		sockets->refused = false;
		sockets->listen_again_ms = clock_now_ms() + SLIRP_SOCKETS_PAUSE;
	}
	if (sockets->listen_again_ms == INT64_MAX)
		return;
	now_ms = clock_now_ms();
	if (now_ms >= sockets->listen_again_ms)
		sockets->listen_again_ms = INT64_MAX;
}

void slirp_sockets_end_fill(struct slirp_sockets *sockets)
{
	for (int fd = 0; fd < sockets->highest; fd++) {
		struct slirp_watch *watch = &sockets->watches[fd];

		if (watch->watched && watch->generation != sockets->generation)
			stop_watching(sockets, watch);
	}
}

static int change_watch(struct slirp_sockets *sockets, struct slirp_watch *watch, int fd,
			uint32_t wanted)
{
	struct error error = {0};

	if (watch->watched)
		return event_loop_modify(sockets->loop, &watch->source, wanted);
	watch->sockets = sockets;
	watch->source = (struct event_source){fd, handle_event, watch};
	return event_loop_add(sockets->loop, &watch->source, wanted, &error);
}

int slirp_sockets_watch(int fd, int events, void *context)
{
	struct slirp_sockets *sockets = context;
	struct slirp_watch *watch = find_watch(sockets, fd);
	uint32_t wanted = to_epoll(events);
	int result;

	sockets->asked++;
	if (!watch)
		return -1;
	/* A client of a forwarded port waits in the backlog until a socket is free. */
	if (watch->listens &&
	    (slirp_sockets_full(sockets) || sockets->listen_again_ms != INT64_MAX))
		return -1;
	watch->generation = sockets->generation;
	if (watch->watched == wanted)
		return fd;
	result = change_watch(sockets, watch, fd, wanted);
	if (result < 0) {
		if (log_limit_take(&sockets->watch_limit, clock_now_ms()))
			log_warning("cannot watch a connection of the guest: %s",
				    strerror(-result));
		return -1;
	}
	watch->watched = wanted;
	if (fd >= sockets->highest)
		sockets->highest = fd + 1;
	return fd;
}

int slirp_sockets_mark_forward(int fd, int events, void *context)
{
	struct slirp_sockets *sockets = context;
	struct slirp_watch *watch = find_watch(sockets, fd);
	socklen_t length = sizeof(int);
	int listens = 0;

	(void)events;
	if (!watch)
		return -1;
	getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length);
	/* A library that reports these sockets too has counted them already. */
	slirp_sockets_closing(sockets, fd);
	watch->forward = true;
	watch->listens = listens;
	sockets->forwards++;
	return -1;
}

/* Only the events asked for: libslirp treats unexpected writability as an error. */
int slirp_sockets_happened(int index, void *context)
{
	struct slirp_sockets *sockets = context;
	struct slirp_watch *watch = find_watch(sockets, index);
	int happened;

	if (!watch)
		return 0;
	happened = watch->happened & (from_epoll(watch->watched) | SLIRP_POLL_ERR | SLIRP_POLL_HUP);
	watch->happened = 0;
	/* Counts as refused until a socket is opened for the waiting connection. */
	if (happened && watch->listens)
		sockets->refused = true;
	return happened;
}

int64_t slirp_sockets_resume_ms(const struct slirp_sockets *sockets)
{
	return sockets->listen_again_ms;
}

void slirp_sockets_next_life(struct slirp_sockets *sockets)
{
	sockets->life++;
}

size_t slirp_sockets_end_old(struct slirp_sockets *sockets)
{
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	size_t count = 0;

	for (int fd = 0; fd < sockets->limit; fd++) {
		struct slirp_watch *watch = &sockets->watches[fd];
		int protocol = 0;
		socklen_t length = sizeof(protocol);

		if (!watch->open || watch->life == sockets->life)
			continue;
		count++;
		if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) < 0 ||
		    protocol != IPPROTO_TCP)
			continue;
		/* Disconnects the socket: the peer gets a reset, and so does the guest. */
		if (connect(fd, &nobody, sizeof(nobody)) < 0)
			log_debug("cannot end a connection: %s", strerror(errno));
		watch->happened |= SLIRP_POLL_HUP;
		sockets->events = true;
	}
	return count;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device's backend on libslirp: frames in and out, and libslirp's sockets and timers
 * on the event loop.
 *
 * libslirp wants to be asked before each sleep which sockets to watch. The loop's prepare hook
 * does that and tells epoll what is different from last time, which mostly is nothing.
 */
#include "backend/user_net.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/log.h"

#define LIBRARY "libslirp.so.0"

/* A descriptor is an index into the table of watches: as many as a process has by default. */
#define WATCHES_MAX 1024

/* The functions of libslirp. */
struct slirp_library {
	__typeof__(slirp_new) *new;
	__typeof__(slirp_cleanup) *cleanup;
	__typeof__(slirp_input) *input;
	__typeof__(slirp_pollfds_fill) *fill;
	__typeof__(slirp_pollfds_poll) *poll;
	__typeof__(slirp_add_hostfwd) *add_forward;
	__typeof__(slirp_connection_info) *connection_info;
};

struct watch {
	struct event_source source;
	struct user_net *user;
	uint32_t generation; /* of the last fill that asked for it */
	uint32_t watched;    /* EPOLL* bits */
	int happened;	     /* SLIRP_POLL_* bits since the last poll */
};

struct user_net {
	struct net_backend net;
	struct slirp_library library;
	Slirp *slirp;
	struct event_loop *loop;
	struct event_poller poller;
	size_t forward_count;
	uint32_t generation;
	size_t sockets;	     /* that the last fill asked for */
	bool events;	     /* some watch has news, or the guest sent something */
	bool active;	     /* since it was last known that there are no connections */
	bool delivered;	     /* a frame, and the guest was not notified yet */
	int64_t deadline_ms; /* when libslirp wants to look at its timers; INT64_MAX: never */
	int watch_limit;     /* above the highest descriptor that was ever watched */
	struct watch watches[WATCHES_MAX];
	uint8_t frame[NET_FRAME_MAX]; /* being sent, in one piece */
};

static struct user_net *to_user(struct net_backend *backend)
{
	return (struct user_net *)((char *)backend - offsetof(struct user_net, net));
}

static int64_t clock_now_ns(void *opaque)
{
	struct timespec now;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t clock_now_ms(void)
{
	return clock_now_ns(NULL) / 1000000;
}

/* A frame for the guest. One that it has no room for is lost, and sent again by TCP. */
static ssize_t take_frame(const void *frame, size_t length, void *opaque)
{
	const struct virtio_net_hdr_v1 header = {0};
	struct user_net *user = opaque;

	if (net_device_receive(user->net.net, 0, &header, frame, length) == NET_RECEIVED)
		user->delivered = true;
	else
		net_device_count_dropped(user->net.net);
	return (ssize_t)length;
}

static void notify_guest(struct user_net *user)
{
	if (!user->delivered)
		return;
	user->delivered = false;
	net_device_received(user->net.net, 0);
}

static void report_guest_error(const char *message, void *opaque)
{
	(void)opaque;
	log_debug("%s", message);
}

/* The descriptor is new: what was known of its number is of one that was closed. */
static void register_descriptor(int fd, void *opaque)
{
	struct user_net *user = opaque;

	if (fd < 0 || fd >= WATCHES_MAX)
		return;
	user->watches[fd].watched = 0;
	user->watches[fd].happened = 0;
}

/* The descriptor is about to be closed. */
static void unregister_descriptor(int fd, void *opaque)
{
	struct user_net *user = opaque;

	if (fd < 0 || fd >= WATCHES_MAX || !user->watches[fd].watched)
		return;
	event_loop_remove(user->loop, &user->watches[fd].source);
	user->watches[fd].watched = 0;
	user->watches[fd].happened = 0;
}

/* libslirp may have more to do: it is asked before each sleep anyway. */
static void note_change(void *opaque)
{
	(void)opaque;
}

/* Timers are for IPv6 alone, which is off. */
static const SlirpCb callbacks = {
	.send_packet = take_frame,
	.guest_error = report_guest_error,
	.clock_get_ns = clock_now_ns,
	.register_poll_fd = register_descriptor,
	.unregister_poll_fd = unregister_descriptor,
	.notify = note_change,
};

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
	struct watch *watch = context;

	watch->happened |= from_epoll(events);
	watch->user->events = true;
}

/* libslirp asks for a socket to be watched; the index that it gets back is the descriptor. */
static int add_watch(int fd, int events, void *opaque)
{
	struct user_net *user = opaque;
	uint32_t wish = to_epoll(events);
	struct watch *watch;

	user->sockets++;
	if (fd < 0 || fd >= WATCHES_MAX)
		return -1;
	watch = &user->watches[fd];
	watch->generation = user->generation;
	if (watch->watched == wish)
		return fd;
	if (watch->watched) {
		event_loop_modify(user->loop, &watch->source, wish);
	} else {
		watch->user = user;
		watch->source = (struct event_source){fd, handle_event, watch};
		if (event_loop_add(user->loop, &watch->source, wish, NULL) < 0)
			return -1;
	}
	watch->watched = wish;
	if (fd >= user->watch_limit)
		user->watch_limit = fd + 1;
	return fd;
}

/* Only what was asked for: libslirp takes room to write that it did not ask for as an error. */
static int get_happened(int index, void *opaque)
{
	struct user_net *user = opaque;
	struct watch *watch;
	int happened;

	if (index < 0 || index >= WATCHES_MAX)
		return 0;
	watch = &user->watches[index];
	happened = watch->happened & (from_epoll(watch->watched) | SLIRP_POLL_ERR | SLIRP_POLL_HUP);
	watch->happened = 0;
	return happened;
}

/*
 * Whether nothing is there but the listening sockets of port forwards. Then libslirp's timers,
 * which it asks for at least once a second, have nothing to do. Sockets that are not watched can
 * still have timers, a connection that is being closed say; the list of connections shows them.
 */
static bool is_quiet(struct user_net *user)
{
	size_t lines = 0;
	char *list;

	if (user->sockets > user->forward_count)
		user->active = true;
	if (!user->active)
		return true;
	if (user->sockets > user->forward_count)
		return false;
	list = user->library.connection_info(user->slirp);
	for (const char *at = list; (at = strchr(at, '\n')); at++)
		lines++;
	free(list);
	/* A heading, then a line for each. */
	user->active = lines > 1 + user->forward_count;
	return !user->active;
}

/* Watches what libslirp wants to know of now. Returns after how many ms it wants to look again. */
static uint32_t update_watches(struct user_net *user)
{
	uint32_t wait_ms = UINT32_MAX;

	user->generation++;
	user->sockets = 0;
	user->library.fill(user->slirp, &wait_ms, add_watch, user);
	for (int fd = 0; fd < user->watch_limit; fd++) {
		struct watch *watch = &user->watches[fd];

		if (!watch->watched || watch->generation == user->generation)
			continue;
		event_loop_remove(user->loop, &watch->source);
		watch->watched = 0;
	}
	return wait_ms;
}

static bool prepare_to_sleep(void *context, int *timeout_ms)
{
	struct user_net *user = context;
	uint32_t wait_ms = update_watches(user);

	user->deadline_ms = INT64_MAX;
	if (wait_ms > INT32_MAX || is_quiet(user))
		return false;
	user->deadline_ms = clock_now_ms() + wait_ms;
	if (*timeout_ms < 0 || *timeout_ms > (int)wait_ms)
		*timeout_ms = (int)wait_ms;
	return false;
}

/* Has libslirp look at the sockets that have news, and at its timers. */
static bool poll_user(void *context)
{
	struct user_net *user = context;

	if (!user->events && (user->deadline_ms == INT64_MAX || clock_now_ms() < user->deadline_ms))
		return false;
	user->events = false;
	user->deadline_ms = INT64_MAX;
	/* What it wants to know may have changed since the loop last slept. */
	update_watches(user);
	user->library.poll(user->slirp, 0, get_happened, user);
	notify_guest(user);
	return true;
}

static bool send_frame(struct net_backend *backend, uint16_t pair,
		       const struct virtio_segment *segments, uint32_t count)
{
	struct user_net *user = to_user(backend);
	size_t length = 0;

	(void)pair;
	/* The first segment is the header, which says nothing: no offloads were offered. */
	for (uint32_t i = 1; i < count; i++) {
		memcpy(user->frame + length, segments[i].base, segments[i].length);
		length += segments[i].length;
	}
	user->active = true;
	user->library.input(user->slirp, user->frame, (int)length);
	/* What the frame sets free, such as packets that waited for an address, leaves in poll. */
	user->events = true;
	notify_guest(user);
	return true;
}

/* Nothing is kept for the guest, and connections go on while it does not listen. */
static void ignore_listening(struct net_backend *backend, uint16_t pair)
{
	(void)backend;
	(void)pair;
}

static const struct net_backend_ops user_ops = {
	.send = send_frame,
	.resume = ignore_listening,
	.stop = ignore_listening,
};

static int load_library(struct slirp_library *library, struct error *error)
{
	/* Stays loaded: it keeps state of its own. */
	void *handle = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
	const struct {
		const char *name;
		void *pointer;
	} functions[] = {
		{"slirp_new", &library->new},
		{"slirp_cleanup", &library->cleanup},
		{"slirp_input", &library->input},
		{"slirp_pollfds_fill", &library->fill},
		{"slirp_pollfds_poll", &library->poll},
		{"slirp_add_hostfwd", &library->add_forward},
		{"slirp_connection_info", &library->connection_info},
	};

	if (!handle)
		return error_set(error, ENOENT,
				 "user: the library %s cannot be loaded; install it: apt install "
				 "libslirp0",
				 LIBRARY);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(handle, functions[i].name);

		if (!function)
			return error_set(error, ENOSYS,
					 "user: %s has no %s; install version 4.1 or later",
					 LIBRARY, functions[i].name);
		memcpy(functions[i].pointer, &function, sizeof(function));
	}
	return 0;
}

static int add_forwards(struct user_net *user, const struct user_net_settings *settings,
			struct error *error)
{
	for (size_t i = 0; i < settings->forward_count; i++) {
		const struct port_forward *forward = &settings->forwards[i];
		/* The address that DHCP gives. */
		struct in_addr guest = {htonl(0x0a00020f)};

		if (user->library.add_forward(user->slirp, forward->udp, forward->address,
					      forward->port, guest, forward->guest_port) < 0)
			return error_set_usage(error,
					       "forward: cannot listen on %s port %u of %s: %s; "
					       "choose another",
					       forward->udp ? "UDP" : "TCP", forward->port,
					       inet_ntoa(forward->address), strerror(errno));
		user->forward_count++;
	}
	return 0;
}

struct user_net *user_net_new(struct event_loop *loop, const struct user_net_settings *settings,
			      struct error *error)
{
	const SlirpConfig config = {
		.version = 1,
		.in_enabled = true,
		.vnetwork.s_addr = htonl(0x0a000200),
		.vnetmask.s_addr = htonl(0xffffff00),
		.vhost.s_addr = htonl(0x0a000202),
		.vhostname = "avp",
		.vdhcp_start.s_addr = htonl(0x0a00020f),
		.vnameserver.s_addr = htonl(0x0a000203),
		.if_mtu = settings->mtu,
	};
	struct user_net *user = calloc(1, sizeof(*user));

	if (!user) {
		error_set(error, ENOMEM, "no memory for the network");
		return NULL;
	}
	user->loop = loop;
	user->net.ops = &user_ops;
	user->deadline_ms = INT64_MAX;
	user->poller = (struct event_poller){.poll = poll_user,
					     .prepare = prepare_to_sleep,
					     .context = user};
	if (load_library(&user->library, error) < 0) {
		free(user);
		return NULL;
	}
	user->slirp = user->library.new(&config, &callbacks, user);
	if (!user->slirp) {
		error_set_usage(error, "user: libslirp refuses an MTU of %u; choose 68 to 65521",
				settings->mtu);
		free(user);
		return NULL;
	}
	event_loop_add_poller(loop, &user->poller);
	if (add_forwards(user, settings, error) < 0) {
		user_net_free(user);
		return NULL;
	}
	return user;
}

void user_net_free(struct user_net *user)
{
	if (!user)
		return;
	event_loop_remove_poller(user->loop, &user->poller);
	user->library.cleanup(user->slirp);
	free(user);
}

struct net_backend *user_net_net(struct user_net *user)
{
	return &user->net;
}

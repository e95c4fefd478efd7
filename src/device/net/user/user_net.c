// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device's backend on libslirp: frames in and out, through the filter and the DHCP
 * server, and libslirp's timers on the event loop. Its sockets are in slirp_sockets.c.
 */
#include "device/net/user/user_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "device/net/user/dhcp.h"
#include "device/net/user/frame_filter.h"
#include "device/net/user/router.h"
#include "device/net/user/slirp_library.h"
#include "device/net/user/slirp_sockets.h"
#include "device/net/user/user_dns.h"
#include "virtio/container_of.h"

/* The host numbers of the services and the guest. */
#define HOST_GATEWAY	 2
#define HOST_NAME_SERVER 3
#define HOST_GUEST	 15

#define MTU_DEFAULT	 1500

/* libslirp forgets a UDP socket or a ping that was not used for 240 seconds. */
#define FORGET_MS 241000

struct user_net {
	struct net_backend net;
	struct slirp_library library;
	Slirp *slirp;
	struct event_loop *loop;
	struct event_poller poller;
	struct slirp_sockets sockets;
	struct frame_filter filter;
	struct dhcp_server dhcp;
	struct user_dns dns;
	char host_name[DHCP_HOST_NAME_MAX + 1];
	uint16_t mtu;	      /* that is announced to the guest; 0: none */
	int64_t advertise_ms; /* time of the next router advertisement; INT64_MAX: never */
	bool events;	      /* the guest sent something */
	bool active;	      /* since the last check that found no connections */
	bool delivered;	      /* a frame was delivered, and the guest not notified yet */
	bool reset;	      /* the device was reset, and its guest may be gone */
	int64_t deadline_ms;  /* when libslirp's timers are due; INT64_MAX: never */
	int64_t skipped_ns;   /* by which libslirp's clock is ahead */
	uint8_t frame[PACKET_FRAME_MAX]; /* being sent, in one piece */
};

static struct user_net *to_user(struct net_backend *backend)
{
	return container_of(backend, struct user_net, net);
}

static int64_t read_clock(void *opaque)
{
	const struct user_net *user = opaque;

	return (int64_t)clock_now_ns() + user->skipped_ns;
}

static void deliver(struct user_net *user, const void *frame, size_t length)
{
	const struct virtio_net_hdr_v1 header = {0};

	if (net_device_receive(user->net.net, 0, &header, frame, length) == NET_RECEIVED)
		user->delivered = true;
	else
		net_device_count_dropped(user->net.net);
}

/* A frame for the guest. If it has no room, the frame is lost; TCP sends its data again. */
static ssize_t take_frame(const void *frame, size_t length, void *opaque)
{
	struct user_net *user = opaque;

	if (frame_filter_receive(&user->filter, frame, length))
		deliver(user, frame, length);
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

static void register_descriptor(int fd, void *opaque)
{
	struct user_net *user = opaque;

	slirp_sockets_opened(&user->sockets, fd);
}

static void unregister_descriptor(int fd, void *opaque)
{
	struct user_net *user = opaque;

	slirp_sockets_closing(&user->sockets, fd);
}

/*
 * Answers libslirp's address requests of the last call. The waiting packets leave in the next call.
 */
static void answer_for_guest(struct user_net *user)
{
	uint8_t answer[NEIGHBOURS_ANSWER_MAX];
	size_t length;

	while ((length = neighbours_take_answer(&user->filter.neighbours, answer)) > 0) {
		user->library.input(user->slirp, answer, (int)length);
		user->events = true;
	}
}

static const SlirpCb callbacks = {
	.send_packet = take_frame,
	.guest_error = report_guest_error,
	.clock_get_ns = read_clock,
	.timer_new = slirp_library_make_timer,
	.timer_free = slirp_library_free_timer,
	.timer_mod = slirp_library_set_timer,
	.register_poll_fd = register_descriptor,
	.unregister_poll_fd = unregister_descriptor,
	.notify = slirp_library_notify,
};

/*
 * Whether there are only listening sockets of port forwards. Then libslirp's timers, which it
 * requests at least once a second, have nothing to do. Sockets that are not watched can still have
 * timers, such as a connection that is being opened or closed; the list of connections shows them.
 */
static bool is_quiet(struct user_net *user)
{
	const struct slirp_sockets *sockets = &user->sockets;
	size_t lines = 0;
	char *list;

	if (sockets->asked > sockets->forwards)
		user->active = true;
	if (!user->active)
		return true;
	if (sockets->asked > sockets->forwards)
		return false;
	list = user->library.connection_info(user->slirp);
	for (const char *at = list; (at = strchr(at, '\n')); at++)
		lines++;
	free(list);
	/* A heading, then a line for each. */
	user->active = lines > 1 + sockets->forwards;
	if (!user->active)
		tcp_order_forget(&user->filter.order);
	return !user->active;
}

/* Updates the watches that libslirp wants. Returns after how many ms it wants to run again. */
static uint32_t update_watches(struct user_net *user)
{
	uint32_t wait_ms = UINT32_MAX;

	slirp_sockets_begin_fill(&user->sockets);
	user->library.fill(user->slirp, &wait_ms, slirp_sockets_watch, &user->sockets);
	slirp_sockets_end_fill(&user->sockets);
	return wait_ms;
}

/*
 * Closes connections of an earlier life of the guest: TCP at once, the rest when libslirp next
 * reads its clock, which is moved ahead so that unused sockets expire. Returns whether there were
 * any.
 */
static bool end_old_connections(struct user_net *user)
{
	size_t count = slirp_sockets_end_old(&user->sockets);

	if (!count)
		return false;
	log_debug("%zu sockets of a guest that is gone are closed", count);
	user->skipped_ns += (int64_t)FORGET_MS * 1000000;
	user->events = true;
	return true;
}

/* After a reset: a frontend that is gone took guest memory with it. */
static void look_for_guest(struct user_net *user)
{
	const struct guest_memory *memory = user->net.net->device.memory;

	if (!user->reset || (memory && memory->region_count))
		return;
	user->reset = false;
	end_old_connections(user);
}

/* Advertises the IPv6 router to the guest that sent @solicitation, or, with NULL, to all. */
static void advertise_router(struct user_net *user, const uint8_t *solicitation)
{
	uint8_t frame[ROUTER_FRAME_MAX];

	deliver(user, frame,
		router_advertise(frame, user->filter.settings.ipv6.prefix, user->mtu,
				 solicitation));
	notify_guest(user);
	user->advertise_ms = clock_now_ms() + ROUTER_INTERVAL_MS;
}

static bool prepare_to_sleep(void *context, int *timeout_ms)
{
	struct user_net *user = context;
	int64_t now_ms = clock_now_ms(), until_ms;
	uint32_t wait_ms;

	look_for_guest(user);
	wait_ms = update_watches(user);
	user->deadline_ms = INT64_MAX;
	if (wait_ms <= INT32_MAX && !is_quiet(user))
		user->deadline_ms = now_ms + wait_ms;
	until_ms = slirp_sockets_resume_ms(&user->sockets);
	if (user->deadline_ms < until_ms)
		until_ms = user->deadline_ms;
	if (user_dns_deadline_ms(&user->dns) < until_ms)
		until_ms = user_dns_deadline_ms(&user->dns);
	if (user->advertise_ms <= now_ms)
		advertise_router(user, NULL);
	if (user->advertise_ms < until_ms)
		until_ms = user->advertise_ms;
	if (until_ms == INT64_MAX)
		return user->events;
	until_ms = until_ms > now_ms ? until_ms - now_ms : 0;
	if (*timeout_ms < 0 || *timeout_ms > until_ms)
		*timeout_ms = (int)until_ms;
	return user->events;
}

/* Runs libslirp for sockets with events, and for its timers. */
static bool poll_user(void *context)
{
	struct user_net *user = context;

	if (user_dns_is_active(&user->dns))
		user_dns_expire(&user->dns, clock_now_ms());
	if (!user->events && !user->sockets.events &&
	    (user->deadline_ms == INT64_MAX || clock_now_ms() < user->deadline_ms))
		return false;
	user->events = user->sockets.events = false;
	user->deadline_ms = INT64_MAX;
	/* An incoming connection has timers, but perhaps no socket to watch yet. */
	user->active = true;
	/* The wanted events may have changed since the loop last slept. */
	update_watches(user);
	slirp_sockets_enter(&user->sockets);
	user->library.poll(user->slirp, 0, slirp_sockets_happened, &user->sockets);
	slirp_sockets_leave(&user->sockets);
	answer_for_guest(user);
	notify_guest(user);
	return true;
}

static void answer_dhcp(struct user_net *user, size_t length)
{
	uint8_t answer[PACKET_UDP_DATA + DHCP_ANSWER_MAX];
	const uint8_t *message = user->frame + PACKET_UDP_DATA;
	struct packet_flow flow = {
		.source = user->dhcp.settings.gateway,
		.source_port = DHCP_SERVER_PORT,
		.destination_port = DHCP_CLIENT_PORT,
	};
	size_t size = dhcp_answer(&user->dhcp, message, length - PACKET_UDP_DATA,
				  answer + PACKET_UDP_DATA, &flow.destination);

	if (!size)
		return;
	/* A guest that asks for an address has just started, and has no connections. */
	if (dhcp_is_start(message, length - PACKET_UDP_DATA))
		end_old_connections(user);
	if (flow.destination == UINT32_MAX)
		memset(flow.mac, 0xff, sizeof(flow.mac));
	else
		memcpy(flow.mac, user->frame + ETH_ALEN, sizeof(flow.mac));
	deliver(user, answer, packet_wrap_udp(answer, &flow, (uint16_t)size));
}

/* Delivers an answer of the name server, which may come at any time. */
static void deliver_at_once(void *context, const void *frame, size_t length)
{
	struct user_net *user = context;

	deliver(user, frame, length);
	notify_guest(user);
}

static void refuse(struct user_net *user, size_t length)
{
	uint8_t answer[FRAME_REFUSAL_MAX];

	deliver(user, answer, frame_filter_refuse(&user->filter, user->frame, length, answer));
}

static void pass_on(struct user_net *user, size_t length)
{
	user->active = true;
	if (slirp_sockets_full(&user->sockets) && end_old_connections(user))
		poll_user(user);
	slirp_sockets_enter(&user->sockets);
	user->library.input(user->slirp, user->frame, (int)length);
	slirp_sockets_leave(&user->sockets);
	answer_for_guest(user);
	/* Packets that waited for this frame, such as for an address, leave in poll. */
	user->events = true;
}

static bool send_frame(struct net_backend *backend, uint16_t pair,
		       const struct virtio_segment *segments, uint32_t count)
{
	struct user_net *user = to_user(backend);
	enum frame_verdict verdict = FRAME_DROPPED;
	size_t length = 0;

	(void)pair;
	/* The first segment is the header, without information: no offloads were offered. */
	for (uint32_t i = 1; i < count; i++) {
		if (segments[i].length > sizeof(user->frame) - length)
			return false;
		memcpy(user->frame + length, segments[i].base, segments[i].length);
		length += segments[i].length;
	}
	verdict = frame_filter_check(&user->filter, user->frame, &length, clock_now_ms());
	switch (verdict) {
	case FRAME_DROPPED:
		return false;
	case FRAME_KEPT:
		return true;
	case FRAME_PASSED:
		pass_on(user, length);
		break;
	case FRAME_REFUSED:
		refuse(user, length);
		break;
	case FRAME_FOR_DHCP:
		answer_dhcp(user, length);
		break;
	case FRAME_FOR_DNS:
		if (!user_dns_take(&user->dns, user->frame, length, clock_now_ms()))
			return false;
		break;
	case FRAME_FOR_ROUTER:
		advertise_router(user, user->frame);
		break;
	}
	notify_guest(user);
	return verdict != FRAME_REFUSED;
}

/* No frames are kept for the guest, and connections continue while it does not receive. */
static void ignore_listening(struct net_backend *backend, uint16_t pair)
{
	(void)backend;
	(void)pair;
}

/*
 * The driver may come back, such as from a sleep, and its connections are still good. They are
 * ended when it is certain that it is another guest, or that it is gone.
 */
static void note_reset(struct net_backend *backend)
{
	struct user_net *user = to_user(backend);

	slirp_sockets_next_life(&user->sockets);
	user_dns_reset(&user->dns);
	user->reset = true;
}

static const struct net_backend_ops user_ops = {
	.send = send_frame,
	.resume = ignore_listening,
	.stop = ignore_listening,
	.reset = note_reset,
};

static int add_forwards(struct user_net *user, const struct user_net_settings *settings,
			struct error *error)
{
	/* The address that DHCP gives first. */
	struct in_addr guest = {htonl(settings->subnet.address + HOST_GUEST)};
	uint32_t wait_ms = UINT32_MAX;

	for (size_t i = 0; i < settings->forward_count; i++) {
		const struct port_forward *forward = &settings->forwards[i];

		if (user->library.add_forward(user->slirp, forward->udp, forward->address,
					      forward->port, guest, forward->guest_port) < 0)
			return error_set_usage(error,
					       "forward: cannot listen on %s port %u of %s: %s; "
					       "choose another",
					       forward->udp ? "UDP" : "TCP", forward->port,
					       inet_ntoa(forward->address), strerror(errno));
	}
	user->library.fill(user->slirp, &wait_ms, slirp_sockets_mark_forward, &user->sockets);
	return 0;
}

static int set_up_network(struct user_net *user, const struct user_net_settings *settings,
			  struct error *error)
{
	struct frame_filter_settings filter = {
		.network = settings->subnet.address,
		.mask = settings->subnet.mask,
		.gateway = settings->subnet.address + HOST_GATEWAY,
		.name_server = settings->subnet.address + HOST_NAME_SERVER,
		.host_loopback = settings->host_loopback,
		.ipv6 = {.on = settings->ipv6, .mtu = settings->mtu ? settings->mtu : MTU_DEFAULT},
	};

	subnet_ipv6(&settings->subnet, filter.ipv6.prefix);
	user->mtu = settings->mtu;
	user->advertise_ms = settings->ipv6 ? clock_now_ms() + ROUTER_INTERVAL_MS : INT64_MAX;
	frame_filter_init(&user->filter, &filter);
	user_dns_init(&user->dns, filter.name_server, filter.ipv6.prefix, filter.ipv6.mtu,
		      deliver_at_once, user);
	snprintf(user->host_name, sizeof(user->host_name), "%s",
		 settings->host_name ? settings->host_name : "");
	user->dhcp.settings = (struct dhcp_settings){
		.gateway = filter.gateway,
		.mask = filter.mask,
		.name_server = filter.name_server,
		.first_address = settings->subnet.address + HOST_GUEST,
		.mtu = settings->mtu,
		.host_name = *user->host_name ? user->host_name : NULL,
	};
	return user_dns_start(&user->dns, user->loop, settings->name_servers, error);
}

static int start_library(struct user_net *user, const struct user_net_settings *settings,
			 struct error *error)
{
	/* Its servers for DHCP, TFTP and DNS get no packets: frame_filter.c. */
	SlirpConfig config = {
		.version = 1,
		.in_enabled = true,
		.vnetwork.s_addr = htonl(settings->subnet.address),
		.vnetmask.s_addr = htonl(settings->subnet.mask),
		.vhost.s_addr = htonl(settings->subnet.address + HOST_GATEWAY),
		.vdhcp_start.s_addr = htonl(settings->subnet.address + HOST_GUEST),
		.vnameserver.s_addr = htonl(settings->subnet.address + HOST_NAME_SERVER),
		.if_mtu = settings->mtu,
		.in6_enabled = settings->ipv6,
		.vprefix_len = IPV6_PREFIX * 8,
	};
	const uint8_t *prefix = user->filter.settings.ipv6.prefix;

	memcpy(config.vprefix_addr6.s6_addr, prefix, IPV6_PREFIX);
	packet_service_ipv6(config.vhost6.s6_addr, prefix, IPV6_GATEWAY);
	packet_service_ipv6(config.vnameserver6.s6_addr, prefix, IPV6_NAME_SERVER);
	if (slirp_library_load(&user->library, error) < 0)
		return -error->code;
	user->slirp = user->library.new(&config, &callbacks, user);
	if (!user->slirp)
		return error_set_usage(error,
				       "user: libslirp refuses an MTU of %u; choose %d to 65521",
				       settings->mtu, SUBNET_MTU_MIN);
	return add_forwards(user, settings, error);
}

struct user_net *user_net_new(struct event_loop *loop, const struct user_net_settings *settings,
			      struct error *error)
{
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
	event_loop_add_poller(loop, &user->poller);
	/* Before the library: the process that reads name servers does not need it. */
	if (set_up_network(user, settings, error) < 0 ||
	    slirp_sockets_init(&user->sockets, loop, error) < 0 ||
	    start_library(user, settings, error) < 0) {
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
	user_dns_stop(&user->dns);
	if (user->slirp)
		user->library.cleanup(user->slirp);
	slirp_sockets_close(&user->sockets);
	free(user);
}

bool user_net_host_has_ipv6(void)
{
	/* A global unicast address (RFC 4291, 2.4): no packet is sent there. */
	const struct sockaddr_in6 somebody = {
		.sin6_family = AF_INET6,
		.sin6_addr.s6_addr = {0x20, [15] = 1},
		.sin6_port = htons(DNS_PORT),
	};
	cleanup_fd int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)&somebody, sizeof(somebody)) == 0;
}

struct net_backend *user_net_net(struct user_net *user)
{
	return &user->net;
}

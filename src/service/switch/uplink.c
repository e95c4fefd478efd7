// SPDX-License-Identifier: BSD-3-Clause
/* A tap interface of the host as a port of the switch (linux/if_tun.h: IFF_VNET_HDR). */
#include "service/switch/uplink.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "host/tap.h"

/* Frames that are read before the clients' turn. */
#define FRAMES_AT_ONCE 32
#define MESSAGE_MAX    (SWITCH_HEADER + SWITCH_FRAME_MAX)

static bool reserve(struct switch_port *port, uint32_t length, struct channel_span *span)
{
	struct switch_uplink *uplink = port->context;

	uplink->length = length;
	*span = (struct channel_span){{uplink->out}, {length}};
	return true;
}

/* One that the interface does not take is lost. */
static void commit(struct switch_port *port)
{
	struct switch_uplink *uplink = port->context;

	if (uplink->watch.source.fd < 0 ||
	    write(uplink->watch.source.fd, uplink->out, uplink->length) < 0)
		uplink->dropped++;
}

static const struct switch_port_ops ops = {reserve, commit};

static void lose(struct switch_uplink *uplink)
{
	log_error("the uplink is gone: the switch has no connection to it any more");
	event_watch_set(uplink->loop, &uplink->watch, 0);
	close_fd(&uplink->watch.source.fd);
}

/* The kernel says more about frames than drivers do. */
static void take(struct switch_uplink *uplink, uint32_t length, uint64_t now_ns)
{
	const struct channel_span span = {{uplink->in}, {length}};
	struct virtio_net_hdr_v1 *header = (struct virtio_net_hdr_v1 *)uplink->in;

	header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (net_switch_take(uplink->net, uplink->port, &span, length, now_ns) < 0)
		uplink->port->counts.malformed++;
}

static void handle_event(void *context, uint32_t events)
{
	struct switch_uplink *uplink = context;
	uint64_t now_ns = clock_now_ns();

	if (events & EPOLLERR) {
		lose(uplink);
		return;
	}
	for (int i = 0; i < FRAMES_AT_ONCE; i++) {
		ssize_t length;

		if (switch_port_wait(uplink->port, now_ns) > 0) {
			uplink->port->counts.limited++;
			event_watch_set(uplink->loop, &uplink->watch, 0);
			return;
		}
		length = read(uplink->watch.source.fd, uplink->in, MESSAGE_MAX);
		if (length < (ssize_t)SWITCH_HEADER)
			return;
		take(uplink, (uint32_t)length, now_ns);
	}
}

uint64_t switch_uplink_run(struct switch_uplink *uplink, uint64_t now_ns)
{
	uint64_t wait_ns;

	if (uplink->watch.source.fd < 0 || uplink->watch.wanted)
		return UINT64_MAX;
	wait_ns = switch_port_wait(uplink->port, now_ns);
	if (wait_ns > 0)
		return now_ns + wait_ns;
	event_watch_set(uplink->loop, &uplink->watch, EPOLLIN);
	return UINT64_MAX;
}

static int explain(const char *name, int code, struct error *error)
{
	if (code == ENODEV || code == EPERM)
		return error_set_usage(error,
				       "uplink: %s: %s; make it with `ip tuntap add dev %s mode "
				       "tap user USER`",
				       name,
				       code == ENODEV ? "there is no such interface" :
							"this user may not use it",
				       name);
	return error_set_errno(error, code, "uplink: %s", name);
}

int switch_uplink_open(struct switch_uplink *uplink, struct net_switch *net,
		       const struct switch_port_settings *settings, struct event_loop *loop,
		       const char *name, struct error *error)
{
	bool multiqueue = false;
	int fd = tap_open_queue(name, &multiqueue);

	*uplink = (struct switch_uplink){
		.net = net,
		.loop = loop,
		.watch.source = {fd, handle_event, uplink},
		.in = malloc(MESSAGE_MAX),
		.out = malloc(MESSAGE_MAX),
	};
	if (fd < 0)
		return explain(name, -fd, error);
	/* The switch completes what its clients do not take; the kernel does for the interface. */
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) < 0)
		return error_set_errno(error, errno, "uplink: %s: cannot set its offloads", name);
	uplink->port = net_switch_add(net, settings, &ops, uplink);
	if (!uplink->in || !uplink->out || !uplink->port)
		return error_set(error, ENOMEM, "no memory for the uplink");
	uplink->port->offloads = SWITCH_CHECKSUM | SWITCH_TSO4 | SWITCH_TSO6 | SWITCH_ECN;
	event_watch_set(loop, &uplink->watch, EPOLLIN);
	return 0;
}

void switch_uplink_close(struct switch_uplink *uplink)
{
	if (uplink->loop)
		event_watch_set(uplink->loop, &uplink->watch, 0);
	close_fd(&uplink->watch.source.fd);
	free(uplink->in);
	free(uplink->out);
}

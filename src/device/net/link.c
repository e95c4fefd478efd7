// SPDX-License-Identifier: BSD-3-Clause
/* The network device's backend on a port of a switch. */
#include "device/net/link.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "service/switch/protocol.h"
#include "virtio/container_of.h"
#include "virtio/feature.h"

/* Frames before other work. */
#define BATCH 64

/*
 * How long, and in which intervals, a frame waits for more buffers when the guest has too few: no
 * kick announces them.
 */
#define SHORT_WAIT_NS	  (20 * UINT64_C(1000000))
#define SHORT_INTERVAL_MS 1

_Static_assert(sizeof(((struct net_link *)NULL)->frame) >= SWITCH_FRAME_MAX, "all frames fit");

static struct net_link *to_link(struct net_backend *backend)
{
	return container_of(backend, struct net_link, backend);
}

static bool is_attached(const struct net_link *link)
{
	return link->channel.socket >= 0;
}

/* To the switch */

static bool send_frame(struct net_backend *backend, uint16_t pair,
		       const struct virtio_segment *segments, uint32_t count)
{
	struct net_link *link = to_link(backend);
	struct channel_span span;
	uint32_t length = 0, at = 0;

	for (uint32_t i = 0; i < count; i++)
		length += (uint32_t)segments[i].length;
	if (!is_attached(link) || channel_reserve(&link->channel, length, &span) < 0)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		channel_span_write(&span, at, segments[i].base, (uint32_t)segments[i].length);
		at += (uint32_t)segments[i].length;
	}
	channel_commit(&link->channel, SWITCH_FRAME);
	return true;
}

/* When there is no room, the next poll tries again. */
static void send_offloads(struct net_link *link)
{
	const struct switch_offloads message = {link->offloads};

	link->offloads_due =
		channel_send(&link->channel, SWITCH_OFFLOADS, &message, sizeof(message)) == -EAGAIN;
}

static bool set_offloads(struct net_backend *backend, uint64_t offloads)
{
	static const struct {
		unsigned int feature, bit;
	} pairs[] = {
		{VIRTIO_NET_F_GUEST_CSUM, SWITCH_CHECKSUM},
		{VIRTIO_NET_F_GUEST_TSO4, SWITCH_TSO4},
		{VIRTIO_NET_F_GUEST_TSO6, SWITCH_TSO6},
		{VIRTIO_NET_F_GUEST_ECN, SWITCH_ECN},
	};
	struct net_link *link = to_link(backend);

	link->offloads = 0;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (offloads & FEATURE(pairs[i].feature))
			link->offloads |= pairs[i].bit;
	if (is_attached(link))
		send_offloads(link);
	return true;
}

/* From the switch */

static void drop(struct net_link *link)
{
	net_device_count_dropped(link->backend.net);
	channel_consume(&link->channel);
}

/* Drops what came while the guest was away, and what a guest that left has not taken. */
static void drop_all(struct net_link *link)
{
	struct channel_message message;

	/* A ring has no more messages than this. */
	for (uint32_t i = 0; i < CHANNEL_SLOTS_MAX; i++) {
		if (!is_attached(link) || channel_receive(&link->channel, &message) <= 0)
			break;
		drop(link);
	}
	link->kept = false;
	link->short_since_ns = 0;
}

/*
 * Offers a frame to the guest. It is read where it is if it is in one piece: what the service
 * changes in it meanwhile is no worse than what it could have sent.
 */
static enum net_received offer(struct net_link *link, const struct channel_message *message)
{
	const struct channel_span *span = &message->span;
	uint32_t length = message->length - SWITCH_HEADER;
	const uint8_t *frame = span->base[0] + SWITCH_HEADER;
	struct virtio_net_hdr_v1 header;

	channel_span_read(span, 0, &header, SWITCH_HEADER);
	if (span->length[1] > 0) {
		channel_span_read(span, SWITCH_HEADER, link->frame, length);
		frame = link->frame;
	}
	return net_device_receive(link->backend.net, 0, &header, frame, length);
}

/* Returns whether the frame is dealt with; -EPROTO: no correct switch sends that. */
static int deliver(struct net_link *link, const struct channel_message *message)
{
	enum net_received result;

	if (message->kind != SWITCH_FRAME || message->length < SWITCH_HEADER + SWITCH_FRAME_MIN ||
	    message->length > SWITCH_HEADER + SWITCH_FRAME_MAX)
		return -EPROTO;
	result = offer(link, message);
	if (result != NET_SHORT)
		link->short_since_ns = 0;
	else if (!link->short_since_ns)
		link->short_since_ns = clock_now_ns();
	link->kept = result != NET_RECEIVED;
	if (link->short_since_ns && clock_now_ns() - link->short_since_ns > SHORT_WAIT_NS) {
		net_device_count_dropped(link->backend.net);
		link->kept = false;
		link->short_since_ns = 0;
	}
	return !link->kept;
}

/* Returns whether there was a frame for the guest, or -EPROTO. */
static int receive_frames(struct net_link *link)
{
	struct channel_message message;
	int result, worked = 0;

	for (int i = 0; i < BATCH && link->wanted; i++) {
		if (channel_receive(&link->channel, &message) <= 0)
			break;
		result = deliver(link, &message);
		if (result < 0)
			return result;
		if (!result)
			break;
		channel_consume(&link->channel);
		worked = 1;
	}
	if (worked)
		net_device_received(link->backend.net, 0);
	return link->channel.broken ? -EPROTO : worked;
}

static void resume(struct net_backend *backend, uint16_t pair)
{
	struct net_link *link = to_link(backend);

	if (!link->wanted)
		drop_all(link);
	link->wanted = true;
	/* The poll that follows offers the next frame. */
	link->kept = false;
}

static void stop(struct net_backend *backend, uint16_t pair)
{
	struct net_link *link = to_link(backend);

	link->wanted = false;
	link->kept = false;
	link->short_since_ns = 0;
}

static const struct net_backend_ops backend_ops = {
	.send = send_frame,
	.resume = resume,
	.stop = stop,
	.set_offloads = set_offloads,
};

/* The channel */

static void detach(struct net_link *link)
{
	membership_end(&link->membership);
	channel_close(&link->channel);
	link->kept = false;
	link->short_since_ns = 0;
}

static void lose(struct net_link *link, const char *why)
{
	detach(link);
	log_warning("the switch is gone: %s", why);
	net_device_set_link(link->backend.net, false);
	membership_ask_later(&link->membership);
}

static void handle_socket(void *context, uint32_t events)
{
	struct net_link *link = context;

	if (channel_woken(&link->channel) < 0)
		lose(link, "it has closed the channel");
}

static bool poll_switch(void *context)
{
	struct net_link *link = context;
	int result;

	if (link->offloads_due)
		send_offloads(link);
	if (link->channel.broken)
		result = -EPROTO;
	else
		result = link->kept && !link->short_since_ns ? 0 : receive_frames(link);
	if (result < 0) {
		lose(link, "it broke the rules of the channel");
		return true;
	}
	channel_publish(&link->channel);
	channel_release(&link->channel);
	return result > 0;
}

/* While the guest takes no frames, they wait in the channel, and nobody is woken up. */
static bool prepare_sleep(void *context, int *timeout_ms)
{
	struct net_link *link = context;
	bool takes = link->wanted && !link->kept;

	if (link->short_since_ns && (*timeout_ms < 0 || *timeout_ms > SHORT_INTERVAL_MS))
		*timeout_ms = SHORT_INTERVAL_MS;
	return channel_prepare_sleep(&link->channel,
				     (takes ? CHANNEL_WANTS_MESSAGES : 0u) |
					     (link->offloads_due ? CHANNEL_WANTS_ROOM : 0u));
}

static const struct membership_ops membership_ops = {handle_socket, poll_switch, prepare_sleep};

int net_link_attach(struct net_link *link, int socket, struct error *error)
{
	int result = channel_accept(&link->channel, socket, error);

	/* A service sends the offer before it answers. */
	if (result == -EAGAIN)
		result = error_set(error, EPROTO, "the service has not offered a channel");
	if (result < 0) {
		close(socket);
		return result;
	}
	if (channel_length_max(&link->channel.shape) < SWITCH_HEADER + SWITCH_FRAME_MAX)
		result = error_set(error, EPROTO, "the service is not a switch");
	else
		result = membership_begin(&link->membership, socket, error);
	if (result < 0) {
		channel_close(&link->channel);
		return result;
	}
	send_offloads(link);
	if (link->backend.net)
		net_device_set_link(link->backend.net, true);
	return 0;
}

void net_link_answer(struct net_link *link, int socket, const char *why)
{
	struct error error;

	if (socket >= 0 && net_link_attach(link, socket, &error) < 0)
		why = error.message;
	if (is_attached(link)) {
		log_debug("the switch is there");
		return;
	}
	log_debug("no switch: %s", why);
	membership_ask_later(&link->membership);
}

int net_link_open(struct net_link *link, struct event_loop *loop, struct error *error)
{
	link->backend = (struct net_backend){
		.ops = &backend_ops,
		.features = FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_HOST_TSO4) |
			    FEATURE(VIRTIO_NET_F_HOST_TSO6) | FEATURE(VIRTIO_NET_F_HOST_ECN) |
			    FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO4) |
			    FEATURE(VIRTIO_NET_F_GUEST_TSO6) | FEATURE(VIRTIO_NET_F_GUEST_ECN),
	};
	link->channel = CHANNEL_CLOSED;
	return membership_open(&link->membership, loop, &membership_ops, link, NET_LINK_RETRY_MS,
			       error);
}

void net_link_set_asker(struct net_link *link, int (*asker)(void *context), void *context)
{
	link->membership.ask = asker;
	link->membership.ask_context = context;
	net_device_set_link(link->backend.net, false);
	membership_ask(&link->membership);
}

void net_link_close(struct net_link *link)
{
	if (!link->membership.loop)
		return;
	if (is_attached(link))
		detach(link);
	membership_close(&link->membership);
}

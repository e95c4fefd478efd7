// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device's backend on a tap interface: a descriptor for each queue pair, on which a
 * frame is read or written with its virtio header (linux/if_tun.h: IFF_VNET_HDR), so that checksums
 * and segmentation can be offloaded.
 */
#include "device/net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "host/tap.h"
#include "virtio/container_of.h"
#include "virtio/feature.h"

#define HEADER_LENGTH sizeof(struct virtio_net_hdr_v1)

/* Frames read before other event sources get their turn. */
#define FRAMES_AT_ONCE 64

/* Frames that may have queued up while the guest was away: at least the queue length of a tap. */
#define STALE_FRAMES_MAX 2048

/* How often an interface that is gone is asked for. */
#define REOPEN_INTERVAL_MS 1000

/*
 * How long, and in which intervals, a frame waits for more buffers when the guest has too few: no
 * kick announces them.
 */
#define SHORT_WAIT_NS	  (20 * UINT64_C(1000000))
#define SHORT_INTERVAL_MS 1

struct tap_pair {
	struct tap_backend *tap;
	struct event_watch watch; /* fd -1: not open */
	bool attached;		  /* the kernel puts frames into this queue */
	bool wanted;		  /* the guest takes frames */
	size_t kept; /* length of the frame in the buffer that waits for room; 0: no frame waits */
	uint64_t short_since_ns; /* since when it waits for more buffers; 0: it does not */
	uint8_t *buffer;	 /* HEADER_LENGTH + NET_FRAME_MAX bytes */
};

struct tap_backend {
	struct net_backend net;
	struct event_loop *loop;
	struct event_poller poller;
	char name[IFNAMSIZ];
	uint16_t pair_count;
	bool started;
	bool down;	       /* the interface is down: reading and writing fail */
	bool gone;	       /* for good, unless it can be opened again */
	unsigned int offloads; /* of received frames, as the guest asked */
	struct tap_reopener reopener;
	/* Queues of the interface that came back, until there is one for each pair. */
	int reopened[NET_PAIRS_MAX];
	uint16_t reopened_count;
	bool asking;
	uint64_t ask_ns; /* when to ask next */
	struct tap_pair pairs[NET_PAIRS_MAX];
};

static struct tap_backend *to_tap(struct net_backend *backend)
{
	return container_of(backend, struct tap_backend, net);
}

static uint16_t number_of(const struct tap_pair *pair)
{
	return (uint16_t)(pair - pair->tap->pairs);
}

/* Watches the descriptor for the events needed now. */
static void update_watch(struct tap_pair *pair)
{
	struct tap_backend *tap = pair->tap;
	uint32_t events = 0;

	if (pair->wanted && !pair->kept && !tap->down)
		events |= EPOLLIN;
	/*
	 * A tap that comes up becomes writable. One that is deleted wakes only those who wait for
	 * input, EPOLLPRI among it, which no tap ever has.
	 */
	if (tap->started && tap->down && number_of(pair) == 0)
		events |= EPOLLOUT | EPOLLPRI;
	if (tap->gone)
		events = 0;
	event_watch_set(tap->loop, &pair->watch, events);
}

static void update_watches(struct tap_backend *tap)
{
	for (uint16_t i = 0; i < tap->pair_count; i++)
		update_watch(&tap->pairs[i]);
}

static void set_down(struct tap_backend *tap, bool down)
{
	if (tap->down == down)
		return;
	tap->down = down;
	if (tap->started) {
		log_info("%s is %s", tap->name, down ? "down" : "up");
		net_device_set_link(tap->net.net, !down);
	}
	update_watches(tap);
}

static void drop_reopened(struct tap_backend *tap)
{
	while (tap->reopened_count > 0)
		close(tap->reopened[--tap->reopened_count]);
}

/* The interface may not be back yet: ask again later. */
static void ask_later(struct tap_backend *tap)
{
	drop_reopened(tap);
	tap->asking = false;
	tap->ask_ns = clock_now_ns() + REOPEN_INTERVAL_MS * UINT64_C(1000000);
}

static void ask(struct tap_backend *tap)
{
	tap->asking = true;
	if (tap->reopener.ask(tap->reopener.context, tap->reopened_count) < 0)
		ask_later(tap);
}

static void handle_gone(struct tap_backend *tap)
{
	if (tap->reopener.ask)
		log_warning("the interface %s is gone: the guest's network has no connection until "
			    "it is back",
			    tap->name);
	else
		log_error(
			"the interface %s is gone: the guest's network has no connection any more",
			tap->name);
	tap->gone = true;
	set_down(tap, true);
	update_watches(tap);
	ask_later(tap);
}

/*
 * Updates the state of the interface after a failed call; errno is set. A deletion is not reported
 * while the guest takes no frames, because the descriptor is not watched then.
 */
static void note_failure(struct tap_backend *tap)
{
	if (errno == EIO)
		set_down(tap, true);
	else if (errno == EBADFD && !tap->gone)
		handle_gone(tap);
}

/* Drops the frame that waits for room, if there is one. */
static void drop_kept(struct tap_pair *pair)
{
	if (pair->kept)
		net_device_count_dropped(pair->tap->net.net);
	pair->kept = 0;
}

/* Offers the frame in the buffer to the guest; keeps it when there is no room. */
static void deliver(struct tap_pair *pair, size_t length)
{
	struct virtio_net_hdr_v1 header;
	enum net_received result;

	memcpy(&header, pair->buffer, HEADER_LENGTH);
	result = net_device_receive(pair->tap->net.net, number_of(pair), &header,
				    pair->buffer + HEADER_LENGTH, length - HEADER_LENGTH);
	pair->kept = result == NET_RECEIVED ? 0 : length;
	if (result != NET_SHORT)
		pair->short_since_ns = 0;
	else if (!pair->short_since_ns)
		pair->short_since_ns = clock_now_ns();
}

static void receive_frames(struct tap_pair *pair)
{
	for (int i = 0; i < FRAMES_AT_ONCE && pair->wanted && !pair->kept; i++) {
		ssize_t length =
			read(pair->watch.source.fd, pair->buffer, HEADER_LENGTH + NET_FRAME_MAX);

		if (length < 0) {
			note_failure(pair->tap);
			break;
		}
		if ((size_t)length > HEADER_LENGTH)
			deliver(pair, (size_t)length);
	}
	update_watch(pair);
	net_device_received(pair->tap->net.net, number_of(pair));
}

static void handle_event(void *context, uint32_t events)
{
	struct tap_pair *pair = context;
	struct tap_backend *tap = pair->tap;

	if (events & EPOLLERR) {
		handle_gone(tap);
		return;
	}
	if (events & EPOLLOUT)
		set_down(tap, false);
	if (events & EPOLLIN)
		receive_frames(pair);
}

static bool is_waiting(const struct tap_backend *tap)
{
	return tap->gone && tap->reopener.ask && !tap->asking;
}

/*
 * Retries frames that wait for more buffers, and finally drops them. Asks for an interface that is
 * gone.
 */
static bool poll_tap(void *context)
{
	struct tap_backend *tap = context;
	bool worked = false;

	if (is_waiting(tap) && clock_now_ns() >= tap->ask_ns)
		ask(tap);

	for (uint16_t i = 0; i < tap->pair_count; i++) {
		struct tap_pair *pair = &tap->pairs[i];

		if (!pair->short_since_ns)
			continue;
		deliver(pair, pair->kept);
		if (pair->kept && clock_now_ns() - pair->short_since_ns > SHORT_WAIT_NS)
			drop_kept(pair);
		if (pair->kept)
			continue;
		pair->short_since_ns = 0;
		net_device_received(tap->net.net, i);
		update_watch(pair);
		worked = true;
	}
	return worked;
}

static bool prepare_to_sleep(void *context, int *timeout_ms)
{
	struct tap_backend *tap = context;

	for (uint16_t i = 0; i < tap->pair_count; i++)
		if (tap->pairs[i].short_since_ns &&
		    (*timeout_ms < 0 || *timeout_ms > SHORT_INTERVAL_MS))
			*timeout_ms = SHORT_INTERVAL_MS;
	/* Rounded up, and at most one interval. */
	if (is_waiting(tap) && (*timeout_ms < 0 || *timeout_ms > REOPEN_INTERVAL_MS))
		*timeout_ms = REOPEN_INTERVAL_MS;
	return false;
}

static bool send_frame(struct net_backend *backend, uint16_t pair,
		       const struct virtio_segment *segments, uint32_t count)
{
	struct tap_backend *tap = to_tap(backend);
	/* A guest may send on a pair on which it does not receive. */
	int fd = tap->pairs[tap->pairs[pair].attached ? pair : 0].watch.source.fd;

	_Static_assert(sizeof(struct virtio_segment) == sizeof(struct iovec), "same layout");
	if (writev(fd, (const struct iovec *)segments, (int)count) >= 0)
		return true;
	note_failure(tap);
	return false;
}

/*
 * Attaches the queue, so that the kernel uses it for frames, or detaches it. Returns whether that
 * worked.
 */
static bool attach(struct tap_pair *pair, bool attached)
{
	struct ifreq request = {
		.ifr_flags = attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE,
	};

	if (pair->attached == attached || pair->tap->gone)
		return true;
	if (ioctl(pair->watch.source.fd, TUNSETQUEUE, &request) < 0) {
		log_warning("%s: cannot %s queue %u: %s", pair->tap->name,
			    attached ? "use" : "leave", number_of(pair), strerror(errno));
		return false;
	}
	pair->attached = attached;
	return true;
}

static bool use_pair(struct net_backend *backend, uint16_t number, bool use)
{
	/* Without any queue the interface would lose its carrier, and its addresses with it. */
	return number == 0 || attach(&to_tap(backend)->pairs[number], use);
}

static void resume(struct net_backend *backend, uint16_t number)
{
	struct tap_backend *tap = to_tap(backend);
	struct tap_pair *pair = &tap->pairs[number];

	if (pair->wanted && !pair->kept)
		return;
	if (!pair->wanted) {
		attach(pair, true);
		/* Drop what came while the guest was away. */
		for (int i = 0; i < STALE_FRAMES_MAX; i++)
			if (read(pair->watch.source.fd, pair->buffer, HEADER_LENGTH) < 0)
				break;
		pair->wanted = true;
	}
	if (pair->kept) {
		deliver(pair, pair->kept);
		net_device_received(tap->net.net, number);
	}
	update_watch(pair);
}

static void stop(struct net_backend *backend, uint16_t number)
{
	struct tap_pair *pair = &to_tap(backend)->pairs[number];

	pair->wanted = false;
	drop_kept(pair);
	pair->short_since_ns = 0;
	use_pair(backend, number, false);
	update_watch(pair);
}

static bool set_offloads(struct net_backend *backend, uint64_t offloads)
{
	static const struct {
		unsigned int feature, flag;
	} pairs[] = {
		{VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM},
		{VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4},
		{VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6},
		{VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN},
	};
	struct tap_backend *tap = to_tap(backend);
	unsigned int flags = 0;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (offloads & FEATURE(pairs[i].feature))
			flags |= pairs[i].flag;
	/*
	 * A driver may ask for any combination. The kernel refuses segmentation without checksums
	 * and ECN without segmentation. Such bits have no effect, so omit them.
	 */
	if (!(flags & TUN_F_CSUM))
		flags = 0;
	if (!(flags & (TUN_F_TSO4 | TUN_F_TSO6)))
		flags &= ~(unsigned int)TUN_F_TSO_ECN;
	tap->offloads = flags;
	if (tap->gone || ioctl(tap->pairs[0].watch.source.fd, TUNSETOFFLOAD, flags) == 0)
		return true;
	note_failure(tap);
	if (tap->gone)
		return true;
	log_warning("%s: cannot set its offloads: %s", tap->name, strerror(errno));
	return false;
}

static const struct net_backend_ops tap_ops = {
	.send = send_frame,
	.resume = resume,
	.stop = stop,
	.use_pair = use_pair,
	.set_offloads = set_offloads,
};

static int explain(struct error *error, const char *name, uint16_t pairs, int code)
{
	switch (code) {
	case ENODEV:
		return error_set_usage(error,
				       "tap: %s: there is no such interface; make it with `ip "
				       "tuntap add dev %s mode tap user USER`",
				       name, name);
	case EPERM:
		return error_set_usage(error,
				       "tap: %s: this user may not use it; make it with "
				       "`ip tuntap add dev %s mode tap user USER`",
				       name, name);
	case EBUSY:
		return error_set_usage(error, "tap: %s: another process uses it; end that one",
				       name);
	case EINVAL:
	case E2BIG:
		return error_set_usage(error,
				       "tap: %s: does not have %u queue%s; make it with `ip tuntap "
				       "add dev %s mode tap%s`",
				       name, pairs, pairs > 1 ? "s" : "", name,
				       pairs > 1 ? " multi_queue" : "");
	}
	return error_set_errno(error, code, "tap: %s", name);
}

static int open_queues(struct tap_backend *tap, struct error *error)
{
	bool multiqueue = tap->pair_count > 1;
	int fd = 0;

	for (uint16_t i = 0; i < tap->pair_count; i++) {
		struct tap_pair *pair = &tap->pairs[i];

		fd = tap_open_queue(tap->name, &multiqueue);
		if (fd < 0)
			return explain(error, tap->name, tap->pair_count, -fd);
		pair->watch.source.fd = fd;
		pair->attached = true;
		pair->buffer = malloc(HEADER_LENGTH + NET_FRAME_MAX);
		if (!pair->buffer)
			return error_set(error, ENOMEM, "no memory for %s", tap->name);
		if (i > 0)
			attach(pair, false);
	}
	return 0;
}

/*
 * Finds the offloads that the kernel supports in both directions. None is enabled for received
 * frames until a guest asks for it.
 */
static int find_features(struct tap_backend *tap, struct error *error)
{
	uint64_t features = FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_HOST_TSO4) |
			    FEATURE(VIRTIO_NET_F_HOST_TSO6) | FEATURE(VIRTIO_NET_F_HOST_ECN);
	int fd = tap->pairs[0].watch.source.fd;

	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) == 0)
		features |= FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO4) |
			    FEATURE(VIRTIO_NET_F_GUEST_TSO6) | FEATURE(VIRTIO_NET_F_GUEST_ECN);
	if (ioctl(fd, TUNSETOFFLOAD, 0) < 0)
		return error_set_errno(error, errno, "tap: %s: cannot set its offloads", tap->name);
	tap->net.features = features;
	return 0;
}

struct tap_backend *tap_backend_new(struct event_loop *loop, const char *name, uint16_t pairs,
				    struct error *error)
{
	struct tap_backend *tap;

	tap = calloc(1, sizeof(*tap));
	if (!tap) {
		error_set(error, ENOMEM, "no memory for %s", name);
		return NULL;
	}
	snprintf(tap->name, sizeof(tap->name), "%s", name);
	tap->loop = loop;
	tap->pair_count = pairs;
	for (uint16_t i = 0; i < pairs; i++)
		tap->pairs[i] = (struct tap_pair){
			.tap = tap,
			.watch.source = {.fd = -1,
					 .handle = handle_event,
					 .context = &tap->pairs[i]},
		};
	tap->poller = (struct event_poller){.poll = poll_tap,
					    .prepare = prepare_to_sleep,
					    .context = tap};
	tap->net.ops = &tap_ops;
	event_loop_add_poller(loop, &tap->poller);
	if (open_queues(tap, error) < 0 || find_features(tap, error) < 0) {
		tap_backend_free(tap);
		return NULL;
	}
	return tap;
}

void tap_backend_set_reopener(struct tap_backend *tap, const struct tap_reopener *reopener)
{
	tap->reopener = *reopener;
}

/* Uses the queues of the interface that came back in place of the old ones. */
static void use_reopened(struct tap_backend *tap)
{
	tap->gone = false;
	for (uint16_t i = 0; i < tap->pair_count; i++) {
		struct tap_pair *pair = &tap->pairs[i];

		event_watch_set(tap->loop, &pair->watch, 0);
		close_fd(&pair->watch.source.fd);
		pair->watch.source.fd = tap->reopened[i];
		pair->attached = true;
		if (i > 0 && !pair->wanted)
			attach(pair, false);
	}
	tap->reopened_count = 0;
	if (ioctl(tap->pairs[0].watch.source.fd, TUNSETOFFLOAD, tap->offloads) < 0)
		log_warning("%s: cannot set its offloads: %s", tap->name, strerror(errno));
	log_info("the interface %s is back", tap->name);
	/* It is down until it can be written to. */
	update_watches(tap);
}

void tap_backend_reopened(struct tap_backend *tap, int fd, const char *why)
{
	tap->asking = false;
	if (fd < 0) {
		log_debug("the interface %s is still gone: %s", tap->name, why);
		ask_later(tap);
		return;
	}
	tap->reopened[tap->reopened_count++] = fd;
	if (tap->reopened_count < tap->pair_count)
		ask(tap);
	else
		use_reopened(tap);
}

void tap_backend_free(struct tap_backend *tap)
{
	if (!tap)
		return;
	drop_reopened(tap);
	event_loop_remove_poller(tap->loop, &tap->poller);
	for (uint16_t i = 0; i < tap->pair_count; i++) {
		struct tap_pair *pair = &tap->pairs[i];

		event_watch_set(tap->loop, &pair->watch, 0);
		close_fd(&pair->watch.source.fd);
		free(pair->buffer);
	}
	free(tap);
}

struct net_backend *tap_backend_net(struct tap_backend *tap)
{
	return &tap->net;
}

void tap_backend_start(struct tap_backend *tap)
{
	struct pollfd probe = {.fd = tap->pairs[0].watch.source.fd, .events = POLLOUT};

	tap->started = true;
	/* A tap that is down takes no frames. */
	if (poll(&probe, 1, 0) == 0) {
		set_down(tap, true);
		log_warning("bring it up with `ip link set %s up`", tap->name);
	}
}

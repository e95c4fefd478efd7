// SPDX-License-Identifier: BSD-3-Clause
/*
 * The load program for a switch: passes frames from one port to another for some seconds, and
 * prints how many arrived per second, and how many were lost. The ports are two clients of `avp
 * service switch`, or two tap interfaces that something of the host connects.
 *
 * A number of frames is on its way at most, so that none is lost for lack of room. The two clients
 * are one thread, on another processor than the switch. The reader of the second interface is a
 * process of its own, on the processor that --reader names: the host does the work of a bridge
 * where frames are sent. So either has two processors.
 */
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/service_link.h"
#include "host/tap.h"
#include "load.h"
#include "service/channel/channel.h"
#include "service/switch/protocol.h"

/* Frames on their way: as many as the channel and the queue for a client of the switch hold. */
#define WINDOW	  128
#define FRAME_MIN 60
#define FRAME_MAX 1514
#define JOIN_MS	  10000
/* When none has arrived for this time, the frames on their way are lost. */
#define LOST_NS UINT64_C(2000000000)
/* How long it may take until the first one arrives, and how often one is sent meanwhile. */
#define START_NS	  UINT64_C(20000000000)
#define START_INTERVAL_US 1000
/* A type for local experiments (IEEE 802). */
#define FRAME_TYPE 0x88b5

struct message {
	uint8_t bytes[SWITCH_HEADER + FRAME_MAX];
};

struct load {
	const char *socket, *from_tap, *to_tap;
	int reader; /* processor */
	uint32_t size;
	double seconds;
	/* Either channels, or interfaces and what the reader has counted. */
	struct channel from, to;
	int from_fd, to_fd;
	_Atomic uint64_t *read;
	uint64_t sent, arrived, lost, progress_ns;
	struct message there, back;
};

static void make_message(struct message *message, const char *from, const char *to)
{
	struct ether_header *frame = (struct ether_header *)(message->bytes + SWITCH_HEADER);

	memcpy(frame->ether_dhost, to, ETH_ALEN);
	memcpy(frame->ether_shost, from, ETH_ALEN);
	frame->ether_type = htobe16(FRAME_TYPE);
}

static bool is_ours(const uint8_t *message)
{
	return ((const struct ether_header *)(message + SWITCH_HEADER))->ether_type ==
	       htobe16(FRAME_TYPE);
}

/* Clients of the switch */

static void join(struct channel *channel, const char *path, const char *name)
{
	struct error error;
	int fd = service_link_join(path, name, JOIN_MS, &error);

	if (fd < 0 || channel_accept(channel, fd, &error) < 0)
		load_fail(path, error.message);
}

static unsigned int send_messages(struct load *load, unsigned int count)
{
	unsigned int done = 0;

	while (done < count && channel_send(&load->from, SWITCH_FRAME, load->there.bytes,
					    SWITCH_HEADER + load->size) == 0)
		done++;
	channel_publish(&load->from);
	return done;
}

static void take_messages(struct load *load)
{
	static struct message copy;
	struct channel_message message;

	while (channel_receive(&load->to, &message) > 0) {
		if (message.length > sizeof(copy))
			load_fail("switch", "a frame has another length");
		channel_span_read(&message.span, 0, copy.bytes, message.length);
		load->arrived += is_ours(copy.bytes);
		channel_consume(&load->to);
	}
	channel_release(&load->to);
}

/* Sleeps until there is something, as a client does that has nothing to do. */
static void wait_for_messages(struct load *load)
{
	struct pollfd woken = {.fd = load->to.socket, .events = POLLIN};

	if (channel_prepare_sleep(&load->to, CHANNEL_WANTS_MESSAGES))
		return;
	if (poll(&woken, 1, 10) > 0)
		channel_woken(&load->to);
}

/* Interfaces */

static int open_tap(const char *name)
{
	bool multiqueue = false;
	int fd = tap_open_queue(name, &multiqueue);

	if (fd < 0)
		load_fail(name, strerror(-fd));
	return fd;
}

static void read_frames(const struct load *load)
{
	struct pollfd readable = {.fd = load->to_fd, .events = POLLIN};
	static struct message copy;
	cpu_set_t processors;

	CPU_ZERO(&processors);
	CPU_SET((size_t)load->reader, &processors);
	if (sched_setaffinity(0, sizeof(processors), &processors) < 0)
		load_fail("--reader", NULL);
	for (;;) {
		ssize_t size = read(load->to_fd, copy.bytes, sizeof(copy.bytes));

		if (size < 0)
			poll(&readable, 1, -1);
		else if (is_ours(copy.bytes))
			atomic_fetch_add_explicit(load->read, 1, memory_order_relaxed);
	}
}

static unsigned int write_frames(const struct load *load, unsigned int count)
{
	unsigned int done = 0;

	while (done < count &&
	       write(load->from_fd, load->there.bytes, SWITCH_HEADER + load->size) > 0)
		done++;
	return done;
}

/* Both */

static void open_ports(struct load *load)
{
	make_message(&load->there, "\2\0\0\0\0\1", "\2\0\0\0\0\2");
	make_message(&load->back, "\2\0\0\0\0\2", "\2\0\0\0\0\1");
	if (load->socket) {
		join(&load->from, load->socket, "from");
		join(&load->to, load->socket, "to");
		/* Where the receiver is has to be known. */
		channel_send(&load->to, SWITCH_FRAME, load->back.bytes, SWITCH_HEADER + FRAME_MIN);
		channel_publish(&load->to);
		return;
	}
	load->from_fd = open_tap(load->from_tap);
	load->to_fd = open_tap(load->to_tap);
	load->read = mmap(NULL, sizeof(*load->read), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (load->read == MAP_FAILED)
		load_fail("memory", NULL);
	if (write(load->to_fd, load->back.bytes, SWITCH_HEADER + FRAME_MIN) < 0)
		load_fail(load->to_tap, NULL);
	switch (fork()) {
	case -1:
		load_fail("fork", NULL);
	case 0:
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		read_frames(load);
	}
}

/* Keeps @window frames on their way. */
static void pass_frames(struct load *load, unsigned int window)
{
	uint64_t under_way = load->sent - load->arrived - load->lost;
	unsigned int room = under_way < window ? (unsigned int)(window - under_way) : 0;
	uint64_t before = load->arrived, now_ns;

	load->sent += load->socket ? send_messages(load, room) : write_frames(load, room);
	if (load->socket)
		take_messages(load);
	else
		load->arrived = atomic_load_explicit(load->read, memory_order_relaxed);
	if (load->arrived != before) {
		load->progress_ns = 0;
		return;
	}
	if (load->socket)
		wait_for_messages(load);
	now_ns = clock_now_ns();
	if (!load->progress_ns)
		load->progress_ns = now_ns;
	if (now_ns - load->progress_ns <= LOST_NS)
		return;
	load->lost = load->sent - load->arrived;
	load->progress_ns = 0;
}

/* Single frames, until one arrives: an interface takes a moment to forward. */
static void start(struct load *load)
{
	uint64_t limit_ns = clock_now_ns() + START_NS;

	while (load->arrived == 0) {
		if (clock_now_ns() > limit_ns)
			load_fail("load", "no frame arrives");
		pass_frames(load, 1);
		usleep(START_INTERVAL_US);
	}
	load->lost = load->sent - load->arrived;
}

static void run(struct load *load)
{
	uint64_t begin = clock_now_ns(), end, now_ns, first, lost = load->lost;

	/* The first tenth of a second does not count. */
	for (end = begin + 100000000; clock_now_ns() < end;)
		pass_frames(load, WINDOW);
	first = load->arrived;
	begin = clock_now_ns();
	for (end = begin + (uint64_t)(load->seconds * 1e9); (now_ns = clock_now_ns()) < end;)
		pass_frames(load, WINDOW);
	printf("%.0f %" PRIu64 "\n",
	       (double)(load->arrived - first) * 1e9 / (double)(now_ns - begin), load->lost - lost);
}

static const char usage[] = "usage: switch_load --socket PATH | --from TAP --to TAP --reader CPU\n"
			    "                   [--size 60..1514] [--seconds S]\n"
			    "prints: frames that arrived per second, and how many were lost\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'}, {"from", required_argument, NULL, 'f'},
		{"to", required_argument, NULL, 'o'},	  {"reader", required_argument, NULL, 'r'},
		{"size", required_argument, NULL, 'b'},	  {"seconds", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},	  {0},
	};
	static struct load load = {.size = FRAME_MIN, .seconds = 1};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			load.socket = optarg;
			break;
		case 'f':
			load.from_tap = optarg;
			break;
		case 'o':
			load.to_tap = optarg;
			break;
		case 'r':
			load.reader = atoi(optarg);
			break;
		case 'b':
			load.size = (uint32_t)atoi(optarg);
			break;
		case 't':
			load.seconds = atof(optarg);
			break;
		default:
			fputs(usage, option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	if (!load.socket == !(load.from_tap && load.to_tap) || load.size < FRAME_MIN ||
	    load.size > FRAME_MAX || load.seconds <= 0) {
		fputs(usage, stderr);
		return 2;
	}
	open_ports(&load);
	start(&load);
	run(&load);
	return 0;
}

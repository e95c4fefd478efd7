// SPDX-License-Identifier: BSD-3-Clause
/*
 * The load program for a vhost-user network device whose other end is a tap interface: sends
 * frames for some seconds, from the driver to the interface or the other way round, and prints how
 * many arrived per second, and how many were lost.
 *
 * The driver keeps its transmit queue full. Into the interface, it sends a frame for each one that
 * has arrived, so that nothing is lost for lack of room. Both are one thread: a peer of the
 * interface on the same processor as the driver, and thus in the same place for each device.
 */
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "load.h"
#include "virtio/feature.h"

/* Frames on their way to the driver. The interface queues 1000. */
#define WINDOW	     LOAD_QUEUE_SIZE
#define SLOT_BYTES   2048u
#define MEMORY_BYTES (2 * LOAD_RING_BYTES + 2 * LOAD_QUEUE_SIZE * SLOT_BYTES)
#define FRAME_MIN    60
#define FRAME_MAX    1514
/* Sent with one system call. */
#define BATCH 32
/* When none has arrived for this time, the frames on their way are lost. */
#define LOST_MS 200
/* A device that uses no frame for this time has failed. */
#define STALL_MS 10000
/* How long a device may take until the first frame arrives, and how often one is sent meanwhile. */
#define START_MS	  20000
#define START_INTERVAL_MS 20
/* When none has arrived for this time, all have. */
#define LAST_MS 50

/* A type for local experiments: no protocol of the host takes these frames (IEEE 802). */
#define FRAME_TYPE 0x88b5

enum { RECEIVE, TRANSMIT };

struct frame {
	struct virtio_net_hdr_v1 header;
	struct ether_header ethernet;
};

struct load {
	const char *socket, *tap;
	bool receive, packed;
	size_t size; /* of a frame, without its checksum */
	double seconds;
	struct load_device device;
	struct load_queue queues[2];
	struct frame *unused[LOAD_QUEUE_SIZE]; /* of the transmit queue */
	unsigned int unused_count;
	int packet_socket;
	uint64_t sent, arrived, lost;
	uint64_t transmitted; /* that the interface had counted at the start */
};

static struct frame *slot(struct load *load, unsigned int queue, unsigned int index)
{
	return (struct frame *)(load->device.memory + 2 * LOAD_RING_BYTES +
				(queue * LOAD_QUEUE_SIZE + index) * SLOT_BYTES);
}

static void fill_frame(struct ether_header *frame)
{
	static const uint8_t to[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56},
			     from[] = {0x52, 0x54, 0, 0x12, 0x34, 0x57};

	memcpy(frame->ether_dhost, to, sizeof(to));
	memcpy(frame->ether_shost, from, sizeof(from));
	frame->ether_type = htobe16(FRAME_TYPE);
}

/* The frames that came from the device, as the interface counts them. */
static uint64_t count_transmitted(const struct load *load)
{
	char line[512];
	uint64_t packets = 0;
	bool found = false;
	FILE *file = fopen("/proc/net/dev", "re");

	if (!file)
		load_fail("/proc/net/dev", NULL);
	while (!found && fgets(line, sizeof(line), file)) {
		char *name = line + strspn(line, " "), *colon = strchr(name, ':');

		if (!colon)
			continue;
		*colon = 0;
		found = !strcmp(name, load->tap) &&
			sscanf(colon + 1, "%*u %" SCNu64, &packets) == 1;
	}
	fclose(file);
	if (!found)
		load_fail(load->tap, "there is no such interface");
	return packets;
}

static void open_packet_socket(struct load *load)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(load->tap),
	};
	int one = 1;

	/* Protocol 0: it receives nothing. */
	load->packet_socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (load->packet_socket < 0 ||
	    bind(load->packet_socket, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    setsockopt(load->packet_socket, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0)
		load_fail("packet socket", NULL);
}

/* Sends up to @count frames into the interface. Returns how many it took. */
static unsigned int send_to_interface(struct load *load, unsigned int count)
{
	static uint8_t bytes[FRAME_MAX];
	struct iovec segment = {bytes, load->size};
	struct mmsghdr messages[BATCH] = {0};
	int taken;

	fill_frame((struct ether_header *)bytes);
	count = count < BATCH ? count : BATCH;
	for (unsigned int i = 0; i < count; i++) {
		messages[i].msg_hdr.msg_iov = &segment;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	taken = sendmmsg(load->packet_socket, messages, count, 0);
	if (taken < 0 && errno != EAGAIN && errno != ENOBUFS)
		load_fail("packet socket", NULL);
	return taken < 0 ? 0 : (unsigned int)taken;
}

static void give_buffer(struct load *load, struct frame *frame)
{
	load_give_buffer(&load->device, &load->queues[RECEIVE], frame, SLOT_BYTES);
}

/* Counts the received frames and gives their buffers back. */
static void receive_frames(struct load *load)
{
	struct frame *frame;
	uint32_t written;

	while ((frame = load_take(&load->queues[RECEIVE], &written))) {
		/* The host sends others on its own, such as neighbour discovery. */
		if (frame->ethernet.ether_type == htobe16(FRAME_TYPE)) {
			if (written != sizeof(frame->header) + load->size)
				load_fail("receive queue", "a frame has another length");
			load->arrived++;
		}
		give_buffer(load, frame);
	}
	load_kick(&load->queues[RECEIVE]);
}

/* Sends up to @count frames from the driver. Returns how many there was room for. */
static unsigned int transmit_frames(struct load *load, unsigned int count)
{
	struct frame *frame;
	uint32_t written;
	unsigned int added;

	while ((frame = load_take(&load->queues[TRANSMIT], &written)))
		load->unused[load->unused_count++] = frame;
	for (added = 0; added < count && load->unused_count > 0; added++) {
		struct driver_buffer buffer;

		frame = load->unused[--load->unused_count];
		frame->header = (struct virtio_net_hdr_v1){0};
		buffer = (struct driver_buffer){load_address(&load->device, frame),
						(uint32_t)(sizeof(frame->header) + load->size)};
		if (driver_queue_add(&load->queues[TRANSMIT].driver, &buffer, 1, 0, frame) < 0)
			load_fail("transmit queue", "there is no room");
	}
	load_kick(&load->queues[TRANSMIT]);
	return added;
}

static void update_arrived(struct load *load)
{
	if (load->receive)
		receive_frames(load);
	else
		load->arrived = count_transmitted(load) - load->transmitted;
}

static void connect_device(struct load *load)
{
	load_connect(&load->device, load->socket, FEATURE(VIRTIO_NET_F_MRG_RXBUF), load->packed,
		     MEMORY_BYTES);
	load_start_queue(&load->device, &load->queues[RECEIVE], RECEIVE);
	load_start_queue(&load->device, &load->queues[TRANSMIT], TRANSMIT);
	load_ready(&load->device);
	for (unsigned int i = 0; i < LOAD_QUEUE_SIZE; i++) {
		struct frame *frame = slot(load, TRANSMIT, i);

		give_buffer(load, slot(load, RECEIVE, i));
		fill_frame(&frame->ethernet);
		load->unused[load->unused_count++] = frame;
	}
	load_kick(&load->queues[RECEIVE]);
}

/* Waits until all frames have arrived, or none arrives any more. */
static void wait_for_last(struct load *load)
{
	uint64_t before;

	do {
		before = load->arrived;
		usleep(LAST_MS * 1000);
		update_arrived(load);
	} while (load->arrived != before);
}

/* Sends single frames until one arrives. */
static void start(struct load *load)
{
	uint64_t end = clock_now_ns() + START_MS * UINT64_C(1000000);

	load->transmitted = count_transmitted(load);
	while (load->arrived == 0) {
		if (clock_now_ns() > end)
			load_fail("load", "no frame arrives");
		if (load->receive)
			send_to_interface(load, 1);
		else
			transmit_frames(load, 1);
		usleep(START_INTERVAL_MS * 1000);
		update_arrived(load);
	}
	wait_for_last(load);
	load->transmitted += load->receive ? 0 : load->arrived;
	load->arrived = load->sent = 0;
}

static void transmit(struct load *load, uint64_t end_ns)
{
	while (clock_now_ns() < end_ns) {
		unsigned int added = transmit_frames(load, LOAD_QUEUE_SIZE);

		load->sent += added;
		if (added == 0 && !load_wait(&load->queues[TRANSMIT], STALL_MS))
			load_fail("transmit queue", "the device stalls");
	}
}

static void receive(struct load *load, uint64_t end_ns)
{
	while (clock_now_ns() < end_ns) {
		unsigned int room =
			(unsigned int)(WINDOW - (load->sent - load->arrived - load->lost));
		unsigned int taken = send_to_interface(load, room);

		load->sent += taken;
		if (taken == 0 && !load_wait(&load->queues[RECEIVE], LOST_MS))
			load->lost = load->sent - load->arrived;
		receive_frames(load);
	}
}

static void run(struct load *load)
{
	uint64_t begin, end, stop;
	double rate;

	start(load);
	begin = clock_now_ns();
	end = begin + (uint64_t)(load->seconds * 1e9);
	if (load->receive)
		receive(load, end);
	else
		transmit(load, end);
	update_arrived(load);
	stop = clock_now_ns();
	rate = (double)load->arrived * 1e9 / (double)(stop - begin);
	wait_for_last(load);
	printf("%.0f %" PRIu64 "\n", rate, load->sent - load->arrived);
}

static const char usage[] =
	"usage: net_load --socket PATH --tap NAME [--receive] [--size 60..1514] [--packed]\n"
	"                [--seconds S]\n"
	"prints: frames that arrived per second, and how many were lost\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'}, {"tap", required_argument, NULL, 'i'},
		{"receive", no_argument, NULL, 'r'},	  {"size", required_argument, NULL, 'b'},
		{"packed", no_argument, NULL, 'p'},	  {"seconds", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},	  {0},
	};
	static struct load load = {.size = FRAME_MIN, .seconds = 1};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			load.socket = optarg;
			break;
		case 'i':
			load.tap = optarg;
			break;
		case 'r':
			load.receive = true;
			break;
		case 'b':
			load.size = (size_t)atoi(optarg);
			break;
		case 'p':
			load.packed = true;
			break;
		case 't':
			load.seconds = atof(optarg);
			break;
		default:
			fputs(usage, option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	if (!load.socket || !load.tap || load.size < FRAME_MIN || load.size > FRAME_MAX ||
	    load.seconds <= 0) {
		fputs(usage, stderr);
		return 2;
	}
	open_packet_socket(&load);
	connect_device(&load);
	run(&load);
	load_disconnect(&load.device);
	close(load.packet_socket);
	return 0;
}

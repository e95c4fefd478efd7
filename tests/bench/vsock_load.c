// SPDX-License-Identifier: BSD-3-Clause
/*
 * The load program for a socket device: its driver with a connection to a program of the host, a
 * child process at the socket PATH_PORT. Without a device the two are the ends of a Unix socket.
 * Prints bytes per second, or round trips of a byte per second.
 */
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/socket_path.h"
#include "device/vsock/vsock.h"
#include "load.h"

#define HEADER	     ((uint32_t)sizeof(struct virtio_vsock_hdr))
#define PORT	     9
#define OWN_PORT     1000
#define WRITE_BYTES  65536u
#define RX_BUFFERS   64u
#define RX_BYTES     (HEADER + 4096u)
#define TX_BUFFERS   8u
#define TX_BYTES     (HEADER + WRITE_BYTES + 84u)
#define BUFFERS	     (3 * LOAD_RING_BYTES)
#define MEMORY_BYTES (BUFFERS + RX_BUFFERS * 8192u + TX_BUFFERS * TX_BYTES)
#define OWN_ROOM     (1u << 20)
#define STALL_MS     10000

enum { RX, TX };

struct load {
	const char *socket, *uds;
	bool trips;
	double seconds;
	int host_cpu;
	struct load_device device;
	struct load_queue queues[2];
	void *unused[TX_BUFFERS];
	unsigned int unused_count;
	uint64_t cid;
	uint32_t sent, received, credit; /* bytes; credit: up to which it may send */
	bool open;
	int plain; /* the socket, without a device */
};

/* The program of the host: counts for nothing, or sends back. */
static void serve(int fd, bool echo)
{
	static char bytes[WRITE_BYTES];
	ssize_t length;

	while ((length = read(fd, bytes, sizeof(bytes))) > 0)
		if (echo && write(fd, bytes, (size_t)length) != length)
			break;
	_exit(0);
}

static void start_host(struct load *load)
{
	struct socket_path made = {0};
	char path[SOCKET_PATH_LENGTH + 1];
	struct error error;
	cpu_set_t set;
	int pair[2], listener = -1;

	if (load->socket) {
		snprintf(path, sizeof(path), "%s_%d", load->uds, PORT);
		unlink(path);
		listener = socket_path_listen(&made, path, 4, "--uds", &error);
		if (listener < 0)
			load_fail(path, error.message);
	} else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		load_fail("socketpair", NULL);
	}
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CPU_ZERO(&set);
		CPU_SET(load->host_cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
		if (load->socket) {
			/* It is not blocking. */
			while ((pair[1] = accept(listener, NULL, NULL)) < 0)
				usleep(1000);
		}
		serve(pair[1], load->trips);
	}
	load->plain = load->socket ? -1 : pair[0];
}

static void give_buffer(struct load *load, void *memory)
{
	load_give_buffer(&load->device, &load->queues[RX], memory, RX_BYTES);
}

/* Takes what the device has sent. */
static void take_packets(struct load *load)
{
	struct virtio_vsock_hdr *header;
	uint32_t written;

	while ((header = load_take(&load->queues[RX], &written))) {
		if (header->op == VIRTIO_VSOCK_OP_RST)
			load_fail("connection", "it was reset");
		load->open |= header->op == VIRTIO_VSOCK_OP_RESPONSE;
		load->credit = header->buf_alloc + header->fwd_cnt;
		load->received += header->len;
		give_buffer(load, header);
	}
	load_kick(&load->queues[RX]);
}

/* Sends a packet of @length bytes. False: there is no buffer or no credit. */
static bool send_packet(struct load *load, uint16_t op, uint32_t length)
{
	struct virtio_vsock_hdr *header;
	struct driver_buffer buffer;
	uint32_t written;

	while ((header = load_take(&load->queues[TX], &written)))
		load->unused[load->unused_count++] = header;
	if (load->unused_count == 0 || (length && length > load->credit - load->sent))
		return false;
	header = load->unused[--load->unused_count];
	*header = (struct virtio_vsock_hdr){
		.src_cid = load->cid,
		.dst_cid = VSOCK_CID_HOST,
		.src_port = OWN_PORT,
		.dst_port = PORT,
		.len = length,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = OWN_ROOM,
		.fwd_cnt = load->received,
	};
	buffer = (struct driver_buffer){load_address(&load->device, header), HEADER + length};
	if (driver_queue_add(&load->queues[TX].driver, &buffer, 1, 0, header) < 0)
		load_fail("tx queue", "there is no room");
	load_kick(&load->queues[TX]);
	load->sent += length;
	return true;
}

static void wait_for_device(struct load *load)
{
	if (!load_wait(&load->queues[load->unused_count ? RX : TX], STALL_MS))
		load_fail("device", "it stalls");
	take_packets(load);
}

static void connect_device(struct load *load)
{
	load_connect(&load->device, load->socket, 0, false, MEMORY_BYTES);
	load_start_queue(&load->device, &load->queues[RX], RX);
	load_start_queue(&load->device, &load->queues[TX], TX);
	load_ready(&load->device);
	for (unsigned int i = 0; i < RX_BUFFERS; i++)
		give_buffer(load, load->device.memory + BUFFERS + i * 8192u);
	load_kick(&load->queues[RX]);
	for (unsigned int i = 0; i < TX_BUFFERS; i++)
		load->unused[load->unused_count++] =
			load->device.memory + BUFFERS + RX_BUFFERS * 8192u + i * TX_BYTES;
	send_packet(load, VIRTIO_VSOCK_OP_REQUEST, 0);
	while (!load->open)
		wait_for_device(load);
}

static void write_once(struct load *load)
{
	static char bytes[WRITE_BYTES];

	if (load->plain >= 0) {
		if (write(load->plain, bytes, sizeof(bytes)) != sizeof(bytes))
			load_fail("write", NULL);
		return;
	}
	while (!send_packet(load, VIRTIO_VSOCK_OP_RW, WRITE_BYTES))
		wait_for_device(load);
}

static void trip_once(struct load *load)
{
	uint32_t before = load->received;
	char byte = 0;

	if (load->plain >= 0) {
		if (write(load->plain, &byte, 1) != 1 || read(load->plain, &byte, 1) != 1)
			load_fail("round trip", NULL);
		return;
	}
	while (!send_packet(load, VIRTIO_VSOCK_OP_RW, 1))
		wait_for_device(load);
	while (load->received == before)
		wait_for_device(load);
}

static const char usage[] = "usage: vsock_load [--socket PATH --cid N --uds PATH] [--trips] "
			    "[--host-cpu N] [--seconds S]\n"
			    "prints: bytes, or round trips, per second\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"cid", required_argument, NULL, 'c'},
		{"uds", required_argument, NULL, 'u'},
		{"trips", no_argument, NULL, 'r'},
		{"host-cpu", required_argument, NULL, 'p'},
		{"seconds", required_argument, NULL, 't'},
		{0},
	};
	static struct load load = {.seconds = 1};
	uint64_t begin, end, count = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			load.socket = optarg;
			break;
		case 'c':
			load.cid = strtoull(optarg, NULL, 0);
			break;
		case 'u':
			load.uds = optarg;
			break;
		case 'r':
			load.trips = true;
			break;
		case 'p':
			load.host_cpu = atoi(optarg);
			break;
		case 't':
			load.seconds = atof(optarg);
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if ((load.socket && !load.uds) || load.seconds <= 0) {
		fputs(usage, stderr);
		return 2;
	}
	start_host(&load);
	if (load.socket)
		connect_device(&load);
	begin = clock_now_ns();
	end = begin + (uint64_t)(load.seconds * 1e9);
	for (; clock_now_ns() < end; count++) {
		if (load.trips)
			trip_once(&load);
		else
			write_once(&load);
	}
	printf("%.0f\n", (double)count * (load.trips ? 1 : WRITE_BYTES) * 1e9 /
				 (double)(clock_now_ns() - begin));
	if (load.socket)
		load_disconnect(&load.device);
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * can echo IFACE COUNT    sends COUNT frames back, with their identifiers plus one, but for 0x7f0
 * can ping IFACE COUNT    sends COUNT frames of all kinds, and awaits that each comes back so
 * can send IFACE ID       sends one frame of 8 bytes; ID in hexadecimal
 *
 * Prints one line, and exits with 1 when something was wrong. The next frame must come within 60 s.
 */
#include <errno.h>
#include <linux/can.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 60
#define PROBE	   0x7f0

static void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_bus(const char *name)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(PF_CAN, SOCK_RAW, CAN_RAW), on = 1;
	struct sockaddr_can address = {.can_family = AF_CAN};

	if (fd < 0)
		fail("socket");
	address.can_ifindex = (int)if_nametoindex(name);
	if (!address.can_ifindex)
		fail(name);
	if (setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("bind");
	return fd;
}

/* Sends a frame, classic or FD as its flags say. */
static void put(int fd, const struct canfd_frame *frame)
{
	size_t size = frame->flags & CANFD_FDF ? CANFD_MTU : CAN_MTU;

	while (write(fd, frame, size) != (ssize_t)size) {
		if (errno != ENOBUFS)
			fail("write");
		usleep(1000);
	}
}

static void get(int fd, struct canfd_frame *frame)
{
	ssize_t size;

	memset(frame, 0, sizeof(*frame));
	size = read(fd, frame, sizeof(*frame));
	if (size != CAN_MTU && size != CANFD_MTU)
		fail("read");
	frame->flags = size == CANFD_MTU ? CANFD_FDF : 0;
}

/* Frame @number: kinds in turn. Identifiers leave room for the answer's. */
static struct canfd_frame make(unsigned int number)
{
	static const struct canfd_frame kinds[] = {
		{.can_id = 0x100, .len = 8},
		{.can_id = 0x1abcde00 | CAN_EFF_FLAG, .len = 5},
		{.can_id = 0x200 | CAN_RTR_FLAG, .len = 4},
		{.can_id = 0x300, .len = 64, .flags = CANFD_FDF},
		{.can_id = 0x100000 | CAN_EFF_FLAG, .len = 12, .flags = CANFD_FDF},
		{.can_id = 0x400, .len = 0},
	};
	struct canfd_frame frame = kinds[number % (sizeof(kinds) / sizeof(kinds[0]))];

	for (unsigned int i = 0; !(frame.can_id & CAN_RTR_FLAG) && i < frame.len; i++)
		frame.data[i] = (unsigned char)(number + i);
	return frame;
}

static void ping(int fd, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct canfd_frame sent = make(i), got;

		put(fd, &sent);
		get(fd, &got);
		sent.can_id++;
		if (got.can_id != sent.can_id || got.len != sent.len || got.flags != sent.flags ||
		    memcmp(got.data, sent.data, sizeof(sent.data)) != 0) {
			printf("frame %u came back as id %x, length %u, flags %x\n", i, got.can_id,
			       got.len, got.flags);
			exit(1);
		}
	}
	printf("%u frames came back\n", count);
}

static void echo(int fd, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct canfd_frame frame;

		do
			get(fd, &frame);
		while (frame.can_id == PROBE);
		frame.can_id++;
		put(fd, &frame);
	}
	printf("%u frames were sent back\n", count);
}

int main(int argc, char **argv)
{
	struct canfd_frame frame = {.len = 8};
	int fd;

	if (argc != 4) {
		fputs("usage: can echo|ping IFACE COUNT, can send IFACE ID\n", stderr);
		return 2;
	}
	fd = open_bus(argv[2]);
	frame.can_id = (canid_t)strtoul(argv[3], NULL, 16);
	if (!strcmp(argv[1], "ping"))
		ping(fd, (unsigned int)atoi(argv[3]));
	else if (!strcmp(argv[1], "echo"))
		echo(fd, (unsigned int)atoi(argv[3]));
	else
		put(fd, &frame);
	return 0;
}

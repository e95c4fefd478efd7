// SPDX-License-Identifier: BSD-3-Clause
// vsock echo PORT: sends back what the clients of a port of this guest send, one after another.
// vsock check CID PORT KIB: connects, sends KIB KiB of bytes that depend on their place, and
// compares what comes back. The last line is a result of the guest's report.
// vsock seqpacket CID PORT MESSAGES: the same with messages, whose ends must stay where they are.
// vsock wait CID PORT: connects, reports it, and reports how the connection ended.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 65536, MESSAGE_MAX = 9000 };

static int fail(const char *what)
{
	printf("avp-guest: FAIL vsock    %s: %s\n", what, strerror(errno));
	return 1;
}

static int connect_to(int type, uint32_t cid, uint32_t port)
{
	const struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = cid,
		.svm_port = port,
	};
	int fd = socket(AF_VSOCK, type, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return fd;
}

/* The byte at a place: neither a shift nor a repetition goes unnoticed. */
static uint8_t byte_at(uint64_t place)
{
	return (uint8_t)(place * 31 + (place >> 8) * 17 + (place >> 16) * 7);
}

static void echo_one(int fd)
{
	static uint8_t bytes[CHUNK];
	ssize_t length, done, part;

	while ((length = read(fd, bytes, sizeof(bytes))) > 0)
		for (done = 0; done < length; done += part) {
			part = write(fd, bytes + done, (size_t)(length - done));
			if (part <= 0)
				return;
		}
}

static int echo(uint32_t port)
{
	const struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = port,
	};
	int listener = socket(AF_VSOCK, SOCK_STREAM, 0), fd;

	if (listener < 0 ||
	    bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 8) < 0)
		return fail("listen");
	printf("avp-guest:      vsock listens at port %u\n", port);
	fflush(stdout);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		echo_one(fd);
		close(fd);
	}
	return fail("accept");
}

static int check(uint32_t cid, uint32_t port, uint64_t total)
{
	static uint8_t out[CHUNK], in[CHUNK];
	uint64_t sent = 0, received = 0;
	int fd = connect_to(SOCK_STREAM, cid, port);

	if (fd < 0)
		return fail("connect");
	while (received < total) {
		struct pollfd ready = {fd, POLLIN, 0};

		if (sent < total)
			ready.events |= POLLOUT;
		if (poll(&ready, 1, -1) < 0)
			return fail("poll");
		if (ready.revents & POLLOUT) {
			size_t length = total - sent < CHUNK ? (size_t)(total - sent) : CHUNK;
			ssize_t part;

			for (size_t i = 0; i < length; i++)
				out[i] = byte_at(sent + i);
			part = send(fd, out, length, MSG_DONTWAIT);
			if (part < 0 && errno != EAGAIN)
				return fail("write");
			sent += part > 0 ? (uint64_t)part : 0;
		}
		if (ready.revents & (POLLIN | POLLHUP)) {
			ssize_t part = recv(fd, in, sizeof(in), MSG_DONTWAIT);

			if (part == 0)
				errno = EPIPE;
			if (part <= 0 && errno != EAGAIN)
				return fail("read");
			for (ssize_t i = 0; i < part; i++)
				if (in[i] != byte_at(received + (uint64_t)i)) {
					errno = EILSEQ;
					return fail("a byte is wrong");
				}
			received += part > 0 ? (uint64_t)part : 0;
		}
	}
	/* After its end that of the other side comes. */
	shutdown(fd, SHUT_WR);
	if (read(fd, in, sizeof(in)) != 0)
		return fail("no end follows");
	close(fd);
	printf("avp-guest: ok   vsock    %llu KiB to %u:%u and back\n",
	       (unsigned long long)total / 1024, cid, port);
	return 0;
}

static int check_messages(uint32_t cid, uint32_t port, uint64_t count)
{
	static uint8_t out[MESSAGE_MAX], in[MESSAGE_MAX + 1];
	int fd = connect_to(SOCK_SEQPACKET, cid, port);

	if (fd < 0)
		return fail("connect");
	for (uint64_t i = 0; i < count; i++) {
		size_t length = 1 + (size_t)(i * 611 % MESSAGE_MAX);
		bool record = i % 3 == 0;
		struct iovec vector = {in, sizeof(in)};
		struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

		for (size_t j = 0; j < length; j++)
			out[j] = byte_at(i + j);
		if (send(fd, out, length, record ? MSG_EOR : 0) != (ssize_t)length)
			return fail("send");
		if (recvmsg(fd, &message, 0) != (ssize_t)length || memcmp(in, out, length) != 0 ||
		    !(message.msg_flags & MSG_EOR) != !record) {
			errno = EILSEQ;
			return fail("a message is wrong");
		}
	}
	printf("avp-guest: ok   vsock    %llu messages to %u:%u and back\n",
	       (unsigned long long)count, cid, port);
	return 0;
}

static int wait_for_end(uint32_t cid, uint32_t port)
{
	int fd = connect_to(SOCK_STREAM, cid, port);
	char byte;

	if (fd < 0)
		return fail("connect");
	printf("avp-guest:      vsock is connected\n");
	fflush(stdout);
	printf("avp-guest:      vsock has ended: %s\n",
	       read(fd, &byte, 1) == 0 ? "end" : strerror(errno));
	return 0;
}

int main(int count, char **words)
{
	uint32_t first = count > 2 ? (uint32_t)strtoul(words[2], NULL, 0) : 0;
	uint32_t second = count > 3 ? (uint32_t)strtoul(words[3], NULL, 0) : 0;
	uint64_t third = count > 4 ? strtoull(words[4], NULL, 0) : 0;

	if (count == 3 && !strcmp(words[1], "echo"))
		return echo(first);
	if (count == 5 && !strcmp(words[1], "check"))
		return check(first, second, third * 1024);
	if (count == 5 && !strcmp(words[1], "seqpacket"))
		return check_messages(first, second, third);
	if (count == 4 && !strcmp(words[1], "wait"))
		return wait_for_end(first, second);
	fprintf(stderr,
		"usage: vsock echo PORT | check CID PORT KIB | seqpacket CID PORT MESSAGES | "
		"wait CID PORT\n");
	return 2;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Channels: both ends against each other, at random and in two threads, and against hostile ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/socket_fd.h"
#include "base/socket_option.h"
#include "service/channel/channel.h"

/* The format: each side's head, tail and wants, as docs/channel.md has it. */
enum word { HEAD = 0, TAIL = 64, WANTS = 128, SIDE = 192 };
#define RINGS 4096

struct pair {
	struct channel service, client;
};

static uint32_t *word_of(const struct channel *channel, unsigned int side, enum word word)
{
	return (uint32_t *)(channel->memory + side * SIDE + word);
}

static struct pair *make(uint32_t slot_size, uint32_t slots)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	struct channel_shape shape = {slot_size, slots};
	struct error error;
	int sockets[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(channel_offer(&pair->service, &shape, sockets[0], &error), 0);
	assert_int_equal(channel_accept(&pair->client, sockets[1], &error), 0);
	return pair;
}

static void end(struct pair *pair)
{
	channel_close(&pair->service);
	channel_close(&pair->client);
	free(pair);
}

/* Both ends have passed @position messages of a slot, as after a long time. */
static void move_to(struct pair *pair, uint32_t position)
{
	struct channel *ends[] = {&pair->service, &pair->client};

	for (unsigned int side = 0; side < 2; side++) {
		struct channel *channel = ends[side];

		*word_of(channel, side, HEAD) = *word_of(channel, side, TAIL) = position;
		channel->head = channel->published = channel->peer_tail = position;
		channel->tail = channel->released = channel->peer_head = position;
	}
}

/* A message whose content tells its number and its length. */
static int send_number(struct channel *channel, uint32_t number, uint32_t length)
{
	uint8_t content[70000];

	memset(content, (int)(uint8_t)(number * 7), length);
	if (length >= sizeof(number))
		memcpy(content, &number, sizeof(number));
	return channel_send(channel, number, content, length);
}

static void check_number(const struct channel_message *message, uint32_t number, uint32_t length)
{
	uint8_t content[70000], expected[70000];

	assert_int_equal(message->kind, number);
	assert_int_equal(message->length, length);
	memset(expected, (int)(uint8_t)(number * 7), length);
	if (length >= sizeof(number))
		memcpy(expected, &number, sizeof(number));
	channel_span_read(&message->span, 0, content, length);
	assert_memory_equal(content, expected, length);
}

static void test_a_message_each_way(void **state)
{
	struct pair *pair = make(64, 8);
	struct channel_message message;

	assert_int_equal(channel_receive(&pair->client, &message), 0);
	assert_int_equal(channel_send(&pair->service, 5, "hello", 6), 0);
	/* It is seen once it is published. */
	assert_int_equal(channel_receive(&pair->client, &message), 0);
	channel_publish(&pair->service);
	assert_int_equal(channel_receive(&pair->client, &message), 1);
	assert_int_equal(message.kind, 5);
	assert_int_equal(message.length, 6);
	assert_memory_equal(message.span.base[0], "hello", 6);
	/* Until it is consumed it is the next one. */
	assert_int_equal(channel_receive(&pair->client, &message), 1);
	assert_int_equal(message.length, 6);
	channel_consume(&pair->client);
	channel_consume(&pair->client);
	assert_int_equal(channel_receive(&pair->client, &message), 0);
	assert_int_equal(channel_send(&pair->client, 6, "", 0), 0);
	channel_publish(&pair->client);
	assert_int_equal(channel_receive(&pair->service, &message), 1);
	assert_int_equal(message.length, 0);
	assert_int_equal(pair->client.counts.messages_received, 1);
	assert_int_equal(pair->client.counts.bytes_received, 6);
	assert_int_equal(pair->service.counts.messages_sent, 1);
	/* Nobody slept: nobody was woken. */
	assert_int_equal(pair->service.counts.wakes_sent + pair->client.counts.wakes_sent, 0);
	end(pair);
}

static void test_sizes(void **state)
{
	struct pair *pair = make(64, 16);
	uint32_t longest = channel_length_max(&pair->service.shape);
	struct channel_message message;
	struct channel_span span;

	assert_int_equal(longest, 8 * 64 - 8);
	assert_int_equal(channel_reserve(&pair->service, longest + 1, &span), -EMSGSIZE);
	assert_int_equal(channel_reserve(&pair->service, UINT32_MAX, &span), -EMSGSIZE);
	/* Two of the longest fill the ring, wherever they begin. */
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(send_number(&pair->service, 1, 60), 0); /* two slots */
		assert_int_equal(send_number(&pair->service, 2, 56), 0); /* one */
		channel_publish(&pair->service);
		for (uint32_t k = 1; k <= 2; k++) {
			assert_int_equal(channel_receive(&pair->client, &message), 1);
			check_number(&message, k, k == 1 ? 60 : 56);
			channel_consume(&pair->client);
		}
		channel_release(&pair->client);
		assert_int_equal(send_number(&pair->service, 3, longest), 0);
		assert_int_equal(send_number(&pair->service, 4, longest), 0);
		assert_int_equal(send_number(&pair->service, 5, 0), -EAGAIN);
		channel_publish(&pair->service);
		for (uint32_t k = 3; k <= 4; k++) {
			assert_int_equal(channel_receive(&pair->client, &message), 1);
			check_number(&message, k, longest);
			/* Room comes back when it is released, not before. */
			assert_int_equal(send_number(&pair->service, 5, 0), -EAGAIN);
			channel_consume(&pair->client);
		}
		channel_release(&pair->client);
	}
	assert_int_equal(pair->service.counts.full, 60);
	end(pair);
}

static void test_spans_are_read_and_written_in_parts(void **state)
{
	uint8_t one[5] = "abcde", two[4] = "fghi", all[9], part[4];
	struct channel_span span = {{one, two}, {5, 4}};

	for (uint32_t offset = 0; offset <= 9; offset++)
		for (uint32_t length = 0; offset + length <= 9; length++) {
			memset(all, '.', sizeof(all));
			channel_span_read(&span, offset, all, length);
			assert_memory_equal(all, &"abcdefghi"[offset], length);
			assert_true(length == 9 || all[length] == '.');
		}
	channel_span_write(&span, 3, "XYZ!", 4);
	channel_span_read(&span, 0, all, 9);
	assert_memory_equal(all, "abcXYZ!hi", 9);
	channel_span_read(&span, 5, part, 4);
	assert_memory_equal(part, "Z!hi", 4);
}

static void test_shapes(void **state)
{
	static const struct channel_shape wrong[] = {
		{0, 8},	 {63, 8}, {32, 8},  {96, 8},	{8192, 8},	  {UINT32_MAX, 8},
		{64, 0}, {64, 4}, {64, 12}, {64, 8192}, {64, UINT32_MAX},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(channel_shape_is_valid(&wrong[i]));
	for (uint32_t slot_size = 64; slot_size <= 4096; slot_size *= 2)
		for (uint32_t slots = 8; slots <= 4096; slots *= 2)
			assert_true(
				channel_shape_is_valid(&(struct channel_shape){slot_size, slots}));
}

/* Thousands of schedules: sends, publications, receptions and releases in any order. */
static void test_random_schedules(void **state)
{
	unsigned int seed = 1;

	for (int run = 0; run < 400; run++) {
		struct pair *pair = make(64u << rand_r(&seed) % 3, 8u << rand_r(&seed) % 3);
		uint32_t longest = channel_length_max(&pair->service.shape);
		uint32_t lengths[4096];
		uint32_t sent[2] = {0}, received[2] = {0};
		struct channel *ends[] = {&pair->service, &pair->client};

		/* Half of them pass the end of 32-bit positions. */
		if (run % 2)
			move_to(pair, UINT32_MAX - (uint32_t)rand_r(&seed) % 64);
		for (int step = 0; step < 400; step++) {
			unsigned int side = (unsigned int)rand_r(&seed) % 2;
			struct channel *channel = ends[side];
			struct channel_message message;
			struct channel_span span;
			uint32_t length =
				(uint32_t)rand_r(&seed) % (rand_r(&seed) % 4 ? 100 : longest + 1);

			if (length > longest)
				length = longest;
			switch (rand_r(&seed) % 8) {
			case 0:
			case 1:
			case 2:
				if (send_number(channel, sent[side], length) == 0)
					lengths[sent[side]++ * 2 + side] = length;
				break;
			case 3:
				/* A reservation that comes to nothing. */
				(void)channel_reserve(channel, length, &span);
				break;
			case 4:
				channel_publish(channel);
				break;
			case 5:
				channel_release(channel);
				break;
			default:
				if (channel_receive(channel, &message) != 1)
					break;
				check_number(&message, received[side],
					     lengths[received[side] * 2 + !side]);
				if (rand_r(&seed) % 4) {
					channel_consume(channel);
					received[side]++;
				}
			}
			assert_false(channel->broken);
		}
		/* All that was sent arrives. */
		for (unsigned int side = 0; side < 2; side++) {
			struct channel_message message;

			channel_publish(ends[!side]);
			while (channel_receive(ends[side], &message) == 1) {
				check_number(&message, received[side],
					     lengths[received[side] * 2 + !side]);
				channel_consume(ends[side]);
				received[side]++;
			}
			assert_int_equal(received[side], sent[!side]);
		}
		end(pair);
	}
}

/* Sleeps until the peer wakes it. */
static void sleep_on(struct channel *channel)
{
	struct pollfd wait = {.fd = channel->socket, .events = POLLIN};

	assert_int_equal(poll(&wait, 1, 60000), 1);
	assert_int_equal(channel_woken(channel), 0);
}

#define MESSAGES 40000

static void *answer(void *argument)
{
	struct channel *channel = argument;
	struct channel_message message;

	for (uint32_t done = 0; done < MESSAGES;) {
		int got = channel_receive(channel, &message);

		assert_true(got >= 0);
		if (!got) {
			if (!channel_prepare_sleep(channel, CHANNEL_WANTS_MESSAGES))
				sleep_on(channel);
			continue;
		}
		if (send_number(channel, message.kind, message.length) < 0) {
			if (!channel_prepare_sleep(channel, CHANNEL_WANTS_ROOM))
				sleep_on(channel);
			continue;
		}
		channel_consume(channel);
		done++;
	}
	channel_publish(channel);
	channel_release(channel);
	return NULL;
}

/* Each end in a thread of its own, sleeping whenever it can: no wake-up may be lost. */
static void test_two_threads(void **state)
{
	for (int run = 0; run < 3; run++) {
		struct pair *pair = make(64, run == 0 ? 8 : 64);
		struct channel *channel = &pair->client;
		struct channel_message message;
		unsigned int seed = (unsigned int)run;
		uint32_t sent = 0, received = 0;
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, answer, &pair->service), 0);
		while (received < MESSAGES) {
			/* In the last run one at a time: each of them meets a sleeper. */
			while (sent < MESSAGES && (run < 2 || sent == received) &&
			       send_number(channel, sent, (uint32_t)rand_r(&seed) % 150) == 0)
				sent++;
			channel_publish(channel);
			while (channel_receive(channel, &message) == 1) {
				assert_int_equal(message.kind, received);
				channel_consume(channel);
				received++;
			}
			if (received < MESSAGES && (run < 2 || sent > received) &&
			    !channel_prepare_sleep(channel, CHANNEL_WANTS_MESSAGES |
								    (run < 2 && sent < MESSAGES ?
									     CHANNEL_WANTS_ROOM :
									     0)))
				sleep_on(channel);
		}
		pthread_join(thread, NULL);
		assert_int_equal(pair->service.counts.messages_received, MESSAGES);
		/* One wake-up for each sleep at most. */
		assert_true(pair->service.counts.wakes_sent <= 2 * MESSAGES + 2);
		end(pair);
	}
}

static void test_wake_ups(void **state)
{
	struct pair *pair = make(64, 8);
	struct channel_message message;

	assert_false(channel_prepare_sleep(&pair->service, CHANNEL_WANTS_MESSAGES));
	/* Room is not what it waits for. */
	channel_release(&pair->client);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(send_number(&pair->client, 0, 1), 0);
		channel_publish(&pair->client);
	}
	assert_int_equal(pair->client.counts.wakes_sent, 1);
	assert_int_equal(channel_woken(&pair->service), 0);
	assert_int_equal(pair->service.counts.wakes_received, 1);
	/* There are messages: it does not sleep. */
	assert_true(channel_prepare_sleep(&pair->service, CHANNEL_WANTS_MESSAGES));
	/* A full ring: the sender is woken once something is released, and not again unasked. */
	while (send_number(&pair->client, 0, 1) == 0)
		;
	assert_false(channel_prepare_sleep(&pair->client, CHANNEL_WANTS_ROOM));
	for (int i = 0; i < 4; i++) {
		assert_int_equal(channel_receive(&pair->service, &message), 1);
		channel_consume(&pair->service);
		channel_release(&pair->service);
	}
	assert_int_equal(pair->service.counts.wakes_sent, 1);
	assert_true(channel_prepare_sleep(&pair->client, CHANNEL_WANTS_ROOM));
	/* A wake-up for one of two wishes leaves the other: it may be of the next sleep already. */
	*word_of(&pair->client, 1, WANTS) = CHANNEL_WANTS_MESSAGES | CHANNEL_WANTS_ROOM;
	assert_int_equal(send_number(&pair->service, 0, 1), 0);
	channel_publish(&pair->service);
	assert_int_equal(pair->service.counts.wakes_sent, 2);
	assert_int_equal(*word_of(&pair->client, 1, WANTS), CHANNEL_WANTS_ROOM);
	end(pair);
}

static void test_the_other_end_dies(void **state)
{
	struct pair *pair = make(64, 8);
	struct channel_message message;
	struct error error;

	assert_int_equal(send_number(&pair->service, 1, 3), 0);
	channel_publish(&pair->service);
	channel_close(&pair->service);
	assert_int_equal(channel_woken(&pair->client), -EPIPE);
	/* What was published can be received; what is sent goes nowhere, and raises no signal. */
	assert_int_equal(channel_receive(&pair->client, &message), 1);
	check_number(&message, 1, 3);
	*word_of(&pair->client, 0, WANTS) = 3;
	assert_int_equal(send_number(&pair->client, 1, 3), 0);
	channel_publish(&pair->client);
	end(pair);

	/* No offer yet; none at all. */
	int sockets[2];
	struct channel channel;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(channel_accept(&channel, sockets[1], &error), -EAGAIN);
	close(sockets[0]);
	assert_int_equal(channel_accept(&channel, sockets[1], &error), -EPIPE);
	channel_close(&channel);
	close(sockets[1]);
	/* A client that is gone before it gets the offer. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	close(sockets[1]);
	assert_int_equal(channel_offer(&channel, &(struct channel_shape){64, 8}, sockets[0],
				       &error),
			 -EPIPE);
	assert_int_equal(channel.socket, -1);
}

/* Descriptors with a wake-up are refused, where the kernel can do that. */
static void test_descriptors_with_a_wake_up(void **state)
{
	struct pair *pair = make(64, 8);
	struct channel *ends[] = {&pair->service, &pair->client};

	for (int i = 0; i < 2; i++) {
		int value;
		socklen_t length = sizeof(value);

		if (getsockopt(ends[i]->socket, SOL_SOCKET, SO_PASSRIGHTS, &value, &length) < 0)
			skip();
		assert_int_equal(socket_send_fd(ends[i]->socket, "x", 1, ends[i]->socket,
						MSG_DONTWAIT),
				 -EPERM);
		assert_int_equal(channel_woken(ends[!i]), 0);
	}
	end(pair);
}

/* What a service may send instead of an offer. */
static void send_packet(int socket, const void *data, size_t size, int fd)
{
	assert_int_equal(socket_send_fd(socket, data, size, fd, 0), size);
}

static int memory_of(off_t size, unsigned int seals)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void test_wrong_offers(void **state)
{
	enum { SEALED = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };
	static const off_t size = RINGS + 2 * 64 * 8;
	const struct {
		uint32_t offer[4];
		size_t packet;
		int fd, result;
	} cases[] = {
		{{0x63505641, 1, 64, 8}, 16, memory_of(size, SEALED), 0},
		{{0x63505641, 1, 64, 8}, 16, -1, -EPROTO},
		{{0x63505641, 1, 64, 8}, 15, memory_of(size, SEALED), -EPROTO},
		{{0x63505640, 1, 64, 8}, 16, memory_of(size, SEALED), -EPROTO},
		{{0x63505641, 2, 64, 8}, 16, memory_of(size, SEALED), -EPROTONOSUPPORT},
		{{0x63505641, 1, 64, 16}, 16, memory_of(size, SEALED), -EPROTO},
		{{0x63505641, 1, 0, 8}, 16, memory_of(size, SEALED), -EPROTO},
		{{0x63505641, 1, UINT32_MAX, 8}, 16, memory_of(size, SEALED), -EPROTO},
		{{0x63505641, 1, 64, 8}, 16, memory_of(size + 4096, SEALED), -EPROTO},
		{{0x63505641, 1, 64, 8}, 16, memory_of(size, F_SEAL_SHRINK | F_SEAL_SEAL), -EPROTO},
		{{0x63505641, 1, 64, 8}, 16, memory_of(size, F_SEAL_GROW | F_SEAL_SHRINK), -EPROTO},
		{{0x63505641, 1, 64, 8}, 16, open("/dev/null", O_RDWR), -EPROTO},
		{{0x63505641, 1, 64, 8}, 16, open("/proc/self/exe", O_RDONLY), -EPROTO},
		{{0x63505641, 1, 64, 8}, 16, socket(AF_UNIX, SOCK_STREAM, 0), -EPROTO},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct channel channel;
		struct error error;
		int sockets[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
		send_packet(sockets[0], cases[i].offer, cases[i].packet, cases[i].fd);
		assert_int_equal(channel_accept(&channel, sockets[1], &error), cases[i].result);
		if (cases[i].result < 0)
			close(sockets[1]);
		channel_close(&channel);
		close(sockets[0]);
		if (cases[i].fd >= 0)
			close(cases[i].fd);
	}
	/* The memory that is offered cannot be cut. */
	int sockets[2], fd;
	struct channel channel;
	struct error error;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char packet[16];
	struct iovec vector = {packet, sizeof(packet)};
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
	assert_int_equal(
		channel_offer(&channel, &(struct channel_shape){64, 8}, sockets[0], &error), 0);
	assert_int_equal(recvmsg(sockets[1], &message, 0), 16);
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	close(fd);
	close(sockets[1]);
	channel_close(&channel);
}

static unsigned int open_descriptors(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_offers_with_more_descriptors(void **state)
{
	static const uint32_t offer[] = {0x63505641, 1, 64, 8};

	for (size_t count = 2; count <= 5; count++) {
		struct iovec vector = {(void *)(uintptr_t)offer, sizeof(offer)};
		union {
			struct cmsghdr header;
			char space[CMSG_SPACE(5 * sizeof(int))];
		} control = {.header = {CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
		struct msghdr message = {
			.msg_iov = &vector,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = CMSG_SPACE(count * sizeof(int)),
		};
		struct channel channel;
		struct error error;
		unsigned int before;
		int sockets[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
		for (size_t i = 0; i < count; i++)
			memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &sockets[0],
			       sizeof(int));
		assert_int_equal(sendmsg(sockets[0], &message, 0), sizeof(offer));
		before = open_descriptors();
		assert_int_equal(channel_accept(&channel, sockets[1], &error), -EPROTO);
		assert_int_equal(open_descriptors(), before);
		close(sockets[0]);
		close(sockets[1]);
	}
}

/* Positions and headers that no correct end writes. */
static void test_hostile_positions(void **state)
{
	static const struct {
		enum word word;
		uint32_t value; /* where the correct end is at 100 */
		bool wrong;
	} cases[] = {
		{HEAD, 100, false},
		{HEAD, 108, false},
		{HEAD, 109, true},
		{HEAD, 99, true},
		{HEAD, 0, true},
		{HEAD, UINT32_MAX, true},
		{HEAD, 100 + (1u << 31), true},
		{TAIL, 100, false},
		{TAIL, 102, false},
		{TAIL, 103, true},
		{TAIL, 99, true},
		{TAIL, 0, true},
		{TAIL, UINT32_MAX, true},
		{TAIL, 100 + (1u << 31), true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair *pair = make(64, 8);
		struct channel_message message;
		struct channel_span span;
		int result;

		move_to(pair, 100);
		/* The service has shown two messages. */
		assert_int_equal(send_number(&pair->service, 1, 1), 0);
		assert_int_equal(send_number(&pair->service, 2, 1), 0);
		channel_publish(&pair->service);
		*word_of(&pair->client, 1, cases[i].word) = cases[i].value;
		if (cases[i].word == HEAD) {
			result = channel_receive(&pair->service, &message);
			assert_int_equal(result < 0, cases[i].wrong);
		} else {
			do {
				result = channel_reserve(&pair->service, 1, &span);
				if (result == 0)
					channel_commit(&pair->service, 0);
			} while (result == 0);
			assert_int_equal(result, cases[i].wrong ? -EPROTO : -EAGAIN);
		}
		/* A broken channel stays so, and its owner does not fall asleep over it. */
		if (cases[i].wrong) {
			assert_int_equal(channel_receive(&pair->service, &message), -EPROTO);
			assert_int_equal(channel_reserve(&pair->service, 1, &span), -EPROTO);
			assert_true(channel_prepare_sleep(&pair->service, 0));
		}
		end(pair);
	}
}

static void test_hostile_headers(void **state)
{
	static const uint32_t lengths[] = {
		57,		/* two slots, and one is shown */
		4 * 64 - 8 + 1, /* longer than half of the ring */
		8 * 64,
		UINT32_MAX,
		UINT32_MAX - 7,
		UINT32_MAX - 63,
		1u << 31,
	};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct pair *pair = make(64, 8);
		struct channel_message message;
		uint8_t *first = pair->client.memory + RINGS + 8 * 64;

		assert_int_equal(send_number(&pair->client, 1, 1), 0);
		channel_publish(&pair->client);
		memcpy(first, &lengths[i], sizeof(lengths[i]));
		assert_int_equal(channel_receive(&pair->service, &message), -EPROTO);
		end(pair);
	}
}

/* A peer that sends wake-ups without end gets a turn, and no more. */
static void test_a_flood_of_wake_ups(void **state)
{
	struct pair *pair = make(64, 8);
	uint64_t sent = 0;

	while (send(pair->client.socket, "x", 1, MSG_DONTWAIT) == 1)
		sent++;
	assert_true(sent > 20);
	assert_int_equal(channel_woken(&pair->service), 0);
	assert_true(pair->service.counts.wakes_received < sent);
	/* One that never takes its own does not make the service wait. */
	for (int i = 0; i < 100000; i++) {
		*word_of(&pair->client, 1, WANTS) = CHANNEL_WANTS_MESSAGES;
		if (send_number(&pair->service, 0, 1) < 0)
			move_to(pair, 0);
		channel_publish(&pair->service);
	}
	end(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_message_each_way),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_spans_are_read_and_written_in_parts),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_random_schedules),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_wake_ups),
		cmocka_unit_test(test_the_other_end_dies),
		cmocka_unit_test(test_descriptors_with_a_wake_up),
		cmocka_unit_test(test_wrong_offers),
		cmocka_unit_test(test_offers_with_more_descriptors),
		cmocka_unit_test(test_hostile_positions),
		cmocka_unit_test(test_hostile_headers),
		cmocka_unit_test(test_a_flood_of_wake_ups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Channels whose other end is hostile: the input says what this end does, and what the other one
 * writes into the shared memory in between. Both ends are fuzzed, as the first byte says.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/input.h"
#include "promise.h"
#include "service/channel/channel.h"

/* The format, as docs/channel.md has it. */
#define SIDE  192
#define RINGS 4096

static uint32_t take_word(struct input *input)
{
	uint32_t word = 0;

	for (int i = 0; i < 4; i++)
		word = word << 8 | take_byte(input);
	return word;
}

/* The content is within the ring, wherever it is. */
static void check_span(const struct channel *channel, uint32_t length,
		       const struct channel_span *span)
{
	size_t ring = (size_t)channel->shape.slots * channel->shape.slot_size;
	const uint8_t *rings = channel->memory + RINGS;

	PROMISE(length <= channel_length_max(&channel->shape));
	PROMISE(span->length[0] + span->length[1] == length);
	for (int i = 0; i < 2; i++) {
		size_t start = (size_t)(span->base[i] - rings);

		PROMISE(span->length[i] == 0 || start + span->length[i] <= 2 * ring);
		/* It does not reach from one ring into the other. */
		PROMISE(span->length[i] == 0 ||
			start / ring == (start + span->length[i] - 1) / ring);
	}
}

static void act(struct channel *channel, struct input *input)
{
	static uint8_t content[1 << 16];
	struct channel_message message;
	struct channel_span span;
	uint32_t length;
	int result;

	switch (take_byte(input) % 6) {
	case 0:
		length = take_word(input) % (channel_length_max(&channel->shape) + 2);
		result = channel_reserve(channel, length, &span);
		if (result < 0)
			break;
		check_span(channel, length, &span);
		memset(content, 0x5a, length);
		channel_span_write(&span, 0, content, length);
		channel_commit(channel, take_byte(input));
		break;
	case 1:
		result = channel_receive(channel, &message);
		PROMISE(result == -EPROTO || result == 0 || result == 1);
		if (result != 1)
			break;
		check_span(channel, message.length, &message.span);
		channel_span_read(&message.span, 0, content, message.length);
		channel_consume(channel);
		break;
	case 2:
		channel_publish(channel);
		break;
	case 3:
		channel_release(channel);
		break;
	case 4:
		(void)channel_prepare_sleep(channel, take_byte(input) % 4);
		break;
	default:
		(void)channel_woken(channel);
	}
}

static void interfere(const struct channel *channel, unsigned int side, int socket,
		      struct input *input)
{
	static const uint32_t words[] = {0, 64, 128};
	uint32_t value = take_word(input), place;

	switch (take_byte(input) % 4) {
	case 0:
		memcpy(channel->memory + (size_t)side * SIDE + words[take_byte(input) % 3], &value,
		       sizeof(value));
		break;
	case 1:
		/* A header of a slot, or anything else. */
		place = value % (channel->shape.slots * 2) * channel->shape.slot_size;
		value = take_word(input);
		memcpy(channel->memory + RINGS + place + take_byte(input) % 8 * 4, &value,
		       sizeof(value));
		break;
	case 2:
		(void)!send(socket, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	default:
		/* The positions of this end as well: it keeps its own. */
		memset(channel->memory, (int)value, 2 * SIDE);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	unsigned int first = take_byte(&input);
	struct channel_shape shape = {64u << (first >> 1) % 4, 8u << (first >> 3) % 3};
	struct channel service, client;
	struct error error;
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return 0;
	PROMISE(channel_offer(&service, &shape, sockets[0], &error) == 0);
	PROMISE(channel_accept(&client, sockets[1], &error) == 0);
	while (input.left) {
		struct channel *own = first & 1 ? &client : &service;
		const struct channel *other = first & 1 ? &service : &client;

		if (take_byte(&input) % 3)
			act(own, &input);
		else
			interfere(other, first & 1 ? 0 : 1, other->socket, &input);
	}
	channel_close(&service);
	channel_close(&client);
	return 0;
}

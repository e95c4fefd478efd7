// SPDX-License-Identifier: BSD-3-Clause
/* Channels between a service and its clients. */
#include "service/channel/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/socket_option.h"
#include "base/socket_fd.h"

#define CACHE_LINE 64
#define HEADER	   ((uint32_t)sizeof(struct channel_header))
/* In front of the rings, for the two sides. */
#define SIDES_SIZE 4096
#define SEALS	   (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* "AVPc" in the byte order of the machine: the ends share its memory. */
#define OFFER_MAGIC 0x63505641

/* What one end writes; the peer reads it, and clears bits of @wants. */
struct channel_side {
	alignas(CACHE_LINE) _Atomic uint32_t head; /* of the ring that this end fills */
	alignas(CACHE_LINE) _Atomic uint32_t tail; /* of the ring that it empties */
	alignas(CACHE_LINE) _Atomic uint32_t wants;
};

_Static_assert(sizeof(struct channel_side) == 3 * CACHE_LINE, "the format");

/* The first packet on the socket; the descriptor of the memory comes with it. */
struct channel_offer {
	uint32_t magic, version;
	uint32_t slot_size, slots;
};

static bool is_power_of_two(uint32_t number)
{
	return number && (number & (number - 1)) == 0;
}

bool channel_shape_is_valid(const struct channel_shape *shape)
{
	return is_power_of_two(shape->slot_size) && shape->slot_size >= CHANNEL_SLOT_SIZE_MIN &&
	       shape->slot_size <= CHANNEL_SLOT_SIZE_MAX && is_power_of_two(shape->slots) &&
	       shape->slots >= CHANNEL_SLOTS_MIN && shape->slots <= CHANNEL_SLOTS_MAX;
}

static size_t ring_size(const struct channel_shape *shape)
{
	return (size_t)shape->slots * shape->slot_size;
}

static size_t memory_size(const struct channel_shape *shape)
{
	return SIDES_SIZE + 2 * ring_size(shape);
}

/* @end: 0 is the service's, 1 the client's. Returns 0 or a negative errno. */
static int map(struct channel *channel, const struct channel_shape *shape, int end, int fd)
{
	struct channel_side *sides;
	void *memory = mmap(NULL, memory_size(shape), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	sides = memory;
	*channel = (struct channel){
		.socket = -1,
		.shape = *shape,
		.memory = memory,
		.own = &sides[end],
		.peer = &sides[1 - end],
		.out_slots = (uint8_t *)memory + SIDES_SIZE + (size_t)end * ring_size(shape),
		.in_slots = (uint8_t *)memory + SIDES_SIZE + (size_t)(1 - end) * ring_size(shape),
	};
	return 0;
}

/* Kernels that cannot: see docs/channel.md. */
static int refuse_descriptors(int socket, struct error *error)
{
	int result = socket_refuse_descriptors(socket);

	if (result < 0)
		error_set_errno(error, -result, "cannot refuse descriptors on a channel");
	return result;
}

static int send_offer(const struct channel_shape *shape, int socket, int memory_fd)
{
	struct channel_offer offer = {OFFER_MAGIC, CHANNEL_VERSION, shape->slot_size, shape->slots};
	ssize_t sent = socket_send_fd(socket, &offer, sizeof(offer), memory_fd,
				      MSG_DONTWAIT | MSG_NOSIGNAL);

	return sent < 0 ? (int)sent : 0;
}

int channel_offer(struct channel *channel, const struct channel_shape *shape, int socket,
		  struct error *error)
{
	cleanup_fd int connection = socket;
	cleanup_fd int fd = memfd_create("avp-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int result;

	*channel = CHANNEL_CLOSED;
	result = refuse_descriptors(connection, error);
	if (result < 0)
		return result;
	if (fd < 0 || ftruncate(fd, (off_t)memory_size(shape)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return error_set_errno(error, errno, "no memory for a channel");
	result = map(channel, shape, 0, fd);
	if (result < 0)
		return error_set_errno(error, -result, "no memory for a channel");
	result = send_offer(shape, connection, fd);
	if (result < 0) {
		channel_close(channel);
		return error_set_errno(error, -result, "cannot offer the channel to its client");
	}
	channel->socket = take_fd(&connection);
	return 0;
}

int channel_accept(struct channel *channel, int socket, struct error *error)
{
	struct channel_offer offer = {0};
	cleanup_fd int fd = -1;
	struct channel_shape shape;
	struct stat status;
	ssize_t size = socket_receive_fd(socket, &offer, sizeof(offer), &fd, MSG_DONTWAIT);
	int seals, result;

	*channel = CHANNEL_CLOSED;
	if (size == -EAGAIN)
		return -EAGAIN;
	if (size < 0)
		return error_set_errno(error, (int)-size, "no offer of a channel");
	if (size == 0)
		return error_set(error, EPIPE, "the service has refused the connection");
	if (size != sizeof(offer) || offer.magic != OFFER_MAGIC)
		return error_set(error, EPROTO,
				 "what the service sent is not an offer of a channel");
	if (offer.version != CHANNEL_VERSION)
		return error_set(
			error, EPROTONOSUPPORT,
			"the service offers channels of version %u, and this is version %d",
			offer.version, CHANNEL_VERSION);
	shape = (struct channel_shape){offer.slot_size, offer.slots};
	if (!channel_shape_is_valid(&shape))
		return error_set(error, EPROTO, "%u slots of %u bytes are not a channel",
				 offer.slots, offer.slot_size);
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status) < 0 ||
	    (uint64_t)status.st_size != memory_size(&shape))
		return error_set(error, EPROTO,
				 "the memory of the channel has another size, or is not sealed");
	result = map(channel, &shape, 1, fd);
	if (result < 0)
		return error_set_errno(error, -result, "cannot map the channel");
	result = refuse_descriptors(socket, error);
	if (result < 0) {
		channel_close(channel);
		return result;
	}
	channel->socket = socket;
	return 0;
}

void channel_close(struct channel *channel)
{
	if (channel->memory)
		munmap(channel->memory, memory_size(&channel->shape));
	close_fd(&channel->socket);
	*channel = CHANNEL_CLOSED;
}

static int break_channel(struct channel *channel)
{
	channel->broken = true;
	return -EPROTO;
}

static uint32_t slots_for(const struct channel *channel, uint32_t length)
{
	return (length + HEADER + channel->shape.slot_size - 1) / channel->shape.slot_size;
}

static uint8_t *slot_at(const struct channel *channel, uint8_t *slots, uint32_t position)
{
	return slots + (size_t)(position & (channel->shape.slots - 1)) * channel->shape.slot_size;
}

/* The content of the message whose first slot is @slot, in the ring at @slots. */
static struct channel_span span_of(const struct channel *channel, uint8_t *slots, uint8_t *slot,
				   uint32_t length)
{
	size_t to_end = (size_t)(slots + ring_size(&channel->shape) - slot) - HEADER;
	uint32_t first = length < to_end ? length : (uint32_t)to_end;

	return (struct channel_span){{slot + HEADER, slots}, {first, length - first}};
}

/* Asks the peer how far it is; 0 or -EPROTO. */
static int refresh_tail(struct channel *channel)
{
	uint32_t tail = atomic_load_explicit(&channel->peer->tail, memory_order_acquire);

	/* It cannot be behind what it has shown before, nor in front of what it has been shown. */
	if (tail - channel->peer_tail > channel->published - channel->peer_tail)
		return break_channel(channel);
	channel->peer_tail = tail;
	return 0;
}

static int refresh_head(struct channel *channel)
{
	uint32_t head = atomic_load_explicit(&channel->peer->head, memory_order_acquire);

	/* It fills no slot that was not released, and takes nothing back. */
	if (head - channel->released > channel->shape.slots ||
	    head - channel->peer_head > channel->shape.slots)
		return break_channel(channel);
	channel->peer_head = head;
	return 0;
}

static bool has_room(const struct channel *channel, uint32_t slots)
{
	return channel->head - channel->peer_tail + slots <= channel->shape.slots;
}

int channel_reserve(struct channel *channel, uint32_t length, struct channel_span *span)
{
	uint32_t slots;

	if (channel->broken)
		return -EPROTO;
	if (length > channel_length_max(&channel->shape))
		return -EMSGSIZE;
	slots = slots_for(channel, length);
	if (!has_room(channel, slots)) {
		if (refresh_tail(channel) < 0)
			return -EPROTO;
		if (!has_room(channel, slots)) {
			channel->counts.full++;
			return -EAGAIN;
		}
	}
	channel->reserved = channel->head + slots;
	channel->reserved_length = length;
	*span = span_of(channel, channel->out_slots,
			slot_at(channel, channel->out_slots, channel->head), length);
	return 0;
}

void channel_commit(struct channel *channel, uint32_t kind)
{
	struct channel_header header = {channel->reserved_length, kind};

	memcpy(slot_at(channel, channel->out_slots, channel->head), &header, sizeof(header));
	channel->head = channel->reserved;
	channel->counts.messages_sent++;
	channel->counts.bytes_sent += channel->reserved_length;
}

/*
 * Wakes the peer if it waits for @want. That bit is cleared with it, so that it is woken once; the
 * others may be of its next sleep. A socket that is full has wake-ups in it that the peer has not
 * taken.
 */
static void wake(struct channel *channel, uint32_t want)
{
	/* The position that was just stored is visible before @wants is read (prepare_sleep). */
	atomic_thread_fence(memory_order_seq_cst);
	if (!(atomic_load_explicit(&channel->peer->wants, memory_order_relaxed) & want))
		return;
	if (!(atomic_fetch_and(&channel->peer->wants, ~want) & want))
		return;
	channel->counts.wakes_sent++;
	if (send(channel->socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN &&
	    errno != EPIPE) {
		/* The kernel has no memory: try again with the next message. */
		atomic_fetch_or(&channel->peer->wants, want);
		channel->counts.wakes_failed++;
	}
}

void channel_publish(struct channel *channel)
{
	if (channel->published == channel->head || channel->broken)
		return;
	channel->published = channel->head;
	atomic_store_explicit(&channel->own->head, channel->head, memory_order_release);
	wake(channel, CHANNEL_WANTS_MESSAGES);
}

void channel_span_write(const struct channel_span *span, uint32_t offset, const void *data,
			uint32_t length)
{
	const uint8_t *from = data;
	uint32_t first = 0;

	if (offset < span->length[0]) {
		first = span->length[0] - offset;
		if (first > length)
			first = length;
		memcpy(span->base[0] + offset, from, first);
	}
	if (length > first)
		memcpy(span->base[1] + (offset + first - span->length[0]), from + first,
		       length - first);
}

void channel_span_read(const struct channel_span *span, uint32_t offset, void *data,
		       uint32_t length)
{
	uint8_t *to = data;
	uint32_t first = 0;

	if (offset < span->length[0]) {
		first = span->length[0] - offset;
		if (first > length)
			first = length;
		memcpy(to, span->base[0] + offset, first);
	}
	if (length > first)
		memcpy(to + first, span->base[1] + (offset + first - span->length[0]),
		       length - first);
}

int channel_send(struct channel *channel, uint32_t kind, const void *data, uint32_t length)
{
	struct channel_span span;
	int result = channel_reserve(channel, length, &span);

	if (result < 0)
		return result;
	channel_span_write(&span, 0, data, length);
	channel_commit(channel, kind);
	return 0;
}

int channel_receive(struct channel *channel, struct channel_message *message)
{
	const volatile struct channel_header *shared;
	struct channel_header header;
	uint32_t available;
	uint8_t *slot;

	if (channel->broken)
		return -EPROTO;
	if (channel->peer_head == channel->tail) {
		if (refresh_head(channel) < 0)
			return -EPROTO;
		if (channel->peer_head == channel->tail)
			return 0;
	}
	available = channel->peer_head - channel->tail;
	slot = slot_at(channel, channel->in_slots, channel->tail);
	shared = (const volatile struct channel_header *)slot;
	header = (struct channel_header){shared->length, shared->kind};
	/* A message is published as a whole. */
	if (header.length > channel_length_max(&channel->shape) ||
	    slots_for(channel, header.length) > available)
		return break_channel(channel);
	channel->receiving = slots_for(channel, header.length);
	channel->receiving_length = header.length;
	*message = (struct channel_message){
		.kind = header.kind,
		.length = header.length,
		.span = span_of(channel, channel->in_slots, slot, header.length),
	};
	return 1;
}

void channel_consume(struct channel *channel)
{
	channel->tail += channel->receiving;
	channel->counts.messages_received += channel->receiving != 0;
	channel->counts.bytes_received += channel->receiving_length;
	channel->receiving = 0;
	channel->receiving_length = 0;
}

void channel_release(struct channel *channel)
{
	if (channel->released == channel->tail || channel->broken)
		return;
	channel->released = channel->tail;
	atomic_store_explicit(&channel->own->tail, channel->tail, memory_order_release);
	wake(channel, CHANNEL_WANTS_ROOM);
}

/* A broken channel has something to tell: the owner must see it. */
static bool has(struct channel *channel, unsigned int wants)
{
	if (channel->broken)
		return true;
	if (wants & CHANNEL_WANTS_MESSAGES &&
	    (refresh_head(channel) < 0 || channel->peer_head != channel->tail))
		return true;
	return wants & CHANNEL_WANTS_ROOM &&
	       (refresh_tail(channel) < 0 || has_room(channel, channel->shape.slots / 2));
}

bool channel_prepare_sleep(struct channel *channel, unsigned int wants)
{
	channel_publish(channel);
	channel_release(channel);
	if (has(channel, wants))
		return true;
	atomic_store_explicit(&channel->own->wants, wants, memory_order_relaxed);
	/* The wish is visible before the positions are looked at once more (wake). */
	atomic_thread_fence(memory_order_seq_cst);
	if (!has(channel, wants))
		return false;
	atomic_store_explicit(&channel->own->wants, 0, memory_order_relaxed);
	return true;
}

int channel_woken(struct channel *channel)
{
	char bytes[64];
	ssize_t size;

	atomic_store_explicit(&channel->own->wants, 0, memory_order_relaxed);
	/* Each packet is one wake-up; a peer that sends without end is left for the next turn. */
	for (int i = 0; i < 16; i++) {
		size = recv(channel->socket, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		if (size < 0)
			return 0;
		channel->counts.wakes_received++;
	}
	return 0;
}

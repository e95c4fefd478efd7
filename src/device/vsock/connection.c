// SPDX-License-Identifier: BSD-3-Clause
/* The connections of a socket device with the host (VIRTIO 1.4, 5.10.6.3 to 5.10.6.6). */
#include "device/vsock/connection.h"

#include <string.h>

/* The ports of the host from which it calls: above those that programs choose. */
#define FIRST_PORT 0x40000000u
#define PORTS	   0x40000000u

/* The guest is told of that many bytes at the latest. */
#define TELL_BYTES (VSOCK_WINDOW / 4)

_Static_assert((VSOCK_WINDOW & (VSOCK_WINDOW - 1)) == 0, "places are counters modulo the window");

/* The table */

static struct vsock_connection **bucket_of(struct vsock_device *vsock, uint32_t host_port,
					   uint32_t guest_port)
{
	uint32_t hash = (host_port ^ guest_port * UINT32_C(0x9e3779b1)) * UINT32_C(0x85ebca6b);

	return &vsock->buckets[(hash >> 16) % VSOCK_BUCKETS];
}

struct vsock_connection *vsock_connection_find(struct vsock_device *vsock, uint32_t host_port,
					       uint32_t guest_port)
{
	struct vsock_connection *connection = *bucket_of(vsock, host_port, guest_port);

	while (connection &&
	       (connection->host_port != host_port || connection->guest_port != guest_port))
		connection = connection->next_in_bucket;
	return connection;
}

static struct vsock_connection *find_state(struct vsock_device *vsock, enum vsock_state state)
{
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++)
		if (vsock->connections[i].state == state)
			return &vsock->connections[i];
	return NULL;
}

/*
 * The host side is done with one of them and the guest has not answered: the next packet for the
 * guest is its RST, which ends it by force (5.10.6.5), so that it does not keep its place for ever.
 */
static void end_finished(struct vsock_device *vsock)
{
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++) {
		struct vsock_connection *connection = &vsock->connections[i];

		if (connection->state == VSOCK_OPEN &&
		    connection->host_shut == VSOCK_SHUTDOWN_BOTH && !connection->pending) {
			vsock_connection_end(vsock, connection);
			return;
		}
	}
}

struct vsock_connection *vsock_connection_new(struct vsock_device *vsock, uint32_t host_port,
					      uint32_t guest_port, uint16_t type)
{
	struct vsock_connection *connection = find_state(vsock, VSOCK_FREE);
	struct vsock_connection **bucket = bucket_of(vsock, host_port, guest_port);

	if (!connection) {
		end_finished(vsock);
		return NULL;
	}
	*connection = (struct vsock_connection){
		.state = VSOCK_CALLING,
		.host_port = host_port,
		.guest_port = guest_port,
		.type = type,
		.memory = connection->memory,
		.next_in_bucket = *bucket,
	};
	*bucket = connection;
	return connection;
}

struct vsock_connection *vsock_connection_call(struct vsock_device *vsock, uint32_t guest_port)
{
	struct vsock_connection *connection;
	uint32_t port;

	/* One of them is free: there are more than connections. */
	do
		port = FIRST_PORT + vsock->next_port++ % PORTS;
	while (vsock_connection_find(vsock, port, guest_port));
	connection = vsock_connection_new(vsock, port, guest_port, VIRTIO_VSOCK_TYPE_STREAM);
	if (!connection)
		return NULL;
	connection->has_host = true;
	connection->pending = VSOCK_PENDING_REQUEST;
	vsock_connection_line_up(vsock, connection);
	return connection;
}

static void close_host(struct vsock_device *vsock, struct vsock_connection *connection)
{
	if (!connection->has_host)
		return;
	connection->has_host = false;
	vsock->host->ops->close(vsock->host, connection);
}

static void leave_line(struct vsock_device *vsock, struct vsock_connection *connection)
{
	struct vsock_connection *before = NULL, **place = &vsock->first_in_line;

	if (!connection->in_line)
		return;
	while (*place != connection) {
		before = *place;
		place = &before->next_in_line;
	}
	*place = connection->next_in_line;
	if (!*place)
		vsock->last_in_line = before;
	connection->in_line = false;
}

void vsock_connection_free(struct vsock_device *vsock, struct vsock_connection *connection)
{
	struct vsock_connection **place =
		bucket_of(vsock, connection->host_port, connection->guest_port);

	close_host(vsock, connection);
	leave_line(vsock, connection);
	while (*place != connection)
		place = &(*place)->next_in_bucket;
	*place = connection->next_in_bucket;
	connection->state = VSOCK_FREE;
	if (connection->used_memory)
		vsock->host->ops->discard(vsock->host, connection->memory);
}

void vsock_connection_end(struct vsock_device *vsock, struct vsock_connection *connection)
{
	close_host(vsock, connection);
	connection->state = VSOCK_ENDED;
	connection->pending = VSOCK_PENDING_RST;
	vsock_connection_line_up(vsock, connection);
}

void vsock_connection_break(struct vsock_device *vsock, struct vsock_connection *connection)
{
	vsock->counts.breaches++;
	vsock_connection_end(vsock, connection);
}

void vsock_connections_clear(struct vsock_device *vsock)
{
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++)
		if (vsock->connections[i].state != VSOCK_FREE)
			vsock_connection_free(vsock, &vsock->connections[i]);
}

void vsock_connection_line_up(struct vsock_device *vsock, struct vsock_connection *connection)
{
	if (connection->in_line)
		return;
	connection->in_line = true;
	connection->next_in_line = NULL;
	if (vsock->first_in_line)
		vsock->last_in_line->next_in_line = connection;
	else
		vsock->first_in_line = connection;
	vsock->last_in_line = connection;
}

struct vsock_connection *vsock_connection_next(struct vsock_device *vsock)
{
	struct vsock_connection *connection = vsock->first_in_line;

	if (!connection)
		return NULL;
	vsock->first_in_line = connection->next_in_line;
	connection->in_line = false;
	return connection;
}

/* Credit and bytes */

uint32_t vsock_connection_credit(const struct vsock_connection *connection)
{
	uint32_t out = connection->sent - connection->peer_fwd_cnt;

	/* A guest that claims to have got more than was sent has no room, either. */
	return out < connection->peer_buf_alloc ? connection->peer_buf_alloc - out : 0;
}

uint32_t vsock_connection_waiting(const struct vsock_connection *connection)
{
	return connection->received - connection->taken;
}

/* The bytes that wait, in at most two pieces. */
static uint32_t waiting_pieces(const struct vsock_connection *connection, uint32_t limit,
			       struct virtio_segment pieces[2])
{
	uint32_t place = connection->taken % VSOCK_WINDOW;
	uint32_t waiting = vsock_connection_waiting(connection);
	uint32_t length = waiting < limit ? waiting : limit, first = VSOCK_WINDOW - place;

	if (length == 0)
		return 0;
	pieces[0] = (struct virtio_segment){connection->memory->bytes + place,
					    length < first ? length : first};
	if (length <= first)
		return 1;
	pieces[1] = (struct virtio_segment){connection->memory->bytes, length - first};
	return 2;
}

static void keep(struct vsock_connection *connection, const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		uint32_t place = connection->received % VSOCK_WINDOW;
		size_t part = VSOCK_WINDOW - place < length ? VSOCK_WINDOW - place : length;

		memcpy(connection->memory->bytes + place, bytes, part);
		connection->used_memory = true;
		connection->received += (uint32_t)part;
		bytes += part;
		length -= part;
	}
}

/* Whether nobody takes what the guest sends. */
static bool is_discarded(const struct vsock_connection *connection)
{
	return connection->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV ||
	       (!connection->has_host && !connection->echo);
}

size_t vsock_connection_take(struct vsock_device *vsock, struct vsock_connection *connection,
			     const struct virtio_segment *segments, uint32_t count)
{
	size_t total = 0, written = 0;

	for (uint32_t i = 0; i < count; i++)
		total += segments[i].length;
	if (!connection->echo && !is_discarded(connection) &&
	    vsock_connection_waiting(connection) == 0)
		written = vsock->host->ops->write(vsock->host, connection, segments, count);
	/* The host side may have failed in that call. */
	if (is_discarded(connection))
		written = total;
	connection->received += (uint32_t)written;
	connection->taken += (uint32_t)written;
	for (uint32_t i = 0; i < count; i++) {
		size_t skip = written < segments[i].length ? written : segments[i].length;

		written -= skip;
		keep(connection, (const uint8_t *)segments[i].base + skip,
		     segments[i].length - skip);
	}
	return total;
}

bool vsock_connection_mark(struct vsock_connection *connection, uint32_t flags)
{
	uint16_t place = (connection->first_mark + connection->mark_count) % VSOCK_MARKS_MAX;

	if (connection->mark_count == VSOCK_MARKS_MAX)
		return false;
	connection->used_memory = true;
	connection->memory->marks[place] = (struct vsock_mark){
		.position = connection->received,
		.flags = flags & (VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR),
	};
	connection->mark_count++;
	return true;
}

void vsock_connection_drain(struct vsock_device *vsock, struct vsock_connection *connection)
{
	struct virtio_segment pieces[2];
	uint32_t count;
	size_t written = 1;

	while (written > 0 && connection->has_host &&
	       (count = waiting_pieces(connection, VSOCK_WINDOW, pieces)) > 0) {
		written = vsock->host->ops->write(vsock->host, connection, pieces, count);
		connection->taken += (uint32_t)written;
	}
	if (is_discarded(connection))
		connection->taken = connection->received;
	vsock_connection_advance(vsock, connection);
}

bool vsock_connection_echo(struct vsock_connection *connection,
			   const struct virtio_segment *segments, uint32_t count, size_t *length,
			   uint32_t *flags)
{
	const struct vsock_mark *mark = &connection->memory->marks[connection->first_mark];
	uint32_t limit = connection->mark_count > 0 ? mark->position - connection->taken :
						      VSOCK_WINDOW;

	*length = 0;
	*flags = 0;
	for (uint32_t i = 0; i < count && *length < limit; i++) {
		size_t room = segments[i].length < limit - *length ? segments[i].length :
								     limit - *length;
		uint8_t *base = segments[i].base;
		struct virtio_segment pieces[2];
		uint32_t parts = waiting_pieces(connection, (uint32_t)room, pieces);

		for (uint32_t j = 0; j < parts; j++) {
			memcpy(base, pieces[j].base, pieces[j].length);
			base += pieces[j].length;
			connection->taken += (uint32_t)pieces[j].length;
			*length += pieces[j].length;
		}
	}
	if (connection->mark_count > 0 && mark->position == connection->taken) {
		*flags = mark->flags;
		connection->first_mark = (connection->first_mark + 1) % VSOCK_MARKS_MAX;
		connection->mark_count--;
		return true;
	}
	return *length > 0;
}

/* Shutting down */

/* The guest sends no more, and all of it was taken. */
static void finish_taking(struct vsock_device *vsock, struct vsock_connection *connection)
{
	if (connection->shut_told)
		return;
	connection->shut_told = true;
	if (connection->echo)
		vsock_connection_ended(vsock, connection, VIRTIO_VSOCK_SHUTDOWN_SEND);
	else if (connection->has_host)
		vsock->host->ops->shut(vsock->host, connection);
}

void vsock_connection_advance(struct vsock_device *vsock, struct vsock_connection *connection)
{
	bool empty = vsock_connection_waiting(connection) == 0 && connection->mark_count == 0;

	if (connection->state != VSOCK_OPEN)
		return;
	/* Nobody can get it any more. */
	if (connection->echo && connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		empty = true;
	if (empty && connection->guest_shut == VSOCK_SHUTDOWN_BOTH) {
		vsock_connection_end(vsock, connection);
		return;
	}
	if (empty && connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
		finish_taking(vsock, connection);
	if (connection->taken - connection->told >= TELL_BYTES) {
		connection->pending |= VSOCK_PENDING_CREDIT_UPDATE;
		vsock_connection_line_up(vsock, connection);
	}
}

void vsock_connection_ended(struct vsock_device *vsock, struct vsock_connection *connection,
			    uint8_t directions)
{
	uint8_t before = connection->host_shut;

	connection->host_shut |= directions;
	if (directions & VIRTIO_VSOCK_SHUTDOWN_SEND)
		connection->readable = false;
	if (directions & VIRTIO_VSOCK_SHUTDOWN_RCV)
		connection->taken = connection->received;
	if (connection->host_shut == VSOCK_SHUTDOWN_BOTH)
		close_host(vsock, connection);
	/* A call that was not answered cannot be shut down. */
	if (connection->state == VSOCK_CALLING || connection->state == VSOCK_CALLED) {
		vsock_connection_end(vsock, connection);
	} else if (connection->state == VSOCK_OPEN && connection->host_shut != before) {
		connection->pending |= VSOCK_PENDING_SHUTDOWN;
		vsock_connection_line_up(vsock, connection);
	}
}

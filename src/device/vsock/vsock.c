// SPDX-License-Identifier: BSD-3-Clause
/* The socket device (VIRTIO 1.4, 5.10): packets and queues. */
#include "device/vsock/vsock.h"

#include <errno.h>
#include <string.h>

#include "device/vsock/connection.h"
#include "virtio/container_of.h"
#include "virtio/device_state.h"
#include "virtio/feature.h"

_Static_assert(sizeof(struct virtio_vsock_hdr) == 44, "VIRTIO 1.4, 5.10.6");

/* The one source of events, and its event. */
#define DEVICE		0
#define TRANSPORT_RESET 1

static struct vsock_device *to_vsock(struct virtio_device *device)
{
	return container_of(device, struct vsock_device, device);
}

static struct virtqueue *queue_of(struct vsock_device *vsock, unsigned int index)
{
	return &vsock->queues[index];
}

/* The pieces of a stream behind its first @skip bytes, at most @limit bytes and VSOCK_SEGMENTS. */
static uint32_t pieces_of(const struct virtio_stream *stream, size_t skip, size_t limit,
			  struct virtio_segment pieces[VSOCK_SEGMENTS])
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < stream->count && limit > 0 && count < VSOCK_SEGMENTS; i++) {
		const struct virtio_segment *segment = &stream->segments[i];
		size_t length;

		if (skip >= segment->length) {
			skip -= segment->length;
			continue;
		}
		length = segment->length - skip < limit ? segment->length - skip : limit;
		pieces[count++] = (struct virtio_segment){(uint8_t *)segment->base + skip, length};
		limit -= length;
		skip = 0;
	}
	return count;
}

/* To the guest */

/* Puts a packet without payload into @request. */
static void write_header(struct vsock_device *vsock, struct virtio_request *request,
			 const struct virtio_vsock_hdr *header)
{
	request_write(request, header, sizeof(*header));
	vsock->counts.packets_sent++;
}

static struct virtio_vsock_hdr header_of(const struct vsock_device *vsock,
					 struct vsock_connection *connection, uint16_t op)
{
	/* 5.10.6.3.2: each packet of a flow has valid credit. */
	connection->told = connection->taken;
	return (struct virtio_vsock_hdr){
		.src_cid = VSOCK_CID_HOST,
		.dst_cid = vsock->config.guest_cid,
		.src_port = connection->host_port,
		.dst_port = connection->guest_port,
		.type = connection->type,
		.op = op,
		.buf_alloc = VSOCK_WINDOW,
		.fwd_cnt = connection->taken,
	};
}

/* The packets that a connection has to send, the most urgent first. */
static const struct {
	uint8_t pending;
	uint16_t op;
} packets[] = {
	{VSOCK_PENDING_RST, VIRTIO_VSOCK_OP_RST},
	{VSOCK_PENDING_REQUEST, VIRTIO_VSOCK_OP_REQUEST},
	{VSOCK_PENDING_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE},
	{VSOCK_PENDING_CREDIT_UPDATE, VIRTIO_VSOCK_OP_CREDIT_UPDATE},
	{VSOCK_PENDING_CREDIT_REQUEST, VIRTIO_VSOCK_OP_CREDIT_REQUEST},
};

static void write_packet(struct vsock_device *vsock, struct vsock_connection *connection,
			 struct virtio_request *request, uint16_t op, uint32_t flags)
{
	struct virtio_vsock_hdr header = header_of(vsock, connection, op);

	header.flags = flags;
	write_header(vsock, request, &header);
}

/* Writes a packet with bytes that the host side has. False: it has none, or there is no credit. */
static bool write_data(struct vsock_device *vsock, struct vsock_connection *connection,
		       struct virtio_request *request)
{
	struct virtio_segment pieces[VSOCK_SEGMENTS];
	struct virtio_vsock_hdr header;
	size_t room = request->writable.left - sizeof(header);
	uint32_t credit = vsock_connection_credit(connection), count, flags = 0;
	size_t length = 0;

	if (connection->state != VSOCK_OPEN || connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		return false;
	room = room < VSOCK_PAYLOAD_MAX ? room : VSOCK_PAYLOAD_MAX;
	count = pieces_of(&request->writable, sizeof(header), room < credit ? room : credit,
			  pieces);
	if (connection->echo) {
		if (!vsock_connection_echo(connection, pieces, count, &length, &flags))
			return false;
	} else if (count > 0 && connection->readable && connection->has_host) {
		length = vsock->host->ops->read(vsock->host, connection, pieces, count);
		connection->readable = length > 0;
	}
	if (length == 0 && flags == 0)
		return false;
	connection->sent += (uint32_t)length;
	vsock->counts.bytes_sent += length;
	header = header_of(vsock, connection, VIRTIO_VSOCK_OP_RW);
	header.len = (uint32_t)length;
	header.flags = flags;
	write_header(vsock, request, &header);
	stream_advance(&request->writable, length);
	request->written += (uint32_t)length;
	return true;
}

/* A connection that waits for credit asks for it once: the guest may have forgotten to tell. */
static void ask_for_credit(struct vsock_connection *connection)
{
	bool waits = connection->echo ? vsock_connection_waiting(connection) > 0 :
					connection->readable;

	if (connection->state != VSOCK_OPEN || !waits || connection->asked_credit ||
	    connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV ||
	    vsock_connection_credit(connection) > 0)
		return;
	connection->asked_credit = true;
	connection->pending |= VSOCK_PENDING_CREDIT_REQUEST;
}

/* Writes the next packet of a connection. False: it has none. */
static bool write_next(struct vsock_device *vsock, struct vsock_connection *connection,
		       struct virtio_request *request)
{
	ask_for_credit(connection);
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		if (!(connection->pending & packets[i].pending))
			continue;
		connection->pending &= (uint8_t)~packets[i].pending;
		write_packet(vsock, connection, request, packets[i].op, 0);
		if (packets[i].op == VIRTIO_VSOCK_OP_RST)
			vsock_connection_free(vsock, connection);
		return true;
	}
	if (write_data(vsock, connection, request)) {
		vsock_connection_advance(vsock, connection);
		return true;
	}
	/* Behind all bytes. */
	if (connection->pending & VSOCK_PENDING_SHUTDOWN) {
		connection->pending &= (uint8_t)~VSOCK_PENDING_SHUTDOWN;
		write_packet(vsock, connection, request, VIRTIO_VSOCK_OP_SHUTDOWN,
			     connection->host_shut);
		return true;
	}
	return false;
}

/* Writes what is next for the guest. False: there is nothing. */
static bool fill(struct vsock_device *vsock, struct virtio_request *request)
{
	struct vsock_connection *connection;

	if (vsock->stray_count > 0) {
		write_header(vsock, request, &vsock->stray[vsock->stray_first]);
		vsock->stray_first = (vsock->stray_first + 1) % VSOCK_STRAY_MAX;
		vsock->stray_count--;
		return true;
	}
	while ((connection = vsock_connection_next(vsock))) {
		if (write_next(vsock, connection, request)) {
			/* In turn, one packet each. */
			if (connection->state != VSOCK_FREE)
				vsock_connection_line_up(vsock, connection);
			return true;
		}
	}
	return false;
}

/* Takes a buffer of the guest; NULL: there is none. */
static struct virtio_request *take_buffer(struct vsock_device *vsock)
{
	struct virtqueue *queue = queue_of(vsock, VIRTIO_VSOCK_QUEUE_RX);
	struct virtio_request *request = virtqueue_pop(queue);

	/* A payload needs at least one byte of room. */
	if (request && request->writable.left <= sizeof(struct virtio_vsock_hdr)) {
		virtio_device_fault(&vsock->device, queue, "buffer that is too small for a packet");
		return NULL;
	}
	return request;
}

/* Sends what there is while there are buffers. */
static void send_now(struct vsock_device *vsock)
{
	struct virtqueue *queue = queue_of(vsock, VIRTIO_VSOCK_QUEUE_RX);

	for (uint32_t budget = queue->size;
	     budget > 0 && (vsock->stray_count > 0 || vsock->first_in_line); budget--) {
		struct virtio_request *request = take_buffer(vsock);

		if (!request)
			break;
		if (!fill(vsock, request)) {
			virtqueue_unpop(queue, request);
			break;
		}
		virtqueue_push(queue, request);
	}
	virtqueue_notify(queue);
}

/*
 * Calls of the host side may come from within its operations. What there is to be sent then is
 * sent at the end of the outermost call, so that no connection goes away in the middle of another.
 */
static bool enter(struct vsock_device *vsock)
{
	bool outermost = !vsock->busy;

	vsock->busy = true;
	return outermost;
}

static void leave(struct vsock_device *vsock, bool outermost)
{
	if (!outermost)
		return;
	send_now(vsock);
	vsock->busy = false;
}

bool vsock_device_poll(struct vsock_device *vsock)
{
	if (!vsock->tx_waits || vsock->stray_count == VSOCK_STRAY_MAX)
		return false;
	vsock->tx_waits = false;
	vsock_device_resume(vsock);
	return true;
}

/* From the guest */

/* Answers a packet that belongs to no connection with RST. There is room for it. */
static void refuse(struct vsock_device *vsock, const struct virtio_vsock_hdr *header)
{
	struct virtio_vsock_hdr *reply;

	/* 5.10.6.5: RST ends a connection on both sides; it is not answered. */
	if (header->op == VIRTIO_VSOCK_OP_RST)
		return;
	vsock->counts.refused++;
	reply = &vsock->stray[(vsock->stray_first + vsock->stray_count++) % VSOCK_STRAY_MAX];
	*reply = (struct virtio_vsock_hdr){
		.src_cid = header->dst_cid,
		.dst_cid = header->src_cid,
		.src_port = header->dst_port,
		.dst_port = header->src_port,
		.type = header->type,
		.op = VIRTIO_VSOCK_OP_RST,
	};
}

static void take_bytes(struct vsock_device *vsock, struct vsock_connection *connection,
		       const struct virtio_vsock_hdr *header, struct virtio_request *request)
{
	struct virtio_segment pieces[VSOCK_SEGMENTS];
	uint32_t left = header->len, count;

	/* 5.10.6.3.1: "only be transmitted when the peer has sufficient free buffer space". */
	if (connection->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	    left > VSOCK_WINDOW - vsock_connection_waiting(connection)) {
		vsock_connection_break(vsock, connection);
		return;
	}
	vsock->counts.bytes_received += left;
	/* In order: behind bytes that wait. */
	while (left > 0) {
		size_t taken;

		count = pieces_of(&request->readable, 0, left, pieces);
		taken = vsock_connection_take(vsock, connection, pieces, count);
		request_skip(request, taken);
		left -= (uint32_t)taken;
	}
	if (connection->type == VIRTIO_VSOCK_TYPE_SEQPACKET && header->flags &&
	    !vsock_connection_mark(connection, header->flags)) {
		vsock_connection_break(vsock, connection);
		return;
	}
	vsock_connection_advance(vsock, connection);
	if (connection->echo && connection->state == VSOCK_OPEN)
		vsock_connection_line_up(vsock, connection);
}

static void take_request(struct vsock_device *vsock, const struct virtio_vsock_hdr *header)
{
	bool echo = vsock->echo_port && header->dst_port == vsock->echo_port;
	struct vsock_connection *connection = NULL;

	/* Messages have nowhere to go on the host. */
	if (echo || header->type == VIRTIO_VSOCK_TYPE_STREAM)
		connection = vsock_connection_new(vsock, header->dst_port, header->src_port,
						  header->type);
	if (!connection) {
		refuse(vsock, header);
		return;
	}
	connection->state = VSOCK_CALLED;
	connection->peer_buf_alloc = header->buf_alloc;
	connection->peer_fwd_cnt = header->fwd_cnt;
	connection->echo = echo;
	connection->has_host = !echo;
	if (echo)
		vsock_device_answer(vsock, connection, true);
	else
		vsock->host->ops->called(vsock->host, connection);
}

/* A packet of a connection that is open. */
static void take_open(struct vsock_device *vsock, struct vsock_connection *connection,
		      const struct virtio_vsock_hdr *header, struct virtio_request *request)
{
	switch (header->op) {
	case VIRTIO_VSOCK_OP_RW:
		take_bytes(vsock, connection, header, request);
		return;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		/* 5.10.6.5: "These hints are permanent once sent". */
		connection->guest_shut |= header->flags & VSOCK_SHUTDOWN_BOTH;
		vsock_connection_advance(vsock, connection);
		return;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		connection->pending |= VSOCK_PENDING_CREDIT_UPDATE;
		return;
	default:
		vsock_connection_break(vsock, connection);
	}
}

static void take_for_connection(struct vsock_device *vsock, struct vsock_connection *connection,
				const struct virtio_vsock_hdr *header,
				struct virtio_request *request)
{
	uint16_t op = header->op;

	if (connection->state == VSOCK_ENDED)
		return; /* RST is on its way */
	if (op == VIRTIO_VSOCK_OP_RST) {
		vsock_connection_free(vsock, connection);
		return;
	}
	if (header->type != connection->type) {
		vsock_connection_break(vsock, connection);
		return;
	}
	connection->peer_buf_alloc = header->buf_alloc;
	connection->peer_fwd_cnt = header->fwd_cnt;
	connection->asked_credit = false;
	if (connection->state == VSOCK_OPEN) {
		take_open(vsock, connection, header, request);
	} else if (connection->state == VSOCK_CALLING && op == VIRTIO_VSOCK_OP_RESPONSE) {
		connection->state = VSOCK_OPEN;
		connection->readable = true;
		vsock->host->ops->accepted(vsock->host, connection);
	} else {
		vsock_connection_break(vsock, connection);
		return;
	}
	if (connection->state == VSOCK_OPEN)
		vsock_connection_line_up(vsock, connection);
}

/* Whether sockets of that type were negotiated (5.10.3). */
static bool type_is_negotiated(const struct vsock_device *vsock, uint16_t type)
{
	const struct virtio_device *device = &vsock->device;

	switch (type) {
	case VIRTIO_VSOCK_TYPE_STREAM:
		return virtio_has_feature(device, VIRTIO_VSOCK_F_STREAM) ||
		       !virtio_has_feature(device, VIRTIO_VSOCK_F_NO_IMPLIED_STREAM);
	case VIRTIO_VSOCK_TYPE_SEQPACKET:
		return virtio_has_feature(device, VIRTIO_VSOCK_F_SEQPACKET);
	default:
		return false;
	}
}

/* A packet for another guest. False: it has to wait. */
static bool pass_on(struct vsock_device *vsock, const struct virtio_vsock_hdr *header,
		    struct virtio_request *request)
{
	enum vsock_forwarded forwarded = VSOCK_NO_WAY;

	if (vsock->host->ops->forward && vsock_cid_is_valid(header->dst_cid) &&
	    header->dst_cid != vsock->config.guest_cid && header->len <= VSOCK_PAYLOAD_MAX)
		forwarded = vsock->host->ops->forward(vsock->host, header, request);
	if (forwarded == VSOCK_NO_WAY)
		refuse(vsock, header);
	return forwarded != VSOCK_NO_ROOM;
}

/* Deals with a packet of the guest. False: it has to wait. */
static bool take_packet(struct vsock_device *vsock, const struct virtio_vsock_hdr *header,
			struct virtio_request *request)
{
	struct vsock_connection *connection;

	/* 5.10.6.4.1: "guest_cid MUST be used as the source CID". */
	if (header->src_cid != vsock->config.guest_cid) {
		vsock->counts.foreign++;
		return true;
	}
	/* 5.10.6.4.2: "A VIRTIO_VSOCK_OP_RST reply MUST be sent […] unknown type value". */
	if (!type_is_negotiated(vsock, header->type)) {
		refuse(vsock, header);
		return true;
	}
	if (header->dst_cid != VSOCK_CID_HOST)
		return pass_on(vsock, header, request);
	connection = vsock_connection_find(vsock, header->dst_port, header->src_port);
	if (connection)
		take_for_connection(vsock, connection, header, request);
	else if (header->op == VIRTIO_VSOCK_OP_REQUEST)
		take_request(vsock, header);
	else
		refuse(vsock, header);
	return true;
}

static void take_all(struct vsock_device *vsock)
{
	struct virtqueue *queue = queue_of(vsock, VIRTIO_VSOCK_QUEUE_TX);
	struct virtio_request *request;
	bool outermost = enter(vsock);

	vsock->tx_waits = false;
	for_each_request(request, queue) {
		struct virtio_vsock_hdr header;

		/* A reply may be needed. */
		if (vsock->stray_count == VSOCK_STRAY_MAX)
			send_now(vsock);
		if (vsock->stray_count == VSOCK_STRAY_MAX) {
			vsock->tx_waits = true;
			virtqueue_unpop(queue, request);
			break;
		}
		if (request_read(request, &header, sizeof(header)) != sizeof(header) ||
		    header.len > request->readable.left) {
			virtio_device_fault(&vsock->device, queue,
					    "packet that is shorter than it says");
			break;
		}
		if (!take_packet(vsock, &header, request)) {
			virtqueue_unpop(queue, request);
			break;
		}
		vsock->counts.packets_received++;
		virtqueue_push(queue, request);
	}
	virtqueue_notify(queue);
	leave(vsock, outermost);
}

/* What the host side calls */

struct vsock_connection *vsock_device_call(struct vsock_device *vsock, uint32_t guest_port)
{
	bool outermost = enter(vsock);
	struct vsock_connection *connection = vsock_connection_call(vsock, guest_port);

	leave(vsock, outermost);
	return connection;
}

void vsock_device_answer(struct vsock_device *vsock, struct vsock_connection *connection,
			 bool accepted)
{
	bool outermost;

	if (connection->state != VSOCK_CALLED)
		return;
	outermost = enter(vsock);
	if (accepted) {
		vsock->counts.connections++;
		connection->state = VSOCK_OPEN;
		connection->readable = true;
		connection->pending |= VSOCK_PENDING_RESPONSE;
		vsock_connection_line_up(vsock, connection);
	} else {
		vsock->counts.refused++;
		connection->has_host = false;
		vsock_connection_end(vsock, connection);
	}
	leave(vsock, outermost);
}

void vsock_device_readable(struct vsock_device *vsock, struct vsock_connection *connection)
{
	bool outermost = enter(vsock);

	connection->readable = true;
	vsock_connection_line_up(vsock, connection);
	leave(vsock, outermost);
}

void vsock_device_writable(struct vsock_device *vsock, struct vsock_connection *connection)
{
	bool outermost = enter(vsock);

	vsock_connection_drain(vsock, connection);
	leave(vsock, outermost);
}

void vsock_device_ended(struct vsock_device *vsock, struct vsock_connection *connection,
			uint8_t directions)
{
	bool outermost = enter(vsock);

	vsock_connection_ended(vsock, connection, directions);
	leave(vsock, outermost);
}

bool vsock_device_deliver(struct vsock_device *vsock, const struct virtio_vsock_hdr *header,
			  const struct virtio_segment segments[2], uint32_t *done)
{
	struct virtqueue *queue = queue_of(vsock, VIRTIO_VSOCK_QUEUE_RX);

	vsock->delivers = false;
	if (header->dst_cid != vsock->config.guest_cid || !vsock_cid_is_valid(header->src_cid) ||
	    header->src_cid == header->dst_cid)
		return true;
	do {
		struct virtio_request *request = take_buffer(vsock);
		struct virtio_vsock_hdr part = *header;
		uint32_t left = header->len - *done, skip = *done;
		size_t room;

		if (!request) {
			vsock->delivers = true;
			return false;
		}
		room = request->writable.left - sizeof(part);
		part.len = left < room ? left : (uint32_t)room;
		/* Marks belong to the end of the packet (5.10.6.6.1). */
		if (part.len < left && part.op == VIRTIO_VSOCK_OP_RW)
			part.flags = 0;
		write_header(vsock, request, &part);
		*done += part.len;
		for (unsigned int i = 0; i < 2 && part.len > 0; i++) {
			size_t length = segments[i].length;

			if (skip >= length) {
				skip -= (uint32_t)length;
				continue;
			}
			length = length - skip < part.len ? length - skip : part.len;
			request_write(request, (uint8_t *)segments[i].base + skip, length);
			part.len -= (uint32_t)length;
			skip = 0;
		}
		virtqueue_push(queue, request);
	} while (*done < header->len);
	vsock->counts.bytes_sent += header->len;
	return true;
}

void vsock_device_delivered(struct vsock_device *vsock)
{
	virtqueue_notify(queue_of(vsock, VIRTIO_VSOCK_QUEUE_RX));
}

void vsock_device_resume(struct vsock_device *vsock)
{
	virtio_device_kick(&vsock->device, queue_of(vsock, VIRTIO_VSOCK_QUEUE_TX));
}

/* Life */

/* All connections are over; the driver learns that from the event (5.10.6.7). */
static void reset_transport(struct vsock_device *vsock)
{
	vsock_connections_clear(vsock);
	vsock->stray_count = 0;
	event_queue_add(&vsock->events, DEVICE, TRANSPORT_RESET);
	event_queue_send(&vsock->events);
}

void vsock_device_lost(struct vsock_device *vsock)
{
	/* A driver that was not served yet has no connections. */
	if (vsock->seen)
		reset_transport(vsock);
}

static bool write_event(struct virtio_device *device, uint16_t source, uint32_t event,
			struct virtio_request *request)
{
	const struct virtio_vsock_event reset = {VIRTIO_VSOCK_EVENT_TRANSPORT_RESET};

	return request_write(request, &reset, sizeof(reset)) == sizeof(reset);
}

static void forget_all(struct vsock_device *vsock)
{
	vsock_connections_clear(vsock);
	vsock->stray_count = 0;
	vsock->stopped = 0;
}

/*
 * Not every frontend tells of a reset (QEMU 7.2 does not): a ring that was stopped and begins anew
 * belongs to another driver, which knows nothing of connections. Once for both rings.
 */
static void look_for_new_driver(struct vsock_device *vsock, const struct virtqueue *queue)
{
	uint8_t bit = (uint8_t)(1u << queue->index);

	if (!(vsock->stopped & bit))
		return;
	vsock->stopped &= (uint8_t)~bit;
	if (!virtqueue_has_history(queue) &&
	    queue->available_index == (queue->setup.available_index & INT16_MAX))
		forget_all(vsock);
}

static void quiesce(struct virtio_device *device, struct virtqueue *queue)
{
	/* It may also go on. */
	to_vsock(device)->stopped |= (uint8_t)(1u << queue->index);
}

/*
 * If the driver had used a queue before this process served it, the connections of the previous
 * process are lost. The first such queue resets the transport; later queues must not, since there
 * may be new connections by then.
 */
static void look_for_history(struct vsock_device *vsock, const struct virtqueue *queue)
{
	uint8_t bit = (uint8_t)(1u << queue->index);

	if (vsock->seen & bit)
		return;
	vsock->seen |= bit;
	if (!vsock->reset_told && virtqueue_has_history(queue)) {
		vsock->reset_told = true;
		reset_transport(vsock);
	}
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct vsock_device *vsock = to_vsock(device);

	if (queue->index == VIRTIO_VSOCK_QUEUE_EVENT) {
		event_queue_send(&vsock->events);
		return;
	}
	look_for_new_driver(vsock, queue);
	look_for_history(vsock, queue);
	if (queue->index == VIRTIO_VSOCK_QUEUE_TX)
		take_all(vsock);
	else
		leave(vsock, enter(vsock));
	if (queue->index == VIRTIO_VSOCK_QUEUE_RX && vsock->delivers)
		vsock->host->ops->wanted(vsock->host);
}

static void reset(struct virtio_device *device)
{
	struct vsock_device *vsock = to_vsock(device);

	forget_all(vsock);
	vsock->seen = 0;
	vsock->reset_told = vsock->tx_waits = vsock->delivers = false;
	event_queue_reset(&vsock->events);
}

/* Connections cannot move: the successor tells the driver so. */
static void save(struct virtio_device *device, struct device_state *state)
{
	const struct vsock_device *vsock = to_vsock(device);

	state_put_u8(state, vsock->seen || vsock->pending_events[DEVICE]);
}

static int load(struct virtio_device *device, struct device_state *state)
{
	struct vsock_device *vsock = to_vsock(device);
	bool used = state_get_bool(state);

	if (!state_is_complete(state))
		return -EINVAL;
	vsock_connections_clear(vsock);
	vsock->reset_told = true;
	if (used)
		event_queue_add(&vsock->events, DEVICE, TRANSPORT_RESET);
	return 0;
}

static const struct virtio_device_class vsock_class = {
	.name = "vsock",
	.id = 19,
	.handle = handle,
	.quiesce = quiesce,
	.reset = reset,
	.state_version = 1,
	.save = save,
	.load = load,
};

void vsock_device_init(struct vsock_device *vsock, const struct vsock_settings *settings,
		       struct vsock_host *host, struct vsock_memory *memory)
{
	memset(vsock, 0, sizeof(*vsock));
	vsock->config.guest_cid = settings->guest_cid;
	vsock->echo_port = settings->echo_port;
	vsock->host = host;
	host->vsock = vsock;
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++)
		vsock->connections[i].memory = &memory[i];
	vsock->events = (struct event_queue){
		.queue = &vsock->queues[VIRTIO_VSOCK_QUEUE_EVENT],
		.write = write_event,
		.sources = 1,
		.pending = vsock->pending_events,
	};
	virtio_device_init(&vsock->device, &vsock_class,
			   FEATURE(VIRTIO_VSOCK_F_STREAM) | FEATURE(VIRTIO_VSOCK_F_SEQPACKET) |
				   FEATURE(VIRTIO_VSOCK_F_NO_IMPLIED_STREAM),
			   &vsock->config, sizeof(vsock->config), vsock->queues, VSOCK_QUEUES,
			   VSOCK_QUEUE_SIZE_MAX);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter vsock (VIRTIO 1.4, 5.10). The word vsock-echo=PORT on the command line names a port of
 * the host that sends back what it gets; without it, tests that need one are skipped.
 */
#include <linux/virtio_vsock.h>

#include "pages.h"
#include "report.h"
#include "tests/rings.h"

#define VSOCK	      .device = VIRTIO_ID_VSOCK
#define STREAM	      FEATURE(0)
#define SEQPACKET     FEATURE(1)
#define NO_IMPLIED    FEATURE(2)
#define VSOCK_ALL     (STREAM | SEQPACKET | NO_IMPLIED)

#define RX	      0
#define TX	      1
#define EVENT	      2

#define HOST	      2
#define HEADER	      ((uint32_t)sizeof(struct virtio_vsock_hdr))
#define BUFFERS	      16u
#define BUFFER_SIZE   1024u
#define PAYLOAD	      (BUFFER_SIZE - HEADER)
#define WINDOW	      65536u /* of this driver */
#define SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)
/* Nobody listens there. */
#define DEAF_PORT 0x7ffffff1u
#define OWN_PORT  1234u
/* No reply comes. */
#define SILENCE_MS 300

/* A packet that belongs to no connection, and that nobody answers. */
static void build(struct request *request, unsigned int slot)
{
	struct device *device = device_find(VIRTIO_ID_VSOCK, TRANSPORT_ANY);
	struct virtio_vsock_hdr header = {
		.src_cid = config_read(device, 0, 4),
		.dst_cid = HOST,
		.src_port = slot,
		.dst_port = DEAF_PORT,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = VIRTIO_VSOCK_OP_RST,
	};

	memcpy(request->memory, &header, sizeof(header));
	request_make_single(request, sizeof(header), false);
}

static const struct device_field fields[] = {
	DEVICE_FIELD(struct virtio_vsock_config, guest_cid, 0, false),
	{.name = NULL},
};

DEVICE_TYPE(vsock) = {
	.id = VIRTIO_ID_VSOCK,
	.name = "vsock",
	.queue = TX,
	.simple = 4,
	.build = build,
	.config_size = sizeof(struct virtio_vsock_config),
	.config_wide = true,
	.fields = fields,
	.features = VSOCK_ALL,
};

/* The device, with a driver that has one connection at a time. */
struct wire {
	struct device *device;
	struct queue *rx, *tx;
	uint8_t *buffers, *packet;
	uint64_t cid;
	uint32_t port;	   /* of this driver; another one for each connection */
	uint32_t received; /* bytes, of the connection */
	uint16_t type;
};

static void offer(struct wire *wire, uintptr_t index)
{
	struct driver_buffer buffer = buffer_of(wire->buffers + index * BUFFER_SIZE, BUFFER_SIZE);

	driver_queue_add(&wire->rx->ring, &buffer, 0, 1, (void *)(index + 1));
}

static void offer_all(struct wire *wire)
{
	for (uintptr_t i = 0; i < BUFFERS; i++)
		offer(wire, i);
	queue_kick(wire->rx);
}

static void open_with(struct wire *wire, uint64_t features)
{
	static uint32_t port = OWN_PORT;

	*wire = (struct wire){
		.device = device_find(VIRTIO_ID_VSOCK, TRANSPORT_ANY),
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.port = port++,
	};
	device_open(wire->device, features);
	wire->rx = device_queue(wire->device, RX, BUFFERS);
	wire->tx = device_queue(wire->device, TX, 64);
	device_queue(wire->device, EVENT, 4);
	device_run(wire->device);
	wire->buffers = pages_get(BUFFERS * BUFFER_SIZE);
	wire->packet = pages_get(2 * PAGE_SIZE);
	wire->cid = config_read(wire->device, 0, 4);
}

static struct virtio_vsock_hdr header_of(const struct wire *wire, uint16_t op, uint32_t port)
{
	return (struct virtio_vsock_hdr){
		.src_cid = wire->cid,
		.dst_cid = HOST,
		.src_port = wire->port,
		.dst_port = port,
		.type = wire->type,
		.op = op,
		.buf_alloc = WINDOW,
		.fwd_cnt = wire->received,
	};
}

/* Sends a packet with @size bytes behind the header. False: the device has not taken it. */
static bool send_raw(struct wire *wire, const struct virtio_vsock_hdr *header, const void *data,
		     uint32_t size, unsigned int ms)
{
	struct driver_buffer buffer = buffer_of(wire->packet, HEADER + size);
	uint32_t written;

	memcpy(wire->packet, header, HEADER);
	if (size)
		memcpy(wire->packet + HEADER, data, size);
	return queue_do(wire->tx, &buffer, 1, 0, &written, ms);
}

static void send_header(struct wire *wire, const struct virtio_vsock_hdr *header)
{
	check(send_raw(wire, header, NULL, 0, ANSWER_MS), "a packet was not taken");
}

static void send_op(struct wire *wire, uint16_t op, uint32_t port)
{
	struct virtio_vsock_hdr header = header_of(wire, op, port);

	send_header(wire, &header);
}

static void send_bytes(struct wire *wire, uint32_t port, const void *data, uint32_t size,
		       uint32_t flags)
{
	struct virtio_vsock_hdr header = header_of(wire, VIRTIO_VSOCK_OP_RW, port);

	header.len = size;
	header.flags = flags;
	check(send_raw(wire, &header, data, size, ANSWER_MS), "%u bytes were not taken", size);
}

/*
 * The next packet, with its payload behind it; NULL: none within @ms. It is whole until the next
 * call.
 */
static const struct virtio_vsock_hdr *receive(struct wire *wire, unsigned int ms)
{
	static uint8_t copy[BUFFER_SIZE] __attribute__((aligned(8)));
	const struct virtio_vsock_hdr *header = (const struct virtio_vsock_hdr *)copy;
	uint32_t written = 0;
	uintptr_t token = (uintptr_t)queue_wait(wire->rx, &written, ms);

	if (!token)
		return NULL;
	check(written >= HEADER && written <= BUFFER_SIZE, "the used length of a packet is %u",
	      written);
	memcpy(copy, wire->buffers + (token - 1) * BUFFER_SIZE, written);
	offer(wire, token - 1);
	queue_kick(wire->rx);
	check(header->len == written - HEADER, "len is %u, with %u bytes behind the header",
	      header->len, written - HEADER);
	check(header->dst_cid == wire->cid, "a packet is for context id %lu",
	      (uint64_t)header->dst_cid);
	return header;
}

/* The next packet but those about credit. */
static const struct virtio_vsock_hdr *receive_other(struct wire *wire, unsigned int ms)
{
	const struct virtio_vsock_hdr *header;

	do
		header = receive(wire, ms);
	while (header && (header->op == VIRTIO_VSOCK_OP_CREDIT_UPDATE ||
			  header->op == VIRTIO_VSOCK_OP_CREDIT_REQUEST));
	return header;
}

static const struct virtio_vsock_hdr *expect(struct wire *wire, uint16_t op, const char *what)
{
	const struct virtio_vsock_hdr *header = op == VIRTIO_VSOCK_OP_CREDIT_UPDATE ?
							receive(wire, ANSWER_MS) :
							receive_other(wire, ANSWER_MS);

	check(header, "%s: no answer", what);
	check(header->op == op, "%s: the answer is operation %u, and not %u", what, header->op, op);
	check(header->dst_port == wire->port, "%s: the answer is for port %u", what,
	      header->dst_port);
	return header;
}

static uint32_t echo_port(void)
{
	uint32_t port = (uint32_t)option_number("vsock-echo", 0);

	if (!port)
		skip("the command line names no port that sends back what it gets (vsock-echo=)");
	return port;
}

/* Opens the device, and a connection to the echo. */
static uint32_t connect_echo(struct wire *wire, uint64_t features, uint16_t type)
{
	uint32_t port = echo_port();

	open_with(wire, features);
	wire->type = type;
	offer_all(wire);
	send_op(wire, VIRTIO_VSOCK_OP_REQUEST, port);
	expect(wire, VIRTIO_VSOCK_OP_RESPONSE, "REQUEST to the echo");
	return port;
}

TEST(vsock_found, "AVP-VSOCK-001", .profile = "cockpit")
{
	struct device *device = device_find(VIRTIO_ID_VSOCK, TRANSPORT_ANY);

	check(device, "there is no socket device");
	device_reset(device);
	for (uint32_t i = RX; i <= EVENT; i++)
		check(device->ops->queue_size(device, i), "%s has no queue %u", device_name(device),
		      i);
}

TEST(vsock_features, "AVP-VSOCK-002", VSOCK)
{
	struct device *device = device_find(VIRTIO_ID_VSOCK, TRANSPORT_ANY);

	check(device_offered(device) & NO_IMPLIED,
	      "SHOULD: %s does not offer VIRTIO_VSOCK_F_NO_IMPLIED_STREAM", device_name(device));
}

TEST(vsock_stream_implied, "AVP-VSOCK-003", VSOCK)
{
	uint32_t port = echo_port();
	const struct virtio_vsock_hdr *header;
	struct wire wire;

	open_with(&wire, 0);
	offer_all(&wire);
	send_op(&wire, VIRTIO_VSOCK_OP_REQUEST, port);
	header = receive_other(&wire, ANSWER_MS);
	check(header && header->op == VIRTIO_VSOCK_OP_RESPONSE,
	      "SHOULD: without a feature bit there are no streams");
}

TEST(vsock_cid, "AVP-VSOCK-004", VSOCK)
{
	struct device *device = device_find(VIRTIO_ID_VSOCK, TRANSPORT_ANY);
	uint64_t cid;

	device_open(device, VSOCK_ALL);
	cid = config_read(device, 0, 4) | config_read(device, 4, 4) << 32;
	check(cid > HOST && cid < UINT32_MAX, "guest_cid is %lu", cid);
}

TEST(vsock_tx_while_rx_full, "AVP-VSOCK-005", VSOCK)
{
	struct wire wire;

	open_with(&wire, VSOCK_ALL);
	for (uint32_t i = 0; i < 8; i++) {
		struct virtio_vsock_hdr header =
			header_of(&wire, VIRTIO_VSOCK_OP_REQUEST, DEAF_PORT);

		check(send_raw(&wire, &header, NULL, 0, ANSWER_MS),
		      "packet %u was not taken while the rx queue is empty", i);
		wire.port++;
	}
}

/* The most packets for which a device keeps a reply. */
#define REPLIES_MAX 70000u

TEST(vsock_backlog_bounded, "AVP-VSOCK-006", VSOCK, .limit_ms = 120000)
{
	uint32_t taken = 0, answered = 0;
	struct wire wire;

	open_with(&wire, VSOCK_ALL);
	for (; taken < REPLIES_MAX; taken++) {
		struct virtio_vsock_hdr header = header_of(&wire, VIRTIO_VSOCK_OP_RW, DEAF_PORT);

		if (!send_raw(&wire, &header, NULL, 0, SILENCE_MS))
			break;
	}
	check(taken < REPLIES_MAX, "%u packets were taken while no reply was read", taken);
	/* The last one is still in the ring. */
	offer_all(&wire);
	while (answered < taken + 1 && receive(&wire, ANSWER_MS))
		answered++;
	check(answered == taken + 1, "%u of %u packets were answered", answered, taken + 1);
}

TEST(vsock_credit, "AVP-VSOCK-007", VSOCK)
{
	uint32_t port = echo_port(), got = 0;
	const struct virtio_vsock_hdr *answer;
	uint8_t *data = pages_get(PAGE_SIZE);
	struct virtio_vsock_hdr header;
	struct wire wire;

	open_with(&wire, VSOCK_ALL);
	offer_all(&wire);
	header = header_of(&wire, VIRTIO_VSOCK_OP_REQUEST, port);
	header.buf_alloc = 100;
	send_header(&wire, &header);
	expect(&wire, VIRTIO_VSOCK_OP_RESPONSE, "REQUEST to the echo");
	header.op = VIRTIO_VSOCK_OP_RW;
	header.len = 300;
	check(send_raw(&wire, &header, data, 300, ANSWER_MS), "300 bytes were not taken");
	while (got < 100 && (answer = receive_other(&wire, ANSWER_MS)))
		got += answer->len;
	check(got == 100, "%u bytes came, with room for 100", got);
	answer = receive_other(&wire, SILENCE_MS);
	check(!answer, "%u bytes came without room for any", answer ? answer->len : 0);
	header.op = VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	header.len = 0;
	header.fwd_cnt = 100;
	send_header(&wire, &header);
	while (got < 200 && (answer = receive_other(&wire, ANSWER_MS)))
		got += answer->len;
	check(got == 200, "%u bytes came, with room for 200", got);
	check(!receive_other(&wire, SILENCE_MS), "bytes came without room for any");
}

TEST(vsock_credit_fields, "AVP-VSOCK-008", VSOCK)
{
	struct wire wire;
	uint32_t port = connect_echo(&wire, VSOCK_ALL, VIRTIO_VSOCK_TYPE_STREAM);
	const uint8_t *data = pages_get(PAGE_SIZE);
	uint32_t got = 0;

	send_bytes(&wire, port, data, 500, 0);
	while (got < 500) {
		const struct virtio_vsock_hdr *header = receive(&wire, ANSWER_MS);

		check(header, "%u of 500 bytes came", got);
		check(header->buf_alloc > 0, "buf_alloc is 0 in operation %u", header->op);
		check(header->fwd_cnt <= 500, "fwd_cnt is %u after 500 bytes", header->fwd_cnt);
		got += header->len;
	}
}

TEST(vsock_credit_request, "AVP-VSOCK-009", VSOCK)
{
	struct wire wire;
	uint32_t port = connect_echo(&wire, VSOCK_ALL, VIRTIO_VSOCK_TYPE_STREAM);

	send_op(&wire, VIRTIO_VSOCK_OP_CREDIT_REQUEST, port);
	expect(&wire, VIRTIO_VSOCK_OP_CREDIT_UPDATE, "CREDIT_REQUEST");
}

TEST(vsock_type_unknown, "AVP-VSOCK-010", VSOCK)
{
	static const uint16_t types[] = {0, 3, 0xffff};
	struct wire wire;

	open_with(&wire, VSOCK_ALL);
	offer_all(&wire);
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		wire.type = types[i];
		send_op(&wire, VIRTIO_VSOCK_OP_REQUEST, DEAF_PORT);
		expect(&wire, VIRTIO_VSOCK_OP_RST, "a packet of unknown type");
	}
}

TEST(vsock_no_listener, "AVP-VSOCK-011", VSOCK)
{
	struct wire wire;

	open_with(&wire, VSOCK_ALL);
	offer_all(&wire);
	send_op(&wire, VIRTIO_VSOCK_OP_REQUEST, DEAF_PORT);
	expect(&wire, VIRTIO_VSOCK_OP_RST, "REQUEST where nobody listens");
}

TEST(vsock_shutdown, "AVP-VSOCK-012", VSOCK)
{
	struct wire wire;
	uint32_t port = connect_echo(&wire, VSOCK_ALL, VIRTIO_VSOCK_TYPE_STREAM);
	struct virtio_vsock_hdr header = header_of(&wire, VIRTIO_VSOCK_OP_SHUTDOWN, port);
	const struct virtio_vsock_hdr *answer;

	header.flags = SHUTDOWN_BOTH;
	send_header(&wire, &header);
	do
		answer = receive(&wire, ANSWER_MS);
	while (answer && answer->op != VIRTIO_VSOCK_OP_RST);
	check(answer, "SHUTDOWN of both directions was not answered with RST");
}

static uint8_t byte_at(uint32_t place)
{
	return (uint8_t)(place * 31 + (place >> 8) * 17);
}

#define DATA_BYTES 65536u

TEST(vsock_stream_data, "AVP-VSOCK-013", VSOCK, .limit_ms = 30000)
{
	struct wire wire;
	uint32_t port = connect_echo(&wire, VSOCK_ALL, VIRTIO_VSOCK_TYPE_STREAM);
	uint8_t *data = pages_get(PAGE_SIZE);

	for (uint32_t sent = 0, size = 1; sent < DATA_BYTES; sent += size) {
		size = 1 + sent * 7 % 3000;
		for (uint32_t i = 0; i < size; i++)
			data[i] = byte_at(sent + i);
		send_bytes(&wire, port, data, size, 0);
		while (wire.received < sent + size) {
			const struct virtio_vsock_hdr *header = receive_other(&wire, ANSWER_MS);
			const uint8_t *bytes = (const uint8_t *)(header + 1);

			check(header && header->op == VIRTIO_VSOCK_OP_RW,
			      "after %u bytes nothing comes back", wire.received);
			for (uint32_t i = 0; i < header->len; i++)
				check(bytes[i] == byte_at(wire.received + i), "byte %u is wrong",
				      wire.received + i);
			wire.received += header->len;
		}
	}
}

TEST(vsock_length, "AVP-VSOCK-014", VSOCK)
{
	struct wire wire;
	uint32_t port = connect_echo(&wire, VSOCK_ALL, VIRTIO_VSOCK_TYPE_STREAM);
	struct virtio_vsock_hdr header = header_of(&wire, VIRTIO_VSOCK_OP_RW, port);
	const struct virtio_vsock_hdr *answer;

	header.len = 3;
	check(send_raw(&wire, &header, "onetwo", 6, ANSWER_MS), "a packet was not taken");
	answer = expect(&wire, VIRTIO_VSOCK_OP_RW, "three bytes");
	check(answer->len == 3 && !memcmp(answer + 1, "one", 3), "%u bytes came back for 3",
	      answer->len);
	answer = receive_other(&wire, SILENCE_MS);
	check(!answer, "%u more bytes came back", answer ? answer->len : 0);
}

TEST(vsock_seqpacket, "AVP-VSOCK-015", VSOCK, .limit_ms = 20000)
{
	static const struct {
		uint32_t size, flags;
	} parts[] = {
		{10, VIRTIO_VSOCK_SEQ_EOM},
		{2000, 0},
		{1, VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR},
		{3, VIRTIO_VSOCK_SEQ_EOM},
	};
	struct device *device = device_find(VIRTIO_ID_VSOCK, TRANSPORT_ANY);
	const uint8_t *data = pages_get(PAGE_SIZE);
	uint32_t port, sent = 0;
	struct wire wire;

	if (!(device_offered(device) & SEQPACKET))
		skip("%s does not offer VIRTIO_VSOCK_F_SEQPACKET", device_name(device));
	port = connect_echo(&wire, VSOCK_ALL, VIRTIO_VSOCK_TYPE_SEQPACKET);
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		send_bytes(&wire, port, data, parts[i].size, parts[i].flags);
		sent += parts[i].size;
		while (wire.received < sent) {
			const struct virtio_vsock_hdr *header = receive_other(&wire, ANSWER_MS);
			uint32_t flags;

			check(header && header->op == VIRTIO_VSOCK_OP_RW,
			      "after %u bytes nothing comes back", wire.received);
			wire.received += header->len;
			flags = wire.received == sent ? parts[i].flags : 0;
			check(header->flags == flags, "after %u bytes the flags are %u, and not %u",
			      wire.received, header->flags, flags);
		}
	}
}

TEST(vsock_source_checked, "AVP-VSOCK-016", VSOCK, .limit_ms = 20000)
{
	uint32_t port = echo_port();
	struct wire wire;
	uint64_t sources[] = {0, 1, HOST, 0, UINT32_MAX};

	open_with(&wire, VSOCK_ALL);
	offer_all(&wire);
	sources[3] = wire.cid + 1;
	for (unsigned int i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct virtio_vsock_hdr header = header_of(&wire, VIRTIO_VSOCK_OP_REQUEST, port);
		uint32_t written;
		uintptr_t token;

		header.src_cid = sources[i];
		send_header(&wire, &header);
		token = (uintptr_t)queue_wait(wire.rx, &written, SILENCE_MS);
		if (!token)
			continue;
		memcpy(&header, wire.buffers + (token - 1) * BUFFER_SIZE, HEADER);
		check(header.op == VIRTIO_VSOCK_OP_RST,
		      "a packet of context id %lu was answered with operation %u", sources[i],
		      header.op);
		offer(&wire, token - 1);
		queue_kick(wire.rx);
	}
}

TEST(vsock_packet_malformed, "AVP-VSOCK-017", VSOCK, .limit_ms = 30000)
{
	struct wire wire;

	for (unsigned int i = 0; i < 4; i++) {
		static const uint32_t sizes[] = {1, HEADER - 1, HEADER, HEADER + 10};
		struct virtio_vsock_hdr header;
		struct driver_buffer buffer;
		uint32_t written;

		open_with(&wire, VSOCK_ALL);
		offer_all(&wire);
		header = header_of(&wire, VIRTIO_VSOCK_OP_RW, DEAF_PORT);
		header.len = 11;
		memcpy(wire.packet, &header, HEADER);
		buffer = buffer_of(wire.packet, sizes[i]);
		/* It may be taken, or be the last one before a reset. */
		queue_do(wire.tx, &buffer, 1, 0, &written, SILENCE_MS);
		open_with(&wire, VSOCK_ALL);
		offer_all(&wire);
		send_op(&wire, VIRTIO_VSOCK_OP_REQUEST, DEAF_PORT);
		expect(&wire, VIRTIO_VSOCK_OP_RST, "after a malformed packet and a reset: REQUEST");
	}
}

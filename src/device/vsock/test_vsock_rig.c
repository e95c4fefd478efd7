// SPDX-License-Identifier: BSD-3-Clause
/* See test_vsock_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "device/vsock/test_vsock_rig.h"

static struct vsock_rig *fixture_of(struct vsock_host *host)
{
	return (struct vsock_rig *)host; /* its first member */
}

static void host_called(struct vsock_host *host, struct vsock_connection *connection)
{
	struct vsock_rig *f = fixture_of(host);

	f->called++;
	f->last = connection;
	if (!f->holds)
		vsock_device_answer(&f->vsock, connection, !f->refuses);
}

static void host_accepted(struct vsock_host *host, struct vsock_connection *connection)
{
	fixture_of(host)->accepted++;
}

static size_t host_write(struct vsock_host *host, struct vsock_connection *connection,
			 const struct virtio_segment *segments, uint32_t count)
{
	struct vsock_rig *f = fixture_of(host);
	size_t done = 0;

	assert_true(count > 0);
	if (f->fails) {
		vsock_device_ended(&f->vsock, connection, VIRTIO_VSOCK_SHUTDOWN_RCV);
		return 0;
	}
	for (uint32_t i = 0; i < count && f->room > 0; i++) {
		size_t length = segments[i].length < f->room ? segments[i].length : f->room;

		assert_true(f->output_length + length <= sizeof(f->output));
		memcpy(f->output + f->output_length, segments[i].base, length);
		f->output_length += length;
		f->room -= length;
		done += length;
	}
	return done;
}

static size_t host_read(struct vsock_host *host, struct vsock_connection *connection,
			const struct virtio_segment *segments, uint32_t count)
{
	struct vsock_rig *f = fixture_of(host);
	size_t done = 0;

	assert_true(count > 0);
	for (uint32_t i = 0; i < count && f->input_length > 0; i++) {
		size_t length = segments[i].length < f->input_length ? segments[i].length :
								       f->input_length;

		memcpy(segments[i].base, f->input, length);
		memmove(f->input, f->input + length, f->input_length - length);
		f->input_length -= length;
		done += length;
	}
	if (done == 0 && f->input_ended)
		vsock_device_ended(&f->vsock, connection, VIRTIO_VSOCK_SHUTDOWN_SEND);
	return done;
}

static void host_shut(struct vsock_host *host, struct vsock_connection *connection)
{
	fixture_of(host)->shut++;
}

static void host_close(struct vsock_host *host, struct vsock_connection *connection)
{
	fixture_of(host)->closed++;
}

static void host_discard(struct vsock_host *host, struct vsock_memory *memory)
{
	fixture_of(host)->discarded++;
}

static enum vsock_forwarded host_forward(struct vsock_host *host,
					 const struct virtio_vsock_hdr *header,
					 struct virtio_request *request)
{
	struct vsock_rig *f = fixture_of(host);

	f->forward_calls++;
	if (f->forwards != VSOCK_FORWARDED)
		return f->forwards;
	f->forwarded = *header;
	assert_true(header->len <= sizeof(f->forwarded_bytes));
	assert_int_equal(request_read(request, f->forwarded_bytes, header->len), header->len);
	return VSOCK_FORWARDED;
}

static void host_wanted(struct vsock_host *host)
{
	fixture_of(host)->wanted++;
}

static const struct vsock_host_ops host_ops = {
	.called = host_called,
	.accepted = host_accepted,
	.write = host_write,
	.read = host_read,
	.shut = host_shut,
	.close = host_close,
	.discard = host_discard,
	.forward = host_forward,
	.wanted = host_wanted,
};

struct vsock_rig *vsock_rig_make(void)
{
	const struct vsock_settings settings = {.guest_cid = CID, .echo_port = 7};
	struct vsock_rig *f = calloc(1, sizeof(*f));

	f->memory = calloc(VSOCK_CONNECTIONS_MAX, sizeof(*f->memory));
	f->host.ops = &host_ops;
	f->room = SIZE_MAX;
	vsock_device_init(&f->vsock, &settings, &f->host, f->memory);
	return f;
}

struct vsock_rig *vsock_rig_boot(uint64_t features)
{
	struct vsock_rig *f = vsock_rig_make();

	device_rig_start(&f->rig, &f->vsock.device, features, 256);
	return f;
}

void vsock_rig_end(struct vsock_rig *f)
{
	device_rig_stop(&f->rig);
	/* Each connection that the host side has heard of is closed. */
	assert_int_equal(f->vsock.device.status, 0);
	free(f->memory);
	free(f);
}

/* The driver */

void vsock_rig_add_buffers(struct vsock_rig *f, unsigned int count)
{
	/* In pieces, or as the ring has room for them. */
	for (unsigned int i = 0; i < count; i++)
		device_rig_add(&f->rig, RX, NULL, 0, RX_BUFFER, count > 80 ? RX_BUFFER : 1500);
	device_rig_kick(&f->rig, RX);
}

struct virtio_vsock_hdr vsock_rig_packet(uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	return (struct virtio_vsock_hdr){
		.src_cid = CID,
		.dst_cid = VSOCK_CID_HOST,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = GUEST_BUF,
	};
}

void vsock_rig_send(struct vsock_rig *f, const struct virtio_vsock_hdr *header, const void *data,
		    size_t length)
{
	uint8_t *bytes = malloc(HEADER + length);
	uint32_t written;

	memcpy(bytes, header, HEADER);
	if (length)
		memcpy(bytes + HEADER, data, length);
	device_rig_add(&f->rig, TX, bytes, HEADER + length, 0, 1 + HEADER + length / 3);
	device_rig_kick(&f->rig, TX);
	free(bytes);
	while (device_rig_has_used(&f->rig, TX)) {
		device_rig_take(&f->rig, TX, &written);
		assert_int_equal(written, 0);
	}
}

void vsock_rig_send_op(struct vsock_rig *f, uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	struct virtio_vsock_hdr header = vsock_rig_packet(op, guest_port, host_port);

	vsock_rig_send(f, &header, NULL, 0);
}

void vsock_rig_send_bytes(struct vsock_rig *f, const void *data, size_t length)
{
	struct virtio_vsock_hdr header = vsock_rig_packet(VIRTIO_VSOCK_OP_RW, 1000, 2000);

	header.len = (uint32_t)length;
	vsock_rig_send(f, &header, data, length);
	f->sent += (uint32_t)length;
}

/* The next packet for the driver; its bytes are behind it. */
struct virtio_vsock_hdr *vsock_rig_next(struct vsock_rig *f)
{
	struct virtio_vsock_hdr *header;
	uint32_t written;

	if (!device_rig_has_used(&f->rig, RX))
		return NULL;
	header = device_rig_at(&f->rig, device_rig_take(&f->rig, RX, &written));
	assert_int_equal(written, HEADER + header->len);
	assert_int_equal(header->dst_cid, CID);
	return header;
}

void vsock_rig_expect(struct vsock_rig *f, uint16_t op)
{
	const struct virtio_vsock_hdr *got = vsock_rig_next(f);

	assert_non_null(got);
	assert_int_equal(got->op, op);
}

void vsock_rig_expect_nothing(struct vsock_rig *f)
{
	assert_null(vsock_rig_next(f));
}

void vsock_rig_connect(struct vsock_rig *f, uint32_t guest_port, uint32_t host_port)
{
	const struct virtio_vsock_hdr *got;

	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_REQUEST, guest_port, host_port);
	got = vsock_rig_next(f);
	assert_non_null(got);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(got->src_cid, VSOCK_CID_HOST);
	assert_int_equal(got->src_port, host_port);
	assert_int_equal(got->dst_port, guest_port);
	assert_int_equal(got->buf_alloc, VSOCK_WINDOW);
	assert_int_equal(got->fwd_cnt, 0);
}

struct vsock_rig *vsock_rig_connected(void)
{
	struct vsock_rig *f = vsock_rig_boot(ALL);

	vsock_rig_add_buffers(f, 100);
	vsock_rig_connect(f, 1000, 2000);
	return f;
}

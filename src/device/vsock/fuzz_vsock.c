// SPDX-License-Identifier: BSD-3-Clause
/* Hostile rings and packets, and a host side that does what the input says, against the device. */
#include <stdlib.h>
#include <string.h>

#include "device/vsock/vsock.h"
#include "fuzz/hostile_driver.h"

#define CID 3

struct host {
	struct vsock_host host;
	bool open[VSOCK_CONNECTIONS_MAX]; /* the host side has that connection */
	uint8_t mood;			  /* how much it takes and gives */
};

static unsigned int index_of(const struct vsock_host *host,
			     const struct vsock_connection *connection)
{
	return (unsigned int)(connection - host->vsock->connections);
}

static void called(struct vsock_host *host, struct vsock_connection *connection)
{
	struct host *own = (struct host *)host; /* its first member */

	PROMISE(!own->open[index_of(host, connection)]);
	own->open[index_of(host, connection)] = true;
	if (own->mood & 1)
		vsock_device_answer(host->vsock, connection, true);
	else if (own->mood & 2) {
		own->open[index_of(host, connection)] = false;
		vsock_device_answer(host->vsock, connection, false);
	}
}

static void is_open(struct vsock_host *host, struct vsock_connection *connection)
{
	PROMISE(((struct host *)host)->open[index_of(host, connection)]);
}

static size_t total(const struct virtio_segment *segments, uint32_t count)
{
	size_t bytes = 0;

	PROMISE(count > 0);
	for (uint32_t i = 0; i < count; i++) {
		PROMISE(segments[i].length > 0);
		bytes += segments[i].length;
	}
	return bytes;
}

static size_t write_some(struct vsock_host *host, struct vsock_connection *connection,
			 const struct virtio_segment *segments, uint32_t count)
{
	uint8_t mood = ((struct host *)host)->mood;

	is_open(host, connection);
	PROMISE(!(connection->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV));
	if (mood & 4)
		return total(segments, count);
	if ((mood & 0x18) == 0x18) {
		vsock_device_ended(host->vsock, connection,
				   mood & 0x20 ? VSOCK_SHUTDOWN_BOTH : VIRTIO_VSOCK_SHUTDOWN_RCV);
		return 0;
	}
	return total(segments, count) / 2;
}

static size_t read_some(struct vsock_host *host, struct vsock_connection *connection,
			const struct virtio_segment *segments, uint32_t count)
{
	uint8_t mood = ((struct host *)host)->mood;

	is_open(host, connection);
	PROMISE(!(connection->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND));
	if (mood & 0x40)
		return total(segments, count);
	if (mood & 0x80)
		vsock_device_ended(host->vsock, connection, VIRTIO_VSOCK_SHUTDOWN_SEND);
	return 0;
}

static void close_one(struct vsock_host *host, struct vsock_connection *connection)
{
	is_open(host, connection);
	((struct host *)host)->open[index_of(host, connection)] = false;
}

static void discard(struct vsock_host *host, struct vsock_memory *memory)
{
}

static enum vsock_forwarded forward(struct vsock_host *host, const struct virtio_vsock_hdr *header,
				    struct virtio_request *request)
{
	PROMISE(header->src_cid == CID && vsock_cid_is_valid(header->dst_cid));
	PROMISE(header->dst_cid != CID && header->len <= request->readable.left);
	return (enum vsock_forwarded)(((struct host *)host)->mood % 3);
}

static void wanted(struct vsock_host *host)
{
}

static const struct vsock_host_ops ops = {
	.called = called,
	.accepted = is_open,
	.write = write_some,
	.read = read_some,
	.shut = is_open,
	.close = close_one,
	.discard = discard,
	.forward = forward,
	.wanted = wanted,
};

static void happening(struct hostile_driver *driver, uint8_t what)
{
	struct host *host = driver->context;
	struct vsock_device *vsock = host->host.vsock;
	struct virtio_vsock_hdr header = {.src_cid = 4, .dst_cid = CID, .len = 100};
	uint8_t bytes[100] = {0};
	const struct virtio_segment segments[2] = {{bytes, 30}, {bytes + 30, 70}};
	struct vsock_connection *connection;
	uint32_t done = 0;

	host->mood = hostile_byte(driver);
	connection = &vsock->connections[hostile_byte(driver) % 4];
	if (what % 8 == 0) {
		connection = vsock_device_call(vsock, host->mood);
		if (connection)
			host->open[connection - vsock->connections] = true;
	} else if (what % 8 == 1) {
		vsock_device_deliver(vsock, &header, segments, &done);
		vsock_device_delivered(vsock);
		PROMISE(done <= header.len);
	} else if (what % 8 == 2) {
		vsock_device_lost(vsock);
	} else if (what % 8 == 3) {
		vsock_device_resume(vsock);
	} else if (host->open[connection - vsock->connections]) {
		switch (what % 8) {
		case 4:
			if (connection->state != VSOCK_CALLED)
				vsock_device_readable(vsock, connection);
			break;
		case 5:
			if (connection->state != VSOCK_CALLED)
				vsock_device_writable(vsock, connection);
			break;
		case 6:
			vsock_device_ended(vsock, connection, host->mood & VSOCK_SHUTDOWN_BOTH);
			break;
		default:
			vsock_device_answer(vsock, connection, true);
		}
	}
	vsock_device_poll(vsock);
	PROMISE(vsock->stray_count <= VSOCK_STRAY_MAX);
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++) {
		connection = &vsock->connections[i];
		PROMISE(connection->state == VSOCK_FREE ||
			connection->received - connection->taken <= VSOCK_WINDOW);
		PROMISE(host->open[i] == (connection->state != VSOCK_FREE && connection->has_host));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vsock_settings settings = {.guest_cid = CID, .echo_port = 7};
	struct host host = {.host.ops = &ops, .mood = 5};
	struct hostile_driver driver = {.happening = happening, .context = &host};
	static struct vsock_device vsock;
	static struct vsock_memory *memory;

	if (!memory)
		memory = calloc(VSOCK_CONNECTIONS_MAX, sizeof(*memory));
	vsock_device_init(&vsock, &settings, &host.host, memory);
	hostile_driver_run(&driver, &vsock.device, data, size);
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++)
		PROMISE(!host.open[i]);
	return 0;
}

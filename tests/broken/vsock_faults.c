// SPDX-License-Identifier: BSD-3-Clause
/* Faults of socket devices (VIRTIO 1.4, 5.10). */
#include <errno.h>
#include <string.h>

#include "broken/fault.h"
#include "device/vsock/vsock.h"
#include "virtio/container_of.h"
#include "virtio/feature.h"

#define HEADER sizeof(struct virtio_vsock_hdr)

static struct vsock_device *vsock_of(const struct virtqueue *queue)
{
	return container_of(queue->device, struct vsock_device, device);
}

/* Before the device is served */

static void take_hosts_cid(struct virtio_device *device)
{
	container_of(device, struct vsock_device, device)->config.guest_cid = VSOCK_CID_HOST;
}

/* What it does with its queues */

static void handle_with_rx(struct virtio_device *device, struct virtqueue *queue)
{
	if (queue->index != VIRTIO_VSOCK_QUEUE_TX ||
	    virtqueue_has_request(&device->queues[VIRTIO_VSOCK_QUEUE_RX]))
		fault_real_handle(device, queue);
}

static void handle_and_forget(struct virtio_device *device, struct virtqueue *queue)
{
	fault_real_handle(device, queue);
	vsock_of(queue)->stray_count = 0;
}

/* Packets for the driver: a change of the header, which is written in one piece. */

#define CHANGED(name, change)                                                                 \
	static size_t name(struct virtio_request *request, const void *buffer, size_t length) \
	{                                                                                     \
		struct virtio_vsock_hdr header;                                               \
                                                                                              \
		if (length != HEADER)                                                         \
			return __real_request_write(request, buffer, length);                 \
		memcpy(&header, buffer, HEADER);                                              \
		change;                                                                       \
		return __real_request_write(request, &header, HEADER);                        \
	}

/* An operation that is answered by another one. */
#define INSTEAD(from, to)                                 \
	do {                                              \
		if (header.op == VIRTIO_VSOCK_OP_##from)  \
			header.op = VIRTIO_VSOCK_OP_##to; \
	} while (0)

CHANGED(refuse_calls, INSTEAD(RESPONSE, RST))
CHANGED(announce_nothing, header.buf_alloc = 0)
CHANGED(answer_credit_by_nothing, INSTEAD(CREDIT_UPDATE, CREDIT_REQUEST))
CHANGED(accept_all, INSTEAD(RST, RESPONSE))
CHANGED(end_without_rst, INSTEAD(RST, CREDIT_UPDATE))
CHANGED(forget_marks, header.flags = 0)

/* Packets of the driver: a change in its memory. */

static struct virtio_vsock_hdr *header_in(const struct virtqueue *queue,
					  const struct virtio_request *request)
{
	return queue->index == VIRTIO_VSOCK_QUEUE_TX && request->readable.count > 0 &&
			       request->segments[0].length >= HEADER ?
		       request->segments[0].base :
		       NULL;
}

static int take_with_credit(struct virtqueue *queue, struct virtio_request *request)
{
	int result = fault_real_format(queue)->take(queue, request);
	struct virtio_vsock_hdr *header = result < 0 ? NULL : header_in(queue, request);

	if (header)
		header->buf_alloc = VSOCK_WINDOW;
	return result;
}

static int take_all_bytes(struct virtqueue *queue, struct virtio_request *request)
{
	int result = fault_real_format(queue)->take(queue, request);
	struct virtio_vsock_hdr *header = result < 0 ? NULL : header_in(queue, request);

	if (header && header->op == VIRTIO_VSOCK_OP_RW)
		header->len = (uint32_t)(request->readable.left - HEADER);
	return result;
}

static int take_any_source(struct virtqueue *queue, struct virtio_request *request)
{
	int result = fault_real_format(queue)->take(queue, request);
	struct virtio_vsock_hdr *header = result < 0 ? NULL : header_in(queue, request);

	if (header)
		header->src_cid = vsock_of(queue)->config.guest_cid;
	return result;
}

static int take_until_malformed(struct virtqueue *queue, struct virtio_request *request)
{
	static bool stopped;
	int result = stopped ? -EAGAIN : fault_real_format(queue)->take(queue, request);

	if (result >= 0 && queue->index == VIRTIO_VSOCK_QUEUE_TX && request->readable.left < HEADER)
		stopped = true;
	return result;
}

static int take_changed(struct virtqueue *queue, struct virtio_request *request)
{
	int result = fault_real_format(queue)->take(queue, request);
	struct virtio_vsock_hdr *header = result < 0 ? NULL : header_in(queue, request);

	if (header && header->op == VIRTIO_VSOCK_OP_RW && header->len > 100 &&
	    request->segments[0].length > HEADER + 100)
		((uint8_t *)(header + 1))[100] ^= 1;
	return result;
}

const struct fault vsock_faults[] = {
	{"vsock-refuses", "all calls are refused", "vsock_stream_implied", "AVP-VSOCK-003",
	 .device = "vsock", .write = refuse_calls},
	{"vsock-cid", "the guest has the context id of the host", "vsock_cid", "AVP-VSOCK-004",
	 .device = "vsock", .serve = take_hosts_cid},
	{"vsock-tx-waits", "no packet is taken without a receive buffer", "vsock_tx_while_rx_full",
	 "AVP-VSOCK-005", .device = "vsock", .handle = handle_with_rx},
	{"vsock-replies-lost", "replies without a receive buffer are lost", "vsock_backlog_bounded",
	 "AVP-VSOCK-006", .device = "vsock", .handle = handle_and_forget},
	{"vsock-no-credit", "the credit of the guest is ignored", "vsock_credit", "AVP-VSOCK-007",
	 .device = "vsock", .take = take_with_credit},
	{"vsock-announces-nothing", "buf_alloc is 0", "vsock_credit_fields", "AVP-VSOCK-008",
	 .device = "vsock", .write = announce_nothing},
	{"vsock-credit-request", "CREDIT_REQUEST is not answered", "vsock_credit_request",
	 "AVP-VSOCK-009", .device = "vsock", .write = answer_credit_by_nothing},
	{"vsock-accepts-all", "what has to be refused is accepted", "vsock_type_unknown",
	 "AVP-VSOCK-010", .device = "vsock", .write = accept_all},
	{"vsock-accepts-all", "what has to be refused is accepted", "vsock_no_listener",
	 "AVP-VSOCK-011", .further = true, .device = "vsock", .write = accept_all},
	{"vsock-no-rst", "connections end without RST", "vsock_shutdown", "AVP-VSOCK-012",
	 .device = "vsock", .write = end_without_rst},
	{"vsock-bytes", "a byte is wrong", "vsock_stream_data", "AVP-VSOCK-013", .device = "vsock",
	 .take = take_changed},
	{"vsock-length", "all bytes of the buffers are taken", "vsock_length", "AVP-VSOCK-014",
	 .device = "vsock", .take = take_all_bytes},
	{"vsock-marks", "ends of messages are lost", "vsock_seqpacket", "AVP-VSOCK-015",
	 .device = "vsock", .write = forget_marks},
	{"vsock-source", "any source is accepted", "vsock_source_checked", "AVP-VSOCK-016",
	 .device = "vsock", .take = take_any_source},
	{"vsock-malformed", "a short packet stops the device for good", "vsock_packet_malformed",
	 "AVP-VSOCK-017", .device = "vsock", .take = take_until_malformed},
	{.name = NULL},
};

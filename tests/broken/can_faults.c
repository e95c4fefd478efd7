// SPDX-License-Identifier: BSD-3-Clause
/* Faults of CAN devices (VIRTIO 1.4, 5.20). */
#include "broken/fault.h"
#include "virtio/feature.h"

static struct can_device *to_can(struct virtio_device *device)
{
	return (struct can_device *)device;
}

static struct can_device *can_of(const struct virtio_request *request)
{
	return to_can(request->queue->device);
}

/* Results */

static size_t write_ok(struct virtio_request *request, const void *buffer, size_t length)
{
	const uint8_t ok = VIRTIO_CAN_RESULT_OK;

	return __real_request_write(request, length == 1 ? &ok : buffer, length);
}

static size_t write_ok_off(struct virtio_request *request, const void *buffer, size_t length)
{
	bool off = can_of(request)->config.status == VIRTIO_CAN_S_CTRL_BUSOFF;

	return off ? write_ok(request, buffer, length) :
		     __real_request_write(request, buffer, length);
}

/* Each third control request fails. */
static size_t write_third(struct virtio_request *request, const void *buffer, size_t length)
{
	const uint8_t not_ok = VIRTIO_CAN_RESULT_NOT_OK;
	static unsigned int count;
	bool third = request->queue->index == VIRTIO_CAN_QUEUE_CONTROL && ++count % 3 == 0;

	return __real_request_write(request, third ? &not_ok : buffer, length);
}

/* The controller */

static void start_alone(struct can_backend *backend)
{
	can_device_started(backend->can, true);
}

static void start_once(struct can_backend *backend)
{
	if (backend->can->config.status == VIRTIO_CAN_S_CTRL_BUSOFF)
		can_device_started(backend->can, false);
	else
		fault_real_can->start(backend);
}

static void stop_alone(struct can_backend *backend)
{
	can_device_stopped(backend->can);
}

/* Frames */

static bool send_cut(struct can_backend *backend, uint32_t tag, const struct can_frame *frame)
{
	struct can_frame cut = *frame;

	if (cut.length > 8)
		cut.length = 8;
	return fault_real_can->send(backend, tag, &cut);
}

static void receive_other(struct can_device *can, const struct can_frame *frame)
{
	struct can_frame other = *frame;

	other.id ^= 1;
	__real_can_device_receive(can, &other);
}

static void receive_cut_id(struct can_device *can, const struct can_frame *frame)
{
	struct can_frame cut = *frame;

	cut.id &= 0x7ff;
	cut.extended = false;
	__real_can_device_receive(can, &cut);
}

static void receive_as_classic(struct can_device *can, const struct can_frame *frame)
{
	struct can_frame classic = *frame;

	classic.fd = classic.rtr = false;
	if (classic.length > 8)
		classic.length = 8;
	__real_can_device_receive(can, &classic);
}

/* Each second frame after the next one. */
static void receive_in_pairs(struct can_device *can, const struct can_frame *frame)
{
	static struct can_frame held;
	static unsigned int count;

	if (++count % 4 == 3) {
		held = *frame;
		return;
	}
	__real_can_device_receive(can, frame);
	if (count % 4 == 0)
		__real_can_device_receive(can, &held);
}

static void receive_one(struct can_device *can, const struct can_frame *frame)
{
	if (can->backlog_count == 0)
		__real_can_device_receive(can, frame);
}

/* What the driver sees of it */

static void hide_kinds(struct virtio_device *device)
{
	device->offered &= ~(FEATURE(VIRTIO_CAN_F_CAN_CLASSIC) | FEATURE(VIRTIO_CAN_F_CAN_FD));
}

static void hide_control(struct virtio_device *device)
{
	device->queue_count = VIRTIO_CAN_QUEUE_CONTROL;
}

static int forget_late_ack(struct virtio_device *device)
{
	device->negotiated &= ~FEATURE(VIRTIO_CAN_F_LATE_TX_ACK);
	return 0;
}

static void choose_features(struct virtio_device *device, int (*chosen)(struct virtio_device *))
{
	static struct virtio_device_class class;

	class = *device->class;
	class.features_chosen = chosen;
	device->class = &class;
}

static void take_all_features(struct virtio_device *device)
{
	choose_features(device, NULL);
}

static void forget_late(struct virtio_device *device)
{
	choose_features(device, forget_late_ack);
}

static void hide_status(struct virtio_device *device)
{
	static const struct virtio_can_config config;

	device->config = &config;
}

const struct fault can_faults[] = {
	{"can-control-missing", "there is no Controlq", "can_found", "AVP-CAN-001", .device = "can",
	 .serve = hide_control},
	{"can-no-kind", "remote frames are offered without classic ones", "can_features",
	 "AVP-CAN-002", .device = "can", .serve = hide_kinds},
	{"can-any-features", "any choice of features is accepted", "can_features_refused",
	 "AVP-CAN-003", .device = "can", .serve = take_all_features},
	{"can-fd-cut", "an FD frame is cut to 8 bytes", "can_fd_is_real", "AVP-CAN-004",
	 .device = "can", .can_send = send_cut},
	{"can-start-alone", "START succeeds without the bus", "can_start", "AVP-CAN-006",
	 .device = "can", .can_start = start_alone},
	{"can-stop-alone", "frames are sent after they were given back", "can_stop_returns_frames",
	 "AVP-CAN-007", .device = "can", .can_stop = stop_alone},
	{"can-third-control", "each third control request fails", "can_control_order",
	 "AVP-CAN-009", .device = "can", .write = write_third},
	{"can-ids-cut", "identifiers are cut to 11 bits", "can_extended_id", "AVP-CAN-015",
	 .device = "can", .can_receive = receive_cut_id},
	{"can-other-id", "another identifier is received", "can_receive_fields", "AVP-CAN-017",
	 .device = "can", .can_receive = receive_other},
	{"can-as-classic", "FD and remote frames become classic ones", "can_receive_not_negotiated",
	 "AVP-CAN-018", .device = "can", .can_receive = receive_as_classic},
	{"broken-for-ever", "a broken device stays broken after a reset",
	 "can_receive_short_buffer", "AVP-CAN-019", .device = "can", .further = true},
	{"can-status-hidden", "the status stays 0", "can_busoff_status", "AVP-CAN-020",
	 .device = "can", .serve = hide_status},
	{"can-off-ok", "frames after bus-off are used with OK", "can_busoff_returns_frames",
	 "AVP-CAN-021", .device = "can", .write = write_ok_off},
	{"can-off-ok", "frames after bus-off are used with OK", "can_busoff_stays", "AVP-CAN-023",
	 .device = "can", .further = true},
	{"can-early", "a frame is used with OK as soon as it is taken", "can_late_ack",
	 "AVP-CAN-016", .device = "can", .serve = forget_late},
	{"can-start-once", "START fails after bus-off", "can_busoff_recovery", "AVP-CAN-022",
	 .device = "can", .can_start = start_once},
	{"can-swapped", "received frames are swapped", "can_order", "AVP-CAN-024", .device = "can",
	 .can_receive = receive_in_pairs},
	{"can-backlog", "one received frame is kept", "can_receive_backlog", "AVP-CAN-025",
	 .device = "can", .can_receive = receive_one},

	{"can-ok", "each result is OK", "can_stopped_at_reset", "AVP-CAN-005", .device = "can",
	 .write = write_ok},
	{"can-ok", "each result is OK", "can_no_send_stopped", "AVP-CAN-008", .device = "can",
	 .further = true},
	{"can-ok", "each result is OK", "can_control_unknown", "AVP-CAN-010", .device = "can",
	 .further = true},
	{"can-ok", "each result is OK", "can_type_not_negotiated", "AVP-CAN-011", .device = "can",
	 .further = true},
	{"can-ok", "each result is OK", "can_flags_undefined", "AVP-CAN-012", .device = "can",
	 .further = true},
	{"can-ok", "each result is OK", "can_id_range", "AVP-CAN-013", .device = "can",
	 .further = true},
	{"can-ok", "each result is OK", "can_length_range", "AVP-CAN-014", .device = "can",
	 .further = true},
	{"can-ok", "each result is OK", "can_request_malformed", "AVP-CAN-028", .device = "can",
	 .further = true},
	{.name = NULL},
};

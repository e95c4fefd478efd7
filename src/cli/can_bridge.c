// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp can bridge`: a client of the bus that passes frames to an interface of SocketCAN and back.
 * See Documentation/networking/can.rst of Linux.
 */
#include "cli/can.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "service/can_bus/frame.h"

/* Frames of the interface before other work. */
#define BATCH 64

struct bridge_options {
	bool brs;
};

static const struct option_row bridge_option_rows[] = {
	{
		.name = "brs",
		.type = OPTION_FLAG,
		.offset = offsetof(struct bridge_options, brs),
		.help = "FD frames to the interface switch the bit rate (BRS)",
	},
	{.name = NULL},
};

struct bridge {
	const struct bridge_options *options;
	struct can_session session;
	struct event_watch interface;
	uint64_t to_interface, lost_to_interface; /* frames */
	uint64_t lost_to_bus; /* those that it had no time for; see the session */
	struct log_limit complaints;
};

/* From the bus to the interface */

static void handle_received(struct can_session *session, const struct can_bus_received *message)
{
	struct bridge *bridge = session->context;
	const struct can_bus_frame *from = &message->frame;
	bool fd = from->flags & CAN_BUS_FD;
	struct canfd_frame to = {
		.can_id = from->id | (from->flags & CAN_BUS_EXTENDED ? CAN_EFF_FLAG : 0) |
			  (from->flags & CAN_BUS_RTR ? CAN_RTR_FLAG : 0),
		.len = from->length,
		.flags = fd && bridge->options->brs ? CANFD_BRS : 0,
	};

	memcpy(to.data, from->data, sizeof(to.data));
	if (send(bridge->interface.source.fd, &to, fd ? CANFD_MTU : CAN_MTU, MSG_DONTWAIT) >= 0) {
		bridge->to_interface++;
		return;
	}
	bridge->lost_to_interface++;
	if (log_limit_allow(&bridge->complaints, NULL))
		log_warning("a frame is lost on its way to the interface: %s", strerror(errno));
}

/* From the interface to the bus */

/* False: it is not a frame that the bus can carry. */
static bool convert(const struct canfd_frame *from, ssize_t size, struct can_bus_frame *to)
{
	bool extended = from->can_id & CAN_EFF_FLAG, rtr = from->can_id & CAN_RTR_FLAG;

	if ((size != CAN_MTU && size != CANFD_MTU) || from->can_id & CAN_ERR_FLAG)
		return false;
	*to = (struct can_bus_frame){
		.id = from->can_id & (extended ? CAN_EFF_MASK : CAN_SFF_MASK),
		.flags = (uint8_t)((extended ? CAN_BUS_EXTENDED : 0) | (rtr ? CAN_BUS_RTR : 0) |
				   (size == CANFD_MTU ? CAN_BUS_FD : 0)),
		.length = from->len,
	};
	if (!can_frame_exists(to))
		return false;
	memcpy(to->data, from->data, rtr ? 0 : from->len);
	return true;
}

/* The bus takes no more at present: the interface keeps what comes, as much as it has room for. */
static void watch_interface(struct bridge *bridge, bool wanted)
{
	event_watch_set(&bridge->session.loop, &bridge->interface, wanted ? EPOLLIN : 0);
}

static void handle_interface(void *context, uint32_t events)
{
	struct bridge *bridge = context;
	struct can_session *session = &bridge->session;
	struct canfd_frame from;
	struct can_bus_frame to;

	for (int i = 0; i < BATCH; i++) {
		ssize_t size;

		if (session->pending == CAN_SESSION_PENDING_MAX) {
			watch_interface(bridge, false);
			return;
		}
		size = recv(bridge->interface.source.fd, &from, sizeof(from), MSG_DONTWAIT);
		/* It went down, and may come up again. */
		if (size < 0 && errno == ENETDOWN) {
			log_warning("the interface is down");
			return;
		}
		if (size < 0 && errno != EAGAIN && errno != EINTR)
			can_session_end(session,
					error_set_errno(session->error, errno, "the interface"));
		if (size < 0)
			return;
		if (convert(&from, size, &to) && !can_session_send(session, 0, &to))
			bridge->lost_to_bus++;
	}
}

static void handle_started(struct can_session *session)
{
	watch_interface(session->context, true);
}

static void handle_sent(struct can_session *session, uint32_t tag, bool success)
{
	watch_interface(session->context, true);
}

static const struct can_session_ops ops = {
	.started = handle_started,
	.sent = handle_sent,
	.received = handle_received,
};

static int open_interface(const char *name, struct error *error)
{
	struct sockaddr_can address = {.can_family = AF_CAN};
	cleanup_fd int fd = socket(AF_CAN, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, CAN_RAW);
	const int on = 1;

	if (fd < 0)
		return error_set_errno(error, errno, "this kernel has no SocketCAN");
	if (setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &on, sizeof(on)) < 0)
		return error_set_errno(error, errno, "%s: FD frames", name);
	/* The index 0 would be all interfaces. */
	address.can_ifindex = (int)if_nametoindex(name);
	if (!address.can_ifindex ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return error_set_usage(error,
				       "%s: %s; give an interface of `ip link show type can` or "
				       "`ip link show type vcan`",
				       name, strerror(errno));
	return take_fd(&fd);
}

static int run_bridge(const struct command_call *call, struct error *error)
{
	struct bridge bridge = {
		.options = call->options[0],
		.complaints = {.burst = 4, .interval_ms = 10000},
	};
	struct can_session *session = &bridge.session;
	cleanup_fd int fd = open_interface(call->operands[1], error);
	int result;

	if (fd < 0)
		return fd;
	bridge.interface.source = (struct event_source){fd, handle_interface, &bridge};
	result = can_join(session, call, &ops, &bridge, error);
	if (result == 0) {
		session->stays = true;
		result = can_session_run(session);
		log_info("frames to the interface %" PRIu64 ", lost %" PRIu64
			 "; to the bus %" PRIu64 ", not sent %" PRIu64,
			 bridge.to_interface, bridge.lost_to_interface, session->sent,
			 session->not_sent + session->pending + bridge.lost_to_bus);
		watch_interface(&bridge, false);
	}
	can_session_close(session);
	return result;
}

const struct command command_can_bridge = {
	.name = "bridge",
	.summary = "join a bus with an interface of SocketCAN",
	.description =
		"Passes each frame on the bus to INTERFACE, real or virtual, and each frame of that to the "
		"bus, until a signal comes. It joins the bus again when the service was started again. "
		"BRS and ESI of FD frames, and error frames, do not pass.",
	.groups =
		(const struct option_group[]){
			{"Options", bridge_option_rows, sizeof(struct bridge_options), false},
			CAN_CLIENT_GROUP,
			{NULL, NULL, 0, false},
		},
	.operands = "PATH INTERFACE",
	.operands_minimum = 2,
	.operands_maximum = 2,
	.examples =
		(const struct command_note[]){
			{"avp can bridge bus.sock vcan0", "Joins the bus and vcan0."},
			{NULL, NULL},
		},
	.run = run_bridge,
};

// SPDX-License-Identifier: BSD-3-Clause
/* What a CAN bus writes of its frames. */
#include "service/can_bus/log.h"

#include <endian.h>
#include <linux/can.h>
#include <string.h>

#include "service/can_bus/notation.h"

/* The header of a frame in a capture: the identifier is big-endian, with the flags of SocketCAN. */
struct capture_header {
	uint32_t id;
	uint8_t length, fd_flags;
	uint8_t reserved[2];
};

int can_log_open(struct can_log *log, const char *text_path, const char *capture_path,
		 const char *name, bool switched, struct error *error)
{
	int result;

	log->name = name;
	log->switched = switched;
	log->capture.file.fd = -1;
	result = record_file_open(&log->text, "log", text_path, error);
	if (result == 0)
		result = pcapng_open(&log->capture, "pcap", capture_path, error);
	if (result == 0)
		pcapng_add_interface(&log->capture, PCAPNG_CAN_SOCKETCAN, name);
	return result;
}

static void add_text(struct can_log *log, const struct can_bus_frame *frame, uint64_t time_ns)
{
	char *line = record_file_reserve(&log->text, CAN_NOTATION_LINE_SIZE);

	if (line)
		record_file_add(&log->text,
				can_notation_format_line(frame, log->switched, log->name,
							 time_ns + log->text.realtime_ns, line));
}

static void add_to_capture(struct can_log *log, const struct can_bus_frame *frame, uint64_t time_ns)
{
	struct capture_header header = {
		.id = htobe32(frame->id | (frame->flags & CAN_BUS_EXTENDED ? CAN_EFF_FLAG : 0) |
			      (frame->flags & CAN_BUS_RTR ? CAN_RTR_FLAG : 0)),
		.length = frame->length,
	};
	struct iovec parts[] = {
		{&header, sizeof(header)},
		{(void *)frame->data, frame->flags & CAN_BUS_RTR ? 0 : frame->length},
	};

	if (frame->flags & CAN_BUS_FD)
		header.fd_flags = (uint8_t)(CANFD_FDF | (log->switched ? CANFD_BRS : 0));
	pcapng_add(&log->capture, 0, time_ns, parts, 2);
}

void can_log_add(struct can_log *log, const struct can_bus_frame *frame, uint64_t time_ns)
{
	if (record_file_is_open(&log->text))
		add_text(log, frame, time_ns);
	if (record_file_is_open(&log->capture.file))
		add_to_capture(log, frame, time_ns);
}

void can_log_flush(struct can_log *log)
{
	record_file_flush(&log->text);
	record_file_flush(&log->capture.file);
}

void can_log_close(struct can_log *log)
{
	record_file_close(&log->text);
	record_file_close(&log->capture.file);
}

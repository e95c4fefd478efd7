// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a CAN bus writes of its frames: a log in the form of `candump -L`, and a capture for
 * Wireshark (LINKTYPE_CAN_SOCKETCAN).
 */
#ifndef AVP_SERVICE_CAN_BUS_LOG_H
#define AVP_SERVICE_CAN_BUS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pcapng.h"
#include "base/record_file.h"
#include "service/can_bus/protocol.h"

struct can_log {
	const char *name; /* of the bus, at most 255 bytes; the caller's */
	bool switched;	  /* FD frames switch the bit rate */
	struct record_file text;
	struct pcapng capture;
};

/* Opens the files; NULL: none. Returns 0 or a negative errno with *error set. */
int can_log_open(struct can_log *log, const char *text_path, const char *capture_path,
		 const char *name, bool switched, struct error *error);
/* A frame at @time_ns of CLOCK_MONOTONIC. */
void can_log_add(struct can_log *log, const struct can_bus_frame *frame, uint64_t time_ns);
/* Writes what was collected. */
void can_log_flush(struct can_log *log);
/* Writes, and closes the files. Only after can_log_open, which may have failed. */
void can_log_close(struct can_log *log);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The log of a CAN bus: a file in the form of `candump -L`. Lines are collected, and written when
 * there are enough of them or the bus is idle.
 */
#ifndef AVP_SERVICE_CAN_BUS_LOG_H
#define AVP_SERVICE_CAN_BUS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "service/can_bus/protocol.h"

#define CAN_LOG_SIZE 32768

struct can_log {
	int fd;		      /* -1: none */
	const char *name;     /* of the bus, at most 255 bytes; the caller's */
	bool switched;	      /* FD frames switch the bit rate */
	uint64_t realtime_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC */
	size_t length;
	char text[CAN_LOG_SIZE];
};

/* Opens the file, or, with @path NULL, none. Returns 0 or a negative errno with *error set. */
int can_log_open(struct can_log *log, const char *path, const char *name, bool switched,
		 struct error *error);
/* A frame at @time_ns of CLOCK_MONOTONIC. */
void can_log_add(struct can_log *log, const struct can_bus_frame *frame, uint64_t time_ns);
/* Writes what was collected. What cannot be written ends the log, with a line that says so. */
void can_log_flush(struct can_log *log);
/* Writes, and closes the file. */
void can_log_close(struct can_log *log);

#endif

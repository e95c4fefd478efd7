// SPDX-License-Identifier: BSD-3-Clause
/* The log of a CAN bus. */
#include "service/can_bus/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/option_path.h"
#include "service/can_bus/notation.h"

#define SECOND_NS UINT64_C(1000000000)

/* The longest line: time, name, frame, newline. */
#define LINE_SIZE (40 + 255 + CAN_NOTATION_SIZE + 1)

int can_log_open(struct can_log *log, const char *path, const char *name, bool switched,
		 struct error *error)
{
	log->name = name;
	log->switched = switched;
	log->length = 0;
	log->realtime_ns = clock_read_ns(CLOCK_REALTIME) - clock_now_ns();
	log->fd = path ? path_open_appended("log", path, error) : -1;
	return path && log->fd < 0 ? log->fd : 0;
}

void can_log_flush(struct can_log *log)
{
	size_t done = 0;

	while (log->fd >= 0 && done < log->length) {
		ssize_t written = write(log->fd, log->text + done, log->length - done);

		if (written >= 0) {
			done += (size_t)written;
		} else if (errno != EINTR) {
			log_error("the log of the bus ends: %s", strerror(errno));
			close_fd(&log->fd);
		}
	}
	log->length = 0;
}

void can_log_add(struct can_log *log, const struct can_bus_frame *frame, uint64_t time_ns)
{
	uint64_t at_ns = time_ns + log->realtime_ns;
	char text[CAN_NOTATION_SIZE];

	if (log->fd < 0)
		return;
	can_notation_format(frame, log->switched, text);
	if (sizeof(log->text) - log->length < LINE_SIZE)
		can_log_flush(log);
	log->length += (size_t)snprintf(log->text + log->length, LINE_SIZE,
					"(%010" PRIu64 ".%06" PRIu64 ") %.255s %s\n",
					at_ns / SECOND_NS, at_ns % SECOND_NS / 1000, log->name,
					text);
}

void can_log_close(struct can_log *log)
{
	can_log_flush(log);
	close_fd(&log->fd);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Writes logs as the conformance guest does, with right counts and sums.
 */
#ifndef AVP_UNIT_CONFORM_GUEST_LOG_H
#define AVP_UNIT_CONFORM_GUEST_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "conform/conform_log.h"

#define GUEST_LOG_SIZE (256u << 10)

struct guest_log {
	char text[GUEST_LOG_SIZE];
	size_t used;
	unsigned int lines, number, counts[3];
	uint32_t crc;
};

/* A test whose verdict differs from "ok": "not ok", "skip" with a message, or NULL: left out. */
struct guest_exception {
	const char *test, *verdict, *message;
};

/* Adds a line that is counted. */
void guest_log_say(struct guest_log *log, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Begins boot @number; @more is added to its first line. */
void guest_log_boot(struct guest_log *log, unsigned int number, const char *more);

/* Adds a test: @verdict is "ok", "not ok" or "skip", @message may be NULL. */
void guest_log_test(struct guest_log *log, const char *name, const char *verdict,
		    const char *message);

/* Adds the last line. */
void guest_log_end(struct guest_log *log);

/* The devices of a machine that has what profile base asks for. Ends with NULL. */
extern const char *const guest_log_devices[];

/*
 * A whole log of a guest for x86-64 with these devices in which each test of the contract is ok but
 * the exceptions, which end with one without a test (NULL: none).
 */
void guest_log_whole(struct guest_log *log, const char *const *devices,
		     const struct guest_exception *exceptions);

/* Reads it, and finishes it. */
void guest_log_read(const struct guest_log *from, struct conform_log *log);

#endif

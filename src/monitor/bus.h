// SPDX-License-Identifier: BSD-3-Clause
/*
 * A bus: which device is at an address. The monitor has one bus for memory-mapped registers and,
 * depending on the architecture, one for ports.
 *
 * The table is filled before the first vCPU runs and never changes while one runs, so it is read
 * without a lock; each device locks its own state.
 */
#ifndef AVP_MONITOR_BUS_H
#define AVP_MONITOR_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* An access of the guest. @data is of @length bytes (1 to 8), little-endian. */
struct bus_access {
	uint64_t address;
	uint32_t length;
	bool write;
	uint8_t *data;
};

/*
 * A device on a bus. @handle gets accesses with the address as offset from @start; all bytes are
 * within @size. Any vCPU's thread calls it, several at once. For a read @data is zeroed.
 */
struct bus_device {
	uint64_t start, size;
	void (*handle)(void *context, const struct bus_access *access);
	void *context;
	const char *name; /* for the log; not copied */
};

#define BUS_DEVICES_MAX 96

struct bus {
	const char *name;				   /* for the log: "port", "address" */
	const struct bus_device *devices[BUS_DEVICES_MAX]; /* sorted by start */
	size_t count;
	uint64_t unanswered; /* accesses that no device answered: counted, logged once */
};

/* Adds a device, which must outlive the bus. -EEXIST: overlaps another; -ENOSPC: no room. */
int bus_add(struct bus *bus, const struct bus_device *device, struct error *error);

/*
 * Dispatches an access to its device. Without a device, or across a device's end, a read returns
 * all ones, as on an empty bus, and a write is ignored. Any thread.
 */
void bus_access(struct bus *bus, const struct bus_access *access);

/* The value of a write; the answer to a read. Both convert the little-endian bytes. */
uint64_t bus_value(const struct bus_access *access);
void bus_answer(const struct bus_access *access, uint64_t value);

#endif

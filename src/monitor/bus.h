// SPDX-License-Identifier: BSD-3-Clause
/*
 * A bus: which device answers at an address. The monitor has one for memory-mapped registers and,
 * where the architecture has them, one for ports.
 *
 * The table is filled before the first virtual CPU runs and never changes while one does, so it is
 * read without a lock; each device guards its own state.
 */
#ifndef AVP_MONITOR_BUS_H
#define AVP_MONITOR_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What the guest does at an address. @data is of @length bytes (1 to 8), little-endian. */
struct bus_access {
	uint64_t address;
	uint32_t length;
	bool write;
	uint8_t *data;
};

/*
 * A device on a bus. @handle gets accesses with address as offset from @start, all of whose bytes
 * lie within @size, from any vCPU's thread and from several at once. A read finds @data zeroed.
 */
struct bus_device {
	uint64_t start, size;
	void (*handle)(void *context, const struct bus_access *access);
	void *context;
	const char *name; /* for the log; lives for ever */
};

#define BUS_DEVICES_MAX 64

struct bus {
	const char *name;				   /* for the log: "port", "address" */
	const struct bus_device *devices[BUS_DEVICES_MAX]; /* sorted by start */
	size_t count;
	uint64_t unanswered; /* accesses that no device answered: counted, logged once */
};

/* Adds a device, which stays the caller's. -EEXIST: overlaps another; -ENOSPC: no room. */
int bus_add(struct bus *bus, const struct bus_device *device, struct error *error);

/*
 * Hands an access to its device. One that no device answers, or that crosses a device's end, reads
 * as all ones, as on an empty bus, and a write is lost. Any thread.
 */
void bus_access(struct bus *bus, const struct bus_access *access);

/* As number, from and to the little-endian bytes of an access. */
uint64_t bus_value(const struct bus_access *access);
void bus_answer(const struct bus_access *access, uint64_t value);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device as its line in the log describes it (docs/conform-log.md): what it offers to a driver.
 */
#ifndef AVP_CONFORM_CONFORM_DEVICE_H
#define AVP_CONFORM_CONFORM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#define CONFORM_SIZES_MAX 16 /* queues whose size the guest tells */

struct conform_device {
	unsigned int number, id; /* in the log; VIRTIO device id */
	char transport[8];	 /* "mmio", "pci" */
	const char *on;		 /* of several machines: which one, else NULL */
	bool complete;		 /* the line has all of what follows */
	uint64_t features[2];	 /* bits 0 to 63, 64 to 127 */
	unsigned int queues;
	unsigned int size_count;
	uint32_t sizes[CONFORM_SIZES_MAX]; /* of the first @size_count queues */
	const char *limits;		   /* " NAME VALUE …" within the line; may be "" */
};

/*
 * Parses what follows "device " in its line; *device points into @line. False: it is not such a
 * line.
 */
bool conform_device_parse(struct conform_device *device, const char *line);

/* Whether the device offers feature @bit, 0 to 127. */
bool conform_device_offers(const struct conform_device *device, unsigned int bit);

/* Finds the value of a limit. False: the device does not tell it. */
bool conform_device_limit(const struct conform_device *device, const char *name, uint64_t *value);

#endif

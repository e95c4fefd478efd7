// SPDX-License-Identifier: BSD-3-Clause
/* How QEMU provides a type of device, as data: engine qemu makes its arguments from it. */
#ifndef AVP_DEVICE_KIT_QEMU_DEVICE_H
#define AVP_DEVICE_KIT_QEMU_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct qemu_version {
	unsigned int major, minor, micro;
};

/* One property, NAME=VALUE: the value is a text, or an option of the type. */
struct qemu_property {
	const char *name; /* QEMU's; NULL ends a list */
	const char *text; /* the value; NULL: that of @option */
	/* A number (the property is omitted unless it is more than @above) or a MAC address. */
	const char *option;
	uint64_t above;
	uint64_t factor,
		plus; /* the value is the number times @factor plus @plus; factor 0: as it is */
};

/* A virtual PCI device of VIRTIO 1: without the legacy interface. */
#define QEMU_MODERN                                    \
	{                                              \
		.name = "disable-legacy", .text = "on" \
	}

struct qemu_device {
	const char *name; /* as in -device NAME */
	struct qemu_version since;
	/*
	 * QEMU reconnects when the device process is restarted. If the device does not support
	 * that, QEMU must not try: an assertion would fail.
	 */
	bool reconnects;
	/* Before this version QEMU exits when the device has MSI-X and the CPUs are emulated. */
	struct qemu_version emulated_vectors_since;
	/*
	 * The properties of the -netdev between a network device and its socket; NULL: not a
	 * network device.
	 */
	const struct qemu_property *netdev;
	const struct qemu_property *properties; /* NULL: it has none */
};

#endif

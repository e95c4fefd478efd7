// SPDX-License-Identifier: BSD-3-Clause
/*
 * How QEMU carries a type of device, as data: what engine qemu makes its arguments from.
 */
#ifndef AVP_DEVICE_KIT_QEMU_DEVICE_H
#define AVP_DEVICE_KIT_QEMU_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct qemu_version {
	unsigned int major, minor, micro;
};

/* One property, NAME=VALUE: of a text, or of an option of the type. */
struct qemu_property {
	const char *name; /* QEMU's; NULL ends a list */
	const char *text; /* the value; NULL: that of @option */
	/*
	 * A number, without which being more than @above there is no such property; or a MAC
	 * address.
	 */
	const char *option;
	uint64_t above;
	uint64_t factor,
		plus; /* the value is the number times @factor plus @plus; factor 0: as it is */
};

/* A virtual PCI device of VIRTIO 1: what the driver of the first drafts needs is left out. */
#define QEMU_MODERN                                    \
	{                                              \
		.name = "disable-legacy", .text = "on" \
	}

struct qemu_device {
	const char *name; /* as in -device NAME */
	struct qemu_version since;
	/*
	 * QEMU connects again when the device process is restarted. Where it cannot, it must not
	 * try: it would end in a failed assertion.
	 */
	bool reconnects;
	/*
	 * Before this version QEMU ends when the device has MSI-X and the processors are emulated.
	 */
	struct qemu_version emulated_vectors_since;
	/*
	 * A network device has a -netdev between it and its socket, with these; NULL: it is not
	 * one.
	 */
	const struct qemu_property *netdev;
	const struct qemu_property *properties; /* NULL: it has none */
};

#endif

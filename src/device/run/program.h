// SPDX-License-Identifier: BSD-3-Clause
/*
 * The program of a device, libexec/avp/device-TYPE: what differs between the types, and one
 * function that runs each. A device's folder defines `const struct device_program
 * device_program_TYPE`.
 */
#ifndef AVP_DEVICE_RUN_PROGRAM_H
#define AVP_DEVICE_RUN_PROGRAM_H

#include <stddef.h>

#include "base/error.h"
#include "device/kit/device_type.h"
#include "device/run/process.h"
#include "host/host_check.h"
#include "virtio/device.h"

struct device_program {
	const struct device_type *type;
	size_t state_size; /* of the struct that the functions get as @state, zeroed at first */
	/*
	 * Opens the host side of the device and adds the rights that it needs to process->needs.
	 * @options: a struct for each group of type->program, checked by the type. Returns 0, or a
	 * negative errno with *error set; -EINTR: a signal asked it to end, which is an orderly
	 * end.
	 */
	int (*open)(struct device_process *process, void *const *options, void *state,
		    struct error *error);
	/*
	 * Makes the device, after the rights were dropped: it cannot open anything any more, but
	 * may start threads. Returns NULL with *error set when it fails.
	 */
	struct virtio_device *(*start)(struct device_process *process, void *const *options,
				       void *state, struct error *error);
	const struct host_check *host_checks; /* the checks of --check-host; or NULL */
	/* Closes what open and start have made, also after one of them failed; or NULL. */
	void (*close)(void *state);
};

/* The whole of main(). Returns the exit status. */
int device_program_main(const struct device_program *program, int argc, char **argv);

#endif

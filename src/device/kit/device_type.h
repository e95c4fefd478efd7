// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the rest of AVP knows about a type of device: a table row. `avp device TYPE`, `avp run
 * --TYPE`, the bundle's avp.devices, the monitor's data and the tables in docs/ come from it.
 */
#ifndef AVP_DEVICE_KIT_DEVICE_TYPE_H
#define AVP_DEVICE_KIT_DEVICE_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/command.h"
#include "base/error.h"
#include "base/option.h"
#include "device/kit/qemu_device.h"
#include "device/kit/serve_options.h"
#include "virtio/device_shape.h"

/* The devices of a type that a conformance run gives its guest. */
struct device_conform {
	/*
	 * The options of each device, as after --TYPE=; ends with NULL. $AVP_DISK and
	 * $AVP_READ_ONLY_DISK in them are files that the run makes, $AVP_SERVICE is the socket of
	 * @service. NULL: the guest gets no device of the type.
	 */
	const char *const *devices;
	const char *service; /* that the devices join, and the run serves; NULL: none */
	/*
	 * When the guest asks for "host ACTION", the run has the service do this: the words of
	 * `avp control`, ending with NULL. NULL: nothing.
	 */
	const char *action;
	const char *const *action_words;
	const char *words; /* for the guest's command line: what it will find; NULL: none */
};

/* A device among those of its type in one guest. */
struct device_peer {
	const char *name;
	void *options;
};

struct device_type {
	const char *name;    /* as in `avp device NAME` */
	const char *summary; /* one line for help */
	struct device_shape shape;
	const struct option_row *options;
	size_t options_size;
	/* The row whose value may stand first without a key: --block FILE,readonly. NULL: none. */
	const char *positional;
	/*
	 * Checks values against each other and the files named; NULL: nothing to check. Messages
	 * start with the name of the option that is wrong: "file: /x.img: is empty; …".
	 */
	int (*check)(const void *options, struct error *error);
	/*
	 * Completes the options of @peers[index], knowing the other devices of this type, and
	 * refuses what conflicts with those before it. All of them have passed check; @guest is the
	 * guest's name. Messages as from check. NULL: nothing to do.
	 */
	int (*complete)(const struct device_peer *peers, size_t count, size_t index,
			const char *guest, struct error *error);
	/* The option that takes the disk of an OCI bundle, vm.image.path. NULL: no such option. */
	const char *vm_image;
	/*
	 * Whether this device uses the terminal, which only one device of a guest can. NULL: none
	 * does.
	 */
	bool (*uses_terminal)(const void *options);
	struct option_row run_row; /* of --TYPE in `avp run`: its argument and help */
	const char *example_call;  /* of that option with its keys, or NULL */
	/* Options of the device in a new bundle; NULL: it has no device of this type. */
	const char *example;
	const struct qemu_device *qemu; /* NULL: no version of QEMU carries it */
	/* The type in vhost-user.json, QEMU's schema for such programs. */
	const char *vhost_user_type;
	/* Its program: see DEVICE_PROGRAM. The folder's program.c has the code. */
	struct command program;
	struct device_conform conform;
};

/* The names of the program of @type, which avp executes. */
#define DEVICE_PROGRAM(type) .name = type, .path = "avp device " type, .program = "device-" type

/*
 * The options of a device's program: the device's own, then any that only the program has, and
 * those of serving. Whether the device's own are complete is checked only when it serves a device.
 */
#define DEVICE_PROGRAM_GROUPS(room, ...)                                                     \
	(const struct option_group[])                                                        \
	{                                                                                    \
		{"Device options", room##_option_rows, sizeof(struct room##_options), true}, \
			##__VA_ARGS__,                                                       \
			{"Serving options", serve_option_rows, sizeof(struct serve_options), \
			 false},                                                             \
			{NULL, NULL, 0, false},                                              \
	}

#define DEVICE_TYPES_MAX 64

/* One for each folder that src/device/meson.build lists, in that order; ends with NULL. */
extern const struct device_type *const device_types[];
/* Their programs, in the same order. */
extern const struct command *const device_programs[];
/* Iterates over them; declares @type. */
#define for_each_device_type(type)                                                \
	for (const struct device_type *const *type##_place = device_types, *type; \
	     (type = *type##_place); type##_place++)

/*
 * Fails with one line when the table of a type is incomplete or wrong: a missing text, a name used
 * twice, an option without help, a ring without a size. The build fails then.
 */
int device_types_check(const struct device_type *const *types, struct error *error);

/* The type of that name; NULL: there is none. */
const struct device_type *device_type_find(const char *name);

#endif

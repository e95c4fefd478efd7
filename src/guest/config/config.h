// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a guest consists of: the parsed form of `avp run`'s options and of an OCI bundle, with
 * the devices that it has.
 */
#ifndef AVP_GUEST_CONFIG_CONFIG_H
#define AVP_GUEST_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"
#include "device/kit/device_type.h"

/* The value of guest_config.engine for the first engine that can run the guest. */
#define ENGINE_AUTO 0

/* Policy when a watchdog expires. auto: reset, if the machine has a watchdog. */
enum guest_watchdog {
	GUEST_WATCHDOG_AUTO,
	GUEST_WATCHDOG_NONE,
	GUEST_WATCHDOG_NOTIFY,
	GUEST_WATCHDOG_RESET,
	GUEST_WATCHDOG_STOP,
};

/* The most that guest_config.restart_limit can be. */
#define RESTART_LIMIT_MAXIMUM 100

struct policy;

struct device_config {
	const struct device_type *type;
	char *name;	    /* unique in the guest; given, or TYPE plus a number: block0 */
	uint64_t heartbeat; /* period of the process's heartbeats in ms; 0: none */
	void *options;	    /* of type->options_size bytes, described by type->options */
	char *origin; /* prefix of the device's errors: "--block: ", "FILE: avp.devices[0]." */
};

/* Prepends the origin of a device to the message of *error. */
void error_add_origin(const char *origin, struct error *error);

/* The options that every device of a guest has; they describe a struct device_config. */
extern const struct option_row device_option_rows[];

/* Descriptors behind paths of the form /dev/fd/N: guest/config/confined_file.h. */
struct pinned_files {
	int *fds; /* allocated */
	size_t count;
};

struct guest_config {
	char *name;
	bool unnamed;	/* the name is generated */
	char *kernel;	/* NULL: firmware */
	char *firmware; /* NULL: a kernel */
	char *dump_dtb; /* file that the device tree is written to, or NULL */
	char *initrd;
	char *append;	/* kernel command line */
	char *contract; /* version that it needs: guest/config/contract.h */
	uint64_t cpus;
	uint64_t memory; /* bytes */
	bool huge_pages;
	uint64_t engine;	/* index in guest_engine_choices */
	uint64_t watchdog;	/* enum guest_watchdog */
	bool timeline;		/* print how long each step of the start took */
	uint64_t stop_timeout;	/* seconds for the guest to shut down in; 0: none */
	uint64_t restart_limit; /* of device processes and the guest: restart_policy.h; 0: none */
	struct device_config *devices;
	size_t device_count;
	uint64_t kernel_format; /* enum kernel_format of guest/config/kernel_image.h */
	/* Longest command line by the kernel's header, in characters; 0: unknown. */
	uint64_t command_line_maximum;
	char *source; /* the file that this came from; NULL: the command line */
	struct pinned_files pinned;
	const struct policy *policy; /* that the guest is under; NULL: the default */
	uint32_t overridden; /* bits by index in guest_option_rows: given on the command line */
};

/*
 * "auto", and the name of each engine in the order of engines (guest/engine/engine.h); ends with
 * NULL.
 */
extern const char *const guest_engine_choices[];

/* The words for enum machine_watchdog, and for enum guest_watchdog; they end with NULL. */
extern const char *const watchdog_policies[], *const guest_watchdog_choices[];

/* The options of a guest itself; they describe a struct guest_config. */
extern const struct option_row guest_option_rows[];

/*
 * The limits of the most capable engine; each engine has its own in struct engine_machine. Linux
 * copies COMMAND_LINE_SIZE characters of its command line, the zero included
 * (arch/x86/include/asm/setup.h, arch/arm64/include/uapi/asm/setup.h); a longer one makes a bzImage
 * hang silently.
 */
#define GUEST_DEVICES_MAXIMUM	   24
#define GUEST_CPUS_MAXIMUM	   32
#define GUEST_MEMORY_MINIMUM	   (UINT64_C(32) << 20)
#define GUEST_MEMORY_MAXIMUM	   (UINT64_C(1) << 40)
#define GUEST_COMMAND_LINE_MAXIMUM 2047

/* Sets the defaults; *config is overwritten. */
int guest_config_init(struct guest_config *config, struct error *error);

/* Frees everything that *config owns and clears it. */
void guest_config_clear(struct guest_config *config);
#define cleanup_guest_config __attribute__((cleanup(guest_config_clear)))

/*
 * Appends a device of @type with its default options. @origin is copied. Returns it, owned by
 * *config and valid until the next device is added, or NULL with *error set.
 */
struct device_config *guest_config_add_device(struct guest_config *config,
					      const struct device_type *type, const char *origin,
					      struct error *error);

/*
 * Appends a device from the text of `--TYPE TEXT` (`VALUE,key=value,…`; "" for none), and checks
 * that it is complete.
 */
int guest_config_parse_device(struct guest_config *config, const struct device_type *type,
			      const char *text, struct error *error);

/* Names the devices that have no name after their type: block0, block1, net0. */
int guest_config_name_devices(struct guest_config *config, struct error *error);

/*
 * Writes how errors name one of the guest's own options: as the user gave it, on the command line
 * or in a file. Returns @buffer.
 */
const char *guest_config_describe_option(const struct guest_config *config, const char *name,
					 char *buffer, size_t size);

/* The policy when a watchdog expires: a word of watchdog_policies. */
const char *guest_config_watchdog(const struct guest_config *config);

/* The device that talks to the terminal, or NULL. Its options must have been checked. */
const struct device_config *guest_config_terminal(const struct guest_config *config);

/*
 * Checks the guest as a whole: files, sizes, names and disks that are used twice. Names the devices
 * that have no name. Call it before anything is started.
 */
int guest_config_check(struct guest_config *config, struct error *error);

/* Logs, once the guest runs, what may change at its next start. */
void guest_config_hint(const struct guest_config *config);

#endif

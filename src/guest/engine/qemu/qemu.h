// SPDX-License-Identifier: BSD-3-Clause
/*
 * The installed QEMU: its path, its version, which devices (struct qemu_device) it supports, and
 * the arguments that start a guest.
 */
#ifndef AVP_GUEST_ENGINE_QEMU_QEMU_H
#define AVP_GUEST_ENGINE_QEMU_QEMU_H

#include <limits.h>
#include <stdbool.h>

#include "base/arguments.h"
#include "base/error.h"
#include "device/kit/device_type.h"
#include "guest/config/config.h"
#include "guest/engine/engine.h"
#include "host/kvm_probe.h"

/* The QEMU for guests of this program's architecture, and its machine. */
#if defined(__aarch64__)
#define QEMU_PROGRAM "qemu-system-aarch64"
#define QEMU_PACKAGE "qemu-system-arm"
/* With KVM, `max` is the host's version. */
#define QEMU_MACHINE "virt,memory-backend=memory,usb=off,gic-version=max"
/* Emulating the architected pointer authentication takes most of the time. */
#define QEMU_CPU     "max,pauth-impdef=on"
#define QEMU_CONSOLE "ttyAMA0"
#define QEMU_PANIC   "pvpanic-pci"
/* Whether a reset reads the initrd file again. No: it is read once (hw/arm/boot.c). */
#define QEMU_MAPS_INITRD false
#elif defined(__x86_64__)
#define QEMU_PROGRAM	 "qemu-system-x86_64"
#define QEMU_PACKAGE	 "qemu-system-x86"
#define QEMU_MACHINE	 "q35,memory-backend=memory,usb=off,sata=off,smbus=off,vmport=off"
#define QEMU_CPU	 "max"
#define QEMU_CONSOLE	 "ttyS0"
#define QEMU_PANIC	 "pvpanic"
/* Yes: it is mapped (hw/i386/x86.c). */
#define QEMU_MAPS_INITRD true
/*
 * Strap the machine's TCO timer so that it cannot reset the guest. Linux' driver then reports it as
 * disabled; otherwise the guest would have a watchdog that ignores our policy.
 */
#define QEMU_GLOBAL	 "ICH9-LPC.noreboot=on"
#else
#error "engine qemu does not know this architecture's machine yet"
#endif

extern const struct engine engine_qemu;

/* An installed QEMU. */
struct qemu_program {
	char path[PATH_MAX];
	struct qemu_version version;
	bool sandbox; /* built with support for QEMU_SANDBOX */
};

/* The value of option -sandbox: QEMU can neither start processes nor gain privileges. */
#define QEMU_SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

/* The oldest QEMU that engine qemu supports: it has the option -action. */
#define QEMU_OLDEST ((struct qemu_version){6, 0, 0})

/* Whether @version is at least @wanted. */
bool qemu_version_reaches(struct qemu_version version, struct qemu_version wanted);

/*
 * Finds QEMU in PATH and asks for its version. Returns 0, or a negative errno with *error saying
 * what to do, also when it is older than QEMU_OLDEST.
 */
int qemu_find(struct qemu_program *program, struct error *error);

extern const struct host_check qemu_check;

/* Reads the version from the output of --version. Returns whether there is one. */
bool qemu_parse_version(const char *text, struct qemu_version *version);

/*
 * Whether this QEMU supports a device: by its version, and by its list of devices, as a build may
 * lack some.
 */
bool qemu_carries(const struct qemu_program *program, const struct qemu_device *device);

/* A usage error that names the device if *version (NULL: the newest) lacks it. */
int qemu_check_device(const struct device_config *device, const struct qemu_version *version,
		      struct error *error);

/*
 * Appends all arguments after the program's name and -sandbox. qemu_check_device must have accepted
 * the devices.
 */
void qemu_arguments(struct arguments *arguments, const struct engine_setup *setup,
		    struct qemu_version version, const struct engine_launch *launch);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The installed QEMU: where it is, which version, which of our devices (struct qemu_device) it can
 * carry, and the arguments that make a guest of it.
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
#include "monitor/kvm/probe.h"

/* The QEMU for guests of this program's architecture, and what its machine has. */
#if defined(__aarch64__)
#define QEMU_PROGRAM "qemu-system-aarch64"
#define QEMU_PACKAGE "qemu-system-arm"
/* `max` is what the host has where KVM runs the guest. */
#define QEMU_MACHINE "virt,memory-backend=memory,usb=off,gic-version=max"
/* Pointer authentication as Arm defines it takes most of the time when it is emulated. */
#define QEMU_CPU     "max,pauth-impdef=on"
#define QEMU_CONSOLE "ttyAMA0"
#define QEMU_PANIC   "pvpanic-pci"
/* Whether it finds at a reset what has become of the initrd; it reads it once (hw/arm/boot.c). */
#define QEMU_MAPS_INITRD false
#elif defined(__x86_64__)
#define QEMU_PROGRAM	 "qemu-system-x86_64"
#define QEMU_PACKAGE	 "qemu-system-x86"
#define QEMU_MACHINE	 "q35,memory-backend=memory,usb=off,sata=off,smbus=off,vmport=off"
#define QEMU_CPU	 "max"
#define QEMU_CONSOLE	 "ttyS0"
#define QEMU_PANIC	 "pvpanic"
/* It has it mapped (hw/i386/x86.c). */
#define QEMU_MAPS_INITRD true
/*
 * The machine's TCO timer cannot restart it, which is how chips are strapped whose board has no
 * use for one: Linux' driver then says that it is disabled, instead of a watchdog that no policy
 * of ours stands behind.
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
	bool sandbox; /* it was built with one that knows QEMU_SANDBOX */
};

/* The value of its option -sandbox: no process is started, and no right gained. */
#define QEMU_SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

/* The oldest QEMU that engine qemu works with: it needs the option -action. */
#define QEMU_OLDEST ((struct qemu_version){6, 0, 0})

/* Whether @version is at least @wanted. */
bool qemu_version_reaches(struct qemu_version version, struct qemu_version wanted);

/*
 * Finds QEMU in PATH and asks its version. Returns 0, or a negative errno with *error saying what
 * to do, also when it is older than QEMU_OLDEST.
 */
int qemu_find(struct qemu_program *program, struct error *error);

extern const struct host_check qemu_check;

/* Reads the version from the output of --version. Returns whether there is one. */
bool qemu_parse_version(const char *text, struct qemu_version *version);

/*
 * Whether this QEMU carries a device: its version says that it could, and it lists it, as a build
 * may have left it out.
 */
bool qemu_carries(const struct qemu_program *program, const struct qemu_device *device);

/* A usage error that names the device when *version (NULL: the newest) cannot carry it. */
int qemu_check_device(const struct device_config *device, const struct qemu_version *version,
		      struct error *error);

/*
 * Appends all arguments after the program's name and its sandbox, for devices that
 * qemu_check_device accepts.
 */
void qemu_arguments(struct arguments *arguments, const struct engine_setup *setup,
		    struct qemu_version version, const struct engine_launch *launch);

#endif

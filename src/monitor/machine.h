// SPDX-License-Identifier: BSD-3-Clause
/*
 * A machine: memory, vCPUs, the platform's registers and the transports of its devices, built from
 * a description. It can be powered on, off and, for a reset, off and on again with the same memory
 * and the same device processes.
 *
 * All functions are for the thread of the event loop.
 */
#ifndef AVP_MONITOR_MACHINE_H
#define AVP_MONITOR_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "monitor/boot.h"
#include "monitor/control.h"
#include "vhost/broker.h"
#include "monitor/kvm/hypervisor.h"
#include "monitor/virtio/remote_device.h"
#include "virtio/device_shape.h"

/* A device and the process that serves it. */
struct machine_device {
	const char *name;
	struct device_shape shape;
	int fd; /* connected to the process; -1: taken, or the broker connects */
};

enum machine_end {
	MACHINE_POWERED_OFF,
	MACHINE_PANICKED,
	/*
	 * The hypervisor failed, the guest triple-faults repeatedly, or a watchdog stopped it.
	 */
	MACHINE_FAILED,
};

/* Called from the loop unless noted otherwise. */
struct machine_events {
	/* The guest's vCPUs run; the first time, and after each reset. */
	void (*running)(void *context);
	/* The guest resets; its vCPUs have stopped. */
	void (*reset)(void *context);
	/* After machine_pause: all vCPUs are paused. Again after a reset in the pause. */
	void (*paused)(void *context);
	/* Watchdog @what expired; the policy is applied next. Not with MACHINE_WATCHDOG_NONE. */
	void (*watchdog)(void *context, const char *what);
	/* The guest has ended, its vCPUs have stopped; the last event. @why completes "it …". */
	void (*ended)(void *context, enum machine_end end, const char *why);
	/*
	 * A step of the start is done now, for a timeline. From any thread. May be NULL.
	 */
	void (*mark)(void *context, const char *step);
	/*
	 * About the process of device @name: see struct remote_events. From any thread. May be
	 * NULL.
	 */
	void (*device_reported)(void *context, const char *name, enum remote_report report,
				const char *why);
};

struct machine_setup {
	struct event_loop *loop;
	struct hypervisor_setup hypervisor;
	hypervisor_create_function *create_hypervisor;
	struct boot_source boot; /* cpus, devices and variant are filled in from the others */
	uint64_t memory;	 /* bytes, a multiple of the page size */
	bool huge_pages;
	enum machine_watchdog watchdog;
	int serial_fd; /* far end of the serial port, owned by the machine; -1: none */
	/* machine_open takes their descriptors and sets them to -1; the caller closes the rest. */
	struct machine_device *devices;
	size_t device_count;
	/*
	 * Connects to the processes of the devices, by their index in @devices; may be NULL.
	 */
	struct broker *broker;
	const struct machine_events *events;
	void *context;
};

struct machine;

/*
 * Makes the machine, ready to run vCPUs: connects to all device processes, allocates memory, loads
 * the kernel. Works in a sandboxed monitor. *setup and all that it points to must outlive the
 * machine. Returns 0 with *machine set, or a negative errno with *error set; errors about files and
 * options are usage errors.
 */
int machine_open(struct machine **machine, const struct machine_setup *setup, struct error *error);

/* Runs the vCPUs. Returns 0 or a negative errno with *error set. */
int machine_start(struct machine *machine, struct error *error);

/* Presses the power button: the guest powers itself off, if it wants to. */
void machine_press_power_button(struct machine *machine);

/*
 * Pauses the vCPUs and the watchdogs that count real time, without waiting: the event paused
 * follows, unless machine_resume is called before. Device processes finish the requests that they
 * have, and the guest's clocks go on. Calls of both may be repeated.
 */
void machine_pause(struct machine *machine);
void machine_resume(struct machine *machine);

/*
 * Lets go of the process of device @name, so that it can be replaced: see remote_release, for
 * @attachments, too. Returns 0, or -ENOENT with *error set.
 */
int machine_release_device(struct machine *machine, const char *name, uint64_t attachments,
			   struct error *error);

/* Switches the power off if it is on and frees everything. NULL is fine. */
void machine_close(struct machine *machine);

#endif

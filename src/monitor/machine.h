// SPDX-License-Identifier: BSD-3-Clause
/*
 * A machine: memory, vCPUs, the platform's registers and the transports of its devices, put
 * together from a description; its power goes on, off and, for a reset, off and on again with the
 * same memory and the same device processes.
 *
 * It belongs to the thread of the event loop.
 */
#ifndef AVP_MONITOR_MACHINE_H
#define AVP_MONITOR_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "monitor/boot.h"
#include "monitor/broker.h"
#include "monitor/kvm/hypervisor.h"
#include "virtio/device_shape.h"

/* A device and the process that serves it. */
struct machine_device {
	const char *name;
	struct device_shape shape;
	int fd; /* connected to the process; -1: taken, or the broker is to connect */
};

enum machine_end {
	MACHINE_POWERED_OFF,
	MACHINE_PANICKED,
	/*
	 * The hypervisor could not go on, the guest triple-faults for ever, a watchdog stopped it.
	 */
	MACHINE_FAILED,
};

/* What happens when a watchdog of the machine expires. */
enum machine_watchdog {
	MACHINE_WATCHDOG_NONE,
	MACHINE_WATCHDOG_NOTIFY, /* only the event */
	MACHINE_WATCHDOG_RESET,
	MACHINE_WATCHDOG_STOP, /* it ends, as failed */
};

/* What happens, told from the loop unless it says otherwise. */
struct machine_events {
	/* The guest's vCPUs run; the first time, and after each reset. */
	void (*running)(void *context);
	/* The guest resets; its vCPUs have stopped. */
	void (*reset)(void *context);
	/* A watchdog expired, @what; what it leads to follows. Not with MACHINE_WATCHDOG_NONE. */
	void (*watchdog)(void *context, const char *what);
	/* The guest is over, its vCPUs have stopped; nothing comes after. @why completes "it …". */
	void (*ended)(void *context, enum machine_end end, const char *why);
	/*
	 * A step of the start was done, now: for a timeline. From any thread. NULL: of no interest.
	 */
	void (*mark)(void *context, const char *step);
	/*
	 * A device process does not answer or breaks the protocol: who has started it should end
	 * it, and start another. From any thread. NULL: of no interest.
	 */
	void (*device_given_up)(void *context, const char *name);
};

struct machine_setup {
	struct event_loop *loop;
	struct hypervisor_setup hypervisor;
	hypervisor_create_function *create_hypervisor;
	struct boot_source boot; /* cpus, devices and variant are filled in from the others */
	uint64_t memory;	 /* bytes, a multiple of the page size */
	bool huge_pages;
	enum machine_watchdog watchdog;
	int serial_fd; /* the far end of the serial port, owned from machine_open on; -1: none */
	/* machine_open takes their descriptors; what it leaves is still the caller's. */
	struct machine_device *devices;
	size_t device_count;
	/*
	 * Connects to the processes of the devices, by their place in @devices. NULL: nobody does.
	 */
	struct broker *broker;
	const struct machine_events *events;
	void *context;
};

struct machine;

/*
 * Makes the machine, up to where vCPUs would run: connects to all device processes, takes memory,
 * loads the kernel. Needs no right that a monitor which is locked in has not. *setup and all that
 * it points to must outlive it. Returns 0 with *machine set, or a negative errno with *error set;
 * errors about files and options are usage errors.
 */
int machine_open(struct machine **machine, const struct machine_setup *setup, struct error *error);

/* Has the vCPUs run. 0 or a negative errno with *error set. */
int machine_start(struct machine *machine, struct error *error);

/* Presses the power button: the guest powers itself off, if it wants to. */
void machine_press_power_button(struct machine *machine);

/* Switches the power off if it is on and frees everything. NULL is fine. */
void machine_close(struct machine *machine);

#endif

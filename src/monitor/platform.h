// SPDX-License-Identifier: BSD-3-Clause
/*
 * The platform: everything in a machine besides memory, vCPUs and virtio: serial port, power,
 * clock, watchdogs. Each architecture has its own (x86/platform.c, arm64/platform.c) behind one
 * small interface, the only one that machine.c uses.
 */
#ifndef AVP_MONITOR_PLATFORM_H
#define AVP_MONITOR_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"

enum platform_event {
	PLATFORM_OFF,	   /* the guest powered itself off */
	PLATFORM_RESET,	   /* it reset itself */
	PLATFORM_PANICKED, /* its kernel panicked */
	PLATFORM_WATCHDOG, /* a watchdog expired; from the thread of the event loop */
};

struct platform_setup {
	struct event_loop *loop;
	struct bus *addresses, *ports; /* its registers are added here */
	uint32_t cpus;
	int serial_fd; /* far end of the serial port, owned by the platform; -1: none */
	/*
	 * Reports an event, in the thread of the vCPU that caused it unless noted otherwise. @what
	 * names the watchdog for users ("the stall detector of vCPU 1"); "" for other events.
	 */
	void (*report)(void *context, enum platform_event event, const char *what);
	/*
	 * How long vCPU @index has not been asleep, in nanoseconds; while attached. Any thread.
	 */
	uint64_t (*vcpu_time)(void *context, uint32_t index);
	void *context;
};

struct platform;

struct platform_ops {
	/* Call before the vCPUs run: registers are as after power-on. */
	void (*attach)(struct platform *platform, struct hypervisor *hypervisor);
	/* Call when no vCPU runs any more. Stops timers. */
	void (*detach)(struct platform *platform);
	/*
	 * The vCPUs are paused, or go on: what counts real time does not count the pause. From the
	 * thread that attaches, while attached. NULL: there is nothing of the kind.
	 */
	void (*pause)(struct platform *platform, bool paused);
	/* From the thread that attaches; does nothing while detached. */
	void (*press_power_button)(struct platform *platform);
	/* Sends the guest's last output, within @output_ms, and frees. */
	void (*close)(struct platform *platform, int output_ms);
};

/* Embedded at the start of each architecture's own struct. */
struct platform {
	const struct platform_ops *ops;
};

/*
 * Makes the platform and puts its registers on the buses. *setup is copied. Returns 0 or a negative
 * errno with *error set.
 */
int arch_platform_open(struct platform **platform, const struct platform_setup *setup,
		       struct error *error);

#endif

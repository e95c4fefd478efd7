// SPDX-License-Identifier: BSD-3-Clause
/*
 * The generic watchdog of Arm's server machines (Arm SBSA, "Generic Watchdog", since then in the
 * Arm Base System Architecture). The guest sets a time and refreshes it. When the time is over, an
 * interrupt notifies the guest (WS0); when it is over again without a refresh, the machine acts
 * (WS1).
 */
#ifndef AVP_MONITOR_ARM64_WATCHDOG_H
#define AVP_MONITOR_ARM64_WATCHDOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/timer.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"
#include "monitor/platform.h"

#define WATCHDOG_FRAME_SIZE 0x1000

struct watchdog {
	struct bus_device control, refresh;
	const struct platform_setup *setup;
	uint32_t irq;
	uint64_t frequency; /* of the architecture's counter, in Hz */
	struct timer timer;
	pthread_mutex_t lock; /* of all below */
	struct hypervisor *hypervisor;
	uint64_t start_ns;  /* when the machine was attached: about the start of its counter */
	uint32_t status;    /* enabled, WS0, WS1: as WCS has them */
	uint64_t offset;    /* the time-out, in counts */
	uint64_t deadline;  /* in counts: WCV */
	uint64_t paused_at; /* in counts */
};

/*
 * Prepares both register frames; *watchdog must not move and *setup, which gets
 * PLATFORM_WATCHDOG, must outlive it. @frequency: of the architecture's counter.
 */
int watchdog_open(struct watchdog *watchdog, const struct platform_setup *setup,
		  uint64_t control_address, uint64_t refresh_address, uint32_t irq,
		  uint64_t frequency, struct error *error);
void watchdog_close(struct watchdog *watchdog);

/* As pl011_attach and pl011_detach; detach switches it off, and keeps that it expired. */
void watchdog_attach(struct watchdog *watchdog, struct hypervisor *hypervisor);
void watchdog_detach(struct watchdog *watchdog);

/* The guest is paused, or goes on: its deadline moves by the length of the pause. */
void watchdog_pause(struct watchdog *watchdog, bool paused);

#endif

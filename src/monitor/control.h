// SPDX-License-Identifier: BSD-3-Clause
/*
 * The lines that `avp monitor` and the process that started it exchange over --control-fd, a stream
 * socket: a word, in some lines followed by a blank and a text. Closing the socket kills the guest.
 */
#ifndef AVP_MONITOR_CONTROL_H
#define AVP_MONITOR_CONTROL_H

/* To the monitor. */
#define CONTROL_BUTTON "button" /* press the power button */
#define CONTROL_END    "end"	/* kill the guest */

/* From the monitor. */
#define CONTROL_STEP	 "step"	    /* NANOSECONDS TEXT: of the start, done at CLOCK_MONOTONIC */
#define CONTROL_RUNNING	 "running"  /* the vCPUs run; again after each reset */
#define CONTROL_RESET	 "reset"    /* the guest resets */
#define CONTROL_GIVEN_UP "given-up" /* NAME: kill and restart that device's process */
#define CONTROL_WATCHDOG \
	"watchdog"	       /* TEXT: which watchdog expired; the monitor applies its policy */
#define CONTROL_OFF	 "off" /* TEXT: the guest powered off. The last line, as the next two */
#define CONTROL_PANICKED "panicked" /* TEXT */
#define CONTROL_FAILED	 "failed"   /* TEXT: why; completes "the guest …" */

#define CONTROL_LINE_MAX 1024

/* The policy when a watchdog of the machine expires. */
enum machine_watchdog {
	MACHINE_WATCHDOG_NONE,
	MACHINE_WATCHDOG_NOTIFY, /* only the event */
	MACHINE_WATCHDOG_RESET,
	MACHINE_WATCHDOG_STOP, /* it ends as failed */
};

#endif

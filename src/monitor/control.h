// SPDX-License-Identifier: BSD-3-Clause
/*
 * The lines that `avp monitor` and who started it speak over --control-fd, a stream socket. A word,
 * in some lines followed by a blank and a text. Who hangs up ends the guest as it stands.
 */
#ifndef AVP_MONITOR_CONTROL_H
#define AVP_MONITOR_CONTROL_H

/* To the monitor. */
#define CONTROL_BUTTON "button" /* press the power button */
#define CONTROL_END    "end"	/* end the guest as it stands */

/* From the monitor. */
#define CONTROL_STEP	 "step"	    /* NANOSECONDS TEXT: of the start, done at CLOCK_MONOTONIC */
#define CONTROL_RUNNING	 "running"  /* the vCPUs run; again after each reset */
#define CONTROL_RESET	 "reset"    /* the guest resets */
#define CONTROL_GIVEN_UP "given-up" /* NAME: that device's process should be ended */
#define CONTROL_WATCHDOG "watchdog" /* TEXT: which watchdog expired; the policy is the monitor's */
#define CONTROL_OFF	 "off" /* TEXT: it powered itself off. The last line, as the next two */
#define CONTROL_PANICKED "panicked" /* TEXT */
#define CONTROL_FAILED	 "failed"   /* TEXT: why; completes "the guest …" */

#define CONTROL_LINE_MAX 1024

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * What `avp monitor` and the process that started it exchange over --control-fd, in lines of
 * base/control.h. Closing the socket kills the guest. docs/control.md lists verbs and events from
 * the table in monitor/run/control_socket.c.
 */
#ifndef AVP_MONITOR_CONTROL_H
#define AVP_MONITOR_CONTROL_H

/* Verbs. */
#define MONITOR_VERB_STOP    "stop"
#define MONITOR_VERB_KILL    "kill"
#define MONITOR_VERB_PAUSE   "pause"
#define MONITOR_VERB_RESUME  "resume"
#define MONITOR_VERB_LOG     "log-level" /* level */
#define MONITOR_VERB_RELEASE "release"	 /* device, attachments */

/* Events, and their fields. */
#define MONITOR_EVENT_STEP     "step" /* time, text */
#define MONITOR_EVENT_RUNNING  "running"
#define MONITOR_EVENT_RESET    "reset"
#define MONITOR_EVENT_PAUSED   "paused"
#define MONITOR_EVENT_RESUMED  "resumed"
#define MONITOR_EVENT_GIVEN_UP "given-up" /* device */
#define MONITOR_EVENT_RELEASED "released" /* device, text */
#define MONITOR_EVENT_DETACHED "detached" /* device */
#define MONITOR_EVENT_ATTACHED "attached" /* device, text */
#define MONITOR_EVENT_WATCHDOG "watchdog" /* text */
#define MONITOR_EVENT_OFF      "off"	  /* text */
#define MONITOR_EVENT_PANICKED "panicked" /* text */
#define MONITOR_EVENT_FAILED   "failed"	  /* text */

/* The policy when a watchdog of the machine expires. */
enum machine_watchdog {
	MACHINE_WATCHDOG_NONE,
	MACHINE_WATCHDOG_NOTIFY, /* only the event */
	MACHINE_WATCHDOG_RESET,
	MACHINE_WATCHDOG_STOP, /* it ends as failed */
};

#endif

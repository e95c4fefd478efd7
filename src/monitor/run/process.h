// SPDX-License-Identifier: BSD-3-Clause
/*
 * The monitor's process: everything around a machine. It opens all files and sockets, sandboxes
 * itself, then runs one guest to its end.
 */
#ifndef AVP_MONITOR_RUN_PROCESS_H
#define AVP_MONITOR_RUN_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "monitor/machine.h"

/* The options of `avp monitor`. */
struct monitor_setup {
	/* Paths of files (/dev/fd/N: inherited), and the command line. NULL: none. */
	const char *kernel, *firmware, *initrd, *append, *dump_dtb;
	uint64_t memory; /* bytes */
	uint32_t cpus;
	bool huge_pages;
	bool watchdog_given; /* --watchdog was given: the machine must have watchdogs */
	enum machine_watchdog watchdog;
	/*
	 * The devices, without their descriptors, and the sockets of their processes, at the same
	 * index.
	 */
	struct machine_device *devices;
	const char *const *sockets; /* paths, or /dev/fd/N */
	size_t device_count;
	/* Inherited sockets; -1: not given. */
	int serial_fd;	/* -1: the serial port is the terminal */
	int control_fd; /* see monitor/control.h */
	int broker_fd;	/* see vhost/broker.h; -1: a child of this process is the broker */
};

enum monitor_end {
	MONITOR_POWERED_OFF,
	MONITOR_PANICKED,
	MONITOR_FAILED,
	MONITOR_KILLED, /* by a command, a second signal or the quit keys */
};

/*
 * Runs the guest and blocks until it has ended. SIGTERM, SIGINT, SIGQUIT and SIGHUP press its power
 * button, the second request kills it: base/stop_request.h. Call it once, from the only thread of
 * a process, which cannot open or connect anything afterwards. Returns 0 with *end set, or a
 * negative errno with *error set; mistakes in options are usage errors that name the option.
 */
int monitor_process_run(const struct monitor_setup *setup, enum monitor_end *end,
			struct error *error);

#endif

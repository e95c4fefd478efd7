// SPDX-License-Identifier: BSD-3-Clause
/*
 * The monitor's process: what surrounds a machine. It opens all files and sockets, locks itself in,
 * then runs one guest to its end.
 */
#ifndef AVP_MONITOR_RUN_PROCESS_H
#define AVP_MONITOR_RUN_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "monitor/machine.h"

/* What `avp monitor` was called with. */
struct monitor_setup {
	/* Paths of files, /dev/fd/N for one that is inherited, and the command line. NULL: none. */
	const char *kernel, *firmware, *initrd, *append, *dump_dtb;
	uint64_t memory; /* bytes */
	uint32_t cpus;
	bool huge_pages;
	bool watchdog_given; /* the machine has to have watchdogs */
	enum machine_watchdog watchdog;
	/*
	 * The devices, without their descriptors, and the sockets of their processes, at the same
	 * places.
	 */
	struct machine_device *devices;
	const char *const *sockets; /* paths, or /dev/fd/N */
	size_t device_count;
	/* The numbers of inherited sockets; -1: none was given. */
	int serial_fd;	/* else the serial port is the terminal */
	int control_fd; /* see monitor/control.h */
	int broker_fd;	/* see monitor/broker.h; else a child of this process is the broker */
};

enum monitor_end {
	MONITOR_POWERED_OFF,
	MONITOR_PANICKED,
	MONITOR_FAILED,
	MONITOR_KILLED, /* ended as it stood: by a command, a second signal or the quit keys */
};

/*
 * Runs the guest and blocks until it has ended. SIGTERM, SIGINT, SIGQUIT and SIGHUP press its power
 * button, the second request ends it: base/stop_request.h. To be called once, from the only thread
 * of a process, which cannot open or connect anything afterwards. Returns 0 with *end set, or a
 * negative errno with *error set; what the options have wrong are usage errors that name them.
 */
int monitor_process_run(const struct monitor_setup *setup, enum monitor_end *end,
			struct error *error);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whether the kernel's OOM killer ended a process. SIGKILL alone does not say so, but the kernel
 * counts what it kills, for a control group and for the host.
 */
#ifndef AVP_BASE_OOM_H
#define AVP_BASE_OOM_H

#include <stdint.h>

/* How many processes were killed so far; -1: the kernel does not say. */
struct oom_counts {
	int64_t group; /* in the control group of this process, where its children start too */
	int64_t host;
};

/* Reads the counts. @root: "" or, for tests, a directory with another /proc and /sys. */
struct oom_counts oom_counts_read(const char *root);

/* Long enough for any text of oom_describe. */
#define OOM_STATUS_LENGTH 192

/*
 * As process_describe, for a child that was started after *before was read and has been reaped just
 * now: for SIGKILL the text says that it was the OOM killer if the count of the control group rose,
 * and that it may have been if only the count of the host is known and rose.
 */
const char *oom_describe(char buffer[OOM_STATUS_LENGTH], int status,
			 const struct oom_counts *before, const char *root);

#endif

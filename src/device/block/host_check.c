// SPDX-License-Identifier: BSD-3-Clause
/* Checks what disks need from the host. */
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "device/block/file.h"

/* The first number in a file below /proc/sys, or -1. */
static int read_number(const char *path)
{
	cleanup_file FILE *file = fopen(path, "re");
	int number;

	return file && fscanf(file, "%d", &number) == 1 ? number : -1;
}

static void check_io_uring(struct host_finding *finding)
{
	int disabled = read_number("/proc/sys/kernel/io_uring_disabled");
	struct io_uring ring;
	int result = io_uring_queue_init(4, &ring, 0);

	if (result == 0) {
		io_uring_queue_exit(&ring);
		host_finding_set(finding, HOST_OK, "works");
		return;
	}
	host_finding_set(finding, HOST_WARN, "%s%s; block devices use threads, which is slower",
			 strerror(-result),
			 disabled > 0 ? ", as sysctl kernel.io_uring_disabled says" : "");
	if (disabled > 0)
		host_finding_advise(finding, "sysctl kernel.io_uring_disabled=0");
	else if (result == -ENOSYS)
		host_finding_advise(finding,
				    "take a kernel of version 5.6 or newer with CONFIG_IO_URING");
	else if (result == -ENOMEM)
		host_finding_advise(finding, "raise the limit of locked memory: ulimit -l");
	else
		host_finding_advise(finding,
				    "have the container's seccomp profile allow io_uring_setup");
}

const struct host_check block_host_checks[] = {
	{"io_uring", check_io_uring},
	{.name = NULL},
};

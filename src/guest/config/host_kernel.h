// SPDX-License-Identifier: BSD-3-Clause
/*
 * The kernel of this machine, for a guest to start with.
 */
#ifndef AVP_GUEST_CONFIG_HOST_KERNEL_H
#define AVP_GUEST_CONFIG_HOST_KERNEL_H

#include <limits.h>
#include <stdbool.h>

/* A kernel and its initial file system; paths are "" when none was found. */
struct host_kernel {
	char kernel[PATH_MAX], initrd[PATH_MAX];
	bool readable; /* by this user, both of them */
};

/*
 * Looks for the kernel below @root ("" for this machine): the links of the distribution in / and
 * /boot, then the kernels in /boot, newest version first. A pair that this user can read is
 * preferred. Returns whether one was found.
 */
bool host_kernel_find(struct host_kernel *found, const char *root);

#endif

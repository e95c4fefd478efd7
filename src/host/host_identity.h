// SPDX-License-Identifier: BSD-3-Clause
/*
 * What distinguishes the guests of this host from those of other hosts and from each other, and
 * stays the same over restarts.
 */
#ifndef AVP_HOST_HOST_IDENTITY_H
#define AVP_HOST_HOST_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

#define HOST_IDENTITY_LENGTH 65

/*
 * Writes the host's machine-id(5), which stays the same until the host is reinstalled, or its host
 * name if it has none. Returns @identity.
 */
const char *host_identity_read(char identity[HOST_IDENTITY_LENGTH]);

/* A reserved name. */
struct guest_name {
	int names; /* the directory of this user's names; -1: nothing is reserved */
	int lock;  /* the locked file */
};

#define GUEST_NAME_NONE ((struct guest_name){-1, -1})

/*
 * Reserves the guest's name until host_give_guest_name or the end of this process: no other guest
 * of this user gets it. If it was not given (@unnamed), a free name is made: guest, guest1 and so
 * on; *name is allocated and may be replaced. If no directory belongs to this user alone, nothing
 * is reserved, with a warning. Returns 0, or a negative errno with *error set when a given name is
 * taken.
 */
int host_take_guest_name(struct guest_name *taken, char **name, bool unnamed, struct error *error);

/*
 * Finds the guest of this user that the process @device serves, and writes its name, truncated to
 * @size. Returns the process that runs that guest, or 0. A process that has reserved a name must
 * not call it: closing the file would release its lock.
 */
pid_t host_find_guest(pid_t device, char *name, size_t size);

/* Releases @name; does nothing on GUEST_NAME_NONE. */
void host_give_guest_name(struct guest_name *taken, const char *name);

#endif

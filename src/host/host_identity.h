// SPDX-License-Identifier: BSD-3-Clause
/*
 * What tells the guests of this host from those of others, and from each other, at each start anew.
 */
#ifndef AVP_HOST_HOST_IDENTITY_H
#define AVP_HOST_HOST_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

#define HOST_IDENTITY_LENGTH 65

/*
 * Writes the host's machine-id(5), which stays for as long as its installation, or its name where
 * there is none. Returns @identity.
 */
const char *host_identity_read(char identity[HOST_IDENTITY_LENGTH]);

/* A name that is taken. */
struct guest_name {
	int names; /* the directory of this user's names; -1: nothing is taken */
	int lock;  /* the file that is locked */
};

#define GUEST_NAME_NONE ((struct guest_name){-1, -1})

/*
 * Takes the guest's name until host_give_guest_name, or the end of this process however it ends: no
 * other guest of this user gets it. One that was not given (@unnamed) is made one that is free:
 * guest, guest1 and so on; *name is allocated and may be replaced. Where no directory is this
 * user's alone nothing is taken, with a warning. Returns 0, or a negative errno with *error set
 * when a given name is taken.
 */
int host_take_guest_name(struct guest_name *taken, char **name, bool unnamed, struct error *error);

/*
 * Finds the guest of this user that has the process @device as one of its device processes, and
 * writes its name, as far as it has room. Returns the process that runs that guest, or 0. Not for a
 * process that has taken a name: it would lose it.
 */
pid_t host_find_guest(pid_t device, char *name, size_t size);

/* Gives back what was taken for @name; safe on GUEST_NAME_NONE. */
void host_give_guest_name(struct guest_name *taken, const char *name);

#endif

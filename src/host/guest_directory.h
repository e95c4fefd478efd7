// SPDX-License-Identifier: BSD-3-Clause
/*
 * The directories of the guests that run: BASE/guests/NAME, with the lock that reserves the name
 * and the guest's control socket. BASE is $AVP_RUNTIME_DIR if that is set; else /run/avp for root,
 * $XDG_RUNTIME_DIR/avp, or /tmp/avp-UID, whichever belongs to this user alone.
 */
#ifndef AVP_HOST_GUEST_DIRECTORY_H
#define AVP_HOST_GUEST_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* The variable of the environment that chooses another BASE. */
#define GUEST_DIRECTORY_VARIABLE "AVP_RUNTIME_DIR"

/* A name that this process has reserved. */
struct guest_directory {
	int guests; /* BASE/guests; -1: nothing is reserved */
	int own;    /* the guest's directory */
	int lock;   /* the locked file */
};

#define GUEST_DIRECTORY_NONE ((struct guest_directory){-1, -1, -1})

/*
 * Reserves the guest's name until guest_directory_give or the end of this process: no other guest
 * of this user gets it. If it was not given (@unnamed), a free name is made: guest, guest1 and so
 * on; *name is allocated and may be replaced. What guests that were killed have left is removed. If
 * no directory belongs to this user alone, nothing is reserved, with a warning, unless the
 * environment chooses one. A process can reserve one name. Returns 0, or a negative errno with
 * *error set: a given name is taken, or the directory is full or not usable.
 */
int guest_directory_take(struct guest_directory *taken, char **name, bool unnamed,
			 struct error *error);

/*
 * Makes the guest's control socket, which listens. Returns it, owned by the caller, or a negative
 * errno with *error set; -ENOENT without *error when nothing is reserved.
 */
int guest_directory_listen(const struct guest_directory *taken, struct error *error);

/*
 * Opens the directory BASE/@name, which is made if it is not there. Returns it, owned by the
 * caller, or -ENOENT with *error set: no BASE belongs to this user alone.
 */
int guest_directory_open(const char *name, struct error *error);

/* Removes the directory and releases @name; does nothing on GUEST_DIRECTORY_NONE. */
void guest_directory_give(struct guest_directory *taken, const char *name);

/*
 * Connects to the control socket of guest @name of this user; of whatever user if the environment
 * chooses the directory. Returns it, or a negative errno with *error set.
 */
int guest_directory_connect(const char *name, struct error *error);

/*
 * Finds the guest of this user that the process @device serves, and writes its name, truncated to
 * @size. Returns the process that runs that guest, or 0. A process that has reserved a name must
 * not call it: closing the file would release its lock.
 */
pid_t guest_directory_find(pid_t device, char *name, size_t size);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * What tells the guests of this host from those of others, and from each other, at each start anew.
 */
#ifndef AVP_RUNTIME_HOST_IDENTITY_H
#define AVP_RUNTIME_HOST_IDENTITY_H

#include "base/error.h"
#include "runtime/config.h"

#define HOST_IDENTITY_LENGTH 65

/*
 * Writes the host's machine-id(5), which stays for as long as its installation, or its name where
 * there is none. Returns @identity.
 */
const char *host_identity_read(char identity[HOST_IDENTITY_LENGTH]);

/*
 * Takes the guest's name for as long as the descriptor that is returned, the caller's, is open in this
 * process: no other guest of this user gets it. A name that was not given (config->unnamed) is made one
 * that is free: guest, guest1 and so on. Returns a negative errno with *error set when a given name is
 * taken.
 */
int host_take_guest_name(struct guest_config *config, struct error *error);

#endif

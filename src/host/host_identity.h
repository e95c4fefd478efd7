// SPDX-License-Identifier: BSD-3-Clause
/*
 * What distinguishes the guests of this host from those of other hosts and from each other, and
 * stays the same over restarts.
 */
#ifndef AVP_HOST_HOST_IDENTITY_H
#define AVP_HOST_HOST_IDENTITY_H

#define HOST_IDENTITY_LENGTH 65

/*
 * Writes the host's machine-id(5), which stays the same until the host is reinstalled, or its host
 * name if it has none. Returns @identity.
 */
const char *host_identity_read(char identity[HOST_IDENTITY_LENGTH]);

#endif

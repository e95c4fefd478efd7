// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whether a guest and this hypervisor are compatible, by the version of the contract that each
 * states (contract/version.toml).
 */
#ifndef AVP_GUEST_CONFIG_CONTRACT_H
#define AVP_GUEST_CONFIG_CONTRACT_H

#include "base/error.h"

/* The guest does not depend on the contract. */
#define CONTRACT_ANY "any"

/*
 * Compares what a guest needs, VERSION[,PROFILE...] or CONTRACT_ANY, with the @version
 * (MAJOR.MINOR.PATCH) and the @profiles (names separated by commas) that a hypervisor implements.
 * Returns 0 if they fit, 1 if the guest was built for a newer MINOR, so that features may be
 * missing, or a negative errno with *error set as a usage error: they do not fit, or @needed is
 * malformed.
 */
int contract_compare(const char *needed, const char *version, const char *profiles,
		     struct error *error);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whether a guest and this hypervisor fit: by the version of the contract that each states
 * (contract/version.toml).
 */
#ifndef AVP_GUEST_CONFIG_CONTRACT_H
#define AVP_GUEST_CONFIG_CONTRACT_H

#include "base/error.h"

/* A guest that needs this asks for nothing. */
#define CONTRACT_ANY "any"

/*
 * Compares what a guest needs, VERSION[,PROFILE...] or CONTRACT_ANY, with what a hypervisor keeps
 * of @version (MAJOR.MINOR.PATCH) and @profiles (names with commas between). Returns 0 if they fit,
 * 1 if the guest knows a newer MINOR and may miss something, or a negative errno with *error set as
 * a usage error: they do not fit, or @needed is not of that form.
 */
int contract_compare(const char *needed, const char *version, const char *profiles,
		     struct error *error);

#endif

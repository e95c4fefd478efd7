// SPDX-License-Identifier: BSD-3-Clause
/*
 * The version of the contract between guest and hypervisor that this source keeps: that of
 * contract/version.toml.
 */
#ifndef AVP_BASE_CONTRACT_VERSION_H
#define AVP_BASE_CONTRACT_VERSION_H

#define CONTRACT_VERSION  "0.1.0"
#define CONTRACT_PROFILES "base"

#endif

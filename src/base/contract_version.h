// SPDX-License-Identifier: BSD-3-Clause
/*
 * The version of the contract between guest and hypervisor that this source keeps, and that of the
 * suite of tests in guest/conform: both as in contract/version.toml.
 */
#ifndef AVP_BASE_CONTRACT_VERSION_H
#define AVP_BASE_CONTRACT_VERSION_H

#define CONTRACT_VERSION  "0.2.0"
#define CONTRACT_PROFILES "base"
#define SUITE_VERSION	  "2.0.0"

#endif

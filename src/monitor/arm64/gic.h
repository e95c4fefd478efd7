// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM's interrupt controller for an arm64 machine: a GICv3, or where the host has no more a GICv2.
 */
#ifndef AVP_MONITOR_ARM64_GIC_H
#define AVP_MONITOR_ARM64_GIC_H

#include "base/error.h"
#include "monitor/kvm/kvm_private.h"

/* A GICv2 has so many processors. */
#define GICV2_CPUS 8

/* The best version that the virtual machine @vm can have: 3, 2, or 0 for none. */
unsigned int gic_version(int vm);

/* Makes the controller in a new virtual machine. *fd is its own, to be closed. */
int gic_create(const struct kvm_machine *machine, int *fd, struct error *error);

/* All vCPUs are there: the controller begins to work. */
int gic_start(int fd, struct error *error);

#endif

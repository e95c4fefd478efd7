// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM's interrupt controller for an arm64 machine: a GICv3, or a GICv2 if the host lacks it.
 */
#ifndef AVP_MONITOR_ARM64_GIC_H
#define AVP_MONITOR_ARM64_GIC_H

#include "base/error.h"
#include "monitor/kvm/kvm_private.h"

/* The most CPUs of a GICv2. */
#define GICV2_CPUS 8

/* The newest version that the virtual machine @vm supports: 3, 2, or 0 for none. */
unsigned int gic_version(int vm);

/* Makes the controller in a new virtual machine. The caller closes *fd. */
int gic_create(const struct kvm_machine *machine, int *fd, struct error *error);

/* Starts the controller, after all vCPUs were made. */
int gic_start(int fd, struct error *error);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the probe needs from each processor architecture, and gives to it.
 */
#ifndef AVP_MONITOR_KVM_PROBE_MACHINE_H
#define AVP_MONITOR_KVM_PROBE_MACHINE_H

#include <linux/kvm.h>

#include "monitor/kvm/probe.h"

/*
 * Has the open /dev/kvm, @kvm_fd, run a few 64-bit instructions, and fills in *result. Descriptors
 * and memory may be left: the calling process ends next. No allocation, as it was forked.
 */
void kvm_probe_machine(struct kvm_probe_result *result, int kvm_fd);

/* Fills in that KVM is unable, and why. */
void kvm_probe_unable(struct kvm_probe_result *result, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Fills in that KVM is unable because @what failed with errno @code. */
void kvm_probe_failed(struct kvm_probe_result *result, const char *what, int code);

/* Fills in that KVM is unable because KVM_RUN returned with the wrong exit reason. */
void kvm_probe_wrong_exit(struct kvm_probe_result *result, const struct kvm_run *run);

#endif

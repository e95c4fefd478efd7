// SPDX-License-Identifier: BSD-3-Clause
/*
 * The probe's interface to each processor architecture.
 */
#ifndef AVP_HOST_KVM_PROBE_MACHINE_H
#define AVP_HOST_KVM_PROBE_MACHINE_H

#include <linux/kvm.h>

#include "host/kvm_probe.h"

/*
 * Runs a few 64-bit instructions on the open /dev/kvm, @kvm_fd, and fills in *result. It may leave
 * descriptors and memory: the calling process exits next. It must not allocate after the fork.
 */
void kvm_probe_machine(struct kvm_probe_result *result, int kvm_fd);

/* Sets the result to KVM_PROBE_UNABLE, with the reason. */
void kvm_probe_unable(struct kvm_probe_result *result, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same, because @what failed with errno @code. */
void kvm_probe_failed(struct kvm_probe_result *result, const char *what, int code);

/* The same, because KVM_RUN returned with the wrong exit reason. */
void kvm_probe_wrong_exit(struct kvm_probe_result *result, const struct kvm_run *run);

#endif

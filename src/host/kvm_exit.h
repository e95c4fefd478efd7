// SPDX-License-Identifier: BSD-3-Clause
/*
 * Describes why KVM_RUN returned.
 */
#ifndef AVP_HOST_KVM_EXIT_H
#define AVP_HOST_KVM_EXIT_H

#include <linux/kvm.h>

#define KVM_EXIT_LENGTH 120

/* Writes why KVM_RUN returned: "KVM_EXIT_FAIL_ENTRY, hardware reason 0x7". Returns @text. */
const char *kvm_exit_describe(char text[KVM_EXIT_LENGTH], const struct kvm_run *run);

#endif

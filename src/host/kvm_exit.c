// SPDX-License-Identifier: BSD-3-Clause
/*
 * Describes exits of KVM.
 */
#include "host/kvm_exit.h"

#include <stdio.h>

/* The names of KVM_EXIT_*, without those of a single architecture. */
static const char *const exit_names[] = {
	[KVM_EXIT_UNKNOWN] = "KVM_EXIT_UNKNOWN",
	[KVM_EXIT_EXCEPTION] = "KVM_EXIT_EXCEPTION",
	[KVM_EXIT_IO] = "KVM_EXIT_IO",
	[KVM_EXIT_HYPERCALL] = "KVM_EXIT_HYPERCALL",
	[KVM_EXIT_DEBUG] = "KVM_EXIT_DEBUG",
	[KVM_EXIT_HLT] = "KVM_EXIT_HLT",
	[KVM_EXIT_MMIO] = "KVM_EXIT_MMIO",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "KVM_EXIT_IRQ_WINDOW_OPEN",
	[KVM_EXIT_SHUTDOWN] = "KVM_EXIT_SHUTDOWN",
	[KVM_EXIT_FAIL_ENTRY] = "KVM_EXIT_FAIL_ENTRY",
	[KVM_EXIT_INTR] = "KVM_EXIT_INTR",
	[KVM_EXIT_INTERNAL_ERROR] = "KVM_EXIT_INTERNAL_ERROR",
	[KVM_EXIT_SYSTEM_EVENT] = "KVM_EXIT_SYSTEM_EVENT",
	[KVM_EXIT_ARM_NISV] = "KVM_EXIT_ARM_NISV",
};

const char *kvm_exit_describe(char text[KVM_EXIT_LENGTH], const struct kvm_run *run)
{
	const char *name = NULL;

	if (run->exit_reason < sizeof(exit_names) / sizeof(exit_names[0]))
		name = exit_names[run->exit_reason];
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		snprintf(text, KVM_EXIT_LENGTH, "%s, hardware reason 0x%llx", name,
			 run->fail_entry.hardware_entry_failure_reason);
	else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		snprintf(text, KVM_EXIT_LENGTH, "%s, suberror %u%s", name, run->internal.suberror,
			 run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ?
				 " (an instruction that it cannot emulate)" :
				 "");
	else if (name)
		snprintf(text, KVM_EXIT_LENGTH, "%s", name);
	else
		snprintf(text, KVM_EXIT_LENGTH, "exit reason %u", run->exit_reason);
	return text;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * avp with a probe that finds every KVM good: where virtual machines can be made but not run, all
 * of a start up to the first KVM_RUN can be measured nonetheless (see monitor-start).
 */
#include <stdio.h>

#include "cli/avp.h"
#include "monitor/kvm/probe.h"

void __wrap_kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result);
void __real_kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result);

void __wrap_kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result)
{
	/* The time that it takes is part of what is measured. */
	__real_kvm_probe_wait(probe, result);
	result->verdict = KVM_PROBE_WORKS;
	snprintf(result->reason, sizeof(result->reason), "not asked");
}

int main(int argc, char **argv)
{
	return command_main(&command_avp, argc, argv);
}

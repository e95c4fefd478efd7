// SPDX-License-Identifier: BSD-3-Clause
/*
 * avp with a probe that accepts every KVM: where virtual machines can be created but not run,
 * everything from a start to the first KVM_RUN can still be measured (see monitor-start).
 */
#include <stdio.h>

#include "cli/avp.h"
#include "host/kvm_probe.h"

void __wrap_kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result);
void __real_kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result);

void __wrap_kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result)
{
	/* The probe's time is part of the measurement. */
	__real_kvm_probe_wait(probe, result);
	result->verdict = KVM_PROBE_WORKS;
	snprintf(result->reason, sizeof(result->reason), "not asked");
}

int main(int argc, char **argv)
{
	return command_main(&command_avp, argc, argv);
}

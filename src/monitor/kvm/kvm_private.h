// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM as the hypervisor: shared by the common part and the architectures.
 */
#ifndef AVP_MONITOR_KVM_KVM_PRIVATE_H
#define AVP_MONITOR_KVM_KVM_PRIVATE_H

#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "monitor/kvm/hypervisor.h"
#include "monitor/memory.h"

struct kvm_arch; /* an architecture's state of a machine */

struct kvm_machine {
	struct hypervisor hypervisor;
	int kvm_fd; /* owned by the caller */
	int fd;
	uint32_t cpus;
	uint32_t variant; /* as in hypervisor_setup */
	size_t run_size;  /* of struct kvm_run and what follows it */
	struct {
		uint64_t address, size;
		uint8_t *host;
	} memory[MONITOR_MEMORY_RANGES];
	uint32_t memory_count;
	uint32_t window_count;
	struct kvm_arch *arch; /* allocated; NULL: none */
};

struct vcpu {
	struct kvm_machine *machine;
	int fd;
	uint32_t index;
	struct kvm_run *run;
	atomic_bool entered; /* its thread, next, has called vcpu_run */
	pid_t thread;
};

/*
 * The machine type for KVM_CREATE_VM. Returns 0 or a negative errno with *error set.
 */
int kvm_arch_vm_type(const struct hypervisor_setup *setup, unsigned long *type,
		     struct error *error);
/* Sets up a new machine first of all. */
int kvm_arch_create(struct kvm_machine *machine, struct error *error);
/* Makes interrupt controllers: after memory, before vCPUs. */
int kvm_arch_add_interrupt_controllers(struct kvm_machine *machine, struct error *error);
void kvm_arch_free(struct kvm_machine *machine);
/* Sets the initial state of a new vCPU. */
int kvm_arch_start(struct vcpu *vcpu, const struct boot_entry *entry, struct error *error);
/*
 * Handles an exit specific to this architecture: fills in *exit and returns true, or returns false
 * for other exits. From the vCPU's own thread, as the next.
 */
bool kvm_arch_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
/* Called after a KVM_RUN was interrupted. Interrupts after this call end the next one. */
void kvm_arch_interrupted(struct vcpu *vcpu);
/* How many bits a guest's addresses have. */
unsigned int kvm_arch_address_bits(const struct kvm_machine *machine);
/* The number of interrupt @irq for KVM_IRQ_LINE. */
uint32_t kvm_arch_irq_line(uint32_t irq);
/* The vCPU's program counter, for messages. */
uint64_t kvm_arch_program_counter(const struct vcpu *vcpu);

/* Makes the current or next KVM_RUN of another vCPU return; see kvm_arch_interrupted. */
void kvm_interrupt(struct vcpu *vcpu);

/* Host memory behind @size bytes at the guest's @address, or NULL. */
void *kvm_memory(const struct kvm_machine *machine, uint64_t address, uint64_t size);

#endif

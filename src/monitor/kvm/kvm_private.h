// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM as the hypervisor: what the part that is the same everywhere shares with each architecture.
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

struct kvm_arch; /* what an architecture keeps for a machine */

struct kvm_machine {
	struct hypervisor hypervisor;
	int kvm_fd; /* the caller's */
	int fd;
	uint32_t cpus;
	uint32_t variant; /* as in hypervisor_setup */
	size_t run_size;  /* of struct kvm_run and what follows it */
	struct {
		uint64_t address, size;
		uint8_t *host;
	} memory[MONITOR_MEMORY_RANGES];
	uint32_t memory_count;
	struct kvm_arch *arch; /* allocated; NULL: none */
};

struct vcpu {
	struct kvm_machine *machine;
	int fd;
	uint32_t index;
	struct kvm_run *run;
	atomic_bool entered; /* its thread, the next, has run it before */
	pid_t thread;
};

/*
 * The machine type that KVM_CREATE_VM takes for this machine. 0 or a negative errno with *error
 * set.
 */
int kvm_arch_vm_type(const struct hypervisor_setup *setup, unsigned long *type,
		     struct error *error);
/* Makes what a new machine needs before all else. */
int kvm_arch_create(struct kvm_machine *machine, struct error *error);
/* Makes interrupt controllers: after memory, before vCPUs. */
int kvm_arch_add_interrupt_controllers(struct kvm_machine *machine, struct error *error);
void kvm_arch_free(struct kvm_machine *machine);
/* Brings a new vCPU into the state in which it starts. */
int kvm_arch_start(struct vcpu *vcpu, const struct boot_entry *entry, struct error *error);
/*
 * Deals with an exit that only this architecture has, or has its own way with: fills in *exit and
 * returns true, or returns false for the rest. From the vCPU's own thread, as the next.
 */
bool kvm_arch_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
/* A KVM_RUN was interrupted, by whomever. What comes after this call interrupts another one. */
void kvm_arch_interrupted(struct vcpu *vcpu);
/* The number of interrupt @irq as KVM_IRQ_LINE wants it. */
uint32_t kvm_arch_irq_line(uint32_t irq);
/* Where the vCPU is, for a message. */
uint64_t kvm_arch_program_counter(const struct vcpu *vcpu);

/* Has the KVM_RUN of another vCPU, or its next one, return; see kvm_arch_interrupted. */
void kvm_interrupt(struct vcpu *vcpu);

/* Host memory behind @size bytes at the guest's @address, or NULL. */
void *kvm_memory(const struct kvm_machine *machine, uint64_t address, uint64_t size);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The interface of a hypervisor: one virtual machine with memory, interrupts, notifications and
 * vCPUs. KVM implements it (kvm.c and the architecture's directory); unit tests have a fake, so
 * that everything above runs without KVM.
 *
 * A machine is reset by freeing its virtual machine and making another with the same memory, which
 * certainly resets its vCPUs and interrupt controllers.
 *
 * Functions return 0 or a negative errno with *error set. All but those of vCPUs may be called from
 * any thread.
 */
#ifndef AVP_MONITOR_KVM_HYPERVISOR_H
#define AVP_MONITOR_KVM_HYPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "monitor/bus.h"

struct hypervisor;
struct vcpu;

/* Where a vCPU starts; set by the architecture's loader (boot.h). */
enum boot_protocol {
	BOOT_LINUX64, /* x86: Documentation/arch/x86/boot.rst, "64-bit Boot Protocol" */
	BOOT_PVH,     /* x86: Xen's "x86/HVM direct boot ABI", 32-bit */
	BOOT_ARM64,   /* arm64: Documentation/arch/arm64/booting.rst; firmware starts likewise */
};

struct boot_entry {
	enum boot_protocol protocol;
	uint64_t address;  /* of the first instruction */
	uint64_t argument; /* boot_params (rsi), hvm_start_info (ebx), device tree or 0 (x0) */
};

/* A write of the guest that signals an eventfd without an exit. */
struct hypervisor_kick {
	uint64_t address;
	uint32_t length; /* bytes; other widths exit as usual */
	uint64_t value;	 /* the written value */
	int fd;
};

enum vcpu_exit_kind {
	VCPU_EXIT_NONE,	 /* interrupted: check whether to stop */
	VCPU_EXIT_MMIO,	 /* see access */
	VCPU_EXIT_PORT,	 /* see access; count times, data is count * length bytes */
	VCPU_EXIT_RESET, /* the guest asked the hypervisor to reset, or x86: it triple-faulted */
	VCPU_EXIT_POWER_OFF, /* the guest asked the hypervisor to power off */
	/*
	 * The guest uses memory that the host cannot provide, at an unknown address; the next run
	 * tries again. See reason.
	 */
	VCPU_EXIT_MEMORY,
	VCPU_EXIT_FAILED, /* the hypervisor cannot go on: see reason */
};

struct vcpu_exit {
	enum vcpu_exit_kind kind;
	struct bus_access access;
	uint32_t count;
	bool fault;	  /* VCPU_EXIT_RESET: by a triple fault */
	char reason[200]; /* FAILED, MEMORY: one line, with the vCPU's rip or pc */
};

struct hypervisor_ops {
	/* Maps @size bytes at @host at the guest's @address. Before the first vCPU is made. */
	int (*add_memory)(struct hypervisor *hypervisor, uint64_t address, uint64_t size,
			  void *host, struct error *error);
	/*
	 * The same for a window of shared memory, whose contents may change at any time, and where
	 * the hypervisor may not be able to look: see VCPU_EXIT_MEMORY.
	 */
	int (*add_window)(struct hypervisor *hypervisor, uint64_t address, uint64_t size,
			  void *host, struct error *error);
	/*
	 * Makes the interrupt controllers: after memory, before everything below. In the other
	 * order KVM would wait for readers of its tables at each range of memory, for up to 10 ms.
	 */
	int (*add_interrupt_controllers)(struct hypervisor *hypervisor, struct error *error);
	/* Notifications. -EEXIST: there is one with the same address, length and value. */
	int (*add_kick)(struct hypervisor *hypervisor, const struct hypervisor_kick *kick,
			struct error *error);
	int (*remove_kick)(struct hypervisor *hypervisor, const struct hypervisor_kick *kick,
			   struct error *error);
	/* From now on each signal on eventfd @fd is one edge of interrupt @irq. */
	int (*add_interrupt)(struct hypervisor *hypervisor, uint32_t irq, int fd,
			     struct error *error);
	int (*remove_interrupt)(struct hypervisor *hypervisor, uint32_t irq, int fd,
				struct error *error);
	/* Sets the level of interrupt @irq; an edge is 1 followed by 0. */
	int (*set_interrupt)(struct hypervisor *hypervisor, uint32_t irq, bool level);
	/*
	 * Makes vCPU @index; call it in order, from 0 up to the machine's number of vCPUs. vCPU 0
	 * starts at *entry; the others wait, x86: for INIT and SIPI; arm64: for PSCI.
	 */
	int (*vcpu_create)(struct hypervisor *hypervisor, uint32_t index,
			   const struct boot_entry *entry, struct vcpu **vcpu, struct error *error);
	/*
	 * Runs the guest until an exit. *exit is filled in; its data stays valid until the next
	 * run; the answer of a read is written there. Only from the vCPU's own thread.
	 */
	void (*vcpu_run)(struct vcpu *vcpu, struct vcpu_exit *exit);
	/*
	 * Makes the current run, or else the next one, return VCPU_EXIT_NONE, once. From any
	 * thread; @thread runs the vCPU. No call is lost.
	 */
	void (*vcpu_interrupt)(struct vcpu *vcpu, unsigned long thread);
	/* After the vCPU's thread has ended. */
	void (*vcpu_free)(struct vcpu *vcpu);
	/* After all vCPUs are freed. NULL is fine. */
	void (*free)(struct hypervisor *hypervisor);
};

/* Embedded at the start of each implementation's own struct. */
struct hypervisor {
	const struct hypervisor_ops *ops;
};

/* What a machine is made from. */
struct hypervisor_setup {
	uint32_t cpus;
	uint64_t memory;      /* bytes */
	uint64_t windows_end; /* the end of the guest addresses of windows; 0: there are none */
	int kvm_fd;	      /* an open /dev/kvm, the caller's; unused by fakes */
	/* arm64: the version of the GIC; else 0. */
	uint32_t variant;
};

/* Makes a virtual machine. Unit tests replace this function. */
typedef int hypervisor_create_function(struct hypervisor **hypervisor,
				       const struct hypervisor_setup *setup, struct error *error);

/*
 * Chooses the best variant that this KVM supports for a machine of @setup->cpus. Returns 0 or a
 * negative errno with *error set.
 */
int kvm_choose_variant(struct hypervisor_setup *setup, struct error *error);

/* kvm.c: no memory, no interrupt controllers, no vCPUs yet. */
hypervisor_create_function kvm_create;

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM on x86: interrupt controllers, and the initial state of vCPUs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "host/kvm_segments.h"
#include "monitor/kvm/kvm_private.h"
#include "monitor/x86/cpuid.h"
#include "monitor/x86/layout.h"

/* Documentation/arch/x86/boot.rst, "64-bit Boot Protocol": the selectors that Linux expects. */
#define CODE_SELECTOR		 0x10
#define DATA_SELECTOR		 0x18
#define TASK_SELECTOR		 0x20

#define CR0_PE			 0x1
#define CR0_ET			 0x10
#define CR0_PG			 0x80000000
#define CR4_PAE			 0x20
#define EFER_LME		 0x100
#define EFER_LMA		 0x400

#define PAGE_SIZE		 0x1000
#define PAGE_USABLE		 0x3 /* present, writable */
#define PAGE_LARGE		 0x80
#define LARGE_SIZE		 UINT64_C(0x200000)
#define TABLE_ENTRIES		 512
#define IDENTITY_GIB		 4

#define MSR_MISC_ENABLE		 0x1a0
#define MISC_ENABLE_FAST_STRINGS 0x1
#define MSR_MTRR_DEFAULT	 0x2ff
#define MTRR_ENABLED		 0x800
#define MTRR_WRITE_BACK		 0x6

#define RFLAGS_RESERVED		 0x2

struct kvm_arch {
	struct kvm_cpuid2 *cpuid;
};

int kvm_choose_variant(struct hypervisor_setup *setup, struct error *error)
{
	setup->variant = 0;
	return 0;
}

int kvm_arch_vm_type(const struct hypervisor_setup *setup, unsigned long *type, struct error *error)
{
	*type = 0;
	return 0;
}

bool kvm_arch_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	return false;
}

void kvm_arch_interrupted(struct vcpu *vcpu)
{
}

int kvm_arch_add_interrupt_controllers(struct kvm_machine *machine, struct error *error)
{
	/* The struct ends in a flexible array. */
	uint64_t storage[(sizeof(struct kvm_irq_routing) +
			  X86_IOAPIC_PINS * sizeof(struct kvm_irq_routing_entry)) /
			 sizeof(uint64_t)] = {0};
	struct kvm_irq_routing *routing = (struct kvm_irq_routing *)storage;

	if (ioctl(machine->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return error_set_errno(error, errno, "KVM: cannot make interrupt controllers");
	/* Route interrupts only to pins of the I/O APIC, not to the PICs. */
	routing->nr = X86_IOAPIC_PINS;
	for (uint32_t pin = 0; pin < X86_IOAPIC_PINS; pin++)
		routing->entries[pin] = (struct kvm_irq_routing_entry){
			.gsi = pin,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = pin},
		};
	if (ioctl(machine->fd, KVM_SET_GSI_ROUTING, routing) < 0)
		return error_set_errno(error, errno, "KVM: cannot route interrupts");
	return 0;
}

int kvm_arch_create(struct kvm_machine *machine, struct error *error)
{
	uint64_t identity_map = X86_IDENTITY_MAP;

	machine->arch = calloc(1, sizeof(*machine->arch));
	if (!machine->arch)
		return error_set(error, ENOMEM, "out of memory");
	machine->arch->cpuid = cpuid_supported(machine->kvm_fd, error);
	if (!machine->arch->cpuid)
		return error ? -error->code : -ENOMEM;
	if (ioctl(machine->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
	    ioctl(machine->fd, KVM_SET_TSS_ADDR, (unsigned long)X86_TSS) < 0)
		return error_set_errno(error, errno,
				       "KVM: cannot place the TSS or the identity "
				       "map");
	return 0;
}

void kvm_arch_free(struct kvm_machine *machine)
{
	if (machine->arch)
		free(machine->arch->cpuid);
	free(machine->arch);
	machine->arch = NULL;
}

unsigned int kvm_arch_address_bits(const struct kvm_machine *machine)
{
	return cpuid_address_bits(machine->arch->cpuid);
}

uint32_t kvm_arch_irq_line(uint32_t irq)
{
	return irq;
}

uint64_t kvm_arch_program_counter(const struct vcpu *vcpu)
{
	struct kvm_regs registers = {0};

	ioctl(vcpu->fd, KVM_GET_REGS, &registers);
	return registers.rip;
}

/* Identity maps the first 4 GiB, in pages of 2 MiB. */
static int write_page_tables(const struct kvm_machine *machine)
{
	uint64_t *tables = kvm_memory(machine, X86_PAGE_TABLES, (2 + IDENTITY_GIB) * PAGE_SIZE);
	uint64_t *directories;

	if (!tables)
		return -EFAULT;
	directories = tables + 2 * TABLE_ENTRIES;
	memset(tables, 0, 2 * PAGE_SIZE);
	tables[0] = (X86_PAGE_TABLES + PAGE_SIZE) | PAGE_USABLE;
	for (uint64_t i = 0; i < IDENTITY_GIB; i++)
		tables[TABLE_ENTRIES + i] = (X86_PAGE_TABLES + (2 + i) * PAGE_SIZE) | PAGE_USABLE;
	for (uint64_t i = 0; i < IDENTITY_GIB * TABLE_ENTRIES; i++)
		directories[i] = i * LARGE_SIZE | PAGE_LARGE | PAGE_USABLE;
	return 0;
}

/* Flat segments, with descriptors in memory, as Linux reloads the segments. */
static int set_segments(const struct kvm_machine *machine, struct kvm_sregs *special, bool wide)
{
	const uint64_t descriptors[] = {
		[CODE_SELECTOR / 8] = wide ? KVM_FLAT_CODE_64 : KVM_FLAT_CODE_32,
		[DATA_SELECTOR / 8] = KVM_FLAT_DATA,
		[TASK_SELECTOR / 8] = 0x00008b0000000067,
		0,
	};
	struct kvm_segment task = {
		.limit = 0x67,
		.selector = TASK_SELECTOR,
		.type = 11, /* busy */
		.present = 1,
	};
	uint64_t *table = kvm_memory(machine, X86_GDT_ADDRESS, sizeof(descriptors));

	if (!table)
		return -EFAULT;
	memcpy(table, descriptors, sizeof(descriptors));
	kvm_set_flat_segments(special, CODE_SELECTOR, DATA_SELECTOR, wide);
	special->tr = task;
	special->gdt = (struct kvm_dtable){X86_GDT_ADDRESS, sizeof(descriptors) - 1, {0}};
	special->idt = (struct kvm_dtable){0};
	return 0;
}

static int start_first(struct vcpu *vcpu, const struct boot_entry *entry, struct error *error)
{
	bool wide = entry->protocol != BOOT_PVH;
	struct kvm_regs registers = {.rip = entry->address, .rflags = RFLAGS_RESERVED};
	struct kvm_sregs special;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &special) < 0)
		return error_set_errno(error, errno, "KVM_GET_SREGS");
	if (set_segments(vcpu->machine, &special, wide) < 0 || write_page_tables(vcpu->machine) < 0)
		return error_set(error, EFAULT, "no guest memory where the vCPUs start");
	special.cr0 = CR0_PE | CR0_ET;
	if (wide) {
		special.cr0 |= CR0_PG;
		special.cr3 = X86_PAGE_TABLES;
		special.cr4 = CR4_PAE;
		special.efer = EFER_LME | EFER_LMA;
		registers.rsi = entry->argument;
	} else {
		registers.rbx = entry->argument;
	}
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &special) < 0 ||
	    ioctl(vcpu->fd, KVM_SET_REGS, &registers) < 0)
		return error_set_errno(error, errno, "KVM: cannot set the registers of vCPU 0");
	return 0;
}

/* Gets or sets an MSR by @request, KVM_GET_MSRS or KVM_SET_MSRS. */
static int access_msr(struct vcpu *vcpu, unsigned long request, uint32_t index, uint64_t *value,
		      struct error *error)
{
	/* The struct ends in a flexible array. */
	uint64_t storage[(sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)) /
			 sizeof(uint64_t)] = {0};
	struct kvm_msrs *msrs = (struct kvm_msrs *)storage;

	msrs->nmsrs = 1;
	msrs->entries[0] = (struct kvm_msr_entry){.index = index, .data = *value};
	/* Returns the number of MSRs. */
	if (ioctl(vcpu->fd, request, msrs) != 1)
		return error_set(error, EINVAL, "KVM refuses MSR 0x%x of vCPU %u", index,
				 vcpu->index);
	*value = msrs->entries[0].data;
	return 0;
}

/* The state that firmware leaves: fast string copies, all memory cached. */
static int set_msrs(struct vcpu *vcpu, struct error *error)
{
	uint64_t mtrr = MTRR_ENABLED | MTRR_WRITE_BACK, misc = 0;
	/* KVM reports unsupported features there. */
	int result = access_msr(vcpu, KVM_GET_MSRS, MSR_MISC_ENABLE, &misc, error);

	misc |= MISC_ENABLE_FAST_STRINGS;
	if (result == 0)
		result = access_msr(vcpu, KVM_SET_MSRS, MSR_MISC_ENABLE, &misc, error);
	if (result == 0)
		result = access_msr(vcpu, KVM_SET_MSRS, MSR_MTRR_DEFAULT, &mtrr, error);
	return result;
}

int kvm_arch_start(struct vcpu *vcpu, const struct boot_entry *entry, struct error *error)
{
	struct kvm_cpuid2 *cpuid = vcpu->machine->arch->cpuid;
	int result;

	cpuid_set_processor(cpuid, vcpu->index, vcpu->machine->cpus);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
		return error_set_errno(error, errno, "KVM_SET_CPUID2 of vCPU %u", vcpu->index);
	result = set_msrs(vcpu, error);
	if (result < 0)
		return result;
	/* The others are in KVM's initial state, waiting for INIT and SIPI. */
	return vcpu->index == 0 ? start_first(vcpu, entry, error) : 0;
}

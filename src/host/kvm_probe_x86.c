// SPDX-License-Identifier: BSD-3-Clause
/*
 * The probe's guest on x86-64: one vCPU that starts in long mode with paging on, adds with the
 * vector registers that every 64-bit program uses, takes an exception and returns from it, runs a
 * loop, stores its results in memory and halts. A KVM without hardware support, which emulates
 * each instruction, fails at one of these steps or is slow at the loop: it starts a kernel, but
 * the kernel never finishes its boot.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/kvm_probe_machine.h"
#include "host/kvm_segments.h"

/* The guest's memory. The page tables map the first 2 MiB to themselves with one large page. */
#define MEMORY_SIZE	0x10000
#define PML4_ADDRESS	0x1000
#define PDPT_ADDRESS	0x2000
#define PD_ADDRESS	0x3000
#define GDT_ADDRESS	0x4000
#define IDT_ADDRESS	0x5000
#define CODE_ADDRESS	0x8000
#define HANDLER_ADDRESS 0x8800
#define SUM_ADDRESS	0x9000
#define COUNT_ADDRESS	0x9008
#define STACK_ADDRESS	0xa000

/* Intel SDM volume 3, chapters 2.5, 4.5 and 6.14. */
#define PAGE_PRESENT_WRITABLE  0x3
#define PAGE_LARGE	       0x80
#define CR0_PE_MP_ET_NE_WP_PG  0x80010033
#define CR4_PAE_FXSR_XMMEXCPT  0x620
#define EFER_LME_LMA	       0x500
#define RFLAGS_RESERVED	       0x2
#define CODE_SELECTOR	       0x08
#define DATA_SELECTOR	       0x10
#define GATE_PRESENT_INTERRUPT 0x8e00
#define BREAKPOINT_VECTOR      3
#define GATE_SIZE	       16

/* Where Intel processors without "unrestricted guest" keep a task segment: out of the way. */
#define TSS_ADDRESS 0xfffbd000

#define SUMMAND_A   0x1122334455667788
#define SUMMAND_B   0x0102030405060708
/* A CPU takes about a millisecond, one emulated by QEMU about ten. */
#define LOOPS	      1000000
#define LOOP_LIMIT_MS 700

#define CPUID_ENTRIES 128

static const uint8_t code[] = {
	0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* mov rax, SUMMAND_A */
	0x48, 0xb9, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, /* mov rcx, SUMMAND_B */
	0x66, 0x48, 0x0f, 0x6e, 0xc0,				    /* movq xmm0, rax */
	0x66, 0x48, 0x0f, 0x6e, 0xc9,				    /* movq xmm1, rcx */
	0x66, 0x0f, 0xd4, 0xc1,					    /* paddq xmm0, xmm1 */
	0xcc,							    /* int3 */
	0xb9, 0x40, 0x42, 0x0f, 0x00,				    /* mov ecx, LOOPS */
	0xff, 0xc9,						    /* dec ecx */
	0x75, 0xfc,						    /* jnz to the dec */
	0x66, 0x0f, 0xd6, 0x04, 0x25, 0x00, 0x90, 0x00, 0x00,	    /* movq [SUM_ADDRESS], xmm0 */
	0xf4,							    /* hlt */
};

static const uint8_t handler[] = {
	0x48, 0xff, 0x04, 0x25, 0x08, 0x90, 0x00, 0x00, /* inc qword [COUNT_ADDRESS] */
	0x48, 0xcf,					/* iretq */
};

static void put(uint8_t *memory, uint64_t address, uint64_t value)
{
	memcpy(memory + address, &value, sizeof(value));
}

static void fill_memory(uint8_t *memory)
{
	put(memory, PML4_ADDRESS, PDPT_ADDRESS | PAGE_PRESENT_WRITABLE);
	put(memory, PDPT_ADDRESS, PD_ADDRESS | PAGE_PRESENT_WRITABLE);
	put(memory, PD_ADDRESS, PAGE_LARGE | PAGE_PRESENT_WRITABLE);
	put(memory, GDT_ADDRESS + CODE_SELECTOR, KVM_FLAT_CODE_64);
	put(memory, GDT_ADDRESS + DATA_SELECTOR, KVM_FLAT_DATA);
	/* The handler is below 64 KiB: the upper parts of its address are zero. */
	put(memory, IDT_ADDRESS + BREAKPOINT_VECTOR * GATE_SIZE,
	    HANDLER_ADDRESS | CODE_SELECTOR << 16 | (uint64_t)GATE_PRESENT_INTERRUPT << 32);
	memcpy(memory + CODE_ADDRESS, code, sizeof(code));
	memcpy(memory + HANDLER_ADDRESS, handler, sizeof(handler));
}

static int set_registers(int vcpu)
{
	struct kvm_regs registers = {
		.rip = CODE_ADDRESS,
		.rsp = STACK_ADDRESS,
		.rflags = RFLAGS_RESERVED,
	};
	struct kvm_sregs special;

	if (ioctl(vcpu, KVM_GET_SREGS, &special) < 0)
		return -1;
	kvm_set_flat_segments(&special, CODE_SELECTOR, DATA_SELECTOR, true);
	special.gdt = (struct kvm_dtable){GDT_ADDRESS, DATA_SELECTOR + 7, {0}};
	special.idt =
		(struct kvm_dtable){IDT_ADDRESS, (BREAKPOINT_VECTOR + 1) * GATE_SIZE - 1, {0}};
	special.cr0 = CR0_PE_MP_ET_NE_WP_PG;
	special.cr3 = PML4_ADDRESS;
	special.cr4 = CR4_PAE_FXSR_XMMEXCPT;
	special.efer = EFER_LME_LMA;
	if (ioctl(vcpu, KVM_SET_SREGS, &special) < 0)
		return -1;
	return ioctl(vcpu, KVM_SET_REGS, &registers);
}

/* Gives the vCPU all that KVM supports: long mode works only if CPUID has it. */
static int set_cpuid(int kvm_fd, int vcpu)
{
	/* The struct ends in a flexible array. */
	uint64_t storage[(sizeof(struct kvm_cpuid2) +
			  CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)) /
			 sizeof(uint64_t)] = {0};
	struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *)storage;

	cpuid->nent = CPUID_ENTRIES;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		return -1;
	return ioctl(vcpu, KVM_SET_CPUID2, cpuid);
}

/* CPU time of this thread, guest included, so that a busy host does not matter. */
static int64_t now_ms(void)
{
	return (int64_t)(clock_read_ns(CLOCK_THREAD_CPUTIME_ID) / 1000000);
}

/* Runs the vCPU to its halt and checks the results in memory. */
static void run_guest(struct kvm_probe_result *result, int vcpu, const struct kvm_run *run,
		      const uint8_t *memory)
{
	int64_t start = now_ms(), took;
	uint64_t sum, count;

	if (ioctl(vcpu, KVM_RUN, 0) < 0)
		return kvm_probe_failed(result, "KVM_RUN", errno);
	took = now_ms() - start;
	if (run->exit_reason != KVM_EXIT_HLT)
		return kvm_probe_wrong_exit(result, run);
	memcpy(&sum, memory + SUM_ADDRESS, sizeof(sum));
	memcpy(&count, memory + COUNT_ADDRESS, sizeof(count));
	if (sum != SUMMAND_A + SUMMAND_B || count != 1)
		return kvm_probe_unable(result, "the guest computed a wrong result");
	if (took > LOOP_LIMIT_MS)
		return kvm_probe_unable(result, "it took %d ms of CPU time for a loop of %d turns",
					(int)took, LOOPS);
	result->verdict = KVM_PROBE_WORKS;
	strcpy(result->reason, "/dev/kvm runs 64-bit guests");
}

void kvm_probe_machine(struct kvm_probe_result *result, int kvm_fd)
{
	struct kvm_userspace_memory_region region = {.memory_size = MEMORY_SIZE};
	int vm, vcpu, run_size;
	struct kvm_run *run;
	uint8_t *memory;

	vm = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (vm < 0)
		return kvm_probe_failed(result, "KVM_CREATE_VM", errno);
	/* Only some Intel CPUs need it; others may refuse. */
	ioctl(vm, KVM_SET_TSS_ADDR, (unsigned long)TSS_ADDRESS);

	memory =
		mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return kvm_probe_failed(result, "mmap", errno);
	fill_memory(memory);
	region.userspace_addr = (uintptr_t)memory;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return kvm_probe_failed(result, "KVM_SET_USER_MEMORY_REGION", errno);

	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return kvm_probe_failed(result, "KVM_CREATE_VCPU", errno);
	run_size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_size < (int)sizeof(*run))
		return kvm_probe_failed(result, "KVM_GET_VCPU_MMAP_SIZE",
					run_size < 0 ? errno : EINVAL);
	run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return kvm_probe_failed(result, "mmap of the virtual CPU", errno);
	if (set_cpuid(kvm_fd, vcpu) < 0)
		return kvm_probe_failed(result, "KVM_SET_CPUID2", errno);
	if (set_registers(vcpu) < 0)
		return kvm_probe_failed(result, "KVM_SET_SREGS", errno);

	run_guest(result, vcpu, run, memory);
}

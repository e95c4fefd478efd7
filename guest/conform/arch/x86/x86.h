// SPDX-License-Identifier: BSD-3-Clause
/* Shared by the parts of the x86 code and the tests for x86 only. */
#ifndef CONFORM_X86_H
#define CONFORM_X86_H

#include <stdbool.h>
#include <stdint.h>

#include "machine.h"

/* The state at the entry: see start.S. */
struct start_state {
	uint64_t kind; /* 0 PVH, 1 linux32, 2 linux64, 3 EFI */
	uint64_t information;
	uint64_t flags, cr0, cr4, cs, ds, sp;
};
extern struct start_state start_state;
extern volatile uint32_t start_entries; /* how many processors came to the entry points */

/* Registers as take_vector pushes them. */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, flags, rsp, ss;
};

struct acpi_register {
	uint8_t space, width; /* space 1: ports, 0: memory */
	uint64_t address;     /* 0: none */
};

struct io_apic {
	uint64_t address;
	uint32_t base, count;
};

#define IO_APICS_MAX 8
#define TABLES_MAX   32

struct acpi_table {
	uint64_t address;
	uint32_t length;
	char signature[5];
	bool valid; /* length and checksum are right */
};

struct x86_platform {
	uint64_t local_apic;
	struct io_apic io_apics[IO_APICS_MAX];
	unsigned int io_apic_count;
	struct {
		uint8_t source;
		uint32_t interrupt;
		uint16_t flags;
	} overrides[16];
	unsigned int override_count;
	struct acpi_table tables[TABLES_MAX];
	unsigned int table_count;
	uint64_t fadt, dsdt, xsdt;
	uint32_t fadt_length, fadt_flags;
	struct acpi_register sleep_control, reset, pm1a_control, pm1b_control, timer;
	uint8_t reset_value;
	int sleep_type; /* for S5, -1: not found */
	unsigned int described_slots;
};
extern struct x86_platform x86_platform;

void x86_read_acpi(void);
void x86_init_clock(void);
/* The hypervisor offers kvm-clock, which corrects the counter. */
bool x86_has_kvm_clock(void);
/* Called on each processor. */
void x86_enable_apic(void);
uint32_t x86_apic_read(unsigned int offset);
void x86_apic_write(unsigned int offset, uint32_t value);
uint64_t x86_apic_id(void);
bool x86_uses_x2apic(void);
uint32_t x86_io_apic_read(const struct io_apic *apic, uint32_t index);
void x86_io_apic_write(const struct io_apic *apic, uint32_t index, uint32_t value);
void x86_load_idt(void);
/* Sends that vector to a processor, and to the first. */
void x86_send(unsigned int cpu, uint32_t vector);
void x86_send_self(uint32_t vector);
void x86_write_register(const struct acpi_register *where, uint32_t value);

#define APIC_ID		  0x020
#define APIC_VERSION	  0x030
#define APIC_PRIORITY	  0x080
#define APIC_EOI	  0x0b0
#define APIC_SPURIOUS	  0x0f0
#define APIC_ISR	  0x100
#define APIC_IRR	  0x200
#define APIC_ERROR	  0x280
#define APIC_COMMAND	  0x300
#define APIC_COMMAND_HIGH 0x310
#define APIC_TIMER	  0x320
#define APIC_LINT0	  0x350
#define APIC_LINT1	  0x360
#define APIC_LVT_ERROR	  0x370
#define APIC_INITIAL	  0x380
#define APIC_CURRENT	  0x390
#define APIC_DIVIDE	  0x3e0

#define VECTOR_FIRST	  0x30 /* of devices */
#define VECTOR_IPI	  0xe0
#define VECTOR_TIMER	  0xf0
#define VECTOR_SPURIOUS	  0xff

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid x86_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid result;

	__asm__ volatile("cpuid"
			 : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
			 : "a"(leaf), "c"(subleaf));
	return result;
}

static inline uint64_t x86_read_msr(uint32_t number)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	return (uint64_t)high << 32 | low;
}

static inline void x86_write_msr(uint32_t number, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The arm64 part of the attacker: the platform's registers, PSCI calls and unknown calls, unknown
 * system registers, and a jump to an address without memory. Words on the command line: watchdog,
 * which also attacks the watchdogs (run it where their expiry has no effect); pair, which at the
 * end reads a register pair where nothing is: KVM cannot decode that access.
 *
 * Everything is mapped as ordinary memory, also the devices, so that accesses to them can be
 * unaligned.
 */
#include <stddef.h>

#include "attack.h"

#define UART	 UINT64_C(0x09000000)
#define RTC	 UINT64_C(0x09010000)
#define GPIO	 UINT64_C(0x09030000)
#define WATCHDOG UINT64_C(0x09110000)
#define STALL	 UINT64_C(0x09130000)
#define MEMORY	 UINT64_C(0x40000000)
#define PAGE	 UINT64_C(0x1000)

/* PL011: the registers that its transmitter needs. */
#define UART_IBRD  0x24
#define UART_FBRD  0x28
#define UART_LCRH  0x2c
#define UART_CR	   0x30
#define UART_IFLS  0x34
#define UART_IMSC  0x38
#define UART_DMACR 0x48

/* PSCI (Arm DEN 0022), 5.1 "Function prototypes", and 5.2.2 "Return codes". */
#define PSCI_VERSION	     0x84000000u
#define PSCI_CPU_ON	     0xc4000003u
#define PSCI_AFFINITY_INFO   0xc4000004u
#define PSCI_SYSTEM_OFF	     0x84000008u
#define PSCI_FEATURES	     0x8400000au
#define PSCI_NOT_SUPPORTED   (-1)
#define PSCI_INVALID	     (-2)
#define PSCI_ALREADY_ON	     (-4)
#define PSCI_INVALID_ADDRESS (-9)
#define NO_SUCH_PROCESSOR    UINT64_C(0xff00ffffff)

static uint8_t stack[16384] __attribute__((aligned(16), used));
static uint64_t table[512] __attribute__((aligned(4096)));
static volatile unsigned int exceptions;

void arm64_start(const uint8_t *tree);
uint64_t arm64_exception(uint64_t address, uint64_t link);

/*
 * Counts exceptions and skips the instruction; if it could not be fetched, returns to the caller.
 */
__asm__(".section .text.start,\"ax\"\n"
	".globl start\n"
	"start:\n"
	"	adrp x1, stack\n"
	"	add x1, x1, :lo12:stack\n"
	"	add sp, x1, 16384\n"
	"	adrp x1, vectors\n"
	"	add x1, x1, :lo12:vectors\n"
	"	msr vbar_el1, x1\n"
	"	bl arm64_start\n"
	"1:	wfi\n"
	"	b 1b\n"
	".balign 2048\n"
	"vectors:\n"
	".rept 16\n"
	".balign 128\n"
	"	b take_exception\n"
	".endr\n"
	"take_exception:\n"
	"	sub sp, sp, 176\n"
	"	stp x0, x1, [sp]\n"
	"	stp x2, x3, [sp, 16]\n"
	"	stp x4, x5, [sp, 32]\n"
	"	stp x6, x7, [sp, 48]\n"
	"	stp x8, x9, [sp, 64]\n"
	"	stp x10, x11, [sp, 80]\n"
	"	stp x12, x13, [sp, 96]\n"
	"	stp x14, x15, [sp, 112]\n"
	"	stp x16, x17, [sp, 128]\n"
	"	stp x18, x29, [sp, 144]\n"
	"	str x30, [sp, 160]\n"
	"	mrs x0, elr_el1\n"
	"	mov x1, x30\n"
	"	bl arm64_exception\n"
	"	msr elr_el1, x0\n"
	"	ldp x0, x1, [sp]\n"
	"	ldp x2, x3, [sp, 16]\n"
	"	ldp x4, x5, [sp, 32]\n"
	"	ldp x6, x7, [sp, 48]\n"
	"	ldp x8, x9, [sp, 64]\n"
	"	ldp x10, x11, [sp, 80]\n"
	"	ldp x12, x13, [sp, 96]\n"
	"	ldp x14, x15, [sp, 112]\n"
	"	ldp x16, x17, [sp, 128]\n"
	"	ldp x18, x29, [sp, 144]\n"
	"	ldr x30, [sp, 160]\n"
	"	add sp, sp, 176\n"
	"	eret\n"
	".text\n");

uint64_t arm64_exception(uint64_t address, uint64_t link)
{
	exceptions++;
	return address >= HOLE_START && address < HOLE_START + HOLE_SIZE ? link : address + 4;
}

uint64_t machine_read(uint64_t address, unsigned int width)
{
	uint64_t value;

	/* In assembly: a compiler may choose instructions that KVM cannot decode. */
	if (width == 1)
		__asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	else if (width == 2)
		__asm__ volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	else if (width == 4)
		__asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	else
		__asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
	return value;
}

void machine_write(uint64_t address, uint64_t value, unsigned int width)
{
	if (width == 1)
		__asm__ volatile("strb %w0, [%1]" : : "r"(value), "r"(address) : "memory");
	else if (width == 2)
		__asm__ volatile("strh %w0, [%1]" : : "r"(value), "r"(address) : "memory");
	else if (width == 4)
		__asm__ volatile("str %w0, [%1]" : : "r"(value), "r"(address) : "memory");
	else
		__asm__ volatile("str %0, [%1]" : : "r"(value), "r"(address) : "memory");
}

void machine_print(char character)
{
	machine_write(UART, (uint8_t)character, 4);
}

/* Calls the firmware by HVC or SMC (SMC Calling Convention, Arm DEN 0028). */
static int64_t call(bool by_smc, uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	if (by_smc)
		__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	else
		__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return (int64_t)x0;
}

static bool expect(const char *what, int64_t found, int64_t wanted)
{
	/* A 32-bit function returns its error in the lower half only. */
	if (found == wanted || (int32_t)found == wanted)
		return true;
	print("attack: ");
	print(what);
	print(" answers ");
	print(found < 0 ? "-" : "");
	print_number((uint64_t)(found < 0 ? -found : found));
	print("\n");
	return false;
}

/* PSCI functions: some of them stop the caller or the guest. */
static bool is_psci(uint64_t function)
{
	return ((uint32_t)function & 0xbfffffe0) == 0x84000000;
}

static bool attack_calls(void)
{
	uint64_t self;
	bool good = true;

	__asm__ volatile("mrs %0, mpidr_el1" : "=r"(self));
	self &= UINT64_C(0xff00ffffff);
	good &= expect("CPU_ON of an unknown processor",
		       call(false, PSCI_CPU_ON, NO_SUCH_PROCESSOR, 0x40400000, 0), PSCI_INVALID);
	good &= expect("CPU_ON of a processor that is on",
		       call(false, PSCI_CPU_ON, self, 0x40400000, 0), PSCI_ALREADY_ON);
	good &= expect("AFFINITY_INFO of an unknown processor",
		       call(false, PSCI_AFFINITY_INFO, NO_SUCH_PROCESSOR, 0, 0), PSCI_INVALID);
	good &= expect("AFFINITY_INFO of an unknown level",
		       call(false, PSCI_AFFINITY_INFO, self, 77, 0), PSCI_INVALID);
	good &= expect("PSCI_FEATURES of an unknown function",
		       call(false, PSCI_FEATURES, 0x8400ff00, 0, 0), PSCI_NOT_SUPPORTED);
	good &= expect("an unknown PSCI function", call(false, 0x8400001f, 0, 0, 0),
		       PSCI_NOT_SUPPORTED);
	good &= expect("an unknown call", call(false, 0x12345678, 0, 0, 0), PSCI_NOT_SUPPORTED);
	good &= expect("SMC", call(true, 0x12345678, 0, 0, 0), PSCI_NOT_SUPPORTED);
	for (int i = 0; i < STORM; i++) {
		uint64_t function = any() % 2 ? wild() : 0x80000000 | any() % 0x80000000;

		if (!is_psci(function))
			call(any() % 2, function, wild(), wild(), wild());
	}
	/* PSCI still answers after the random calls. */
	good &= expect("PSCI_VERSION", call(false, PSCI_VERSION, 0, 0, 0) >> 16, 1);
	return good;
}

/* Each of these must raise an exception in the guest, or do nothing. */
static bool attack_processor(void)
{
	uint64_t value;

	exceptions = 0;
	__asm__ volatile("mrs %0, s3_7_c15_c15_7" : "=r"(value));
	__asm__ volatile("msr s3_7_c15_c15_7, %0" : : "r"(wild()));
	__asm__ volatile("mrs %0, s3_0_c11_c3_1" : "=r"(value));
	__asm__ volatile(".inst 0xd4200000"); /* brk */
	__asm__ volatile(".inst 0x00000000"); /* udf */
	if (exceptions < 3) {
		print("attack: unknown system registers raise no exception\n");
		return false;
	}
	exceptions = 0;
	((void (*)(void))(HOLE_START + 0x1000))();
	if (exceptions != 1) {
		print("attack: a jump to an address without memory raises no abort\n");
		return false;
	}
	return true;
}

static void storm_platform(bool watchdogs)
{
	storm(RTC, PAGE, STORM);
	storm(GPIO, PAGE, STORM);
	/* Not the data register: values written there are printed. */
	storm(UART + 4, PAGE - 4, STORM);
	machine_write(UART + UART_CR, 0, 4);
	machine_write(UART + UART_IMSC, 0, 4);
	machine_write(UART + UART_DMACR, 0, 4);
	machine_write(UART + UART_IFLS, 0x12, 4);
	machine_write(UART + UART_IBRD, 1, 4);
	machine_write(UART + UART_FBRD, 0, 4);
	machine_write(UART + UART_LCRH, 0x70, 4);
	machine_write(UART + UART_CR, 0x301, 4);
	if (watchdogs) {
		storm(WATCHDOG, 2 * 0x10000, STORM);
		storm(STALL, PAGE, STORM);
		for (unsigned int cpu = 0; cpu < 32; cpu++)
			machine_write(STALL + (uint64_t)cpu * 16, 0, 4);
		machine_write(WATCHDOG, 0, 4);
	}
	storm(HOLE_START, HOLE_SIZE, STORM);
}

bool machine_attack(const char *line)
{
	bool good = attack_calls();

	good &= attack_processor();
	storm_platform(has_word(line, "watchdog"));
	return good;
}

void machine_end(const char *line)
{
	if (has_word(line, "pair")) {
		uint64_t low, high;

		__asm__ volatile("ldp %0, %1, [%2]"
				 : "=r"(low), "=r"(high)
				 : "r"(HOLE_START + 0x1000));
		print("attack: still runs\n");
	}
	call(false, PSCI_SYSTEM_OFF, 0, 0, 0);
}

/* Maps the first 512 GiB one to one, as ordinary memory. */
static void map_memory(void)
{
	const uint64_t ordinary = 0xff;
	/* 39-bit virtual and 40-bit physical addresses, pages of 4 KiB. */
	const uint64_t control = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | UINT64_C(2) << 32;
	uint64_t value;

	for (uint64_t i = 0; i < 512; i++)
		table[i] = i << 30 | 1 << 10 | 3 << 8 | 1;
	__asm__ volatile("msr mair_el1, %1\n"
			 "msr tcr_el1, %2\n"
			 "msr ttbr0_el1, %3\n"
			 "dsb sy\n"
			 "tlbi vmalle1\n"
			 "dsb sy\n"
			 "isb\n"
			 "mrs %0, sctlr_el1\n"
			 : "=&r"(value)
			 : "r"(ordinary), "r"(control), "r"(table));
	/* Enable translation and caches, disable the alignment check. */
	value = (value | 1 | 1 << 2 | 1 << 12) & ~UINT64_C(2);
	__asm__ volatile("msr sctlr_el1, %0\n"
			 "isb\n"
			 :
			 : "r"(value)
			 : "memory");
}

/* Finds the command line in the device tree: it begins with the seed. Returns "" if absent. */
static const char *find_line(const uint8_t *tree)
{
	static const char word[] = "seed=";
	uint32_t size = (uint32_t)tree[4] << 24 | tree[5] << 16 | tree[6] << 8 | tree[7];

	for (uint32_t i = 0; i + sizeof(word) < size; i++) {
		uint32_t found = 0;

		while (word[found] && tree[i + found] == (uint8_t)word[found])
			found++;
		if (!word[found])
			return (const char *)tree + i;
	}
	return "";
}

__attribute__((used)) void arm64_start(const uint8_t *tree)
{
	map_memory();
	/* Not every loader passes the tree's address; the tree is at the start of memory. */
	attack(find_line(tree ? tree : (const uint8_t *)MEMORY));
}

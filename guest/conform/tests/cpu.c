// SPDX-License-Identifier: BSD-3-Clause
/* Chapter cpu: processors on and off, exceptions, registers across exits. */
#include "bus/bus.h"
#include "devices/dut.h"
#include "pages.h"
#include "reboot.h"
#include "report.h"
#include "test.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"
#else
#include "arch/arm64/arm64.h"
#endif

#define SECOND_MS  1000
#define START_MS   5000 /* gives up */
#define WORK_TURNS 10000
#define EXITS	   4000u

static volatile uint64_t arrived[CPUS_MAX], identities[CPUS_MAX];

static void arrive(void *argument)
{
	unsigned int cpu = (unsigned int)(uintptr_t)argument;

#ifdef __x86_64__
	identities[cpu] = x86_apic_id();
#else
	identities[cpu] = read_register(mpidr_el1) & UINT64_C(0xff00ffffff);
#endif
	__atomic_add_fetch(&arrived[cpu], 1, __ATOMIC_SEQ_CST);
}

static void start(unsigned int cpu, void (*function)(void *), void *argument)
{
	int64_t code;

	check(cpu_start(cpu, function, argument, &code), "processor %u does not start: %ld", cpu,
	      code);
}

static void start_each(void)
{
	for (unsigned int i = 1; i < machine.cpu_count; i++) {
		uint64_t from = arch_ticks();

		arrived[i] = 0;
		start(i, arrive, (void *)(uintptr_t)i);
		check(wait_until(arrived[i] == 1, START_MS), "processor %u does not arrive", i);
		check_within(ticks_to_ns(arch_ticks() - from), SECOND_MS,
			     "processor %u took too long to arrive", i);
	}
}

TEST(cpu_start_all, "AVP-CPU-001 AVP-CPU-002", .cpus = 2, .limit_ms = 30000)
{
	start_each();
}

TEST(cpu_start_parallel, "AVP-CPU-003", .cpus = 2, .limit_ms = 30000)
{
	for (unsigned int i = 1; i < machine.cpu_count; i++) {
		arrived[i] = 0;
		start(i, arrive, (void *)(uintptr_t)i);
	}
	for (unsigned int i = 1; i < machine.cpu_count; i++)
		check(wait_until(arrived[i] == 1, SECOND_MS), "processor %u does not arrive", i);
}

TEST(cpu_off_on, "AVP-CPU-008", .cpus = 2, .limit_ms = 60000)
{
	uint64_t mark = pages_mark();

	for (unsigned int i = 0; i < 100; i++) {
		pages_release(mark);
		arrived[1] = 0;
		start(1, arrive, (void *)1);
		check(wait_until(arrived[1] == 1, SECOND_MS), "it does not start, the %uth time",
		      i + 1);
		check(wait_until(cpu_is_off(1), SECOND_MS), "still on, the %uth time", i + 1);
		cpu_stop_all();
	}
}

TEST(cpu_ids, "AVP-CPU-011", .limit_ms = 30000)
{
	arrive(NULL);
	start_each();
	for (unsigned int i = 0; i < machine.cpu_count; i++) {
		check(identities[i] == machine.cpu_ids[i], "processor %u is 0x%lx, not 0x%lx", i,
		      identities[i], machine.cpu_ids[i]);
		for (unsigned int j = 0; j < i; j++)
			check(machine.cpu_ids[i] != machine.cpu_ids[j], "0x%lx is described twice",
			      machine.cpu_ids[i]);
	}
}

#ifdef __x86_64__
static void read_features(void *argument)
{
	volatile struct cpuid *leaves = argument;

	leaves[0] = x86_cpuid(1, 0);
	leaves[1] = x86_cpuid(7, 0);
	leaves[2] = x86_cpuid(0x80000001, 0);
	/* Fields that differ between processors: APIC ids, OSXSAVE, which reflects CR4. */
	leaves[0].ebx &= 0x00ffffff;
	leaves[0].ecx &= ~(1u << 27);
}
#define FEATURE_WORDS 12
#else
static void read_features(void *argument)
{
	volatile uint64_t *words = argument;

	words[0] = read_register(id_aa64pfr0_el1);
	words[1] = read_register(id_aa64isar0_el1);
	words[2] = read_register(id_aa64isar1_el1);
	words[3] = read_register(id_aa64mmfr0_el1);
	words[4] = read_register(ctr_el0);
	words[5] = read_register(midr_el1);
}
#define FEATURE_WORDS 12
#endif

static void read_features_elsewhere(void *argument)
{
	read_features(argument);
	__atomic_add_fetch(&arrived[0], 1, __ATOMIC_SEQ_CST);
}

TEST(cpu_same_features, "AVP-CPU-012", .cpus = 2, .limit_ms = 30000)
{
	static uint32_t here[FEATURE_WORDS], there[FEATURE_WORDS];

	read_features(here);
	for (unsigned int i = 1; i < machine.cpu_count; i++) {
		arrived[0] = 0;
		start(i, read_features_elsewhere, there);
		check(wait_until(arrived[0] == 1, SECOND_MS), "processor %u does not arrive", i);
		for (unsigned int w = 0; w < FEATURE_WORDS; w++)
			check(here[w] == there[w],
			      "feature word %u is 0x%x on processor %u, "
			      "0x%x on the first",
			      w, there[w], i, here[w]);
	}
}

/* The most common kind of exit. */
static void make_exit(void)
{
	if (device_count)
		devices[0].ops->status(&devices[0]);
#ifdef __x86_64__
	else
		x86_cpuid(0, 0);
#else
	else if (arm64_platform.has_psci)
		arm64_call(PSCI_VERSION, 0, 0, 0);
#endif
}

TEST(cpu_features_work, "AVP-CPU-013", .limit_ms = 20000)
{
	uint64_t pattern = 0x0123456789abcdef, found = 0;

	for (int i = 0; i < 2000; i++) {
		pattern = pattern * 3 + 1;
#ifdef __x86_64__
		__asm__ volatile("movq %0, %%xmm0; movq %0, %%xmm15" : : "r"(pattern));
		make_exit();
		__asm__ volatile("movq %%xmm15, %0" : "=r"(found));
#else
		__asm__ volatile(".arch_extension fp\n fmov d0, %0\n fmov d31, %0"
				 :
				 : "r"(pattern));
		make_exit();
		__asm__ volatile(".arch_extension fp\n fmov %0, d31" : "=r"(found));
#endif
		check(found == pattern, "a vector register is 0x%lx after exit %d", found, i);
	}
}

TEST(cpu_registers_kept, "AVP-CPU-014", .limit_ms = 30000)
{
	uint64_t flagged = 0;

	for (uint64_t i = 0; i < EXITS; i++) {
#ifdef __x86_64__
		uint64_t wrong = 0;

		/*
		 * Checks all registers except the stack pointer over a CPUID exit and a port exit.
		 */
		__asm__ volatile("mov %1, %%rsi\n mov %1, %%rdi\n mov %1, %%r8\n mov %1, %%r9\n"
				 "mov %1, %%r10\n mov %1, %%r11\n mov %1, %%r12\n mov %1, %%r13\n"
				 "mov %1, %%r14\n mov %1, %%r15\n"
				 "xor %%eax, %%eax\n xor %%ecx, %%ecx\n cpuid\n"
				 "mov $0x80, %%edx\n out %%al, %%dx\n"
				 "mov %%rsi, %%rax\n cmp %%rdi, %%rax\n jne 1f\n"
				 "cmp %%r8, %%rax\n jne 1f\n cmp %%r9, %%rax\n jne 1f\n"
				 "cmp %%r10, %%rax\n jne 1f\n cmp %%r11, %%rax\n jne 1f\n"
				 "cmp %%r12, %%rax\n jne 1f\n cmp %%r13, %%rax\n jne 1f\n"
				 "cmp %%r14, %%rax\n jne 1f\n cmp %%r15, %%rax\n je 2f\n"
				 "1: incq %0\n"
				 "2:\n"
				 : "+m"(wrong)
				 : "m"(i)
				 : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
				   "r11", "r12", "r13", "r14", "r15", "cc");
		flagged += wrong;
#else
		register uint64_t x19 __asm__("x19") = i;
		register uint64_t x22 __asm__("x22") = ~i;
		register uint64_t x28 __asm__("x28") = i * 3;

		__asm__ volatile("" : "+r"(x19), "+r"(x22), "+r"(x28));
		make_exit();
		__asm__ volatile("" : "+r"(x19), "+r"(x22), "+r"(x28));
		flagged += x19 != i || x22 != ~i || x28 != i * 3;
#endif
	}
	check(flagged == 0, "registers changed in %lu of %u exits", flagged, EXITS);
}

static void cause_undefined(void *argument)
{
	(void)argument;
#ifdef __x86_64__
	__asm__ volatile("ud2");
#else
	__asm__ volatile(".inst 0x00000000");
#endif
}

static void cause_breakpoint(void *argument)
{
	(void)argument;
#ifdef __x86_64__
	__asm__ volatile("int3");
#else
	__asm__ volatile("brk #1");
#endif
}

static void cause_divide(void *argument)
{
	(void)argument;
#ifdef __x86_64__
	__asm__ volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; mov $1, %%eax; div %%ecx"
			 :
			 :
			 : "eax", "ecx", "edx", "cc");
#endif
}

/* Beyond what any page table maps. */
#define UNMAPPED UINT64_C(0x0000600000000000)

static void cause_memory(void *argument)
{
	*(volatile uint32_t *)argument = 1;
}

TEST(cpu_exceptions, "AVP-CPU-018")
{
	struct fault fault;

	check(fault_catch(cause_undefined, NULL, &fault),
	      "an undefined instruction raises nothing");
	check(arch_fault_cause(&fault) == FAULT_UNDEFINED, "an undefined instruction raises 0x%lx",
	      fault.kind);
	check(fault_catch(cause_breakpoint, NULL, &fault), "a breakpoint raises nothing");
	check(arch_fault_cause(&fault) == FAULT_BREAKPOINT, "a breakpoint raises 0x%lx",
	      fault.kind);
	check(fault_catch(cause_memory, (void *)UNMAPPED, &fault),
	      "a write to an unmapped address raises nothing");
	check(arch_fault_cause(&fault) == FAULT_MEMORY && fault.address == UNMAPPED,
	      "a write to 0x%lx raises 0x%lx with address 0x%lx", UNMAPPED, fault.kind,
	      fault.address);
	if (ARCH_X86) {
		check(fault_catch(cause_divide, NULL, &fault), "a division by zero raises nothing");
		check(arch_fault_cause(&fault) == FAULT_DIVIDE, "a division by zero raises 0x%lx",
		      fault.kind);
	}
}

static volatile bool woken;

static void wake(void)
{
	woken = true;
}

TEST(cpu_halt_wakes, "AVP-CPU-023", .limit_ms = 20000)
{
	for (int i = 0; i < 50; i++) {
		uint64_t deadline = arch_ticks() + ns_to_ticks(500000 + random_number() % 500000);

		woken = false;
		timer_request(deadline, wake);
		while (!woken) {
			arch_interrupts_off();
			if (woken) {
				arch_interrupts_on();
				break;
			}
			arch_wait();
		}
		check(arch_ticks() >= deadline, "the timer fired too early");
	}
}

static volatile uint64_t counter;

static void count_up(void *argument)
{
	for (uint64_t i = 0; i < (uint64_t)(uintptr_t)argument; i++)
		__atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&arrived[0], 1, __ATOMIC_SEQ_CST);
}

TEST(cpu_atomics, "AVP-CPU-025", .cpus = 2, .limit_ms = 30000)
{
	const uint64_t turns = 100000;

	counter = arrived[0] = 0;
	for (unsigned int i = 1; i < machine.cpu_count; i++)
		start(i, count_up, (void *)(uintptr_t)turns);
	for (uint64_t i = 0; i < turns; i++)
		__atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
	check(wait_until(arrived[0] == machine.cpu_count - 1, 20000),
	      "not all processors finished");
	check(counter == turns * machine.cpu_count, "%lu of %lu atomic additions took effect",
	      counter, turns * machine.cpu_count);
}

static void spin(void *argument)
{
	while (!cpus_stop)
		arrived[(uintptr_t)argument]++;
}

TEST(cpu_spin_progress, "AVP-CPU-026", .cpus = 2, .limit_ms = 30000)
{
	cpus_stop = false;
	for (unsigned int i = 1; i < machine.cpu_count; i++) {
		arrived[i] = 0;
		start(i, spin, (void *)(uintptr_t)i);
	}
	for (int round = 0; round < 5; round++) {
		uint64_t before[CPUS_MAX];

		for (unsigned int i = 1; i < machine.cpu_count; i++)
			before[i] = arrived[i];
		for (unsigned int i = 1; i < machine.cpu_count; i++)
			check(wait_until(arrived[i] != before[i], SECOND_MS),
			      "processor %u makes no progress in a second", i);
	}
	cpus_stop = true;
}

/* Work of a known number of instructions, on any processor. */
static void work(void)
{
	for (volatile uint32_t i = 0; i < WORK_TURNS; i++)
		;
}

#ifdef __x86_64__
#define PERFORMANCE_LEAF   10
#define MSR_COUNTER	   0xc1
#define MSR_EVENT	   0x186
#define MSR_GLOBAL_CONTROL 0x38f
#define AMD_EXTENDED	   (1u << 23)
#define MSR_AMD_EVENT	   0xc0010200
#define MSR_AMD_COUNTER	   0xc0010201
#define COUNT_INSTRUCTIONS (UINT64_C(0xc0) | 1 << 16 | 1 << 17 | 1 << 22)

static uint64_t count_instructions(void)
{
	struct cpuid leaf = {0};
	uint32_t event = MSR_EVENT, result = MSR_COUNTER;
	uint64_t before;

	if (x86_cpuid(0, 0).eax >= PERFORMANCE_LEAF)
		leaf = x86_cpuid(PERFORMANCE_LEAF, 0);
	if ((leaf.eax & 0xff) == 0 || leaf.ebx & 2) {
		if (x86_cpuid(0x80000000, 0).eax < 0x80000001 ||
		    !(x86_cpuid(0x80000001, 0).ecx & AMD_EXTENDED))
			skip("CPUID reports no counters");
		event = MSR_AMD_EVENT;
		result = MSR_AMD_COUNTER;
	} else if ((leaf.eax & 0xff) >= 2) {
		x86_write_msr(MSR_GLOBAL_CONTROL, 1);
	}
	x86_write_msr(result, 0);
	x86_write_msr(event, COUNT_INSTRUCTIONS);
	before = x86_read_msr(result);
	work();
	before = x86_read_msr(result) - before;
	x86_write_msr(event, 0);
	return before;
}
#else
#define COUNT_CYCLES (UINT64_C(1) << 31)

/* Counts cycles: each instruction takes some. */
static uint64_t count_instructions(void)
{
	uint64_t version = read_register(id_aa64dfr0_el1) >> 8 & 0xf, before;

	if (version == 0 || version == 0xf)
		skip("ID_AA64DFR0_EL1 reports no counters");
	write_register(pmccfiltr_el0, 0);
	write_register(pmcntenset_el0, COUNT_CYCLES);
	write_register(pmcr_el0, read_register(pmcr_el0) | 0x45); /* long, reset, enabled */
	__asm__ volatile("isb" ::: "memory");
	before = read_register(pmccntr_el0);
	work();
	__asm__ volatile("isb" ::: "memory");
	before = read_register(pmccntr_el0) - before;
	write_register(pmcr_el0, read_register(pmcr_el0) & ~UINT64_C(1));
	return before;
}
#endif

TEST(cpu_performance_counters, "AVP-CPU-027", .limit_ms = 20000)
{
	for (int i = 0; i < 10; i++)
		check(count_instructions() > 0, "a counter stands still");
}

static volatile uint64_t marks;

/* A function of its own, with the breakpoint at its first instruction. */
static __attribute__((noinline, noipa)) void leave_mark(void *argument)
{
	(void)argument;
	__atomic_add_fetch(&marks, 1, __ATOMIC_SEQ_CST);
}

#ifdef __x86_64__
#define BREAKPOINT_KIND 1 /* #DB */
#define BREAKPOINT_ON	0x401
#define BREAKPOINT_OFF	0x400

static void set_breakpoint(uint64_t address, bool on)
{
	__asm__ volatile("mov %0, %%dr0\n mov %1, %%dr6\n mov %2, %%dr7"
			 :
			 : "r"(address), "r"(UINT64_C(0)),
			   "r"(on ? UINT64_C(BREAKPOINT_ON) : UINT64_C(BREAKPOINT_OFF)));
}

static bool breakpoint_kept(uint64_t address)
{
	uint64_t linear, control;

	__asm__ volatile("mov %%dr0, %0\n mov %%dr7, %1" : "=r"(linear), "=r"(control));
	return linear == address && control == BREAKPOINT_ON;
}
#else
#define BREAKPOINT_KIND 0x31  /* from the same exception level */
#define BREAKPOINT_ON	0x1e3 /* four bytes, at EL1 */
#define MONITOR_DEBUG	(UINT64_C(1) << 15)
#define KERNEL_DEBUG	(UINT64_C(1) << 13)

static void set_breakpoint(uint64_t address, bool on)
{
	write_register(oslar_el1, 0);
	write_register(dbgbvr0_el1, address);
	write_register(dbgbcr0_el1, on ? BREAKPOINT_ON : 0);
	write_register(mdscr_el1, on ? MONITOR_DEBUG | KERNEL_DEBUG : 0);
	if (on)
		__asm__ volatile("isb; msr daifclr, 8" ::: "memory");
	else
		__asm__ volatile("isb; msr daifset, 8" ::: "memory");
}

static bool breakpoint_kept(uint64_t address)
{
	return read_register(dbgbvr0_el1) == address && read_register(dbgbcr0_el1) == BREAKPOINT_ON;
}
#endif

TEST(cpu_debug, "AVP-CPU-028", .limit_ms = 20000)
{
	uint64_t address = (uint64_t)leave_mark;
	bool stopped = false, kept = false;
	struct fault fault = {0};

	marks = 0;
	for (int i = 0; i < 50; i++) {
		set_breakpoint(address, true);
		for (int exits = 0; exits < 20; exits++)
			make_exit();
		kept = breakpoint_kept(address);
		stopped = fault_catch(leave_mark, NULL, &fault);
		set_breakpoint(address, false);
		check(kept, "an exit changed the breakpoint's registers, the %dth time", i + 1);
		check(stopped, "the breakpoint raises nothing, the %dth time", i + 1);
		check(fault.kind == BREAKPOINT_KIND && fault.pc == address,
		      "it raises 0x%lx at 0x%lx", fault.kind, fault.pc);
	}
	check(marks == 0, "the instruction at the breakpoint was executed");
	/*
	 * Where no breakpoint is set nothing stops: an exception there would be noted as a failure.
	 */
	for (unsigned int i = 1; i < machine.cpu_count; i++) {
		set_breakpoint(address, true);
		marks = 0;
		start(i, leave_mark, NULL);
		stopped = !wait_until(marks == 1, SECOND_MS);
		set_breakpoint(address, false);
		check(!stopped, "processor %u was stopped by the first one's breakpoint", i);
	}
}

TEST(cpu_exit_cost, "AVP-CPU-030", .limit_ms = 20000)
{
	static struct distribution distribution;

	distribution_start(&distribution);
	for (int i = 0; i < 1000; i++) {
		uint64_t from = arch_ticks();

#ifdef __x86_64__
		x86_cpuid(0, 0);
#else
		arm64_call(PSCI_VERSION, 0, 0, 0);
#endif
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from));
	}
	distribution_report(&distribution, ARCH_X86 ? "cpu_exit_cpuid" : "cpu_exit_hypercall",
			    "ns");
	if (device_count == 0)
		return;
	distribution_start(&distribution);
	for (int i = 0; i < 1000; i++) {
		uint64_t from = arch_ticks();

		devices[0].ops->status(&devices[0]);
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from));
	}
	distribution_report(&distribution, "cpu_exit_register", "ns");
}

#ifdef __x86_64__
TEST(cpu_sipi_state, "AVP-CPU-005", .profile = "x86-64", .cpus = 2)
{
	/* The trampoline stores the segment in which it was entered. */
	arrived[1] = 0;
	start(1, arrive, (void *)1);
	for (uint64_t page = 0x8000; page < 0x90000; page += PAGE_SIZE)
		if (*(volatile uint32_t *)(page + 0xff4) == 0x1234) {
			check(*(volatile uint16_t *)(page + 0xff0) == page >> 4,
			      "entered with CS 0x%x at page 0x%lx",
			      *(volatile uint16_t *)(page + 0xff0), page);
			return;
		}
	fail("the trampoline was not entered in real mode");
}

TEST(cpu_hypervisor_bit, "AVP-CPU-015", .profile = "x86-64")
{
	check(x86_cpuid(1, 0).ecx >> 31, "CPUID 1 does not report the hypervisor bit");
}

static void touch_msr(void *argument)
{
	const uint32_t *number = argument;

	if (number[1])
		x86_write_msr(number[0], 0);
	else
		x86_read_msr(number[0]);
}

TEST(cpu_unknown_msr, "AVP-CPU-016", .profile = "x86-64")
{
	static const uint32_t numbers[] = {0x2000, 0x12345678, 0x40ffffff, 0xc0008888, 0xffffffff};
	struct fault fault;

	for (unsigned int i = 0; i < 5; i++)
		for (uint32_t write = 0; write < 2; write++) {
			uint32_t argument[2] = {numbers[i], write};

			if (fault_catch(touch_msr, argument, &fault))
				check(fault.kind == 13, "MSR 0x%x raises 0x%lx", numbers[i],
				      fault.kind);
		}
}

static void hypercall(void *argument)
{
	uint64_t number = *(uint64_t *)argument;

	if (text_starts(machine.hypervisor, "AuthenticAMD") || x86_cpuid(0, 0).ecx == 0x444d4163)
		__asm__ volatile("vmmcall" : "+a"(number) : : "memory");
	else
		__asm__ volatile("vmcall" : "+a"(number) : : "memory");
	*(uint64_t *)argument = number;
}

TEST(cpu_unknown_hypercall_x86, "AVP-CPU-020", .profile = "x86-64")
{
	uint64_t number = 0x7fff0001;
	struct fault fault;

	if (!fault_catch(hypercall, &number, &fault))
		check((int64_t)number < 0, "an unknown hypercall returns 0x%lx", number);
}
#else
TEST(cpu_context, "AVP-CPU-004", .profile = "arm64", .cpus = 2)
{
	/* The processor found its stack by the context: otherwise it could not arrive. */
	arrived[1] = 0;
	start(1, arrive, (void *)1);
	check(wait_until(arrived[1] == 1, SECOND_MS), "the processor does not start");
}

#define INVALID_PARAMETERS (-2)
#define ALREADY_ON	   (-4)
#define ON_PENDING	   (-5)
#define INVALID_ADDRESS	   (-9)
#define NOT_SUPPORTED	   (-1)

TEST(cpu_on_already, "AVP-CPU-006", .profile = "arm64")
{
	int64_t code = arm64_call(PSCI_CPU_ON, machine.cpu_ids[0], 0x40000000, 0);

	check(code == ALREADY_ON, "CPU_ON of the running processor returns %ld", code);
	if (machine.cpu_count < 2)
		return;
	cpus_stop = false;
	start(1, spin, (void *)1);
	code = arm64_call(PSCI_CPU_ON, machine.cpu_ids[1], 0x40000000, 0);
	cpus_stop = true;
	check(code == ALREADY_ON || code == ON_PENDING, "CPU_ON of a started processor returns %ld",
	      code);
}

TEST(cpu_on_invalid, "AVP-CPU-007", .profile = "arm64")
{
	int64_t code = arm64_call(PSCI_CPU_ON, UINT64_C(0xff00ffffff), 0x40000000, 0);

	check(code == INVALID_PARAMETERS, "CPU_ON of an unknown processor returns %ld", code);
}

TEST(cpu_affinity_info, "AVP-CPU-009", .profile = "arm64", .cpus = 2)
{
	int64_t code = arm64_call(PSCI_AFFINITY_INFO, machine.cpu_ids[0], 0, 0);

	check(code == 0, "AFFINITY_INFO of the running processor is %ld", code);
	cpus_stop = false;
	start(1, spin, (void *)1);
	code = arm64_call(PSCI_AFFINITY_INFO, machine.cpu_ids[1], 0, 0);
	cpus_stop = true;
	check(code == 0, "AFFINITY_INFO of a started processor is %ld", code);
	check(wait_until(cpu_is_off(1), SECOND_MS), "AFFINITY_INFO does not become OFF");
}

TEST(cpu_last_off, "AVP-CPU-010", .profile = "arm64", .cpus = 2)
{
	start_each();
	check(wait_until(cpu_is_off(1), SECOND_MS), "still on");
	sleep_ms(5);
	make_exit();
}

static void touch_unknown(void *argument)
{
	(void)argument;
	(void)read_register(s3_7_c15_c15_7);
}

TEST(cpu_unknown_sysreg, "AVP-CPU-017", .profile = "arm64")
{
	struct fault fault;

	check(fault_catch(touch_unknown, NULL, &fault), "an unimplemented register can be read");
	check(arch_fault_cause(&fault) == FAULT_UNDEFINED,
	      "reading it raises exception class 0x%lx", fault.kind);
}

TEST(cpu_unknown_hypercall, "AVP-CPU-019", .profile = "arm64")
{
	static const uint64_t numbers[] = {0x8400001f, 0xc400ffff, 0x86000fff, 0x12345678};

	if (!arm64_platform.has_psci)
		skip("no conduit is described");
	for (unsigned int i = 0; i < 4; i++) {
		int64_t code = arm64_call(numbers[i], 1, 2, 3);

		check(code == NOT_SUPPORTED, "function 0x%lx returns %ld", numbers[i], code);
	}
}

TEST(cpu_psci_version, "AVP-CPU-021", .profile = "arm64")
{
	int64_t version;

	if (!arm64_platform.has_psci)
		skip("PSCI is not described");
	version = arm64_call(PSCI_VERSION, 0, 0, 0);
	check(version >= 0x10000, "PSCI_VERSION returns 0x%lx", version);
}

TEST(cpu_psci_features, "AVP-CPU-022", .profile = "arm64")
{
	static const uint32_t mandatory[] = {PSCI_VERSION,	PSCI_CPU_SUSPEND,   PSCI_CPU_OFF,
					     PSCI_CPU_ON,	PSCI_AFFINITY_INFO, PSCI_SYSTEM_OFF,
					     PSCI_SYSTEM_RESET, PSCI_FEATURES};

	if (!arm64_platform.has_psci)
		skip("PSCI is not described");
	for (unsigned int i = 0; i < 8; i++) {
		int64_t code = arm64_call(PSCI_FEATURES, mandatory[i], 0, 0);

		check(code >= 0, "PSCI_FEATURES of 0x%x returns %ld", mandatory[i], code);
	}
	check(arm64_call(PSCI_FEATURES, 0x8400001f, 0, 0) == NOT_SUPPORTED,
	      "PSCI_FEATURES reports an unknown function as supported");
}
#endif

/* Tests that end the guest run only on request: with the word fatal=1. */
static void need_fatal(void)
{
	if (!option_number("fatal", 0))
		skip("it ends the guest: add fatal=1 to the command line to run it");
}

TEST(cpu_triple_fault, "AVP-CPU-029")
{
	need_fatal();
#ifdef __x86_64__
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing;

	__asm__ volatile("lidt %0; int3" : : "m"(nothing));
#else
	write_register(vbar_el1, 0);
	__asm__ volatile("isb; brk #0");
#endif
	fail("the guest still runs");
}

/* A processor that loops forever in exceptions raised by their own handler. */
#ifdef __x86_64__
static void loop_in_exceptions(void *argument)
{
	static struct {
		uint32_t reserved;
		uint64_t stacks[3], reserved2, other_stacks[7];
		uint8_t rest[12];
	} __attribute__((packed)) task;
	static uint64_t descriptors[6], gates[32][2];
	static uint8_t stack[512] __attribute__((aligned(16)));
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = {sizeof(descriptors) - 1, (uint64_t)descriptors},
				  vectors = {sizeof(gates) - 1, (uint64_t)gates};
	extern const uint64_t gdt[4];
	uint64_t base = (uint64_t)&task, handler;

	(void)argument;
	for (unsigned int i = 0; i < 4; i++)
		descriptors[i] = gdt[i];
	descriptors[4] = (sizeof(task) - 1) | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
			 (base >> 24 & 0xff) << 56;
	descriptors[5] = base >> 32;
	/* On a stack that begins at the same address each time, so that it never overflows. */
	task.other_stacks[0] = (uint64_t)(stack + sizeof(stack));
	__asm__ volatile("lea 1f(%%rip), %0\n jmp 2f\n1: ud2\n2:" : "=r"(handler));
	gates[6][0] = (handler & 0xffff) | 0x18 << 16 | UINT64_C(0x8e01) << 32 |
		      (handler >> 16 & 0xffff) << 48;
	gates[6][1] = handler >> 32;
	__asm__ volatile("lgdt %0\n ltr %w1\n lidt %2"
			 :
			 : "m"(table), "r"(0x20), "m"(vectors)
			 : "memory");
	marks = 1;
	__asm__ volatile("ud2");
}
#else
static void loop_in_exceptions(void *argument)
{
	(void)argument;
	write_register(vbar_el1, UNMAPPED);
	__asm__ volatile("isb" ::: "memory");
	marks = 1;
	__asm__ volatile("brk #0");
}
#endif

TEST(cpu_exception_loop, "AVP-CPU-029", .cpus = 2, .limit_ms = 60000)
{
	struct dut dut;
	uint32_t nothing = 0;

	/* Only a reset brings the processor back, and it must still work. */
	if (reboot_resume(&nothing, sizeof(nothing)))
		return;
	reboot_store(&nothing, sizeof(nothing));
	marks = 0;
	start(1, loop_in_exceptions, NULL);
	check(wait_until(marks == 1, SECOND_MS), "processor 1 does not arrive");
	for (int i = 0; i < 20; i++)
		sleep_ms(10);
	for (unsigned int n = 0; n < 16 && dut_get(n, TRANSPORT_ANY, 0, &dut); n++)
		dut_must_recover(&dut, "while a processor loops in exceptions");
	reboot_reset();
}

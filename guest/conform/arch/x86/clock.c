// SPDX-License-Identifier: BSD-3-Clause
/*
 * The time stamp counter and its frequency: from CPUID, a hypervisor's CPUID leaf or clock, else
 * measured against the ACPI timer or the 8254; and the local APIC timer, in TSC-deadline mode if
 * available.
 */
#include "arch/arch.h"
#include "arch/x86/x86.h"
#include "pages.h"
#include "text.h"

#define MSR_TSC_DEADLINE 0x6e0
#define MSR_KVM_CLOCK	 0x4b564d01
#define PM_TIMER_HZ	 3579545u
#define PIT_HZ		 1193182u
#define TIMER_DEADLINE	 (2 << 17)
#define MASKED		 (1 << 16)

static uint64_t frequency, apic_frequency;
static const char *source = "guess";
static bool deadlines;

/* What KVM writes into the page that MSR_KVM_CLOCK names (Documentation/virt/kvm/x86/msr.rst). */
struct kvm_clock {
	uint32_t version, padding;
	uint64_t tsc, system;
	uint32_t multiplier;
	int8_t shift;
	uint8_t flags, more[2];
} __attribute__((packed));

static struct kvm_clock kvm_clock __attribute__((aligned(4096)));

uint64_t arch_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

uint64_t arch_ticks_per_second(void)
{
	return frequency;
}

const char *arch_clock_source(void)
{
	return source;
}

static uint64_t from_cpuid(void)
{
	struct cpuid leaf = x86_cpuid(0, 0);

	if (leaf.eax < 0x15)
		return 0;
	leaf = x86_cpuid(0x15, 0);
	if (!leaf.eax || !leaf.ebx || !leaf.ecx)
		return 0;
	return (uint64_t)leaf.ecx * leaf.ebx / leaf.eax;
}

static uint64_t from_hypervisor(void)
{
	struct cpuid leaf = x86_cpuid(0x40000000, 0);

	if (leaf.eax < 0x40000010 || leaf.eax > 0x400000ff)
		return 0;
	return (uint64_t)x86_cpuid(0x40000010, 0).eax * 1000;
}

bool x86_has_kvm_clock(void)
{
	return text_starts(machine.hypervisor, "KVMKVMKVM") &&
	       x86_cpuid(0x40000001, 0).eax & 1 << 3;
}

static uint64_t from_kvm_clock(void)
{
	uint64_t scaled;

	if (!x86_has_kvm_clock())
		return 0;
	x86_write_msr(MSR_KVM_CLOCK, (uint64_t)&kvm_clock | 1);
	for (int i = 0; i < 1000 && !*(volatile uint32_t *)&kvm_clock.multiplier; i++)
		x86_cpuid(0, 0);
	if (!kvm_clock.multiplier)
		return 0;
	/* ns = (tsc << shift) * multiplier >> 32 */
	scaled = (UINT64_C(1000000000) << 32) / kvm_clock.multiplier;
	scaled = kvm_clock.shift < 0 ? scaled << -kvm_clock.shift : scaled >> kvm_clock.shift;
	x86_write_msr(MSR_KVM_CLOCK, 0);
	return scaled;
}

static uint64_t from_pm_timer(void)
{
	const uint16_t port = (uint16_t)x86_platform.timer.address;
	uint32_t start, now = 0;
	uint64_t from, to;

	if (!port)
		return 0;
	start = arch_port_read(port, 4) & 0xffffff;
	from = arch_ticks();
	for (uint32_t i = 0; i < 10000000 && now < PM_TIMER_HZ / 20; i++)
		now = (arch_port_read(port, 4) - start) & 0xffffff;
	to = arch_ticks();
	return now < PM_TIMER_HZ / 20 ? 0 : (to - from) * PM_TIMER_HZ / now;
}

/* Channel 0 counts down from 65536 repeatedly; its interrupt is masked. */
static uint32_t read_pit(void)
{
	uint32_t low;

	arch_port_write(0x43, 0, 1);
	low = arch_port_read(0x40, 1);
	return low | arch_port_read(0x40, 1) << 8;
}

static uint64_t measure_pit(void)
{
	uint32_t start, passed = 0;
	uint64_t from, to;

	arch_port_write(0x43, 0x34, 1);
	arch_port_write(0x40, 0, 1);
	arch_port_write(0x40, 0, 1);
	start = read_pit();
	from = arch_ticks();
	for (uint32_t i = 0; i < 1000000 && passed < PIT_HZ / 100; i++)
		passed = (start - read_pit()) & 0xffff;
	to = arch_ticks();
	return passed < PIT_HZ / 100 ? 0 : (to - from) * PIT_HZ / passed;
}

/* The smallest of several measurements: preemption by the host makes one larger. */
static uint64_t from_pit(void)
{
	uint64_t best = measure_pit();

	for (int i = 0; i < 4 && best; i++) {
		uint64_t again = measure_pit();

		if (again < best)
			best = again;
	}
	return best;
}

void x86_init_clock(void)
{
	static const struct {
		uint64_t (*find)(void);
		const char *name;
	} ways[] = {
		{from_cpuid, "CPUID 0x15"},
		{from_hypervisor, "CPUID 0x40000010"},
		{from_kvm_clock, "kvm-clock"},
		{from_pm_timer, "ACPI timer"},
		{from_pit, "8254"},
	};
	uint32_t start;
	uint64_t from;

	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]) && !frequency; i++) {
		frequency = ways[i].find();
		source = ways[i].name;
	}
	if (frequency < 1000000) {
		frequency = 1000000000;
		source = "guess";
	}
	deadlines = x86_cpuid(1, 0).ecx & 1 << 24;
	/* Measure the frequency of the one-shot timer. */
	x86_apic_write(APIC_DIVIDE, 3);
	x86_apic_write(APIC_TIMER, MASKED | VECTOR_TIMER);
	x86_apic_write(APIC_INITIAL, UINT32_MAX);
	start = x86_apic_read(APIC_CURRENT);
	from = arch_ticks();
	while (arch_ticks() - from < frequency / 50)
		;
	apic_frequency = (uint64_t)(start - x86_apic_read(APIC_CURRENT)) * 50;
	x86_apic_write(APIC_INITIAL, 0);
	if (apic_frequency == 0)
		apic_frequency = 1;
}

void arch_timer_set(uint64_t deadline)
{
	uint64_t now, wait, count;

	if (deadlines) {
		x86_apic_write(APIC_TIMER, TIMER_DEADLINE | VECTOR_TIMER);
		__asm__ volatile("mfence" ::: "memory");
		x86_write_msr(MSR_TSC_DEADLINE, deadline == UINT64_MAX ? 0 :
						deadline	       ? deadline :
									 1);
		return;
	}
	x86_apic_write(APIC_TIMER, VECTOR_TIMER);
	if (deadline == UINT64_MAX) {
		x86_apic_write(APIC_INITIAL, 0);
		return;
	}
	now = arch_ticks();
	wait = deadline > now ? deadline - now : 0;
	if (wait > frequency) /* the interrupt handler sets longer waits again */
		wait = frequency;
	count = wait * (apic_frequency / 1000 + 1) / (frequency / 1000) + 1;
	x86_apic_write(APIC_INITIAL, count > UINT32_MAX ? UINT32_MAX : (uint32_t)count);
}

/* The time of day */

#define CMOS_INDEX	0x70
#define CMOS_DATA	0x71
#define CMOS_UPDATING	0x80
#define KVM_FEATURES	0x40000001
#define KVM_CLOCK	(1u << 3)
#define MSR_KVM_WALL	0x4b564d00
#define FADT_BOOT_FLAGS 109
#define FADT_NO_CMOS	(1u << 5)

static uint32_t read_cmos(uint8_t index)
{
	uint32_t value;

	arch_port_write(CMOS_INDEX, index, 1);
	value = arch_port_read(CMOS_DATA, 1);
	return index >= 0xa ? value : (value >> 4) * 10 + (value & 0xf);
}

/* Seconds of a calendar whose months all have 31 days: good for differences of a few seconds. */
static uint64_t read_cmos_ms(void)
{
	uint64_t seconds[2] = {0, 1};

	if (x86_platform.fadt && x86_platform.fadt_length > FADT_BOOT_FLAGS + 1 &&
	    *(const uint8_t *)(x86_platform.fadt + FADT_BOOT_FLAGS) & FADT_NO_CMOS)
		return 0;
	/* Two equal values: no update happened in between. */
	for (int i = 0; i < 1000 && seconds[0] != seconds[1]; i++) {
		if (read_cmos(0xa) & CMOS_UPDATING)
			continue;
		seconds[i & 1] =
			(((read_cmos(9) * UINT64_C(12) + read_cmos(8)) * 31 + read_cmos(7)) * 24 +
			 read_cmos(4)) *
				3600 +
			read_cmos(2) * 60 + read_cmos(0);
	}
	if (read_cmos(8) < 1 || read_cmos(8) > 12)
		return 0;
	return seconds[0] * 1000;
}

/* KVM's clock (Documentation/virt/kvm/x86/msr.rst): the wall time at boot plus the time since. */
static uint64_t read_kvm_ms(void)
{
	static volatile struct {
		uint32_t version, seconds, nanoseconds;
	} wall __attribute__((aligned(16)));
	uint64_t delta, ns;

	x86_write_msr(MSR_KVM_WALL, (uint64_t)&wall);
	x86_write_msr(MSR_KVM_CLOCK, (uint64_t)&kvm_clock | 1);
	/* KVM writes both before it resumes the guest. */
	__asm__ volatile("" ::: "memory");
	delta = arch_ticks() - kvm_clock.tsc;
	delta = kvm_clock.shift < 0 ? delta >> -kvm_clock.shift : delta << kvm_clock.shift;
	ns = kvm_clock.system + (uint64_t)((unsigned __int128)delta * kvm_clock.multiplier >> 32);
	x86_write_msr(MSR_KVM_CLOCK, 0);
	return wall.seconds ? wall.seconds * UINT64_C(1000) + (wall.nanoseconds + ns) / 1000000 : 0;
}

uint64_t arch_wall_ms(unsigned int *step_ms)
{
	if (text_starts(machine.hypervisor, "KVMKVMKVM") &&
	    x86_cpuid(KVM_FEATURES, 0).eax & KVM_CLOCK) {
		*step_ms = 1;
		return read_kvm_ms();
	}
	*step_ms = 1000;
	return read_cmos_ms();
}

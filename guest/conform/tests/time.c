// SPDX-License-Identifier: BSD-3-Clause
/* Chapter time: counter and timers. */
#include "report.h"
#include "test.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"
#else
#include "arch/arm64/arm64.h"
#endif

static volatile uint64_t fired_at, fired;
static volatile bool ready;
static volatile uint64_t shared;

static void note(void)
{
	fired_at = arch_ticks();
	fired++;
}

TEST(time_monotonic, "AVP-TIME-001", .limit_ms = 15000)
{
	uint64_t last = arch_ticks(), until = last + ns_to_ticks(300000000);

	while (last < until) {
		uint64_t now = arch_ticks();

		check(now >= last, "the counter went back from %lu to %lu", last, now);
		last = now;
	}
	for (int i = 0; i < 50; i++) {
		uint64_t now;

		sleep_ms(1);
		now = arch_ticks();
		check(now >= last, "the counter went back from %lu to %lu over a wait", last, now);
		last = now;
	}
}

/* Two processors take turns: each reads the counter, which must not be before the other's value. */
static void take_turns(void *argument)
{
	(void)argument;
	ready = true;
	while (!cpus_stop) {
		uint64_t seen = shared, now;

		if (!(seen & 1))
			continue;
		now = arch_ticks();
		shared = now < seen >> 1 ? UINT64_MAX - 1 : now << 1;
	}
}

TEST(time_cpus_agree, "AVP-TIME-002", .cpus = 2, .limit_ms = 20000)
{
	for (unsigned int cpu = 1; cpu < machine.cpu_count; cpu++) {
		int64_t code;
		bool good = true, alive = true;
		/* A busy host takes milliseconds for each turn: fewer turns will do then. */
		uint64_t answer = 0, now = 0, enough = arch_ticks() + ns_to_ticks(5000000000);

		cpus_stop = ready = false;
		shared = 0;
		check(cpu_start(cpu, take_turns, NULL, &code), "processor %u does not start", cpu);
		check(wait_until(ready, 1000), "processor %u does not arrive", cpu);
		for (int i = 0; i < 2000 && good && alive && (i < 100 || now < enough); i++) {
			now = arch_ticks();
			shared = now << 1 | 1;
			alive = wait_until(!(shared & 1), 1000);
			answer = shared;
			now = arch_ticks();
			good = answer != UINT64_MAX - 1 && answer >> 1 <= now;
		}
		cpus_stop = true;
		check(alive, "processor %u does not answer", cpu);
		check(answer != UINT64_MAX - 1, "processor %u is behind the first", cpu);
		check(good, "processor %u is ahead of the first by %lu ns or more", cpu,
		      ticks_to_ns((answer >> 1) - now));
		wait_until(cpu_is_off(cpu), 1000);
		cpu_stop_all();
	}
}

TEST(time_timer_fires, "AVP-TIME-006", .limit_ms = 15000)
{
	for (int i = 0; i < 50; i++) {
		uint64_t deadline = arch_ticks() + ns_to_ticks(100000 + random_number() % 2000000);
		uint64_t before = fired;

		timer_request(deadline, note);
		check(wait_until(fired != before, 1000), "timer %d does not fire", i + 1);
		check(fired_at >= deadline, "timer %d fired %lu ns early", i + 1,
		      ticks_to_ns(deadline - fired_at));
	}
}

TEST(time_timer_past, "AVP-TIME-007")
{
	for (int i = 0; i < 20; i++) {
		uint64_t before = fired;

		timer_request(arch_ticks() - ns_to_ticks(1000000), note);
		check(wait_until(fired != before, 1000), "a timer in the past does not fire");
	}
}

/*
 * Sets a timer, then another one, or none, in its place. Returns false if the first one's time came
 * in between.
 */
static bool set_instead(unsigned int ms, uint64_t instead, void (*handler)(void))
{
	uint64_t early = arch_ticks() + ns_to_ticks((uint64_t)ms * 1000000);

	timer_request(early, note);
	timer_request(instead, handler);
	return arch_ticks() < early;
}

TEST(time_timer_cancel, "AVP-TIME-008")
{
	unsigned int rounds = 0;

	/* A round proves nothing if the host did not run this processor for so long. */
	for (int i = 0; i < 40 && rounds < 10; i++) {
		uint64_t before = fired, later;
		bool counts = set_instead(5, UINT64_MAX, NULL);

		sleep_ms(8);
		check(!counts || fired == before, "a timer that was cancelled fired");
		before = fired;
		later = arch_ticks() + ns_to_ticks(6000000);
		counts = set_instead(2, later, note) && counts;
		check(wait_until(fired != before, 1000),
		      "a timer that was set again does not fire");
		check(!counts || (fired_at >= later && fired == before + 1),
		      "a timer that was set again fired at its old time");
		/* If the first time came in between, let the second timer fire as well. */
		sleep_ms(counts ? 0 : 8);
		rounds += counts;
	}
	if (rounds == 0)
		cannot_judge("the host did not run the processor for milliseconds each time");
}

TEST(time_timer_far, "AVP-TIME-009")
{
	uint64_t before = fired;

	timer_request(UINT64_MAX - 1, note);
	sleep_ms(20);
	check(fired == before, "a timer at the largest counter value fired");
	timer_request(arch_ticks() + ns_to_ticks(1000000), note);
	check(wait_until(fired != before, 1000), "the timer no longer fires");
}

TEST(time_periodic_drift, "AVP-TIME-014", .limit_ms = 30000)
{
	uint64_t spacing = ns_to_ticks(1000000), next = arch_ticks() + spacing, before = fired;

	for (int i = 0; i < 1000; i++) {
		timer_request(next, note);
		check(wait_until(fired == before + (uint64_t)i + 1, 1000),
		      "timer %d of 1000 did not fire", i + 1);
		next += spacing;
	}
	sleep_ms(3);
	check(fired == before + 1000, "%lu timers of 1000 fired", fired - before);
}

TEST(time_lateness, "AVP-TIME-015", .limit_ms = 30000)
{
	static struct distribution distribution;

	distribution_start(&distribution);
	for (int i = 0; i < 1000; i++) {
		uint64_t deadline = arch_ticks() + ns_to_ticks(500000), before = fired;

		timer_request(deadline, note);
		check(wait_until(fired != before, 1000), "a timer did not fire");
		distribution_add(&distribution,
				 fired_at > deadline ? ticks_to_ns(fired_at - deadline) : 0);
	}
	distribution_report(&distribution, "time_lateness", "ns");
}

TEST(time_read_cost, "AVP-TIME-016")
{
	static struct distribution distribution;

	distribution_start(&distribution);
	for (int i = 0; i < 500; i++) {
		uint64_t from = arch_ticks();

		for (int n = 0; n < 100; n++)
			arch_ticks();
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from) / 100);
	}
	distribution_report(&distribution, "time_read_cost", "ns");
}

static volatile uint64_t others;

/* Waits some times for its own timer alone, on another processor. */
static void use_own_timer(void *argument)
{
	(void)argument;
	for (int i = 0; i < 20; i++) {
		uint64_t deadline = arch_ticks() + ns_to_ticks(1000000);

		arch_interrupts_off();
		arch_timer_set(deadline);
		arch_wait();
		arch_interrupts_on();
		if (arch_ticks() < deadline)
			return;
	}
	__atomic_add_fetch(&others, 1, __ATOMIC_SEQ_CST);
}

TEST(time_all_timers, "AVP-TIME-013", .cpus = 2, .limit_ms = 20000)
{
	int64_t code;

	others = 0;
	for (unsigned int cpu = 1; cpu < machine.cpu_count; cpu++)
		check(cpu_start(cpu, use_own_timer, NULL, &code), "processor %u does not start",
		      cpu);
	for (int i = 0; i < 20; i++) {
		uint64_t before = fired;

		timer_request(arch_ticks() + ns_to_ticks(700000), note);
		check(wait_until(fired != before, 1000),
		      "the first processor's timer did not fire");
	}
	check(wait_until(others == machine.cpu_count - 1, 5000),
	      "%lu of %u other processors were woken by their timers in time", others,
	      machine.cpu_count - 1);
}

#ifdef __x86_64__
#define PM_TIMER_HZ 3579545u

TEST(time_frequency, "AVP-TIME-003", .limit_ms = 20000)
{
	uint16_t port = (uint16_t)x86_platform.timer.address;
	/* Ticks before and after the first and the last read of the timer. */
	uint64_t from[2], to[2], expected, least, most, allowed;
	uint32_t now, last, total = 0;

	if (!port)
		skip("no second time source is described");
	if (!text_starts(arch_clock_source(), "CPUID") && !text_starts(arch_clock_source(), "kvm"))
		skip("the frequency is not reported: the guest measured it");
	from[0] = arch_ticks();
	last = arch_port_read(port, 4) & 0xffffff;
	from[1] = arch_ticks();
	while (total < PM_TIMER_HZ) {
		to[0] = arch_ticks();
		now = arch_port_read(port, 4) & 0xffffff;
		to[1] = arch_ticks();
		total += (now - last) & 0xffffff;
		last = now;
	}
	expected = (uint64_t)total * 1000000000 / PM_TIMER_HZ;
	/* The host may not run the guest between two reads: the truth is between these. */
	least = ticks_to_ns(to[0] - from[1]);
	most = ticks_to_ns(to[1] - from[0]);
	allowed = expected / 2000 + 1000000;
	check(expected + allowed >= least && expected <= most + allowed,
	      "%lu ns by the ACPI timer are %lu to %lu ns by the counter", expected, least, most);
	if (most - least > expected / 10)
		cannot_judge("a read of the ACPI timer took %lu us", (most - least) / 1000);
}

TEST(time_frequency_known, "AVP-TIME-004", .profile = "x86-64")
{
	bool reported = text_starts(arch_clock_source(), "CPUID") ||
			text_starts(arch_clock_source(), "kvm");

	if (!reported && machine_is_emulated())
		cannot_judge("the emulated processor has no counter of a fixed frequency");
	check(reported, "SHOULD: the frequency is not reported, the guest measured it (%s)",
	      arch_clock_source());
}

TEST(time_invariant, "AVP-TIME-005", .profile = "x86-64")
{
	bool invariant = x86_cpuid(0x80000000, 0).eax >= 0x80000007 &&
			 x86_cpuid(0x80000007, 0).edx & 1 << 8;

	if (!invariant && !x86_has_kvm_clock() && machine_is_emulated())
		cannot_judge("the emulated processor has no invariant counter");
	check(invariant || x86_has_kvm_clock(),
	      "CPUID reports neither an invariant time stamp counter nor kvm-clock");
}

TEST(time_tsc_deadline, "AVP-TIME-012", .profile = "x86-64")
{
	uint64_t before = fired;

	if (!(x86_cpuid(1, 0).ecx & 1 << 24) && machine_is_emulated())
		cannot_judge("the emulated processor has no TSC-deadline mode");
	check(x86_cpuid(1, 0).ecx & 1 << 24, "CPUID does not report TSC-deadline mode");
	timer_request(arch_ticks() + ns_to_ticks(1000000), note);
	check(wait_until(fired != before, 1000), "the timer does not fire in TSC-deadline mode");
}
#else
TEST(time_timer_mask, "AVP-TIME-010", .profile = "arm64")
{
	uint64_t value;

	arch_interrupts_off();
	write_register(cntv_cval_el0, arch_ticks());
	write_register(cntv_ctl_el0, 3); /* enabled, masked */
	__asm__ volatile("isb");
	for (int i = 0; i < 100000 && !(read_register(cntv_ctl_el0) & 4); i++)
		arch_relax();
	value = read_register(cntv_ctl_el0);
	arch_timer_set(arch_ticks());
	arch_interrupts_on();
	check(value & 4, "CNTV_CTL_EL0 is 0x%lx after the timer expired", value);
	value = fired;
	timer_request(arch_ticks(), note);
	check(wait_until(fired != value, 1000), "unmasking a pending timer raises no interrupt");
}

TEST(time_timer_ppi, "AVP-TIME-011", .profile = "arm64")
{
	uint64_t before = fired;

	check(arm64_platform.virtual_timer >= 16 && arm64_platform.virtual_timer < 32,
	      "the virtual timer has interrupt %u in the description",
	      arm64_platform.virtual_timer);
	timer_request(arch_ticks() + ns_to_ticks(1000000), note);
	check(wait_until(fired != before, 1000), "the interrupt does not arrive");
}
#endif

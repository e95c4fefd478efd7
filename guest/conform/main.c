// SPDX-License-Identifier: BSD-3-Clause
/*
 * The runner: reports the machine, runs each test on its own, unwinds one that hangs, reports the
 * verdicts, and switches the machine off.
 */
#include "console.h"
#include "base/contract_version.h"
#include "devices/boot_disk.h"
#include "devices/console_log.h"
#include "devices/watchdog.h"
#include "bus/bus.h"
#include "host.h"
#include "machine.h"
#include "pages.h"
#include "reboot.h"
#include "report.h"
#include "test.h"

#define WAKE_NS	      200000
#define WAKE_AGAIN_NS 10000000
#define SPINS	      4000
#define TURNS_MAX     (UINT64_C(1) << 32)
#define STORM_NS      100000000
#define STORM_COUNT   40000
#define LONG_MS	      1000 /* such tests are logged */
#define MESSAGE_SIZE  480

enum verdict { PASS, FAIL, WEDGED, SKIPPED };

struct machine machine;

static struct {
	bool running;
	void *saved_sp;
	uint64_t deadline, limit; /* ns; 0: noise has extended the deadline */
	enum verdict verdict;
	char message[MESSAGE_SIZE];
	const char *file;
	int line;
} test;

static struct {
	uint64_t watchdog, wake, requested;
	void (*handler)(void);
	volatile uint64_t interrupts;
} timer = {UINT64_MAX, UINT64_MAX, UINT64_MAX, NULL, 0};

static struct {
	void *saved_sp;
	bool catching;
	struct fault fault;
	bool fault_noted;
} processors[CPUS_MAX];

volatile bool cpus_stop;
static volatile bool reporting, dozing;
static volatile unsigned int storms; /* in the running test */
static bool fresh_boot;		     /* only that removes what a test has left behind */
static unsigned int slow = 1;
static uint64_t seed;

void conform_main(void);

/* The machine's description */

void machine_add_range(uint64_t start, uint64_t end, bool usable)
{
	if (machine.range_count < RANGES_MAX && start < end)
		machine.ranges[machine.range_count++] = (struct range){start, end, usable};
}

void machine_add_slot(uint64_t address, uint64_t size, struct interrupt_line line)
{
	for (unsigned int i = 0; i < machine.slot_count; i++)
		if (machine.slots[i].address == address)
			return;
	if (machine.slot_count < SLOTS_MAX)
		machine.slots[machine.slot_count++] = (struct mmio_slot){address, size, line};
}

bool machine_has_memory(uint64_t start, uint64_t size)
{
	for (unsigned int i = 0; i < machine.range_count; i++)
		if (machine.ranges[i].usable && start >= machine.ranges[i].start &&
		    start < machine.ranges[i].end && size <= machine.ranges[i].end - start)
			return true;
	return false;
}

uint64_t machine_memory_size(void)
{
	uint64_t size = 0;

	for (unsigned int i = 0; i < machine.range_count; i++)
		if (machine.ranges[i].usable)
			size += machine.ranges[i].end - machine.ranges[i].start;
	return size;
}

bool machine_is_emulated(void)
{
	return text_starts(machine.hypervisor, "TCGTCGTCGTCG");
}

#define RESET_VECTOR UINT64_C(0xffff0)
#define FAR_JUMP     0xea

bool machine_firmware_ran(void)
{
	return machine.has_firmware || (ARCH_X86 && *(volatile uint8_t *)RESET_VECTOR == FAR_JUMP);
}

void machine_end(void)
{
	arch_power_off();
	for (;;)
		arch_wait();
}

/* Time */

uint64_t ticks_to_ns(uint64_t ticks)
{
	uint64_t frequency = arch_ticks_per_second();

	return ticks / frequency * 1000000000 + ticks % frequency * 1000000000 / frequency;
}

uint64_t ns_to_ticks(uint64_t ns)
{
	uint64_t frequency = arch_ticks_per_second();

	return ns / 1000000000 * frequency + ns % 1000000000 * frequency / 1000000000;
}

static void set_timer(void)
{
	uint64_t deadline = timer.watchdog;

	if (timer.wake < deadline)
		deadline = timer.wake;
	if (timer.requested < deadline)
		deadline = timer.requested;
	arch_timer_set(deadline);
}

void timer_interrupt(void)
{
	uint64_t now = arch_ticks();

	timer.interrupts++;
	/*
	 * An interrupt between the last check and the halt would leave the halt without one: rearm.
	 */
	if (timer.wake <= now)
		timer.wake = dozing ? now + ns_to_ticks(WAKE_AGAIN_NS) : UINT64_MAX;
	if (timer.requested <= now) {
		void (*handler)(void) = timer.handler;

		timer.requested = UINT64_MAX;
		if (handler)
			handler();
	}
	/* The test is unwound now, or as soon as its line is written. */
	if (timer.watchdog <= now)
		timer.watchdog = now + ns_to_ticks(1000000);
	set_timer();
}

/*
 * A test that failed, or hung, while the host stalled the guest for very long: nothing can be said
 * about the hypervisor.
 */
static void excuse_by_noise(void)
{
	char message[MESSAGE_SIZE];

	if (!noise_overwhelms())
		return;
	test.verdict = SKIPPED;
	text_format(message, sizeof(message), "%s", test.message);
	text_format(test.message, sizeof(test.message),
		    "environment: the host did not run the guest for %lu ms: %s",
		    noise_ns() / 1000000, message);
}

bool timer_wants_unwinding(struct unwinding *unwinding)
{
	if (!test.running || reporting || arch_ticks() < test.deadline)
		return false;
	if (test.limit) {
		test.deadline += ns_to_ticks(noise_patience(test.limit));
		test.limit = 0;
		return false;
	}
	test.verdict = WEDGED;
	text_format(test.message, sizeof(test.message), "it did not end within its time limit");
	excuse_by_noise();
	*unwinding = (struct unwinding){&test.saved_sp, 1};
	return true;
}

void timer_request(uint64_t deadline, void (*handler)(void))
{
	arch_interrupts_off();
	timer.handler = handler;
	timer.requested = deadline;
	set_timer();
	arch_interrupts_on();
}

bool timer_works(void)
{
	return timer.interrupts > 0;
}

uint64_t limit_ns(unsigned int ms)
{
	return (uint64_t)ms * slow * 1000000;
}

struct deadline deadline_after_ms(unsigned int ms)
{
	return (struct deadline){arch_ticks() + ns_to_ticks(limit_ns(ms)), 0, limit_ns(ms)};
}

static bool has_expired(struct deadline *deadline)
{
	uint64_t more;

	if (arch_ticks() < deadline->end)
		return false;
	if (deadline->limit) {
		more = ns_to_ticks(noise_patience(deadline->limit));
		deadline->limit = 0;
		deadline->end += more;
		test.deadline += more;
	}
	return arch_ticks() >= deadline->end;
}

/*
 * Sleeps a moment, because what we wait for may need this host CPU. A hypervisor that delivers an
 * interrupt between STI and HLT fails the tests for that (cpu_halt_wakes, irq_wake), not every test
 * that waits.
 */
static void doze(void)
{
	uint64_t due, now;

	arch_interrupts_off();
	dozing = true;
	timer.wake = due = arch_ticks() + ns_to_ticks(WAKE_NS);
	set_timer();
	arch_wait();
	dozing = false;
	now = arch_ticks();
	noise_note(now > due ? ticks_to_ns(now - due) : 0);
}

bool deadline_passed(struct deadline *deadline)
{
	deadline->turns++;
	if (deadline->turns > TURNS_MAX)
		return true;
	if (deadline->turns % 64 == 0 && has_expired(deadline))
		return true;
	if (deadline->turns > SPINS && timer_works()) {
		doze();
		return has_expired(deadline);
	}
	arch_relax();
	return false;
}

void sleep_ms(unsigned int ms)
{
	struct deadline deadline = {arch_ticks() + ns_to_ticks((uint64_t)ms * 1000000), SPINS, 0};

	while (!deadline_passed(&deadline))
		;
}

bool storm_detected(struct storm *storm)
{
	uint64_t now = arch_ticks();

	if (now - storm->start > ns_to_ticks(STORM_NS)) {
		storm->start = now;
		storm->count = 0;
	}
	if (++storm->count < STORM_COUNT)
		return false;
	storms++;
	return true;
}

/* Exceptions */

bool fault_catch(void (*function)(void *), void *argument, struct fault *fault)
{
	unsigned int self = cpu_self();
	int result;

	processors[self].catching = true;
	result = guarded_call(&processors[self].saved_sp, function, argument);
	processors[self].catching = false;
	if (result)
		*fault = processors[self].fault;
	return result;
}

struct unwinding fault_taken(const struct fault *fault)
{
	unsigned int self = cpu_self();

	processors[self].fault = *fault;
	if (processors[self].catching) {
		processors[self].catching = false;
		return (struct unwinding){&processors[self].saved_sp, 1};
	}
	if (self != 0) {
		processors[self].fault_noted = true;
		return (struct unwinding){&processors[self].saved_sp, 1};
	}
	if (test.running) {
		test.verdict = FAIL;
		text_format(test.message, sizeof(test.message),
			    "exception 0x%lx (0x%lx) at 0x%lx, address 0x%lx", fault->kind,
			    fault->detail, fault->pc, fault->address);
		return (struct unwinding){&test.saved_sp, 1};
	}
	report_line("exception 0x%lx (0x%lx) at 0x%lx, address 0x%lx, outside of a test",
		    fault->kind, fault->detail, fault->pc, fault->address);
	machine_end();
}

void cpu_run(unsigned int cpu, void (*function)(void *), void *argument)
{
	guarded_call(&processors[cpu].saved_sp, function, argument);
}

/* Tests */

void test_fail(const char *file, int line, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	text_format_list(test.message, sizeof(test.message), format, list);
	va_end(list);
	test.file = file;
	test.line = line;
	test.verdict = FAIL;
	excuse_by_noise();
	unwind(&test.saved_sp, 1);
}

void test_skip(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	text_format_list(test.message, sizeof(test.message), format, list);
	va_end(list);
	test.verdict = SKIPPED;
	unwind(&test.saved_sp, 1);
}

static void call_test(void *argument)
{
	const struct test *entry = argument;

	if (entry->device && !device_find(entry->device, entry->transport))
		skip("no virtio device %u%s", entry->device,
		     entry->transport == TRANSPORT_MMIO ? " on MMIO" :
		     entry->transport == TRANSPORT_PCI	? " on PCI" :
							  "");
	if (!entry->device && entry->transport == TRANSPORT_MMIO && !device_find(0, TRANSPORT_MMIO))
		skip("no virtio device on MMIO");
	if (!entry->device && entry->transport == TRANSPORT_PCI && !device_find(0, TRANSPORT_PCI))
		skip("no virtio device on PCI");
	if (entry->cpus > machine.cpu_count)
		skip("it needs %u processors, the machine has %u", entry->cpus, machine.cpu_count);
	entry->run();
}

/* A hypervisor may lack registers that only one test needs. */
static void restore_processor(void *argument)
{
	(void)argument;
	arch_restore();
}

/*
 * Restores the state before the test, in an order in which nothing that still runs meets what is
 * gone: interrupts are masked, so that a storm of them leaves processors time to stop; devices stop
 * before their memory is used again. What then still runs has kept its memory, or the rest of the
 * tests needs a fresh boot.
 */
static void clean_up(uint64_t mark)
{
	struct fault fault;

	arch_interrupts_off();
	timer.watchdog = timer.wake = timer.requested = UINT64_MAX;
	fault_catch(restore_processor, NULL, &fault);
	interrupt_detach_all();
	arch_interrupts_on();
	fresh_boot |= !cpu_stop_all();
	watchdog_clean_up();
	host_restore();
	if (devices_reset_all() && !fresh_boot)
		pages_release(mark);
	fresh_boot |= pages_short();
	/* What devices or processors raised until they stopped. */
	arch_interrupts_off();
	interrupt_detach_all();
	arch_interrupts_on();
}

void outside_of_tests(void (*function)(void *))
{
	typeof(test) before = test;
	uint64_t mark = pages_mark();

	test.limit = limit_ns(LIMIT_MS);
	timer.watchdog = test.deadline = arch_ticks() + ns_to_ticks(test.limit);
	noise_begin();
	test.running = true;
	guarded_call(&test.saved_sp, function, NULL);
	test.running = false;
	clean_up(mark);
	test = before;
}

static void run_guarded(const struct test *entry)
{
	uint64_t mark = pages_mark();
	unsigned int limit = entry->limit_ms ? entry->limit_ms : LIMIT_MS;

	for (unsigned int i = 0; i < CPUS_MAX; i++)
		processors[i].catching = processors[i].fault_noted = false;
	storms = 0;
	test.verdict = PASS;
	test.file = NULL;
	test.message[0] = 0;
	test.limit = limit_ns(limit);
	test.deadline = arch_ticks() + ns_to_ticks(test.limit);
	noise_begin();
	arch_interrupts_off();
	timer.watchdog = test.deadline;
	set_timer();
	test.running = true;
	arch_interrupts_on();
	guarded_call(&test.saved_sp, call_test, (void *)entry);
	test.running = false;
	clean_up(mark);
	if (storms)
		report_line("note: an interrupt was raised endlessly and was masked");
	for (unsigned int i = 1; i < CPUS_MAX && test.verdict == PASS; i++) {
		const struct fault *fault = &processors[i].fault;

		if (!processors[i].fault_noted)
			continue;
		test.verdict = FAIL;
		text_format(test.message, sizeof(test.message),
			    "exception 0x%lx (0x%lx) at 0x%lx, address 0x%lx, on processor %u",
			    fault->kind, fault->detail, fault->pc, fault->address, i);
	}
}

static void report_verdict(const struct test *entry, unsigned int number)
{
	const char *path = test.file;

	switch (test.verdict) {
	case PASS:
		report_raw("ok %u - %s # %s", number, entry->name, entry->requirements);
		return;
	case SKIPPED:
		report_raw("ok %u - %s # SKIP %s", number, entry->name, test.message);
		return;
	default:
		break;
	}
	for (char *c = test.message; *c; c++)
		if (*c == '"' || *c == '\\')
			*c = '\'';
	report_raw("not ok %u - %s # %s", number, entry->name, entry->requirements);
	report_raw("  ---");
	report_raw("  verdict: %s", test.verdict == WEDGED ? "wedged" : "fail");
	report_raw("  message: \"%s\"", test.message);
	if (path)
		report_raw("  at: \"%s:%d\"", path, test.line);
	report_raw("  ...");
}

void report_busy(bool busy)
{
	reporting = busy;
}

static bool selected(const struct test *entry)
{
	char word[64];

	if (text_option(machine.command_line, "repeat", word, sizeof(word)))
		return text_is(word, entry->name);
	if (text_option(machine.command_line, "only", word, sizeof(word)) &&
	    !text_matches(word, entry->name))
		return false;
	if (text_option(machine.command_line, "profile", word, sizeof(word)) && entry->profile &&
	    !text_is(entry->profile, "base") && !text_is(entry->profile, ARCH_NAME) &&
	    !text_is(entry->profile, word))
		return false;
	return true;
}

uint64_t option_number(const char *name, uint64_t otherwise)
{
	char word[32];

	return text_option(machine.command_line, name, word, sizeof(word)) ? text_number(word) :
									     otherwise;
}

/* xorshift64. */
uint64_t random_number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void run_tests(void)
{
	unsigned int count = (unsigned int)(tests_end - tests_start);
	unsigned int verdicts[4] = {0};
	uint64_t first = reboot_test(verdicts), from, took;

	if (!first)
		first = option_number("start", 1);
	report_raw("TAP version 14");
	report_raw("1..%u", count);
	for (unsigned int i = 0; i < count; i++) {
		const struct test *entry = &tests_start[i];

		/* After a reset the earlier boot has reported these. */
		if (i + 1 < first)
			continue;
		if (!selected(entry)) {
			report_raw("ok %u - %s # SKIP not selected", i + 1, entry->name);
			verdicts[SKIPPED]++;
			continue;
		}
		report_begin(i + 1, entry->name, entry->requirements);
		from = arch_ticks();
		reboot_begin(i + 1, entry->name, verdicts);
		run_guarded(entry);
		reboot_cancel();
		took = ticks_to_ns(arch_ticks() - from) / 1000000;
		if (took >= LONG_MS)
			report_line("note: %s took %lu ms", entry->name, took);
		report_verdict(entry, i + 1);
		verdicts[test.verdict]++;
		if (fresh_boot && i + 1 < count) {
			report_restart(i + 2);
			return;
		}
	}
	report_end(verdicts[PASS], verdicts[FAIL], verdicts[WEDGED], verdicts[SKIPPED]);
}

static void report_machine(void)
{
	char repeated[64] = "", word[20], run[30] = "";
	bool repeats = text_option(machine.command_line, "repeat", repeated, sizeof(repeated));

	report_start();
	if (text_option(machine.command_line, "run", word, sizeof(word)))
		text_format(run, sizeof(run), " run %s", word);
	report_line("boot %lu suite " SUITE_VERSION " contract " CONTRACT_VERSION " arch " ARCH_NAME
		    " entry %s cpus %u memory %lu MiB%s%s%s",
		    option_number("boot", 1) + reboot_count(), machine.entry, machine.cpu_count,
		    (machine_memory_size() + (1 << 19)) >> 20, run, repeats ? " repeat " : "",
		    repeated);
	report_line("hypervisor \"%s\" model \"%s\"", machine.hypervisor, machine.model);
	report_line("clock %lu kHz by %s", arch_ticks_per_second() / 1000, arch_clock_source());
	devices_report();
	if (!timer_works())
		report_line("note: timer interrupts do not arrive: a test that hangs cannot be "
			    "ended");
}

void conform_main(void)
{
	struct deadline deadline;

	arch_init();
	pages_init();
	console_init();
	arch_describe();
	if (!console_works())
		console_init();
	arch_start_interrupts();
	slow = (unsigned int)option_number("slow", 1);
	if (slow == 0 || slow > 1000)
		slow = 1;
	seed = option_number("seed", 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	timer_request(arch_ticks() + ns_to_ticks(1000000), NULL);
	deadline = deadline_after_ms(200);
	while (!timer_works() && !deadline_passed(&deadline))
		;
	devices_discover();
	boot_disk_remove();
	watchdog_discover();
	if (!console_works())
		console_log_start();
	reboot_find();
	report_machine();
	noise_start();
	run_tests();
	machine_end();
}

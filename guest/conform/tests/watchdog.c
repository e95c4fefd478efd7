// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter watchdog. A test that starts it stores a record first: if the machine is reset wrongly,
 * the test reports that after the reset. The record also has the time that has passed; the test
 * stores it repeatedly.
 */
#include "devices/watchdog.h"

#include "devices/block.h"
#include "pages.h"
#include "snapshot.h"
#include "reboot.h"
#include "report.h"
#include "test.h"

#define LATE_MS	   1000 /* allowed lateness */
#define READ_MS	   2	/* allowed rounding to ticks */
#define MARGIN_MS  20
#define GIVE_UP_MS 10000
#define SHORT_MS   2000
#define LONG_MS	   60000

static void need_watchdog(void)
{
	if (!watchdog.ops)
		skip("no known watchdog is described");
}

/* What a test stores while it waits for the reset. */
struct record {
	uint64_t elapsed; /* ms since the last refresh */
	uint64_t gap;	  /* the longest time between two records */
	uint64_t warned;  /* when the first stage's interrupt arrived, 0: it did not */
	uint64_t warnings;
};

static volatile uint64_t warned_at, warnings;
static int warning_interrupt;

static void note_warning(void *context)
{
	(void)context;
	if (warnings++ == 0)
		warned_at = arch_ticks();
	/* It stays pending until a refresh, which the test does not make. */
	interrupt_mask(warning_interrupt, true);
}

static uint64_t ms_since(uint64_t from)
{
	return ticks_to_ns(arch_ticks() - from) / 1000000;
}

/* Stores the time until the machine is reset. */
static _Noreturn void await_reset(uint64_t from, uint64_t limit)
{
	struct record record = {0};

	for (;;) {
		uint64_t now = ms_since(from);

		if (now - record.elapsed > record.gap)
			record.gap = now - record.elapsed;
		record.elapsed = now;
		record.warnings = warnings;
		record.warned = warnings ? ticks_to_ns(warned_at - from) / 1000000 : 0;
		reboot_store(&record, sizeof(record));
		if (now > limit + GIVE_UP_MS) {
			watchdog.ops->stop();
			fail("no reset within %lu ms with a time of %lu ms", now, limit);
		}
	}
}

/* The last record may have taken longer than any before it. */
#define GAPS 4

static void check_time(const struct record *record, uint64_t set)
{
	if (record->elapsed + record->gap + MARGIN_MS < set &&
	    record->elapsed + GAPS * record->gap + MARGIN_MS >= set)
		cannot_judge("%lu ms of %lu ms had passed, and records took %lu ms",
			     record->elapsed, set, record->gap);
	check(record->elapsed + record->gap + MARGIN_MS >= set,
	      "reset after %lu to %lu ms, with a time of %lu ms", record->elapsed,
	      record->elapsed + record->gap, set);
	/* Noise before the reset. */
	noise_note(record->gap * 1000000);
	if (record->elapsed > set)
		check_within((record->elapsed - set) * 1000000, LATE_MS,
			     "reset late with a time of %lu ms", set);
}

/* Stores a record and starts the watchdog; returns the counter's value then. */
static uint64_t start_recorded(uint64_t ms)
{
	struct record record = {0};
	uint64_t from;

	reboot_store(&record, sizeof(record));
	warnings = 0;
	watchdog.ops->set(ms);
	from = arch_ticks();
	watchdog.ops->start();
	return from;
}

/* For tests during which the watchdog must not reset the machine. */
static void check_no_reset(const char *when)
{
	struct record record;

	check(!reboot_resume(&record, sizeof(record)), "the watchdog reset the machine %s", when);
}

TEST(wdt_found, "AVP-WDT-001", .profile = "safety")
{
	need_watchdog();
	watchdog.ops->set(SHORT_MS);
	check(ARCH_X86 || watchdog.line.valid, "%s: its interrupt is not described",
	      watchdog.ops->name);
}

TEST(wdt_off_at_start, "AVP-WDT-002", .profile = "safety")
{
	need_watchdog();
	check(!watchdog.first_running, "%s: it was running when the guest started",
	      watchdog.ops->name);
}

TEST(wdt_expires, "AVP-WDT-003", .profile = "safety", .limit_ms = 120000)
{
	struct record record;

	need_watchdog();
	if (!reboot_resume(&record, sizeof(record)))
		await_reset(start_recorded(SHORT_MS), SHORT_MS);
	check_time(&record, SHORT_MS);
}

TEST(wdt_refresh, "AVP-WDT-004", .profile = "safety", .limit_ms = 60000)
{
	const unsigned int ms = 4000;

	need_watchdog();
	check_no_reset("although it was refreshed in time");
	start_recorded(ms);
	for (int i = 0; i < 12; i++) {
		sleep_ms(ms / 8);
		watchdog.ops->refresh();
		check(watchdog.ops->running(), "%s: it stopped", watchdog.ops->name);
	}
	watchdog.ops->stop();
}

static void check_read_back(uint64_t ms, const char *when)
{
	uint64_t read;

	watchdog.ops->set(ms);
	read = watchdog.ops->time();
	check(read + READ_MS >= ms && read <= ms + READ_MS,
	      "%s: a time of %lu ms reads back as %lu ms, %s", watchdog.ops->name, ms, read, when);
}

TEST(wdt_program, "AVP-WDT-005", .profile = "safety", .limit_ms = 60000)
{
	static const uint64_t times[] = {1000, 2000, 10000, 60000};

	need_watchdog();
	check_no_reset("while its time was being changed");
	for (unsigned int i = 0; i < 4; i++)
		check_read_back(times[i], "stopped");
	start_recorded(times[3]);
	for (unsigned int i = 4; i-- > 0;) {
		check_read_back(times[i], "running");
		check(watchdog.ops->running(), "%s: a new time stops it", watchdog.ops->name);
	}
	watchdog.ops->set(times[3]);
	watchdog.ops->stop();
}

TEST(wdt_stop, "AVP-WDT-006", .profile = "safety", .limit_ms = 60000)
{
	need_watchdog();
	check_no_reset("although it was stopped");
	start_recorded(SHORT_MS);
	watchdog.ops->stop();
	check(!watchdog.ops->running(), "%s: it still runs", watchdog.ops->name);
	sleep_ms(2 * SHORT_MS);
}

TEST(wdt_warning, "AVP-WDT-007", .profile = "safety", .limit_ms = 120000)
{
	struct record record;

	need_watchdog();
	if (!watchdog.line.valid)
		skip("%s: no interrupt is described", watchdog.ops->name);
	if (!reboot_resume(&record, sizeof(record))) {
		warning_interrupt = interrupt_attach(watchdog.line, note_warning, NULL);
		check(warning_interrupt != INTERRUPT_NONE, "its interrupt cannot be used");
		await_reset(start_recorded(SHORT_MS), SHORT_MS);
	}
	check(record.warnings == 1, "%lu interrupts arrived before the reset", record.warnings);
	check(record.warned + 1 >= SHORT_MS / 2, "the interrupt arrived after %lu ms of %u",
	      record.warned, SHORT_MS);
	noise_note(record.gap * 1000000);
	if (record.warned > SHORT_MS / 2)
		check_within((record.warned - SHORT_MS / 2) * 1000000, LATE_MS,
			     "the interrupt arrived late");
	check_time(&record, SHORT_MS);
}

static volatile uint32_t hanging;

static void hang(void *argument)
{
	(void)argument;
	arch_interrupts_off();
	__atomic_add_fetch(&hanging, 1, __ATOMIC_SEQ_CST);
	for (;;)
		arch_relax();
}

static _Noreturn void hang_all(void)
{
	int64_t code;

	hanging = 0;
	for (unsigned int i = 1; i < machine.cpu_count; i++)
		check(cpu_start(i, hang, NULL, &code), "processor %u does not start: %ld", i, code);
	check(wait_until(hanging == machine.cpu_count - 1, 1000), "not all processors hang");
	watchdog.ops->refresh();
	hang(NULL);
	fail("a processor no longer hangs");
}

TEST(wdt_all_cpus_hang, "AVP-WDT-008", .profile = "safety", .limit_ms = 120000)
{
	struct record record;

	need_watchdog();
	if (reboot_resume(&record, sizeof(record)))
		return;
	start_recorded(SHORT_MS);
	hang_all();
}

#define WARM_SECTOR 256
#define WARM_SIZE   8192

static uint64_t warm_value(uint64_t from, uint64_t i)
{
	return (from ^ i) * UINT64_C(0x9e3779b97f4a7c15);
}

TEST(wdt_warm_reset, "AVP-WDT-009", .profile = "safety", .device = VIRTIO_ID_BLOCK,
     .limit_ms = 120000)
{
	static struct {
		struct snapshot snapshot;
		uint64_t from;
	} before;
	static struct snapshot now;
	uint64_t *data = pages_get(WARM_SIZE);
	struct queue *queue;

	need_watchdog();
	snapshot_take(&now);
	if (reboot_resume(&before, sizeof(before))) {
		snapshot_check_start(&before.snapshot, &now);
		snapshot_check_devices(&before.snapshot, &now);
		queue = block_open(0, 16);
		block_must(queue, VIRTIO_BLK_T_IN, WARM_SECTOR, data, WARM_SIZE, false);
		for (uint64_t i = 0; i < WARM_SIZE / sizeof(*data); i++)
			check(data[i] == warm_value(before.from, i),
			      "the disk lost data that was stable before the watchdog's reset");
		return;
	}
	before.snapshot = now;
	before.from = arch_ticks();
	reboot_store(&before, sizeof(before));
	for (uint64_t i = 0; i < WARM_SIZE / sizeof(*data); i++)
		data[i] = warm_value(before.from, i);
	queue = block_open(FEATURE(VIRTIO_BLK_F_FLUSH), 16);
	block_must(queue, VIRTIO_BLK_T_OUT, WARM_SECTOR, data, WARM_SIZE, true);
	if (queue->features & FEATURE(VIRTIO_BLK_F_FLUSH))
		block_must(queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false);
	watchdog.ops->set(SHORT_MS);
	watchdog.ops->start();
	hang_all();
}

TEST(wdt_hostile, "AVP-WDT-011", .profile = "safety", .limit_ms = 120000)
{
	struct record record;

	need_watchdog();
	if (!reboot_resume(&record, sizeof(record))) {
		uint64_t from, time;

		start_recorded(LONG_MS);
		time = watchdog.ops->time();
		watchdog.ops->write_stray();
		check(watchdog.ops->running(), "%s: a stray write stopped it", watchdog.ops->name);
		check(watchdog.ops->time() == time, "%s: a stray write made its time %lu ms",
		      watchdog.ops->name, watchdog.ops->time());
		watchdog.ops->set(SHORT_MS);
		from = arch_ticks();
		watchdog.ops->refresh();
		await_reset(from, SHORT_MS);
	}
	check_time(&record, SHORT_MS);
}

enum reason_step { ORDINARY_RESET, RESET_BY_WATCHDOG };

TEST(wdt_reason, "AVP-WDT-012", .profile = "safety", .limit_ms = 120000)
{
	uint64_t step;

	need_watchdog();
	if (!reboot_resume(&step, sizeof(step))) {
		step = ORDINARY_RESET;
		reboot_now(&step, sizeof(step));
	}
	if (step == ORDINARY_RESET) {
		check(!watchdog.first_expired,
		      "SHOULD: %s reports a watchdog reset after one that the guest requested",
		      watchdog.ops->name);
		step = RESET_BY_WATCHDOG;
		reboot_store(&step, sizeof(step));
		watchdog.ops->set(SHORT_MS);
		watchdog.ops->start();
		sleep_ms(SHORT_MS + GIVE_UP_MS);
		watchdog.ops->stop();
		fail("no reset within %u ms with a time of %u ms", SHORT_MS + GIVE_UP_MS, SHORT_MS);
	}
	check(watchdog.first_expired, "SHOULD: %s does not report the watchdog reset",
	      watchdog.ops->name);
}

#define LATENESS_MS    400 /* of both stages */
#define LATENESS_TURNS 10

TEST(wdt_lateness, "AVP-WDT-013", .profile = "safety", .limit_ms = 60000)
{
	static struct distribution distribution;

	need_watchdog();
	if (!watchdog.line.valid)
		skip("%s: no interrupt is described", watchdog.ops->name);
	check_no_reset("while its first stage was measured");
	warning_interrupt = interrupt_attach(watchdog.line, note_warning, NULL);
	check(warning_interrupt != INTERRUPT_NONE, "its interrupt cannot be used");
	distribution_start(&distribution);
	for (int i = 0; i < LATENESS_TURNS; i++) {
		uint64_t from, due;

		from = start_recorded(LATENESS_MS);
		due = from + ns_to_ticks(LATENESS_MS / 2 * UINT64_C(1000000));
		check(wait_until(warnings > 0, LATENESS_MS / 2 + LATE_MS),
		      "no interrupt of the first stage");
		watchdog.ops->stop();
		interrupt_mask(warning_interrupt, false);
		distribution_add(&distribution,
				 warned_at > due ? ticks_to_ns(warned_at - due) / 1000 : 0);
	}
	distribution_report(&distribution, "wdt_lateness", "us");
}

// SPDX-License-Identifier: BSD-3-Clause
/* Chapter power: what a guest that keeps running can observe. Each run ends by powering off. */
#include "arch/image.h"
#include "devices/block.h"
#include "devices/dut.h"
#include "pages.h"
#include "snapshot.h"
#include "reboot.h"
#include "report.h"
#include "test.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"

TEST(pwr_fadt_registers, "AVP-PWR-009", .profile = "x86-64")
{
	const struct x86_platform *platform = &x86_platform;

	check(platform->fadt, "no FADT");
	check(platform->fadt_flags & 1 << 10 && platform->reset.address, "no reset register");
	if (platform->fadt_flags & 1 << 20)
		check(platform->sleep_control.address,
		      "hardware-reduced, without a sleep control register");
	else
		check(platform->pm1a_control.address, "no PM1a control block");
	check(platform->sleep_type >= 0, "the DSDT has no _S5");
}

TEST(pwr_register_unknown, "AVP-PWR-010", .profile = "x86-64")
{
	const struct x86_platform *platform = &x86_platform;

	/* Sleep types that do not power off, and values that do not reset. */
	if (platform->sleep_control.address)
		for (uint32_t type = 0; type < 8; type++)
			if (platform->sleep_type >= 0 && type != (uint32_t)platform->sleep_type)
				x86_write_register(&platform->sleep_control, type << 2);
	if (platform->reset.address && platform->fadt_flags & 1 << 20)
		for (uint32_t value = 0; value < 256; value += 17)
			if (value != platform->reset_value)
				x86_write_register(&platform->reset, value);
	sleep_ms(20);
}
#else
#include "arch/arm64/arm64.h"

TEST(pwr_conduit, "AVP-PWR-008", .profile = "arm64")
{
	check(arm64_platform.has_psci, "PSCI is not described");
	check(arm64_call(PSCI_VERSION, 0, 0, 0) >= 0x10000, "the conduit does not work");
}

TEST(pwr_suspend_invalid, "AVP-PWR-014", .profile = "arm64")
{
	int64_t code;

	if (arm64_call(PSCI_FEATURES, PSCI_SYSTEM_SUSPEND, 0, 0) < 0)
		skip("SYSTEM_SUSPEND is not reported");
	/* An address at which there is no memory. */
	code = arm64_call(PSCI_SYSTEM_SUSPEND, UINT64_C(0xfffffffff000), 0, 0);
	check(code < 0, "SYSTEM_SUSPEND to an address without memory returns %ld", code);
}

static volatile bool woken;

static void wake(void)
{
	woken = true;
}

TEST(pwr_cpu_suspend, "AVP-PWR-015", .profile = "arm64")
{
	int64_t code;

	for (int i = 0; i < 10; i++) {
		woken = false;
		timer_request(arch_ticks() + ns_to_ticks(2000000), wake);
		arch_interrupts_off();
		/*
		 * On a busy host the interrupt may have arrived already; then nothing would wake
		 * the guest.
		 */
		code = woken ? 0 : arm64_call(PSCI_CPU_SUSPEND, 0, 0, 0);
		arch_interrupts_on();
		check(code == 0 || code == -2 || code == -3, "CPU_SUSPEND to standby returns %ld",
		      code);
	}
}
#endif

static void need_fatal(void)
{
	if (!option_number("fatal", 0))
		skip("it ends the guest: add fatal=1 to the command line to run it");
}

static void off_again(void *argument)
{
	(void)argument;
}

TEST(pwr_off, "AVP-PWR-001")
{
	need_fatal();
	arch_power_off();
	sleep_ms(1000);
	fail("the guest still runs");
}

static void off(void *argument)
{
	(void)argument;
	arch_power_off();
}

TEST(pwr_off_secondary, "AVP-PWR-002", .cpus = 2)
{
	int64_t code;

	need_fatal();
	check(cpu_start(1, off, NULL, &code), "processor 1 does not start");
	sleep_ms(1000);
	fail("the guest still runs");
}

/* Requests in flight at the reset: many large ones, so that devices are still busy with them. */
#define IN_FLIGHT_MAX  64
#define IN_FLIGHT_EACH (64u << 10)
#define IN_FLIGHT_AREA (8u << 20)

static uint8_t *in_flight_area;

/* Starts requests that let the devices write to the area. Returns how many. */
static unsigned int start_requests(void)
{
	unsigned int count = 0;

	for_each_type(type)
	{
		struct device *device = device_find(type->id, TRANSPORT_ANY);
		struct queue *queue;

		if (!device || !type->build_large)
			continue;
		device_open(device, 0);
		queue = device_queue(device, 0, IN_FLIGHT_MAX);
		device_run(device);
		for (unsigned int n = 0;
		     n < IN_FLIGHT_MAX / 4 && count < IN_FLIGHT_AREA / IN_FLIGHT_EACH;
		     n++, count++) {
			struct request request = {.memory =
							  in_flight_area + count * IN_FLIGHT_EACH};

			type->build_large(&request, IN_FLIGHT_EACH);
			if (driver_queue_add(&queue->ring, request.buffers, request.readable,
					     request.writable, queue) < 0)
				break;
		}
		queue_kick(queue);
	}
	return count;
}

/* The end of the free memory: after the reset the guest allocates from its start. */
static void choose_area(void)
{
	uint64_t start, end;

	pages_free_range(&start, &end);
	if (end - start < 16 << 20)
		skip("fewer than 16 MiB of memory are free");
	in_flight_area = (uint8_t *)(end - IN_FLIGHT_AREA);
}

TEST(pwr_reset, "AVP-PWR-003", .limit_ms = 60000)
{
	static struct snapshot before, now;

	snapshot_take(&now);
	if (!reboot_resume(&before, sizeof(before)))
		reboot_now(&now, sizeof(now));
	snapshot_check_start(&before, &now);
	check(cpu_alone_at_start(), CPU_NOT_ALONE);
}

TEST(pwr_reset_devices, "AVP-PWR-004", .limit_ms = 60000)
{
	static struct snapshot now;
	volatile uint64_t *words;
	uint64_t area;

	if (device_count == 0)
		skip("no virtio device");
	if (!reboot_resume(&area, sizeof(area))) {
		choose_area();
		area = (uint64_t)in_flight_area;
		reboot_store(&area, sizeof(area));
		start_requests();
		reboot_reset();
	}
	snapshot_take(&now);
	if (!machine_firmware_ran())
		snapshot_check_rest(&now);
	/* A device that still works on an old request would change these words. */
	words = (volatile uint64_t *)area;
	for (uint64_t i = 0; i < IN_FLIGHT_AREA / sizeof(*words); i++)
		words[i] = UINT64_C(0x5245534554) ^ i;
	sleep_ms(1000);
	for (uint64_t i = 0; i < IN_FLIGHT_AREA / sizeof(*words); i++)
		check(words[i] == (UINT64_C(0x5245534554) ^ i),
		      "memory at 0x%lx was written by a request from before the reset",
		      (uint64_t)&words[i]);
	for (unsigned int i = 0; i < device_count && i < SNAPSHOT_DEVICES; i++)
		if (now.devices[i].first_status && machine_firmware_ran())
			cannot_judge("firmware has used device %u after the reset", i);
}

static volatile uint32_t busy;

static void be_busy(void *argument)
{
	(void)argument;
	__atomic_add_fetch(&busy, 1, __ATOMIC_SEQ_CST);
	while (!cpus_stop)
		arch_relax();
}

#define RESET_LIMIT_MS 10000

struct wall_time {
	uint64_t ms;
	unsigned int step;
};

static struct wall_time read_wall(void)
{
	struct wall_time wall = {0, 0};

	wall.ms = arch_wall_ms(&wall.step);
	return wall;
}

TEST(pwr_reset_inflight, "AVP-PWR-005", .limit_ms = 60000)
{
	struct wall_time before, now = read_wall();
	int64_t code;

	if (reboot_resume(&before, sizeof(before))) {
		/*
		 * Without a clock that survives the reset, the guest only checks that it runs
		 * again.
		 */
		if (before.ms && now.ms - before.ms > now.step)
			check_within((now.ms - before.ms - now.step) * 1000000, RESET_LIMIT_MS,
				     "the reset takes too long");
		return;
	}
	choose_area();
	reboot_store(&now, sizeof(now));
	busy = 0;
	cpus_stop = false;
	for (unsigned int i = 1; i < machine.cpu_count; i++)
		check(cpu_start(i, be_busy, NULL, &code), "processor %u does not start: %ld", i,
		      code);
	check(wait_until(busy == machine.cpu_count - 1, 1000), "not all processors are busy");
	start_requests();
	reboot_reset();
}

#define DURABLE_SECTOR 64
#define DURABLE_SIZE   (64 << 10)

static void fill(uint64_t *words, uint64_t from)
{
	for (uint64_t i = 0; i < DURABLE_SIZE / sizeof(*words); i++)
		words[i] = (from + i) * UINT64_C(0x9e3779b97f4a7c15);
}

#define SUSPEND_SECONDS 2
#define SUSPEND_SIZE	(4 << 20)

TEST(pwr_suspend, "AVP-PWR-012", .limit_ms = 60000)
{
	uint64_t *words = pages_get(SUSPEND_SIZE);
	struct wall_time before, after;
	struct queue *queue = NULL;
	struct dut dut;
	int64_t code;

	if (arch_no_suspend())
		skip("%s", arch_no_suspend());
	for (uint64_t i = 0; i < SUSPEND_SIZE / sizeof(*words); i++)
		words[i] = i * UINT64_C(0x9e3779b97f4a7c15);
	if (dut_get(0, TRANSPORT_ANY, 0, &dut))
		queue = dut_open(&dut, 0, 16);
	before = read_wall();
	code = arch_suspend(SUSPEND_SECONDS);
	check(code == 0, "the machine was not suspended: %ld", code);
	after = read_wall();
	check(after.ms - before.ms + after.step >= SUSPEND_SECONDS * 1000,
	      "awake after %lu ms, though the alarm was set to %u s", after.ms - before.ms,
	      SUSPEND_SECONDS);
	for (uint64_t i = 0; i < SUSPEND_SIZE / sizeof(*words); i++)
		check(words[i] == i * UINT64_C(0x9e3779b97f4a7c15), "memory at 0x%lx changed",
		      (uint64_t)&words[i]);
	/* The device was not reset or set up again: the queue continues where it was. */
	if (queue) {
		check(dut.device->ops->status(dut.device) == STATUS_RUNNING,
		      "%s: its status is 0x%x", device_name(dut.device),
		      dut.device->ops->status(dut.device));
		dut_must_do(&dut, queue, "after a suspend");
	}
	for (unsigned int i = 1; i < machine.cpu_count; i++)
		check(cpu_start(i, off_again, NULL, &code),
		      "processor %u does not start after a suspend: %ld", i, code);
}

TEST(pwr_reset_durable, "AVP-PWR-006", .device = VIRTIO_ID_BLOCK, .limit_ms = 60000)
{
	uint64_t *data = pages_get(DURABLE_SIZE), *expected = pages_get(DURABLE_SIZE), from;
	struct queue *queue;

	if (reboot_resume(&from, sizeof(from))) {
		fill(expected, from);
		queue = block_open(0, 16);
		block_must(queue, VIRTIO_BLK_T_IN, DURABLE_SECTOR, data, DURABLE_SIZE, false);
		for (uint64_t i = 0; i < DURABLE_SIZE / sizeof(*data); i++)
			check(data[i] == expected[i],
			      "sector %lu lost data that was stable before the reset",
			      DURABLE_SECTOR + i * sizeof(*data) / SECTOR);
		return;
	}
	/* The data differs each time, so that data of an earlier run does not pass. */
	from = arch_ticks();
	reboot_store(&from, sizeof(from));
	fill(data, from);
	queue = block_open(FEATURE(VIRTIO_BLK_F_FLUSH), 16);
	block_must(queue, VIRTIO_BLK_T_OUT, DURABLE_SECTOR, data, DURABLE_SIZE, true);
	if (queue->features & FEATURE(VIRTIO_BLK_F_FLUSH))
		block_must(queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false);
	reboot_reset();
}

TEST(pwr_reset_time, "AVP-PWR-017", .limit_ms = 60000)
{
	static struct distribution distribution;
	struct {
		uint64_t ticks;
		struct wall_time wall;
	} before, now = {arch_ticks(), read_wall()};
	uint64_t first = image_state.entry_ticks, ms;

	if (!reboot_resume(&before, sizeof(before))) {
		reboot_store(&now, sizeof(now));
		/* Read again, as late as possible. */
		now.wall = read_wall();
		now.ticks = arch_ticks();
		reboot_now(&now, sizeof(now));
	}
	/* A counter that restarted gives the time since the reset; otherwise a clock does. */
	if (first > before.ticks)
		ms = ticks_to_ns(first - before.ticks) / 1000000;
	else if (before.wall.ms && before.wall.step == 1)
		ms = now.wall.ms - before.wall.ms - ticks_to_ns(now.ticks - first) / 1000000;
	else
		ms = ticks_to_ns(first) / 1000000;
	distribution_start(&distribution);
	distribution_add(&distribution, ms);
	distribution_report(&distribution, "pwr_reset_time", "ms");
}

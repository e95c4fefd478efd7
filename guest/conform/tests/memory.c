// SPDX-License-Identifier: BSD-3-Clause
/* Chapter memory: what the description lists is there; what it does not list does no harm. */
#include "bus/pci.h"
#include "devices/vehicle.h"
#include "pages.h"
#include "report.h"
#include "test.h"

/* The part of a range that neither the image nor what the loader left uses; one at a time. */
static bool nth_part(unsigned int nth, uint64_t *start, uint64_t *end)
{
	uint64_t from, to;

	/* The largest piece below 4 GiB first, then whole ranges above. */
	pages_free_range(&from, &to);
	if (nth == 0) {
		*start = from;
		*end = to;
		return to > from;
	}
	for (unsigned int i = 0; i < machine.range_count; i++) {
		const struct range *range = &machine.ranges[i];

		if (!range->usable || range->start < 0x100000000 || --nth > 0)
			continue;
		if (ARCH_ARM && range->start >= UINT64_C(1) << 39)
			continue;
		arch_map(range->start, range->end - range->start);
		*start = range->start;
		*end = range->end;
		return true;
	}
	return false;
}

static uint64_t sign(uint64_t address)
{
	return address * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/* Pages of at most this much are touched, evenly spread: emulation is slow. */
#define PAGES_MAX 262144u

static void write_and_read(void)
{
	uint64_t start, end;

	for (int reading = 0; reading < 2; reading++)
		for (unsigned int part = 0; nth_part(part, &start, &end); part++) {
			uint64_t step = (end - start) / PAGE_SIZE / PAGES_MAX + 1;

			for (uint64_t page = start; page + PAGE_SIZE <= end;
			     page += step * PAGE_SIZE) {
				volatile uint64_t *word = (volatile uint64_t *)page;

				if (!reading) {
					word[0] = sign(page);
					word[511] = ~sign(page);
				} else {
					check(word[0] == sign(page) && word[511] == ~sign(page),
					      "the page at 0x%lx has not kept what was written",
					      page);
				}
			}
		}
}

TEST(mem_all_usable, "AVP-MEM-001", .limit_ms = 60000)
{
	write_and_read();
}

/* Each page's word is made of its address: two that are one would show it. */
TEST(mem_no_alias, "AVP-MEM-002", .limit_ms = 60000)
{
	write_and_read();
}

TEST(mem_map_sorted, "AVP-MEM-004")
{
	for (unsigned int i = 0; i < machine.range_count; i++) {
		const struct range *a = &machine.ranges[i];

		if (!a->usable)
			continue;
		/* The first range of a PC ends below what its firmware keeps. */
		check(a->start % PAGE_SIZE == 0 && (a->end % PAGE_SIZE == 0 || a->end < 0x100000),
		      "memory from 0x%lx to 0x%lx is not in whole pages", a->start, a->end);
		for (unsigned int j = 0; j < i; j++) {
			const struct range *b = &machine.ranges[j];

			check(!b->usable || a->end <= b->start || b->end <= a->start,
			      "0x%lx and 0x%lx overlap", a->start, b->start);
		}
	}
	for (unsigned int i = 0; i < machine.slot_count; i++)
		check(!machine_has_memory(machine.slots[i].address, 1),
		      "the registers at 0x%lx are in memory", machine.slots[i].address);
}

static bool is_reserved(uint64_t address)
{
	for (unsigned int i = 0; i < machine.range_count; i++)
		if (!machine.ranges[i].usable && address >= machine.ranges[i].start &&
		    address < machine.ranges[i].end)
			return true;
	return false;
}

TEST(mem_size, "AVP-MEM-003")
{
	uint64_t wanted = option_number("memory", 0) << 20, size = machine_memory_size();

	if (!wanted)
		skip("how much was configured is not told: add memory=MIB to the command line");
	check(size <= wanted && wanted - size <= 1 << 20, "%lu bytes of %lu", size, wanted);
}

TEST(mem_no_residue, "AVP-MEM-006", .limit_ms = 60000)
{
	uint64_t start, end, found = 0;

	/* The upper half, which no test has used yet when it runs alone; else what tests left. */
	if (option_number("start", 1) != 1 || option_number("boot", 1) != 1)
		skip("not the first start");
	for (unsigned int part = 1; nth_part(part, &start, &end); part++)
		for (uint64_t page = start; page < end; page += 64 * PAGE_SIZE)
			found += *(volatile uint64_t *)page != 0 &&
				 *(volatile uint64_t *)page != sign(page);
	check(found == 0, "SHOULD: %lu pages were not zero", found);
}

static void access_hole(void *argument)
{
	const uint64_t *words = argument;

	if (words[2])
		mmio_write(words[0], words[3], (unsigned int)words[1]);
	else
		mmio_read(words[0], (unsigned int)words[1]);
}

/* Places at which nothing is described. */
static uint64_t find_hole(unsigned int nth)
{
	uint64_t end = 0;

	for (unsigned int i = 0; i < machine.range_count; i++)
		if (machine.ranges[i].usable && machine.ranges[i].end > end &&
		    machine.ranges[i].end < 0x100000000)
			end = machine.ranges[i].end;
	switch (nth) {
	case 0:
		return is_reserved(end) ? 0xc1000000 : end + 0x100000;
	case 1:
		return ARCH_X86 ? 0xcf000000 : 0x0f000000;
	default:
		return 0;
	}
}

static void touch_holes(bool write)
{
	struct vehicle vehicle;
	struct fault fault;

	for (unsigned int n = 0; n < 2; n++) {
		uint64_t hole = find_hole(n);

		if (machine_has_memory(hole, 8))
			continue;
		for (unsigned int width = 1; width <= 8; width *= 2)
			for (uint64_t offset = 0; offset < 64; offset += 8) {
				uint64_t words[4] = {hole + offset, width, write, UINT64_MAX};

				fault_catch(access_hole, words, &fault);
			}
	}
	for (unsigned int n = 0; vehicle_get(n, TRANSPORT_ANY, 0, &vehicle); n++)
		vehicle_heal(&vehicle, "after accesses to where nothing is");
}

TEST(mem_hole_read, "AVP-MEM-008", .limit_ms = 20000)
{
	touch_holes(false);
}

TEST(mem_hole_write, "AVP-MEM-008", .limit_ms = 20000)
{
	touch_holes(true);
}

TEST(mem_hole_end, "AVP-MEM-009")
{
	uint64_t end = 0;
	struct fault fault;

	for (unsigned int i = 0; i < machine.range_count; i++)
		if (machine.ranges[i].usable && machine.ranges[i].end > end &&
		    machine.ranges[i].end <= 0xc0000000)
			end = machine.ranges[i].end;
	for (unsigned int before = 1; before < 8; before++)
		for (unsigned int write = 0; write < 2; write++) {
			uint64_t words[4] = {end - before, 8, write, UINT64_MAX};

			fault_catch(access_hole, words, &fault);
		}
}

static void need_fatal(void)
{
	if (!option_number("fatal", 0))
		skip("it may end the guest: ask for it with fatal=1");
}

static void jump(void *argument)
{
	((void (*)(void))argument)();
}

TEST(mem_code_hole, "AVP-MEM-010")
{
	struct fault fault;

	need_fatal();
	fault_catch(jump, (void *)find_hole(1), &fault);
}

static void access_wide(void *argument)
{
	uint64_t address = (uint64_t)argument;

#ifdef __x86_64__
	__asm__ volatile("movups (%0), %%xmm0" : : "r"(address) : "memory");
	__asm__ volatile("movups %%xmm0, (%0)" : : "r"(address + 0x40) : "memory");
	__asm__ volatile("lock addl $0, (%0)" : : "r"(address + 0x10) : "memory");
	__asm__ volatile("rep movsb" : : "S"(address), "D"(address + 0x18), "c"(3) : "memory");
#else
	__asm__ volatile("ldrb w9, [%0]\n strb w9, [%0]" : : "r"(address) : "x9", "memory");
#endif
}

TEST(mem_wide_mmio, "AVP-MEM-011", .limit_ms = 20000)
{
	struct vehicle vehicle;
	struct fault fault;

	for_each_vehicle(vehicle, TRANSPORT_ANY, 0)
	{
		const struct device *device = vehicle.device;
		uint64_t base = device->pci ? device->pci->common : device->base;

		for (uint64_t offset = 0; offset < 64; offset += 16)
			fault_catch(access_wide, (void *)(base + offset), &fault);
		vehicle_heal(&vehicle, "after wide accesses to its registers");
	}
}

TEST(mem_high, "AVP-MEM-012", .limit_ms = 30000)
{
	uint64_t start, end;

	if (!nth_part(1, &start, &end))
		skip("no memory above 4 GiB");
	*(volatile uint64_t *)start = 1;
	*(volatile uint64_t *)(end - 8) = 2;
	check(*(volatile uint64_t *)start == 1 && *(volatile uint64_t *)(end - 8) == 2,
	      "memory above 4 GiB does not keep what is written");
}

TEST(mem_execute, "AVP-MEM-014", .limit_ms = 30000)
{
	uint64_t start, end;
	struct fault fault;

	for (unsigned int part = 0; nth_part(part, &start, &end); part++)
		for (uint64_t page = start; page + PAGE_SIZE <= end;
		     page += ((end - start) / 64 & ~(uint64_t)(PAGE_SIZE - 1)) + PAGE_SIZE) {
#ifdef __x86_64__
			*(volatile uint8_t *)page = 0xc3; /* ret */
#else
			*(volatile uint32_t *)page = 0xd65f03c0;
			__asm__ volatile("dc cvau, %0; dsb ish; ic ivau, %0; dsb ish; isb"
					 :
					 : "r"(page)
					 : "memory");
#endif
			check(!fault_catch(jump, (void *)page, &fault),
			      "code at 0x%lx raises 0x%lx", page, fault.kind);
		}
}

TEST(mem_coherent, "AVP-MEM-015", .device = VIRTIO_ID_RNG, .limit_ms = 20000)
{
	struct vehicle vehicle;

	for (unsigned int n = 0; vehicle_get(n, TRANSPORT_ANY, 0, &vehicle); n++) {
		struct queue *queue;

		if (vehicle.device->id != VIRTIO_ID_RNG)
			continue;
		queue = vehicle_open(&vehicle, 0, 16);
		for (int i = 0; i < 100; i++) {
			volatile uint64_t *words = (volatile uint64_t *)vehicle.area;

			/* In the cache before the device writes. */
			words[0] = words[1] = 0;
			vehicle_must_do(&vehicle, queue, "of random bytes");
			check(words[0] | words[1], "sixteen zeros: an old line of the cache");
		}
		return;
	}
}

TEST(mem_device_reach, "AVP-MEM-016", .device = VIRTIO_ID_RNG, .limit_ms = 20000)
{
	struct device *device = device_find(VIRTIO_ID_RNG, TRANSPORT_ANY);
	struct queue *queue;
	uint64_t start, end;

	device_open(device, 0);
	queue = device_queue(device, 0, 16);
	device_run(device);
	for (unsigned int part = 0; nth_part(part, &start, &end); part++)
		for (int last = 0; last < 2; last++) {
			uint64_t page = last ? end - PAGE_SIZE : start;
			struct driver_buffer buffer = buffer_of((void *)page, 64);
			uint32_t written = 0;

			check(queue_do(queue, &buffer, 0, 1, &written, ANSWER_MS),
			      "a buffer at 0x%lx is not served", page);
		}
}

TEST(mem_first_touch, "AVP-MEM-020", .limit_ms = 30000)
{
	static struct distribution distribution;
	uint64_t start, end;

	pages_free_range(&start, &end);
	distribution_start(&distribution);
	/* From the end on, where nobody was before when this runs alone. */
	for (uint64_t page = end - PAGE_SIZE; page > start && distribution.count < 2000;
	     page -= PAGE_SIZE) {
		uint64_t from = arch_ticks();

		*(volatile uint64_t *)page = 1;
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from));
	}
	distribution_report(&distribution, "mem_first_touch", "ns");
}

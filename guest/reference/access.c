// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where the guest meets the reference: accesses to registers go to its devices or to the machine.
 * One processor at a time is in a device; it takes no interrupt there, for handlers access devices.
 */
#include "reference.h"

uint64_t __real_mmio_read(uint64_t address, unsigned int width);
void __real_mmio_write(uint64_t address, uint64_t value, unsigned int width);
void __real_arch_map(uint64_t start, uint64_t size);
void __real_devices_discover(void);
void __wrap_devices_discover(void);

#define FIRST UINT64_C(0x1000000000) /* from here on nothing of the machine has an address */

static volatile bool locked;

static uint64_t enter(void)
{
	uint64_t state;

#ifdef __x86_64__
	__asm__ volatile("pushfq; popq %0; cli" : "=r"(state) : : "memory");
#else
	__asm__ volatile("mrs %0, daif; msr daifset, #2" : "=r"(state) : : "memory");
#endif
	while (__atomic_test_and_set(&locked, __ATOMIC_ACQUIRE))
		arch_relax();
	return state;
}

static void leave(uint64_t state)
{
	__atomic_clear(&locked, __ATOMIC_RELEASE);
#ifdef __x86_64__
	__asm__ volatile("pushq %0; popfq" : : "r"(state) : "memory", "cc");
#else
	__asm__ volatile("msr daif, %0" : : "r"(state) : "memory");
#endif
}

uint64_t reference_mmio_read(uint64_t address, unsigned int width)
{
	uint64_t value, state;
	bool found;

	if (address < FIRST)
		return __real_mmio_read(address, width);
	state = enter();
	found = windows_read(address, width, &value) || functions_read(address, width, &value);
	leave(state);
	return found ? value : __real_mmio_read(address, width);
}

void reference_mmio_write(uint64_t address, uint64_t value, unsigned int width)
{
	uint64_t state;
	bool found;

	if (address < FIRST) {
		__real_mmio_write(address, value, width);
		return;
	}
	if (width < 8)
		value &= (UINT64_C(1) << 8 * width) - 1;
	state = enter();
	found = windows_write(address, width, value) || functions_write(address, width, value);
	leave(state);
	if (!found)
		__real_mmio_write(address, value, width);
}

void reference_arch_map(uint64_t start, uint64_t size)
{
	if (start < FIRST)
		__real_arch_map(start, size);
}

static void add_memory(void)
{
	guest_memory_init(&reference_memory, NULL);
	for (unsigned int i = 0; i < machine.range_count; i++) {
		const struct range *range = &machine.ranges[i];

		if (range->usable)
			guest_memory_add(&reference_memory, guest_addr(range->start),
					 range->end - range->start, (void *)range->start);
	}
}

/* The reference's devices come first among those of the machine. */
void __wrap_devices_discover(void)
{
	if (option_number("reference", 0)) {
		unsigned int machine_slots = machine.slot_count;
		struct mmio_slot slots[SLOTS_MAX];

		memcpy(slots, machine.slots, sizeof(slots));
		machine.slot_count = 0;
		add_memory();
		reference_add_disks();
		reference_add_nets();
		reference_add_entropy();
		reference_add_pmem();
		reference_add_console();
		for (unsigned int i = 0; i < machine_slots; i++)
			machine_add_slot(slots[i].address, slots[i].size, slots[i].line);
	}
	__real_devices_discover();
}

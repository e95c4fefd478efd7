// SPDX-License-Identifier: BSD-3-Clause
/* What is too long to store is stored as a checksum; failures name the field that differs. */
#include "snapshot.h"

#include "arch/image.h"
#include "bus/pci.h"
#include "devices/type.h"
#include "reboot.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"
#else
#include "arch/arm64/arm64.h"
#endif

_Static_assert(sizeof(struct snapshot) <= REBOOT_DATA_MAX, "a snapshot fits the record");

static const char *const entry_names[8] = {
#ifdef __x86_64__
	"the protocol", "the address of the start information", "RFLAGS", "CR0", "CR4", "CS", "DS",
#else
	"x0", "x1", "x2", "x3", "the exception level", "DAIF", "SCTLR",
#endif
};

static void take_entry(uint64_t entry[8])
{
#ifdef __x86_64__
	entry[0] = start_state.kind;
	entry[1] = start_state.information;
	/* Trap, interrupts, direction, virtual 8086: no protocol defines the others. */
	entry[2] = start_state.flags & 0x20700;
	entry[3] = start_state.cr0;
	entry[4] = start_state.cr4;
	entry[5] = start_state.cs;
	entry[6] = start_state.ds;
#else
	entry[0] = start_state.x0;
	entry[1] = start_state.x1;
	entry[2] = start_state.x2;
	entry[3] = start_state.x3;
	entry[4] = start_state.level;
	entry[5] = start_state.daif;
	entry[6] = start_state.sctlr;
#endif
}

static uint32_t sum_of_description(void)
{
#ifdef __x86_64__
	uint32_t sum = 0;

	for (unsigned int i = 0; i < x86_platform.table_count; i++)
		if (x86_platform.tables[i].valid)
			sum = text_sum(sum, (void *)x86_platform.tables[i].address,
				       x86_platform.tables[i].length);
	return sum;
#else
	return arm64_platform.tree_sum;
#endif
}

void snapshot_take(struct snapshot *snapshot)
{
	memset(snapshot, 0, sizeof(*snapshot));
	take_entry(snapshot->entry);
	snapshot->command_line =
		text_sum(0, machine.command_line, text_length(machine.command_line));
	for (unsigned int i = 0; i < machine.range_count; i++) {
		uint64_t words[3] = {machine.ranges[i].start, machine.ranges[i].end,
				     machine.ranges[i].usable};

		snapshot->map = text_sum(snapshot->map, words, sizeof(words));
	}
	snapshot->description = sum_of_description();
	snapshot->image = text_sum(0, image_start, (size_t)(image_checked_end - image_start));
	snapshot->cpu_count = machine.cpu_count;
	snapshot->bss_nonzero = image_state.bss_promised && image_state.bss_nonzero;
	snapshot->device_count = device_count;
	for (unsigned int i = 0; i < device_count && i < SNAPSHOT_DEVICES; i++) {
		struct device *device = &devices[i];
		struct snapshot_device *entry = &snapshot->devices[i];

		entry->id = device->id;
		entry->transport = device->transport;
		entry->first_status = device->first_status;
		entry->features = device_offered(device);
		if (device->type && device->type->identity)
			entry->identity = device->type->identity(device);
		if (device->pci) {
			entry->address = (uint64_t)device->pci->bus << 16 |
					 (uint64_t)device->pci->slot << 8 | device->pci->function;
			entry->interrupt = device->pci->intx.number;
		} else {
			entry->address = device->base;
			entry->interrupt = device->line.number;
		}
	}
}

void snapshot_check_start(const struct snapshot *before, const struct snapshot *now)
{
	for (unsigned int i = 0; i < 7; i++)
		check(before->entry[i] == now->entry[i],
		      "%s is 0x%lx, and was 0x%lx before the reset", entry_names[i], now->entry[i],
		      before->entry[i]);
	check(before->map == now->map, "the memory map differs from that before the reset");
	check(before->command_line == now->command_line,
	      "the command line differs from that before the reset");
	check(before->description == now->description,
	      "the description differs from that before the reset");
	check(before->cpu_count == now->cpu_count, "%u processors, %u before the reset",
	      now->cpu_count, before->cpu_count);
	check(now->image == image_sum[0], "code and constants have the sum 0x%x, not 0x%x",
	      now->image, image_sum[0]);
	check(!now->bss_nonzero, "memory that the loader must zero is not zero after the reset");
}

void snapshot_check_devices(const struct snapshot *before, const struct snapshot *now)
{
	check(before->device_count == now->device_count, "%u devices, %u before the reset",
	      now->device_count, before->device_count);
	for (unsigned int i = 0; i < now->device_count && i < SNAPSHOT_DEVICES; i++) {
		const struct snapshot_device *old = &before->devices[i], *new = &now->devices[i];

		check(old->id == new->id && old->transport == new->transport,
		      "device %u has id %u, and had %u before the reset", i, new->id, old->id);
		check(old->address == new->address,
		      "device %u is at 0x%lx, and was at 0x%lx before the reset", i, new->address,
		      old->address);
		check(old->interrupt == new->interrupt,
		      "device %u has interrupt %u, and had %u before the reset", i, new->interrupt,
		      old->interrupt);
		check(old->features == new->features,
		      "device %u offers 0x%lx, and offered 0x%lx before the reset", i,
		      new->features, old->features);
		check(old->identity == new->identity,
		      "device %u (id %u) has another address, capacity or serial than before", i,
		      new->id);
	}
}

void snapshot_check_rest(const struct snapshot *now)
{
	for (unsigned int i = 0; i < now->device_count && i < SNAPSHOT_DEVICES; i++)
		check(now->devices[i].first_status == 0,
		      "device %u had status 0x%x when the guest started after the reset", i,
		      now->devices[i].first_status);
}

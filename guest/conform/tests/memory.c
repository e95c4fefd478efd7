// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter memory: what the description lists exists; accesses to what it does not list are
 * harmless.
 */
#include "arch/image.h"
#include "bus/pci.h"
#include "devices/block.h"
#include "devices/dut.h"
#include "pages.h"
#include "snapshot.h"
#include "reboot.h"
#include "report.h"
#include "test.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"
#else
#include "arch/arm64/arm64.h"
#endif

static uint64_t sign(uint64_t address)
{
	return address * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/* At most this many pages are touched, evenly spread: emulation is slow. */
#define PAGES_MAX 65536u

/* Each page's words are derived from its address: two addresses of one page would show. */
TEST(mem_all_usable, "AVP-MEM-001 AVP-MEM-002", .limit_ms = 60000)
{
	uint64_t start, end;

	for (int reading = 0; reading < 2; reading++)
		for (unsigned int part = 0; pages_part(part, &start, &end); part++) {
			uint64_t step = (end - start) / PAGE_SIZE / PAGES_MAX + 1;

			for (uint64_t page = start; page + PAGE_SIZE <= end;
			     page += step * PAGE_SIZE) {
				volatile uint64_t *word = (volatile uint64_t *)page;

				if (!reading) {
					word[0] = sign(page);
					word[511] = ~sign(page);
				} else {
					check(word[0] == sign(page) && word[511] == ~sign(page),
					      "the page at 0x%lx does not keep what is written",
					      page);
				}
			}
		}
}

TEST(mem_map_sorted, "AVP-MEM-004")
{
	for (unsigned int i = 0; i < machine.range_count; i++) {
		const struct range *a = &machine.ranges[i];

		if (!a->usable)
			continue;
		/* The first range of a PC ends below the memory that its firmware keeps. */
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
		skip("the configured size is unknown: add memory=MIB to the command line");
	if (machine.has_firmware)
		cannot_judge("firmware keeps memory for itself");
	check(size <= wanted && wanted - size <= 1 << 20, "%lu bytes of %lu", size, wanted);
}

static bool overlaps(uint64_t start, uint64_t end, uint64_t other, uint64_t other_end)
{
	return start < other_end && other < end;
}

#ifdef __x86_64__
/*
 * The memory map and ACPI are two descriptions: what ACPI occupies must not be usable in the map.
 */
static bool is_free(uint64_t start, uint64_t size)
{
	for (unsigned int i = 0; i < machine.range_count; i++)
		if (machine.ranges[i].usable &&
		    overlaps(start, start + size, machine.ranges[i].start, machine.ranges[i].end))
			return true;
	return false;
}

#define RSDP_SIZE 36

static void check_reserved(void)
{
	check(!machine.description || !is_free(machine.description, RSDP_SIZE),
	      "the RSDP at 0x%lx is in memory that the map lists as usable", machine.description);
	for (unsigned int i = 0; i < x86_platform.table_count; i++) {
		const struct acpi_table *table = &x86_platform.tables[i];

		check(!table->valid || !is_free(table->address, table->length),
		      "table %s at 0x%lx is in memory that the map lists as usable",
		      table->signature, table->address);
	}
	for (unsigned int i = 0; i < machine.range_count; i++)
		check(machine.ranges[i].usable ||
			      !is_free(machine.ranges[i].start,
				       machine.ranges[i].end - machine.ranges[i].start),
		      "0x%lx to 0x%lx is both usable and reserved", machine.ranges[i].start,
		      machine.ranges[i].end);
}
#else
static void check_reserved(void)
{
	check(arm64_platform.reserved_valid,
	      "/reserved-memory lacks #address-cells, #size-cells or ranges: it cannot be read");
	for (unsigned int i = 0; i < machine.range_count; i++) {
		const struct range *range = &machine.ranges[i];

		if (range->usable)
			continue;
		/* The loader must not place anything in reserved memory. */
		check(!overlaps(range->start, range->end, (uint64_t)image_start,
				(uint64_t)image_end),
		      "the image lies in memory that is reserved from 0x%lx on", range->start);
		check(!overlaps(range->start, range->end, machine.initrd_start, machine.initrd_end),
		      "the initial RAM disk lies in memory that is reserved from 0x%lx on",
		      range->start);
	}
}
#endif

TEST(mem_reserved, "AVP-MEM-005")
{
	check_reserved();
}

static void access_hole(void *argument)
{
	const uint64_t *words = argument;

	if (words[2])
		mmio_write(words[0], words[3], (unsigned int)words[1]);
	else
		mmio_read(words[0], (unsigned int)words[1]);
}

/* Addresses at which nothing is described. */
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
	struct dut dut;
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
	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, 0, &dut); n++)
		dut_must_recover(&dut, "after accesses to addresses without memory or device");
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
		skip("it may end the guest: add fatal=1 to the command line to run it");
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
	struct dut dut;
	struct fault fault;

	for_each_dut(dut, TRANSPORT_ANY, 0)
	{
		const struct device *device = dut.device;
		uint64_t base = device->pci ? device->pci->common : device->base;

		for (uint64_t offset = 0; offset < 64; offset += 16)
			fault_catch(access_wide, (void *)(base + offset), &fault);
		dut_must_recover(&dut, "after wide accesses to its registers");
	}
}

TEST(mem_high, "AVP-MEM-012", .limit_ms = 30000)
{
	uint64_t start, end;

	if (!pages_part(1, &start, &end))
		skip("no memory above 4 GiB");
	*(volatile uint64_t *)start = 1;
	*(volatile uint64_t *)(end - 8) = 2;
	check(*(volatile uint64_t *)start == 1 && *(volatile uint64_t *)(end - 8) == 2,
	      "memory above 4 GiB does not keep what is written");
}

/*
 * Maps the page at @physical a second time, by a page or block of @size; returns its new address.
 */
#ifdef __x86_64__
#define ALIAS	  UINT64_C(0x500000000000)
#define LARGE	  0x80
#define WRITABLE  3
#define GIB_PAGES (1u << 26)

extern uint64_t tables[];

static uint64_t sizes[4] = {PAGE_SIZE, 2 << 20};

static unsigned int find_sizes(void)
{
	if (x86_cpuid(0x80000000, 0).eax < 0x80000001 ||
	    !(x86_cpuid(0x80000001, 0).edx & GIB_PAGES))
		return 2;
	sizes[2] = 1 << 30;
	return 3;
}

static void flush_alias(void)
{
	uint64_t root;

	__asm__ volatile("mov %%cr3, %0\n mov %0, %%cr3" : "=r"(root) : : "memory");
}

static volatile uint64_t *map_alias(uint64_t physical, uint64_t size)
{
	uint64_t *table = &tables[ALIAS >> 39 & 511];

	for (uint64_t reach = 1 << 30; reach >= size; reach >>= 9) {
		uint64_t *next = pages_get(PAGE_SIZE);

		*table = (uint64_t)next | WRITABLE;
		table = next;
	}
	*table = (physical & ~(size - 1)) | WRITABLE | (size > PAGE_SIZE ? LARGE : 0);
	flush_alias();
	return (volatile uint64_t *)(ALIAS | (physical & (size - 1)));
}

static void unmap_alias(void)
{
	tables[ALIAS >> 39 & 511] = 0;
	flush_alias();
}
#else
/* The upper half of the address space has page tables, and page sizes, of its own. */
#define ALIAS	     UINT64_C(0xffffff8000000000)
#define BLOCK	     0x705
#define PAGE	     0x707
#define TABLE	     3
#define UPPER_FIELD  UINT64_C(0xffff0000)
/* 39 bits, cached, inner shareable. */
#define UPPER_TABLES UINT64_C(0x3f190000)

static uint64_t sizes[8];
static unsigned int granule_bits[8];

static unsigned int add_sizes(unsigned int count, unsigned int bits, unsigned int levels)
{
	for (unsigned int i = 0; i < levels; i++, count++) {
		sizes[count] = UINT64_C(1) << (bits + i * (bits - 3));
		granule_bits[count] = bits;
	}
	return count;
}

/* The page and block sizes of each granule that ID_AA64MMFR0_EL1 reports. */
static unsigned int find_sizes(void)
{
	uint64_t features = read_register(id_aa64mmfr0_el1);
	unsigned int count = 0;

	if ((features >> 28 & 0xf) != 0xf)
		count = add_sizes(count, 12, 3);
	if (features >> 20 & 0xf)
		count = add_sizes(count, 14, 2);
	if ((features >> 24 & 0xf) != 0xf)
		count = add_sizes(count, 16, 2);
	return count;
}

static void set_upper(uint64_t field)
{
	write_register(tcr_el1, (read_register(tcr_el1) & ~UPPER_FIELD) | field);
	__asm__ volatile("isb; tlbi vmalle1; dsb sy; isb" ::: "memory");
}

static volatile uint64_t *map_alias(uint64_t physical, uint64_t size)
{
	unsigned int bits = 0;
	uint64_t granule, *table;

	for (unsigned int i = 0; i < 8; i++)
		if (sizes[i] == size)
			bits = granule_bits[i];
	granule = UINT64_C(1) << bits;
	table = pages_get_aligned(granule, granule);
	write_register(ttbr1_el1, table);
	/* From the top table for 39 bits down to the table whose entries have that size. */
	for (unsigned int reach = bits < 16 ? bits + 2 * (bits - 3) : bits + bits - 3;
	     UINT64_C(1) << reach > size; reach -= bits - 3) {
		uint64_t *next = pages_get_aligned(granule, granule);

		*table = (uint64_t)next | TABLE;
		table = next;
	}
	*table = (physical & ~(size - 1)) | (size == granule ? PAGE : BLOCK);
	__asm__ volatile("dsb sy" ::: "memory");
	set_upper(UPPER_TABLES | (bits == 12 ? UINT64_C(2) : bits == 14 ? 1 : 3) << 30);
	return (volatile uint64_t *)(ALIAS | (physical & (size - 1)));
}

static void unmap_alias(void)
{
	set_upper(1 << 23); /* EPD1 */
}
#endif

static void touch_alias(void *argument)
{
	volatile uint64_t **words = argument;

	(*words)[0] += 1;
}

TEST(mem_large_pages, "AVP-MEM-013", .limit_ms = 20000)
{
	volatile uint64_t *page = pages_get_aligned(64 << 10, 64 << 10);
	unsigned int count = find_sizes();

	for (unsigned int i = 0; i < count; i++) {
		volatile uint64_t *alias = map_alias((uint64_t)page, sizes[i]);
		struct fault fault;
		bool faulted;

		page[0] = i * 100;
		faulted = fault_catch(touch_alias, &alias, &fault);
		unmap_alias();
		check(!faulted, "memory mapped by %lu KiB raises 0x%lx (0x%lx)", sizes[i] >> 10,
		      fault.kind, fault.detail);
		check(page[0] == i * 100 + 1,
		      "memory mapped by %lu KiB is not the memory at that address", sizes[i] >> 10);
	}
}

TEST(mem_execute, "AVP-MEM-014", .limit_ms = 30000)
{
	uint64_t start, end;
	struct fault fault;

	for (unsigned int part = 0; pages_part(part, &start, &end); part++)
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
	struct dut dut;

	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, 0, &dut); n++) {
		struct queue *queue;

		if (dut.device->id != VIRTIO_ID_RNG)
			continue;
		queue = dut_open(&dut, 0, 16);
		for (int i = 0; i < 100; i++) {
			volatile uint64_t *words = (volatile uint64_t *)dut.area;

			/* Caches the line before the device writes. */
			words[0] = words[1] = 0;
			dut_must_do(&dut, queue, "of random bytes");
			check(words[0] | words[1], "sixteen zeros: a stale cache line");
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
	for (unsigned int part = 0; pages_part(part, &start, &end); part++)
		for (int last = 0; last < 2; last++) {
			uint64_t page = last ? end - PAGE_SIZE : start;
			struct driver_buffer buffer = buffer_of((void *)page, 64);
			uint32_t written = 0;

			check(queue_do(queue, &buffer, 0, 1, &written, ANSWER_MS),
			      "a buffer at 0x%lx is not served", page);
		}
}

#define ACROSS_SIZE 4096u

/* Where one usable range ends and another begins, with nothing of the guest's around it. */
static uint64_t find_border(void)
{
	for (unsigned int i = 0; i < machine.range_count; i++)
		for (unsigned int j = 0; j < machine.range_count; j++) {
			uint64_t border = machine.ranges[i].end;
			uint64_t start = border - ACROSS_SIZE, end = border + ACROSS_SIZE;

			if (!machine.ranges[i].usable || !machine.ranges[j].usable ||
			    machine.ranges[j].start != border ||
			    overlaps(start, end, (uint64_t)image_start, (uint64_t)image_end) ||
			    overlaps(start, end, machine.initrd_start, machine.initrd_end) ||
			    (machine.description && overlaps(start, end, machine.description,
							     machine.description + (2 << 20))))
				continue;
			return border;
		}
	return 0;
}

TEST(mem_across_ranges, "AVP-MEM-017", .device = VIRTIO_ID_BLOCK, .limit_ms = 20000)
{
	uint64_t border = find_border();
	uint8_t *data, *across;
	struct queue *queue;

	if (!border)
		skip("no two ranges of memory are adjacent");
	arch_map(border - ACROSS_SIZE, 2 * ACROSS_SIZE);
	data = pages_get(ACROSS_SIZE);
	across = (uint8_t *)(border - ACROSS_SIZE / 2);
	queue = block_open(0, 16);
	for (unsigned int i = 0; i < ACROSS_SIZE; i++)
		across[i] = (uint8_t)(i * 7 + i / 256);
	block_must(queue, VIRTIO_BLK_T_OUT, 0, across, ACROSS_SIZE, true);
	block_must(queue, VIRTIO_BLK_T_IN, 0, data, ACROSS_SIZE, false);
	for (unsigned int i = 0; i < ACROSS_SIZE; i++)
		check(data[i] == (uint8_t)(i * 7 + i / 256),
		      "byte %u of a write from memory across 0x%lx is 0x%x", i, border, data[i]);
	memset(across, 0, ACROSS_SIZE);
	block_must(queue, VIRTIO_BLK_T_IN, 0, across, ACROSS_SIZE, false);
	for (unsigned int i = 0; i < ACROSS_SIZE; i++)
		check(across[i] == data[i], "byte %u of a read to memory across 0x%lx is 0x%x", i,
		      border, across[i]);
}

#define PCI_ROM		0x30
#define PCI_ROM_ON	1u
#define PCI_ROM_ADDRESS (~UINT32_C(0x7ff))
#define PCI_HEADER	0x0e
#define PCI_SLOTS	32

/* Writes each width to @address and checks that the value there stays. */
static void check_read_only(uint64_t address, const char *what)
{
	struct fault fault;

	for (unsigned int width = 1; width <= 8; width *= 2) {
		uint64_t before = mmio_read(address, width);
		uint64_t words[4] = {address, width, true, ~before};

		fault_catch(access_hole, words, &fault);
		check(mmio_read(address, width) == before, "%s at 0x%lx was written to", what,
		      address);
	}
}

/* True: the function has an expansion ROM, which was checked. */
static bool try_pci_rom(const struct pci_function *function)
{
	uint32_t old = pci_read(function, PCI_ROM, 4), size, command;
	uint64_t address;

	pci_write(function, PCI_ROM, PCI_ROM_ADDRESS, 4);
	size = ~(pci_read(function, PCI_ROM, 4) & PCI_ROM_ADDRESS) + 1;
	pci_write(function, PCI_ROM, old, 4);
	if (size == 0)
		return false;
	address = old & PCI_ROM_ADDRESS;
	/* Firmware leaves the answer to the size's question in registers without an address. */
	if (address == 0 || address == (uint32_t)-size)
		address = pci_allocate_address(size);
	if (!address)
		return false;
	command = pci_read(function, PCI_COMMAND, 2);
	pci_write(function, PCI_COMMAND, command | COMMAND_MEMORY, 2);
	pci_write(function, PCI_ROM, (uint32_t)address | PCI_ROM_ON, 4);
	check_read_only(address, "an expansion ROM");
	pci_write(function, PCI_ROM, (uint32_t)address, 4);
	pci_write(function, PCI_COMMAND, command, 2);
	return true;
}

TEST(mem_rom, "AVP-MEM-018")
{
	bool any = false;

#ifndef __x86_64__
	if (arm64_platform.rom) {
		check_read_only(arm64_platform.rom, "read-only memory");
		any = true;
	}
#endif
	for (unsigned int slot = 0; slot < PCI_SLOTS && device_find(0, TRANSPORT_PCI); slot++) {
		struct pci_function function = {.bus = (uint8_t)machine.first_bus,
						.slot = (uint8_t)slot};

		if (pci_read(&function, 0, 2) != 0xffff &&
		    (pci_read(&function, PCI_HEADER, 1) & 0x7f) == 0)
			any |= try_pci_rom(&function);
	}
	if (!any)
		skip("nothing is described as read-only");
}

#define TRACES	    64
#define TRACE_STEP  (64 << 10)
#define OVERWRITTEN 64 /* bytes of the image's entry, which is no longer needed */

/* Counts the words that survived the reset, in memory that no loader writes to. */
static unsigned int count_traces(uint64_t end)
{
	unsigned int kept = 0;

	for (uint64_t i = 1; i <= TRACES; i++)
		kept += *(volatile uint64_t *)(end - i * TRACE_STEP) == sign(end - i);
	return kept;
}

static void overwrite(uint64_t address, uint64_t size)
{
	for (uint64_t i = 0; address && i < size; i++)
		((volatile uint8_t *)address)[i] = 0xa5;
}

TEST(mem_dirty_reset, "AVP-MEM-019", .limit_ms = 60000)
{
	static struct {
		struct snapshot snapshot;
		uint64_t end;
	} before;
	static struct snapshot now;
	uint64_t start;

	snapshot_take(&now);
	if (reboot_resume(&before, sizeof(before))) {
		report_line("note: of %u words in memory %u survived the reset", TRACES,
			    count_traces(before.end));
		snapshot_check_start(&before.snapshot, &now);
		return;
	}
	if (!arch_can_reset())
		skip("no way to reset is described");
	before.snapshot = now;
	pages_free_range(&start, &before.end);
	if (before.end - start < 2 * TRACES * TRACE_STEP)
		skip("too little free memory");
	reboot_store(&before, sizeof(before));
	for (uint64_t i = 1; i <= TRACES; i++)
		*(volatile uint64_t *)(before.end - i * TRACE_STEP) = sign(before.end - i);
	/* Overwrites the image's entry, the command line, and the description of the machine. */
	overwrite((uint64_t)image_start, OVERWRITTEN);
#ifdef __x86_64__
	overwrite(start_copy.command_line, 16);
	overwrite(start_copy.map, 64);
	overwrite(start_copy.address, 16);
#else
	overwrite(machine.description, arm64_platform.tree_size);
#endif
	reboot_reset();
}

TEST(mem_first_touch, "AVP-MEM-020", .limit_ms = 30000)
{
	static struct distribution distribution;
	uint64_t start, end;

	pages_free_range(&start, &end);
	distribution_start(&distribution);
	/* Downwards from the end: memory not touched before when the test runs alone. */
	for (uint64_t page = end - PAGE_SIZE; page > start && distribution.count < 2000;
	     page -= PAGE_SIZE) {
		uint64_t from = arch_ticks();

		*(volatile uint64_t *)page = 1;
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from));
	}
	distribution_report(&distribution, "mem_first_touch", "ns");
}

// SPDX-License-Identifier: BSD-3-Clause
/* Chapter discovery: the description of the machine, and whether it is right. */
#include "base/contract_version.h"
#include "bus/pci.h"
#include "bus/virtio_mmio.h"
#include "console.h"
#include "devices/type.h"
#include "snapshot.h"
#include "reboot.h"
#include "test.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"

TEST(disc_acpi_tables, "AVP-DISC-001", .profile = "x86-64")
{
	check(x86_platform.xsdt, "neither an XSDT nor an RSDT");
	for (unsigned int i = 0; i < x86_platform.table_count; i++) {
		const struct acpi_table *table = &x86_platform.tables[i];

		check(table->valid, "table %s at 0x%lx: wrong checksum, or wrong length %u",
		      table->signature, table->address, table->length);
	}
}

TEST(disc_acpi_fadt, "AVP-DISC-002", .profile = "x86-64")
{
	static const uint16_t lengths[] = {0, 116, 116, 244, 244, 268, 276};
	uint32_t revision;

	check(x86_platform.fadt, "no FADT");
	revision = *(const uint8_t *)(x86_platform.fadt + 8);
	check(revision >= 1 && (revision > 6 || x86_platform.fadt_length >= lengths[revision]),
	      "FADT: revision %u with a length of %u", revision, x86_platform.fadt_length);
}

TEST(disc_acpi_reduced, "AVP-DISC-003", .profile = "x86-64")
{
	check(x86_platform.fadt_flags & 1 << 20, "SHOULD: it is not hardware-reduced");
}

TEST(disc_acpi_madt, "AVP-DISC-004", .profile = "x86-64")
{
	check(x86_platform.io_apic_count > 0, "no I/O APIC is listed");
	for (unsigned int i = 0; i < x86_platform.io_apic_count; i++)
		for (unsigned int j = 0; j < i; j++) {
			const struct io_apic *a = &x86_platform.io_apics[i];
			const struct io_apic *b = &x86_platform.io_apics[j];

			check(a->base >= b->base + b->count || b->base >= a->base + a->count,
			      "I/O APICs %u and %u claim the same interrupts", j, i);
		}
	for (unsigned int i = 0; i < x86_platform.override_count; i++)
		check(x86_platform.overrides[i].interrupt < 1024,
		      "override of interrupt %u names interrupt %u", i,
		      x86_platform.overrides[i].interrupt);
}

TEST(disc_acpi_mmio, "AVP-DISC-005", .profile = "x86-64", .transport = TRANSPORT_MMIO)
{
	for (unsigned int i = 0; i < machine.slot_count; i++)
		check(machine.slots[i].size >= 0x200 && machine.slots[i].line.valid,
		      "the window at 0x%lx: size 0x%lx, %s interrupt", machine.slots[i].address,
		      machine.slots[i].size, machine.slots[i].line.valid ? "an" : "no");
}
#else
#include "arch/arm64/arm64.h"
#include "arch/image.h"

static void need_tree(void)
{
	if (machine.has_firmware && !arm64_platform.tree_size)
		cannot_judge("firmware passes no device tree");
}

TEST(disc_dt_valid, "AVP-DISC-007", .profile = "arm64")
{
	need_tree();
	check(start_copy.version >= 17 && start_copy.loader <= 17,
	      "version %lu, compatible with %lu", start_copy.version, start_copy.loader);
	check(arm64_platform.tree_valid, "the device tree is not well-formed");
}

TEST(disc_dt_root, "AVP-DISC-008", .profile = "arm64")
{
	need_tree();
	check(arm64_platform.root_properties == 7,
	      "the root lacks compatible, #address-cells or #size-cells (0x%x)",
	      arm64_platform.root_properties);
}

TEST(disc_dt_cpus, "AVP-DISC-009", .profile = "arm64")
{
	need_tree();
	check(arm64_platform.cpu_nodes > 0, "no processor has a node");
	check(arm64_platform.cpu_nodes == 1 ||
		      arm64_platform.cpu_nodes_with_psci == arm64_platform.cpu_nodes,
	      "%u of %u processors have the enable-method psci", arm64_platform.cpu_nodes_with_psci,
	      arm64_platform.cpu_nodes);
}

TEST(disc_dt_core, "AVP-DISC-010", .profile = "arm64")
{
	check(arm64_platform.gic_version && arm64_platform.distributor, "no interrupt controller");
	check(arm64_platform.virtual_timer, "no generic timer");
	check(arm64_platform.has_psci, "no PSCI");
}

TEST(disc_dt_mmio, "AVP-DISC-011", .profile = "arm64", .transport = TRANSPORT_MMIO)
{
	check(arm64_platform.mmio_coherent == arm64_platform.mmio_nodes,
	      "%u of %u windows are described as coherent", arm64_platform.mmio_coherent,
	      arm64_platform.mmio_nodes);
	for (unsigned int i = 0; i < machine.slot_count; i++)
		check(machine.slots[i].line.valid, "the window at 0x%lx has no interrupt",
		      machine.slots[i].address);
}

TEST(disc_dt_pci, "AVP-DISC-012", .profile = "arm64")
{
	need_tree();
	if (!machine.ecam)
		skip("no PCI host bridge");
	check(machine.window32.end > machine.window32.start ||
		      machine.window64.end > machine.window64.start,
	      "no window for memory BARs in ranges");
	check(arm64_platform.pci_map || arm64_platform.its || arm64_platform.message_frame,
	      "neither interrupt-map nor message interrupts are described");
}
#endif

#define NO_WINDOW "no window of virtio-mmio is described"

static void peek(void *argument)
{
	uint64_t *words = argument;

	words[1] = mmio_read(words[0], 4);
}

/* Reads a register. 0: the access caused an exception. */
static uint32_t disc_peek(uint64_t address)
{
	uint64_t words[2] = {address, 0};
	struct fault fault;

	return fault_catch(peek, words, &fault) ? 0 : (uint32_t)words[1];
}

TEST(disc_pci_mcfg, "AVP-DISC-006")
{
	if (!machine.ecam && !pci_function_count)
		skip("no PCI host bridge");
	check(machine.ecam, "no memory-mapped configuration space is described");
	check(machine.last_bus >= machine.first_bus && machine.last_bus < 256,
	      "the PCI buses are %u to %u", machine.first_bus, machine.last_bus);
	for (unsigned int bus = machine.first_bus; bus <= machine.last_bus; bus += 17) {
		struct pci_function function = {.bus = (uint8_t)bus};

		pci_read(&function, 0, 4);
	}
}

TEST(disc_answers, "AVP-DISC-013")
{
	if (machine.slot_count == 0)
		skip(NO_WINDOW);
	for (unsigned int i = 0; i < machine.slot_count; i++)
		check(mmio_read(machine.slots[i].address, 4) == MMIO_MAGIC,
		      "the device described at 0x%lx reads 0x%lx", machine.slots[i].address,
		      mmio_read(machine.slots[i].address, 4));
}

TEST(disc_complete, "AVP-DISC-014")
{
	if (machine.slot_count == 0)
		skip(NO_WINDOW);
	/* Probes for a device next to a described window, where the next window would be. */
	for (unsigned int i = 0; i < machine.slot_count; i++) {
		uint64_t next = machine.slots[i].address + machine.slots[i].size;
		bool described = false;

		for (unsigned int j = 0; j < machine.slot_count; j++)
			described |= next >= machine.slots[j].address &&
				     next < machine.slots[j].address + machine.slots[j].size;
		if (described || machine_has_memory(next, 1) || next == machine.ecam)
			continue;
		arch_map(next, 0x200);
		check(disc_peek(next) != MMIO_MAGIC || disc_peek(next + 8) == 0,
		      "a device with id %u at 0x%lx is not described", disc_peek(next + 8), next);
	}
}

TEST(disc_stable, "AVP-DISC-015", .limit_ms = 60000)
{
	static struct snapshot before, now;

	if (device_count == 0)
		skip("no virtio device");
	snapshot_take(&now);
	if (!reboot_resume(&before, sizeof(before)))
		reboot_now(&now, sizeof(now));
	snapshot_check_devices(&before, &now);
}

TEST(disc_console, "AVP-DISC-016")
{
	char word[32];

	check(console_works(), "no console was found");
#ifdef __x86_64__
	for (unsigned int i = 0; i < x86_platform.table_count; i++)
		if (text_is(x86_platform.tables[i].signature, "SPCR"))
			return;
#else
	if (arm64_platform.stdout_path[0])
		return;
#endif
	check(text_option(machine.command_line, "console", word, sizeof(word)),
	      "neither SPCR, stdout-path nor console= names it");
}

/* Whether @name is one of the words, which commas separate. */
static bool is_listed(const char *name, const char *words)
{
	for (const char *at = words; *at; at++) {
		size_t length = text_length(name);

		if ((at == words || at[-1] == ',') && text_starts(at, name) &&
		    (!at[length] || at[length] == ','))
			return true;
	}
	return false;
}

/* The host lists the configured devices: devices=. */
TEST(disc_base_devices, "AVP-DISC-017")
{
	char words[64] = "";
	bool promised = text_option(machine.command_line, "devices", words, sizeof(words)),
	     any = false;

	for_each_type(type)
	{
		bool found = device_find(type->id, TRANSPORT_ANY);

		if (!type->base)
			continue;
		if (!promised && !found)
			skip("no %s device: configure the machine with one", type->name);
		if (promised && !is_listed(type->name, words))
			continue;
		any = true;
		check(found, "no %s device, though the command line has devices=%s", type->name,
		      words);
	}
	if (!any)
		skip("devices=%s names no device of the base profile", words);
}

#define CAPACITY  16
#define PCI_SLOTS 32

TEST(disc_capacity, "AVP-DISC-018")
{
	unsigned int places = machine.slot_count;

	/* Each slot of the first bus can hold a device. */
	if (machine.ecam || device_find(0, TRANSPORT_PCI))
		places += PCI_SLOTS;
	if (places < CAPACITY && places == device_count)
		skip("only existing devices are described: start the guest with sixteen");
	check(places >= CAPACITY, "SHOULD: the machine has room for only %u devices", places);
}

static uint64_t minor_of(const char *version)
{
	while (*version && *version != '.')
		version++;
	return *version ? text_number(version + 1) : UINT64_MAX;
}

TEST(disc_contract_version, "AVP-DISC-019")
{
	char word[32];

	check(text_option(machine.command_line, "avp.contract", word, sizeof(word)),
	      "SHOULD: the command line has no avp.contract=");
	/*
	 * Versions with the same MAJOR are compatible; while MAJOR is 0, those with the same MINOR.
	 */
	check(text_number(word) == text_number(CONTRACT_VERSION) &&
		      (text_number(word) > 0 || minor_of(word) == minor_of(CONTRACT_VERSION)),
	      "SHOULD: avp.contract=%s, this guest is built for " CONTRACT_VERSION, word);
}

TEST(disc_empty, "AVP-DISC-020")
{
	/* The guest is running. Only a machine without devices shows that it needs none. */
	if (device_count > 0)
		skip("the machine has %u devices: start the guest without any", device_count);
}

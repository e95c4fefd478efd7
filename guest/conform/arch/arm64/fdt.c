// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device tree (Devicetree Specification 0.4, 5): one walk through the structure block, which
 * collects each node's properties and then evaluates the node. Every offset is checked against the
 * tree's size.
 */
#include "arch/arch.h"
#include "arch/arm64/arm64.h"
#include "arch/image.h"
#include "text.h"

#define MAGIC	       0xd00dfeed
#define BEGIN_NODE     1
#define END_NODE       2
#define PROPERTY       3
#define NOTHING	       4
#define END	       9
#define SIZE_MAX_TREE  (2u << 20)
#define PROPERTIES_MAX 32
#define DEPTH_MAX      16
#define CELLS_MAX      4 /* of an address or a size */
#define SHIFT_MAX      3

struct property {
	const char *name;
	const uint8_t *data;
	uint32_t length;
};

struct node {
	const char *name;
	struct property properties[PROPERTIES_MAX];
	unsigned int count, depth;
	uint32_t address_cells, size_cells; /* of its parent */
	bool reserved;			    /* below /reserved-memory */
};

struct arm64_platform arm64_platform = {.pci_mask = {0x1800, 0, 0, 7}, .reserved_valid = true};

static uint32_t get(const void *entry)
{
	const uint8_t *bytes = entry;

	return (uint32_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

static const struct property *find(const struct node *node, const char *name)
{
	for (unsigned int i = 0; i < node->count; i++)
		if (text_is(node->properties[i].name, name))
			return &node->properties[i];
	return NULL;
}

/* Does the list of strings contain @text? */
static bool has_string(const struct property *property, const char *text)
{
	uint32_t at = 0;

	while (property && at < property->length) {
		uint32_t end = at;

		while (end < property->length && property->data[end])
			end++;
		if (end == property->length)
			return false;
		if (text_is((const char *)property->data + at, text))
			return true;
		at = end + 1;
	}
	return false;
}

static bool is_compatible(const struct node *node, const char *with)
{
	return has_string(find(node, "compatible"), with);
}

static uint64_t cells(const struct property *property, uint32_t from, uint32_t count)
{
	uint64_t value = 0;

	for (uint32_t i = from; i < from + count; i++)
		if (4 * i + 4 <= property->length)
			value = value << 32 | get(property->data + 4 * i);
	return value;
}

static uint32_t cell(const struct node *node, const char *name, uint32_t otherwise)
{
	const struct property *property = find(node, name);

	return property && property->length >= 4 ? get(property->data) : otherwise;
}

/* The nth address and size of reg. */
static bool find_range(const struct node *node, unsigned int nth, uint64_t *address, uint64_t *size)
{
	const struct property *reg = find(node, "reg");
	uint32_t width = node->address_cells + node->size_cells;

	if (!reg || node->address_cells > CELLS_MAX || node->size_cells > CELLS_MAX || width == 0 ||
	    (uint64_t)(nth + 1) * width * 4 > reg->length)
		return false;
	*address = cells(reg, nth * width, node->address_cells);
	*size = cells(reg, nth * width + node->address_cells, node->size_cells);
	return true;
}

/* Three cells, as Arm's interrupt controllers have them. */
static struct interrupt_line find_line(const struct node *node, unsigned int nth)
{
	const struct property *interrupts = find(node, "interrupts");
	struct interrupt_line line = {.valid = false};

	if (!interrupts || (nth + 1) * 12 > interrupts->length)
		return line;
	line.number = (uint32_t)cells(interrupts, 3 * nth + 1, 1) +
		      (cells(interrupts, 3 * nth, 1) ? 16 : 32);
	line.level = cells(interrupts, 3 * nth + 2, 1) & 0xc;
	line.valid = true;
	if (line.number > arm64_platform.highest_interrupt)
		arm64_platform.highest_interrupt = line.number;
	return line;
}

static void copy_text(const struct property *property, char *to, size_t size, bool *cut)
{
	size_t length = 0;

	while (property && length < property->length && property->data[length] &&
	       length < size - 1) {
		to[length] = (char)property->data[length];
		length++;
	}
	to[length] = 0;
	if (cut)
		*cut = property && length < property->length && property->data[length];
}

/* Firmware has its own memory map and command line: those of the tree are not the guest's. */
static void add_range(uint64_t start, uint64_t end, bool usable)
{
	if (!machine.has_firmware)
		machine_add_range(start, end, usable);
}

static void take_chosen(const struct node *node)
{
	const struct property *start = find(node, "linux,initrd-start");
	const struct property *end = find(node, "linux,initrd-end");

	if (!machine.has_firmware)
		copy_text(find(node, "bootargs"), machine.command_line,
			  sizeof(machine.command_line), &machine.command_line_cut);
	copy_text(find(node, "stdout-path"), arm64_platform.stdout_path,
		  sizeof(arm64_platform.stdout_path), NULL);
	if (start && end) {
		machine.initrd_start = cells(start, 0, start->length / 4);
		machine.initrd_end = cells(end, 0, end->length / 4);
	}
}

static void take_pci(const struct node *node)
{
	const struct property *ranges = find(node, "ranges"), *map = find(node, "interrupt-map");
	const struct property *mask = find(node, "interrupt-map-mask");
	const struct property *buses = find(node, "bus-range");
	uint64_t size = 0;
	uint32_t width = 3 + node->address_cells + 2;

	if (!find_range(node, 0, &machine.ecam, &size))
		return;
	machine.last_bus = buses && buses->length == 8 ? (unsigned int)cells(buses, 1, 1) :
							 (unsigned int)(size >> 20) - 1;
	machine.first_bus = buses && buses->length == 8 ? (unsigned int)cells(buses, 0, 1) : 0;
	for (uint32_t i = 0; ranges && (i + 1) * width * 4 <= ranges->length && i < 8; i++) {
		uint32_t space = (uint32_t)cells(ranges, i * width, 1) >> 24 & 3;
		uint64_t at = cells(ranges, i * width + 3, node->address_cells);
		uint64_t length = cells(ranges, i * width + 3 + node->address_cells, 2);
		struct window window = {at, at + length, at};

		if (space == 2 && machine.window32.start == machine.window32.end)
			machine.window32 = window;
		else if (space == 3 && machine.window64.start == machine.window64.end)
			machine.window64 = window;
	}
	if (map) {
		arm64_platform.pci_map = (const uint32_t *)map->data;
		arm64_platform.pci_map_cells = map->length / 4;
	}
	for (uint32_t i = 0; mask && i < 4 && mask->length >= 16; i++)
		arm64_platform.pci_mask[i] = (uint32_t)cells(mask, i, 1);
}

static void take_gic(const struct node *node)
{
	uint64_t size;

	arm64_platform.gic_address_cells = cell(node, "#address-cells", 0);
	if (is_compatible(node, "arm,gic-v3")) {
		arm64_platform.gic_version = 3;
		find_range(node, 0, &arm64_platform.distributor, &size);
		find_range(node, 1, &arm64_platform.redistributors,
			   &arm64_platform.redistributors_size);
	} else {
		arm64_platform.gic_version = 2;
		find_range(node, 0, &arm64_platform.distributor, &size);
		find_range(node, 1, &arm64_platform.cpu_interface, &size);
	}
}

static void take_memory(const struct node *node)
{
	uint64_t address, size;

	for (unsigned int i = 0; i < RANGES_MAX && find_range(node, i, &address, &size); i++)
		add_range(address, address + size, true);
}

static void take_cpu(const struct node *node)
{
	const struct property *reg = find(node, "reg"), *status = find(node, "status");

	arm64_platform.cpu_nodes++;
	if (has_string(find(node, "enable-method"), "psci"))
		arm64_platform.cpu_nodes_with_psci++;
	if (reg && (!status || has_string(status, "okay")) && machine.cpu_count < CPUS_MAX)
		machine.cpu_ids[machine.cpu_count++] = cells(reg, 0, reg->length / 4);
}

static void take_node(const struct node *node)
{
	const struct property *status = find(node, "status");
	uint64_t address = 0, size = 0;

	if (node->depth == 1)
		arm64_platform.root_properties = (find(node, "compatible") ? 1u : 0) |
						 (find(node, "#address-cells") ? 2u : 0) |
						 (find(node, "#size-cells") ? 4u : 0);
	if (node->depth == 1 && find(node, "model"))
		copy_text(find(node, "model"), machine.model, sizeof(machine.model), NULL);
	if (node->depth == 1 && !find(node, "model"))
		copy_text(find(node, "compatible"), machine.model, sizeof(machine.model), NULL);
	/* Devicetree Specification 0.4, 3.5.1 */
	if (text_is(node->name, "reserved-memory") && node->depth == 2)
		arm64_platform.reserved_valid = find(node, "#address-cells") &&
						find(node, "#size-cells") && find(node, "ranges");
	if (text_is(node->name, "chosen") && node->depth == 2)
		take_chosen(node);
	if (has_string(find(node, "device_type"), "cpu"))
		take_cpu(node);
	if (status && !has_string(status, "okay") && !has_string(status, "ok"))
		return;
	if (has_string(find(node, "device_type"), "memory"))
		take_memory(node);
	if (node->reserved && find_range(node, 0, &address, &size))
		add_range(address, address + size, false);
	if (is_compatible(node, "arm,psci-1.0") || is_compatible(node, "arm,psci-0.2") ||
	    is_compatible(node, "arm,psci")) {
		arm64_platform.has_psci = true;
		arm64_platform.conduit = has_string(find(node, "method"), "smc") ? CONDUIT_SMC :
										   CONDUIT_HVC;
	}
	if (is_compatible(node, "arm,gic-v3") || is_compatible(node, "arm,cortex-a15-gic") ||
	    is_compatible(node, "arm,gic-400"))
		take_gic(node);
	if (is_compatible(node, "arm,gic-v2m-frame"))
		find_range(node, 0, &arm64_platform.message_frame, &size);
	if (is_compatible(node, "arm,gic-v3-its"))
		find_range(node, 0, &arm64_platform.its, &size);
	if (is_compatible(node, "arm,armv8-timer")) {
		arm64_platform.physical_timer = find_line(node, 1).number;
		arm64_platform.virtual_timer = find_line(node, 2).number;
	}
	if (is_compatible(node, "virtio,mmio") && find_range(node, 0, &address, &size)) {
		arm64_platform.mmio_nodes++;
		if (find(node, "dma-coherent"))
			arm64_platform.mmio_coherent++;
		machine_add_slot(address, size, find_line(node, 0));
	}
	if (is_compatible(node, "arm,sbsa-gwdt") &&
	    find_range(node, 0, &arm64_platform.watchdog_control, &size) &&
	    find_range(node, 1, &arm64_platform.watchdog_refresh, &size))
		arm64_platform.watchdog_line = find_line(node, 0);
	if (is_compatible(node, "mtd-rom"))
		find_range(node, 0, &arm64_platform.rom, &size);
	if (is_compatible(node, "arm,pl031") && find_range(node, 0, &arm64_platform.clock, &size))
		arm64_platform.clock_line = find_line(node, 0);
	if (is_compatible(node, "pci-host-ecam-generic"))
		take_pci(node);
	if (is_compatible(node, "arm,pl011") && machine.serial == SERIAL_NONE &&
	    find_range(node, 0, &machine.serial_address, &size))
		machine.serial = SERIAL_PL011;
	if ((is_compatible(node, "ns16550a") || is_compatible(node, "ns16550")) &&
	    machine.serial == SERIAL_NONE && find_range(node, 0, &machine.serial_address, &size)) {
		machine.serial = SERIAL_16550;
		machine.serial_shift = cell(node, "reg-shift", 0);
		if (machine.serial_shift > SHIFT_MAX)
			machine.serial = SERIAL_NONE;
	}
}

struct walk {
	const uint8_t *tree, *structure, *strings;
	uint32_t structure_size, strings_size;
};

/* The length of a string, with its zero, that ends within @limit bytes; 0: it does not end. */
static uint32_t bounded(const uint8_t *text, uint32_t limit)
{
	for (uint32_t i = 0; i < limit; i++)
		if (!text[i])
			return i + 1;
	return 0;
}

static void add_to_sum(const char *name, const uint8_t *data, uint32_t length)
{
	uint32_t sum = arm64_platform.tree_sum;

	if (text_is(name, "kaslr-seed") || text_is(name, "rng-seed"))
		return;
	sum = text_sum(sum, name, text_length(name) + 1);
	arm64_platform.tree_sum = text_sum(sum, data, length);
}

static bool walk_nodes(const struct walk *walk)
{
	static struct node node;
	static struct {
		uint32_t address_cells, size_cells;
		bool reserved;
	} above[DEPTH_MAX + 1];
	unsigned int depth = 0;
	bool open = false; /* properties of a node that is not evaluated yet */
	uint32_t at = 0;

	while (at + 4 <= walk->structure_size) {
		const uint8_t *entry = walk->structure + at;
		uint32_t token = get(entry), length, name;

		at += 4;
		if ((token == BEGIN_NODE || token == END_NODE) && open) {
			above[depth].address_cells = cell(&node, "#address-cells", 2);
			above[depth].size_cells = cell(&node, "#size-cells", 1);
			above[depth].reserved = depth == 2 && text_is(node.name, "reserved-memory");
			take_node(&node);
			open = false;
		}
		switch (token) {
		case BEGIN_NODE:
			length = bounded(entry + 4, walk->structure_size - at);
			if (!length || depth == DEPTH_MAX)
				return false;
			node.name = (const char *)entry + 4;
			add_to_sum(node.name, NULL, 0);
			node.count = 0;
			node.depth = depth + 1;
			node.address_cells = depth ? above[depth].address_cells : 2;
			node.size_cells = depth ? above[depth].size_cells : 1;
			node.reserved = depth && above[depth].reserved;
			depth++;
			open = true;
			at += (length + 3) & ~3u;
			break;
		case END_NODE:
			if (depth == 0)
				return false;
			depth--;
			break;
		case PROPERTY:
			if (at + 8 > walk->structure_size)
				return false;
			length = get(entry + 4);
			name = get(entry + 8);
			if (length > walk->structure_size - at - 8 || name >= walk->strings_size ||
			    !bounded(walk->strings + name, walk->strings_size - name))
				return false;
			add_to_sum((const char *)walk->strings + name, entry + 12, length);
			if (open && node.count < PROPERTIES_MAX)
				node.properties[node.count++] = (struct property){
					(const char *)walk->strings + name, entry + 12, length};
			at += 8 + ((length + 3) & ~3u);
			break;
		case NOTHING:
			break;
		case END:
			return depth == 0;
		default:
			return false;
		}
	}
	return false;
}

void arm64_read_tree(uint64_t address)
{
	const uint8_t *tree = (const uint8_t *)address;
	struct walk walk = {.tree = tree};
	uint32_t size, structure, strings, reserved;

	machine.description = address;
	if (!address || address & 7 || get(tree) != MAGIC)
		return;
	size = get(tree + 4);
	structure = get(tree + 8);
	strings = get(tree + 12);
	reserved = get(tree + 16);
	walk.strings_size = get(tree + 32);
	walk.structure_size = get(tree + 36);
	arm64_platform.tree_size = size;
	start_copy.map_count = size;
	start_copy.magic = get(tree);
	start_copy.version = get(tree + 20);
	start_copy.loader = get(tree + 24); /* the last version that it is compatible with */
	if (size > SIZE_MAX_TREE || structure > size || walk.structure_size > size - structure ||
	    strings > size || walk.strings_size > size - strings)
		return;
	walk.structure = tree + structure;
	walk.strings = tree + strings;
	for (uint32_t at = reserved, i = 0; at + 16 <= size && i < 16; at += 16, i++) {
		uint64_t from = (uint64_t)get(tree + at) << 32 | get(tree + at + 4);
		uint64_t length = (uint64_t)get(tree + at + 8) << 32 | get(tree + at + 12);

		if (!from && !length)
			break;
		add_range(from, from + length, false);
	}
	arm64_platform.tree_valid = walk_nodes(&walk);
}

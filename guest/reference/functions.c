// SPDX-License-Identifier: BSD-3-Clause
/*
 * Functions of a PCI bus that only the guest sees, and the registers of virtio-pci (VIRTIO 1.4,
 * 4.1): one BAR with all structures, MSI-X, an administration queue, and the capabilities that are
 * optional.
 */
#include "bus/pci.h"
#include "reference.h"

#define FUNCTIONS_MAX 4
/* Beyond the windows of virtio-mmio. */
#define ECAM	      UINT64_C(0x1010000000)
#define BARS	      UINT64_C(0x1020000000)
#define BAR_SIZE      0x8000u
#define CONFIG_SIZE   4096u
#define VECTORS	      4u
#define COMMON_BYTES  64u
#define COMMON_ADMIN  60
#define COMMON_ADMINS 62
#define WIDE_BAR      4u
#define SLOW_TURNS    20000

/* Pages of the BAR. */
enum { COMMON, NOTIFY, ISR, DEVICE, TABLE, PENDING, NOTIFY_AGAIN };

/* Where capabilities are in the configuration space. */
enum { AT_MSIX = 0x40, AT_FIRST = 0x50, AT_EXTENDED = 0x100 };
#define MSIX_CONTROL	  (AT_MSIX + 2)
#define CAPABILITY_VENDOR 9
#define CAPABILITY_MSIX	  17
#define EXTENDED_SR_IOV	  0x10
#define SR_IOV_SIZE	  0x40u

static struct function {
	struct reference *reference;
	uint8_t config[CONFIG_SIZE];
	uint32_t window; /* where the capability for access by the configuration space is */
	struct {
		uint64_t address;
		uint32_t data, control;
	} table[VECTORS];
	uint64_t pending;
} functions[FUNCTIONS_MAX];
static unsigned int function_count;

static uint32_t get(const struct function *function, uint32_t offset, unsigned int width)
{
	uint32_t value = 0;

	memcpy(&value, function->config + offset, width);
	return value;
}

static void put(struct function *function, uint32_t offset, uint32_t value, unsigned int width)
{
	memcpy(function->config + offset, &value, width);
}

/* Messages */

static void send(struct function *function, uint16_t vector)
{
	uint32_t control = get(function, MSIX_CONTROL, 2);

	if (!(control & MSIX_ENABLE) || vector >= VECTORS || !function->reference->is_master)
		return;
	if (control & MSIX_MASK_ALL || function->table[vector].control & 1) {
		function->pending |= UINT64_C(1) << vector;
		return;
	}
	function->pending &= ~(UINT64_C(1) << vector);
	lines_send(function->table[vector].address, function->table[vector].data);
}

static void send_pending(struct function *function)
{
	for (uint16_t vector = 0; vector < VECTORS; vector++)
		if (function->pending & UINT64_C(1) << vector)
			send(function, vector);
}

static void raise(struct reference *reference, uint16_t vector)
{
	for (unsigned int i = 0; i < function_count; i++)
		if (functions[i].reference == reference)
			send(&functions[i], vector);
}

/* What the function is */

static uint32_t add_capability(struct function *function, uint32_t at, uint32_t *last,
			       uint32_t length)
{
	put(function, at, CAPABILITY_VENDOR, 1);
	put(function, at + 2, length, 1);
	put(function, *last, at, 1);
	*last = at + 1;
	return at + length;
}

static void describe(struct function *function)
{
	static const struct {
		uint8_t type, page, length;
		uint32_t size;
	} parts[] = {
		{CAP_COMMON, COMMON, 16, COMMON_BYTES},
		{CAP_NOTIFY, NOTIFY, 20, 4 * REFERENCE_QUEUES},
		{CAP_ISR, ISR, 16, 1},
		{CAP_DEVICE, DEVICE, 16, 0x100},
		{CAP_NOTIFY, NOTIFY_AGAIN, 20, 4 * REFERENCE_QUEUES},
		{CAP_PCI_CFG, 0, 20, 0},
		{CAP_VENDOR, 0, 8, 0},
	};
	const struct virtio_device *device = &function->reference->device;
	uint32_t at = AT_FIRST, last = AT_MSIX + 1;

	put(function, 0, 0x1af4, 2);
	put(function, 2, (uint32_t)PCI_MODERN + device->class->id, 2);
	put(function, PCI_STATUS, 0x10, 2);	 /* it has capabilities */
	put(function, 8, 1 | 0xff0000u << 8, 4); /* revision 1, no class */
	put(function, 0x2e, 0x40, 2);
	put(function, 0x34, AT_MSIX, 1);
	put(function, AT_MSIX, CAPABILITY_MSIX, 1);
	put(function, MSIX_CONTROL, VECTORS - 1, 2);
	put(function, AT_MSIX + 4, TABLE * 0x1000u, 4);
	put(function, AT_MSIX + 8, PENDING * 0x1000u, 4);
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint32_t here = at;

		at = add_capability(function, at, &last, parts[i].length);
		put(function, here + 3, parts[i].type, 1);
		if (parts[i].type == CAP_VENDOR) {
			put(function, here + 4, 0x1234, 2); /* the vendor of the data */
			continue;
		}
		put(function, here + 8, parts[i].page * 0x1000u, 4);
		put(function, here + 12, parts[i].size, 4);
		if (parts[i].type == CAP_NOTIFY)
			put(function, here + 16, 4, 4); /* notify_off_multiplier */
		if (parts[i].type == CAP_PCI_CFG)
			function->window = here;
	}
	/* Single Root I/O Virtualization with no virtual function. */
	put(function, AT_EXTENDED, EXTENDED_SR_IOV | 1 << 16, 4);
	put(function, AT_EXTENDED + 0x1e, 0x1041, 2);
	put(function, AT_EXTENDED + 0x1c, 1, 2);
	for (unsigned int i = 0; i < VECTORS; i++)
		function->table[i].control = 1;
}

void functions_add(struct reference *reference)
{
	struct function *function = &functions[function_count];
	uint64_t bar = BARS + function_count * (uint64_t)BAR_SIZE;

	/* A bus of the machine would be hidden. */
	if (function_count == FUNCTIONS_MAX || !ARCH_X86 || (machine.ecam && machine.ecam != ECAM))
		return;
	machine.ecam = ECAM;
	machine.first_bus = machine.last_bus = 0;
	reference->on_pci = true;
	reference->raise = raise;
	reference->device.offered |= FEATURE(VIRTIO_F_SR_IOV) | FEATURE(VIRTIO_F_NOTIF_CONFIG_DATA);
	function->reference = reference;
	function_count++;
	describe(function);
	put(function, PCI_BAR(0), (uint32_t)bar | WIDE_BAR, 4);
	put(function, PCI_BAR(1), (uint32_t)(bar >> 32), 4);
}

/* Common configuration (VIRTIO 1.4, 4.1.4.3) */

static uint32_t read_common(struct reference *reference, uint32_t offset)
{
	const struct reference_queue *queue = reference_selected(reference);
	bool admin = reference->admin_queue &&
		     reference->device.offered & FEATURE(VIRTIO_F_ADMIN_VQ);

	switch (offset) {
	case COMMON_DEVICE_SELECT:
		return reference->device_select;
	case COMMON_DEVICE:
		return reference_offered(reference, reference->device_select);
	case COMMON_DRIVER_SELECT:
		return reference->driver_select;
	case COMMON_DRIVER:
		return reference->driver_select < 3 ? reference->chosen[reference->driver_select] :
						      0;
	case COMMON_CONFIG_VECTOR:
		return reference->config_vector;
	case COMMON_QUEUES:
		return admin ? reference->admin_queue : reference->device.queue_count;
	case COMMON_STATUS:
		return reference_status(reference);
	case COMMON_GENERATION:
		return reference->device.config_generation & 0xff;
	case COMMON_QUEUE_SELECT:
		return reference->queue_select;
	case COMMON_ADMIN:
		return admin ? reference->admin_queue : 0;
	case COMMON_ADMINS:
		return admin;
	default:
		break;
	}
	if (!queue)
		return offset == COMMON_QUEUE_VECTOR ? NO_VECTOR : 0;
	switch (offset) {
	case COMMON_QUEUE_SIZE:
		return queue->size;
	case COMMON_QUEUE_VECTOR:
		return queue->vector;
	case COMMON_QUEUE_ENABLE:
		return queue->ready;
	case COMMON_QUEUE_NOTIFY:
		return reference->queue_select;
	case COMMON_NOTIFY_DATA:
		return reference_notify_data(reference, reference->queue_select);
	default:
		break;
	}
	if (offset >= COMMON_QUEUE_DESC && offset < COMMON_NOTIFY_DATA)
		return (uint32_t)(queue->addresses[(offset - COMMON_QUEUE_DESC) / 8] >>
				  (offset % 8 * 8));
	return 0; /* a queue's reset is done when the write is */
}

static void write_queue(struct reference *reference, uint32_t offset, uint32_t value)
{
	struct reference_queue *queue = reference_selected(reference);
	uint64_t *address;

	if (!queue)
		return;
	switch (offset) {
	case COMMON_QUEUE_SIZE:
		if (!queue->ready)
			queue->size = value;
		return;
	case COMMON_QUEUE_VECTOR:
		queue->vector = (uint16_t)(value < VECTORS ? value : NO_VECTOR);
		return;
	case COMMON_QUEUE_ENABLE:
		/* VIRTIO 1.4, 4.1.4.3.2: the driver must not write 0. */
		if (value == 1)
			reference_enable(reference, reference->queue_select, true);
		return;
	case COMMON_QUEUE_RESET:
		if (value == 1)
			reference_reset_queue(reference, reference->queue_select);
		return;
	default:
		break;
	}
	if (queue->ready || offset < COMMON_QUEUE_DESC || offset >= COMMON_NOTIFY_DATA ||
	    offset % 4)
		return;
	address = &queue->addresses[(offset - COMMON_QUEUE_DESC) / 8];
	if (offset % 8)
		reference_set_high(address, value);
	else
		reference_set_low(address, value);
}

static void write_common(struct reference *reference, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case COMMON_DEVICE_SELECT:
		reference->device_select = value;
		break;
	case COMMON_DRIVER_SELECT:
		reference->driver_select = value;
		break;
	case COMMON_DRIVER:
		reference_choose(reference, value);
		break;
	case COMMON_CONFIG_VECTOR:
		reference->config_vector = (uint16_t)(value < VECTORS ? value : NO_VECTOR);
		break;
	case COMMON_STATUS:
		reference_set_status(reference, (uint8_t)value);
		break;
	case COMMON_QUEUE_SELECT:
		reference->queue_select = value & 0xffff;
		break;
	default:
		write_queue(reference, offset, value);
	}
}

/* The BAR */

static uint64_t read_table(const struct function *function, uint32_t offset, unsigned int width)
{
	uint8_t bytes[VECTORS * 16];
	uint64_t value = 0;

	for (unsigned int i = 0; i < VECTORS; i++)
		memcpy(bytes + 16 * i, &function->table[i], 16);
	if (offset + width <= sizeof(bytes))
		memcpy(&value, bytes + offset, width);
	return value;
}

static void write_table(struct function *function, uint32_t offset, uint64_t value,
			unsigned int width)
{
	if (offset + width > VECTORS * 16u || (width != 4 && width != 8) || offset % width)
		return;
	memcpy((uint8_t *)&function->table[offset / 16] + offset % 16, &value, width);
	send_pending(function);
}

static uint64_t read_bar(struct function *function, uint32_t offset, unsigned int width)
{
	struct reference *reference = function->reference;
	uint32_t in_page = offset % 0x1000, value;

	switch (offset / 0x1000) {
	case COMMON:
		if (in_page + width > COMMON_BYTES)
			return 0;
		if (width == 8)
			return read_common(reference, in_page) |
			       (uint64_t)read_common(reference, in_page + 4) << 32;
		return read_common(reference, in_page);
	case ISR:
		value = reference->interrupts;
		reference->interrupts = 0;
		return value;
	case DEVICE:
		return in_page + width <= 0x100 ? reference_config(reference, in_page, width) : 0;
	case TABLE:
		return read_table(function, in_page, width);
	case PENDING:
		return in_page == 0 ? function->pending : 0;
	default:
		return 0;
	}
}

static void write_bar(struct function *function, uint32_t offset, uint64_t value,
		      unsigned int width)
{
	struct reference *reference = function->reference;
	uint32_t in_page = offset % 0x1000;
	unsigned int wide = reference->device.negotiated & FEATURE(VIRTIO_F_NOTIFICATION_DATA) ? 4 :
												 2;

	switch (offset / 0x1000) {
	case COMMON:
		if (in_page + width > COMMON_BYTES)
			break;
		write_common(reference, in_page, (uint32_t)value);
		if (width == 8)
			write_common(reference, in_page + 4, (uint32_t)(value >> 32));
		break;
	case NOTIFY:
		if (reference_fault(FAULT_KICK_SLOW))
			for (int i = 0; i < SLOW_TURNS; i++)
				arch_relax();
		/* fall through */
	case NOTIFY_AGAIN:
		/* The offset of a queue is its index, times the multiplier. */
		if (width == wide && in_page % 4 == 0 &&
		    (uint16_t)value == reference_notify_data(reference, in_page / 4))
			reference_kick(reference, (uint32_t)value);
		break;
	case DEVICE:
		if (in_page + width <= 0x100)
			reference_set_config(reference, in_page, value, width);
		break;
	case TABLE:
		write_table(function, in_page, value, width);
		break;
	default:
		break;
	}
}

/* Configuration space */

static uint32_t read_config(struct function *function, uint32_t offset, unsigned int width)
{
	uint32_t at = function->window + 16;

	/* VIRTIO 1.4, 4.1.4.9 */
	if (offset >= at && offset < at + 4) {
		uint32_t length = get(function, function->window + 12, 4);
		uint32_t where = get(function, function->window + 8, 4);

		if (get(function, function->window + 4, 1) == 0 && (length & (length - 1)) == 0 &&
		    length <= 4 && length && where < BAR_SIZE)
			put(function, at, (uint32_t)read_bar(function, where, length), length);
	}
	return get(function, offset, width);
}

static void write_masked(struct function *function, uint32_t offset, uint32_t value,
			 unsigned int width)
{
	static const struct {
		uint32_t at, mask;
	} writable[] = {
		{PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX},
		{PCI_BAR(0), ~(BAR_SIZE - 1)},
		{PCI_BAR(1), UINT32_MAX},
		{0x3c, 0xff}, /* the interrupt line, for software */
		{AT_MSIX, (MSIX_ENABLE | MSIX_MASK_ALL) << 16},
	};
	uint32_t start = offset & ~3u, shift = offset % 4 * 8, mask = 0, old;

	for (unsigned int i = 0; i < sizeof(writable) / sizeof(writable[0]); i++)
		if (writable[i].at == start)
			mask = writable[i].mask;
	if (start >= function->window + 4 && start < function->window + 20)
		mask = UINT32_MAX;
	if (start == function->window + 4)
		mask = 0xff;
	if (width < 4)
		mask &= ((1u << 8 * width) - 1) << shift;
	old = get(function, start, 4);
	put(function, start, (old & ~mask) | (value << shift & mask), 4);
}

static void write_config(struct function *function, uint32_t offset, uint32_t value,
			 unsigned int width)
{
	uint32_t at = function->window + 16;

	write_masked(function, offset, value, width);
	function->reference->is_master = get(function, PCI_COMMAND, 2) & COMMAND_MASTER;
	if (offset <= MSIX_CONTROL + 1 && offset + width > MSIX_CONTROL)
		send_pending(function);
	if (offset >= at && offset < at + 4) {
		uint32_t length = get(function, function->window + 12, 4);
		uint32_t where = get(function, function->window + 8, 4);

		if (get(function, function->window + 4, 1) == 0 && (length & (length - 1)) == 0 &&
		    length <= 4 && length && where < BAR_SIZE)
			write_bar(function, where, get(function, at, 4), length);
	}
}

/* Where an access goes. */
static struct function *find(uint64_t address, uint32_t *offset, bool *config)
{
	*config = address >= ECAM && address - ECAM < 1u << 20;
	if (*config) {
		uint64_t at = address - ECAM;

		*offset = at & 0xfff;
		return (at >> 12 & 7) == 0 && at >> 15 < function_count ? &functions[at >> 15] :
									  NULL;
	}
	for (unsigned int i = 0; i < function_count; i++) {
		uint64_t bar = get(&functions[i], PCI_BAR(0), 4) & ~15u;

		bar |= (uint64_t)get(&functions[i], PCI_BAR(1), 4) << 32;
		if (!(get(&functions[i], PCI_COMMAND, 2) & COMMAND_MEMORY) || address < bar ||
		    address - bar >= BAR_SIZE)
			continue;
		*offset = (uint32_t)(address - bar);
		return &functions[i];
	}
	return NULL;
}

bool functions_read(uint64_t address, unsigned int width, uint64_t *value)
{
	uint32_t offset = 0;
	bool config;
	struct function *function = find(address, &offset, &config);

	if (!function_count || (!config && !function))
		return false;
	*value = UINT32_MAX >> (width < 4 ? 32 - 8 * width : 0);
	if (function && config && width <= 4 && offset + width <= CONFIG_SIZE)
		*value = read_config(function, offset, width);
	else if (function && !config)
		*value = read_bar(function, offset, width);
	return true;
}

bool functions_write(uint64_t address, unsigned int width, uint64_t value)
{
	uint32_t offset = 0;
	bool config;
	struct function *function = find(address, &offset, &config);

	if (!function_count || (!config && !function))
		return false;
	if (function && config && width <= 4 && offset + width <= CONFIG_SIZE)
		write_config(function, offset, (uint32_t)value, width);
	else if (function && !config)
		write_bar(function, offset, value, width);
	return true;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Faults in the life of any device (VIRTIO 1.4, 2.1 to 2.5 and 3.1): the same registers of both
 * transports.
 */
#include <linux/virtio_mmio.h>

#include "machine_fault.h"

#include "bus/pci.h"

#define MANY_KICKS 50

static uint64_t status; /* as the driver wrote it last */
static unsigned int kicks, reads;
static bool has_queue;

static void forget(void)
{
	status = 0;
	kicks = reads = 0;
	has_queue = false;
}

static bool is_status(enum space space, uint32_t offset)
{
	return (space == MMIO && offset == VIRTIO_MMIO_STATUS) ||
	       (space == COMMON && offset == COMMON_STATUS);
}

static bool is_kick(enum space space, uint32_t offset)
{
	return space == NOTIFY || (space == MMIO && offset == VIRTIO_MMIO_QUEUE_NOTIFY);
}

static void note_status(enum space space, uint32_t offset, uint64_t value)
{
	if (is_status(space, offset))
		status = value;
}

static uint64_t read_late(enum space space, uint32_t offset, unsigned int width, uint64_t value)
{
	return space == CONFIG && !(status & VIRTIO_CONFIG_S_FEATURES_OK) ? 0 : value;
}

static uint64_t read_new(enum space space, uint32_t offset, unsigned int width, uint64_t value)
{
	static uint64_t count;

	return space == CONFIG ? value + ++count : value;
}

/* The fourth negotiation of the same features fails. */
static uint64_t refuse_again(enum space space, uint32_t offset, unsigned int width, uint64_t value)
{
	static unsigned int count;

	if (is_status(space, offset) && value == STATUS_FEATURES && ++count >= 4)
		return STATUS_DRIVER;
	return value;
}

static uint64_t refuse_rings(enum space space, uint32_t offset, unsigned int width, uint64_t value)
{
	return is_status(space, offset) && value & VIRTIO_CONFIG_S_FEATURES_OK ? STATUS_DRIVER :
										 value;
}

static void stop_without_queues(enum space space, uint32_t offset, uint64_t value)
{
	if ((space == MMIO && offset == VIRTIO_MMIO_QUEUE_READY) ||
	    (space == COMMON && offset == COMMON_QUEUE_ENABLE))
		has_queue = value;
	if (is_status(space, offset) && value == STATUS_RUNNING && !has_queue)
		fault_stop_devices();
	if (is_status(space, offset) && value == 0)
		has_queue = false;
}

static void stop_at_early_kick(enum space space, uint32_t offset, uint64_t value)
{
	note_status(space, offset, value);
	if (is_kick(space, offset) && !(status & VIRTIO_CONFIG_S_DRIVER_OK))
		fault_stop_devices();
}

/* The position in the ring is read at DRIVER_OK: what is there already is passed over. */
static void stop_at_start(enum space space, uint32_t offset, uint64_t value)
{
	if (is_status(space, offset) && value == STATUS_RUNNING)
		fault_stop_devices();
}

/* The device takes its ring for a packed one. */
static void stop_at_late_features(enum space space, uint32_t offset, uint64_t value)
{
	note_status(space, offset, value);
	if (((space == MMIO && offset == VIRTIO_MMIO_DRIVER_FEATURES) ||
	     (space == COMMON && offset == COMMON_DRIVER)) &&
	    status & VIRTIO_CONFIG_S_FEATURES_OK)
		fault_stop_devices();
}

static void stop_at_many_kicks(enum space space, uint32_t offset, uint64_t value)
{
	if (is_status(space, offset))
		kicks = 0;
	if (is_kick(space, offset) && ++kicks > MANY_KICKS)
		fault_stop_devices();
}

/* The lower and the upper half of the addresses of a queue's parts. */
static bool is_address(enum space space, uint32_t offset, bool upper)
{
	if (space == COMMON)
		return offset >= COMMON_QUEUE_DESC && offset < COMMON_NOTIFY_DATA &&
		       !(offset & 4) == !upper;
	return space == MMIO && offset >= VIRTIO_MMIO_QUEUE_DESC_LOW &&
	       offset <= VIRTIO_MMIO_QUEUE_USED_HIGH && !(offset & 4) == !upper;
}

static void stop_at_wild_part(enum space space, uint32_t offset, uint64_t value)
{
	if (is_address(space, offset, true) && value > 0x1000)
		fault_stop_devices();
}

static void stop_at_unaligned_part(enum space space, uint32_t offset, uint64_t value)
{
	if (is_address(space, offset, false) && value & 1)
		fault_stop_devices();
}

/* Before the driver has accepted some, other features are offered. */
static uint64_t offer_less(enum space space, uint32_t offset, unsigned int width, uint64_t value)
{
	bool offer = (space == MMIO && offset == VIRTIO_MMIO_DEVICE_FEATURES) ||
		     (space == COMMON && offset == COMMON_DEVICE);

	if (offer && reads++ > 4)
		return value & ~(EVENT_INDEX | INDIRECT);
	return value;
}

const struct machine_fault life_faults[] = {
	{"life-reset-stays", "the status never becomes 0", "life_reset_status", "AVP-LIFE-001",
	 .read = {AT(STATUS, 0), .set = VIRTIO_CONFIG_S_ACKNOWLEDGE}},
	{"life-reset-ignored", "a reset has no effect", "life_reset_status", "AVP-LIFE-001",
	 .drops = {AT(STATUS, 0), ONLY(0)}},
	{"life-reset-refused", "a reset with requests in flight does not complete",
	 "life_reset_inflight", "AVP-LIFE-003", .drops = {AT(STATUS, 0), ONLY(0)}},
	{"life-reset-kills", "a device does not start again after a reset", "life_reset_again",
	 "AVP-LIFE-004", .dies = {AT(STATUS, 0), ONLY(0)}},
	{"life-offer-changes", "other features are offered after a reset", "life_reset_features",
	 "AVP-LIFE-005", .begin = forget, .reading = offer_less},
	{"life-early-dead", "kicks before DRIVER_OK stop the device", "life_before_driver_ok",
	 "AVP-LIFE-006", .begin = forget, .writing = stop_at_early_kick},
	{"life-start-dead", "buffers from before DRIVER_OK are never used",
	 "life_buffers_before_ok", "AVP-LIFE-007", .begin = forget, .writing = stop_at_start},
	{"life-legacy", "VERSION_1 is not offered", "life_offer_version_1", "AVP-LIFE-008",
	 .read = {AT(OFFERED, 0), .clear = 1}},
	{"life-reserved", "a reserved feature is offered", "life_offer_known", "AVP-LIFE-010",
	 .read = {AT(OFFERED, 0), .set = 1u << 26}},
	{"life-undefined", "a feature that the type does not define is offered", "life_offer_known",
	 "AVP-LIFE-010", .read = {AT(OFFERED, 0), .set = 1u << 3}},
	{"life-version-refused", "VERSION_1 alone is refused", "life_features_ok", "AVP-LIFE-012",
	 .write = {AT(STATUS, 0), ONLY(STATUS_FEATURES), .clear = VIRTIO_CONFIG_S_FEATURES_OK}},
	{"life-status-running", "the status has DRIVER_OK too early", "life_features_ok",
	 "AVP-LIFE-012", .read = {AT(STATUS, 0), .set = VIRTIO_CONFIG_S_DRIVER_OK}},
	{"life-feature-refused", "a feature that is offered is refused", "life_features_subsets",
	 "AVP-LIFE-013", .reading = refuse_rings},
	{"life-refused-again", "the same features are refused the fourth time",
	 "life_features_same_again", "AVP-LIFE-015", .reading = refuse_again},
	{"life-late-features", "features that are written too late count", "life_features_frozen",
	 "AVP-LIFE-016", .begin = forget, .writing = stop_at_late_features},
	{"life-config-late", "the configuration reads 0 until FEATURES_OK", "life_config_early",
	 "AVP-LIFE-017", .begin = forget, .writing = note_status, .reading = read_late},
	{"life-fields-late", "fields of features read 0 until FEATURES_OK", "life_config_fields",
	 "AVP-LIFE-017", .begin = forget, .writing = note_status, .reading = read_late},
	{"life-config-new", "the configuration changes without a new generation",
	 "life_config_stable", "AVP-LIFE-018", .reading = read_new},
	{"life-told-nothing", "DEVICE_NEEDS_RESET comes without a notification", "life_needs_reset",
	 "AVP-LIFE-020", .interrupts = INTERRUPT_LOST},
	{"life-order", "a status with all bits stops the device for ever", "life_status_order",
	 "AVP-LIFE-027", .dies = {AT(STATUS, 0), ONLY(0xff)}},
	{"life-failed", "FAILED stops the device for ever", "life_failed", "AVP-LIFE-028",
	 .dies = {AT(STATUS, 0), ONLY(VIRTIO_CONFIG_S_FAILED)}},
	{"life-no-queue", "a start without queues stops the device for ever", "life_queues_unset",
	 "AVP-LIFE-029", .begin = forget, .writing = stop_without_queues},
	{"life-config-write", "a write to the configuration stops the device",
	 "life_config_write_wild", "AVP-LIFE-030", .dies = {AT(CONFIG, 0), ANY_OFFSET}},
	{"ring-kick-spurious", "a kick without a buffer stops the device", "ring_spurious_kick",
	 "AVP-RING-030", .begin = forget, .writing = stop_at_many_kicks},
	{"ring-parts", "a wild address of a ring stops the device for ever", "ring_parts_wild",
	 "AVP-RING-047", .writing = stop_at_wild_part},
	{"ring-parts-unaligned", "an unaligned ring stops the device for ever",
	 "ring_parts_unaligned", "AVP-RING-047", .writing = stop_at_unaligned_part},
	{"queue-reset-served", "a queue is served after its reset", "ring_queue_reset",
	 "AVP-RING-033", .drops = {AT(COMMON, COMMON_QUEUE_RESET)},
	 .hides = {AT(COMMON, COMMON_QUEUE_RESET)}},
	{"queue-reset-stays", "queue_reset stays 1", "ring_queue_reset_state", "AVP-RING-034",
	 .read = {AT(COMMON, COMMON_QUEUE_RESET), BECOMES(1)}},
	{"latency-none", "no interrupt arrives", "irq_kick_latency", "AVP-IRQ-028",
	 .interrupts = INTERRUPT_LOST},
	{.name = NULL},
};

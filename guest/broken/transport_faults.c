// SPDX-License-Identifier: BSD-3-Clause
/* Faults of virtio-mmio and virtio-pci (VIRTIO 1.4, 4.1 and 4.2). */
#include <linux/virtio_mmio.h>

#include "machine_fault.h"

#include "bus/pci.h"

static void set_capability(uint8_t type, size_t field, uint8_t size, uint64_t value)
{
	struct pci_function *function = &pci_functions[0];

	for (unsigned int i = 0; i < function->capability_count; i++)
		if (function->capabilities[i].type == type)
			fault_set((uint8_t *)&function->capabilities[i] + field, size, value);
}

static void lack_window(void)
{
	set_capability(CAP_PCI_CFG, offsetof(struct pci_capability, type), 1, CAP_VENDOR);
}

static void shift_common(void)
{
	set_capability(CAP_COMMON, offsetof(struct pci_capability, offset), 4, 0x1001);
}

static void leave_bar(void)
{
	set_capability(CAP_ISR, offsetof(struct pci_capability, inside), 1, false);
}

static void shorten_capability(void)
{
	set_capability(CAP_NOTIFY, offsetof(struct pci_capability, length), 1, 16);
}

static uint64_t isr_of_everything(enum space space, uint32_t offset, unsigned int width,
				  uint64_t value)
{
	return space == ISR && value ? 3 : value;
}

const struct machine_fault transport_faults[] = {
	/* virtio-mmio */
	{"mmio-magic", "MagicValue is wrong", "mmio_identity", "AVP-MMIO-001",
	 .read = {AT(MMIO, VIRTIO_MMIO_MAGIC_VALUE), .flip = 1}},
	{"mmio-version", "Version is that of a legacy device", "mmio_identity", "AVP-MMIO-001",
	 .read = {AT(MMIO, VIRTIO_MMIO_VERSION), BECOMES(1)}},
	{"mmio-empty-window", "a window without a device has no magic number", "mmio_placeholder",
	 "AVP-MMIO-002", .read = {AT(MMIO, VIRTIO_MMIO_MAGIC_VALUE), BECOMES(0)}},
	{"mmio-features-order", "features of the high word are lost if they come first",
	 "mmio_driver_features", "AVP-MMIO-004",
	 .write = {AT(STATUS, 0), ONLY(STATUS_FEATURES), .clear = VIRTIO_CONFIG_S_FEATURES_OK}},
	{"mmio-ready-early", "QueueReady reads 1 at first", "mmio_queue_ready", "AVP-MMIO-006",
	 .read = {AT(MMIO, VIRTIO_MMIO_QUEUE_READY), BECOMES(1)}},
	{"mmio-ready-never", "QueueReady always reads 0", "mmio_queue_ready", "AVP-MMIO-006",
	 .read = {AT(MMIO, VIRTIO_MMIO_QUEUE_READY), BECOMES(0)}},
	{"mmio-address-cut", "the upper half of an address is lost", "mmio_queue_address_high",
	 "AVP-MMIO-009", .drops = {AT(MMIO, VIRTIO_MMIO_QUEUE_AVAIL_HIGH)}},
	{"mmio-status-wide", "InterruptStatus has a bit without an event", "mmio_interrupt_status",
	 "AVP-MMIO-010", .read = {AT(MMIO, VIRTIO_MMIO_INTERRUPT_STATUS), .set = 2}},
	{"mmio-status-never", "InterruptStatus stays 0", "mmio_interrupt_status", "AVP-MMIO-010",
	 .read = {AT(MMIO, VIRTIO_MMIO_INTERRUPT_STATUS), BECOMES(0)}},
	{"mmio-ack-all", "an acknowledgement clears all bits", "mmio_interrupt_ack", "AVP-MMIO-011",
	 .write = {AT(MMIO, VIRTIO_MMIO_INTERRUPT_ACK), .set = 3}},
	{"mmio-status-no-config", "InterruptStatus never shows an event of the configuration",
	 "mmio_interrupt_config", "AVP-MMIO-010",
	 .read = {AT(MMIO, VIRTIO_MMIO_INTERRUPT_STATUS), .clear = VIRTIO_MMIO_INT_CONFIG}},
	{"mmio-ack-config", "an acknowledgement of a used buffer clears all bits",
	 "mmio_interrupt_config", "AVP-MMIO-011",
	 .write = {AT(MMIO, VIRTIO_MMIO_INTERRUPT_ACK), ONLY(VIRTIO_MMIO_INT_VRING),
		   .set = VIRTIO_MMIO_INT_CONFIG}},
	{"mmio-interrupt-lost", "interrupts are lost", "mmio_interrupt_race", "AVP-MMIO-012",
	 .interrupts = INTERRUPT_LOST},
	{"mmio-reset-status", "a reset leaves InterruptStatus", "mmio_reset_registers",
	 "AVP-MMIO-013", .read = {AT(MMIO, VIRTIO_MMIO_INTERRUPT_STATUS), .set = 1}},
	{"mmio-reset-ready", "a reset leaves QueueReady", "mmio_reset_registers", "AVP-MMIO-013",
	 .read = {AT(MMIO, VIRTIO_MMIO_QUEUE_READY), BECOMES(1)}},
	{"mmio-config-bytes", "a byte of the configuration reads differently alone",
	 "mmio_config_width", "AVP-MMIO-016", .read = {AT(CONFIG, 1), .width = 1, .flip = 1}},
	{"mmio-config-word", "the upper half of a field reads 0", "mmio_config_width",
	 "AVP-MMIO-016", .read = {AT(CONFIG, 0), .width = 4, .flip = 4}},
	{"mmio-admin", "the administration queue is offered on MMIO", "mmio_no_admin",
	 "AVP-MMIO-018", .read = {AT(OFFERED, 0), .set = 1u << (VIRTIO_F_ADMIN_VQ - 32)}},
	{"mmio-status-lost", "Status does not keep what is written", "mmio_status_readback",
	 "AVP-MMIO-019", .drops = {AT(STATUS, 0)}},
	{"mmio-status-early", "Status shows a bit that was not written", "mmio_status_readback",
	 "AVP-MMIO-019",
	 .write = {AT(STATUS, 0), ONLY(VIRTIO_CONFIG_S_ACKNOWLEDGE),
		   .set = VIRTIO_CONFIG_S_DRIVER}},
	{"mmio-width", "a write of another width stops the device", "mmio_width_registers",
	 "AVP-MMIO-020", .dies = {AT(MMIO, 0), ANY_OFFSET, .width = 1}},
	{"mmio-width-magic", "a read of eight bytes changes the magic number",
	 "mmio_width_registers", "AVP-MMIO-020", .sticks = {AT(MMIO, VIRTIO_MMIO_MAGIC_VALUE)}},
	{"mmio-vendor", "a read-only register keeps what is written", "mmio_undescribed",
	 "AVP-MMIO-021", .sticks = {AT(MMIO, VIRTIO_MMIO_VENDOR_ID)}},
	{"mmio-undescribed", "a write to an undescribed register stops the device",
	 "mmio_undescribed", "AVP-MMIO-021", .dies = {AT(MMIO, 0x058)}},
	{"mmio-config-beyond", "a write beyond the configuration stops the device",
	 "mmio_config_beyond", "AVP-MMIO-022", .dies = {AT(CONFIG, 0xf8)}},
	{"mmio-size-odd", "a queue of three entries stops the device for ever",
	 "mmio_queue_size_wild", "AVP-MMIO-023",
	 .dies = {AT(MMIO, VIRTIO_MMIO_QUEUE_NUM), ONLY(3)}},
	{"mmio-ready-wild", "QueueReady 2 stops the device for ever", "mmio_ready_rewrite",
	 "AVP-MMIO-024", .dies = {AT(MMIO, VIRTIO_MMIO_QUEUE_READY), ONLY(2)}},
	{"mmio-kick-wild", "a kick of a queue that does not exist stops the device",
	 "mmio_notify_wild", "AVP-MMIO-025",
	 .dies = {AT(MMIO, VIRTIO_MMIO_QUEUE_NOTIFY), ONLY(100)}},
	{"mmio-ack-wild", "an acknowledgement of no event stops the device", "mmio_ack_wild",
	 "AVP-MMIO-026", .dies = {AT(MMIO, VIRTIO_MMIO_INTERRUPT_ACK), ONLY(UINT32_MAX)}},

	/* virtio-pci */
	{"pci-loop", "the list of capabilities loops", "pci_capability_list", "AVP-PCI-001",
	 .patch = {PATCH(pci_functions[0].looped, true)}},
	{"pci-header", "the function has the header of a bridge", "pci_config_space", "AVP-PCI-001",
	 .read = {AT(PCI, 0x0e), .set = 1}},
	{"pci-command", "the command register does not change", "pci_config_space", "AVP-PCI-001",
	 .drops = {AT(PCI, PCI_COMMAND)}},
	{"pci-bar-unsized", "a BAR keeps what is written to find its size", "pci_bars",
	 "AVP-PCI-001", .sticks = {AT(PCI, PCI_BAR(4))}},
	{"pci-bar-on", "BARs cannot be switched off", "pci_bar_off", "AVP-PCI-001",
	 .write = {AT(PCI, PCI_COMMAND), .set = COMMAND_MEMORY}},
	{"pci-bar-stays", "BARs cannot be moved", "pci_bar_follows", "AVP-PCI-001",
	 .drops = {AT(PCI, PCI_BAR(0)), .end = PCI_BAR(6)}},
	{"pci-id", "the PCI device id is not that of the type", "pci_ids", "AVP-PCI-002",
	 .patch = {PATCH(pci_functions[0].product, 0x1060)}},
	{"pci-transitional", "the id is a transitional one", "pci_ids_modern", "AVP-PCI-003",
	 .patch = {PATCH(pci_functions[0].product, 0x1001)}},
	{"pci-revision", "the revision is 0", "pci_ids_modern", "AVP-PCI-003",
	 .read = {AT(PCI, 0x08), .width = 1, BECOMES(0)}},
	{"pci-no-window", "there is no capability for configuration access", "pci_capabilities",
	 "AVP-PCI-004", .begin = lack_window},
	{"pci-no-isr", "the ISR structure cannot be used", "pci_capabilities", "AVP-PCI-004",
	 .patch = {PATCH(pci_functions[0].isr, 0)}},
	{"pci-unaligned", "a structure is not aligned", "pci_cap_bounds", "AVP-PCI-005",
	 .begin = shift_common},
	{"pci-outside", "a structure is outside its BAR", "pci_cap_bounds", "AVP-PCI-005",
	 .begin = leave_bar},
	{"pci-short", "a capability is too short", "pci_cap_bounds", "AVP-PCI-005",
	 .begin = shorten_capability},
	{"pci-multiplier", "notify_off_multiplier is odd", "pci_notify_layout", "AVP-PCI-007",
	 .patch = {PATCH(pci_functions[0].multiplier, 3)}},
	{"pci-notify-short", "a kick is outside the notification structure", "pci_notify_layout",
	 "AVP-PCI-007", .patch = {PATCH(pci_functions[0].notify_size, 1)}},
	{"pci-features-repeat", "features are repeated beyond their last word",
	 "pci_features_window", "AVP-PCI-008", .drops = {AT(COMMON, COMMON_DEVICE_SELECT)}},
	{"pci-accepted", "driver_feature does not read back", "pci_features_window", "AVP-PCI-008",
	 .read = {AT(COMMON, COMMON_DRIVER), BECOMES(0)}},
	{"pci-config-bytes", "a byte of the configuration reads differently alone",
	 "pci_config_halves", "AVP-PCI-010", .read = {AT(CONFIG, 1), .width = 1, .flip = 1}},
	{"pci-config-word", "half of a field reads differently", "pci_config_halves", "AVP-PCI-010",
	 .read = {AT(CONFIG, 4), .width = 4, .flip = 4}},
	{"pci-reset-enable", "a reset leaves the queue enabled", "pci_reset", "AVP-PCI-011",
	 .read = {AT(COMMON, COMMON_QUEUE_ENABLE), BECOMES(1)}},
	{"pci-reset-vectors", "a reset leaves the vectors", "pci_reset", "AVP-PCI-011",
	 .read = {AT(COMMON, COMMON_CONFIG_VECTOR), BECOMES(0)}},
	{"pci-enable", "queue_enable does not read back", "pci_queue_enable", "AVP-PCI-013",
	 .read = {AT(COMMON, COMMON_QUEUE_ENABLE), BECOMES(0)}},
	{"pci-not-enabled", "a queue cannot be enabled", "pci_queue_enable", "AVP-PCI-013",
	 .drops = {AT(COMMON, COMMON_QUEUE_ENABLE)}},
	{"pci-queue-reset-stays", "queue_reset stays 1", "pci_queue_reset", "AVP-PCI-014",
	 .read = {AT(COMMON, COMMON_QUEUE_RESET), BECOMES(1)}},
	{"pci-queue-reset-enable", "a reset of a queue leaves it enabled", "pci_queue_reset",
	 "AVP-PCI-014", .drops = {AT(COMMON, COMMON_QUEUE_RESET)}},
	{"pci-isr-kept", "a read does not clear the ISR status", "pci_isr", "AVP-PCI-018",
	 .read = {AT(ISR, 0), .set = 1}},
	{"pci-isr-all", "the ISR status has a bit without an event", "pci_isr", "AVP-PCI-018",
	 .reading = isr_of_everything},
	{"pci-isr-no-config", "the ISR status never shows an event of the configuration",
	 "pci_isr_config", "AVP-PCI-018", .read = {AT(ISR, 0), .clear = 2}},
	{"pci-intx-lost", "INTx is never raised", "pci_intx", "AVP-PCI-019",
	 .interrupts = INTERRUPT_LOST},
	{"pci-intx-disable", "the command register does not disable INTx", "pci_intx",
	 "AVP-PCI-019", .write = {AT(PCI, PCI_COMMAND), .clear = COMMAND_NO_INTX}},
	{"pci-vector", "a queue's vector does not read back", "pci_msix_table", "AVP-PCI-020",
	 .drops = {AT(COMMON, COMMON_QUEUE_VECTOR)}},
	{"pci-config-vector", "the configuration never gets a vector", "pci_config_delivered",
	 "AVP-PCI-020", .drops = {AT(COMMON, COMMON_CONFIG_VECTOR)}},
	{"pci-one-vector", "a device has one vector", "pci_msix_vectors", "AVP-PCI-021",
	 .patch = {PATCH(pci_functions[0].vectors, 1)}},
	{"pci-vector-beyond", "a vector outside the table is accepted", "pci_msix_refused",
	 "AVP-PCI-022", .read = {AT(COMMON, COMMON_CONFIG_VECTOR), BECOMES(9)}},
	{"pci-no-vector", "NO_VECTOR does not stop interrupts", "pci_msix_no_vector", "AVP-PCI-023",
	 .drops = {AT(COMMON, COMMON_QUEUE_VECTOR), ONLY(NO_VECTOR)}},
	{"pci-vector-unset", "an event without a vector raises an interrupt", "pci_msix_unset",
	 "AVP-PCI-023", .drops = {AT(COMMON, COMMON_QUEUE_VECTOR), ONLY(NO_VECTOR)}},
	{"pci-mask", "the mask of a vector has no effect", "pci_msix_mask", "AVP-PCI-024",
	 .write = {AT(MSIX, 12), .clear = 1}},
	{"pci-mask-all", "the mask of the function has no effect", "pci_msix_mask", "AVP-PCI-024",
	 .write = {AT(PCI, 0x34), ANY_OFFSET, ONLY(MSIX_ENABLE | MSIX_MASK_ALL),
		   .clear = MSIX_MASK_ALL}},
	{"pci-pending", "an interrupt is lost while its vector is masked", "pci_msix_mask",
	 "AVP-PCI-024", .interrupts = INTERRUPT_LOST},
	{"pci-window-read", "pci_cfg_data reads something else", "pci_cfg_access", "AVP-PCI-025",
	 .read = {AT(PCI_WINDOW, 16), .flip = 1}},
	{"pci-window-write", "pci_cfg_data cannot be written", "pci_cfg_access", "AVP-PCI-025",
	 .drops = {AT(PCI_WINDOW, 16)}},
	{"pci-kick", "kicks of 16 bits are ignored", "pci_notification_value", "AVP-PCI-029",
	 .drops = {AT(NOTIFY, 0), ANY_OFFSET, .width = 2}},
	{"pci-master", "bus mastering cannot be switched off", "pci_bus_master", "AVP-PCI-030",
	 .write = {AT(PCI, PCI_COMMAND), .set = COMMAND_MASTER}},
	{"pci-width", "an access of another width stops the device", "pci_width_registers",
	 "AVP-PCI-031", .dies = {AT(COMMON, 0), ANY_OFFSET, .width = 8}},
	{"pci-window-wild", "a wild offset of pci_cfg_data stops the device", "pci_cfg_access_wild",
	 "AVP-PCI-032", .dies = {AT(PCI_WINDOW, 8), ONLY(0xfffffffc)}},
	{"pci-count-written", "num_queues keeps what is written", "pci_readonly_written",
	 "AVP-PCI-033", .sticks = {AT(COMMON, COMMON_QUEUES)}},
	{"pci-size-odd", "a queue of three entries stops the device for ever", "pci_queue_wild",
	 "AVP-PCI-034", .dies = {AT(COMMON, COMMON_QUEUE_SIZE), ONLY(3)}},
	{"pci-kick-wild", "a kick of one byte stops the device", "pci_notify_wild", "AVP-PCI-035",
	 .dies = {AT(NOTIFY, 0), ANY_OFFSET, .width = 1}},
	{"pci-bar", "moving a BAR stops the device", "pci_bar_moved", "AVP-PCI-036",
	 .dies = {AT(PCI, 0x10), .end = 0x28}},
	{.name = NULL},
};

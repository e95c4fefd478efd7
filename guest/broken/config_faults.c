// SPDX-License-Identifier: BSD-3-Clause
/* Faults of what devices offer and have in their configuration (VIRTIO 1.4, 5.1, 5.2 and 5.3). */
#include <linux/virtio_blk.h>
#include <linux/virtio_console.h>
#include <linux/virtio_net.h>

#include "machine_fault.h"

#include "bus/pci.h"

#define BIT(number) (UINT64_C(1) << (number) % 32)
#define HASH_REPORT 57

/* Queues, by the numbers with which they are kicked. */
#define CONSOLE_TRANSMIT 1
#define CONSOLE_CONTROL	 3
#define NET_CONTROL	 2

const struct machine_fault config_faults[] = {
	{"offer-flush", "FLUSH is not offered", "blk_flush_offered", "AVP-BLK-012",
	 .read = {AT(OFFERED, 0), .clear = BIT(VIRTIO_BLK_F_FLUSH)}},
	{"offer-dependent", "CONFIG_WCE is offered without FLUSH", "life_offer_dependencies",
	 "AVP-LIFE-009",
	 .read = {AT(OFFERED, 0), .clear = BIT(VIRTIO_BLK_F_FLUSH),
		  .set = BIT(VIRTIO_BLK_F_CONFIG_WCE)}},
	{"offer-hint", "HASH_REPORT is offered without CTRL_VQ", "net_feature_hints", "AVP-NET-007",
	 .read = {AT(OFFERED, 0), .clear = BIT(VIRTIO_NET_F_CTRL_VQ), .set = BIT(HASH_REPORT)}},
	{"config-writeback", "writeback cannot be switched", "blk_wce_switch", "AVP-BLK-015",
	 .read = {AT(CONFIG, offsetof(struct virtio_blk_config, wce)), BECOMES(1)}},
	{"config-block-size", "the block size is not a power of two", "blk_topology", "AVP-BLK-017",
	 .read = {AT(CONFIG, offsetof(struct virtio_blk_config, blk_size)), BECOMES(1000)}},
	{"config-segments", "seg_max is 0", "blk_geometry_limits", "AVP-BLK-017",
	 .read = {AT(CONFIG, offsetof(struct virtio_blk_config, seg_max)), BECOMES(0)}},
	{"config-unmap", "write_zeroes_may_unmap is 2", "blk_may_unmap", "AVP-BLK-024",
	 .read = {AT(CONFIG, offsetof(struct virtio_blk_config, write_zeroes_may_unmap)),
		  BECOMES(2)}},
	{"config-mac", "the address is one of a group", "net_mac", "AVP-NET-004",
	 .read = {AT(CONFIG, 0), .set = 1}},
	{"config-link", "the link is down", "net_status", "AVP-NET-005",
	 .read = {AT(CONFIG, offsetof(struct virtio_net_config, status)), BECOMES(0)}},
	{"kick-emergency", "a write to emerg_wr stops the console", "con_emergency", "AVP-CON-006",
	 .dies = {AT(CONFIG, offsetof(struct virtio_console_config, emerg_wr))}},
	{"kick-console", "what is written to the console is never used", "con_write", "AVP-CON-001",
	 .drops = {AT(KICK, 0), ONLY(CONSOLE_TRANSMIT)}},
	{"kick-console-alone", "a console without receive buffers does not send",
	 "con_no_receive_buffers", "AVP-CON-003", .drops = {AT(KICK, 0), ONLY(CONSOLE_TRANSMIT)}},
	{"kick-console-parts", "a buffer in many parts is never used", "con_framing", "AVP-CON-004",
	 .drops = {AT(KICK, 0), ONLY(CONSOLE_TRANSMIT)}},
	{"kick-ports", "the console answers no control message", "con_ports_added", "AVP-CON-009",
	 .drops = {AT(KICK, 0), ONLY(CONSOLE_CONTROL)}},
	{"kick-ports-control", "the console answers no control message", "con_ports_control",
	 "AVP-CON-011", .drops = {AT(KICK, 0), ONLY(CONSOLE_CONTROL)}},
	{"kick-ports-hostile", "a hostile control message stops the console", "con_control_hostile",
	 "AVP-CON-013", .dies = {AT(KICK, 0), ONLY(CONSOLE_CONTROL)}},
	{"kick-control", "an interface takes no commands", "net_rx_modes", "AVP-NET-028",
	 .drops = {AT(KICK, 0), ONLY(NET_CONTROL)}},
	{"kick-control-table", "an interface takes no commands", "net_mac_table", "AVP-NET-030",
	 .drops = {AT(KICK, 0), ONLY(NET_CONTROL)}},
	{"kick-control-hostile", "a hostile command stops the interface", "net_control_hostile",
	 "AVP-NET-027", .dies = {AT(KICK, 0), ONLY(NET_CONTROL)}},
	{"kick-second", "a disk serves its first queue only", "blk_multiqueue", "AVP-BLK-018",
	 .drops = {AT(KICK, 0), ONLY(1)}},
	{"queue-reset-net", "the reset of a receive queue never ends", "net_queue_reset",
	 "AVP-NET-034", .read = {AT(COMMON, COMMON_QUEUE_RESET), BECOMES(1)}},
	{"kick-console-rate", "the console sends nothing", "con_throughput", "AVP-CON-015",
	 .drops = {AT(KICK, 0), ONLY(CONSOLE_TRANSMIT)}},
	{"kick-console-wrong", "a writable buffer stops the console", "con_wrong_direction",
	 "AVP-CON-014", .dies = {AT(KICK, 0), ONLY(CONSOLE_TRANSMIT)}},
	{"emergency-lost", "what is written to emerg_wr is lost", "con_emergency_shown",
	 "AVP-CON-007", .drops = {AT(CONFIG, offsetof(struct virtio_console_config, emerg_wr))}},
	{"mtu-tiny", "mtu is less than any link has", "net_mtu", "AVP-NET-022",
	 .read = {AT(CONFIG, offsetof(struct virtio_net_config, mtu)), .width = 2, BECOMES(40)}},
	{"mtu-small", "mtu is too small for IPv6", "net_mtu_minimum", "AVP-NET-023",
	 .read = {AT(CONFIG, offsetof(struct virtio_net_config, mtu)), .width = 2, BECOMES(1000)}},
	{"input-swapped", "input arrives in another order", "con_read", "AVP-CON-002",
	 .swapped = true},
	{"used-swapped", "the console uses buffers in another order", "ring_split_order",
	 "AVP-RING-054", .swapped = true},
	{.name = NULL},
};

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Layouts and numbers of the CAN device (VIRTIO 1.4, 5.20), which the kernel's headers of today do
 * not have.
 */
#ifndef AVP_DEVICE_CAN_VIRTIO_CAN_H
#define AVP_DEVICE_CAN_VIRTIO_CAN_H

#include <linux/types.h>
#include <linux/virtio_types.h>

/* Virtqueues (5.20.2). */
#define VIRTIO_CAN_QUEUE_TX	 0
#define VIRTIO_CAN_QUEUE_RX	 1
#define VIRTIO_CAN_QUEUE_CONTROL 2

/* Feature bits (5.20.3). */
#define VIRTIO_CAN_F_CAN_CLASSIC 0
#define VIRTIO_CAN_F_CAN_FD	 1
#define VIRTIO_CAN_F_RTR_FRAMES	 2
#define VIRTIO_CAN_F_LATE_TX_ACK 3

/* Configuration space (5.20.4). */
#define VIRTIO_CAN_S_CTRL_BUSOFF 1

struct virtio_can_config {
	__le16 status;
};

/* Outcomes of operations (5.20.5). */
#define VIRTIO_CAN_RESULT_OK	 0
#define VIRTIO_CAN_RESULT_NOT_OK 1

/* Control requests (5.20.5.1); the answer is a byte, the result. */
#define VIRTIO_CAN_SET_CTRL_MODE_START 0x0201
#define VIRTIO_CAN_SET_CTRL_MODE_STOP  0x0202

struct virtio_can_control_out {
	__le16 msg_type;
};

/* Types and flags of messages (5.20.5.2 and 5.20.5.3). */
#define VIRTIO_CAN_TX		  0x0001
#define VIRTIO_CAN_RX		  0x0101

#define VIRTIO_CAN_FLAGS_RTR	  0x2000
#define VIRTIO_CAN_FLAGS_FD	  0x4000
#define VIRTIO_CAN_FLAGS_EXTENDED 0x8000

/*
 * The head of a frame in either direction: virtio_can_tx_out and virtio_can_rx, whose members are
 * the same. The data of the frame follows. The answer to a transmission is a byte, the result.
 */
struct virtio_can_head {
	__le16 msg_type;
	__le16 length;
	__u8 reserved_classic_dlc;
	__u8 padding;
	__le16 reserved_xl_priority;
	__le32 flags;
	__le32 can_id;
};

#endif

// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * A driver for CAN controllers over VIRTIO (VIRTIO 1.4, 5.20), for the reference guest: Linux 6.12
 * has none. Frames are echoed to local sockets once the bus has acknowledged them.
 */
#include <linux/bitmap.h>
#include <linux/can/dev.h>
#include <linux/can/error.h>
#include <linux/can/skb.h>
#include <linux/completion.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "virtio_can.h"

#define TX_FRAMES	32
#define RX_FRAMES	64
#define CONTROL_TIMEOUT (10 * HZ)

enum { QUEUES = 3 };

struct message {
	struct virtio_can_head head;
	u8 data[CANFD_MAX_DLEN];
};

struct tx_slot {
	struct message message;
	u8 result;
};

struct control {
	struct virtio_can_control_out out;
	u8 result;
};

struct virtio_can {
	struct can_priv can; /* must be the first member */
	struct net_device *dev;
	struct virtio_device *vdev;
	struct virtqueue *queues[QUEUES];
	struct napi_struct napi;

	spinlock_t tx_lock; /* of the Txq and of @tx_used */
	DECLARE_BITMAP(tx_used, TX_FRAMES);
	struct tx_slot *tx;
	struct message *rx;

	struct mutex control_lock;
	struct completion control_done;
	struct control *control;
	bool control_lost; /* no answer came: the device may still write to @control */
};

/* The Controlq */

/* Returns 0, -EIO when the device answers NOT_OK, or another negative errno. Sleeps. */
static int control_request(struct virtio_can *priv, u16 type)
{
	struct virtqueue *queue = priv->queues[VIRTIO_CAN_QUEUE_CONTROL];
	struct scatterlist out, in, *lists[] = {&out, &in};
	int ret = -EIO;

	mutex_lock(&priv->control_lock);
	if (priv->control_lost)
		goto unlock;
	priv->control->out.msg_type = cpu_to_le16(type);
	priv->control->result = VIRTIO_CAN_RESULT_NOT_OK;
	sg_init_one(&out, &priv->control->out, sizeof(priv->control->out));
	sg_init_one(&in, &priv->control->result, sizeof(priv->control->result));
	reinit_completion(&priv->control_done);
	ret = virtqueue_add_sgs(queue, lists, 1, 1, priv, GFP_KERNEL);
	if (ret < 0)
		goto unlock;
	virtqueue_kick(queue);
	if (!wait_for_completion_timeout(&priv->control_done, CONTROL_TIMEOUT)) {
		priv->control_lost = true;
		ret = -ETIMEDOUT;
		goto unlock;
	}
	ret = priv->control->result == VIRTIO_CAN_RESULT_OK ? 0 : -EIO;
unlock:
	mutex_unlock(&priv->control_lock);
	return ret;
}

static void control_used(struct virtqueue *queue)
{
	struct virtio_can *priv = queue->vdev->priv;
	unsigned int length;

	if (virtqueue_get_buf(queue, &length))
		complete(&priv->control_done);
}

/* Frames to the bus */

static void fill_message(struct message *message, const struct sk_buff *skb, unsigned int *length)
{
	/* The members used here are at the same places in classic frames. */
	const struct canfd_frame *frame = (const struct canfd_frame *)skb->data;
	bool rtr = frame->can_id & CAN_RTR_FLAG, extended = frame->can_id & CAN_EFF_FLAG;
	u32 flags = (extended ? VIRTIO_CAN_FLAGS_EXTENDED : 0) | (rtr ? VIRTIO_CAN_FLAGS_RTR : 0) |
		    (can_is_canfd_skb(skb) ? VIRTIO_CAN_FLAGS_FD : 0);
	unsigned int data = rtr ? 0 : frame->len;

	message->head = (struct virtio_can_head){
		.msg_type = cpu_to_le16(VIRTIO_CAN_TX),
		.length = cpu_to_le16(frame->len),
		.flags = cpu_to_le32(flags),
		.can_id = cpu_to_le32(frame->can_id & (extended ? CAN_EFF_MASK : CAN_SFF_MASK)),
	};
	memcpy(message->data, frame->data, data);
	*length = sizeof(message->head) + data;
}

/* Whether the device takes frames of this kind. */
static bool kind_is_negotiated(const struct virtio_can *priv, const struct sk_buff *skb)
{
	const struct can_frame *frame = (const struct can_frame *)skb->data;

	if (can_is_canfd_skb(skb))
		return virtio_has_feature(priv->vdev, VIRTIO_CAN_F_CAN_FD);
	return virtio_has_feature(priv->vdev, VIRTIO_CAN_F_CAN_CLASSIC) &&
	       (!(frame->can_id & CAN_RTR_FLAG) ||
		virtio_has_feature(priv->vdev, VIRTIO_CAN_F_RTR_FRAMES));
}

static netdev_tx_t start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct virtio_can *priv = netdev_priv(dev);
	struct virtqueue *queue = priv->queues[VIRTIO_CAN_QUEUE_TX];
	struct scatterlist out, in, *lists[] = {&out, &in};
	struct tx_slot *slot;
	unsigned int index, length;
	unsigned long flags;
	bool kick = false;

	if (can_dev_dropped_skb(dev, skb))
		return NETDEV_TX_OK;
	if (!kind_is_negotiated(priv, skb)) {
		kfree_skb(skb);
		dev->stats.tx_dropped++;
		return NETDEV_TX_OK;
	}
	spin_lock_irqsave(&priv->tx_lock, flags);
	index = find_first_zero_bit(priv->tx_used, TX_FRAMES);
	if (index == TX_FRAMES) {
		netif_stop_queue(dev);
		spin_unlock_irqrestore(&priv->tx_lock, flags);
		return NETDEV_TX_BUSY;
	}
	slot = &priv->tx[index];
	fill_message(&slot->message, skb, &length);
	slot->result = VIRTIO_CAN_RESULT_NOT_OK;
	sg_init_one(&out, &slot->message, length);
	sg_init_one(&in, &slot->result, sizeof(slot->result));
	can_put_echo_skb(skb, dev, index, 0);
	if (virtqueue_add_sgs(queue, lists, 1, 1, slot, GFP_ATOMIC) < 0) {
		can_free_echo_skb(dev, index, NULL);
		dev->stats.tx_dropped++;
	} else {
		__set_bit(index, priv->tx_used);
		kick = virtqueue_kick_prepare(queue);
	}
	if (bitmap_full(priv->tx_used, TX_FRAMES) || queue->num_free < 2)
		netif_stop_queue(dev);
	spin_unlock_irqrestore(&priv->tx_lock, flags);
	if (kick)
		virtqueue_notify(queue);
	return NETDEV_TX_OK;
}

/* Takes what the bus has acknowledged, or will not send. */
static void take_sent(struct virtio_can *priv)
{
	struct virtqueue *queue = priv->queues[VIRTIO_CAN_QUEUE_TX];
	struct net_device *dev = priv->dev;
	struct tx_slot *slot;
	unsigned int length;
	unsigned long flags;
	bool any = false;

	spin_lock_irqsave(&priv->tx_lock, flags);
	while ((slot = virtqueue_get_buf(queue, &length))) {
		unsigned int index = slot - priv->tx;

		if (slot->result == VIRTIO_CAN_RESULT_OK) {
			dev->stats.tx_bytes += can_get_echo_skb(dev, index, NULL);
			dev->stats.tx_packets++;
		} else {
			can_free_echo_skb(dev, index, NULL);
			dev->stats.tx_errors++;
		}
		__clear_bit(index, priv->tx_used);
		any = true;
	}
	spin_unlock_irqrestore(&priv->tx_lock, flags);
	if (any && netif_running(dev) && priv->can.state != CAN_STATE_BUS_OFF)
		netif_wake_queue(dev);
}

/* Frames from the bus */

static int offer(struct virtio_can *priv, struct message *message)
{
	struct scatterlist in;

	sg_init_one(&in, message, sizeof(*message));
	return virtqueue_add_inbuf(priv->queues[VIRTIO_CAN_QUEUE_RX], &in, 1, message, GFP_ATOMIC);
}

/* Passes one message of @written bytes on; what no device may send is dropped. */
static void receive(struct virtio_can *priv, const struct message *message, unsigned int written)
{
	struct net_device *dev = priv->dev;
	u32 flags = le32_to_cpu(message->head.flags), id = le32_to_cpu(message->head.can_id);
	unsigned int length = le16_to_cpu(message->head.length);
	bool fd = flags & VIRTIO_CAN_FLAGS_FD, rtr = flags & VIRTIO_CAN_FLAGS_RTR;
	unsigned int data = rtr ? 0 : length;
	struct canfd_frame *frame;
	struct sk_buff *skb;

	if (written < sizeof(message->head) + data ||
	    message->head.msg_type != cpu_to_le16(VIRTIO_CAN_RX) ||
	    length > (fd ? CANFD_MAX_DLEN : CAN_MAX_DLEN) || (fd && rtr)) {
		dev->stats.rx_errors++;
		return;
	}
	if (fd)
		skb = alloc_canfd_skb(dev, &frame);
	else
		skb = alloc_can_skb(dev, (struct can_frame **)&frame);
	if (!skb) {
		dev->stats.rx_dropped++;
		return;
	}
	frame->can_id = flags & VIRTIO_CAN_FLAGS_EXTENDED ? (id & CAN_EFF_MASK) | CAN_EFF_FLAG :
							    id & CAN_SFF_MASK;
	if (rtr)
		frame->can_id |= CAN_RTR_FLAG;
	frame->len = length;
	memcpy(frame->data, message->data, data);
	dev->stats.rx_packets++;
	dev->stats.rx_bytes += data;
	netif_receive_skb(skb);
}

static int poll(struct napi_struct *napi, int budget)
{
	struct virtio_can *priv = container_of(napi, struct virtio_can, napi);
	struct virtqueue *rx = priv->queues[VIRTIO_CAN_QUEUE_RX];
	struct virtqueue *tx = priv->queues[VIRTIO_CAN_QUEUE_TX];
	struct message *message;
	unsigned int written;
	int done = 0;

	take_sent(priv);
	while (done < budget && (message = virtqueue_get_buf(rx, &written))) {
		receive(priv, message, written);
		offer(priv, message);
		done++;
	}
	if (done)
		virtqueue_kick(rx);
	if (done < budget && napi_complete_done(napi, done) &&
	    (!virtqueue_enable_cb(rx) | !virtqueue_enable_cb(tx)) && napi_schedule_prep(napi)) {
		virtqueue_disable_cb(rx);
		virtqueue_disable_cb(tx);
		__napi_schedule(napi);
	}
	return done;
}

static void data_used(struct virtqueue *queue)
{
	struct virtio_can *priv = queue->vdev->priv;

	if (napi_schedule_prep(&priv->napi)) {
		virtqueue_disable_cb(priv->queues[VIRTIO_CAN_QUEUE_RX]);
		virtqueue_disable_cb(priv->queues[VIRTIO_CAN_QUEUE_TX]);
		__napi_schedule(&priv->napi);
	}
}

/* The controller */

static int start(struct virtio_can *priv)
{
	int ret = control_request(priv, VIRTIO_CAN_SET_CTRL_MODE_START);

	if (ret == 0)
		priv->can.state = CAN_STATE_ERROR_ACTIVE;
	return ret;
}

static int can_open(struct net_device *dev)
{
	struct virtio_can *priv = netdev_priv(dev);
	int ret = open_candev(dev);

	if (ret < 0)
		return ret;
	napi_enable(&priv->napi);
	ret = start(priv);
	if (ret < 0) {
		napi_disable(&priv->napi);
		close_candev(dev);
		return ret;
	}
	netif_start_queue(dev);
	/* What was used while nobody polled. */
	data_used(priv->queues[VIRTIO_CAN_QUEUE_RX]);
	return 0;
}

static int can_stop(struct net_device *dev)
{
	struct virtio_can *priv = netdev_priv(dev);

	netif_stop_queue(dev);
	/* All frames come back before the answer (VIRTIO 1.4, 5.20.5.1). */
	if (control_request(priv, VIRTIO_CAN_SET_CTRL_MODE_STOP) < 0)
		netdev_warn(dev, "the device does not stop\n");
	napi_disable(&priv->napi);
	take_sent(priv);
	priv->can.state = CAN_STATE_STOPPED;
	close_candev(dev);
	return 0;
}

static const struct net_device_ops netdev_ops = {
	.ndo_open = can_open,
	.ndo_stop = can_stop,
	.ndo_start_xmit = start_xmit,
	.ndo_change_mtu = can_change_mtu,
};

static int set_mode(struct net_device *dev, enum can_mode mode)
{
	int ret;

	if (mode != CAN_MODE_START)
		return -EOPNOTSUPP;
	ret = start(netdev_priv(dev));
	if (ret == 0)
		netif_wake_queue(dev);
	return ret;
}

static void config_changed(struct virtio_device *vdev)
{
	struct virtio_can *priv = vdev->priv;
	struct net_device *dev = priv->dev;
	struct can_frame *frame;
	struct sk_buff *skb;
	u16 status;

	virtio_cread_le(vdev, struct virtio_can_config, status, &status);
	if (!(status & VIRTIO_CAN_S_CTRL_BUSOFF) || !netif_running(dev) ||
	    priv->can.state == CAN_STATE_BUS_OFF)
		return;
	priv->can.state = CAN_STATE_BUS_OFF;
	priv->can.can_stats.bus_off++;
	can_bus_off(dev);
	skb = alloc_can_err_skb(dev, &frame);
	if (!skb)
		return;
	frame->can_id |= CAN_ERR_BUSOFF;
	netif_rx(skb);
}

/* Life */

static int find_queues(struct virtio_can *priv)
{
	struct virtqueue_info info[QUEUES] = {
		[VIRTIO_CAN_QUEUE_TX] = {"tx", data_used},
		[VIRTIO_CAN_QUEUE_RX] = {"rx", data_used},
		[VIRTIO_CAN_QUEUE_CONTROL] = {"control", control_used},
	};

	return virtio_find_vqs(priv->vdev, QUEUES, priv->queues, info, NULL);
}

static void free_buffers(struct virtio_can *priv)
{
	kfree(priv->tx);
	kfree(priv->rx);
	kfree(priv->control);
}

static int make_buffers(struct virtio_can *priv)
{
	priv->tx = kcalloc(TX_FRAMES, sizeof(*priv->tx), GFP_KERNEL);
	priv->rx = kcalloc(RX_FRAMES, sizeof(*priv->rx), GFP_KERNEL);
	priv->control = kzalloc(sizeof(*priv->control), GFP_KERNEL);
	return priv->tx && priv->rx && priv->control ? 0 : -ENOMEM;
}

static int set_up_can(struct virtio_can *priv)
{
	/* The bus has a rate that nobody tells. */
	priv->can.bittiming.bitrate = CAN_BITRATE_UNKNOWN;
	priv->can.data_bittiming.bitrate = CAN_BITRATE_UNKNOWN;
	priv->can.do_set_mode = set_mode;
	priv->can.state = CAN_STATE_STOPPED;
	priv->dev->netdev_ops = &netdev_ops;
	priv->dev->flags |= IFF_ECHO;
	if (!virtio_has_feature(priv->vdev, VIRTIO_CAN_F_CAN_FD))
		return 0;
	return can_set_static_ctrlmode(priv->dev, CAN_CTRLMODE_FD);
}

static int probe(struct virtio_device *vdev)
{
	struct net_device *dev = alloc_candev(sizeof(struct virtio_can), TX_FRAMES);
	struct virtio_can *priv;
	int ret;

	if (!dev)
		return -ENOMEM;
	priv = netdev_priv(dev);
	priv->dev = dev;
	priv->vdev = vdev;
	vdev->priv = priv;
	spin_lock_init(&priv->tx_lock);
	mutex_init(&priv->control_lock);
	init_completion(&priv->control_done);
	netif_napi_add(dev, &priv->napi, poll);
	SET_NETDEV_DEV(dev, &vdev->dev);
	ret = set_up_can(priv);
	if (ret == 0)
		ret = make_buffers(priv);
	if (ret == 0)
		ret = find_queues(priv);
	if (ret < 0)
		goto free;
	virtio_device_ready(vdev);
	for (unsigned int i = 0; i < RX_FRAMES && ret == 0; i++)
		ret = offer(priv, &priv->rx[i]);
	/* A shorter queue takes fewer. */
	virtqueue_kick(priv->queues[VIRTIO_CAN_QUEUE_RX]);
	ret = register_candev(dev);
	if (ret == 0)
		return 0;
	virtio_reset_device(vdev);
	vdev->config->del_vqs(vdev);
free:
	free_buffers(priv);
	free_candev(dev);
	return ret;
}

static void remove(struct virtio_device *vdev)
{
	struct virtio_can *priv = vdev->priv;
	struct net_device *dev = priv->dev;

	unregister_candev(dev);
	virtio_reset_device(vdev);
	vdev->config->del_vqs(vdev);
	free_buffers(priv);
	free_candev(dev);
}

static const struct virtio_device_id ids[] = {
	{VIRTIO_ID_CAN, VIRTIO_DEV_ANY_ID},
	{0},
};
MODULE_DEVICE_TABLE(virtio, ids);

static const unsigned int features[] = {
	VIRTIO_CAN_F_CAN_CLASSIC,
	VIRTIO_CAN_F_CAN_FD,
	VIRTIO_CAN_F_RTR_FRAMES,
	VIRTIO_CAN_F_LATE_TX_ACK,
};

static struct virtio_driver virtio_can_driver = {
	.driver.name = "avp_can",
	.id_table = ids,
	.feature_table = features,
	.feature_table_size = ARRAY_SIZE(features),
	.probe = probe,
	.remove = remove,
	.config_changed = config_changed,
};
module_virtio_driver(virtio_can_driver);

MODULE_DESCRIPTION("CAN over VIRTIO");
MODULE_LICENSE("Dual BSD/GPL");

// SPDX-License-Identifier: BSD-3-Clause
/*
 * avp whose device processes have the fault that AVP_FAULT names; without AVP_FAULT they have none.
 * `avp_broken faults` lists the faults: name, test, requirement, verdict and what is broken.
 *
 * Every device passes through vhost_server_new before it is served, and every queue through
 * virtqueue_start: the linker replaces both by functions of this file (--wrap), which change the
 * function tables of device and queue.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avp_main.h"
#include "broken/fault.h"
#include "vhost/server.h"

static const struct fault *fault;

void (*fault_real_handle)(struct virtio_device *device, struct virtqueue *queue);
const struct block_backend_ops *fault_real_block;
const struct net_backend_ops *fault_real_net;
const struct can_backend_ops *fault_real_can;
size_t (*fault_real_fill)(struct entropy_backend *backend, void *buffer, size_t length);

const struct virtqueue_format *fault_real_format(const struct virtqueue *queue)
{
	return virtio_has_feature(queue->device, VIRTIO_F_RING_PACKED) ? &packed_format :
									 &split_format;
}

static bool has_fault(const struct virtio_device *device)
{
	return fault && (!fault->device || !strcmp(fault->device, device->class->name));
}

#define STAND_IN(table, function)                           \
	do {                                                \
		if (fault->function)                        \
			(table).function = fault->function; \
	} while (0)

static void break_block(struct block_device *block)
{
	static struct block_backend_ops ops;

	fault_real_block = block->backend->ops;
	ops = *fault_real_block;
	STAND_IN(ops, submit);
	block->backend->ops = &ops;
}

static void break_net(struct net_device *net)
{
	static struct net_backend_ops ops;

	fault_real_net = net->backend->ops;
	ops = *fault_real_net;
	STAND_IN(ops, send);
	net->backend->ops = &ops;
}

static void break_can(struct can_device *can)
{
	static struct can_backend_ops ops;

	fault_real_can = can->backend->ops;
	ops = *fault_real_can;
	if (fault->can_start)
		ops.start = fault->can_start;
	if (fault->can_stop)
		ops.stop = fault->can_stop;
	if (fault->can_send)
		ops.send = fault->can_send;
	can->backend->ops = &ops;
}

static void break_entropy(struct entropy_device *entropy)
{
	fault_real_fill = entropy->backend->fill;
	STAND_IN(*entropy->backend, fill);
}

/* A device process has one device. */
static void break_device(struct virtio_device *device)
{
	static struct virtio_device_class class;

	class = *device->class;
	fault_real_handle = class.handle;
	STAND_IN(class, handle);
	device->class = &class;
	if (!strcmp(class.name, "block"))
		break_block((struct block_device *)device);
	else if (!strcmp(class.name, "net"))
		break_net((struct net_device *)device);
	else if (!strcmp(class.name, "entropy"))
		break_entropy((struct entropy_device *)device);
	else if (!strcmp(class.name, "can"))
		break_can((struct can_device *)device);
	if (fault->serve)
		fault->serve(device);
}

struct vhost_server *__wrap_vhost_server_new(struct event_loop *loop, struct virtio_device *device,
					     struct error *error);
struct vhost_server *__real_vhost_server_new(struct event_loop *loop, struct virtio_device *device,
					     struct error *error);

struct vhost_server *__wrap_vhost_server_new(struct event_loop *loop, struct virtio_device *device,
					     struct error *error)
{
	if (has_fault(device))
		break_device(device);
	return __real_vhost_server_new(loop, device, error);
}

int __wrap_virtqueue_start(struct virtqueue *queue, const struct virtqueue_setup *setup,
			   uint64_t features, void *storage);
int __real_virtqueue_start(struct virtqueue *queue, const struct virtqueue_setup *setup,
			   uint64_t features, void *storage);

int __wrap_virtqueue_start(struct virtqueue *queue, const struct virtqueue_setup *setup,
			   uint64_t features, void *storage)
{
	static struct virtqueue_format formats[2];
	int result = __real_virtqueue_start(queue, setup, features, storage);
	struct virtqueue_format *format = &formats[queue->format == &packed_format];

	if (result < 0 || !has_fault(queue->device))
		return result;
	*format = *queue->format;
	STAND_IN(*format, has_request);
	STAND_IN(*format, take);
	STAND_IN(*format, use);
	STAND_IN(*format, notification_wanted);
	STAND_IN(*format, set_kicks);
	queue->format = format;
	format->set_kicks(queue, true);
	if (fault->started)
		fault->started(queue);
	return 0;
}

void __wrap_virtio_device_stop_queue(struct virtio_device *device, struct virtqueue *queue,
				     uint16_t *available_index, uint16_t *used_index);
void __wrap_virtio_device_stop_queue(struct virtio_device *device, struct virtqueue *queue,
				     uint16_t *available_index, uint16_t *used_index)
{
	if (has_fault(device) && fault->stop_queue)
		fault->stop_queue(queue, available_index, used_index);
	else
		__real_virtio_device_stop_queue(device, queue, available_index, used_index);
}

size_t __wrap_request_write(struct virtio_request *request, const void *buffer, size_t length);

size_t __wrap_request_write(struct virtio_request *request, const void *buffer, size_t length)
{
	if (has_fault(request->queue->device) && fault->write)
		return fault->write(request, buffer, length);
	return __real_request_write(request, buffer, length);
}

enum net_received __wrap_net_device_receive(struct net_device *net, uint16_t pair,
					    const struct virtio_net_hdr_v1 *header,
					    const void *frame, size_t length);

enum net_received __wrap_net_device_receive(struct net_device *net, uint16_t pair,
					    const struct virtio_net_hdr_v1 *header,
					    const void *frame, size_t length)
{
	if (has_fault(&net->device) && fault->receive)
		return fault->receive(net, pair, header, frame, length);
	return __real_net_device_receive(net, pair, header, frame, length);
}

void __wrap_can_device_receive(struct can_device *can, const struct can_frame *frame);

void __wrap_can_device_receive(struct can_device *can, const struct can_frame *frame)
{
	if (has_fault(&can->device) && fault->can_receive)
		fault->can_receive(can, frame);
	else
		__real_can_device_receive(can, frame);
}

static const struct fault *const tables[] = {ring_faults, device_faults, can_faults, vsock_faults,
					     operator_faults};

static int list_faults(void)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct fault *row = tables[i]; row->name; row++)
			printf("%s\t%s\t%s\t%s\t%s\n", row->name, row->test, row->requirement,
			       row->allowed ? "pass" :
			       row->hangs   ? "wedged" :
					      "fail",
			       row->what);
	return 0;
}

static const struct fault *find_fault(const char *name)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct fault *row = tables[i]; row->name; row++)
			if (!row->further && !strcmp(row->name, name))
				return row;
	return NULL;
}

int main(int argc, char **argv)
{
	const char *name = getenv("AVP_FAULT");

	if (argc == 2 && !strcmp(argv[1], "faults"))
		return list_faults();
	fault = name && *name ? find_fault(name) : NULL;
	if (name && *name && !fault) {
		fprintf(stderr, "AVP_FAULT: unknown fault '%s'; see %s faults\n", name, argv[0]);
		return 2;
	}
	return avp_main(argc, argv);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Each line is one buffer in the transmit queue of the first port, and the guest waits until it is
 * used (VIRTIO 1.4, 5.3.6). If the device does not use one, the rest goes to its emergency write
 * register, if it has that.
 */
#include "devices/console_log.h"

#include "bus/bus.h"
#include "console.h"
#include "pages.h"

#define QUEUE_SIZE	16
#define LINE_MS		2000
#define EMERGENCY	FEATURE(2) /* VIRTIO_CONSOLE_F_EMERG_WRITE */
#define EMERGENCY_WRITE 8

static struct device log_device;
static struct queue *queue;
static uint8_t *line;
static bool dead;

static void write_emergency(const char *text, size_t length)
{
	if (!(log_device.negotiated & EMERGENCY))
		return;
	for (size_t i = 0; i < length; i++)
		config_write(&log_device, EMERGENCY_WRITE, (uint8_t)text[i], 4);
}

static void write_queue(const char *text, size_t length)
{
	while (length > 0 && !dead) {
		size_t part = length < PAGE_SIZE ? length : PAGE_SIZE;
		struct driver_buffer buffer = buffer_of(line, part);
		uint32_t written;
		int error = 0;

		memcpy(line, text, part);
		dead = driver_queue_add(&queue->ring, &buffer, 1, 0, queue) < 0;
		queue_kick(queue);
		dead |= !wait_until(driver_queue_has_used(&queue->ring), LINE_MS) ||
			!driver_queue_take(&queue->ring, &written, &error);
		text += part;
		length -= part;
	}
	write_emergency(text, length);
}

void console_log_start(void)
{
	struct device *device = device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY);

	if (!device || !device->ops->queue_size(device, 0) || !device->ops->queue_size(device, 1) ||
	    !device_negotiate(device, EMERGENCY))
		return;
	log_device = *device;
	log_device.touched = false;
	device_remove(device);
	line = pages_get(PAGE_SIZE);
	device_queue(&log_device, 0, QUEUE_SIZE);
	queue = device_queue(&log_device, 1, QUEUE_SIZE);
	device_run(&log_device);
	console_use(write_queue);
}

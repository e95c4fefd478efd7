// SPDX-License-Identifier: BSD-3-Clause
/* Chapter rings: suppression, order, resets of a queue, other features that may be offered. */
#include "tests/rings.h"

TEST(ring_kick_needed, "AVP-RING-029", .limit_ms = 30000)
{
	static const uint64_t formats[] = {SPLIT, SPLIT | EVENT_INDEX, PACKED,
					   PACKED | EVENT_INDEX};
	struct vehicle vehicle;

	if (!vehicle_get(0, TRANSPORT_ANY, SPLIT, &vehicle))
		skip("no suitable device");
	for (unsigned int f = 0; f < 4; f++)
		for (unsigned int n = 0; vehicle_get(n, TRANSPORT_ANY, formats[f], &vehicle); n++) {
			struct queue *queue = vehicle_open(&vehicle, formats[f], 16);

			for (int i = 0; i < 40; i++) {
				/*
				 * Pauses of random length, around the time at which a device stops
				 * polling.
				 */
				for (uint64_t pause = random_number() % 2000; pause > 0; pause--)
					arch_relax();
				vehicle_must_do(&vehicle, queue, "kicked as the device asked");
			}
		}
}

TEST(ring_kick_race, "AVP-RING-029", .limit_ms = 30000)
{
	static const uint64_t formats[] = {SPLIT, SPLIT | EVENT_INDEX, PACKED,
					   PACKED | EVENT_INDEX};
	struct vehicle vehicle;

	if (!vehicle_get(0, TRANSPORT_ANY, SPLIT, &vehicle))
		skip("no suitable device");
	for (unsigned int f = 0; f < 4; f++)
		for (unsigned int n = 0; vehicle_get(n, TRANSPORT_ANY, formats[f], &vehicle); n++) {
			struct queue *queue = vehicle_open(&vehicle, formats[f], 16);
			struct request request;
			unsigned int pending = 0, started = 0, limit;
			struct deadline deadline = deadline_after_ms(ANSWER_MS);

			vehicle_build(&vehicle, 0, &request);
			limit = fitting(queue, &request, 3);
			while (started < 100 || pending > 0) {
				uint32_t written;
				int error = 0;

				if (started < 100 && pending < limit && random_number() % 2) {
					check(driver_queue_add(&queue->ring, request.buffers,
							       request.readable, request.writable,
							       queue) == 0,
					      "no room");
					queue_kick_if_wanted(queue);
					pending++;
					started++;
				}
				if (driver_queue_take(&queue->ring, &written, &error)) {
					pending--;
					deadline = deadline_after_ms(ANSWER_MS);
				} else {
					check(!deadline_passed(&deadline),
					      "%s: %u requests are not used, kicked as the device "
					      "asked (features 0x%lx)",
					      device_name(vehicle.device), pending, formats[f]);
				}
				check(error == 0, "%s: an invalid used entry",
				      device_name(vehicle.device));
			}
		}
}

TEST(ring_spurious_kick, "AVP-RING-030")
{
	struct vehicle vehicle;

	for_each_vehicle(vehicle, TRANSPORT_ANY, SPLIT)
	{
		struct queue *queue = vehicle_open(&vehicle, SPLIT, 16);

		for (int i = 0; i < 100; i++)
			queue_kick(queue);
		vehicle_must_do(&vehicle, queue, "after kicks without buffers");
		check(vehicle.device->ops->status(vehicle.device) == STATUS_RUNNING,
		      "%s: status 0x%x after kicks without buffers", device_name(vehicle.device),
		      vehicle.device->ops->status(vehicle.device));
	}
}

void serve_in_turn(struct vehicle *vehicle, struct queue *queue, unsigned int count)
{
	struct request request;
	uint32_t written;

	for (int round = 0; round < 20; round++) {
		for (uintptr_t i = 1; i <= count; i++) {
			vehicle_build(vehicle, (unsigned int)i, &request);
			check(driver_queue_add(&queue->ring, request.buffers, request.readable,
					       request.writable, (void *)i) == 0,
			      "no room");
		}
		queue_kick_if_wanted(queue);
		for (uintptr_t i = 1; i <= count; i++)
			check(queue_wait(queue, &written, ANSWER_MS) == (void *)i,
			      "%s: buffer %lu was not used in order", device_name(vehicle->device),
			      (uint64_t)i);
	}
}

TEST(ring_in_order, "AVP-RING-031", .limit_ms = 15000)
{
	static const uint64_t formats[] = {IN_ORDER, IN_ORDER | PACKED};
	struct vehicle vehicle;
	bool any = false;

	for (unsigned int f = 0; f < 2; f++)
		for (unsigned int n = 0; vehicle_get(n, TRANSPORT_ANY, formats[f], &vehicle); n++) {
			struct queue *queue = vehicle_open(&vehicle, formats[f], 16);
			struct request request;

			any = true;
			vehicle_build(&vehicle, 0, &request);
			serve_in_turn(&vehicle, queue, fitting(queue, &request, 4));
		}
	if (!any)
		skip("no device offers VIRTIO_F_IN_ORDER");
}

TEST(ring_notification_data, "AVP-RING-032", .limit_ms = 15000)
{
	struct vehicle vehicle;
	const uint64_t feature = FEATURE(VIRTIO_F_NOTIFICATION_DATA);

	if (!vehicle_get(0, TRANSPORT_ANY, feature, &vehicle))
		skip("no device offers VIRTIO_F_NOTIFICATION_DATA");
	for_each_vehicle(vehicle, TRANSPORT_ANY, feature)
	{
		struct queue *queue = vehicle_open(&vehicle, feature, 16);

		for (int i = 0; i < 50; i++)
			vehicle_must_do(&vehicle, queue, "kicked with data");
		/* A wrong offset: the queue exists, but is in another state. */
		vehicle.device->ops->notify(vehicle.device, queue->index,
					    queue->index | 0x7fff0000u);
		vehicle_heal(&vehicle, "a kick with a wrong offset");
	}
}

TEST(ring_queue_reset, "AVP-RING-033", .limit_ms = 15000)
{
	struct vehicle vehicle;

	if (!vehicle_get(0, TRANSPORT_ANY, RING_RESET, &vehicle))
		skip("no device offers VIRTIO_F_RING_RESET");
	for_each_vehicle(vehicle, TRANSPORT_ANY, RING_RESET)
	{
		struct device *device = vehicle.device;
		struct queue *queue = vehicle_open(&vehicle, RING_RESET, 16);
		struct request request;

		vehicle_must_do(&vehicle, queue, "before the queue's reset");
		device->ops->reset_queue(device, queue->index);
		check(wait_until(device->ops->queue_in_reset(device, queue->index) == 0, 2000),
		      "%s: queue_reset does not become 0", device_name(device));
		check(device->ops->queue_enabled(device, queue->index) == 0,
		      "%s: a queue that was reset is still enabled", device_name(device));
		/* The queue must do nothing now. */
		vehicle_build(&vehicle, 0, &request);
		memset(request.memory + 256, 0xa5, 512);
		driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable,
				 queue);
		queue_kick(queue);
		sleep_ms(20);
		check(!driver_queue_has_used(&queue->ring), "%s: a queue that was reset was served",
		      device_name(device));
		check(device->ops->status(device) == STATUS_RUNNING,
		      "%s: status 0x%x after a queue's reset", device_name(device),
		      device->ops->status(device));
	}
}

TEST(ring_queue_reset_state, "AVP-RING-034", .limit_ms = 15000)
{
	static const uint64_t formats[] = {RING_RESET, RING_RESET | PACKED};
	struct vehicle vehicle;
	bool any = false;

	for (unsigned int f = 0; f < 2; f++)
		for (unsigned int n = 0; vehicle_get(n, TRANSPORT_ANY, formats[f], &vehicle); n++) {
			struct device *device = vehicle.device;
			struct queue *queue = vehicle_open(&vehicle, formats[f], 16);

			any = true;
			for (uint32_t size = 4; size <= 16; size *= 2) {
				for (int i = 0; i < 5; i++)
					vehicle_must_do(&vehicle, queue, "of a queue");
				device->ops->reset_queue(device, queue->index);
				check(wait_until(device->ops->queue_in_reset(device,
									     queue->index) == 0,
						 2000),
				      "%s: queue_reset does not become 0", device_name(device));
				/* At another address and of another size. */
				queue = device_queue(device, vehicle.queue_index, size);
				check(device->ops->queue_in_reset(device, queue->index) == 0,
				      "%s: queue_reset reads 1 after the queue is enabled again",
				      device_name(device));
			}
			vehicle_must_do(&vehicle, queue, "after resets of its queue");
		}
	if (!any)
		skip("no device offers VIRTIO_F_RING_RESET");
}

TEST(ring_broken_others, "AVP-RING-050", .limit_ms = 15000)
{
	struct vehicle broken, other;

	if (!vehicle_get(1, TRANSPORT_ANY, SPLIT, &other))
		skip("the test needs two devices");
	for_each_vehicle(broken, TRANSPORT_ANY, SPLIT)
	{
		struct queue *queue = vehicle_open(&broken, SPLIT, 16);

		split_table_of(queue)[0] = (struct vring_desc){~UINT64_C(0) - 8, 64, 0, 0};
		split_offer(queue, 0);
		split_offer(queue, 60000);
		queue_kick(queue);
		for (unsigned int n = 0; vehicle_get(n, TRANSPORT_ANY, SPLIT, &other); n++) {
			uint64_t from;

			if (other.device == broken.device)
				continue;
			queue = vehicle_open(&other, SPLIT, 16);
			from = arch_ticks();
			vehicle_must_do(&other, queue, "while another device is broken");
			check(arch_ticks() - from <
				      ns_to_ticks(1000000000) * option_number("slow", 1),
			      "%s: a request took more than a second", device_name(other.device));
		}
		vehicle_heal(&broken, "a wild descriptor");
	}
}

TEST(ring_flood, "AVP-RING-051", .limit_ms = 20000)
{
	struct vehicle loud, other;

	if (!vehicle_get(1, TRANSPORT_ANY, SPLIT, &other))
		skip("the test needs two devices");
	for_each_vehicle(loud, TRANSPORT_ANY, SPLIT)
	{
		struct queue *flooded = vehicle_open(&loud, SPLIT, 16);

		for (unsigned int n = 0; vehicle_get(n, TRANSPORT_ANY, SPLIT, &other); n++) {
			struct queue *queue;
			struct request request;
			uint32_t written;
			uint64_t from, limit;

			if (other.device == loud.device)
				continue;
			queue = vehicle_open(&other, SPLIT, 16);
			limit = ns_to_ticks(1000000000) * option_number("slow", 1);
			for (int i = 0; i < 5; i++) {
				int error = 0;

				vehicle_build(&other, 0, &request);
				driver_queue_add(&queue->ring, request.buffers, request.readable,
						 request.writable, queue);
				queue_kick(queue);
				from = arch_ticks();
				while (!driver_queue_take(&queue->ring, &written, &error)) {
					queue_kick(flooded);
					check(error == 0, "an invalid used entry");
					check(arch_ticks() - from < limit,
					      "%s: no answer in a second during kicks of %s",
					      device_name(other.device), device_name(loud.device));
				}
			}
		}
	}
}

/* Measures the cost of a request: one at a time, and with a full ring. */
static bool measure(uint64_t format, const char *single, const char *full)
{
	static struct distribution distribution;
	struct vehicle vehicle;
	struct queue *queue;

	if (!vehicle_get_simple(format, &vehicle))
		return false;
	queue = vehicle_open(&vehicle, format, RING_MAX);
	distribution_start(&distribution);
	for (int i = 0; i < 300; i++) {
		uint64_t from = arch_ticks();

		vehicle_must_do(&vehicle, queue, "that is measured");
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from));
	}
	distribution_report(&distribution, single, "ns");
	distribution_start(&distribution);
	for (int i = 0; i < 50; i++) {
		struct request request;
		unsigned int count = 0, done = 0;
		uint64_t from = arch_ticks();
		uint32_t written;

		vehicle_build(&vehicle, 0, &request);
		while (driver_queue_add(&queue->ring, request.buffers, request.readable,
					request.writable, queue) == 0)
			count++;
		queue_kick_if_wanted(queue);
		while (done < count && queue_wait(queue, &written, ANSWER_MS))
			done++;
		check(done == count, "%u of %u requests were used", done, count);
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from) / count);
	}
	distribution_report(&distribution, full, "ns");
	return true;
}

TEST(ring_request_cost, "AVP-RING-052", .limit_ms = 20000)
{
	if (!measure(SPLIT, "ring_split_request_depth_1", "ring_split_request_full"))
		skip("no suitable device");
	measure(PACKED, "ring_packed_request_depth_1", "ring_packed_request_full");
}

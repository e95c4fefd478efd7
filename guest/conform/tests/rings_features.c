// SPDX-License-Identifier: BSD-3-Clause
/* Chapter rings: suppression, order, resets of a queue, other features that may be offered. */
#include "tests/rings.h"

TEST(ring_kick_needed, "AVP-RING-029", .limit_ms = 30000)
{
	static const uint64_t formats[] = {SPLIT, SPLIT | EVENT_INDEX, PACKED,
					   PACKED | EVENT_INDEX};
	struct dut dut;

	if (!dut_get(0, TRANSPORT_ANY, SPLIT, &dut))
		skip("no suitable device");
	for (unsigned int f = 0; f < 4; f++)
		for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, formats[f], &dut); n++) {
			struct queue *queue = dut_open(&dut, formats[f], 16);

			for (int i = 0; i < 40; i++) {
				/*
				 * Pauses of random length, around the time at which a device stops
				 * polling.
				 */
				for (uint64_t pause = random_number() % 2000; pause > 0; pause--)
					arch_relax();
				dut_must_do(&dut, queue, "kicked as the device asked");
			}
		}
}

TEST(ring_kick_race, "AVP-RING-029", .limit_ms = 30000)
{
	static const uint64_t formats[] = {SPLIT, SPLIT | EVENT_INDEX, PACKED,
					   PACKED | EVENT_INDEX};
	struct dut dut;

	if (!dut_get(0, TRANSPORT_ANY, SPLIT, &dut))
		skip("no suitable device");
	for (unsigned int f = 0; f < 4; f++)
		for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, formats[f], &dut); n++) {
			struct queue *queue = dut_open(&dut, formats[f], 16);
			struct request request;
			unsigned int pending = 0, started = 0, limit;
			struct deadline deadline = deadline_after_ms(ANSWER_MS);

			dut_build(&dut, 0, &request);
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
					      device_name(dut.device), pending, formats[f]);
				}
				check(error == 0, "%s: an invalid used entry",
				      device_name(dut.device));
			}
		}
}

TEST(ring_spurious_kick, "AVP-RING-030")
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		for (int i = 0; i < 100; i++)
			queue_kick(queue);
		dut_must_do(&dut, queue, "after kicks without buffers");
		check(dut.device->ops->status(dut.device) == STATUS_RUNNING,
		      "%s: status 0x%x after kicks without buffers", device_name(dut.device),
		      dut.device->ops->status(dut.device));
	}
}

/*
 * Makes 20 rounds of @count well-formed requests, which fit in the queue. The device must use them
 * in order.
 */
static void serve_in_turn(struct dut *dut, struct queue *queue, unsigned int count)
{
	struct request request;
	uint32_t written;

	for (int round = 0; round < 20; round++) {
		for (uintptr_t i = 1; i <= count; i++) {
			dut_build(dut, (unsigned int)i, &request);
			check(driver_queue_add(&queue->ring, request.buffers, request.readable,
					       request.writable, (void *)i) == 0,
			      "no room");
		}
		queue_kick_if_wanted(queue);
		for (uintptr_t i = 1; i <= count; i++)
			check(queue_wait(queue, &written, ANSWER_MS) == (void *)i,
			      "%s: buffer %lu was not used in order", device_name(dut->device),
			      (uint64_t)i);
	}
}

TEST(ring_in_order, "AVP-RING-031", .limit_ms = 15000)
{
	static const uint64_t formats[] = {IN_ORDER, IN_ORDER | PACKED};
	struct dut dut;
	bool any = false;

	for (unsigned int f = 0; f < 2; f++)
		for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, formats[f], &dut); n++) {
			struct queue *queue = dut_open(&dut, formats[f], 16);
			struct request request;

			any = true;
			dut_build(&dut, 0, &request);
			serve_in_turn(&dut, queue, fitting(queue, &request, 4));
		}
	if (!any)
		skip("no device offers VIRTIO_F_IN_ORDER");
}

TEST(ring_notification_data, "AVP-RING-032", .limit_ms = 15000)
{
	struct dut dut;
	const uint64_t feature = FEATURE(VIRTIO_F_NOTIFICATION_DATA);

	if (!dut_get(0, TRANSPORT_ANY, feature, &dut))
		skip("no device offers VIRTIO_F_NOTIFICATION_DATA");
	for_each_dut(dut, TRANSPORT_ANY, feature)
	{
		struct queue *queue = dut_open(&dut, feature, 16);

		for (int i = 0; i < 50; i++)
			dut_must_do(&dut, queue, "kicked with data");
		/* A wrong offset: the queue exists, but is in another state. */
		dut.device->ops->notify(dut.device, queue->index, queue->index | 0x7fff0000u);
		dut_must_recover(&dut, "a kick with a wrong offset");
	}
}

TEST(ring_queue_reset, "AVP-RING-033", .limit_ms = 15000)
{
	struct dut dut;

	if (!dut_get(0, TRANSPORT_ANY, RING_RESET, &dut))
		skip("no device offers VIRTIO_F_RING_RESET");
	for_each_dut(dut, TRANSPORT_ANY, RING_RESET)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, RING_RESET, 16);
		struct request request;

		dut_must_do(&dut, queue, "before the queue's reset");
		device->ops->reset_queue(device, queue->index);
		check(wait_until(device->ops->queue_in_reset(device, queue->index) == 0, 2000),
		      "%s: queue_reset does not become 0", device_name(device));
		check(device->ops->queue_enabled(device, queue->index) == 0,
		      "%s: a queue that was reset is still enabled", device_name(device));
		/* The queue must do nothing now. */
		dut_build(&dut, 0, &request);
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
	struct dut dut;
	bool any = false;

	for (unsigned int f = 0; f < 2; f++)
		for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, formats[f], &dut); n++) {
			struct device *device = dut.device;
			struct queue *queue = dut_open(&dut, formats[f], 16);

			any = true;
			for (uint32_t size = 4; size <= 16; size *= 2) {
				for (int i = 0; i < 5; i++)
					dut_must_do(&dut, queue, "of a queue");
				device->ops->reset_queue(device, queue->index);
				check(wait_until(device->ops->queue_in_reset(device,
									     queue->index) == 0,
						 2000),
				      "%s: queue_reset does not become 0", device_name(device));
				/* At another address and of another size. */
				queue = device_queue(device, dut.queue_index, size);
				check(device->ops->queue_in_reset(device, queue->index) == 0,
				      "%s: queue_reset reads 1 after the queue is enabled again",
				      device_name(device));
			}
			dut_must_do(&dut, queue, "after resets of its queue");
		}
	if (!any)
		skip("no device offers VIRTIO_F_RING_RESET");
}

TEST(ring_broken_others, "AVP-RING-050", .limit_ms = 15000)
{
	struct dut broken, other;

	if (!dut_get(1, TRANSPORT_ANY, SPLIT, &other))
		skip("the test needs two devices");
	for_each_dut(broken, TRANSPORT_ANY, SPLIT)
	{
		struct queue *queue = dut_open(&broken, SPLIT, 16);

		split_table_of(queue)[0] = (struct vring_desc){~UINT64_C(0) - 8, 64, 0, 0};
		split_offer(queue, 0);
		split_offer(queue, 60000);
		queue_kick(queue);
		for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, SPLIT, &other); n++) {
			uint64_t from;

			if (other.device == broken.device)
				continue;
			queue = dut_open(&other, SPLIT, 16);
			from = arch_ticks();
			dut_must_do(&other, queue, "while another device is broken");
			check(arch_ticks() - from <
				      ns_to_ticks(1000000000) * option_number("slow", 1),
			      "%s: a request took more than a second", device_name(other.device));
		}
		dut_must_recover(&broken, "a wild descriptor");
	}
}

TEST(ring_flood, "AVP-RING-051", .limit_ms = 20000)
{
	struct dut loud, other;

	if (!dut_get(1, TRANSPORT_ANY, SPLIT, &other))
		skip("the test needs two devices");
	for_each_dut(loud, TRANSPORT_ANY, SPLIT)
	{
		struct queue *flooded = dut_open(&loud, SPLIT, 16);

		for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, SPLIT, &other); n++) {
			struct queue *queue;
			struct request request;
			uint32_t written;
			uint64_t from, limit;

			if (other.device == loud.device)
				continue;
			queue = dut_open(&other, SPLIT, 16);
			limit = ns_to_ticks(1000000000) * option_number("slow", 1);
			for (int i = 0; i < 5; i++) {
				int error = 0;

				dut_build(&other, 0, &request);
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
	struct dut dut;
	struct queue *queue;

	if (!dut_get_simple(format, &dut))
		return false;
	queue = dut_open(&dut, format, RING_MAX);
	distribution_start(&distribution);
	for (int i = 0; i < 300; i++) {
		uint64_t from = arch_ticks();

		dut_must_do(&dut, queue, "that is measured");
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from));
	}
	distribution_report(&distribution, single, "ns");
	distribution_start(&distribution);
	for (int i = 0; i < 50; i++) {
		struct request request;
		unsigned int count = 0, done = 0;
		uint64_t from = arch_ticks();
		uint32_t written;

		dut_build(&dut, 0, &request);
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

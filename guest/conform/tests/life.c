// SPDX-License-Identifier: BSD-3-Clause
/* Chapter life: status, features and configuration of any device (VIRTIO 1.4, 2.1 to 2.6, 3.1). */
#include "tests/rings.h"

#include "bus/pci.h"

#define for_each_device(device)           \
	if (device_count == 0)            \
		skip("no virtio device"); \
	for (struct device *device = devices; device < devices + device_count; device++)

#define RESET_LIMIT_MS 1000
#define GIVE_UP_MS     5000

static void reset_in_time(struct device *device, uint8_t state)
{
	uint64_t from = arch_ticks();

	device->ops->set_status(device, 0);
	check(wait_until(device->ops->status(device) == 0, GIVE_UP_MS),
	      "%s: status 0x%x after a reset from 0x%x", device_name(device),
	      device->ops->status(device), state);
	check_within(ticks_to_ns(arch_ticks() - from), RESET_LIMIT_MS,
		     "%s: a reset from status 0x%x takes too long", device_name(device), state);
}

TEST(life_reset_status, "AVP-LIFE-001", .limit_ms = 60000)
{
	struct dut dut;

	for_each_device(device)
	{
		static const uint8_t states[] = {VIRTIO_CONFIG_S_ACKNOWLEDGE, STATUS_DRIVER,
						 STATUS_FEATURES, STATUS_RUNNING, 0xff};

		for (unsigned int i = 0; i < 5; i++) {
			device_negotiate(device, 0);
			device->ops->set_status(device, states[i]);
			reset_in_time(device, states[i]);
		}
	}
	/* With queues that it has to stop. */
	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, SPLIT, &dut); n++) {
		dut_must_do(&dut, dut_open(&dut, SPLIT, 16), "before a reset");
		reset_in_time(dut.device, STATUS_RUNNING);
	}
}

TEST(life_reset_quiet, "AVP-LIFE-002", .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);
		struct request request;
		uint32_t interrupts;
		uint16_t used;

		dut_must_do(&dut, queue, "before a reset");
		check(device_reset(device), "%s: the reset does not complete", device_name(device));
		used = used_of(queue)[1];
		interrupts = device->queue_interrupts;
		dut_build(&dut, 1, &request);
		driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable,
				 queue);
		for (int i = 0; i < 5; i++)
			queue_kick(queue);
		sleep_ms(20);
		check(used_of(queue)[1] == used, "%s: its queue was served after a reset",
		      device_name(device));
		check(device->queue_interrupts == interrupts,
		      "%s: an interrupt arrived after a reset", device_name(device));
	}
}

TEST(life_reset_inflight, "AVP-LIFE-003", .limit_ms = 30000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;
		uint64_t mark = pages_mark();

		for (int round = 0; round < 10; round++) {
			struct queue *queue;
			struct request request;
			unsigned int count = 0;
			uint16_t used;

			pages_release(mark);
			queue = dut_open(&dut, SPLIT, 64);
			do
				dut_build(&dut, count, &request);
			while (count++ < 16 &&
			       driver_queue_add(&queue->ring, request.buffers, request.readable,
						request.writable, queue) == 0);
			queue_kick(queue);
			for (uint64_t pause = random_number() % 3000; pause > 0; pause--)
				arch_relax();
			check(device_reset(device),
			      "%s: a reset with requests in flight does not complete",
			      device_name(device));
			used = used_of(queue)[1];
			memset(dut.area, 0xa5, REQUEST_MAX * REQUEST_SIZE);
			sleep_ms(3);
			for (unsigned int i = 0; i < REQUEST_MAX * REQUEST_SIZE; i++)
				check(dut.area[i] == 0xa5,
				      "%s: a buffer was written to after the reset",
				      device_name(device));
			check(used_of(queue)[1] == used, "%s: used.idx changed after the reset",
			      device_name(device));
		}
		dut_must_recover(&dut, "after resets with requests in flight");
	}
}

TEST(life_reset_again, "AVP-LIFE-004", .limit_ms = 60000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		uint64_t mark = pages_mark();

		for (int round = 0; round < 100; round++) {
			struct queue *queue;

			pages_release(mark);
			/* Resets from each state. */
			if (round % 4 == 1)
				device_negotiate(dut.device, 0);
			if (round % 4 == 2)
				dut_set_up(&dut, SPLIT, 16);
			queue = dut_open(&dut, SPLIT, 16);
			dut_must_do(&dut, queue, "after a reset");
		}
	}
}

TEST(life_reset_features, "AVP-LIFE-005")
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;
		uint64_t offered = device_offered(device);

		dut_open(&dut, offered & (EVENT_INDEX | INDIRECT), 16);
		device_reset(device);
		check(device_offered(device) == offered,
		      "%s: offers 0x%lx after a reset, 0x%lx before", device_name(device),
		      device_offered(device), offered);
		/* Without features: the reset must have cleared the earlier ones. */
		dut_must_do(&dut, dut_open(&dut, SPLIT, 16), "without features");
	}
}

TEST(life_before_driver_ok, "AVP-LIFE-006", .limit_ms = 10000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_set_up(&dut, SPLIT, 16);
		struct request request;
		uint32_t interrupts = device->queue_interrupts, written;

		dut_build(&dut, 0, &request);
		driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable,
				 queue);
		for (int i = 0; i < 5; i++)
			queue_kick(queue);
		sleep_ms(20);
		check(!driver_queue_has_used(&queue->ring),
		      "%s: a buffer was used before DRIVER_OK", device_name(device));
		check(device->queue_interrupts == interrupts, "%s: an interrupt before DRIVER_OK",
		      device_name(device));
		device_run(device);
		queue_kick(queue);
		check(queue_wait(queue, &written, ANSWER_MS),
		      "%s: the buffer was not used after DRIVER_OK and a kick",
		      device_name(device));
	}
}

TEST(life_buffers_before_ok, "AVP-LIFE-007", .limit_ms = 10000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct queue *queue = dut_set_up(&dut, SPLIT, 16);
		struct request request;
		uint32_t written = 0;

		dut_build(&dut, 0, &request);
		driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable,
				 queue);
		device_run(dut.device);
		queue_kick(queue);
		check(queue_wait(queue, &written, ANSWER_MS),
		      "%s: a buffer made available before DRIVER_OK was not used",
		      device_name(dut.device));
	}
}

TEST(life_offer_version_1, "AVP-LIFE-008")
{
	for_each_device(device) check(device_offered(device) & VERSION_1, "%s: offers 0x%lx",
				      device_name(device), device_offered(device));
}

/*
 * VIRTIO 1.4, 2.2 and 6: bits 24 to 40 and 43 are for queues and negotiation, some of them without
 * a meaning; 44 to 49 are reserved; all others belong to the type, except 41 (6.1: ADMIN_VQ).
 */
TEST(life_offer_known, "AVP-LIFE-010")
{
	const uint64_t legacy = FEATURE(24) | FEATURE(27) | FEATURE(30) | FEATURE(31);
	const uint64_t future = (FEATURE(50) - 1) & ~(FEATURE(44) - 1);
	const uint64_t types = (FEATURE(24) - 1) | FEATURE(42) | ~(FEATURE(50) - 1);

	for_each_device(device)
	{
		const struct device_type *type = device->type;
		uint64_t wrong = legacy | FEATURE(25) | FEATURE(26) | future;

		if (type)
			wrong |= types & ~type->features;
		/* A transitional device may offer the legacy bits. */
		if (device->pci && device->pci->product < PCI_MODERN)
			wrong &= ~(legacy | (type ? type->legacy_features : 0));
		wrong &= device_offered(device);
		check(!wrong, "%s: offers bits 0x%lx, which are reserved or without a meaning",
		      device_name(device), wrong);
	}
}

TEST(life_offer_dependencies, "AVP-LIFE-009")
{
	for_each_device(device)
	{
		uint64_t offered = device_offered(device);
		const char *wrong = NULL;

		if (device->type && device->type->wrong_offer)
			wrong = device->type->wrong_offer(offered);
		check(!wrong, "%s: offers 0x%lx: %s", device_name(device), offered, wrong);
	}
}

TEST(life_offer_works, "AVP-LIFE-011", .limit_ms = 60000)
{
	const uint64_t driven = PACKED | INDIRECT | EVENT_INDEX | IN_ORDER;
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		uint64_t offered = device_offered(dut.device) & driven, mark = pages_mark();

		/* Negotiates every subset of these features that the device offers. */
		for (uint64_t subset = offered;; subset = (subset - 1) & offered) {
			struct queue *queue;

			pages_release(mark);
			queue = dut_open(&dut, subset, 16);
			for (int i = 0; i < 5; i++)
				dut_must_do(&dut, queue, "with a subset of the features");
			if (subset == 0)
				break;
		}
	}
}

TEST(life_features_ok, "AVP-LIFE-012")
{
	for_each_device(device)
	{
		check(device_negotiate(device, VERSION_1), "%s: VERSION_1 alone is refused",
		      device_name(device));
		check(device->ops->status(device) == STATUS_FEATURES,
		      "%s: status 0x%x after FEATURES_OK", device_name(device),
		      device->ops->status(device));
	}
}

TEST(life_features_subsets, "AVP-LIFE-013", .limit_ms = 20000)
{
	bool any = false;

	for_each_device(device)
	{
		uint64_t offered = device_offered(device);

		/* Ring features one by one: they do not depend on each other. */
		for (unsigned int bit = 28; bit < 41; bit++) {
			const uint64_t some = INDIRECT | EVENT_INDEX | PACKED | IN_ORDER |
					      RING_RESET;

			if (!(offered & some & FEATURE(bit)))
				continue;
			any = true;
			check(device_negotiate(device, FEATURE(bit)),
			      "SHOULD: %s: feature %u with VERSION_1 is refused",
			      device_name(device), bit);
		}
	}
	if (!any)
		skip("no device offers a feature of its rings");
}

/* Accepts exactly @features, offered or not. Returns whether FEATURES_OK stays set. */
static bool force_features(struct device *device, uint64_t features)
{
	check(device_reset(device), "%s: the reset does not complete", device_name(device));
	device->ops->set_status(device, STATUS_DRIVER);
	device->ops->set_features(device, 0, (uint32_t)features);
	device->ops->set_features(device, 1, (uint32_t)(features >> 32));
	device->ops->set_status(device, STATUS_FEATURES);
	return device->ops->status(device) & VIRTIO_CONFIG_S_FEATURES_OK;
}

/* A device that keeps FEATURES_OK set must work for a driver that uses only VERSION_1. */
static void must_work_with_version_1(struct dut *dut, unsigned int bit)
{
	struct device *device = dut->device;
	uint64_t mark = pages_mark();
	struct queue *queue;
	const char *wrong;

	queue = dut_set_up_queues(dut, 16);
	device_run(device);
	wrong = dut_do(dut, queue);
	check(!wrong, "%s: accepted feature %u without offering it, and then: %s (status 0x%x)",
	      device_name(device), bit, wrong, device->ops->status(device));
	check(device_reset(device), "%s: the reset does not complete", device_name(device));
	pages_release(mark);
}

TEST(life_features_ok_refused, "AVP-LIFE-014", .limit_ms = 60000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;
		uint64_t offered = device_offered(device);

		for (unsigned int bit = 0; bit < 64; bit++)
			if ((!(offered & FEATURE(bit)) || device->type->dependent & FEATURE(bit)) &&
			    force_features(device, VERSION_1 | FEATURE(bit)))
				must_work_with_version_1(&dut, bit);
	}
}

TEST(life_features_same_again, "AVP-LIFE-015")
{
	for_each_device(device)
	{
		uint64_t offered = device_offered(device) & (INDIRECT | EVENT_INDEX);

		for (int i = 0; i < 5; i++)
			check(device_negotiate(device, offered),
			      "SHOULD: %s: features 0x%lx are refused the %dth time",
			      device_name(device), offered, i + 1);
	}
}

TEST(life_features_frozen, "AVP-LIFE-016", .limit_ms = 10000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, PACKED)
	{
		struct device *device = dut.device;
		struct queue *queue;

		device_open(device, SPLIT);
		/* Too late to choose the packed format. */
		device->ops->set_features(device, 1, (uint32_t)((VERSION_1 | PACKED) >> 32));
		queue = dut_set_up_queues(&dut, 16);
		device_run(device);
		dut_must_do(&dut, queue, "after features that were written too late");
	}
}

TEST(life_config_early, "AVP-LIFE-017")
{
	bool any = false;

	for_each_device(device)
	{
		uint64_t early, late;

		if (!device->type || device->type->config_size < 4)
			continue;
		any = true;
		device_reset(device);
		device->ops->set_status(device, STATUS_DRIVER);
		early = config_read(device, 0, 4);
		check(device_negotiate(device, device->type->config_features),
		      "%s: features are refused", device_name(device));
		late = config_read(device, 0, 4);
		check(early == late,
		      "%s: the configuration begins with 0x%lx before FEATURES_OK, 0x%lx "
		      "after",
		      device_name(device), early, late);
	}
	if (!any)
		skip("no device of a type with a configuration that can be read early");
}

TEST(life_config_stable, "AVP-LIFE-018")
{
	bool any = false;

	for_each_device(device)
	{
		uint32_t size = 0;

		if (!device_has_config(device, &size))
			continue;
		device_negotiate(device, 0);
		for (uint32_t offset = 0; offset + 4 <= size && offset < 8; offset += 4) {
			uint32_t generation = device->ops->generation(device);
			uint64_t first = config_read(device, offset, 4);
			uint64_t second = config_read(device, offset, 4);

			if (device->ops->generation(device) != generation)
				continue;
			any = true;
			check(first == second,
			      "%s: configuration at %u reads 0x%lx, then 0x%lx in one generation",
			      device_name(device), offset, first, second);
		}
	}
	if (!any)
		skip("the configuration of every device changes between two reads");
}

TEST(life_needs_reset, "AVP-LIFE-020", .limit_ms = 10000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, SPLIT, 16);
		uint32_t before = device->config_interrupts;

		split_offer(queue, 0xffff);
		queue_kick(queue);
		if (!wait_until(device->ops->status(device) & NEEDS_RESET, 1000) ||
		    !device->connected || (device->pci && device->pci->vectors < 2))
			continue;
		any = true;
		check(wait_until(device->config_interrupts != before, 1000),
		      "%s: DEVICE_NEEDS_RESET without a configuration change notification",
		      device_name(device));
	}
	if (!any)
		skip("no device with an interrupt of its configuration sets DEVICE_NEEDS_RESET");
}

TEST(life_needs_reset_heals, "AVP-LIFE-021", .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT) for (int i = 0; i < 2; i++)
	{
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		split_offer(queue, 0xffff);
		queue_kick(queue);
		wait_until(dut.device->ops->status(dut.device) & NEEDS_RESET, 100);
		dut_must_recover(&dut, "after DEVICE_NEEDS_RESET");
	}
}

TEST(life_status_order, "AVP-LIFE-027", .limit_ms = 30000)
{
	static const uint8_t orders[][4] = {
		{VIRTIO_CONFIG_S_DRIVER_OK, 0, 0, 0},
		{STATUS_RUNNING, 0, 0, 0},
		{0xff, 0, 0, 0},
		{STATUS_DRIVER, STATUS_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK, 0, 0},
		{STATUS_FEATURES, STATUS_DRIVER, VIRTIO_CONFIG_S_ACKNOWLEDGE, 0x10},
		{0x20, 0x10, NEEDS_RESET, STATUS_RUNNING},
	};
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT) for (unsigned int i = 0;
						     i < sizeof(orders) / sizeof(orders[0]); i++)
	{
		struct device *device = dut.device;
		char after[60];

		device_reset(device);
		for (int step = 0; step < 4; step++) {
			if (orders[i][step])
				device->ops->set_status(device, orders[i][step]);
			device->ops->notify(device, 0, 0);
			device->ops->status(device);
		}
		text_format(after, sizeof(after), "after status 0x%x, 0x%x, 0x%x", orders[i][0],
			    orders[i][1], orders[i][2]);
		dut_must_recover(&dut, after);
	}
}

TEST(life_failed, "AVP-LIFE-028", .limit_ms = 20000)
{
	static const uint8_t states[] = {0, VIRTIO_CONFIG_S_ACKNOWLEDGE, STATUS_DRIVER,
					 STATUS_FEATURES, STATUS_RUNNING};
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT) for (unsigned int i = 0; i < 5; i++)
	{
		struct device *device = dut.device;

		device_reset(device);
		if (states[i])
			device->ops->set_status(device, states[i]);
		device->ops->set_status(device, states[i] | VIRTIO_CONFIG_S_FAILED);
		dut_must_recover(&dut, "after FAILED");
	}
}

TEST(life_queues_unset, "AVP-LIFE-029", .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;

		device_open(device, SPLIT);
		device_run(device);
		for (uint32_t i = 0; i < 4; i++)
			device->ops->notify(device, i, i);
		/* Too late to set up a queue. */
		queue_kick(device_queue(device, dut.queue_index, 16));
		sleep_ms(2);
		dut_must_recover(&dut, "after DRIVER_OK without queues");
	}
}

TEST(life_config_write_wild, "AVP-LIFE-030", .limit_ms = 20000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;
		uint32_t size = 0, limit;

		if (!device->ops->config(device, &size))
			continue;
		any = true;
		limit = size < 64 ? size : 64;
		for (int running = 0; running < 2; running++) {
			if (running)
				dut_open(&dut, SPLIT, 16);
			else
				device_negotiate(device, SPLIT);
			for (uint32_t offset = 0; offset < limit; offset++) {
				if (device_config_commands(device, offset, 1))
					continue;
				config_write(device, offset, random_number(), 1);
				if (offset % 4 == 0 && offset + 4 <= limit &&
				    !device_config_commands(device, offset, 4))
					config_write(device, offset, random_number(), 4);
			}
		}
		dut_must_recover(&dut, "after writes to the configuration");
	}
	if (!any)
		skip("no device has a configuration");
}

static struct distribution resets, starts;

TEST(life_reset_time, "AVP-LIFE-034", .limit_ms = 30000)
{
	struct dut dut;

	distribution_start(&resets);
	distribution_start(&starts);
	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		uint64_t mark = pages_mark();

		for (int i = 0; i < 10; i++) {
			uint64_t from;

			pages_release(mark);
			from = arch_ticks();
			dut_open(&dut, SPLIT, 16);
			distribution_add(&starts, ticks_to_ns(arch_ticks() - from) / 1000);
			from = arch_ticks();
			check(device_reset(dut.device), "the reset does not complete");
			distribution_add(&resets, ticks_to_ns(arch_ticks() - from) / 1000);
		}
	}
	distribution_report(&starts, "life_initialisation", "us");
	distribution_report(&resets, "life_reset", "us");
}

TEST(life_access_platform, "AVP-LIFE-032")
{
	const uint64_t feature = FEATURE(VIRTIO_F_ACCESS_PLATFORM);
	struct dut dut;
	bool any = false;

	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, feature, &dut); n++) {
		any = true;
		if (device_negotiate(dut.device, 0))
			dut_must_do(&dut, dut_open(&dut, 0, 16), "without it");
		if (device_negotiate(dut.device, feature))
			dut_must_do(&dut, dut_open(&dut, feature, 16), "with it");
	}
	if (!any)
		skip("no device offers VIRTIO_F_ACCESS_PLATFORM");
}

// SPDX-License-Identifier: BSD-3-Clause
/* A CAN bus: who goes first, how long it takes, who gets what, and what errors do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/can_bus/bus.h"
#include "service/can_bus/frame.h"

#define EVENTS 4096

enum what { SENT, RETURNED, RECEIVED, OFF };

static struct event {
	enum what what;
	const struct can_bus_node *node;
	uint32_t tag; /* or the identifier of a received frame */
	uint64_t time_ns;
} events[EVENTS];
static unsigned int event_count, carried;
static bool no_room;

static void note(enum what what, const struct can_bus_node *node, uint32_t tag, uint64_t time_ns)
{
	assert_true(event_count < EVENTS);
	events[event_count++] = (struct event){what, node, tag, time_ns};
}

static void on_sent(struct can_bus_node *node, uint32_t tag, bool success)
{
	note(success ? SENT : RETURNED, node, tag, 0);
}

static bool on_receive(struct can_bus_node *node, const struct can_bus_frame *frame,
		       uint64_t time_ns)
{
	if (no_room)
		return false;
	note(RECEIVED, node, frame->id, time_ns);
	return true;
}

static void on_bus_off(struct can_bus_node *node)
{
	note(OFF, node, 0, 0);
}

static void on_carried(void *context, const struct can_bus_frame *frame, uint64_t time_ns)
{
	carried++;
}

static const struct can_bus_ops ops = {on_sent, on_receive, on_bus_off, on_carried};
static const struct can_bus_rights all_rights;

static struct can_bus *make(uint32_t bit_rate, uint32_t data_bit_rate)
{
	struct can_bus *bus = calloc(1, sizeof(*bus));

	event_count = carried = 0;
	no_room = false;
	can_bus_init(bus, &(struct can_bus_settings){bit_rate, data_bit_rate, true}, &ops, NULL);
	return bus;
}

static void end(struct can_bus *bus)
{
	can_bus_close(bus);
	free(bus);
}

static struct can_bus_node *add(struct can_bus *bus, const struct can_bus_rights *rights)
{
	struct can_bus_node *node = can_bus_add(bus, rights, NULL, 0);

	assert_non_null(node);
	can_bus_start(node);
	return node;
}

static void send(struct can_bus *bus, struct can_bus_node *node, uint32_t tag, uint32_t id)
{
	can_bus_send(bus, node, tag, &(struct can_bus_frame){.id = id}, 0);
}

/* The events of a kind, of a node or of all of them. */
static unsigned int count(enum what what, const struct can_bus_node *node)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < event_count; i++)
		found += events[i].what == what && (!node || events[i].node == node);
	return found;
}

static void test_broadcast(void **state)
{
	struct can_bus *bus = make(0, 0);
	struct can_bus_node *a = add(bus, &all_rights), *b = add(bus, &all_rights);
	struct can_bus_node *c = can_bus_add(bus, &all_rights, NULL, 0);

	send(bus, a, 1, 5);
	assert_int_equal(event_count, 0);
	assert_int_equal(can_bus_run(bus, 0, 100), UINT64_MAX);
	/* Others first, then the sender; not the sender itself, nor one that is stopped. */
	assert_int_equal(event_count, 2);
	assert_int_equal(events[0].what, RECEIVED);
	assert_ptr_equal(events[0].node, b);
	assert_int_equal(events[1].what, SENT);
	assert_ptr_equal(events[1].node, a);
	assert_int_equal(c->counts.received, 0);
	assert_int_equal(carried, 1);
	no_room = true;
	send(bus, a, 2, 5);
	can_bus_run(bus, 0, 100);
	assert_int_equal(b->counts.lost, 1);
	assert_int_equal(count(SENT, a), 2);
	end(bus);
}

/* Random frames of several nodes: at each moment the one that wins goes, equal ones in order. */
static void test_order(void **state)
{
	unsigned int seed = 1;

	for (int run = 0; run < 100; run++) {
		struct can_bus *bus = make(0, 0);
		struct can_bus_node *nodes[4];
		struct {
			unsigned int node;
			uint32_t id;
			bool over;
		} frames[400];
		unsigned int total = 0, done = 0;

		for (int i = 0; i < 4; i++)
			nodes[i] = add(bus, &all_rights);
		while (done < 400) {
			unsigned int more = total < 400 ? (unsigned int)rand_r(&seed) % 8 : 0;

			for (; more > 0 && total < 400; more--, total++) {
				frames[total].node = (unsigned int)rand_r(&seed) % 4;
				frames[total].id = (uint32_t)rand_r(&seed) % 6;
				frames[total].over = false;
				send(bus, nodes[frames[total].node], total, frames[total].id);
			}
			event_count = 0;
			can_bus_run(bus, 0, 1 + (unsigned int)rand_r(&seed) % 4);
			for (unsigned int i = 0; i < event_count; i++) {
				uint32_t tag = events[i].tag;

				if (events[i].what != SENT)
					continue;
				for (unsigned int k = 0; k < total; k++)
					assert_true(frames[k].over ||
						    frames[k].id > frames[tag].id ||
						    (frames[k].id == frames[tag].id && k >= tag));
				assert_ptr_equal(events[i].node, nodes[frames[tag].node]);
				frames[tag].over = true;
				done++;
			}
		}
		end(bus);
	}
}

static void test_time(void **state)
{
	struct can_bus_frame frame = {.id = 1, .flags = CAN_BUS_FD, .length = 64};
	struct can_frame_bits bits = can_frame_bits(&frame, true);
	uint64_t duration = bits.nominal * UINT64_C(2000) + bits.data * UINT64_C(500);
	struct can_bus *bus = make(500000, 2000000);
	struct can_bus_node *a = add(bus, &all_rights), *b = add(bus, &all_rights);

	/* Two frames in a row, the owner comes late: they follow each other without a gap. */
	can_bus_send(bus, a, 1, &frame, 1000);
	can_bus_send(bus, a, 2, &frame, 2000);
	assert_int_equal(can_bus_run(bus, 1000, 100), 1000 + duration);
	assert_int_equal(can_bus_run(bus, 999 + duration, 100), 1000 + duration);
	assert_int_equal(count(SENT, NULL), 0);
	assert_int_equal(can_bus_run(bus, 1500 + duration, 100), 1000 + 2 * duration);
	assert_int_equal(count(SENT, NULL), 1);
	/* A frame that came while the bus was busy and wins is next, not before. */
	can_bus_send(bus, b, 3, &(struct can_bus_frame){.id = 0}, 1600 + duration);
	assert_int_equal(can_bus_run(bus, 1000 + 3 * duration, 100), UINT64_MAX);
	assert_int_equal(events[0].time_ns, 1000 + duration);
	assert_int_equal(events[2].time_ns, 1000 + 2 * duration);
	assert_true(events[4].time_ns < 1000 + 3 * duration);
	assert_int_equal(count(SENT, b), 1);
	/* Then the bus was idle: a frame starts when it comes. */
	can_bus_send(bus, a, 4, &frame, 10 * duration);
	assert_int_equal(can_bus_run(bus, 10 * duration + 7, 100), 11 * duration);
	assert_int_equal(bus->frames, 3);
	can_bus_run(bus, 11 * duration, 100);
	/* One that comes late, while nobody ran the bus, does not go before those that were due. */
	event_count = 0;
	for (uint32_t i = 0; i < 3; i++)
		can_bus_send(bus, a, i, &frame, 20 * duration);
	can_bus_send(bus, b, 3, &(struct can_bus_frame){.id = 0}, 24 * duration);
	can_bus_run(bus, 26 * duration, 100);
	assert_int_equal(count(SENT, NULL), 4);
	assert_int_equal(events[event_count - 1].tag, 3);
	assert_int_equal(events[4].time_ns, 23 * duration);
	/* A frame that is broken off takes what it has taken. */
	bus->busy_ns = 0;
	can_bus_send(bus, a, 1, &frame, 40 * duration);
	can_bus_run(bus, 40 * duration, 100);
	can_bus_stop(bus, a);
	assert_int_equal(bus->busy_ns, 0);
	end(bus);
	/* The same frames without switching take longer. */
	bus = make(500000, 0);
	a = add(bus, &all_rights);
	can_bus_send(bus, a, 1, &frame, 0);
	assert_true(can_bus_run(bus, 0, 100) > duration);
	end(bus);
}

static void test_load(void **state)
{
	const uint64_t gap_ns = 10000000;
	struct can_bus *bus = make(10000, 0);
	struct can_bus_node *a = add(bus, &all_rights);
	struct can_bus_load load;
	uint64_t now_ns = 0;

	add(bus, &all_rights);
	for (unsigned int i = 0; i < 120; i++, now_ns += gap_ns) {
		can_bus_send(bus, a, i, &(struct can_bus_frame){.id = 0x555}, now_ns);
		can_bus_run(bus, now_ns + gap_ns - 1, 100);
	}
	assert_int_equal(bus->frames, 120);
	load = can_bus_load(bus, now_ns);
	assert_int_equal(load.frames, 100);
	assert_true(load.busy_permille > 0);
	assert_int_equal(load.busy_permille, bus->busy_ns / 120 * 100 / 1000000);
	/* The present period does not count, and those before the last second do no more. */
	assert_int_equal(can_bus_load(bus, now_ns - 1).frames, 100);
	assert_int_equal(can_bus_load(bus, now_ns + 99999999).frames, 100);
	assert_int_equal(can_bus_load(bus, now_ns + 500000000).frames, 50);
	assert_int_equal(can_bus_load(bus, now_ns + 999999999).frames, 10);
	load = can_bus_load(bus, now_ns + 1000000000);
	assert_int_equal(load.frames + load.busy_permille, 0);
	/* A bus that is never idle; error frames take time, too. */
	a->inject = 5;
	now_ns += 2000000000;
	for (unsigned int i = 0; i < 250; i++)
		can_bus_send(bus, a, i, &(struct can_bus_frame){.id = 0x555}, now_ns);
	can_bus_run(bus, now_ns + 1000000000, 1000);
	load = can_bus_load(bus, now_ns + 1000000000);
	assert_true(load.busy_permille > 990);
	assert_true(load.frames > 100 && load.frames < 250);
	end(bus);
}

static void test_what_is_returned(void **state)
{
	struct can_bus *bus = make(500000, 0);
	struct can_bus_node *a = can_bus_add(bus, &all_rights, NULL, 0);

	send(bus, a, 1, 1);
	assert_int_equal(count(RETURNED, a), 1);
	can_bus_start(a);
	send(bus, a, 2, 0x800);
	assert_int_equal(count(RETURNED, a), 2);
	assert_int_equal(a->counts.refused, 1);
	/* More than may wait: one is on the wire. */
	for (uint32_t i = 0; i < CAN_BUS_PENDING_MAX + 11; i++) {
		send(bus, a, i, 1);
		can_bus_run(bus, 0, 10);
	}
	assert_int_equal(count(RETURNED, a), 12);
	event_count = 0;
	can_bus_stop(bus, a);
	assert_int_equal(count(RETURNED, a), CAN_BUS_PENDING_MAX + 1);
	assert_int_equal(can_bus_run(bus, UINT64_MAX - 1, 100), UINT64_MAX);
	assert_int_equal(count(SENT, a), 0);
	/* One that is removed with a frame on the wire gets no answer. */
	can_bus_start(a);
	send(bus, a, 1, 1);
	can_bus_run(bus, 0, 10);
	event_count = 0;
	can_bus_remove(bus, a);
	assert_int_equal(can_bus_run(bus, UINT64_MAX - 1, 100), UINT64_MAX);
	assert_int_equal(event_count, 0);
	end(bus);
	/* A classic bus carries no FD frames. */
	bus = make(0, 0);
	bus->settings.fd = false;
	a = add(bus, &all_rights);
	can_bus_send(bus, a, 1, &(struct can_bus_frame){.flags = CAN_BUS_FD}, 0);
	assert_int_equal(count(RETURNED, a), 1);
	/* No more nodes than there is room for. */
	for (int i = 1; i < CAN_BUS_NODES_MAX; i++)
		add(bus, &all_rights);
	assert_null(can_bus_add(bus, &all_rights, NULL, 0));
	end(bus);
}

static void test_filters(void **state)
{
	static const struct can_bus_rights rights = {
		.send = {2,
			 {{.id = 0x100, .mask = 0x700},
			  {.id = 5, .mask = UINT32_MAX, .extended = true}}},
		.receive = {1, {{.id = 0x200, .mask = 0x7ff}}},
	};
	static const struct {
		uint32_t id;
		uint8_t flags;
		bool sent, received;
	} cases[] = {
		{0x100, 0, true, false},
		{0x1ff, 0, true, false},
		{0x200, 0, false, true},
		{0x201, 0, false, false},
		{5, 0, false, false},
		{5, CAN_BUS_EXTENDED, true, false},
		{0x100, CAN_BUS_EXTENDED, false, false},
		{0x200, CAN_BUS_EXTENDED, false, false},
	};
	struct can_bus *bus = make(0, 0);
	struct can_bus_node *limited = add(bus, &rights), *other = add(bus, &all_rights);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct can_bus_frame frame = {.id = cases[i].id, .flags = cases[i].flags};

		event_count = 0;
		can_bus_send(bus, limited, 1, &frame, 0);
		can_bus_send(bus, other, 1, &frame, 0);
		can_bus_run(bus, 0, 100);
		assert_int_equal(count(SENT, limited), cases[i].sent);
		assert_int_equal(count(RECEIVED, other), cases[i].sent);
		assert_int_equal(count(RECEIVED, limited), cases[i].received);
	}
	end(bus);
}

/* A node that sends all it can, over ten seconds in uneven steps. */
static void test_rate(void **state)
{
	static const struct can_bus_rights rights = {.frames_per_second = 100, .burst = 20};
	struct can_bus *bus = make(0, 0);
	struct can_bus_node *node = add(bus, &rights), *other = add(bus, &all_rights);
	uint64_t now = 0, again;
	unsigned int seed = 9;

	while (now < 10 * UINT64_C(1000000000)) {
		while (node->waiting_count < 50)
			send(bus, node, 1, 1);
		again = can_bus_run(bus, now, 1000);
		assert_int_not_equal(again, UINT64_MAX);
		event_count = 0;
		/* When it says, or now and then in between, or late. */
		now = rand_r(&seed) % 4 ? again : now + (uint64_t)rand_r(&seed) % 30000000;
	}
	assert_in_range(node->counts.sent, 1000, 1021);
	/* It does not keep others from the bus, whatever its identifiers are. */
	send(bus, other, 1, 0x7ff);
	can_bus_run(bus, now, 10);
	assert_int_equal(other->counts.sent, 1);
	/* The numbers do not pass their limits: a day at a high rate, and the largest burst. */
	static const struct can_bus_rights fast = {.frames_per_second = 100000, .burst = 100000};
	static const struct can_bus_rights largest = {.frames_per_second = 100,
						      .burst = UINT32_MAX};
	struct can_bus_node *day = add(bus, &fast), *large = add(bus, &largest);

	for (uint32_t i = 0; i < 200; i++) {
		can_bus_send(bus, day, i, &(struct can_bus_frame){.id = 1},
			     now + UINT64_C(42949680000000));
		can_bus_send(bus, large, i, &(struct can_bus_frame){.id = 1},
			     now + UINT64_C(42949680000000));
	}
	can_bus_run(bus, now + UINT64_C(42949680000000), 1000);
	assert_int_equal(day->counts.sent, 200);
	assert_int_equal(large->counts.sent, 200);
	now += UINT64_C(42949680000000);
	/* After a long silence it has its burst, and no more. */
	now += UINT64_C(1) << 62;
	again = node->counts.sent;
	while (node->waiting_count < 50)
		send(bus, node, 1, 1);
	can_bus_run(bus, now, 1000);
	assert_int_equal(node->counts.sent - again, 20);
	end(bus);
}

static void test_errors_and_bus_off(void **state)
{
	struct can_bus *bus = make(0, 0);
	struct can_bus_node *a = add(bus, &all_rights), *b = add(bus, &all_rights);

	/* One error: sent again, and seen by the others. */
	a->inject = 1;
	send(bus, a, 1, 1);
	can_bus_run(bus, 0, 100);
	assert_int_equal(count(SENT, a), 1);
	assert_int_equal(count(RECEIVED, b), 1);
	assert_int_equal(a->counts.errors, 1);
	assert_int_equal(a->transmit_errors, 7);
	assert_int_equal(b->receive_errors, 0);
	/* The states on the way. */
	a->transmit_errors = 0;
	a->inject = 1000;
	send(bus, a, 2, 1);
	send(bus, a, 3, 2);
	for (unsigned int errors = 1; errors < 32; errors++) {
		can_bus_run(bus, 0, 1);
		assert_int_equal(a->transmit_errors, 8 * errors);
		assert_int_equal(can_bus_state(a), errors < 12 ? CAN_BUS_ACTIVE :
						   errors < 16 ? CAN_BUS_WARNING :
								 CAN_BUS_PASSIVE);
	}
	event_count = 0;
	can_bus_run(bus, 0, 100);
	assert_int_equal(count(OFF, a), 1);
	assert_int_equal(count(RETURNED, a), 2);
	assert_int_equal(events[event_count - 1].what, OFF);
	assert_false(a->started);
	assert_int_equal(can_bus_state(a), CAN_BUS_OFF);
	/* The bus goes on, and so does the node when it starts again. */
	send(bus, b, 1, 1);
	can_bus_run(bus, 0, 100);
	assert_int_equal(count(SENT, b), 1);
	a->inject = 0;
	can_bus_start(a);
	assert_int_equal(can_bus_state(a), CAN_BUS_ACTIVE);
	send(bus, a, 4, 1);
	can_bus_run(bus, 0, 100);
	assert_int_equal(count(SENT, a), 1);
	end(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broadcast),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_what_is_returned),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_errors_and_bus_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

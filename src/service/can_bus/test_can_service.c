// SPDX-License-Identifier: BSD-3-Clause
/*
 * The service of a CAN bus with real channels: several clients in one process, good ones beside
 * those that stop, flood, lie and leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/service_link.h"
#include "service/can_bus/bus.h"
#include "service/can_bus/client.h"
#include "service/can_bus/notation.h"
#include "service/can_bus/options.h"
#include "service/run/service.h"
#include "unit/service_rig.h"

extern const struct service_program service_program_can_bus;

/* More turns than any test needs: a failure ends. */
#define TURNS 200000

static struct service_rig rig;
static struct can_bus_options options;

/* A well-behaved client, and the events it received. */
struct node {
	struct can_bus_client client;
	unsigned int started, stopped, bus_off, sent, not_sent, received;
	uint32_t last_id, last_tag;
	uint8_t last_byte;
};

static void on_started(void *context)
{
	((struct node *)context)->started++;
}

static void on_stopped(void *context)
{
	((struct node *)context)->stopped++;
}

static void on_bus_off(void *context)
{
	((struct node *)context)->bus_off++;
}

static void on_sent(void *context, uint32_t tag, bool success)
{
	struct node *node = context;

	node->last_tag = tag;
	if (success)
		node->sent++;
	else
		node->not_sent++;
}

static void on_received(void *context, const struct can_bus_received *message)
{
	struct node *node = context;

	node->received++;
	node->last_id = message->frame.id;
	node->last_byte = message->frame.data[7];
}

static const struct can_bus_client_ops ops = {on_started, on_stopped, on_bus_off, on_sent,
					      on_received};

static void open_service(const char *config)
{
	static const struct option_list given;

	memset(&options, 0, sizeof(options));
	assert_int_equal(service_rig_open(&rig, &service_program_can_bus, &options, &given, config),
			 0);
}

static void close_service(void)
{
	service_rig_close(&rig);
}

static void join(struct node *node, const char *name)
{
	struct error error;

	memset(node, 0, sizeof(*node));
	can_bus_client_init(&node->client, &ops, node);
	assert_int_equal(can_bus_client_attach(&node->client, service_rig_join(&rig, name), &error),
			 0);
}

static void leave(struct node *node)
{
	can_bus_client_detach(&node->client);
}

/* One turn of the service, then of the client. */
static void turn(struct node *node)
{
	bool unblocked;

	assert_true(event_loop_turn(&rig.service.loop, 0) >= 0);
	if (node)
		assert_true(can_bus_client_poll(&node->client, 1000, &unblocked) >= 0);
	if (node)
		can_bus_client_flush(&node->client);
}

static void run_until(struct node *node, const unsigned int *value, unsigned int least)
{
	for (int i = 0; i < TURNS && *value < least; i++)
		turn(node);
	assert_int_equal(*value, least);
}

static void begin(struct node *node, const char *name)
{
	join(node, name);
	can_bus_client_start(&node->client);
	run_until(node, &node->started, 1);
}

static bool send_id(struct node *node, uint32_t id)
{
	const struct can_bus_frame frame = {.id = id,
					    .length = 2,
					    .data = {1, 2, 3, 4, 5, 6, 7, 8}};

	return can_bus_client_send(&node->client, id, &frame);
}

/* Sends @count frames one after another, each when the one before is over. */
static void send_in_turn(struct node *node, unsigned int count)
{
	unsigned int before = node->sent;

	for (unsigned int i = 0; i < count; i++) {
		assert_true(send_id(node, 0x700));
		can_bus_client_flush(&node->client);
		run_until(node, &node->sent, before + i + 1);
	}
	assert_int_equal(node->not_sent, 0);
}

/* Takes what has come for a client that is at rest. */
static void take(struct node *node)
{
	bool unblocked;

	while (can_bus_client_poll(&node->client, 1000, &unblocked) > 0)
		;
}

static void test_broadcast(void **state)
{
	struct node a, b, c;

	open_service(NULL);
	begin(&a, "a");
	begin(&b, "b");
	join(&c, "c");
	send_in_turn(&a, 10);
	take(&b);
	take(&c);
	assert_int_equal(b.received, 10);
	assert_int_equal(b.last_id, 0x700);
	/* What is behind the data is nobody's business. */
	assert_int_equal(b.last_byte, 0);
	assert_int_equal(a.received, 0);
	/* It has not started. */
	assert_int_equal(c.received, 0);
	can_bus_client_stop(&b.client);
	run_until(&b, &b.stopped, 1);
	send_in_turn(&a, 1);
	take(&b);
	assert_int_equal(b.received, 10);
	leave(&a);
	leave(&b);
	leave(&c);
	close_service();
}

/* What belongs to a participation that has ended is nobody's business any more. */
static void test_participations(void **state)
{
	struct can_bus_send send = {.frame = {.id = 1}};
	struct node a, b;

	open_service(NULL);
	begin(&a, "a");
	begin(&b, "b");
	/* Of the one before. */
	send.number = a.client.participation - 1;
	assert_int_equal(channel_send(&a.client.channel, CAN_BUS_SEND, &send, sizeof(send)), 0);
	send_in_turn(&a, 1);
	take(&b);
	assert_int_equal(b.received, 1);
	assert_int_equal(a.not_sent, 0);
	/* A client that leaves gets no answer; then it starts again. */
	for (int i = 0; i < 20; i++)
		assert_true(send_id(&a, 5));
	can_bus_client_leave(&a.client);
	can_bus_client_flush(&a.client);
	for (int i = 0; i < 10; i++)
		turn(&a);
	assert_int_equal(a.sent + a.not_sent, 1);
	assert_int_equal(a.stopped, 0);
	assert_false(send_id(&a, 5));
	can_bus_client_start(&a.client);
	run_until(&a, &a.started, 2);
	send_in_turn(&a, 3);
	leave(&a);
	leave(&b);
	close_service();
}

/* A client that does not read loses frames, and the others none. */
static void test_client_that_stops(void **state)
{
	struct node a, b, lazy;
	const struct can_bus_counts *counts;

	open_service(NULL);
	begin(&a, "a");
	begin(&b, "b");
	begin(&lazy, "lazy");
	for (unsigned int i = 0; i < 60; i++) {
		send_in_turn(&a, 100);
		take(&b);
	}
	assert_int_equal(b.received, 6000);
	counts = &((struct can_bus_node **)service_find_client(&rig.service, "lazy")->context)[0]
			  ->counts;
	assert_true(counts->lost > 0);
	assert_int_equal(counts->lost + counts->received, 6000);
	/* It reads again, and is a client like the others. */
	take(&lazy);
	assert_int_equal(lazy.received, counts->received);
	send_in_turn(&a, 1);
	take(&lazy);
	assert_int_equal(lazy.received, counts->received);
	send_in_turn(&lazy, 1);
	leave(&a);
	leave(&b);
	leave(&lazy);
	close_service();
}

/* One that sends as much as its channel holds, with the highest priority, and has a limit. */
static void test_client_that_floods(void **state)
{
	struct node a, b, flood;

	open_service("{\"clients\": {\"a\": {}, \"b\": {},"
		     " \"flood\": {\"frames-per-second\": 10, \"burst\": 5}}}");
	begin(&a, "a");
	begin(&b, "b");
	begin(&flood, "flood");
	for (unsigned int i = 0; i < 200; i++) {
		while (send_id(&flood, 0))
			;
		can_bus_client_flush(&flood.client);
		send_in_turn(&a, 1);
		take(&b);
		take(&flood);
	}
	/* Those of the flooder that were too many came back. */
	assert_true(b.received >= 200);
	assert_true(flood.not_sent > 1000);
	assert_true(flood.sent >= 5);
	assert_int_equal(b.received, 200 + flood.sent);
	leave(&a);
	leave(&b);
	leave(&flood);
	close_service();
}

/* The service is woken up for nothing, without end. */
static void test_client_that_wakes(void **state)
{
	struct node a, b, hostile;
	struct service_client *client;

	open_service(NULL);
	begin(&a, "a");
	begin(&b, "b");
	begin(&hostile, "hostile");
	client = service_find_client(&rig.service, "hostile");
	for (unsigned int i = 0; i < 100; i++) {
		while (send(hostile.client.channel.socket, "x", 1, MSG_DONTWAIT) == 1)
			;
		send_in_turn(&a, 1);
	}
	take(&b);
	assert_int_equal(b.received, 100);
	assert_true(client->channel.counts.wakes_received >= SERVICE_VAIN_WAKES);
	for (int i = 0; i < TURNS && !client->paused; i++)
		turn(NULL);
	assert_true(client->paused);
	/* It is not for ever. */
	for (int i = 0; i < 100 && client->paused; i++)
		event_loop_turn(&rig.service.loop, SERVICE_PAUSE_MS);
	assert_false(client->paused);
	leave(&a);
	leave(&b);
	leave(&hostile);
	close_service();
}

/* One that is always behind wakes the service up for room, and is not blamed. */
static void test_client_that_is_slow(void **state)
{
	struct node a, slow;
	const struct service_client *client;

	open_service(NULL);
	begin(&a, "a");
	begin(&slow, "slow");
	client = service_find_client(&rig.service, "slow");
	send_in_turn(&a, CAN_BUS_SLOTS);
	for (unsigned int i = 0;
	     i < TURNS && client->channel.counts.wakes_received <= 4 * SERVICE_VAIN_WAKES; i++) {
		bool unblocked;

		/* The service falls asleep. */
		event_loop_turn(&rig.service.loop, 1);
		can_bus_client_poll(&slow.client, 1, &unblocked);
		send_in_turn(&a, 1);
		assert_false(client->paused);
	}
	assert_true(client->channel.counts.wakes_received > 4 * SERVICE_VAIN_WAKES);
	leave(&a);
	leave(&slow);
	close_service();
}

/* The head of the ring to the service, as docs/channel.md has it. */
static uint32_t *head_of(struct node *node)
{
	return (uint32_t *)(node->client.channel.memory + 192);
}

static void lie_about_head(struct node *node)
{
	*head_of(node) += 100000;
}

static void lie_about_tail(struct node *node)
{
	*(uint32_t *)(node->client.channel.memory + 256) += 100000;
}

static void send_unknown_kind(struct node *node)
{
	channel_send(&node->client.channel, 9, &(struct can_bus_participation){1}, 4);
	channel_publish(&node->client.channel);
}

static void send_short(struct node *node)
{
	channel_send(&node->client.channel, CAN_BUS_SEND, "abc", 3);
	channel_publish(&node->client.channel);
}

static void send_long(struct node *node)
{
	static const uint8_t content[3000];

	channel_send(&node->client.channel, CAN_BUS_START, content, sizeof(content));
	channel_publish(&node->client.channel);
}

/* In mid-message: a header whose content never comes. */
static void send_half(struct node *node)
{
	struct channel_span span;

	channel_reserve(&node->client.channel, 1000, &span);
	channel_commit(&node->client.channel, CAN_BUS_SEND);
	*head_of(node) += 1;
}

static void hang_up(struct node *node)
{
	leave(node);
}

static void test_clients_that_lie(void **state)
{
	static void (*const lies[])(struct node * node) = {
		lie_about_head, lie_about_tail, send_unknown_kind, send_short,
		send_long,	send_half,	hang_up,
	};
	struct node a, b, hostile;

	open_service(NULL);
	begin(&a, "a");
	begin(&b, "b");
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		begin(&hostile, "hostile");
		lies[i](&hostile);
		/* A lie about the tail is seen when the room is used. */
		for (int k = 0; k < 10000 && service_find_client(&rig.service, "hostile"); k++) {
			send_in_turn(&a, 1);
			take(&b);
		}
		send_in_turn(&a, 20);
		take(&b);
		assert_int_equal(b.received, a.sent);
		assert_null(service_find_client(&rig.service, "hostile"));
		leave(&hostile);
	}
	leave(&a);
	leave(&b);
	close_service();
}

/* Frames that do not exist, and that are not permitted, come back. */
static void test_frames_that_are_refused(void **state)
{
	static const struct can_bus_frame wrong[] = {
		{.id = 0x800},
		{.id = 0x20000000, .flags = CAN_BUS_EXTENDED},
		{.id = 1, .length = 9},
		{.id = 1, .length = 255, .flags = CAN_BUS_FD},
		{.id = 1, .length = 13, .flags = CAN_BUS_FD},
		{.id = 1, .flags = CAN_BUS_FD | CAN_BUS_RTR},
		{.id = 1, .flags = 8},
		{.id = 1, .flags = CAN_BUS_FD}, /* the bus is classic */
		{.id = 0x200},			/* not permitted */
	};
	const unsigned int count = sizeof(wrong) / sizeof(wrong[0]);
	struct node a, b;

	open_service(
		"{\"bus\": {\"classic\": true},"
		" \"clients\": {\"a\": {\"send\": [\"100:700\", \"001\", \"700\"]}, \"b\": {}}}");
	begin(&a, "a");
	begin(&b, "b");
	for (unsigned int i = 0; i < count; i++)
		assert_true(can_bus_client_send(&a.client, i, &wrong[i]));
	can_bus_client_flush(&a.client);
	run_until(&a, &a.not_sent, count);
	assert_true(send_id(&a, 0x1ff));
	can_bus_client_flush(&a.client);
	run_until(&a, &a.sent, 1);
	take(&b);
	assert_int_equal(b.received, 1);
	leave(&a);
	leave(&b);
	close_service();
}

static void test_who_may_join(void **state)
{
	struct error error;
	struct node a, again;
	int pair[2];
	bool unblocked;

	open_service("{\"clients\": {\"a\": {}}}");
	assert_int_equal(service_rig_join(&rig, "b"), -EACCES);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(service_add_client(&rig.service, "a", pair[0], &error), -EINVAL);
	close(pair[1]);
	/* The second one of a name takes the place of the first. */
	begin(&a, "a");
	begin(&again, "a");
	assert_int_equal(can_bus_client_woken(&a.client), -EPIPE);
	send_in_turn(&again, 1);
	assert_int_equal(can_bus_client_poll(&a.client, 10, &unblocked), 0);
	leave(&a);
	leave(&again);
	close_service();

	open_service(NULL);
	for (int i = 0; i <= SERVICE_CLIENTS_MAX; i++) {
		char name[16];
		int fd;

		snprintf(name, sizeof(name), "c%d", i);
		fd = service_rig_join(&rig, name);
		if (i < SERVICE_CLIENTS_MAX)
			assert_true(fd >= 0);
		else
			assert_int_equal(fd, -EUSERS);
	}
	close_service();
}

/* Through the service's own socket; an error is injected, and a client goes off the bus. */
static void test_bus_off(void **state)
{
	struct node a, b;
	struct can_bus_node **node;

	open_service(NULL);
	begin(&a, "a");
	begin(&b, "b");
	node = service_find_client(&rig.service, "a")->context;
	(*node)->inject = 3;
	send_in_turn(&a, 1);
	assert_int_equal((*node)->counts.errors, 3);
	(*node)->inject = 32;
	assert_true(send_id(&a, 0x700));
	can_bus_client_flush(&a.client);
	run_until(&a, &a.bus_off, 1);
	assert_int_equal(a.not_sent, 1);
	assert_false(send_id(&a, 0x700));
	/* The bus is as it was for the others. */
	send_in_turn(&b, 5);
	can_bus_client_start(&a.client);
	run_until(&a, &a.started, 2);
	a.not_sent = 0;
	send_in_turn(&a, 1);
	leave(&a);
	leave(&b);
	close_service();
}

/* Frames take time: the bus carries them in the order of their identifiers. */
static void test_time(void **state)
{
	struct node a, b;

	open_service("{\"bus\": {\"bit-rate\": 100000}}");
	begin(&a, "a");
	begin(&b, "b");
	/* The first one is on the wire at once. */
	for (uint32_t id = 20; id > 0; id--)
		assert_true(send_id(&a, id));
	can_bus_client_flush(&a.client);
	/* The loop sleeps until each of them is over. */
	for (int i = 0; i < TURNS && a.sent < 20; i++) {
		bool unblocked;

		event_loop_turn(&rig.service.loop, 1000);
		can_bus_client_poll(&a.client, 1000, &unblocked);
	}
	assert_int_equal(a.sent, 20);
	take(&b);
	assert_int_equal(b.received, 20);
	assert_true(b.last_id > 1);
	leave(&a);
	leave(&b);
	close_service();
}

static void test_log(void **state)
{
	char line[200], text[300];
	struct can_notation_line read;
	uint64_t before_ns = 0;
	struct stat capture;
	struct node a;
	FILE *file;

	open_service("{\"bus\": {\"log\": \"bus.log\", \"pcap\": \"bus.pcapng\","
		     " \"name\": \"vehicle\"}}");
	begin(&a, "a");
	send_in_turn(&a, 50);
	snprintf(text, sizeof(text), "%s", scratch_path(&rig.scratch, "bus.log"));
	file = fopen(text, "r");
	assert_non_null(file);
	/* Each was written when the bus was idle. */
	for (int i = 0; i < 50; i++) {
		assert_non_null(fgets(line, sizeof(line), file));
		assert_non_null(strstr(line, ") vehicle 700#0102\n"));
		assert_true(can_notation_parse_line(line, strlen(line) - 1, &read));
		assert_int_equal(read.frame.id, 0x700);
		assert_true(read.time_ns >= before_ns);
		before_ns = read.time_ns;
	}
	assert_null(fgets(line, sizeof(line), file));
	fclose(file);
	/* The section, the interface "vehicle", and packets of 8 and 2 bytes, padded to 12. */
	assert_int_equal(stat(scratch_path(&rig.scratch, "bus.pcapng"), &capture), 0);
	assert_int_equal(capture.st_size, 28 + 20 + 12 + 8 + 4 + 50 * (32 + 12));
	leave(&a);
	close_service();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broadcast),
		cmocka_unit_test(test_participations),
		cmocka_unit_test(test_client_that_stops),
		cmocka_unit_test(test_client_that_floods),
		cmocka_unit_test(test_client_that_wakes),
		cmocka_unit_test(test_client_that_is_slow),
		cmocka_unit_test(test_clients_that_lie),
		cmocka_unit_test(test_frames_that_are_refused),
		cmocka_unit_test(test_who_may_join),
		cmocka_unit_test(test_bus_off),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

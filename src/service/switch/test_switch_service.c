// SPDX-License-Identifier: BSD-3-Clause
/*
 * The service of a switch with real channels: several clients in one process, good ones beside
 * those that stop, flood, lie and leave; and an uplink.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/big_endian.h"
#include "host/service_link.h"
#include "service/run/service.h"
#include "service/switch/frame.h"
#include "service/switch/options.h"
#include "unit/service_rig.h"
#include "unit/tap_interface.h"

extern const struct service_program service_program_switch;

/* More turns than any test needs: a failure ends. */
#define TURNS	  200000
#define TAP	  "test0"
#define BROADCAST UINT64_C(0xffffffffffff)
#define MESSAGE	  (SWITCH_HEADER + SWITCH_FRAME_MAX)

static struct service_rig rig;
static struct switch_options options;
static bool has_tap;

/* A client, and the last message that it got. */
struct node {
	struct channel channel;
	unsigned int got;
	uint32_t length;
	uint8_t message[MESSAGE];
};

static int open_service(const char *config, const char *uplink)
{
	static const struct option_list none;
	static char *names[] = {(char *)(uintptr_t) "uplink"};
	const struct option_list given = {names, 1};

	options = (struct switch_options){.uplink = uplink ? strdup(uplink) : NULL};
	return service_rig_open(&rig, &service_program_switch, &options, uplink ? &given : &none,
				config);
}

static void start(const char *config)
{
	assert_int_equal(open_service(config, NULL), 0);
}

static void stop(void)
{
	service_rig_close(&rig);
}

static struct node *join(const char *name)
{
	struct node *node = calloc(1, sizeof(*node));
	struct error error;

	assert_int_equal(channel_accept(&node->channel, service_rig_join(&rig, name), &error), 0);
	return node;
}

static void leave(struct node *node)
{
	channel_close(&node->channel);
	free(node);
}

static void turn(void)
{
	assert_true(event_loop_turn(&rig.service.loop, 0) >= 0);
}

static void take(struct node *node)
{
	struct channel_message message;

	while (channel_receive(&node->channel, &message) > 0) {
		assert_int_equal(message.kind, SWITCH_FRAME);
		assert_true(message.length <= MESSAGE);
		channel_span_read(&message.span, 0, node->message, message.length);
		node->length = message.length;
		node->got++;
		channel_consume(&node->channel);
	}
	channel_release(&node->channel);
}

static void put_address(uint8_t *bytes, uint64_t address)
{
	for (int i = 0; i < ETH_ALEN; i++)
		bytes[i] = (uint8_t)(address >> 8 * (5 - i));
}

static uint64_t host(unsigned int number)
{
	return UINT64_C(0x020000000000) | number;
}

/* Returns false when there is no room. */
static bool send_frame(struct node *node, unsigned int from, uint64_t to, uint32_t payload)
{
	static uint8_t message[MESSAGE];
	uint8_t *frame = message + SWITCH_HEADER;

	memset(message, 0, SWITCH_HEADER);
	put_address(frame, to);
	put_address(frame + ETH_ALEN, host(from));
	big_endian_put16(frame + 12, 0x88b5);
	for (uint32_t i = 0; i < payload; i++)
		frame[ETH_HLEN + i] = (uint8_t)(i * 5);
	if (channel_send(&node->channel, SWITCH_FRAME, message,
			 SWITCH_HEADER + ETH_HLEN + payload) < 0)
		return false;
	channel_publish(&node->channel);
	return true;
}

static void run_until(struct node *node, unsigned int least)
{
	for (int i = 0; i < TURNS && node->got < least; i++) {
		turn();
		take(node);
	}
	assert_int_equal(node->got, least);
}

/* Sends @count frames one after another, each when the one before has come. */
static void send_in_turn(struct node *from, struct node *to, unsigned int count)
{
	unsigned int before = to->got;

	for (unsigned int i = 0; i < count; i++) {
		assert_true(send_frame(from, 1, host(2), 50));
		run_until(to, before + i + 1);
	}
}

/* Two clients that know each other. */
static void introduce(struct node *a, struct node *b)
{
	assert_true(send_frame(a, 1, BROADCAST, 50));
	run_until(b, 1);
	assert_true(send_frame(b, 2, host(1), 50));
	run_until(a, 1);
	a->got = b->got = 0;
}

static void test_frames(void **state)
{
	struct switch_offloads offloads = {SWITCH_CHECKSUM};
	struct virtio_net_hdr_v1 header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					   .csum_start = htole16(20),
					   .csum_offset = htole16(6)};
	struct node *a, *b;
	uint8_t message[SWITCH_HEADER + 60] = {0};

	start(NULL);
	a = join("a");
	b = join("b");
	introduce(a, b);
	/* The longest is whole. */
	assert_true(send_frame(a, 1, host(2), 65535));
	run_until(b, 1);
	assert_int_equal(b->length, SWITCH_HEADER + ETH_HLEN + 65535);
	for (uint32_t i = 0; i < 65535; i++)
		assert_int_equal(b->message[SWITCH_HEADER + ETH_HLEN + i], (uint8_t)(i * 5));
	/* A checksum that is left to the receiver, which does not take it, and then does. */
	memcpy(message, &header, sizeof(header));
	put_address(message + SWITCH_HEADER, host(2));
	put_address(message + SWITCH_HEADER + ETH_ALEN, host(1));
	channel_send(&a->channel, SWITCH_FRAME, message, sizeof(message));
	channel_publish(&a->channel);
	run_until(b, 2);
	assert_int_equal(b->message[0], 0);
	assert_int_equal(big_endian_get16(b->message + SWITCH_HEADER + 26), 0xffff);
	channel_send(&b->channel, SWITCH_OFFLOADS, &offloads, sizeof(offloads));
	channel_publish(&b->channel);
	turn();
	channel_send(&a->channel, SWITCH_FRAME, message, sizeof(message));
	channel_publish(&a->channel);
	run_until(b, 3);
	assert_memory_equal(b->message, message, sizeof(message));
	leave(a);
	leave(b);
	stop();
}

/* A client that does not read loses frames, and the others none. It still may send. */
static void test_client_that_stops(void **state)
{
	struct node *a, *b, *lazy;

	start(NULL);
	a = join("a");
	b = join("b");
	lazy = join("lazy");
	introduce(a, b);
	for (unsigned int i = 0; i < 5000; i++) {
		assert_true(send_frame(a, 1, BROADCAST, 100));
		run_until(b, i + 1);
	}
	assert_true(send_frame(lazy, 3, host(2), 50));
	run_until(b, 5001);
	/* What waited for it comes when it reads, and then it is a client like the others. */
	for (int i = 0; i < 100; i++) {
		turn();
		take(lazy);
	}
	assert_in_range(lazy->got, 1000, 4999);
	lazy->got = 0;
	assert_true(send_frame(a, 1, BROADCAST, 100));
	run_until(lazy, 1);
	leave(a);
	leave(b);
	leave(lazy);
	stop();
}

/* One that sends as much as its channel holds to the receiver of another, which gets all of its. */
static void test_client_that_floods(void **state)
{
	struct node *a, *b, *flood;
	struct channel_message message;
	unsigned int from_a = 0, from_flood = 0;

	start(NULL);
	a = join("a");
	b = join("b");
	flood = join("flood");
	introduce(a, b);
	for (unsigned int i = 0; i < 2000; i++) {
		while (send_frame(flood, 3, host(2), 1000))
			;
		assert_true(send_frame(a, 1, host(2), 50));
		turn();
		/* It takes less than the flood brings. */
		for (int k = 0; k < 4 && channel_receive(&b->channel, &message) > 0; k++) {
			if (message.length == SWITCH_HEADER + ETH_HLEN + 50)
				from_a++;
			else
				from_flood++;
			channel_consume(&b->channel);
		}
		channel_release(&b->channel);
	}
	b->got = 0;
	for (int i = 0; i < TURNS && from_a < 2000; i++) {
		turn();
		while (channel_receive(&b->channel, &message) > 0) {
			from_a += message.length == SWITCH_HEADER + ETH_HLEN + 50;
			channel_consume(&b->channel);
		}
		channel_release(&b->channel);
	}
	assert_int_equal(from_a, 2000);
	assert_true(from_flood > 1000);
	leave(a);
	leave(b);
	leave(flood);
	stop();
}

/* The service is woken up for nothing, without end. */
static void test_client_that_wakes(void **state)
{
	struct node *a, *b, *hostile;
	struct service_client *client;

	start(NULL);
	a = join("a");
	b = join("b");
	hostile = join("hostile");
	introduce(a, b);
	client = service_find_client(&rig.service, "hostile");
	for (unsigned int i = 0; i < 100; i++) {
		while (send(hostile->channel.socket, "x", 1, MSG_DONTWAIT) == 1)
			;
		send_in_turn(a, b, 1);
	}
	for (int i = 0; i < TURNS && !client->paused; i++)
		turn();
	assert_true(client->paused);
	leave(a);
	leave(b);
	leave(hostile);
	stop();
}

/* One that is woken for room, again and again, is not one that wakes for nothing. */
static void test_client_that_only_reads(void **state)
{
	struct node *a, *b;
	struct service_client *client;
	struct channel_message message;

	start(NULL);
	a = join("a");
	b = join("b");
	introduce(a, b);
	client = service_find_client(&rig.service, "b");
	for (unsigned int i = 0; i < 1000; i++) {
		while (send_frame(a, 1, host(2), 1000))
			;
		for (int k = 0; k < 10; k++)
			turn();
		assert_true(client->waits_for_room);
		for (int k = 0; k < 20; k++) {
			assert_int_equal(channel_receive(&b->channel, &message), 1);
			channel_consume(&b->channel);
		}
		channel_release(&b->channel);
		turn();
		assert_false(client->paused);
	}
	assert_true(client->channel.counts.wakes_received > SERVICE_VAIN_WAKES);
	leave(a);
	leave(b);
	stop();
}

/* The head of the ring to the service, and the tail of the other, as docs/channel.md has them. */
static void lie_about_head(struct node *node)
{
	*(uint32_t *)(node->channel.memory + 192) += 100000;
}

static void lie_about_tail(struct node *node)
{
	*(uint32_t *)(node->channel.memory + 256) += 100000;
}

static void send_unknown_kind(struct node *node)
{
	channel_send(&node->channel, 9, "abcd", 4);
	channel_publish(&node->channel);
}

static void send_short(struct node *node)
{
	channel_send(&node->channel, SWITCH_FRAME, "abc", 3);
	channel_publish(&node->channel);
}

static void send_long(struct node *node)
{
	static const uint8_t content[MESSAGE + 1];

	channel_send(&node->channel, SWITCH_FRAME, content, sizeof(content));
	channel_publish(&node->channel);
}

static void send_long_offloads(struct node *node)
{
	channel_send(&node->channel, SWITCH_OFFLOADS, "abcdefgh", 8);
	channel_publish(&node->channel);
}

/* A header whose content never comes. */
static void send_half(struct node *node)
{
	struct channel_span span;

	channel_reserve(&node->channel, 1000, &span);
	channel_commit(&node->channel, SWITCH_FRAME);
	*(uint32_t *)(node->channel.memory + 192) += 1;
}

static void hang_up(struct node *node)
{
	channel_close(&node->channel);
}

static void test_clients_that_lie(void **state)
{
	static void (*const lies[])(struct node * node) = {
		lie_about_head, lie_about_tail,	    send_unknown_kind, send_short,
		send_long,	send_long_offloads, send_half,	       hang_up,
	};
	struct node *a, *b, *hostile;

	start(NULL);
	a = join("a");
	b = join("b");
	introduce(a, b);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		hostile = join("hostile");
		lies[i](hostile);
		/* A lie about the tail is seen when the room is used. */
		for (int k = 0; k < 20000 && service_find_client(&rig.service, "hostile"); k++) {
			assert_true(send_frame(a, 1, BROADCAST, 50));
			run_until(b, b->got + 1);
		}
		assert_null(service_find_client(&rig.service, "hostile"));
		send_in_turn(a, b, 20);
		leave(hostile);
	}
	leave(a);
	leave(b);
	stop();
}

static void test_configuration(void **state)
{
	struct node *a, *b, *c;
	unsigned int before;

	start("{\"clients\": {"
	      " \"a\": {\"to\": [\"b\"], \"addresses\": [\"02:00:00:00:00:01\"]},"
	      " \"b\": {\"to\": [\"*\"]}, \"c\": {}}}");
	assert_int_equal(service_rig_join(&rig, "d"), -EACCES);
	a = join("a");
	b = join("b");
	c = join("c");
	introduce(a, b);
	/* b may send to all, a to b alone, and c to nobody. */
	assert_true(send_frame(b, 2, BROADCAST, 50));
	run_until(c, 1);
	run_until(a, 1);
	assert_true(send_frame(a, 1, BROADCAST, 50));
	assert_true(send_frame(c, 3, BROADCAST, 50));
	run_until(b, 1);
	/* Not its own address, and the other way round. */
	before = b->got;
	assert_true(send_frame(a, 7, BROADCAST, 50));
	assert_true(send_frame(b, 1, BROADCAST, 50));
	for (int i = 0; i < 10; i++)
		turn();
	take(a);
	take(b);
	take(c);
	assert_int_equal(b->got, before);
	assert_int_equal(c->got, 1);
	assert_int_equal(a->got, 1);
	leave(a);
	leave(b);
	leave(c);
	stop();
}

static void expect_refused(const char *config)
{
	assert_int_equal(open_service(config, NULL), -EINVAL);
	stop();
}

static void test_configuration_that_is_refused(void **state)
{
	expect_refused("{\"clients\": {\"a\": {\"addresses\": [\"02:00:00:00:00\"]}}}");
	expect_refused("{\"clients\": {\"a\": {\"addresses\": [\"01:00:00:00:00:01\"]}}}");
	expect_refused("{\"clients\": {\"a\": {\"addresses\": [\"02:00:00:00:00:01\"]},"
		       " \"b\": {\"addresses\": [\"02:00:00:00:00:01\"]}}}");
	expect_refused("{\"clients\": {\"a\": {\"trunk\": [\"5-3\"]}}}");
	expect_refused("{\"clients\": {\"a\": {\"trunk\": [\"0\"]}}}");
	expect_refused("{\"clients\": {\"a\": {\"trunk\": [\"4095\"]}}}");
	expect_refused("{\"clients\": {\"a\": {\"trunk\": [\"1-\"]}}}");
	expect_refused("{\"clients\": {\"a\": {\"priority\": 5, \"priority-max\": 4}}}");
	expect_refused("{\"switch\": {\"uplink\": \"no-such-tap\"}}");
}

/* Frames of a client that has a limit wait in its channel, and the service does not spin. */
static void test_limit(void **state)
{
	struct node *a, *b;
	uint64_t sleeps;

	start("{\"clients\": {\"a\": {\"to\": [\"*\"], \"frames-per-second\": 50},"
	      " \"b\": {\"to\": [\"*\"]}}}");
	a = join("a");
	b = join("b");
	for (int i = 0; i < 10; i++)
		assert_true(send_frame(a, 1, BROADCAST, 50));
	for (int i = 0; i < 3; i++)
		turn();
	take(b);
	assert_int_equal(b->got, 1);
	sleeps = rig.service.loop.sleeps;
	for (int i = 0; i < TURNS && b->got < 10; i++) {
		assert_true(event_loop_turn(&rig.service.loop, 1000) >= 0);
		take(b);
	}
	assert_int_equal(b->got, 10);
	/* It slept in between; the last one has come when its turn was. */
	assert_true(rig.service.loop.sleeps > sleeps);
	leave(a);
	leave(b);
	stop();
}

/* Each frame is in the capture once, whoever gets it. */
static void test_capture(void **state)
{
	const size_t descriptions = 28 + 2 * (20 + 8 + 8 + 4), packets = 100 * (32 + 64);
	struct node *a, *b;
	uint8_t bytes[64];
	struct stat status;
	FILE *file;

	start("{\"switch\": {\"pcap\": \"sw.pcapng\"}}");
	a = join("a");
	b = join("b");
	for (unsigned int i = 1; i <= 100; i++) {
		assert_true(send_frame(a, 1, BROADCAST, 50));
		run_until(b, i);
	}
	turn();
	file = fopen(scratch_path(&rig.scratch, "sw.pcapng"), "r");
	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &status), 0);
	assert_int_equal(status.st_size, descriptions + packets);
	/* The last one, in front of the length at its end. */
	assert_int_equal(fseek(file, -68, SEEK_END), 0);
	assert_int_equal(fread(bytes, sizeof(bytes), 1, file), 1);
	assert_memory_equal(bytes, b->message + SWITCH_HEADER, sizeof(bytes));
	fclose(file);
	leave(a);
	leave(b);
	stop();
}

static void test_uplink(void **state)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET};
	uint8_t frame[60];
	struct node *a, *b;
	int outside;

	if (!has_tap)
		skip();
	assert_true(tap_interface_make(TAP, false));
	assert_int_equal(open_service(NULL, TAP), 0);
	assert_int_equal(service_rig_join(&rig, "uplink"), -EADDRINUSE);
	tap_interface_bring_up(TAP);
	a = join("a");
	b = join("b");
	address.sll_ifindex = (int)if_nametoindex(TAP);
	address.sll_protocol = htobe16(0x88b5);
	outside = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htobe16(0x88b5));
	assert_true(outside >= 0);
	assert_int_equal(bind(outside, (struct sockaddr *)&address, sizeof(address)), 0);
	/* Out of the switch. */
	assert_true(send_frame(a, 1, BROADCAST, 46));
	run_until(b, 1);
	assert_int_equal(recv(outside, frame, sizeof(frame), 0), sizeof(frame));
	assert_int_equal(switch_address(frame + ETH_ALEN), host(1));
	/* Into it, to one client. */
	put_address(frame, host(1));
	put_address(frame + ETH_ALEN, host(9));
	assert_int_equal(send(outside, frame, sizeof(frame), 0), sizeof(frame));
	run_until(a, 1);
	assert_int_equal(a->length, SWITCH_HEADER + sizeof(frame));
	assert_memory_equal(a->message + SWITCH_HEADER, frame, sizeof(frame));
	take(b);
	assert_int_equal(b->got, 1);
	/* The interface is deleted: the clients have each other. */
	tap_interface_delete(TAP);
	a->got = b->got = 0;
	introduce(a, b);
	for (int i = 0; i < 10; i++)
		turn();
	send_in_turn(a, b, 10);
	close(outside);
	leave(a);
	leave(b);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_client_that_stops),
		cmocka_unit_test(test_client_that_floods),
		cmocka_unit_test(test_client_that_wakes),
		cmocka_unit_test(test_client_that_only_reads),
		cmocka_unit_test(test_clients_that_lie),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_configuration_that_is_refused),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_capture),
		cmocka_unit_test(test_uplink),
	};

	has_tap = tap_interface_enter_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Names in the user-mode network: a guest made of a few frames asks the network's name server, and
 * servers of a host answer, while its resolv.conf changes. All in a network namespace.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/big_endian.h"
#include "unit/capture.h"
#include "device/net/user/user_dns.h"
#include "device/net/user/test_fake_dns.h"
#include "device/net/test_net_namespace.h"
#include "unit/scratch.h"
#include "device/net/user/test_user_net_rig.h"

#define NAME_SERVER "10.0.2.3"
#define GUEST_PORT  4000
#define SERVERS	    3

static const uint8_t server_mac[ETH_ALEN] = {0x52, 0x55, 10, 0, 2, 3};
static bool isolated;

struct fixture {
	struct scratch scratch;
	struct user_net_rig *rig;
	struct fake_dns servers[SERVERS]; /* 127.0.0.1, 127.0.0.2 and ::1 */
	uint16_t id;			  /* of the last question */
	uint8_t question[512];
	size_t length;
};

static int enter_namespace(void **state)
{
	(void)state;
	isolated = net_namespace_enter();
	return 0;
}

/* Replaces resolv.conf by another file. */
static void replace_servers(struct fixture *f, const char *text)
{
	scratch_write(&f->scratch, "new", text, strlen(text));
	assert_int_equal(rename(scratch_path(&f->scratch, "new"),
				scratch_path(&f->scratch, "resolv.conf")),
			 0);
}

static int set_up(void **state)
{
	static const char *const addresses[SERVERS] = {"127.0.0.1", "127.0.0.2", "::1"};
	struct fixture *f = calloc(1, sizeof(*f));
	struct user_net_settings settings = {.subnet = subnet_default(0)};
	static char path[256];

	assert_non_null(f);
	*state = f;
	if (!isolated)
		return 0;
	scratch_make(&f->scratch);
	replace_servers(f, "nameserver 127.0.0.1\n");
	snprintf(path, sizeof(path), "%s", scratch_path(&f->scratch, "resolv.conf"));
	settings.name_servers = path;
	f->rig = user_net_rig_start_with(&settings);
	for (uint8_t i = 0; i < SERVERS; i++)
		fake_dns_start(&f->servers[i], &f->rig->loop, addresses[i], 53, i + 1);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->rig) {
		for (size_t i = 0; i < SERVERS; i++)
			fake_dns_stop(&f->servers[i]);
		user_net_rig_stop(f->rig);
		scratch_remove(&f->scratch);
	}
	free(f);
	return 0;
}

static void send_question(struct fixture *f, const char *name)
{
	struct user_net_packet packet = {0};
	size_t length;

	f->length = fake_dns_question(f->question, name, ++f->id);
	length = sizeof(packet.udp) + f->length;
	memcpy(packet.data, f->question, f->length);
	packet.udp.uh_sport = htons(GUEST_PORT);
	packet.udp.uh_dport = htons(53);
	packet.udp.uh_ulen = htons((uint16_t)length);
	user_net_rig_send(f->rig, &packet,
			  user_net_rig_wrap(&packet, server_mac, IPPROTO_UDP, USER_NET_GUEST,
					    NAME_SERVER, length));
}

/* Asks, and waits for the answer. Returns the mark of the server that it is from. */
static int ask(struct fixture *f, const char *name)
{
	const struct user_net_packet *answer = user_net_rig_received(f->rig);
	size_t length;

	send_question(f, name);
	user_net_rig_wait(f->rig);
	assert_memory_equal(answer->ethernet.ether_dhost, user_net_mac, ETH_ALEN);
	assert_memory_equal(answer->ethernet.ether_shost, server_mac, ETH_ALEN);
	assert_int_equal(answer->ip.protocol, IPPROTO_UDP);
	assert_int_equal(answer->ip.saddr, inet_addr(NAME_SERVER));
	assert_int_equal(answer->ip.daddr, inet_addr(USER_NET_GUEST));
	assert_int_equal(answer->udp.uh_sport, htons(53));
	assert_int_equal(answer->udp.uh_dport, htons(GUEST_PORT));
	length = ntohs(answer->udp.uh_ulen) - sizeof(answer->udp);
	assert_int_equal(f->rig->length, sizeof(answer->ethernet) + sizeof(answer->ip) +
						 sizeof(answer->udp) + length);
	return fake_dns_mark(f->question, f->length, answer->data, length);
}

/* Asks until the answer is from server @mark, which happens once the host's file has been read. */
static void ask_until(struct fixture *f, int mark)
{
	const time_t limit = time(NULL) + 60;

	while (ask(f, "until") != mark) {
		assert_true(time(NULL) < limit);
		event_loop_turn(&f->rig->loop, 100);
	}
}

#define ISOLATED_ONLY           \
	do {                    \
		if (!isolated)  \
			skip(); \
	} while (0)

static void test_name(void **state)
{
	struct fixture *f = *state;

	ISOLATED_ONLY;
	ask_until(f, 1);
	assert_int_equal(ask(f, "one"), 1);
	assert_int_equal(f->servers[1].asked + f->servers[2].asked, 0);
}

/* All servers of the list, of both families: the first does not exist, the second is silent. */
static void test_all_servers(void **state)
{
	struct fixture *f = *state;

	ISOLATED_ONLY;
	replace_servers(f, "nameserver 127.0.0.9\nnameserver 127.0.0.2\nnameserver ::1\n");
	f->servers[1].manner = FAKE_DNS_IS_SILENT;
	ask_until(f, 3);
	assert_true(f->servers[1].asked > 0);
}

/* The file is replaced while the guest runs, and so is what a link to it leads to. */
static void test_file_is_replaced(void **state)
{
	struct fixture *f = *state;

	ISOLATED_ONLY;
	ask_until(f, 1);
	replace_servers(f, "nameserver 127.0.0.2\n");
	ask_until(f, 2);
	replace_servers(f, "nameserver ::1\n");
	ask_until(f, 3);
	assert_int_equal(unlink(scratch_path(&f->scratch, "resolv.conf")), 0);
	scratch_write(&f->scratch, "target", "nameserver 127.0.0.1\n", 21);
	assert_int_equal(symlink("target", scratch_path(&f->scratch, "resolv.conf")), 0);
	ask_until(f, 1);
	scratch_write(&f->scratch, "other", "nameserver 127.0.0.2\n", 21);
	assert_int_equal(
		rename(scratch_path(&f->scratch, "other"), scratch_path(&f->scratch, "target")), 0);
	ask_until(f, 2);
}

/* One line when there is no server any more, and one when there is one again. */
static void test_none(void **state)
{
	struct fixture *f = *state;
	struct capture capture;
	const char *log;

	ISOLATED_ONLY;
	ask_until(f, 1);
	capture_start(&capture, STDERR_FILENO);
	replace_servers(f, "search example\n");
	ask_until(f, -2);
	replace_servers(f, "search another.example\n");
	for (int i = 0; i < 20; i++)
		assert_int_equal(ask(f, "none"), -2);
	replace_servers(f, "nameserver 127.0.0.2\n");
	ask_until(f, 2);
	log = strdup(capture_all(&capture));
	capture_stop(&capture);
	assert_non_null(strstr(log, "lists no name server"));
	assert_null(strstr(strstr(log, "lists no name server") + 1, "lists no name server"));
	assert_non_null(strstr(log, "are now 127.0.0.2"));
	free((void *)log);
}

/*
 * An answer that does not fit into a packet is truncated, with the flag set; TCP gives all of it.
 */
static void test_long_answer(void **state)
{
	struct fixture *f = *state;
	const struct user_net_packet *packet = user_net_rig_received(f->rig);
	uint8_t bytes[514], answer[8192];
	uint32_t theirs, ours = 1000;
	size_t got = 0;

	ISOLATED_ONLY;
	ask_until(f, 1);
	f->servers[0].padding = 1500 - 28 - 16 - f->length;
	assert_int_equal(ask(f, "until"), 1);
	f->servers[0].padding++;
	assert_int_equal(ask(f, "until"), 0);
	assert_true(packet->data[2] & 2);
	f->servers[0].padding = 5000;
	user_net_rig_send_tcp(f->rig, server_mac, 5000, NAME_SERVER, 53, TH_SYN, ours, 0, "");
	user_net_rig_wait_tcp(f->rig, TH_SYN | TH_ACK);
	theirs = ntohl(packet->tcp.th_seq) + 1;
	user_net_rig_send_tcp(f->rig, server_mac, 5000, NAME_SERVER, 53, TH_ACK, ++ours, theirs,
			      "");
	bytes[0] = 0;
	bytes[1] = (uint8_t)f->length;
	memcpy(bytes + 2, f->question, f->length);
	user_net_rig_send_segment(f->rig, server_mac, 5000, NAME_SERVER, 53, TH_ACK | TH_PUSH, ours,
				  theirs, bytes, f->length + 2);
	ours += (uint32_t)f->length + 2;
	while (got < f->length + 2 + 16 + 5000) {
		size_t length;

		user_net_rig_wait_tcp(f->rig, TH_ACK);
		assert_int_equal(packet->ip.saddr, inet_addr(NAME_SERVER));
		assert_int_equal(user_net_rig_checksum(&packet->ip, sizeof(packet->ip), 0), 0);
		assert_int_equal(user_net_rig_tcp_checksum(f->rig), 0);
		length = ntohs(packet->ip.tot_len) - 40U;
		if (!length)
			continue;
		assert_int_equal(ntohl(packet->tcp.th_seq), theirs);
		assert_true(got + length <= sizeof(answer));
		memcpy(answer + got, (const uint8_t *)&packet->tcp + 20, length);
		got += length;
		theirs += (uint32_t)length;
		user_net_rig_send_tcp(f->rig, server_mac, 5000, NAME_SERVER, 53, TH_ACK, ours,
				      theirs, "");
	}
	assert_int_equal(fake_dns_mark(f->question, f->length, answer + 2, got - 2), 1);
}

/* A reset drops queries; the next driver gets no answers to them. */
static void test_reset(void **state)
{
	struct fixture *f = *state;

	ISOLATED_ONLY;
	ask_until(f, 1);
	f->servers[0].manner = FAKE_DNS_IS_SILENT;
	send_question(f, "one");
	user_net_rig_restart(f->rig);
	f->servers[0].manner = FAKE_DNS_ANSWERS;
	for (int i = 0; i < 20; i++)
		event_loop_turn(&f->rig->loop, 0);
	assert_false(user_net_rig_take(f->rig));
	assert_int_equal(ask(f, "two"), 1);
}

/* Once everything is answered, nothing wakes the process up. */
static void test_idle(void **state)
{
	struct fixture *f = *state;
	uint64_t sleeps;

	ISOLATED_ONLY;
	ask_until(f, 1);
	while (event_loop_turn(&f->rig->loop, 0) > 0)
		;
	sleeps = f->rig->loop.sleeps;
	assert_int_equal(event_loop_turn(&f->rig->loop, 2500), 0);
	assert_int_equal(f->rig->loop.sleeps, sleeps + 1);
}

/* A name server of a link with some MTU, without a host: the test makes its answers. */
struct bare {
	struct user_dns dns;
	uint8_t behind[64];
	struct event_loop loop;
	uint8_t frame[PACKET_FRAME_MAX];
	size_t length;
	uint8_t message[DNS_MESSAGE_MAX];
};

static void keep_frame(void *context, const void *frame, size_t length)
{
	struct bare *bare = context;

	assert_in_range(length, 1, sizeof(bare->frame));
	memcpy(bare->frame, frame, length);
	bare->length = length;
}

static struct bare *start_bare(uint16_t mtu)
{
	static const uint8_t prefix[IPV6_PREFIX] = {0xfd};
	struct bare *bare = calloc(1, sizeof(*bare));
	struct error error = {0};

	assert_non_null(bare);
	assert_int_equal(event_loop_init(&bare->loop, 0, &error), 0);
	user_dns_init(&bare->dns, 0x0a000203, prefix, mtu, keep_frame, bare);
	assert_int_equal(user_dns_start(&bare->dns, &bare->loop, NULL, &error), 0);
	memset(bare->behind, 0xa5, sizeof(bare->behind));
	memset(bare->message, 0xee, sizeof(bare->message));
	return bare;
}

static void stop_bare(struct bare *bare)
{
	user_dns_stop(&bare->dns);
	event_loop_close(&bare->loop);
	free(bare);
}

/* The relay's answer of @length bytes to a question over UDP. */
static void answer_bare(struct bare *bare, bool is_ipv6, size_t length)
{
	const struct dns_asker asker = {
		.is_ipv6 = is_ipv6,
		.address = {10, 0, 2, 15},
		.port = GUEST_PORT,
		.connection = -1,
	};

	bare->length = 0;
	bare->dns.relay.answer(&bare->dns, &asker, bare->message, length);
}

/* The longest datagram of each MTU stays in its buffer, up to the largest one. */
static void test_longest_datagram(void **state)
{
	static const uint16_t mtus[] = {1500, 65515, 65521, 65535};

	(void)state;
	for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
		struct bare *bare = start_bare(mtus[i]);

		for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
			size_t headers = (is_ipv6 ? IPV6_HEADER : IPV4_HEADER) + UDP_HEADER;

			answer_bare(bare, is_ipv6, mtus[i] - headers);
			assert_int_equal(bare->length, PACKET_IP + mtus[i]);
			assert_memory_equal(bare->frame + PACKET_IP + headers, bare->message,
					    mtus[i] - headers);
			for (size_t at = 0; at < sizeof(bare->behind); at++)
				assert_int_equal(bare->behind[at], 0xa5);
		}
		stop_bare(bare);
	}
}

/*
 * An error may come without a question (dns_is_answer): one that is too long is cut to its header.
 */
static void test_long_error_without_question(void **state)
{
	struct bare *bare = start_bare(1500);
	const uint8_t *udp = bare->frame + PACKET_IP + IPV4_HEADER, *message = udp + UDP_HEADER;

	(void)state;
	memset(bare->message, 0, DNS_HEADER);
	big_endian_put16(bare->message + DNS_ID, 7);
	big_endian_put16(bare->message + DNS_FLAGS, DNS_FLAG_ANSWER | DNS_REFUSED);
	answer_bare(bare, false, 1473);
	assert_int_equal(big_endian_get16(udp + UDP_LENGTH), UDP_HEADER + DNS_HEADER);
	assert_int_equal(big_endian_get16(message + DNS_ID), 7);
	assert_int_equal(big_endian_get16(message + DNS_QUESTION_COUNT), 0);
	assert_int_equal(big_endian_get16(message + DNS_FLAGS) &
				 (DNS_FLAG_TRUNCATED | DNS_RCODE_MASK),
			 DNS_FLAG_TRUNCATED | DNS_REFUSED);
	stop_bare(bare);
}

/* The OPT record of an answer that is cut stays, empty, and so does that of a question. */
static void test_empty_answers_with_opt(void **state)
{
	static const uint8_t answer[] = {
		0,    7,   0x81, 0x80, 0,  1,  0, 1, 0, 0,    0, 2, /* the header */
		1,    'a', 0,	 0,    1,  0,  1,		    /* the question */
		0xc0, 12,  0,	 1,    0,  1,  0, 0, 0, 9,    0, 4, 192, 0, 2,	 1,
		1,    'b', 0xc0, 12,   0,  1,  0, 1, 0, 0,    0, 9, 0,	 4, 192, 0,
		2,    2,   0,	 0,    41, 16, 0, 1, 0, 0x80, 1, 0, 3,	 1, 2,	 3,
	};
	static const uint8_t opt[DNS_OPT] = {0, 0, 41, 1232 >> 8, 1232 & 255, 0, 0, 0x80};
	const size_t head = DNS_HEADER + 7;
	uint8_t empty[DNS_EMPTY_MAX];

	(void)state;
	assert_int_equal(dns_make_empty(answer, sizeof(answer), empty, DNS_FLAG_TRUNCATED, 0),
			 head + DNS_OPT);
	assert_memory_equal(empty + DNS_HEADER, answer + DNS_HEADER, head - DNS_HEADER);
	assert_memory_equal(empty + 4, "\0\1\0\0\0\0\0\1", 8);
	assert_memory_equal(empty + head, opt, DNS_OPT);
	/* An incomplete OPT record does not count. */
	for (size_t length = head; length < sizeof(answer) - 3; length++) {
		uint8_t *copy = malloc(length);

		assert_non_null(copy);
		memcpy(copy, answer, length);
		assert_int_equal(dns_make_empty(copy, length, empty, 0, 0), head);
		assert_memory_equal(empty + 4, "\0\1\0\0\0\0\0\0", 8);
		free(copy);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_name),
		TEST(test_all_servers),
		TEST(test_file_is_replaced),
		TEST(test_none),
		TEST(test_long_answer),
		TEST(test_reset),
		TEST(test_idle),
		cmocka_unit_test(test_longest_datagram),
		cmocka_unit_test(test_long_error_without_question),
		cmocka_unit_test(test_empty_answers_with_opt),
	};

	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}

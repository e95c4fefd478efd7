// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queries of a guest to name servers of a host that answer, are silent, fail or lie, on loopback
 * addresses. The test drives the relay's clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/net/user/dns_relay.h"
#include "device/net/user/test_fake_dns.h"

#define SERVERS 3

struct fixture {
	struct event_loop loop;
	struct dns_relay relay;
	struct fake_dns servers[SERVERS];
	int64_t now_ms;
	uint8_t question[512];
	size_t length;
	struct dns_asker asker;
	struct dns_asker answered; /* the last one that got an answer */
	uint8_t answer[DNS_MESSAGE_MAX], stream[DNS_STREAM_MAX];
	size_t answer_length;
	unsigned int answers;
};

static void take_answer(void *context, const struct dns_asker *asker, const uint8_t *message,
			size_t length)
{
	struct fixture *f = context;

	f->answered = *asker;
	f->answers++;
	f->answer_length = length;
	memcpy(f->answer, message, length);
}

/* A host with these servers. */
static void set_servers(struct fixture *f, const char *text)
{
	struct name_servers servers;

	name_servers_parse(&servers, text, strlen(text), NULL, NULL);
	dns_relay_set_servers(&f->relay, &servers);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error error = {0};

	assert_non_null(f);
	assert_int_equal(event_loop_init(&f->loop, 0, &error), 0);
	dns_relay_init(&f->relay, &f->loop, take_answer, f);
	f->relay.port = fake_dns_start(&f->servers[0], &f->loop, "127.0.0.1", 0, 1);
	fake_dns_start(&f->servers[1], &f->loop, "127.0.0.2", f->relay.port, 2);
	fake_dns_start(&f->servers[2], &f->loop, "127.0.0.3", f->relay.port, 3);
	set_servers(f, "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n");
	f->now_ms = clock_now_ms();
	f->asker = (struct dns_asker){.address = {10, 0, 2, 15}, .port = 4000, .connection = -1};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	dns_relay_forget_all(&f->relay);
	assert_int_equal(f->relay.active, 0);
	assert_int_equal(dns_relay_deadline_ms(&f->relay), INT64_MAX);
	for (size_t i = 0; i < SERVERS; i++)
		fake_dns_stop(&f->servers[i]);
	event_loop_close(&f->loop);
	free(f);
	return 0;
}

static void ask_as(struct fixture *f, const char *name, uint16_t id)
{
	f->length = fake_dns_question(f->question, name, id);
	assert_true(dns_relay_ask(&f->relay, &f->asker, f->question, f->length,
				  f->asker.connection < 0 ? NULL : f->stream, f->now_ms));
}

/* Turns the loop until the condition holds. */
#define WAIT(f, condition)                                                  \
	do {                                                                \
		const time_t limit_ = time(NULL) + 30;                      \
		while (!(condition)) {                                      \
			assert_true(event_loop_turn(&(f)->loop, 100) >= 0); \
			assert_true(time(NULL) < limit_);                   \
		}                                                           \
	} while (0)

/* Waits for the answer to the last query. Returns the mark of its server. */
static int wait_for_answer(struct fixture *f)
{
	WAIT(f, f->answers);
	assert_int_equal(f->answers, 1);
	f->answers = 0;
	assert_int_equal(f->answered.port, f->asker.port);
	return fake_dns_mark(f->question, f->length, f->answer, f->answer_length);
}

/* Advances the clock past the time of the current server. */
static void let_time_pass(struct fixture *f)
{
	f->now_ms = dns_relay_deadline_ms(&f->relay);
	assert_true(f->now_ms < INT64_MAX);
	dns_relay_expire(&f->relay, f->now_ms);
}

static void test_first_server(void **state)
{
	struct fixture *f = *state;

	ask_as(f, "one", 77);
	assert_int_equal(wait_for_answer(f), 1);
	assert_int_equal(f->servers[1].asked + f->servers[2].asked, 0);
	assert_int_equal(dns_relay_deadline_ms(&f->relay), INT64_MAX);
}

static void test_ipv6_server(void **state)
{
	struct fixture *f = *state;
	struct fake_dns server;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		skip();
	close(fd);
	fake_dns_start(&server, &f->loop, "::1", f->relay.port, 6);
	set_servers(f, "nameserver ::1\n");
	ask_as(f, "six", 1);
	assert_int_equal(wait_for_answer(f), 6);
	/* A silent server, then one of the other family. */
	server.manner = FAKE_DNS_IS_SILENT;
	set_servers(f, "nameserver ::1\nnameserver 127.0.0.2\n");
	ask_as(f, "six", 2);
	WAIT(f, server.asked == 2);
	let_time_pass(f);
	assert_int_equal(wait_for_answer(f), 2);
	fake_dns_stop(&server);
}

/* A silent server delays once; the next queries start with the one that answered. */
static void test_silent_server(void **state)
{
	struct fixture *f = *state;

	f->servers[0].manner = FAKE_DNS_IS_SILENT;
	ask_as(f, "one", 1);
	WAIT(f, f->servers[0].asked == 1);
	assert_int_equal(f->answers, 0);
	let_time_pass(f);
	assert_int_equal(wait_for_answer(f), 2);
	ask_as(f, "two", 2);
	assert_int_equal(wait_for_answer(f), 2);
	assert_int_equal(f->servers[0].asked, 1);
	/* It gets another chance after a while. */
	f->servers[0].manner = FAKE_DNS_ANSWERS;
	f->now_ms = clock_now_ms() + DNS_RELAY_PREFER_MS + 1;
	ask_as(f, "three", 3);
	assert_int_equal(wait_for_answer(f), 1);
}

/* Without a server at an address, the host reports an error at once. */
static void test_no_server_there(void **state)
{
	struct fixture *f = *state;

	set_servers(f, "nameserver 127.0.0.99\nnameserver 127.0.0.3\n");
	ask_as(f, "one", 1);
	assert_int_equal(wait_for_answer(f), 3);
}

static void test_all_silent(void **state)
{
	struct fixture *f = *state;
	const int64_t start_ms = f->now_ms;
	unsigned int asked = 0;

	for (size_t i = 0; i < SERVERS; i++)
		f->servers[i].manner = FAKE_DNS_IS_SILENT;
	ask_as(f, "one", 9);
	for (int i = 0; i < 100 && !f->answers; i++)
		let_time_pass(f);
	assert_int_equal(wait_for_answer(f), -DNS_SERVER_FAILURE);
	assert_true(f->now_ms - start_ms <= DNS_RELAY_GIVE_UP_MS);
	/* Each was asked, and none more often than allowed. */
	WAIT(f, f->servers[0].asked && f->servers[1].asked && f->servers[2].asked);
	for (size_t i = 0; i < SERVERS; i++)
		asked += f->servers[i].asked;
	assert_true(asked <= DNS_RELAY_ROUNDS * SERVERS);
}

/* More servers than there is time for: the next query continues where this one ended. */
static void test_many_silent(void **state)
{
	struct fixture *f = *state;

	f->servers[0].manner = FAKE_DNS_IS_SILENT;
	set_servers(f, "nameserver 127.0.0.1\nnameserver 127.0.0.11\nnameserver 127.0.0.12\n"
		       "nameserver 127.0.0.13\nnameserver 127.0.0.14\nnameserver 127.0.0.15\n"
		       "nameserver 127.0.0.16\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n");
	/* The ninth is not used. */
	assert_int_equal(f->relay.servers.count, NAME_SERVERS_MAX);
	ask_as(f, "one", 1);
	WAIT(f, f->servers[0].asked == 1);
	let_time_pass(f);
	assert_int_equal(wait_for_answer(f), 2);
}

/*
 * RFC 1035, 4.1.1: a server that fails; another one may succeed. The failure of the last one is
 * passed on.
 */
static void test_failing_servers(void **state)
{
	struct fixture *f = *state;

	f->servers[0].manner = FAKE_DNS_FAILS;
	f->servers[1].manner = FAKE_DNS_REFUSES;
	ask_as(f, "one", 1);
	assert_int_equal(wait_for_answer(f), 3);
	/* They are still asked first, because they may know other names. */
	ask_as(f, "two", 2);
	assert_int_equal(wait_for_answer(f), 3);
	assert_int_equal(f->servers[0].asked, 2);
	f->servers[2].manner = FAKE_DNS_REFUSES;
	ask_as(f, "three", 3);
	assert_int_equal(wait_for_answer(f), -DNS_REFUSED);
}

/* RFC 5452: only the answer of that server to that question is accepted. */
static void test_lies(void **state)
{
	struct fixture *f = *state;

	f->servers[0].manner = FAKE_DNS_LIES;
	ask_as(f, "one", 1);
	assert_int_equal(wait_for_answer(f), 1);
	assert_int_equal(f->servers[0].asked, 1);
}

/* The ids and ports that an attacker would have to guess are not the guest's. */
static void test_ids_are_ours(void **state)
{
	struct fixture *f = *state;
	unsigned int same = 0;

	f->servers[0].manner = FAKE_DNS_IS_SILENT;
	for (uint16_t i = 0; i < 16; i++) {
		ask_as(f, "one", i);
		same += !memcmp(f->relay.questions[i].bytes + DNS_PREFIX, f->question, 2);
	}
	assert_true(same < 16);
}

static void test_no_servers(void **state)
{
	struct fixture *f = *state;

	set_servers(f, "search example\n");
	ask_as(f, "one", 5);
	assert_int_equal(wait_for_answer(f), -DNS_SERVER_FAILURE);
	set_servers(f, "nameserver 127.0.0.2");
	ask_as(f, "one", 6);
	assert_int_equal(wait_for_answer(f), 2);
}

/* The list changes, or becomes empty, during a query. */
static void test_servers_change(void **state)
{
	struct fixture *f = *state;

	f->servers[0].manner = f->servers[1].manner = FAKE_DNS_IS_SILENT;
	ask_as(f, "one", 1);
	let_time_pass(f);
	let_time_pass(f);
	f->servers[2].manner = FAKE_DNS_IS_SILENT;
	set_servers(f, "nameserver 127.0.0.2\n");
	f->servers[1].manner = FAKE_DNS_ANSWERS;
	f->answers = 0;
	let_time_pass(f);
	if (!f->answers)
		assert_int_equal(wait_for_answer(f), 2);
	f->answers = 0;
	f->servers[1].manner = FAKE_DNS_IS_SILENT;
	ask_as(f, "two", 2);
	set_servers(f, "");
	let_time_pass(f);
	assert_int_equal(wait_for_answer(f), -DNS_SERVER_FAILURE);
}

/* The maximum of queries, and one more; an impatient guest sends each twice. */
static void test_too_many_questions(void **state)
{
	struct fixture *f = *state;

	f->servers[0].manner = FAKE_DNS_IS_SILENT;
	for (uint16_t i = 0; i < DNS_RELAY_QUESTIONS; i++) {
		ask_as(f, "same", i);
		ask_as(f, "same", i);
	}
	assert_int_equal(f->relay.active, DNS_RELAY_QUESTIONS);
	assert_int_equal(f->answers, 0);
	ask_as(f, "more", 1000);
	assert_int_equal(wait_for_answer(f), -DNS_SERVER_FAILURE);
	let_time_pass(f);
	WAIT(f, f->answers == DNS_RELAY_QUESTIONS);
	f->answers = 0;
	ask_as(f, "more", 1001);
	assert_int_equal(wait_for_answer(f), 2);
}

static void test_what_is_no_question(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} damages[] = {
		{2, 0x80},  /* an answer */
		{5, 0},	    /* no question */
		{5, 2},	    /* two */
		{12, 0xc0}, /* a name that points at itself */
		{12, 64},   /* a label longer than one */
		{12, 63},   /* longer than the message */
	};
	struct fixture *f = *state;
	uint8_t *big = calloc(1, DNS_QUESTION_MAX + 1);

	assert_non_null(big);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		f->length = fake_dns_question(f->question, "one", 1);
		f->question[damages[i].at] = damages[i].value;
		assert_false(dns_relay_ask(&f->relay, &f->asker, f->question, f->length, NULL,
					   f->now_ms));
	}
	f->length = fake_dns_question(f->question, "one", 1);
	for (size_t length = 0; length < f->length; length++)
		assert_false(
			dns_relay_ask(&f->relay, &f->asker, f->question, length, NULL, f->now_ms));
	memcpy(big, f->question, f->length);
	assert_false(
		dns_relay_ask(&f->relay, &f->asker, big, DNS_QUESTION_MAX + 1, NULL, f->now_ms));
	assert_int_equal(f->relay.active, 0);
	assert_true(dns_relay_ask(&f->relay, &f->asker, big, DNS_QUESTION_MAX, NULL, f->now_ms));
	free(big);
}

static void test_stream(void **state)
{
	static const enum fake_dns_manner manners[] = {FAKE_DNS_ANSWERS, FAKE_DNS_ANSWERS_SLOWLY};
	struct fixture *f = *state;

	f->asker.connection = 3;
	for (size_t i = 0; i < 2; i++) {
		f->servers[0].manner = manners[i];
		f->servers[0].padding = i ? 300 : 40000;
		ask_as(f, "long", (uint16_t)(5 + i));
		assert_int_equal(wait_for_answer(f), 1);
		assert_int_equal(f->answer_length, f->length + 16 + f->servers[0].padding);
		assert_memory_equal(f->answer, f->stream + DNS_PREFIX, f->answer_length);
	}
}

static void test_stream_that_ends(void **state)
{
	struct fixture *f = *state;

	f->asker.connection = 3;
	f->servers[0].manner = FAKE_DNS_HANGS_UP;
	ask_as(f, "one", 5);
	assert_int_equal(wait_for_answer(f), 2);
	f->servers[1].manner = FAKE_DNS_IS_SILENT;
	ask_as(f, "two", 6);
	WAIT(f, f->servers[1].asked == 2);
	let_time_pass(f);
	assert_int_equal(wait_for_answer(f), 3);
	/* The asker hangs up. */
	f->servers[2].manner = FAKE_DNS_IS_SILENT;
	ask_as(f, "three", 7);
	dns_relay_forget(&f->relay, 3);
	assert_int_equal(f->relay.active, 0);
	set_servers(f, "nameserver 127.0.0.99\n");
	ask_as(f, "four", 8);
	assert_int_equal(wait_for_answer(f), -DNS_SERVER_FAILURE);
}

/* A query during which the list changes goes through all of the new list, from its first. */
static void test_question_of_the_old_list(void **state)
{
	struct fixture *f = *state;

	f->servers[0].manner = f->servers[1].manner = FAKE_DNS_IS_SILENT;
	set_servers(f, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
	ask_as(f, "one", 1);
	let_time_pass(f);
	set_servers(f, "nameserver 127.0.0.3\nnameserver 127.0.0.99\n");
	let_time_pass(f);
	assert_int_equal(wait_for_answer(f), 3);
	assert_int_equal(f->relay.preferred, 0);
	/* Tries with the old list do not count. */
	set_servers(f, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
	ask_as(f, "two", 2);
	let_time_pass(f);
	let_time_pass(f);
	set_servers(f, "nameserver 127.0.0.3\n");
	let_time_pass(f);
	assert_int_equal(wait_for_answer(f), 3);
	/* An answer of a server of the old list does not change the preference in the new one. */
	f->servers[1].manner = FAKE_DNS_ANSWERS;
	set_servers(f, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
	ask_as(f, "three", 3);
	let_time_pass(f);
	set_servers(f, "nameserver 127.0.0.3\nnameserver 127.0.0.99\n");
	assert_int_equal(wait_for_answer(f), 2);
	assert_int_equal(f->relay.preferred, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_question_of_the_old_list),
		TEST(test_first_server),
		TEST(test_ipv6_server),
		TEST(test_silent_server),
		TEST(test_no_server_there),
		TEST(test_all_silent),
		TEST(test_many_silent),
		TEST(test_failing_servers),
		TEST(test_lies),
		TEST(test_ids_are_ours),
		TEST(test_no_servers),
		TEST(test_servers_change),
		TEST(test_too_many_questions),
		TEST(test_what_is_no_question),
		TEST(test_stream),
		TEST(test_stream_that_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

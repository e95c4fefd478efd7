// SPDX-License-Identifier: BSD-3-Clause
/* The DHCP server of the user-mode network, message by message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/big_endian.h"
#include "device/net/user/dhcp.h"
#include "device/net/user/packet.h"

#define FIRST	  0x0a00020fU
#define GATEWAY	  0x0a000202U
#define BROADCAST 0xffffffffU
#define OPTIONS	  240

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

struct fixture {
	struct dhcp_server server;
	uint8_t message[400];
	size_t length;
	uint8_t answer[DHCP_ANSWER_MAX];
	size_t answered;
	uint32_t to;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->server.settings = (struct dhcp_settings){
		.gateway = GATEWAY,
		.mask = 0xffffff00,
		.name_server = 0x0a000203,
		.first_address = FIRST,
		.host_name = "cluster",
	};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void begin(struct fixture *f, uint8_t mac)
{
	memset(f->message, 0, sizeof(f->message));
	f->message[0] = f->message[1] = 1;
	f->message[2] = 6;
	big_endian_put32(f->message + 4, 0x12345678);
	f->message[28] = 2;
	f->message[33] = mac;
	big_endian_put32(f->message + 236, 0x63825363);
	f->length = OPTIONS;
}

static void add(struct fixture *f, uint8_t option, const void *value, uint8_t length)
{
	f->message[f->length++] = option;
	f->message[f->length++] = length;
	memcpy(f->message + f->length, value, length);
	f->length += length;
}

static void add_address(struct fixture *f, uint8_t option, uint32_t address)
{
	uint8_t bytes[4];

	big_endian_put32(bytes, address);
	add(f, option, bytes, 4);
}

static const uint8_t *find(const struct fixture *f, uint8_t option, uint8_t *length)
{
	for (size_t at = OPTIONS; at < f->answered && f->answer[at] != 255;
	     at += 2U + f->answer[at + 1]) {
		if (f->answer[at] == option) {
			*length = f->answer[at + 1];
			return f->answer + at + 2;
		}
	}
	return NULL;
}

static uint32_t number(const struct fixture *f, uint8_t option)
{
	uint8_t length;
	const uint8_t *value = find(f, option, &length);

	if (!value)
		return 0;
	return length == 4 ? big_endian_get32(value) :
	       length == 2 ? big_endian_get16(value) :
			     value[0];
}

/* Sends it; returns the type of the answer, 0 for none, of -1 for one that is not DHCP. */
static int ask(struct fixture *f)
{
	f->message[f->length++] = 255;
	f->answered = dhcp_answer(&f->server, f->message, f->length, f->answer, &f->to);
	if (!f->answered)
		return 0;
	assert_true(f->answered >= 300 && f->answered <= DHCP_ANSWER_MAX);
	assert_int_equal(f->answer[0], 2);
	assert_memory_equal(f->answer + 4, f->message + 4, 4);
	assert_memory_equal(f->answer + 28, f->message + 28, 16);
	return number(f, 53) ? (int)number(f, 53) : -1;
}

static int ask_for(struct fixture *f, uint8_t mac, uint8_t type, uint32_t desired)
{
	begin(f, mac);
	add(f, 53, &type, 1);
	if (desired)
		add_address(f, 50, desired);
	return ask(f);
}

static uint32_t given(const struct fixture *f)
{
	return big_endian_get32(f->answer + 16);
}

static void test_address_and_settings(void **state)
{
	struct fixture *f = *state;
	const uint8_t *name;
	uint8_t length;

	f->server.settings.mtu = 1400;
	assert_int_equal(ask_for(f, 1, DISCOVER, 0), OFFER);
	assert_true(dhcp_is_start(f->message, f->length));
	assert_int_equal(given(f), FIRST);
	assert_int_equal(f->to, BROADCAST);
	assert_int_equal(ask_for(f, 1, REQUEST, FIRST), ACK);
	assert_false(dhcp_is_start(f->message, f->length));
	assert_int_equal(given(f), FIRST);
	assert_int_equal(number(f, 1), 0xffffff00);
	assert_int_equal(number(f, 3), GATEWAY);
	assert_int_equal(number(f, 6), 0x0a000203);
	assert_int_equal(number(f, 26), 1400);
	assert_true(number(f, 51) > 0);
	assert_int_equal(number(f, 54), GATEWAY);
	name = find(f, 12, &length);
	assert_non_null(name);
	assert_int_equal(length, 7);
	assert_memory_equal(name, "cluster", 7);
}

static void test_what_is_not_known_is_not_told(void **state)
{
	struct fixture *f = *state;
	uint8_t length;

	f->server.settings.host_name = NULL;
	assert_int_equal(ask_for(f, 1, DISCOVER, 0), OFFER);
	assert_null(find(f, 12, &length));
	assert_null(find(f, 26, &length));
}

static void test_longest_name_fits(void **state)
{
	struct fixture *f = *state;
	char name[DHCP_HOST_NAME_MAX + 1];
	uint8_t length;

	memset(name, 'n', DHCP_HOST_NAME_MAX);
	name[DHCP_HOST_NAME_MAX] = 0;
	f->server.settings.host_name = name;
	f->server.settings.mtu = 1500;
	assert_int_equal(ask_for(f, 1, DISCOVER, 0), OFFER);
	assert_non_null(find(f, 12, &length));
	assert_int_equal(length, DHCP_HOST_NAME_MAX);
	assert_int_equal(number(f, 26), 1500);
}

static void test_inform(void **state)
{
	struct fixture *f = *state;
	uint8_t type = INFORM, length;

	begin(f, 1);
	add(f, 53, &type, 1);
	big_endian_put32(f->message + 12, 0x0a000242);
	assert_int_equal(ask(f), ACK);
	assert_int_equal(f->to, 0x0a000242);
	assert_int_equal(given(f), 0);
	assert_int_equal(number(f, 6), 0x0a000203);
	assert_null(find(f, 51, &length));
	assert_false(f->server.leases[0].used);
	assert_int_equal(ask_for(f, 1, INFORM, 0), 0);
}

/* Renewal: the answer goes to the address that the client has. */
static void test_renewal(void **state)
{
	struct fixture *f = *state;
	uint8_t type = REQUEST;

	assert_int_equal(ask_for(f, 1, REQUEST, FIRST), ACK);
	begin(f, 1);
	add(f, 53, &type, 1);
	big_endian_put32(f->message + 12, FIRST);
	assert_int_equal(ask(f), ACK);
	assert_int_equal(f->to, FIRST);
	assert_int_equal(big_endian_get32(f->answer + 12), FIRST);
	begin(f, 1);
	add(f, 53, &type, 1);
	big_endian_put32(f->message + 12, FIRST + 1);
	assert_int_equal(ask(f), NAK);
	assert_int_equal(f->to, BROADCAST);
	assert_int_equal(big_endian_get32(f->answer + 12), 0);
}

static void test_leases(void **state)
{
	struct fixture *f = *state;

	for (uint8_t mac = 0; mac < DHCP_LEASES; mac++) {
		assert_int_equal(ask_for(f, mac, DISCOVER, 0), OFFER);
		assert_int_equal(given(f), FIRST + mac);
	}
	assert_int_equal(ask_for(f, 100, DISCOVER, 0), 0);
	assert_int_equal(ask_for(f, 100, REQUEST, FIRST), NAK);
	assert_int_equal(ask_for(f, 3, DISCOVER, FIRST + 9), OFFER);
	assert_int_equal(given(f), FIRST + 3);
	assert_int_equal(ask_for(f, 3, RELEASE, 0), 0);
	assert_int_equal(ask_for(f, 100, DISCOVER, 0), OFFER);
	assert_int_equal(given(f), FIRST + 3);
}

static void test_wishes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_for(f, 1, DISCOVER, FIRST + 5), OFFER);
	assert_int_equal(given(f), FIRST + 5);
	assert_int_equal(ask_for(f, 2, DISCOVER, FIRST + 5), OFFER);
	assert_int_equal(given(f), FIRST);
	assert_int_equal(ask_for(f, 3, REQUEST, FIRST + 5), NAK);
	assert_int_equal(given(f), 0);
	assert_int_equal(ask_for(f, 3, REQUEST, 0xc0a80001), NAK);
	assert_int_equal(ask_for(f, 3, REQUEST, FIRST + 15), ACK);
	assert_int_equal(given(f), FIRST + 15);
	assert_int_equal(ask_for(f, 4, REQUEST, FIRST + 16), NAK);
}

static void test_other_servers(void **state)
{
	struct fixture *f = *state;
	uint8_t type = REQUEST;

	begin(f, 1);
	add(f, 53, &type, 1);
	add_address(f, 50, FIRST);
	add_address(f, 54, GATEWAY + 1);
	assert_int_equal(ask(f), 0);
	begin(f, 1);
	add(f, 53, &type, 1);
	add_address(f, 50, FIRST);
	add_address(f, 54, GATEWAY);
	assert_int_equal(ask(f), ACK);
}

/* A client of BOOTP, without DHCP. */
static void test_bootp(void **state)
{
	struct fixture *f = *state;

	begin(f, 1);
	assert_int_equal(ask(f), -1);
	assert_int_equal(given(f), FIRST);
	assert_int_equal(number(f, 1), 0xffffff00);
	begin(f, 1);
	memset(f->message + 236, 0, 4);
	f->length = 300;
	assert_int_equal(ask(f), -1);
}

static void test_damaged(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} damages[] = {{0, 2}, {1, 6}, {2, 0}, {2, 16}, {24, 10}};
	struct fixture *f = *state;
	uint8_t type = DISCOVER;

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		begin(f, 1);
		add(f, 53, &type, 1);
		f->message[damages[i].at] = damages[i].value;
		assert_int_equal(ask(f), 0);
	}
	/* Cut anywhere, in a buffer of just that size. */
	begin(f, 1);
	add(f, 53, &type, 1);
	add_address(f, 50, FIRST);
	for (size_t length = 0; length < f->length; length++) {
		uint8_t *cut = malloc(length ? length : 1);
		size_t answered;

		memcpy(cut, f->message, length);
		answered = dhcp_answer(&f->server, cut, length, f->answer, &f->to);
		if (length < 236 || (length > 240 && length != 243))
			assert_int_equal(answered, 0);
		free(cut);
	}
	/* An option longer than the message. */
	begin(f, 1);
	add(f, 53, &type, 1);
	f->message[f->length++] = 12;
	f->message[f->length++] = 200;
	assert_int_equal(ask(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_address_and_settings),
		TEST(test_what_is_not_known_is_not_told),
		TEST(test_longest_name_fits),
		TEST(test_inform),
		TEST(test_renewal),
		TEST(test_leases),
		TEST(test_wishes),
		TEST(test_other_servers),
		TEST(test_bootp),
		TEST(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

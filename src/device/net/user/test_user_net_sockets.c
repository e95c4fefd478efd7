// SPDX-License-Identifier: BSD-3-Clause
/*
 * The sockets of the user-mode network: what happens when all are in use, when a connection cannot
 * be accepted, and when the guest that opened them is gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "device/net/user/slirp_sockets.h"
#include "device/net/user/test_user_net_rig.h"

/* Descriptors that this process may have, and so connections of a guest. */
#define DESCRIPTORS (2 * SLIRP_SOCKETS_RESERVE)
#define CONNECTIONS (DESCRIPTORS - SLIRP_SOCKETS_RESERVE)
#define FIRST_PORT  5000

struct fixture {
	struct user_net_rig *rig;
	struct sockaddr_in forward; /* where programs of the host connect to the guest */
	int listener;		    /* that the guest connects to */
	uint16_t port;
};

static void limit_descriptors(rlim_t count)
{
	const struct rlimit files = {.rlim_cur = count, .rlim_max = DESCRIPTORS};

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

static int limit_all(void **state)
{
	(void)state;
	limit_descriptors(DESCRIPTORS);
	return 0;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct port_forward forward = {.address.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80};

	assert_non_null(f);
	forward.port = user_net_rig_free_port(SOCK_STREAM);
	f->forward = (struct sockaddr_in){.sin_family = AF_INET,
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
					  .sin_port = htons(forward.port)};
	f->rig = user_net_rig_start(&forward, 1, true);
	f->listener = user_net_rig_socket(SOCK_STREAM, &f->port);
	assert_int_equal(listen(f->listener, DESCRIPTORS), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->listener);
	user_net_rig_stop(f->rig);
	free(f);
	return 0;
}

/* Whether a frame is a TCP segment with these flags. */
static bool is_segment(const struct fixture *f, uint8_t flags)
{
	const struct user_net_packet *packet = user_net_rig_received(f->rig);

	return packet->ethernet.ether_type == htons(ETHERTYPE_IP) &&
	       packet->ip.protocol == IPPROTO_TCP && (packet->tcp.th_flags & flags) == flags;
}

/* Opens a connection of the guest from @port. False: it was refused. */
static bool open_connection(struct fixture *f, uint16_t port)
{
	const struct user_net_packet *packet = user_net_rig_received(f->rig);

	user_net_rig_send_tcp(f->rig, user_net_gateway_mac, port, USER_NET_GATEWAY, f->port, TH_SYN,
			      1000, 0, "");
	do
		user_net_rig_wait(f->rig);
	while (packet->ip.protocol != IPPROTO_ICMP && !is_segment(f, TH_SYN | TH_ACK));
	if (packet->ip.protocol == IPPROTO_ICMP)
		return false;
	user_net_rig_send_tcp(f->rig, user_net_gateway_mac, port, USER_NET_GATEWAY, f->port, TH_ACK,
			      1001, ntohl(packet->tcp.th_seq) + 1, "");
	return true;
}

static int connect_forward(const struct fixture *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&f->forward, sizeof(f->forward)), 0);
	return fd;
}

/* Waits for the segment that opens a forwarded connection. */
static const struct user_net_packet *wait_for_forward(struct fixture *f)
{
	do
		user_net_rig_wait(f->rig);
	while (!is_segment(f, TH_SYN));
	return user_net_rig_received(f->rig);
}

/* Turns the loop until it has nothing to do; fails if it spins. */
static void run_until_idle(struct fixture *f)
{
	const time_t limit = time(NULL) + 60;

	while (event_loop_turn(&f->rig->loop, 20) != 0)
		assert_true(time(NULL) < limit);
}

/* As many connections as there can be; one more is refused, and a forwarded one waits. */
static void test_no_more_sockets(void **state)
{
	struct fixture *f = *state;
	int client;

	for (uint16_t i = 0; i < CONNECTIONS; i++)
		assert_true(open_connection(f, FIRST_PORT + i));
	assert_false(open_connection(f, FIRST_PORT - 1));
	client = connect_forward(f);
	run_until_idle(f);
	assert_false(user_net_rig_take(f->rig));
	/* A connection ends, and there is a socket for the one that waits. */
	user_net_rig_send_tcp(f->rig, user_net_gateway_mac, FIRST_PORT, USER_NET_GATEWAY, f->port,
			      TH_RST | TH_ACK, 1001, 0, "");
	assert_int_equal(wait_for_forward(f)->tcp.th_dport, htons(80));
	close(client);
}

/* A connection that cannot be accepted for lack of descriptors waits, without a busy loop. */
static void test_connection_that_cannot_be_taken(void **state)
{
	struct fixture *f = *state;
	int client, lowest;

	client = connect_forward(f);
	lowest = dup(client);
	close(lowest);
	limit_descriptors((rlim_t)lowest);
	run_until_idle(f);
	assert_false(user_net_rig_take(f->rig));
	limit_descriptors(DESCRIPTORS);
	wait_for_forward(f);
	close(client);
}

/* The connection to a guest that does not answer is retried, even if the guest sends nothing. */
static void test_forward_is_sent_again(void **state)
{
	struct fixture *f = *state;
	const struct user_net_packet *packet;
	uint32_t sequence;
	int client = connect_forward(f);

	/* The first connection makes the guest's address known, and is refused. */
	packet = wait_for_forward(f);
	user_net_rig_send_tcp(f->rig, packet->ethernet.ether_shost, 80, USER_NET_GATEWAY,
			      ntohs(packet->tcp.th_sport), TH_RST | TH_ACK, 0,
			      ntohl(packet->tcp.th_seq) + 1, "");
	run_until_idle(f);
	close(client);
	client = connect_forward(f);
	sequence = wait_for_forward(f)->tcp.th_seq;
	assert_int_equal(wait_for_forward(f)->tcp.th_seq, sequence);
	close(client);
}

/* Accepts a connection of the guest at the host. */
static int accept_connection(const struct fixture *f)
{
	int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Whether the connection at the host's side has ended, once the loop has nothing to do. */
static bool has_ended(struct fixture *f, int fd)
{
	char byte;

	run_until_idle(f);
	if (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
		return false;
	return true;
}

/* The frontend is gone, and with it guest memory. */
static void test_frontend_gone(void **state)
{
	struct fixture *f = *state;
	struct device_rig *rig = &f->rig->rig;
	size_t regions = rig->memory.region_count;
	int fd;

	assert_true(open_connection(f, FIRST_PORT));
	fd = accept_connection(f);
	assert_false(has_ended(f, fd));
	virtio_device_reset(rig->device);
	rig->memory.region_count = 0;
	assert_true(has_ended(f, fd));
	rig->memory.region_count = regions;
	close(fd);
}

/* A driver that has reset the device can continue, as after a sleep. */
static void test_reset_alone(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_true(open_connection(f, FIRST_PORT));
	fd = accept_connection(f);
	virtio_device_reset(f->rig->rig.device);
	assert_false(has_ended(f, fd));
	close(fd);
}

/* A guest that starts asks for an address; connections from before belong to an earlier life. */
static void test_guest_starts_again(void **state)
{
	struct fixture *f = *state;
	in_addr_t address;
	int fd;

	assert_true(open_connection(f, FIRST_PORT));
	fd = accept_connection(f);
	assert_int_equal(user_net_rig_dhcp(f->rig, 1, &address), 2);
	assert_false(has_ended(f, fd));
	user_net_rig_restart(f->rig);
	assert_false(has_ended(f, fd));
	assert_int_equal(user_net_rig_dhcp(f->rig, 1, &address), 2);
	assert_true(has_ended(f, fd));
	close(fd);
}

/*
 * A guest with a fixed address asks for none: old connections are closed when their sockets are
 * needed.
 */
static void test_old_connections_make_way(void **state)
{
	struct fixture *f = *state;

	for (unsigned int life = 0; life < 3; life++) {
		uint16_t first = (uint16_t)(FIRST_PORT + life * 1000);

		for (uint16_t i = 0; i < CONNECTIONS / 2 + 10; i++)
			assert_true(open_connection(f, first + i));
		user_net_rig_restart(f->rig);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_more_sockets),
		TEST(test_connection_that_cannot_be_taken),
		TEST(test_forward_is_sent_again),
		TEST(test_frontend_gone),
		TEST(test_reset_alone),
		TEST(test_guest_starts_again),
		TEST(test_old_connections_make_way),
	};

	return cmocka_run_group_tests(tests, limit_all, NULL);
}

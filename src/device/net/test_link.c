// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two network devices with their drivers on a switch, and one whose switch lies and goes away. The
 * switch and the devices are in this process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/net/link.h"
#include "service/run/service.h"
#include "service/switch/options.h"
#include "service/switch/protocol.h"
#include "unit/device_rig.h"
#include "unit/service_rig.h"
#include "virtio/feature.h"

extern const struct service_program service_program_switch;

#define TURNS  20000
#define RING   64
#define HEADER sizeof(struct virtio_net_hdr_v1)
#define OFFLOADS                                                               \
	(FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_HOST_TSO4) |        \
	 FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO4) | \
	 FEATURE(VIRTIO_NET_F_MRG_RXBUF) | FEATURE(VIRTIO_NET_F_STATUS))

enum { RECEIVE, TRANSMIT };

/* A guest: its interface, on a loop of its own, and its driver. */
struct guest {
	struct event_loop loop;
	struct net_link link;
	struct net_device net;
	struct virtqueue queues[3];
	struct device_rig rig;
	uint8_t address;
	unsigned int asked;
	int ask_result;
};

static struct service_rig service;
static struct switch_options options;

static void open_service(void)
{
	static const struct option_list none;

	options = (struct switch_options){0};
	assert_int_equal(service_rig_open(&service, &service_program_switch, &options, &none, NULL),
			 0);
}

static void close_service(void)
{
	service_rig_close(&service);
}

/* A client's end of a channel of the service. */
static int join(const char *name)
{
	int fd = service_rig_join(&service, name);

	assert_true(fd >= 0);
	return fd;
}

static int ask(void *context)
{
	struct guest *guest = context;

	guest->asked++;
	return guest->ask_result;
}

static struct guest *start_guest(uint8_t address, int socket, uint64_t features)
{
	const struct net_settings settings = {
		.mac = {2, 0, 0, 0, 0, address},
		.pairs = 1,
		.queue_size_max = RING,
	};
	struct guest *guest = calloc(1, sizeof(*guest));
	struct error error;

	guest->address = address;
	assert_int_equal(event_loop_init(&guest->loop, 0, &error), 0);
	assert_int_equal(net_link_open(&guest->link, &guest->loop, &error), 0);
	if (socket >= 0)
		assert_int_equal(net_link_attach(&guest->link, socket, &error), 0);
	net_device_init(&guest->net, &settings, &guest->link.backend, guest->queues);
	if (socket < 0)
		net_link_set_asker(&guest->link, ask, guest);
	device_rig_start(&guest->rig, &guest->net.device, features, RING);
	return guest;
}

static void stop_guest(struct guest *guest)
{
	device_rig_stop(&guest->rig);
	net_link_close(&guest->link);
	event_loop_close(&guest->loop);
	free(guest);
}

static void add_buffers(struct guest *guest, unsigned int count, size_t length)
{
	for (unsigned int i = 0; i < count; i++)
		device_rig_add(&guest->rig, RECEIVE, NULL, 0, length, 65536);
	device_rig_kick(&guest->rig, RECEIVE);
}

/* Sends a frame of @length bytes to an address, whose last byte is its number. */
static void transmit(struct guest *guest, uint8_t to, const struct virtio_net_hdr_v1 *header,
		     size_t length)
{
	static uint8_t bytes[HEADER + NET_FRAME_MAX];
	uint8_t *frame = bytes + HEADER;
	uint32_t written;

	memset(bytes, 0, HEADER);
	if (header)
		memcpy(bytes, header, HEADER);
	for (size_t i = 0; i < length; i++)
		frame[i] = (uint8_t)(i * 3);
	memcpy(frame, (const uint8_t[]){2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, guest->address}, 12);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	device_rig_clear(&guest->rig);
	device_rig_add(&guest->rig, TRANSMIT, bytes, HEADER + length, 0, 8000);
	device_rig_kick(&guest->rig, TRANSMIT);
	assert_true(device_rig_has_used(&guest->rig, TRANSMIT));
	device_rig_take(&guest->rig, TRANSMIT, &written);
}

static void turn(struct guest *a, struct guest *b)
{
	assert_true(event_loop_turn(&a->loop, 0) >= 0);
	if (b)
		assert_true(event_loop_turn(&b->loop, 0) >= 0);
	assert_true(event_loop_turn(&service.service.loop, 0) >= 0);
}

static void await_used(struct guest *to, struct guest *from)
{
	for (int i = 0; i < TURNS && !device_rig_has_used(&to->rig, RECEIVE); i++)
		turn(to, from);
	assert_true(device_rig_has_used(&to->rig, RECEIVE));
}

static void test_two_guests(void **state)
{
	struct guest *a, *b;
	uint32_t written;
	const uint8_t *bytes;

	open_service();
	a = start_guest(1, join("a"), OFFLOADS);
	b = start_guest(2, join("b"), OFFLOADS);
	for (unsigned int i = 0; i < 3000; i++) {
		struct guest *from = i % 2 ? a : b, *to = i % 2 ? b : a;
		size_t length = 60 + i % 1400;

		device_rig_clear(&to->rig);
		add_buffers(to, 1, 2048);
		transmit(from, to->address, NULL, length);
		await_used(to, from);
		bytes = device_rig_at(&to->rig, device_rig_take(&to->rig, RECEIVE, &written));
		assert_int_equal(written, HEADER + length);
		for (size_t k = 14; k < length; k++)
			assert_int_equal(bytes[HEADER + k], (uint8_t)(k * 3));
	}
	assert_int_equal(a->net.counts.receive_dropped + b->net.counts.receive_dropped, 0);
	stop_guest(a);
	stop_guest(b);
	close_service();
}

/* A segment of 64 KiB stays whole for one that takes that, and is cut for another. */
static void test_offloads(void **state)
{
	const struct virtio_net_hdr_v1 header = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16,
	};
	struct guest *a, *b;
	struct virtio_net_hdr_v1 got;
	uint32_t written;

	open_service();
	a = start_guest(1, join("a"), OFFLOADS);
	b = start_guest(2, join("b"), OFFLOADS);
	turn(a, b);
	add_buffers(b, 1, HEADER + NET_FRAME_MAX);
	turn(a, b);
	transmit(a, 2, &header, 65000);
	await_used(b, a);
	memcpy(&got, device_rig_at(&b->rig, device_rig_take(&b->rig, RECEIVE, &written)), HEADER);
	assert_int_equal(written, HEADER + 65000);
	assert_int_equal(got.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(got.gso_size, 1448);
	stop_guest(b);
	/* Its content is not TCP over IP, so that it cannot be cut, and nobody else takes it. */
	b = start_guest(2, join("b"), FEATURE(VIRTIO_NET_F_CSUM));
	turn(a, b);
	add_buffers(b, 4, 2048);
	turn(a, b);
	transmit(a, 2, &header, 65000);
	transmit(a, 2, NULL, 100);
	await_used(b, a);
	device_rig_take(&b->rig, RECEIVE, &written);
	assert_int_equal(written, HEADER + 100);
	assert_false(device_rig_has_used(&b->rig, RECEIVE));
	stop_guest(a);
	stop_guest(b);
	close_service();
}

/* A guest without buffers: frames wait for it, its process sleeps, and none is lost that fits. */
static void test_guest_that_waits(void **state)
{
	struct guest *a, *b;
	uint32_t written;
	uint64_t sleeps;

	open_service();
	a = start_guest(1, join("a"), OFFLOADS);
	b = start_guest(2, join("b"), OFFLOADS);
	add_buffers(b, 1, 2048);
	for (unsigned int i = 0; i < 10; i++) {
		transmit(a, 2, NULL, 100 + i);
		turn(a, b);
	}
	device_rig_take(&b->rig, RECEIVE, &written);
	assert_int_equal(written, HEADER + 100);
	for (unsigned int i = 0; i < 10; i++)
		turn(a, b);
	sleeps = b->loop.sleeps;
	assert_int_equal(event_loop_turn(&b->loop, 1), 0);
	assert_int_equal(b->loop.sleeps, sleeps + 1);
	for (unsigned int i = 1; i < 10; i++) {
		add_buffers(b, 1, 2048);
		await_used(b, a);
		device_rig_take(&b->rig, RECEIVE, &written);
		assert_int_equal(written, HEADER + 100 + i);
	}
	/* Too few buffers for a frame: it is dropped after a while, and the next one comes. */
	add_buffers(b, 1, 2048);
	transmit(a, 2, NULL, 5000);
	transmit(a, 2, NULL, 99);
	for (int i = 0; i < 1000 && !device_rig_has_used(&b->rig, RECEIVE); i++) {
		turn(a, NULL);
		event_loop_turn(&b->loop, 100);
	}
	device_rig_take(&b->rig, RECEIVE, &written);
	assert_int_equal(written, HEADER + 99);
	assert_int_equal(b->net.counts.receive_dropped, 1);
	stop_guest(a);
	stop_guest(b);
	close_service();
}

/* What came before the driver was there is not for it. */
static void test_stale_frames(void **state)
{
	struct guest *a, *b;
	uint32_t written;

	open_service();
	a = start_guest(1, join("a"), OFFLOADS);
	b = start_guest(2, join("b"), OFFLOADS);
	transmit(a, 2, NULL, 100);
	turn(a, b);
	turn(a, b);
	add_buffers(b, 2, 2048);
	turn(a, b);
	transmit(a, 2, NULL, 101);
	await_used(b, a);
	device_rig_take(&b->rig, RECEIVE, &written);
	assert_int_equal(written, HEADER + 101);
	stop_guest(a);
	stop_guest(b);
	close_service();
}

static bool is_up(const struct guest *guest)
{
	return guest->net.config.status & VIRTIO_NET_S_LINK_UP;
}

/* The link is down while there is no switch; it is asked for again and again. */
static void test_switch_that_goes(void **state)
{
	struct guest *a;
	unsigned int changes;

	open_service();
	a = start_guest(1, -1, OFFLOADS);
	assert_false(is_up(a));
	assert_int_equal(a->asked, 1);
	/* A frame is dropped, and nothing else happens. */
	transmit(a, 2, NULL, 100);
	assert_int_equal(a->net.counts.send_dropped, 1);
	changes = a->rig.config_changes;
	net_link_answer(&a->link, join("a"), NULL);
	assert_true(is_up(a));
	assert_int_equal(a->rig.config_changes, changes + 1);
	turn(a, NULL);
	transmit(a, 2, NULL, 100);
	assert_int_equal(a->net.counts.sent, 1);
	/* Its place is taken, as that of a service that dies. */
	close(join("a"));
	turn(a, NULL);
	assert_false(is_up(a));
	assert_int_equal(a->rig.config_changes, changes + 2);
	/* Not at once: two clients of one name take each other's place. */
	assert_int_equal(a->asked, 1);
	for (int i = 0; i < 10 && a->asked == 1; i++)
		event_loop_turn(&a->loop, NET_LINK_RETRY_MS * 2);
	assert_int_equal(a->asked, 2);
	/* No answer brings one: it asks again after a while. */
	a->ask_result = -EBUSY;
	net_link_answer(&a->link, -1, "there is none");
	for (int i = 0; i < 10 && a->asked == 2; i++)
		event_loop_turn(&a->loop, NET_LINK_RETRY_MS * 2);
	assert_int_equal(a->asked, 3);
	a->ask_result = 0;
	for (int i = 0; i < 10 && a->asked == 3; i++)
		event_loop_turn(&a->loop, NET_LINK_RETRY_MS * 2);
	assert_int_equal(a->asked, 4);
	net_link_answer(&a->link, join("a"), NULL);
	assert_true(is_up(a));
	stop_guest(a);
	close_service();
}

/* The switch's end of a channel that the test has itself. */
static int offer(struct channel *channel, const struct channel_shape *shape)
{
	struct error error;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(channel_offer(channel, shape, pair[0], &error), 0);
	return pair[1];
}

/* What no correct switch sends ends the connection, and nothing of it comes to the guest. */
static void test_switch_that_lies(void **state)
{
	static const struct channel_shape shape = {SWITCH_SLOT_SIZE, SWITCH_SLOTS},
					  small = {SWITCH_SLOT_SIZE, SWITCH_SLOTS / 2};
	static uint8_t bytes[HEADER + NET_FRAME_MAX + 1];
	static const struct {
		uint32_t kind, length;
	} lies[] = {
		{SWITCH_FRAME, HEADER + 13},
		{SWITCH_FRAME, sizeof(bytes)},
		{SWITCH_OFFLOADS, HEADER + 100},
		{99, HEADER + 100},
	};
	struct channel channel;
	struct guest *a;
	struct error error;

	open_service();
	for (size_t i = 0; i <= sizeof(lies) / sizeof(lies[0]); i++) {
		a = start_guest(1, offer(&channel, &shape), OFFLOADS);
		add_buffers(a, 10, 2048);
		turn(a, NULL);
		if (i < sizeof(lies) / sizeof(lies[0]))
			channel_send(&channel, lies[i].kind, bytes, lies[i].length);
		else /* its head, as docs/channel.md has it */
			*(uint32_t *)channel.memory += 100000;
		channel_publish(&channel);
		for (int k = 0; k < 10 && is_up(a); k++)
			turn(a, NULL);
		assert_false(is_up(a));
		assert_int_equal(a->link.channel.socket, -1);
		assert_false(device_rig_has_used(&a->rig, RECEIVE));
		stop_guest(a);
		channel_close(&channel);
	}
	/* A service whose channel is too small. */
	a = start_guest(1, -1, OFFLOADS);
	assert_true(net_link_attach(&a->link, offer(&channel, &small), &error) < 0);
	assert_false(is_up(a));
	channel_close(&channel);
	stop_guest(a);
	close_service();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_guests),	 cmocka_unit_test(test_offloads),
		cmocka_unit_test(test_guest_that_waits), cmocka_unit_test(test_stale_frames),
		cmocka_unit_test(test_switch_that_goes), cmocka_unit_test(test_switch_that_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * What other frontends do that the vhost-user specification leaves open, or does not know: each is
 * replayed message by message, in its own order. docs/frontends.md lists their behaviour.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"
#include "virtio/feature.h"

#define PATIENCE_MS  30000
#define RINGS	     2
#define PROTOCOL_BIT (UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES)
#define BIT(name)    FEATURE(VHOST_PROTOCOL_##name)

struct frontend {
	struct rig_guest *guest;
	int fd;
	uint64_t protocol; /* features that it accepts */
	bool asks_replies; /* need_reply on every message, also on those that have a reply anyway */
};

static void start(struct frontend *frontend, struct rig_fixture *fixture, uint64_t features,
		  uint64_t protocol)
{
	struct error error;

	*frontend = (struct frontend){.guest = &fixture->guest, .protocol = protocol};
	fixture->guest.features = features;
	frontend->fd = vhost_client_connect(fixture->rig.path, PATIENCE_MS, &error);
	assert_done(frontend->fd, &error);
}

static void end(struct frontend *frontend)
{
	close(frontend->fd);
}

/* Sends a message, and receives the acknowledgement that it asks for. */
static void send_message(struct frontend *frontend, struct raw_message message)
{
	struct raw_message reply;

	assert_true(raw_send(frontend->fd, &message));
	if (!(message.flags & VHOST_FLAG_NEED_REPLY))
		return;
	assert_true(raw_receive(frontend->fd, &reply));
	assert_int_equal(reply.id, message.id);
	assert_int_equal(reply.payload.number, 0);
}

static void tell(struct frontend *frontend, struct raw_message message)
{
	if (frontend->asks_replies)
		message.flags |= VHOST_FLAG_NEED_REPLY;
	send_message(frontend, message);
}

static void tell_for_certain(struct frontend *frontend, struct raw_message message)
{
	message.flags |= VHOST_FLAG_NEED_REPLY;
	send_message(frontend, message);
}

/* The reply to a request, which arrives once. */
static struct raw_message ask(struct frontend *frontend, struct raw_message message)
{
	struct raw_message reply;

	if (frontend->asks_replies)
		message.flags |= VHOST_FLAG_NEED_REPLY;
	assert_true(raw_send(frontend->fd, &message));
	assert_true(raw_receive(frontend->fd, &reply));
	assert_int_equal(reply.id, message.id);
	assert_int_equal(reply.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
	return reply;
}

static uint64_t ask_number(struct frontend *frontend, uint32_t id)
{
	struct raw_message reply = ask(frontend, raw_message(id, NULL, 0));

	assert_int_equal(reply.size, sizeof(uint64_t));
	return reply.payload.number;
}

static uint32_t ask_base(struct frontend *frontend, uint32_t index)
{
	struct raw_message reply = ask(frontend, raw_state(VHOST_USER_GET_VRING_BASE, index, 0));

	assert_int_equal(reply.size, sizeof(reply.payload.state));
	assert_int_equal(reply.payload.state.index, index);
	return reply.payload.state.num;
}

/* The message sequences that all send, each in its own order. */

static struct raw_message owner(void)
{
	return raw_message(VHOST_USER_SET_OWNER, NULL, 0);
}

static struct raw_message features(const struct frontend *frontend)
{
	return raw_number(VHOST_USER_SET_FEATURES, frontend->guest->features | PROTOCOL_BIT);
}

static void negotiate_protocol(struct frontend *frontend)
{
	uint64_t offered = ask_number(frontend, VHOST_USER_GET_PROTOCOL_FEATURES);

	assert_int_equal(frontend->protocol & ~offered, 0);
	tell(frontend, raw_number(VHOST_USER_SET_PROTOCOL_FEATURES, frontend->protocol));
}

static struct raw_message memory_table(const struct frontend *frontend)
{
	const struct vhost_memory_table table = {
		.count = 2,
		.regions = {frontend->guest->regions[0].region, frontend->guest->regions[1].region},
	};
	struct raw_message message = raw_message(VHOST_USER_SET_MEM_TABLE, &table, 8 + 2 * 32);

	raw_add_fd(&message, frontend->guest->fd);
	raw_add_fd(&message, frontend->guest->fd);
	return message;
}

static struct raw_message memory_slot(const struct frontend *frontend, uint32_t id,
				      unsigned int index)
{
	const struct vhost_memory_slot slot = {.region = frontend->guest->regions[index].region};
	struct raw_message message = raw_message(id, &slot, sizeof(slot));

	raw_add_fd(&message, frontend->guest->fd);
	return message;
}

static struct raw_message ring_size(uint32_t index)
{
	return raw_state(VHOST_USER_SET_VRING_NUM, index, RIG_QUEUE_SIZE);
}

static struct raw_message ring_base(uint32_t index, uint32_t base)
{
	return raw_state(VHOST_USER_SET_VRING_BASE, index, base);
}

static struct raw_message ring_address(const struct frontend *frontend, uint16_t index)
{
	struct vhost_client_ring ring = guest_ring_setup(frontend->guest, index);
	const struct vhost_vring_addr address = {
		.index = index,
		.desc_user_addr = ring.descriptors,
		.avail_user_addr = ring.driver,
		.used_user_addr = ring.device,
	};

	return raw_message(VHOST_USER_SET_VRING_ADDR, &address, sizeof(address));
}

static struct raw_message ring_event(uint32_t id, uint32_t index, int fd)
{
	struct raw_message message = raw_number(id, index);

	raw_add_fd(&message, fd);
	return message;
}

static struct raw_message ring_call(const struct frontend *frontend, uint16_t index)
{
	return ring_event(VHOST_USER_SET_VRING_CALL, index, frontend->guest->rings[index].call_fd);
}

static struct raw_message ring_kick(const struct frontend *frontend, uint16_t index)
{
	return ring_event(VHOST_USER_SET_VRING_KICK, index, frontend->guest->rings[index].kick_fd);
}

static struct raw_message ring_enable(uint32_t index, bool enable)
{
	return raw_state(VHOST_USER_SET_VRING_ENABLE, index, enable);
}

static struct raw_message backend_channel(int *own_end)
{
	struct raw_message message = raw_message(VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*own_end = pair[0];
	raw_add_fd(&message, pair[1]);
	return message;
}

static struct raw_message config(uint32_t id, uint32_t offset, uint32_t size, uint32_t flags,
				 size_t payload)
{
	const struct vhost_config space = {.offset = offset,
					   .size = size,
					   .flags = flags,
					   .data = {0x77}};

	return raw_message(id, &space, offsetof(struct vhost_config, data) + payload);
}

static void echo(struct frontend *frontend)
{
	for (uint16_t i = 0; i < RINGS; i++)
		guest_echo(frontend->guest, i);
}

/* DPDK: drivers/net/virtio/virtio_user, 22.11 and 26.07 */

static void start_rings_of_dpdk(struct frontend *frontend)
{
	/* The used part of a packed ring's base is zero. */
	uint32_t base = frontend->guest->features & RIG_PACKED ? 0x8000 : 0;

	for (uint16_t i = 0; i < RINGS; i++)
		tell(frontend, ring_call(frontend, i));
	tell(frontend, features(frontend));
	tell_for_certain(frontend, raw_number(VHOST_USER_SET_STATUS, 0xb));
	assert_int_equal(ask_number(frontend, VHOST_USER_GET_STATUS) & 0xb, 0xb);
	tell_for_certain(frontend, memory_table(frontend));
	for (uint16_t i = 0; i < RINGS; i++) {
		guest_clear_ring(frontend->guest, i);
		tell(frontend, ring_size(i));
		tell(frontend, ring_base(i, base));
		tell(frontend, ring_address(frontend, i));
		tell(frontend, ring_kick(frontend, i));
	}
	for (uint16_t i = 0; i < RINGS; i++)
		tell(frontend, ring_enable(i, true));
	tell_for_certain(frontend, raw_number(VHOST_USER_SET_STATUS, 0xf));
}

static void play_dpdk(struct rig_fixture *fixture, uint64_t chosen)
{
	struct frontend frontend;

	start(&frontend, fixture, chosen, BIT(MQ) | BIT(REPLY_ACK) | BIT(STATUS));
	tell(&frontend, owner());
	ask_number(&frontend, VHOST_USER_GET_FEATURES);
	negotiate_protocol(&frontend);
	start_rings_of_dpdk(&frontend);
	echo(&frontend);
	/* Its memory grows: it contains the rings, and all of it is sent again. */
	for (uint16_t i = 0; i < RINGS; i++)
		tell(&frontend, ring_enable(i, false));
	tell_for_certain(&frontend, memory_table(&frontend));
	for (uint16_t i = 0; i < RINGS; i++)
		tell(&frontend, ring_enable(i, true));
	echo(&frontend);
	/* A port is stopped and started. It never sends SET_STATUS 0; it never used ring 2. */
	for (uint16_t i = 0; i < RINGS; i++)
		tell(&frontend, ring_enable(i, false));
	for (uint16_t i = 0; i < RIG_QUEUES; i++)
		ask_base(&frontend, i);
	start_rings_of_dpdk(&frontend);
	echo(&frontend);
	end(&frontend);
}

static void dpdk_with_split_rings(void **state)
{
	play_dpdk(*state, RIG_VERSION_1);
}

static void dpdk_with_packed_rings(void **state)
{
	play_dpdk(*state, RIG_VERSION_1 | RIG_PACKED);
}

/* SPDK: lib/virtio/virtio_vhost_user.c */

static void start_rings_of_spdk(struct frontend *frontend)
{
	tell(frontend, features(frontend));
	negotiate_protocol(frontend);
	/* Enabled before any other message about them. */
	for (uint16_t i = 0; i < RINGS; i++)
		tell(frontend, ring_enable(i, true));
	assert_int_equal(ask_number(frontend, VHOST_USER_GET_QUEUE_NUM), RIG_QUEUES);
	for (uint16_t i = 0; i < RINGS; i++)
		tell(frontend, ring_call(frontend, i));
	tell(frontend, memory_table(frontend));
	ask_number(frontend, VHOST_USER_GET_FEATURES);
	for (uint16_t i = 0; i < RINGS; i++) {
		guest_clear_ring(frontend->guest, i);
		tell(frontend, ring_size(i));
		tell(frontend, ring_base(i, 0));
		tell(frontend, ring_address(frontend, i));
		tell(frontend, ring_kick(frontend, i));
	}
}

static void spdk(void **state)
{
	struct rig_fixture *fixture = *state;
	struct frontend frontend;
	struct raw_message reply;

	start(&frontend, fixture, RIG_VERSION_1 | RIG_EVENT_INDEX, BIT(MQ) | BIT(CONFIG));
	tell(&frontend, owner());
	ask_number(&frontend, VHOST_USER_GET_FEATURES);
	for (unsigned int round = 0; round < 2; round++) {
		start_rings_of_spdk(&frontend);
		/* It reads and writes with the largest payload, whatever size it announces. */
		reply = ask(&frontend, config(VHOST_USER_GET_CONFIG, 0, 256, 0, 256));
		assert_int_equal(reply.size, offsetof(struct vhost_config, data) + 256);
		tell(&frontend, config(VHOST_USER_SET_CONFIG, 1, 1, 0, 256));
		reply = ask(&frontend, config(VHOST_USER_GET_CONFIG, 0, 256, 0, 256));
		assert_int_equal(reply.payload.config.data[0], 0);
		assert_int_equal(reply.payload.config.data[1], 0x77);
		assert_int_equal(reply.payload.config.data[2], 2);
		echo(&frontend);
		for (uint16_t i = 0; i < RINGS; i++)
			ask_base(&frontend, i);
		tell(&frontend, memory_table(&frontend));
		ask_number(&frontend, VHOST_USER_GET_FEATURES);
	}
	end(&frontend);
}

/*
 * Cloud Hypervisor: virtio-devices/src/vhost_user, with rust-vmm's vhost/src/vhost_user/frontend.rs
 */

static void start_rings_of_cloud_hypervisor(struct frontend *frontend,
					    struct vhost_inflight *inflight, int *record)
{
	struct raw_message message;

	tell(frontend, features(frontend));
	tell(frontend, memory_table(frontend));
	for (uint16_t i = 0; i < RINGS; i++)
		tell(frontend, ring_size(i));
	if (*record < 0) {
		*inflight =
			(struct vhost_inflight){.queue_count = RINGS, .queue_size = RIG_QUEUE_SIZE};
		/* A packed structure: without the four bytes of padding. */
		message = ask(frontend, raw_message(VHOST_USER_GET_INFLIGHT_FD, inflight, 20));
		assert_int_equal(message.size, 20);
		assert_int_equal(message.fd_count, 1);
		*inflight = message.payload.inflight;
		*record = message.fds[0];
	}
	message = raw_message(VHOST_USER_SET_INFLIGHT_FD, inflight, 20);
	raw_add_fd(&message, *record);
	tell(frontend, message);
	for (uint16_t i = 0; i < RINGS; i++) {
		guest_clear_ring(frontend->guest, i);
		tell(frontend, ring_address(frontend, i));
		tell(frontend, ring_base(i, 0));
		tell(frontend, ring_call(frontend, i));
		tell(frontend, ring_kick(frontend, i));
	}
	for (uint16_t i = 0; i < RINGS; i++)
		tell(frontend, ring_enable(i, true));
}

static void cloud_hypervisor(void **state)
{
	struct rig_fixture *fixture = *state;
	struct frontend frontend;
	struct vhost_inflight inflight;
	int record = -1, channel;
	struct raw_message message;

	start(&frontend, fixture, RIG_VERSION_1 | RIG_EVENT_INDEX,
	      BIT(MQ) | BIT(CONFIG) | BIT(CONFIGURE_MEM_SLOTS) | BIT(REPLY_ACK) |
		      BIT(INFLIGHT_SHMFD) | BIT(BACKEND_REQ));
	tell(&frontend, owner());
	ask_number(&frontend, VHOST_USER_GET_FEATURES);
	negotiate_protocol(&frontend);
	frontend.asks_replies = true;
	assert_int_equal(ask_number(&frontend, VHOST_USER_GET_QUEUE_NUM), RIG_QUEUES);
	message = ask(&frontend, config(VHOST_USER_GET_CONFIG, 0, 96, 1, 96));
	assert_int_equal(message.size, offsetof(struct vhost_config, data) + 96);
	assert_int_equal(message.payload.config.flags, 1);
	for (unsigned int round = 0; round < 2; round++) {
		start_rings_of_cloud_hypervisor(&frontend, &inflight, &record);
		/* The channel is sent while the rings run already. */
		message = backend_channel(&channel);
		tell(&frontend, message);
		raw_close_fds(&message);
		echo(&frontend);
		for (uint16_t i = 0; i < RINGS; i++)
			tell(&frontend, ring_enable(i, false));
		guest_request(frontend.guest, 0, 1, 1);
		guest_expect_nothing(frontend.guest, 0);
		for (uint16_t i = 0; i < RINGS; i++)
			tell(&frontend, ring_enable(i, true));
		guest_expect(frontend.guest, 0, 1, 1);
		for (uint16_t i = 0; i < RINGS; i++) {
			tell(&frontend, ring_enable(i, false));
			ask_base(&frontend, i);
		}
		close(channel);
	}
	close(record);
	end(&frontend);
}

/* crosvm: devices/src/virtio/vhost_user_frontend, third_party/vmm_vhost */

static void start_rings_of_crosvm(struct frontend *frontend)
{
	tell(frontend, memory_table(frontend));
	for (uint16_t i = 0; i < RINGS; i++) {
		guest_clear_ring(frontend->guest, i);
		tell(frontend, ring_size(i));
		tell(frontend, ring_address(frontend, i));
		tell(frontend, ring_base(i, 0));
		tell(frontend, ring_call(frontend, i));
		tell(frontend, ring_kick(frontend, i));
		tell(frontend, ring_enable(i, true));
	}
}

static void stop_rings_of_crosvm(struct frontend *frontend)
{
	for (uint16_t i = 0; i < RINGS; i++) {
		tell(frontend, ring_enable(i, false));
		assert_in_range(ask_base(frontend, i), 0, UINT16_MAX);
	}
}

static void crosvm(void **state)
{
	struct rig_fixture *fixture = *state;
	struct frontend frontend;
	struct driver_buffer outside = {{0x42}, 1};
	struct raw_message message;
	int channel;

	start(&frontend, fixture, RIG_VERSION_1 | RIG_EVENT_INDEX,
	      BIT(CONFIG) | BIT(MQ) | BIT(BACKEND_REQ) | BIT(REPLY_ACK));
	tell(&frontend, owner());
	ask_number(&frontend, VHOST_USER_GET_FEATURES);
	negotiate_protocol(&frontend);
	message = backend_channel(&channel);
	tell(&frontend, message);
	raw_close_fds(&message);
	assert_int_equal(ask_number(&frontend, VHOST_USER_GET_QUEUE_NUM), RIG_QUEUES);
	/* Each access to configuration space is passed on as it is. */
	message = ask(&frontend, config(VHOST_USER_GET_CONFIG, 5, 2, 1, 2));
	assert_int_equal(message.payload.config.data[1], 6);
	tell(&frontend, config(VHOST_USER_SET_CONFIG, 5, 1, 0, 1));
	message = ask(&frontend, config(VHOST_USER_GET_CONFIG, 5, 1, 1, 1));
	assert_int_equal(message.payload.config.data[0], 0x77);
	/* It sends the features once, and not again while the driver selects the same ones. */
	tell(&frontend, features(&frontend));
	for (unsigned int round = 0; round < 3; round++) {
		start_rings_of_crosvm(&frontend);
		echo(&frontend);
		/* A driver makes an error, resets the device, and then has a working one. */
		if (round > 0) {
			assert_int_equal(driver_queue_add(&frontend.guest->rings[0].driver,
							  &outside, 1, 0, &outside),
					 0);
			guest_request(frontend.guest, 0, 1, 1);
			assert_true(rig_logged(&fixture->rig, "queue 0: "));
		}
		stop_rings_of_crosvm(&frontend);
	}
	close(channel);
	end(&frontend);
}

/*
 * QEMU: hw/virtio/vhost-user.c and vhost.c, 7.2 and newer; a network card has a vhost_dev for each
 * pair.
 */

static void start_of_qemu(struct frontend *frontend, uint16_t device, bool fresh)
{
	struct rig_guest *guest = frontend->guest;

	/* While the rings of the device before it run. */
	tell(frontend, features(frontend));
	ask_number(frontend, VHOST_USER_GET_STATUS);
	tell(frontend, raw_number(VHOST_USER_SET_STATUS, VIRTIO_CONFIG_S_FEATURES_OK));
	if (device == 0 && fresh) {
		tell_for_certain(frontend, memory_slot(frontend, VHOST_USER_ADD_MEM_REG, 0));
		tell_for_certain(frontend, memory_slot(frontend, VHOST_USER_ADD_MEM_REG, 1));
	}
	if (fresh)
		guest_clear_ring(guest, device);
	tell(frontend, ring_size(device));
	tell(frontend, ring_base(device, guest->rings[device].base));
	tell(frontend, ring_address(frontend, device));
	tell(frontend, ring_kick(frontend, device));
	tell(frontend, ring_call(frontend, device));
	tell_for_certain(frontend, ring_enable(device, true));
	if (device == RINGS - 1)
		tell(frontend, raw_number(VHOST_USER_SET_STATUS, 0xf));
}

static void stop_of_qemu(struct frontend *frontend, bool reset_first)
{
	if (reset_first)
		tell(frontend, raw_number(VHOST_USER_SET_STATUS, 0));
	for (uint16_t i = 0; i < RINGS; i++) {
		tell_for_certain(frontend, ring_enable(i, false));
		frontend->guest->rings[i].base = ask_base(frontend, i);
	}
	if (!reset_first)
		tell(frontend, raw_number(VHOST_USER_SET_STATUS, 0));
}

#define QEMU_ROUNDS 4

static void play_qemu(struct rig_fixture *fixture, uint64_t chosen, bool reset_first)
{
	struct frontend frontend;
	struct raw_message message;
	int masked = -1;

	start(&frontend, fixture, chosen, vhost_protocol_features);
	for (uint16_t device = 0; device < RINGS; device++) {
		ask_number(&frontend, VHOST_USER_GET_FEATURES);
		negotiate_protocol(&frontend);
		if (device == 0) {
			ask_number(&frontend, VHOST_USER_GET_QUEUE_NUM);
			ask_number(&frontend, VHOST_USER_GET_MAX_MEM_SLOTS);
			message = backend_channel(&masked);
			tell_for_certain(&frontend, message);
			raw_close_fds(&message);
			/* After all this, and not first. */
			tell(&frontend, owner());
		}
		ask_number(&frontend, VHOST_USER_GET_FEATURES);
		tell(&frontend, ring_call(&frontend, device));
		tell(&frontend, ring_event(VHOST_USER_SET_VRING_ERR, device,
					   frontend.guest->rings[device].err_fd));
	}
	for (unsigned int round = 0; round < QEMU_ROUNDS; round++) {
		for (uint16_t device = 0; device < RINGS; device++) {
			start_of_qemu(&frontend, device, round == 0);
			/* Answered before the pause, or after it when it arrived first. */
			if (device == 0 && round > 0)
				guest_expect(frontend.guest, 0, 1, round - 1);
			guest_echo(frontend.guest, device);
		}
		/*
		 * Memory is unplugged; older versions send a descriptor with it, which is closed.
		 */
		tell_for_certain(&frontend, memory_slot(&frontend, VHOST_USER_REM_MEM_REG, 1));
		tell_for_certain(&frontend, memory_slot(&frontend, VHOST_USER_ADD_MEM_REG, 1));
		echo(&frontend);
		/* The guest is paused, and continues. */
		if (round < QEMU_ROUNDS - 1)
			guest_request(frontend.guest, 0, 1, round);
		stop_of_qemu(&frontend, reset_first);
	}
	close(masked);
	end(&frontend);
}

static void qemu_7_2_with_split_rings(void **state)
{
	play_qemu(*state, RIG_VERSION_1 | RIG_EVENT_INDEX, true);
}

static void qemu_7_2_with_packed_rings(void **state)
{
	play_qemu(*state, RIG_VERSION_1 | RIG_PACKED, true);
}

static void qemu_with_split_rings(void **state)
{
	play_qemu(*state, RIG_VERSION_1 | RIG_EVENT_INDEX, false);
}

static void qemu_with_packed_rings(void **state)
{
	play_qemu(*state, RIG_VERSION_1 | RIG_PACKED | RIG_EVENT_INDEX, false);
}

/* The base of a packed ring */

/*
 * Frontends and device processes that know only the available part return 16 bits of what they got,
 * at either position (rust-vmm's set_vring_base, DPDK's vhost library).
 */
static void used_index_is_left_out(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_PACKED);
	for (unsigned int round = 0; round < 40; round++) {
		for (unsigned int i = 0; i < 5 * round; i++) {
			guest_request(guest, 0, i % 7, i);
			guest_expect(guest, 0, i % 7, i);
		}
		assert_done(vhost_client_stop_ring(guest->client, 0, &guest->rings[0].base, &error),
			    &error);
		guest->rings[0].base &= UINT16_MAX;
		guest_start_ring(guest, 0, false);
	}
	guest_echo(guest, 0);
}

/* The same at the start, with an in-flight record that has no requests. */
static void used_index_is_left_out_with_a_record(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct vhost_inflight inflight;
	struct vhost_client_ring setup;
	struct error error;
	int fd;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1 | RIG_PACKED);
	assert_done(vhost_client_get_inflight(guest->client, RIG_QUEUES, RIG_QUEUE_SIZE, &inflight,
					      &fd, &error),
		    &error);
	assert_done(vhost_client_set_inflight(guest->client, &inflight, fd, &error), &error);
	close(fd);
	guest_clear_ring(guest, 0);
	setup = guest_ring_setup(guest, 0);
	setup.base = 0x8000;
	assert_done(vhost_client_start_ring(guest->client, &setup, &error), &error);
	guest_echo(guest, 0);
}

/* QEMU and DPDK ask for the position of rings that never ran, and QEMU sends it back. */
static void a_ring_that_never_ran_is_where_it_was_put(void **state)
{
	struct rig_fixture *fixture = *state;
	static const uint32_t positions[] = {0x80008000, 0x80058005, 0x00050005, 0x00078005};
	struct frontend frontend;

	start(&frontend, fixture, RIG_VERSION_1 | RIG_PACKED, BIT(STATUS));
	negotiate_protocol(&frontend);
	tell(&frontend, features(&frontend));
	for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		tell(&frontend, ring_base(0, positions[i]));
		assert_int_equal(ask_base(&frontend, 0), positions[i]);
		assert_int_equal(ask_base(&frontend, 0), positions[i]);
	}
	tell(&frontend, raw_number(VHOST_USER_SET_STATUS, 0));
	assert_int_equal(ask_base(&frontend, 0), positions[3]);
	end(&frontend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(dpdk_with_split_rings),
		rig_test(dpdk_with_packed_rings),
		rig_test(spdk),
		rig_test(cloud_hypervisor),
		rig_test(crosvm),
		rig_test(qemu_7_2_with_split_rings),
		rig_test(qemu_7_2_with_packed_rings),
		rig_test(qemu_with_split_rings),
		rig_test(qemu_with_packed_rings),
		rig_test(used_index_is_left_out),
		rig_test(used_index_is_left_out_with_a_record),
		rig_test(a_ring_that_never_ran_is_where_it_was_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

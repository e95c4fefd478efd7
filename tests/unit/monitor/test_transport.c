// SPDX-License-Identifier: BSD-3-Clause
/*
 * The common part of transports, without MMIO registers: a decoder of this file gives each call an
 * interrupt of its own, as MSI does, and each queue an address for kicks, as virtio-pci does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <unistd.h>

#include "monitor/virtio/transport.h"
#include "unit/mmio_board.h"

#define KICKS	    UINT64_C(0xe0000000)
#define KICK_STRIDE 0x100
#define FIRST_IRQ   40

struct toy {
	struct board board;
	struct transport transport;
	unsigned int refused_call; /* a call whose interrupt cannot be added */
};

static struct hypervisor_kick describe_kick(void *context, uint16_t index)
{
	return (struct hypervisor_kick){KICKS + index * KICK_STRIDE, 4, index, -1};
}

static int add_interrupt(void *context, struct hypervisor *hypervisor, uint16_t call, int fd,
			 struct error *error)
{
	const struct toy *toy = context;

	if (call == toy->refused_call)
		return error_set(error, ENOSPC, "no interrupt is left");
	return hypervisor->ops->add_interrupt(hypervisor, FIRST_IRQ + call, fd, error);
}

static void remove_interrupt(void *context, struct hypervisor *hypervisor, uint16_t call, int fd)
{
	hypervisor->ops->remove_interrupt(hypervisor, FIRST_IRQ + call, fd, NULL);
}

static const struct transport_ops toy_ops = {
	.kick = describe_kick,
	.add_interrupt = add_interrupt,
	.remove_interrupt = remove_interrupt,
};

static int set_up(void **state)
{
	static struct toy toy;
	struct error error;

	board_open(&toy.board);
	toy.refused_call = UINT16_MAX;
	assert_done(transport_open(&toy.transport, &toy.board.setup, &toy_ops, &toy, &error),
		    &error);
	assert_int_equal(loop_thread_start(&toy.board.thread, "test0", NULL), 0);
	transport_attach(&toy.transport, &toy.board.fake.hypervisor);
	*state = &toy;
	return 0;
}

static int tear_down(void **state)
{
	struct toy *toy = *state;

	transport_detach(&toy->transport);
	assert_int_equal(toy->board.fake.kick_count, 0);
	assert_int_equal(toy->board.fake.interrupt_count, 0);
	transport_hang_up(&toy->transport);
	loop_thread_stop(&toy->board.thread);
	transport_close(&toy->transport);
	board_close(&toy->board);
	return 0;
}

/* The driver: each function is an access that a decoder would make under the lock. */

static void write_status(struct toy *toy, uint32_t value)
{
	transport_lock(&toy->transport);
	transport_write_status(&toy->transport, value);
	transport_unlock(&toy->transport);
}

static uint32_t read_status(struct toy *toy)
{
	uint32_t status;

	transport_lock(&toy->transport);
	status = transport_status(&toy->transport);
	transport_unlock(&toy->transport);
	return status;
}

static uint32_t interrupts(struct toy *toy)
{
	uint32_t value;

	transport_lock(&toy->transport);
	value = transport_interrupts(&toy->transport);
	transport_acknowledge(&toy->transport, value);
	transport_unlock(&toy->transport);
	return value;
}

static void negotiate(struct toy *toy, uint64_t features)
{
	toy->board.features = features;
	write_status(toy, 0);
	write_status(toy, STATUS_DRIVER);
	transport_lock(&toy->transport);
	for (uint32_t word = 0; word < 2; word++)
		transport_write_driver_features(&toy->transport, word,
						(uint32_t)(features >> 32 * word));
	transport_unlock(&toy->transport);
	write_status(toy, STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(read_status(toy) & VIRTIO_CONFIG_S_FEATURES_OK);
}

static void set_up_queue(struct toy *toy, unsigned int index)
{
	uint64_t ring = board_clear_queue(&toy->board, index);
	const struct driver_queue_layout *layout = &toy->board.queues[index].layout;
	struct transport_queue *queue;

	transport_lock(&toy->transport);
	queue = transport_queue(&toy->transport, index);
	queue->size = QUEUE_SIZE;
	queue->descriptors = ring + layout->descriptors;
	queue->driver = ring + layout->driver;
	queue->device = ring + layout->device;
	transport_set_ready(&toy->transport, index, true);
	transport_unlock(&toy->transport);
}

static void boot(struct toy *toy, uint64_t features)
{
	negotiate(toy, features);
	for (unsigned int i = 0; i < RIG_QUEUES; i++)
		set_up_queue(toy, i);
	write_status(toy, read_status(toy) | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void echo(struct toy *toy, unsigned int index)
{
	board_add(&toy->board, index);
	if (driver_queue_kick_wanted(&toy->board.queues[index]))
		assert_true(fake_write(&toy->board.fake, KICKS + index * KICK_STRIDE, index));
	board_expect_answer(&toy->board, index);
}

/* The calls that were signalled since the last look, a bit each. */
static unsigned int take_calls(struct toy *toy)
{
	unsigned int calls = 0;

	for (unsigned int call = 0; call < 1 + RIG_QUEUES; call++)
		if (fake_take_interrupt(&toy->board.fake, FIRST_IRQ + call))
			calls |= 1u << call;
	return calls;
}

/* Waits for that call, and no other. */
static void expect_call(struct toy *toy, unsigned int call)
{
	unsigned int calls = 0;

	for (int i = 0; i < 5000 && !calls; i++) {
		calls = take_calls(toy);
		if (!calls)
			usleep(1000);
	}
	assert_int_equal(calls, 1u << call);
}

static void change_config(struct vhost_rig *rig, void *context)
{
	rig->test.config[RIG_WRITABLE]++;
	virtio_device_config_changed(&rig->test.device);
}

static void do_nothing(struct vhost_rig *rig, void *context)
{
}

/* Takes the signals of what the device has done so far, also of the start of its rings. */
static void forget_calls(struct toy *toy)
{
	/* The device's thread has finished what it did before. */
	rig_run(&toy->board.rig, do_nothing, NULL);
	take_calls(toy);
}

static void expect_calls(struct toy *toy)
{
	forget_calls(toy);
	for (unsigned int round = 0; round < 3; round++)
		for (unsigned int index = 0; index < 2; index++) {
			echo(toy, index);
			expect_call(toy, 1 + index);
		}
	assert_int_equal(interrupts(toy), TRANSPORT_INTERRUPT_USED);
	rig_run(&toy->board.rig, change_config, NULL);
	expect_call(toy, REMOTE_CONFIG_CALL);
	assert_int_equal(interrupts(toy), TRANSPORT_INTERRUPT_CONFIG);
	assert_int_equal(interrupts(toy), 0);
}

static void test_each_call_raises_its_own_interrupt(void **state)
{
	struct toy *toy = *state;

	assert_int_equal(toy->board.fake.interrupt_count, 0);
	boot(toy, RIG_VERSION_1);
	assert_int_equal(toy->board.fake.interrupt_count, 1 + RIG_QUEUES);
	assert_int_equal(toy->board.fake.kick_count, RIG_QUEUES);
	expect_calls(toy);
	/* They stay over a reset of the device: interrupts belong to the machine. */
	boot(toy, RIG_VERSION_1 | RIG_PACKED);
	assert_int_equal(toy->board.fake.interrupt_count, 1 + RIG_QUEUES);
	expect_calls(toy);
}

/* All eventfds are replaced, and all are signalled: earlier signals may have been lost. */
static void test_calls_of_the_next_process(void **state)
{
	struct toy *toy = *state;
	unsigned int calls = 0;

	boot(toy, RIG_VERSION_1);
	expect_calls(toy);
	rig_stop(&toy->board.rig);
	rig_start(&toy->board.rig, -1);
	board_lead_to_server(&toy->board);
	for (int i = 0; i < 5000 && calls != (1u << (1 + RIG_QUEUES)) - 1; i++) {
		calls |= take_calls(toy);
		usleep(1000);
	}
	assert_int_equal(calls, (1u << (1 + RIG_QUEUES)) - 1);
	echo(toy, 0);
	echo(toy, 1);
	interrupts(toy);
	expect_calls(toy);
	assert_int_equal(toy->board.fake.interrupt_count, 1 + RIG_QUEUES);
}

static void test_an_interrupt_cannot_be_added(void **state)
{
	struct toy *toy = *state;

	toy->refused_call = 2;
	boot(toy, RIG_VERSION_1);
	assert_true(read_status(toy) & VIRTIO_CONFIG_S_NEEDS_RESET);
	interrupts(toy);
	/* The driver's next attempt adds what is missing. */
	toy->refused_call = UINT16_MAX;
	boot(toy, RIG_VERSION_1);
	assert_false(read_status(toy) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(toy->board.fake.interrupt_count, 1 + RIG_QUEUES);
	expect_calls(toy);
}

static bool queue_exists(struct toy *toy, uint32_t index)
{
	bool exists;

	transport_lock(&toy->transport);
	exists = transport_queue(&toy->transport, index) ||
		 transport_queue_size_max(&toy->transport, index);
	transport_set_ready(&toy->transport, index, true);
	transport_reset_queue(&toy->transport, index);
	transport_unlock(&toy->transport);
	return exists;
}

/* Any index or word that a register can hold. */
static void test_indices_out_of_range(void **state)
{
	struct toy *toy = *state;
	static const uint32_t indices[] = {RIG_QUEUES, DEVICE_SHAPE_QUEUES_MAX, UINT16_MAX,
					   UINT16_MAX + 1, UINT32_MAX};
	uint32_t beyond;

	negotiate(toy, RIG_VERSION_1 | FEATURE_RESET);
	for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++)
		assert_false(queue_exists(toy, indices[i]));
	assert_true(queue_exists(toy, RIG_QUEUES - 1));
	transport_lock(&toy->transport);
	beyond = transport_device_features(&toy->transport, 2) |
		 transport_device_features(&toy->transport, UINT32_MAX);
	transport_unlock(&toy->transport);
	assert_int_equal(beyond, 0);
}

/* A queue that is reset runs again; the other one is not disturbed. */
static void test_queue_reset(void **state)
{
	struct toy *toy = *state;

	boot(toy, RIG_VERSION_1 | FEATURE_RESET);
	echo(toy, 0);
	transport_lock(&toy->transport);
	transport_reset_queue(&toy->transport, 0);
	transport_unlock(&toy->transport);
	assert_false(fake_write(&toy->board.fake, KICKS, 0));
	echo(toy, 1);
	set_up_queue(toy, 0);
	echo(toy, 0);
}

/* A process may offer anything; the transport offers what it can serve, and device types define. */
static void test_features_that_no_transport_supports(void **state)
{
	const uint64_t own = UINT64_C(0x3fff) << 50 | 0xffffff;
	struct toy *toy = *state;
	struct error error;

	/* With a process of which the first transport knows nothing. */
	tear_down(state);
	board_open(&toy->board);
	toy->board.rig.test.device.offered = UINT64_MAX;
	assert_done(transport_open(&toy->transport, &toy->board.setup, &toy_ops, toy, &error),
		    &error);
	assert_int_equal(loop_thread_start(&toy->board.thread, "test0", NULL), 0);
	transport_attach(&toy->transport, &toy->board.fake.hypervisor);
	assert_int_equal(transport_device_features(&toy->transport, 0),
			 (uint32_t)own | UINT32_C(0x30000000));
	assert_int_equal(transport_device_features(&toy->transport, 1),
			 (uint32_t)(own >> 32) | 0x10d);
}

#define TOY_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOY_TEST(test_each_call_raises_its_own_interrupt),
		TOY_TEST(test_calls_of_the_next_process),
		TOY_TEST(test_an_interrupt_cannot_be_added),
		TOY_TEST(test_indices_out_of_range),
		TOY_TEST(test_queue_reset),
		TOY_TEST(test_features_that_no_transport_supports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

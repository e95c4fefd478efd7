// SPDX-License-Identifier: BSD-3-Clause
/* Commands as rows of a table: what is copied, what is checked, what a command gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "device/kit/command_table.h"
#include "unit/device_rig.h"
#include "virtio/container_of.h"

#define FEATURE_BIT 3

struct header {
	uint32_t token;
	uint16_t id; /* with bits that are not part of it, above 0xfff */
};

struct add_command {
	struct header header;
	uint16_t first, second;
};

struct fixture {
	struct virtio_device device;
	struct virtqueue queue;
	struct device_rig rig;
	uint64_t in; /* where the last request was put */
	int result;
	unsigned int runs;
	uint64_t readable_left;
};

static struct fixture *of(struct virtio_device *device)
{
	return container_of(device, struct fixture, device);
}

/* Answers with the sum, while the driver changes what it has sent. */
static int add(struct virtio_device *device, const void *message, struct virtio_request *request)
{
	struct fixture *f = of(device);
	const struct add_command *command = message;
	uint32_t sum = command->first;

	assert_int_equal((uintptr_t)message % 8, 0);
	f->runs++;
	f->readable_left = request->readable.left;
	memset(f->rig.ram + f->rig.rings_end, 0xff, 64);
	sum += command->second;
	assert_int_equal(command->header.token, 0x11223344);
	request_write(request, &sum, sizeof(sum));
	return 0;
}

static int refuse(struct virtio_device *device, const void *message, struct virtio_request *request)
{
	of(device)->runs++;
	return -EBUSY;
}

static uint32_t id_of(const void *header)
{
	return ((const struct header *)header)->id & 0xfff;
}

static const struct command_row commands[] = {
	{1, VIRTIO_F_VERSION_1, sizeof(struct add_command), add},
	{2, VIRTIO_F_VERSION_1, sizeof(struct header), refuse},
	{3, FEATURE_BIT, sizeof(struct header), refuse},
	{4, VIRTIO_F_VERSION_1, sizeof(struct header) - 1, refuse},
	{5, VIRTIO_F_VERSION_1, UINT8_MAX, refuse},
};

static const struct command_table table = {
	.rows = commands,
	.count = sizeof(commands) / sizeof(commands[0]),
	.header_size = sizeof(struct header),
	.id_of = id_of,
};

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct virtio_request *request;

	for_each_request(request, queue) {
		of(device)->result = command_table_run(&table, device, request);
		virtqueue_push(queue, request);
	}
}

static const struct virtio_device_class test_class = {
	.name = "commands",
	.id = 42,
	.handle = handle,
};

static void start(struct fixture *f, uint64_t features)
{
	memset(f, 0, sizeof(*f));
	virtio_device_init(&f->device, &test_class, UINT64_C(1) << FEATURE_BIT, NULL, 0, &f->queue,
			   1, 32);
	device_rig_start(&f->rig, &f->device, features, 32);
}

/* Sends @length bytes in descriptors of at most @cut. Returns the result. */
static int run(struct fixture *f, const void *bytes, size_t length, size_t cut, uint32_t *written)
{
	device_rig_clear(&f->rig);
	device_rig_add(&f->rig, 0, bytes, length, 8, cut);
	f->runs = 0;
	f->result = 1;
	device_rig_kick(&f->rig, 0);
	f->in = device_rig_take(&f->rig, 0, written);
	return f->result;
}

static int run_id(struct fixture *f, uint16_t id, size_t length)
{
	uint8_t bytes[1024] = {0};
	uint32_t written;

	memcpy(bytes + offsetof(struct header, id), &id, sizeof(id));
	return run(f, bytes, length, 64, &written);
}

static void test_copies_once_and_answers(void **state)
{
	struct {
		struct add_command command;
		char rest[5];
	} sent = {{{0x11223344, 0xf001}, 7, 35}, "more"};
	static const size_t cuts[] = {1, 3, 64};
	struct fixture f;

	(void)state;
	start(&f, 0);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		uint32_t written, sum;

		assert_int_equal(run(&f, &sent, sizeof(sent.command) + 5, cuts[i], &written), 0);
		assert_int_equal(f.runs, 1);
		assert_int_equal(f.readable_left, 5);
		assert_int_equal(written, sizeof(sum));
		memcpy(&sum, device_rig_at(&f.rig, f.in), sizeof(sum));
		assert_int_equal(sum, 42);
	}
	device_rig_stop(&f.rig);
}

static void test_short_commands(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 0);
	for (size_t length = 0; length < sizeof(struct header); length++)
		assert_int_equal(run_id(&f, 2, length), -EINVAL);
	for (size_t length = sizeof(struct header); length < sizeof(struct add_command); length++)
		assert_int_equal(run_id(&f, 1, length), -EINVAL);
	assert_int_equal(f.runs, 0);
	assert_int_equal(run_id(&f, 5, UINT8_MAX - 1), -EINVAL);
	assert_int_equal(f.runs, 0);
	assert_int_equal(run_id(&f, 5, UINT8_MAX), -EBUSY);
	assert_int_equal(f.runs, 1);
	device_rig_stop(&f.rig);
}

static void test_commands_that_may_not_be_used(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 0);
	assert_int_equal(run_id(&f, 2, sizeof(struct header)), -EBUSY);
	assert_int_equal(run_id(&f, 0, sizeof(struct header)), -EOPNOTSUPP);
	assert_int_equal(run_id(&f, 6, sizeof(struct header)), -EOPNOTSUPP);
	assert_int_equal(run_id(&f, 3, sizeof(struct header)), -EOPNOTSUPP);
	/* A wrong row does no harm. */
	assert_int_equal(run_id(&f, 4, 1024), -EINVAL);
	assert_int_equal(f.runs, 0);
	device_rig_stop(&f.rig);
	start(&f, UINT64_C(1) << FEATURE_BIT);
	assert_int_equal(run_id(&f, 3, sizeof(struct header)), -EBUSY);
	assert_int_equal(f.runs, 1);
	device_rig_stop(&f.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies_once_and_answers),
		cmocka_unit_test(test_short_commands),
		cmocka_unit_test(test_commands_that_may_not_be_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

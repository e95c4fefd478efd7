// SPDX-License-Identifier: BSD-3-Clause
/* The broker (monitor/broker.c): which requests of a monitor it grants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/request_pace.h"
#include "vhost/broker.h"
#include "monitor/run/broker_process.h"
#include "unit/scratch.h"

static struct {
	struct scratch scratch;
	struct sockaddr_un address;
	const char *paths[3];
	int listener;
	struct broker broker;
	int service_fd;
	pthread_t service;
	bool asks; /* whether each connection is permitted */
	atomic_bool forbidden;
} stage;

static int permit(void *context, size_t device, struct error *error)
{
	return context == &stage && device == 1 && !atomic_load(&stage.forbidden) ?
		       0 :
		       error_set_usage(error, "not allowed");
}

static void *serve(void *argument)
{
	struct broker_service service = {.monitor = getpid(), .paths = stage.paths, .count = 3};

	if (stage.asks) {
		service.permit = permit;
		service.context = &stage;
	}

	while (broker_answer(stage.service_fd, &service))
		;
	return NULL;
}

static int set_up(void **state)
{
	int ends[2];

	scratch_make(&stage.scratch);
	stage.address = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(stage.address.sun_path, scratch_path(&stage.scratch, "device.sock"));
	stage.paths[0] = "/nowhere/at/all";
	stage.paths[1] = stage.address.sun_path;
	stage.paths[2] = "";
	stage.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(stage.listener, (struct sockaddr *)&stage.address, sizeof(stage.address)), 0);
	assert_int_equal(listen(stage.listener, 1), 0);
	assert_int_equal(broker_make_pair(ends, NULL), 0);
	stage.broker = (struct broker)BROKER_NONE;
	stage.broker.fd = ends[0];
	stage.service_fd = ends[1];
	assert_int_equal(pthread_create(&stage.service, NULL, serve, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	broker_close(&stage.broker);
	pthread_join(stage.service, NULL);
	close(stage.service_fd);
	close(stage.listener);
	scratch_remove(&stage.scratch);
	return 0;
}

static void test_connection(void **state)
{
	struct error error;
	char byte = 0;
	int fd = broker_connect(&stage.broker, 1, 0, &error);
	int peer = accept(stage.listener, NULL, NULL);

	assert_true(fd >= 0);
	assert_true(peer >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(peer, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(fd);
	close(peer);
}

static int set_up_asking(void **state)
{
	stage.asks = true;
	return set_up(state);
}

static int tear_down_asking(void **state)
{
	stage.asks = false;
	return tear_down(state);
}

/* What is permitted is asked for each connection. */
static void test_permission(void **state)
{
	struct error error;
	int fd = broker_connect(&stage.broker, 1, 0, &error);

	assert_true(fd >= 0);
	close(fd);
	atomic_store(&stage.forbidden, true);
	assert_int_equal(broker_connect(&stage.broker, 1, 0, &error), -EINVAL);
	assert_string_equal(error.message, "not allowed");
	atomic_store(&stage.forbidden, false);
	fd = broker_connect(&stage.broker, 1, 0, &error);
	assert_true(fd >= 0);
	close(fd);
}

/* Only devices of this guest can be requested. */
static void test_refusals(void **state)
{
	struct error error;

	assert_int_equal(broker_connect(&stage.broker, 0, 30, &error), -ENOENT);
	assert_non_null(strstr(error.message, "/nowhere/at/all"));
	assert_int_equal(broker_connect(&stage.broker, 3, 0, &error), -EINVAL);
	assert_int_equal(broker_connect(&stage.broker, UINT32_MAX, 0, &error), -EINVAL);
	assert_int_equal(broker_connect(NULL, 0, 0, &error), -ENOTCONN);
	assert_non_null(strstr(error.message, "cannot ask"));
}

/* An empty path must not connect to the abstract address of all zeros. */
static void test_no_abstract_names(void **state)
{
	const struct sockaddr_un zeros = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct error error;

	if (bind(listener, (const struct sockaddr *)&zeros, sizeof(zeros)) < 0)
		skip(); /* of another process */
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(broker_connect(&stage.broker, 2, 0, &error), -EINVAL);
	close(listener);
}

static void test_times_of_threads(void **state)
{
	char text[64] = "";
	int fd = broker_open_schedule(&stage.broker, gettid());

	if (fd == -ENOENT)
		skip();
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	/* Another process is not a thread of the monitor. */
	assert_int_equal(broker_open_schedule(&stage.broker, getppid()), -ENOENT);
	assert_int_equal(broker_open_schedule(&stage.broker, -1), -ENOENT);
}

/* Malformed packets are skipped, and so are answers to other requests. */
static void test_wrong_packets(void **state)
{
	const uint32_t unknown[3] = {77, 9, 1};
	struct error error;
	int fd;

	assert_int_equal(send(stage.broker.fd, "x", 1, 0), 1);
	assert_int_equal(send(stage.broker.fd, unknown, sizeof(unknown), 0), sizeof(unknown));
	fd = broker_connect(&stage.broker, 1, 0, &error);
	assert_true(fd >= 0);
	close(fd);
}

static void test_broker_that_is_gone(void **state)
{
	struct error error;

	shutdown(stage.service_fd, SHUT_RDWR);
	assert_int_equal(broker_connect(&stage.broker, 1, 0, &error), -EPIPE);
}

/*
 * The broker of a stand-alone monitor: after too many requests it waits for the rest of the second.
 */
static void test_pace_of_a_process(void **state)
{
	const char *const paths[] = {stage.address.sun_path};
	struct broker broker = BROKER_NONE;
	struct error error;
	int64_t start;
	int fd;

	assert_int_equal(broker_process_start(&broker, paths, 1, &error), 0);
	fd = broker_connect(&broker, 0, 0, &error);
	assert_true(fd >= 0);
	close(fd);
	start = clock_now_ms();
	for (int i = 0; i < REQUEST_PACE_COUNT; i++)
		assert_int_equal(broker_connect(&broker, 1, 0, &error), -EINVAL);
	/* The first request came before the clock was read. */
	assert_true(clock_now_ms() - start >= REQUEST_PACE_MS / 2);
	broker_close(&broker);
	assert_true(wait(NULL) > 0);
}

int main(void)
{
#define STAGE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_no_abstract_names),
		STAGE_TEST(test_connection),
		STAGE_TEST(test_refusals),
		STAGE_TEST(test_times_of_threads),
		STAGE_TEST(test_wrong_packets),
		STAGE_TEST(test_broker_that_is_gone),
		STAGE_TEST(test_pace_of_a_process),
		cmocka_unit_test_setup_teardown(test_permission, set_up_asking, tear_down_asking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

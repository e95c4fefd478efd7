// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every place that opens something for a guest asks the policy first, and a refusal is one line
 * that names the option.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event_loop.h"
#include "guest/config/config.h"
#include "guest/engine/engine.h"
#include "guest/policy.h"
#include "guest/run/control.h"
#include "guest/run/supervisor.h"
#include "unit/fake_service.h"
#include "unit/scratch.h"

#define QUESTIONS 32

/* What was asked, and which question is refused; -1: none. */
static struct {
	char questions[QUESTIONS][256];
	int count, refused;
} record;

static bool record_question(const struct policy *policy, const struct policy_subject *subject,
			    enum policy_verb verb, const struct policy_object *object)
{
	const char *slash = strrchr(object->name, '/');

	assert_in_range(record.count, 0, QUESTIONS - 1);
	assert_string_equal(subject->guest, "car");
	snprintf(record.questions[record.count], sizeof(record.questions[0]), "%s: %s %s %s",
		 subject->actor, policy_verbs[verb], object->kind,
		 slash ? slash + 1 : object->name);
	return record.count++ != record.refused;
}

static const struct policy recorder = {record_question};

static struct scratch scratch;
static pid_t bus;
static struct event_loop loop;
static struct guest_config config;

static void ignore(void *context)
{
}

static void ignore_device(void *context, const struct device_config *device)
{
}

static void ignore_error(void *context, const struct error *error)
{
}

static const struct supervisor_events supervisor_events = {
	.ready = ignore,
	.restarted = ignore_device,
	.failed = ignore_error,
};

static const char *path_of(const char *name)
{
	return scratch_path(&scratch, name);
}

static void add_device(const char *type, const char *text)
{
	struct error error;

	if (guest_config_parse_device(&config, device_type_find(type), text, &error) < 0)
		fail_msg("%s", error.message);
}

/* A guest with everything that can be named. */
static void describe_guest(void)
{
	char text[512];
	struct error error;

	assert_int_equal(guest_config_init(&config, &error), 0);
	config.name = strdup("car");
	config.policy = &recorder;
	config.kernel = strdup(scratch_write_kernel(&scratch, "kernel"));
	config.initrd = strdup(scratch_write_zeros(&scratch, "initrd", 4096));
	config.dump_dtb = strdup(path_of("tree"));
	snprintf(text, sizeof(text), "file=%s", scratch_write_zeros(&scratch, "disk", 4096));
	add_device("block", text);
	snprintf(text, sizeof(text), "file=%s,readonly",
		 scratch_write_zeros(&scratch, "cdrom", 4096));
	add_device("block", text);
	add_device("net", "tap=avp-no-tap");
	add_device("net", "user,forward=tcp:1234:22");
	snprintf(text, sizeof(text), "port=tty:terminal,port=a:socket:%s,port=b:file:%s",
		 path_of("socket"), path_of("log"));
	add_device("console", text);
	add_device("entropy", "");
	snprintf(text, sizeof(text), "3,uds=%s", path_of("guest"));
	add_device("vsock", text);
	snprintf(text, sizeof(text), "link=%s", path_of("bus"));
	add_device("can", text);
	assert_int_equal(guest_config_name_devices(&config, &error), 0);
}

/* An engine that would start, and does not. */
static int fail_prepare(struct engine_guest *guest, struct engine_launch *launch,
			struct error *error)
{
	return error_set(error, ECANCELED, "prepared");
}

static void ignore_guest(struct engine_guest *guest)
{
}

static const struct engine engine = {
	.name = "fake",
	.guest_size = sizeof(struct engine_guest),
	.prepare = fail_prepare,
	.stop = ignore_guest,
	.kill = ignore_guest,
	.close = ignore_guest,
};

/* Opens what the guest names. Returns -ECANCELED when everything was allowed. */
static int open_guest(struct error *error)
{
	const struct supervisor_setup setup = {
		.loop = &loop,
		.config = &config,
		.events = &supervisor_events,
	};
	struct engine_device devices[GUEST_DEVICES_MAXIMUM];
	struct engine_setup engine_setup = {
		.loop = &loop,
		.config = &config,
		.devices = devices,
		.device_count = config.device_count,
		.console_fd = dup(STDIN_FILENO),
	};
	struct supervisor *supervisor;
	struct engine_guest *guest;
	int result;

	record.count = 0;
	result = supervisor_open(&supervisor, &setup, error);
	if (result < 0) {
		close(engine_setup.console_fd);
		return result;
	}
	for (size_t i = 0; i < config.device_count; i++)
		devices[i] = (struct engine_device){&config.devices[i], -1};
	result = engine_start(&guest, &engine, &engine_setup, error);
	supervisor_free(supervisor);
	return result;
}

static unsigned int count_descriptors(void)
{
	DIR *stream = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(stream))
		count++;
	closedir(stream);
	return count;
}

static void test_everything_is_asked(void **state)
{
	static const char *const expected[] = {
		"device block0: write file disk",
		"device block1: read file cdrom",
		"device net0: join tap avp-no-tap",
		"device net1: join network user",
		"device net1: listen port tcp:1234:22",
		"device console0: listen socket socket",
		"device console0: append file log",
		"device console0: connect terminal of this process",
		"device vsock0: listen socket guest",
		"device vsock0: connect socket guest_*",
		"device can0: join service bus",
		"engine fake: read kernel kernel",
		"engine fake: read initrd initrd",
		"engine fake: write dump-dtb tree",
		"engine fake: connect device block0",
		"engine fake: connect device block1",
		"engine fake: connect device net0",
		"engine fake: connect device net1",
		"engine fake: connect device console0",
		"engine fake: connect device entropy0",
		"engine fake: connect device vsock0",
		"engine fake: connect device can0",
	};
	const int count = sizeof(expected) / sizeof(expected[0]);
	unsigned int descriptors;
	struct error error;

	record.refused = -1;
	if (open_guest(&error) != -ECANCELED)
		fail_msg("%s", error.message);
	assert_int_equal(record.count, count);
	for (int i = 0; i < count; i++)
		assert_string_equal(record.questions[i], expected[i]);

	/* Each refusal alone stops the start, with one line, and leaves nothing open. */
	descriptors = count_descriptors();
	for (record.refused = 0; record.refused < count; record.refused++) {
		char actor[32];

		assert_int_equal(open_guest(&error), -EINVAL);
		assert_int_equal(record.count, record.refused + 1);
		assert_true(error.usage);
		assert_null(strchr(error.message, '\n'));
		assert_int_equal(sscanf(expected[record.refused], "%*s %31[^:]", actor), 1);
		assert_non_null(strstr(error.message, "the policy does not allow "));
		assert_non_null(strstr(error.message, actor));
		assert_int_equal(count_descriptors(), descriptors);
	}
}

static void test_refusal_names_the_option(void **state)
{
	char expected[512];
	struct error error;

	record.refused = 0;
	assert_int_equal(open_guest(&error), -EINVAL);
	snprintf(expected, sizeof(expected),
		 "--block: file: the policy does not allow device block0 of guest car: write, file "
		 "%s",
		 path_of("disk"));
	assert_string_equal(error.message, expected);
	record.refused = 10;
	assert_int_equal(open_guest(&error), -EINVAL);
	snprintf(expected, sizeof(expected),
		 "--can: link: the policy does not allow device can0 of guest car: join, service "
		 "%s",
		 path_of("bus"));
	assert_string_equal(error.message, expected);
	record.refused = 11;
	assert_int_equal(open_guest(&error), -EINVAL);
	snprintf(expected, sizeof(expected),
		 "--kernel: the policy does not allow engine fake of guest car: read, kernel %s",
		 path_of("kernel"));
	assert_string_equal(error.message, expected);
}

/* Turns the loop until the client has an answer, and reads it. */
static void read_answer(int client, char text[1024])
{
	struct pollfd readable = {.fd = client, .events = POLLIN};
	ssize_t length;

	for (int turns = 0; turns < 100 && poll(&readable, 1, 0) == 0; turns++)
		event_loop_turn(&loop, 100);
	length = recv(client, text, 1023, MSG_DONTWAIT);
	assert_true(length > 0);
	text[length] = 0;
}

/* Each verb of the control socket. */
static void test_verbs_are_asked(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct guest_control control = GUEST_CONTROL_NONE;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[1024], expected[128];
	struct error error;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of("control"));
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(guest_control_open(&control, &loop, &config, listener, &error), 0);
	read_answer(client, text);
	assert_memory_equal(text, "hello ", 6);
	for (const struct control_verb *verb = guest_interface.verbs; verb->name; verb++) {
		record.count = record.refused = 0;
		assert_true(dprintf(client, "%s", verb->name) > 0);
		for (const struct option_row *row = verb->fields; row && row->name; row++)
			if (row->required)
				assert_true(dprintf(client, " %s=a", row->name) > 0);
		assert_true(dprintf(client, "\n") > 0);
		read_answer(client, text);
		assert_int_equal(record.count, 1);
		snprintf(expected, sizeof(expected), "client of user %u: command guest %s",
			 (unsigned int)geteuid(), verb->name);
		assert_string_equal(record.questions[0], expected);
		snprintf(expected, sizeof(expected),
			 "error code=EACCES text=\"the policy does not allow %s to user %u\"\n",
			 verb->name, (unsigned int)geteuid());
		assert_string_equal(text, expected);
	}
	record.count = 0;
	record.refused = -1;
	assert_true(dprintf(client, "state\n") > 0);
	read_answer(client, text);
	assert_memory_equal(text, "ok name=car ", 12);
	close(client);
	guest_control_close(&control);
	unlink(address.sun_path);
}

/* Without rules, what the configuration names is allowed. */
static void test_default(void **state)
{
	const struct policy_subject subject = {NULL, "car", "device block0"};
	const struct policy_object object = {"file", "/disk"};
	struct error error;

	assert_true(policy_allows(&subject, POLICY_WRITE, &object));
	config.policy = NULL;
	assert_int_equal(open_guest(&error), -ECANCELED);
	assert_int_equal(record.count, 0);
	config.policy = &recorder;
}

/* Prints how long a call takes; no test by the clock. */
static void test_time_of_a_call(void **state)
{
	const struct policy_object object = {"file", "/disk"};
	const int calls = 1000000;

	for (int ruled = 0; ruled < 2; ruled++) {
		const struct policy_subject subject = {ruled ? &recorder : NULL, "car", "engine"};
		int64_t before = clock_now_ns();

		for (int i = 0; i < (ruled ? calls / 100 : calls); i++) {
			record.count = 0;
			assert_true(policy_allows(&subject, POLICY_READ, &object));
		}
		print_message("a call of the policy, %s: %.0f ns\n",
			      ruled ? "with a rule that formats its question" : "by default",
			      (double)(clock_now_ns() - before) / (ruled ? calls / 100 : calls));
	}
}

static int set_up(void **state)
{
	struct error error;

	scratch_make(&scratch);
	bus = fake_service_start(path_of("bus"));
	describe_guest();
	return event_loop_init(&loop, 0, &error);
}

static int tear_down(void **state)
{
	event_loop_close(&loop);
	guest_config_clear(&config);
	fake_service_stop(bus);
	scratch_remove(&scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_is_asked),
		cmocka_unit_test(test_refusal_names_the_option),
		cmocka_unit_test(test_verbs_are_asked),
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_time_of_a_call),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Device processes that ask their supervisor to open something again: this program as a block
 * device, whose serial number tells it how to behave, and the real network device on a tap that is
 * deleted and made again.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/socket_fd.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "guest/config/config.h"
#include "guest/policy.h"
#include "guest/run/supervisor.h"
#include "host/supervised_process.h"
#include "host/tap.h"
#include "unit/fake_device.h"
#include "unit/fake_service.h"
#include "unit/scratch.h"
#include "unit/tap_interface.h"

#define LIMIT_MS 20000
#define TAP	 "avptest0"

/* The fake device process. */

static const char *fake_option(char **argv, const char *name)
{
	size_t length = strlen(name);

	for (; *argv; argv++)
		if (!strncmp(*argv, "--", 2) && !strncmp(*argv + 2, name, length) &&
		    (*argv)[2 + length] == '=')
			return *argv + 3 + length;
	return "";
}

/* Sends a request and receives the answer. Returns the descriptor that came with it, or -1. */
static int fake_request(int control, const char *request, char *text, size_t size)
{
	ssize_t bytes;
	int fd;

	if (write(control, request, strlen(request)) < 0)
		_exit(1);
	bytes = socket_receive_fd(control, text, size - 1, &fd, 0);
	text[bytes > 0 ? bytes : 0] = 0;
	return fd;
}

/* Makes the requests, and appends each answer to the file "answers" of the directory. */
static void fake_ask(int control, const char *const *requests)
{
	int answers = open(getenv("TEST_ANSWERS"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	for (; *requests; requests++) {
		char text[512], content[9] = "";
		int fd = fake_request(control, *requests, text, sizeof(text));

		if (fd >= 0 && pread(fd, content, 8, 0) == 8)
			dprintf(answers, "%s ", content);
		dprintf(answers, "%s", text);
		if (fd >= 0)
			close(fd);
	}
	dprintf(answers, "done\n");
	close(answers);
}

static void fake_ask_for_files(int control)
{
	static const char *const requests[] = {
		"open option=file index=0\n",
		/* Never named. */
		"open option=file index=1\n",
		"open option=serial index=0\n",
		"open option=/etc/passwd index=0\n",
		"open option=\"\" index=18446744073709551615\n",
		/* Malformed. */
		"open\n",
		"open option=file\n",
		"open option=file index=-1\n",
		"take option=file index=0\n",
		NULL,
	};

	fake_ask(control, requests);
}

/* The first is answered with the channel that was joined at the start. */
static void fake_ask_for_service(int control)
{
	static const char *const requests[] = {
		"open option=link index=0\n",
		"open option=link index=0\n",
		NULL,
	};

	fake_ask(control, requests);
}

/* More requests than are answered at once. */
#define EARLY (SUPERVISED_REQUESTS + 3)

/* Waits for the answers to so many requests. */
static void fake_await_answers(int control, unsigned int count)
{
	int answers = open(getenv("TEST_ANSWERS"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	char byte;

	while (count && read(control, &byte, 1) == 1)
		count -= byte == '\n';
	dprintf(answers, "%u left\ndone\n", count);
	close(answers);
}

static int run_fake(char **argv)
{
	int control = atoi(fake_option(argv, "control-fd"));
	const char *mode = fake_option(argv, "serial");
	bool early = !strncmp(mode, "early", 5);
	char bytes[256];

	for (int i = 0; early && i < EARLY; i++)
		dprintf(control, "take\n");
	if (early)
		usleep(atoi(mode + 5) * 1000);
	if (write(atoi(fake_option(argv, "ready-fd")), "r", 1) != 1)
		return 1;
	if (early)
		fake_await_answers(control, EARLY);
	if (!strcmp(mode, "asks"))
		fake_ask_for_files(control);
	if (!strcmp(fake_option(argv, "client"), "asks"))
		fake_ask_for_service(control);
	/* Reads no answer, ever. */
	while (!strcmp(mode, "floods"))
		if (send(control, "open option=file index=0\n", 25, MSG_NOSIGNAL) < 0)
			return 0;
	while (read(control, bytes, sizeof(bytes)) > 0)
		;
	return 0;
}

/* The tests' side. */

static struct event_loop loop;
static struct guest_config config;
static struct scratch scratch;
static struct supervisor *supervisor;
static bool ready, failed;
/* Questions of the policy, and how many of the first ones it answers by yes. */
static unsigned int asked, permitted;

static bool count_question(const struct policy *policy, const struct policy_subject *subject,
			   enum policy_verb verb, const struct policy_object *object)
{
	return asked++ < permitted;
}

static const struct policy counting = {count_question};

static void on_ready(void *context)
{
	ready = true;
}

static void on_restarted(void *context, const struct device_config *device)
{
}

static void on_failed(void *context, const struct error *error)
{
	print_message("%s\n", error->message);
	failed = true;
}

static const struct supervisor_events events = {
	.ready = on_ready,
	.restarted = on_restarted,
	.failed = on_failed,
};

/* Turns the loop for @ms. */
static void turn(int ms)
{
	for (int64_t end = clock_now_ms() + ms, left; (left = end - clock_now_ms()) > 0;)
		assert_true(event_loop_turn(&loop, (int)left) >= 0);
	assert_false(failed);
}

static void start(const char *type, const char *text)
{
	const struct supervisor_setup setup = {.loop = &loop, .config = &config, .events = &events};
	struct error error;

	if (guest_config_parse_device(&config, device_type_find(type), text, &error) < 0 ||
	    guest_config_name_devices(&config, &error) < 0 ||
	    supervisor_open(&supervisor, &setup, &error) < 0 ||
	    supervisor_start(supervisor, &error) < 0)
		fail_msg("%s", error.message);
	for (int64_t limit = clock_now_ms() + LIMIT_MS; !ready && clock_now_ms() < limit;)
		turn(10);
	assert_true(ready);
}

static void start_block(const char *mode)
{
	char text[PATH_MAX];

	snprintf(text, sizeof(text), "file=%s,serial=%s", scratch_path(&scratch, "disk"), mode);
	start("block", text);
}

static int set_up(void **state)
{
	struct error error;

	ready = failed = false;
	permitted = UINT_MAX;
	asked = 0;
	supervisor = NULL;
	scratch_write(&scratch, "disk", "content", 8);
	unlink(scratch_path(&scratch, "answers"));
	assert_int_equal(guest_config_init(&config, &error), 0);
	config.name = strdup("car");
	config.policy = &counting;
	return event_loop_init(&loop, 0, &error);
}

static int tear_down(void **state)
{
	supervisor_free(supervisor);
	event_loop_close(&loop);
	guest_config_clear(&config);
	return 0;
}

/* Waits for the fake's answers. */
static void read_answers(char *text, size_t size)
{
	text[0] = 0;
	for (int64_t limit = clock_now_ms() + LIMIT_MS;
	     !strstr(text, "done\n") && clock_now_ms() < limit;) {
		FILE *file;

		turn(10);
		file = fopen(scratch_path(&scratch, "answers"), "re");
		if (!file)
			continue;
		text[fread(text, 1, size - 1, file)] = 0;
		fclose(file);
	}
	assert_non_null(strstr(text, "done\n"));
}

#define NOTHING "error code=ENOENT text=\"the option names nothing that could be opened again\"\n"
#define NEEDS	"error code=EINVAL text=\"open needs option and index\"\n"

/* It gets what was named at the start, and nothing else. */
static void test_only_what_was_named(void **state)
{
	char text[4096];

	start_block("asks");
	read_answers(text, sizeof(text));
	assert_string_equal(text, "content ok\n" NOTHING NOTHING NOTHING NOTHING NEEDS NEEDS NEEDS
				  "error code=ENOSYS text=\"there is no verb take\"\ndone\n");
	/* The policy was asked at the start, and again. */
	assert_int_equal(asked, 2);
}

/* The file is another one by now: that is what the process and its successors get. */
static void test_file_that_was_replaced(void **state)
{
	char text[4096], path[PATH_MAX];
	struct supervisor_device before;

	start_block("asks");
	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "disk"));
	read_answers(text, sizeof(text));
	assert_int_equal(unlink(path), 0);
	scratch_write(&scratch, "disk", "another", 8);
	unlink(scratch_path(&scratch, "answers"));
	before = supervisor_device(supervisor, 0);
	kill(before.pid, SIGKILL);
	read_answers(text, sizeof(text));
	assert_memory_equal(text, "another ok\n", 11);
	assert_int_equal(supervisor_device(supervisor, 0).restarts, 1);
}

static void test_policy_is_asked_again(void **state)
{
	char text[4096];

	permitted = 1;
	start_block("asks");
	read_answers(text, sizeof(text));
	assert_non_null(strstr(text, "error code=EINVAL text=\"--block: file: the policy does not "
				     "allow device block0 of guest car: write, file "));
	assert_null(strstr(text, "ok\n"));
}

/* So it is for a service that came back. */
static void test_policy_is_asked_for_a_service(void **state)
{
	char text[4096], refused[PATH_MAX + 256], link[PATH_MAX];

	snprintf(link, sizeof(link), "link=%s,client=asks", scratch_path(&scratch, "bus"));
	snprintf(refused, sizeof(refused),
		 "ok\nerror code=EINVAL text=\"--can: link: the policy does not allow device can0 "
		 "of guest car: join, service %s\"\ndone\n",
		 scratch_path(&scratch, "bus"));
	for (int again = 0; again < 2; again++) {
		pid_t service = fake_service_start(scratch_path(&scratch, "bus"));

		permitted = again ? 2 : 1;
		start("can", link);
		read_answers(text, sizeof(text));
		assert_string_equal(text, again ? "ok\nok\ndone\n" : refused);
		assert_int_equal(asked, 2);
		fake_service_stop(service);
		unlink(scratch_path(&scratch, "bus"));
		tear_down(state);
		set_up(state);
	}
}

/* A flood is answered at a bounded rate, and the loop goes on. */
static void test_flood(void **state)
{
	uint64_t sleeps;

	start_block("floods");
	turn(200);
	assert_in_range(asked, 2, 1 + SUPERVISED_REQUESTS);
	sleeps = loop.sleeps;
	turn(2 * SUPERVISED_REQUEST_MS + SUPERVISED_REQUEST_MS / 2);
	assert_in_range(asked, 1 + SUPERVISED_REQUESTS, 1 + SUPERVISED_REQUESTS + 4);
	assert_in_range(loop.sleeps - sleeps, 1, 20);
	assert_int_equal(supervisor_device(supervisor, 0).restarts, 0);
}

/* One that requests much before it serves is answered then, however long it takes to start. */
static void test_requests_before_it_serves(void **state)
{
	static const char *const modes[] = {"early100", "early1000"};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		char text[4096];

		start_block(modes[i]);
		read_answers(text, sizeof(text));
		assert_string_equal(text, "0 left\ndone\n");
		tear_down(state);
		set_up(state);
	}
}

/* Whether the device process has a queue of the tap, which has only one. */
static bool is_joined(void)
{
	bool multiqueue = false;
	int fd = tap_open_queue(TAP, &multiqueue);

	if (fd >= 0)
		close(fd);
	return fd == -EBUSY;
}

static void await_joined(void)
{
	for (int64_t limit = clock_now_ms() + LIMIT_MS; !is_joined() && clock_now_ms() < limit;)
		turn(50);
	assert_true(is_joined());
}

static bool possible;

/* From inside the sandbox of the real device process. */
static void test_tap_that_comes_back(void **state)
{
	unsigned int before;

	if (!possible)
		skip();
	assert_true(tap_interface_make(TAP, false));
	start("net", "tap=" TAP);
	assert_true(is_joined());
	before = asked;
	for (int i = 0; i < 2; i++) {
		tap_interface_delete(TAP);
		turn(1500);
		assert_true(asked > before);
		/* The policy may have changed meanwhile. */
		permitted = 0;
		assert_true(tap_interface_make(TAP, false));
		turn(1500);
		assert_false(is_joined());
		permitted = UINT_MAX;
		await_joined();
		before = asked;
	}
	/* It asks no more. */
	turn(1500);
	assert_int_equal(asked, before);
	assert_int_equal(supervisor_device(supervisor, 0).restarts, 0);
	tap_interface_delete(TAP);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_what_was_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_that_was_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_policy_is_asked_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_policy_is_asked_for_a_service, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_flood, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_requests_before_it_serves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tap_that_comes_back, set_up, tear_down),
	};
	char programs[PATH_MAX];
	int result;

	if (fake_device_called(argv) || !strcmp(argv[0], "device-can"))
		return run_fake(argv);
	scratch_make(&scratch);
	snprintf(programs, sizeof(programs), "%s/device-net", getenv("AVP_LIBEXEC_DIR") ?: ".");
	possible = symlink(programs, scratch_path(&scratch, "device-net")) == 0 &&
		   tap_interface_enter_namespace();
	if (!possible)
		print_message("no tap can be made here: %s\n", strerror(errno));
	fake_device_install(scratch.directory);
	if (symlink("device-block", scratch_path(&scratch, "device-can")) < 0)
		return 1;
	setenv("TEST_ANSWERS", scratch_path(&scratch, "answers"), 1);
	result = cmocka_run_group_tests(tests, NULL, NULL);
	scratch_remove(&scratch);
	return result;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The orderly restart of a device process, as clients of the guest's control socket ask for it:
 * with a fake monitor, this same program as `avp monitor`, that answers in each way, or not at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "device/block/options.h"
#include "guest/run/control.h"
#include "guest/run/device_restart.h"
#include "host/kvm_probe.h"
#include "unit/fake_device.h"
#include "unit/fake_qemu.h"
#include "unit/scratch.h"

#define LIMIT_MS 20000
/* The mode of the fake monitor. */
#define MODE "FAKE_MONITOR"

void __wrap_kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result);

void __wrap_kvm_probe_wait(struct kvm_probe *probe, struct kvm_probe_result *result)
{
	*result = (struct kvm_probe_result){KVM_PROBE_WORKS, "it works"};
}

/*
 * The fake monitor lets go of a device on request, and says that another process is
 * attached until the test has what it waits for. In mode "silent" it does neither.
 */
static int fake_monitor(char **argv)
{
	const char *mode = getenv(MODE);
	int control = -1;
	char line[80];

	for (; *argv; argv++)
		if (!strncmp(*argv, "--control-fd=", strlen("--control-fd=")))
			control = atoi(*argv + strlen("--control-fd="));
	dprintf(control, "hello interface=monitor version=1\nevent name=running\n");
	for (bool released = false;;) {
		struct pollfd readable = {.fd = control, .events = POLLIN};
		ssize_t length;

		/* What a monitor that was taken over may say at any time. */
		dprintf(control, "event name=released device=disk9\nevent name=attached\n");
		if (released && !strcmp(mode, "refused"))
			dprintf(control, "event name=attached device=disk text=\"bad state\"\n");
		else if (released)
			dprintf(control, "event name=attached device=disk\n");
		if (poll(&readable, 1, 20) == 0)
			continue;
		length = read(control, line, sizeof(line) - 1);
		if (length <= 0)
			return 0;
		line[length] = 0;
		if (!strcmp(line, "pause\n"))
			dprintf(control, "ok\nevent name=paused\n");
		if (!strcmp(line, "kill\n"))
			return 0;
		if (strncmp(line, "release device=disk attachments=", 32) ||
		    !strcmp(mode, "silent"))
			continue;
		if (!strcmp(mode, "lost"))
			dprintf(control, "ok\nevent name=released device=disk text=\"no state\"\n");
		else
			dprintf(control, "ok\nevent name=detached device=disk\n"
					 "event name=released device=disk\n");
		released = strcmp(mode, "alone");
	}
}

static struct scratch scratch;
static struct event_loop loop;
static struct guest_config config;
static struct guest_control control;
static struct sockaddr_un address;
static int console;
static bool running, ended;
static char disk[128];
static struct block_options block_options;
static struct device_config device;

static void on_step(void *context, uint64_t nanoseconds, const char *step)
{
}

static int on_started(void *context, struct error *error)
{
	return 0;
}

/* All devices are served, and the monitor runs the guest. */
static void on_ready(void *context)
{
	running = true;
}

static void on_running(void *context)
{
}

static void on_stopping(void *context, uint64_t limit_ms)
{
}

static void on_happened(void *context, const struct log_field *fields)
{
	guest_control_happened(&control, fields);
}

static void on_paused(void *context, const struct error *error)
{
	guest_control_paused(&control, error);
}

static void on_restarted(void *context, size_t index, const char *lost, const struct error *error)
{
	guest_control_device_restarted(&control, index, lost, error);
}

static void on_ended(void *context)
{
	ended = true;
}

static const struct guest_events events = {
	.step = on_step,
	.started = on_started,
	.ready = on_ready,
	.running = on_running,
	.stopping = on_stopping,
	.happened = on_happened,
	.paused = on_paused,
	.device_restarted = on_restarted,
	.ended = on_ended,
};

static void turn_until(const bool *flag)
{
	int64_t limit = clock_now_ms() + LIMIT_MS;

	while (!*flag && clock_now_ms() < limit)
		assert_true(event_loop_turn(&loop, 100) >= 0);
	assert_true(*flag);
}

/* A guest that runs, with a disk. */
static void start(const char *mode)
{
	struct guest_setup setup = {.loop = &loop, .config = &config, .events = &events};
	struct error error;
	int ends[2];

	setenv(MODE, mode, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	console = ends[0];
	setup.console_fd = ends[1];
	if (guest_start(&control.guest, &setup, &error) < 0)
		fail_msg("%s", error.message);
	turn_until(&running);
}

static int set_up(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	running = ended = false;
	snprintf(disk, sizeof(disk), "%s", scratch_write_zeros(&scratch, "disk", 4096));
	block_options = (struct block_options){
		.file = disk,
		.serial = (char *)"normal",
		.queues = 1,
		.queue_size = 64,
	};
	device = (struct device_config){
		.type = device_type_find("block"),
		.name = (char *)"disk",
		.options = &block_options,
	};
	config = (struct guest_config){
		.name = (char *)"car",
		.kernel = strdup(scratch_write_kernel(&scratch, "vmlinuz")),
		.cpus = 1,
		.memory = 64 << 20,
		.engine = engine_number("kvm"),
		.devices = &device,
		.device_count = 1,
		.restart_limit = 2,
		.stop_timeout = 10,
	};
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "avp-restart-%d", getpid());
	if (event_loop_init(&loop, 0, NULL) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0)
		return -1;
	return guest_control_open(&control, &loop, &config, fd, NULL);
}

static int tear_down(void **state)
{
	struct guest *guest = control.guest;

	guest_control_close(&control);
	guest_free(guest);
	close_fd(&console);
	event_loop_close(&loop);
	free(config.kernel);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	return 0;
}

/* What has come until the line with @end in it. */
static const char *hear_until(int fd, const char *end)
{
	static char text[3 * CONTROL_LINE_SIZE];
	int64_t limit = clock_now_ms() + LIMIT_MS;
	size_t length = 0;

	text[0] = 0;
	while (!strstr(text, end) && clock_now_ms() < limit) {
		ssize_t bytes = read(fd, text + length, sizeof(text) - 1 - length);

		length += bytes > 0 ? (size_t)bytes : 0;
		text[length] = 0;
		event_loop_turn(&loop, 1);
	}
	if (!strstr(text, end))
		fail_msg("no '%s' in: %s", end, text);
	return text;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static int greeted(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	hear_until(fd, "\n");
	return fd;
}

static pid_t process_of_device(void)
{
	return guest_device(control.guest, 0).pid;
}

/* More often than processes may die in a row. */
static void test_restarts_are_not_deaths(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted();
	char wanted[200], serves[80];

	start("keeps");
	say(other, "events\n");
	hear_until(other, "ok\n");
	for (int i = 0; i < 6; i++) {
		pid_t before = process_of_device();

		say(fd, "restart device=disk\n");
		assert_string_equal(hear_until(fd, "\n"), "ok state=kept\n");
		assert_true(process_of_device() > 0 && process_of_device() != before);
		assert_int_equal(waitpid(before, NULL, WNOHANG), -1);
		snprintf(serves, sizeof(serves),
			 "event name=device-serves device=disk process=%d\n",
			 (int)process_of_device());
		snprintf(wanted, sizeof(wanted),
			 "event name=device-replaced device=disk process=%d\n%s", (int)before,
			 serves);
		assert_string_equal(hear_until(other, serves), wanted);
	}
	snprintf(wanted, sizeof(wanted),
		 "device name=disk type=block process=%d serving=yes state=serving attached=yes "
		 "restarts=0 replacements=6\nok\n",
		 (int)process_of_device());
	say(fd, "devices\n");
	assert_string_equal(hear_until(fd, "ok\n"), wanted);
	assert_false(ended);
}

/* Whatever happens to the state, the device goes on with another process. */
static void test_the_state_is_lost(void **state)
{
	static const struct {
		const char *mode, *answer;
	} ways[] = {
		{"lost", "ok state=lost text=\"no state\"\n"},
		{"refused", "ok state=lost text=\"bad state\"\n"},
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		cleanup_fd int fd = greeted();
		pid_t before;

		start(ways[i].mode);
		before = process_of_device();
		say(fd, "restart device=disk\n");
		assert_string_equal(hear_until(fd, "\n"), ways[i].answer);
		assert_true(process_of_device() != before);
		guest_free(take_pointer(control.guest));
		close_fd(&console);
		running = ended = false;
	}
	start("keeps");
}

static void test_wrong_requests(void **state)
{
	cleanup_fd int fd = greeted();

	say(fd, "restart device=disk\n");
	assert_string_equal(hear_until(fd, "\n"),
			    "error code=EAGAIN text=\"the guest is not started yet\"\n");
	start("keeps");
	say(fd, "restart device=disk9\n");
	assert_non_null(
		strstr(hear_until(fd, "\n"), "error code=ENODEV text=\"there is no device"));
	say(fd, "restart\n");
	assert_non_null(strstr(hear_until(fd, "\n"), "error code=EINVAL"));
	say(fd, "restart device=\"a b\\n\"\n");
	assert_non_null(strstr(hear_until(fd, "\n"), "error code=EINVAL"));
	say(fd, "restart device=disk force=yes\n");
	assert_non_null(strstr(hear_until(fd, "\n"), "error code=EINVAL"));
	assert_int_equal(guest_device(control.guest, 0).replacements, 0);
	guest_kill(control.guest, "test");
	say(fd, "restart device=disk\n");
	assert_non_null(strstr(hear_until(fd, "\n"), "error code=EBUSY"));
}

/* The second one is refused, and the first one is answered; then another may begin. */
static void test_asked_twice(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted(), third = greeted();

	start("silent");
	say(fd, "restart device=disk\n");
	event_loop_turn(&loop, 100);
	say(other, "devices\nrestart device=disk\n");
	assert_non_null(strstr(hear_until(other, "already"), "state=restarting"));
	assert_string_equal(guest_device(control.guest, 0).state, "restarting");
	/* A client that does not wait for the answer; nor does the guest wait for it. */
	close_fd(&fd);
	say(third, "kill\n");
	turn_until(&ended);
}

/* The monitor lets go, and the process dies before it is asked to end: a death, once. */
static void test_the_process_dies_meanwhile(void **state)
{
	cleanup_fd int fd = greeted();
	pid_t before;

	start("silent");
	before = process_of_device();
	say(fd, "restart device=disk\n");
	while (strcmp(guest_device(control.guest, 0).state, "restarting"))
		event_loop_turn(&loop, 10);
	kill(before, SIGKILL);
	for (int64_t limit = clock_now_ms() + LIMIT_MS;
	     (process_of_device() == before || !guest_device(control.guest, 0).serving) &&
	     clock_now_ms() < limit;)
		event_loop_turn(&loop, 100);
	assert_int_equal(guest_device(control.guest, 0).restarts, 1);
	assert_int_equal(guest_device(control.guest, 0).replacements, 0);
}

static void test_in_a_pause(void **state)
{
	cleanup_fd int fd = greeted();

	start("keeps");
	say(fd, "pause\n");
	assert_string_equal(hear_until(fd, "\n"), "ok\n");
	say(fd, "restart device=disk\n");
	assert_string_equal(hear_until(fd, "\n"), "ok state=kept\n");
	assert_string_equal(guest_state(control.guest), "paused");
}

/* The steps alone, for their limits. */

static struct supervised_process process;
static struct device_restart restart;
static unsigned int done;
static struct error failure;
static char lost[ERROR_MESSAGE_SIZE];

static int prepare_sleeper(void *context, struct supervised_launch *launch, struct error *error)
{
	launch->spawn.program = "/proc/self/exe";
	arguments_add(&launch->arguments, "sleeper");
	arguments_add_format(&launch->arguments, "%d", launch->ready_fd);
	arguments_add_format(&launch->arguments, "%d", launch->control_fd);
	return 0;
}

static void on_serves(void *context, bool again)
{
	running = true;
}

static void on_done(void *context, const char *why, const struct error *error)
{
	done++;
	snprintf(lost, sizeof(lost), "%s", why ? why : "");
	failure = error ? *error : (struct error){0};
}

static const struct supervised_ops sleeper_ops = {.prepare = prepare_sleeper, .serves = on_serves};

static void test_each_wait_has_a_limit(void **state)
{
	const struct supervised_setup setup = {
		.loop = &loop,
		.ops = &sleeper_ops,
		.kind = "device",
		.name = "disk",
		.reports = true,
		.restart_limit = 2,
	};
	struct error error;

	console = -1;
	memset(&process, 0, sizeof(process));
	restart = (struct device_restart){.process = &process, .done = on_done};
	process.output.name = "disk";
	assert_int_equal(supervised_process_open(&process, &setup, &error), 0);
	assert_int_equal(device_restart_open(&restart, &loop, &error), 0);
	assert_int_equal(device_restart_begin(&restart, &error), -EAGAIN);
	assert_int_equal(supervised_process_start(&process, &error), 0);
	turn_until(&running);
	/* Events that nobody asked for. */
	device_restart_released(&restart, NULL);
	device_restart_attached(&restart, NULL);
	assert_int_equal(device_restart_begin(&restart, &error), 0);
	assert_int_equal(device_restart_begin(&restart, &error), -EBUSY);
	device_restart_attached(&restart, NULL);
	assert_int_equal(done, 0);
	/* The monitor does not let go. */
	running = false;
	timer_set_ms(&restart.limit, 1);
	turn_until(&running);
	assert_int_equal(process.replacements, 1);
	assert_int_equal(done, 0);
	/* Nor does it attach the next process. */
	timer_set_ms(&restart.limit, 1);
	for (int64_t limit = clock_now_ms() + LIMIT_MS; !done && clock_now_ms() < limit;)
		event_loop_turn(&loop, 100);
	assert_int_equal(done, 1);
	assert_int_equal(failure.code, ETIMEDOUT);
	assert_string_equal(lost, "the monitor does not let go of the process");
	/* The next one starts anew. */
	running = false;
	assert_int_equal(device_restart_begin(&restart, &error), 0);
	device_restart_released(&restart, NULL);
	/* Of the process that ends. */
	device_restart_attached(&restart, "late");
	assert_int_equal(done, 1);
	turn_until(&running);
	device_restart_attached(&restart, NULL);
	assert_int_equal(done, 2);
	assert_int_equal(failure.code, 0);
	assert_string_equal(lost, "");
	/* It had died, and the monitor has attached the next one before it came to the request. */
	assert_int_equal(device_restart_begin(&restart, &error), 0);
	restart.before++;
	device_restart_attached(&restart, NULL);
	assert_int_equal(done, 2);
	device_restart_released(&restart, "it had died");
	assert_int_equal(done, 3);
	assert_int_equal(failure.code, 0);
	assert_string_equal(lost, "it had died");
	assert_int_equal(process.state, SUPERVISED_SERVING);
	/* It dies before the monitor lets go: the one that was started since is not replaced. */
	running = false;
	assert_int_equal(device_restart_begin(&restart, &error), 0);
	supervised_process_kill(&process);
	turn_until(&running);
	device_restart_released(&restart, "it has died");
	assert_int_equal(process.state, SUPERVISED_SERVING);
	device_restart_attached(&restart, NULL);
	assert_int_equal(done, 4);
	assert_string_equal(lost, "it has died");
	assert_int_equal(process.replacements, 2);
	assert_int_equal(process.restarts, 1);
	device_restart_close(&restart);
	supervised_process_close(&process, 0);
}

static int sleep_for_ever(char **argv)
{
	if (write(atoi(argv[1]), "r", 1) != 1)
		return 1;
	while (read(atoi(argv[2]), argv[0], 1) > 0)
		;
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_restarts_are_not_deaths),
		TEST(test_the_state_is_lost),
		TEST(test_wrong_requests),
		TEST(test_asked_twice),
		TEST(test_the_process_dies_meanwhile),
		TEST(test_in_a_pause),
		TEST(test_each_wait_has_a_limit),
	};
	int result;

	if (fake_device_called(argv))
		return fake_device(argv);
	if (argc > 1 && !strcmp(argv[0], "sleeper"))
		return sleep_for_ever(argv);
	if (argc > 1 && !strcmp(argv[1], "monitor"))
		return fake_monitor(argv);
	scratch_make(&scratch);
	fake_device_install(scratch_path(&scratch, ""));
	result = cmocka_run_group_tests(tests, NULL, NULL);
	scratch_remove(&scratch);
	return result;
}

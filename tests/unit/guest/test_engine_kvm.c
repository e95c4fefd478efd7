// SPDX-License-Identifier: BSD-3-Clause
/*
 * Engine kvm: the monitor's arguments, and how each end of a guest is reported. The monitor is a
 * fake: this same program, which the engine starts as `avp monitor`.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract_version.h"
#include "guest/engine/kvm/kvm.h"
#include "guest/engine/kvm/monitor_arguments.h"
#include "monitor/boot.h"
#include "unit/scratch.h"

#define LIMIT_MS 20000
#define CONTRACT "avp.contract=" CONTRACT_VERSION " avp.profiles=" CONTRACT_PROFILES
/* The mode of the next fake monitor: see fake_monitor. */
#define MODE "FAKE_MONITOR"

static const char *argument(char **argv, const char *name)
{
	for (; *argv; argv++)
		if (!strncmp(*argv, name, strlen(name)) && (*argv)[strlen(name)] == '=')
			return *argv + strlen(name) + 1;
	return "";
}

/* Whether the next bytes of @fd are this text. */
static bool expect_text(int fd, const char *text)
{
	char byte;

	for (; *text; text++)
		if (read(fd, &byte, 1) != 1 || byte != *text)
			return false;
	return true;
}

/*
 * Depending on its mode it reports its command line as the guest's end; waits for a command and
 * ends accordingly; dies while the guest runs; refuses the guest; breaks the form of a line.
 */
static int fake_monitor(char **argv)
{
	int control = atoi(argument(argv, "--control-fd"));
	const char *mode = getenv(MODE);
	char word[32] = "";
	ssize_t length;

	if (!strcmp(mode, "refuse")) {
		dprintf(STDERR_FILENO, "error monitor: /dev/fd/%s: is not a kernel\n",
			argument(argv, "--kernel") + strlen("/dev/fd/"));
		return ERROR_EXIT_USAGE;
	}
	dprintf(control, "hello interface=monitor version=1\nevent name=running\n");
	if (!strcmp(mode, "append"))
		dprintf(control, "event name=off text=\"%s\"\n", argument(argv, "--append"));
	if (!strcmp(mode, "break")) {
		dprintf(control, "event name=\n\n");
		pause();
	}
	if (strcmp(mode, "wait") && strcmp(mode, "pause"))
		return !strcmp(mode, "die") ? 7 : 0;
	if (!strcmp(mode, "pause")) {
		/* The two lines may come apart. */
		if (!expect_text(control, "log-level level=error\npause\n"))
			return 1;
		dprintf(control, "ok before=info\nok\nevent name=paused\n");
		if (!expect_text(control, "resume\n"))
			return 1;
		dprintf(control, "ok\nevent name=resumed\n");
	}
	length = read(control, word, sizeof(word) - 1);
	word[length > 0 ? length : 0] = 0;
	if (!strcmp(word, "stop\n"))
		dprintf(control, "ok\nevent name=off text=\"powered off\"\n");
	return 0;
}

static struct scratch scratch;
static struct guest_config config;
static struct kvm_probe_result kvm;
static struct event_loop loop;
static struct error error, refusal;
static bool running, paused, resumed, ended;
static enum guest_end end;
static char how[ENGINE_HOW_LENGTH];

static int set_up(void **state)
{
	scratch_make(&scratch);
	config = (struct guest_config){
		.name = (char *)"car",
		.kernel = strdup(scratch_write_kernel(&scratch, "vmlinuz")),
		.append = (char *)"quiet",
		.cpus = 2,
		.memory = 256 << 20,
	};
	kvm = (struct kvm_probe_result){KVM_PROBE_WORKS, "it works"};
	return event_loop_init(&loop, 0, &error);
}

static int tear_down(void **state)
{
	event_loop_close(&loop);
	free(config.kernel);
	scratch_remove(&scratch);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

static void on_running(void *context)
{
	assert_false(running);
	running = true;
}

static void on_paused(void *context, const struct error *why)
{
	paused = true;
}

static void on_resumed(void *context, const struct error *why)
{
	resumed = true;
}

static void on_refused(void *context, const struct error *why)
{
	refusal = *why;
}

static void on_ended(void *context, enum guest_end guest_end, const char *guest_how)
{
	assert_false(ended);
	ended = true;
	end = guest_end;
	snprintf(how, sizeof(how), "%s", guest_how);
}

static const struct engine_events events = {
	.running = on_running,
	.paused = on_paused,
	.resumed = on_resumed,
	.refused = on_refused,
	.ended = on_ended,
};

static void turn_until(const bool *flag)
{
	int64_t limit = clock_now_ms() + LIMIT_MS;

	while (!*flag && clock_now_ms() < limit)
		assert_true(event_loop_turn(&loop, 100) >= 0);
	assert_true(*flag);
}

/* Runs the guest in the fake monitor to its end; @action is called once it runs. */
static void run_fake(const char *mode, void (*action)(struct engine_guest *))
{
	struct engine_plan *plan = NULL;
	struct engine_guest *guest;
	struct engine_setup setup = {
		.loop = &loop,
		.config = &config,
		.kvm = &kvm,
		.events = &events,
	};
	int ends[2];

	running = ended = false;
	refusal = (struct error){0};
	setenv(MODE, mode, 1);
	assert_int_equal(engine_kvm.usable(&plan, &kvm, &error), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	setup.plan = plan;
	setup.console_fd = ends[1];
	assert_int_equal(engine_start(&guest, &engine_kvm, &setup, &error), 0);
	if (action) {
		turn_until(&running);
		action(guest);
	}
	turn_until(&ended);
	engine_free(guest);
	free(plan);
	close(ends[0]);
}

static void test_the_contract_reaches_the_guest(void **state)
{
	run_fake("append", NULL);
	assert_string_equal(how, "quiet " CONTRACT);
	assert_int_equal(end, GUEST_POWERED_OFF);
	assert_true(running);
}

static void test_ends(void **state)
{
	run_fake("wait", engine_stop);
	assert_string_equal(how, "powered off on request");
	assert_int_equal(end, GUEST_POWERED_OFF);
	run_fake("wait", engine_kill);
	assert_string_equal(how, "was killed");
	assert_int_equal(end, GUEST_KILLED);
	run_fake("die", NULL);
	assert_string_equal(how, "ended with its monitor (exit status 7)");
	assert_int_equal(end, GUEST_FAILED);
	assert_int_equal(refusal.code, 0);
	/* Its socket was a way to reach this process: it is killed. */
	run_fake("break", NULL);
	assert_string_equal(how, "ended with its monitor (signal 9 (Killed))");
	assert_int_equal(end, GUEST_FAILED);
}

static void pause_resume_stop(struct engine_guest *guest)
{
	engine_set_log_level(guest, LOG_ERROR);
	assert_int_equal(engine_pause(guest, &error), 0);
	turn_until(&paused);
	engine_resume(guest);
	turn_until(&resumed);
	engine_stop(guest);
}

static void test_pause(void **state)
{
	run_fake("pause", pause_resume_stop);
	assert_int_equal(end, GUEST_POWERED_OFF);
}

/* The monitor's messages about a file contain the file's name. */
static void test_a_guest_that_the_monitor_refuses(void **state)
{
	char wanted[300];

	run_fake("refuse", NULL);
	assert_false(running);
	assert_int_equal(end, GUEST_FAILED);
	assert_true(refusal.usage);
	snprintf(wanted, sizeof(wanted), "%s: is not a kernel", config.kernel);
	assert_string_equal(refusal.message, wanted);
}

static bool has(const struct arguments *arguments, const char *wanted)
{
	for (size_t i = 0; i < arguments->count; i++)
		if (!strcmp(arguments->items[i], wanted))
			return true;
	return false;
}

static void test_arguments(void **state)
{
	const struct device_type *type = device_type_find("block");
	struct device_config device = {.type = type, .name = (char *)"disk"};
	const struct engine_device devices[] = {{&device, 50}};
	const struct engine_setup setup = {
		.config = &config,
		.devices = devices,
		.device_count = 1,
	};
	struct engine_launch launch = {
		.files = {10, -1, 11},
		.console = 12,
		.control = 13,
		.command_line = "quiet",
	};
	const struct monitor_descriptors descriptors = {.broker = 14,
							.devices = {15},
							.trees = {-1}};
	static const char *const wanted[] = {
		"monitor",	  "--kernel=/dev/fd/10", "--initrd=/dev/fd/11", "--append=quiet",
		"--cpus=2",	  "--memory=268435456",	 "--serial-fd=12",	"--control-fd=13",
		"--broker-fd=14",
	};
	struct arguments arguments = {0};

	device.options = calloc(1, type->options_size);
	assert_int_equal(option_set_defaults(type->options, device.options, &error), 0);
	assert_int_equal(option_set(option_find(type->options, "queue-size", 10), device.options,
				    "64", NULL, &error),
			 0);
	monitor_arguments(&arguments, &setup, &launch, &descriptors);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!has(&arguments, wanted[i]))
			fail_msg("there is no %s", wanted[i]);
	/* The shape of its type, with rings as the device's options have them. */
	assert_int_equal(strncmp(arguments.items[arguments.count - 1],
				 "--device=2,name=disk,socket=/dev/fd/15,queues=1,queue-size=64,",
				 62),
			 0);
	assert_false(has(&arguments, "--huge-pages"));
	assert_int_equal(has(&arguments, "--watchdog=reset"), arch_has_watchdogs);
	arguments_clear(&arguments);

	/* Firmware, which has no command line. */
	launch.files[ENGINE_FIRMWARE] = launch.files[ENGINE_KERNEL];
	launch.files[ENGINE_KERNEL] = -1;
	launch.command_line = NULL;
	config.huge_pages = true;
	monitor_arguments(&arguments, &setup, &launch, &descriptors);
	assert_true(has(&arguments, "--firmware=/dev/fd/10"));
	assert_true(has(&arguments, "--huge-pages"));
	for (size_t i = 0; i < arguments.count; i++) {
		assert_int_not_equal(strncmp(arguments.items[i], "--append", 8), 0);
		assert_int_not_equal(strncmp(arguments.items[i], "--kernel", 8), 0);
	}
	arguments_clear(&arguments);
	option_clear(type->options, device.options);
	free(device.options);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_arguments), TEST(test_the_contract_reaches_the_guest),   TEST(test_ends),
		TEST(test_pause),     TEST(test_a_guest_that_the_monitor_refuses),
	};

	if (argc > 1 && !strcmp(argv[1], "monitor"))
		return fake_monitor(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

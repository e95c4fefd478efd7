// SPDX-License-Identifier: BSD-3-Clause
/*
 * Engine qemu: the argument list, support by version, and how each way in which QEMU can end is
 * reported, with a fake QEMU in PATH.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract_version.h"
#include "base/event_loop.h"
#include "unit/capture.h"
#include "device/block/options.h"
#include "device/entropy/options.h"
#include "device/net/options.h"
#include "unit/fake_qemu.h"
#include "guest/engine/engine.h"
#include "guest/engine/qemu/qemu.h"
#include "unit/scratch.h"

#define DEBIAN_VERSION "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003"
#define LIMIT_MS       20000

static struct scratch scratch;
static char *path_before;

static struct block_options block_options = {
	.file = (char *)"/disk",
	.queues = 4,
	.queue_size = 256,
};
static struct net_options net_options = {.user = true, .queue_pairs = 1};
static struct entropy_options entropy_options;
static struct device_config devices[] = {
	{.name = (char *)"block0", .options = &block_options},
	{.name = (char *)"0net", .options = &net_options},
	{.name = (char *)"entropy0", .options = &entropy_options},
};
static struct guest_config config;
static struct engine_device engine_devices[3];
static struct kvm_probe_result kvm;

static int set_up(void **state)
{
	const char *const types[] = {"block", "net", "entropy"};

	scratch_make(&scratch);
	path_before = strdup(getenv("PATH"));
	config = (struct guest_config){
		.name = (char *)"car",
		.kernel = strdup(scratch_write_kernel(&scratch, "vmlinuz")),
		.cpus = 2,
		.memory = 256 << 20,
		.devices = devices,
		.device_count = 3,
	};
	for (unsigned int i = 0; i < 3; i++) {
		devices[i].type = device_type_find(types[i]);
		engine_devices[i] = (struct engine_device){&devices[i], 50 + (int)i};
	}
	net_options = (struct net_options){.user = true, .queue_pairs = 1};
	kvm = (struct kvm_probe_result){KVM_PROBE_UNABLE, "it is broken"};
	return 0;
}

static int tear_down(void **state)
{
	setenv("PATH", path_before, 1);
	free(path_before);
	free(config.kernel);
	scratch_remove(&scratch);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

/* The arguments as one text, one a line. */
static const char *argument_text(struct qemu_version version)
{
	static char text[8192];
	const struct engine_launch launch = {
		.files = {10, -1, config.initrd ? 11 : -1},
		.console = 12,
		.control = 13,
		.command_line = "quiet console=" QEMU_CONSOLE,
	};
	const struct engine_setup setup = {
		.config = &config,
		.devices = engine_devices,
		.device_count = config.device_count,
		.kvm = &kvm,
	};
	struct arguments arguments = {0};

	qemu_arguments(&arguments, &setup, version, &launch);
	assert_non_null(arguments_finish(&arguments, NULL));
	text[0] = 0;
	strcat(text, "\n");
	for (size_t i = 0; i < arguments.count; i++) {
		assert_true(strlen(text) + strlen(arguments.items[i]) + 2 < sizeof(text));
		strcat(text, arguments.items[i]);
		strcat(text, "\n");
	}
	arguments_clear(&arguments);
	return text;
}

static void expect_text(const char *text, const char *part)
{
	if (!strstr(text, part))
		print_error("no '%s' in:%s", part, text);
	assert_non_null(strstr(text, part));
}

#define VERSION(...) ((struct qemu_version){__VA_ARGS__})

static void test_arguments_of_the_machine(void **state)
{
	const char *text = argument_text(VERSION(7, 2, 22));

	/* The guest has no watchdog that could reset it against the policy. */
#ifdef __x86_64__
	expect_text(text, "\n-global\nICH9-LPC.noreboot=on\n");
#endif
	expect_text(text, "\n-name\ncar\n");
	expect_text(text, "\n-no-user-config\n-nodefaults\n");
	expect_text(text, "\n-accel\ntcg,thread=multi\n-cpu\n" QEMU_CPU "\n-smp\n2\n-m\n262144K\n");
	expect_text(text, "\nmemory-backend-memfd,id=memory,size=262144K,share=on\n");
	expect_text(text, "\n" QEMU_MACHINE "\n");
	expect_text(text, "\n-kernel\n/proc/self/fd/10\n-append\nquiet console=" QEMU_CONSOLE "\n");
	expect_text(text, "\nsocket,id=console,fd=12\n-serial\nchardev:console\n");
	expect_text(text, "\n-S\n");
	expect_text(text, "\nsocket,id=control,fd=13\n-mon\nchardev=control,mode=control\n");
	expect_text(text, "\n" QEMU_PANIC "\n-action\npanic=shutdown\n");

	kvm.verdict = KVM_PROBE_WORKS;
	config.initrd = (char *)"/initrd";
	text = argument_text(VERSION(7, 2, 22));
	expect_text(text, "\n-accel\nkvm\n-cpu\nhost\n");
	expect_text(text, "\n-initrd\n/proc/self/fd/11\n-append\nquiet console=" QEMU_CONSOLE "\n");
}

static void test_arguments_of_devices(void **state)
{
	const char *text = argument_text(VERSION(7, 2, 22));

	expect_text(text, "\nsocket,id=socket-block0,path=/proc/self/fd/50,reconnect=1\n-device\n"
			  "vhost-user-blk-pci,id=avp-block0,chardev=socket-block0,num-queues=4,"
			  "queue-size=256,packed=on,disable-legacy=on\n");
	expect_text(text, "\nsocket,id=socket-0net,path=/proc/self/fd/51,reconnect=1\n-netdev\n"
			  "vhost-user,id=net-0net,chardev=socket-0net,queues=1\n-device\n"
			  "virtio-net-pci,id=avp-0net,netdev=net-0net,mac=");
	/* It cannot reconnect. */
	expect_text(text, "\nsocket,id=socket-entropy0,path=/proc/self/fd/52\n-device\n"
			  "vhost-user-rng-pci,id=avp-entropy0,chardev=socket-entropy0\n");
	/* With emulated processors this version must not use MSI-X for the network. */
	expect_text(text, ",romfile=,disable-legacy=on,vectors=0\n");

	memcpy(net_options.mac, "\x02\x00\x00\x00\x00\x05", 6);
	net_options.mtu = 1400;
	net_options.queue_pairs = 3;
	kvm.verdict = KVM_PROBE_WORKS;
	text = argument_text(VERSION(7, 2, 22));
	expect_text(text, "\nvhost-user,id=net-0net,chardev=socket-0net,queues=3\n");
	expect_text(text, ",mac=02:00:00:00:00:05,romfile=,disable-legacy=on,mq=on,vectors=8,"
			  "host_mtu=1400\n");

	kvm.verdict = KVM_PROBE_MISSING;
	expect_text(argument_text(VERSION(7, 2, 22)), ",mq=on,host_mtu=1400,vectors=0\n");
	text = argument_text(VERSION(9, 2, 0));
	expect_text(text, ",mq=on,vectors=8,host_mtu=1400\n");
	expect_text(text, "/50,reconnect-ms=100\n");
	expect_text(argument_text(VERSION(9, 1, 9)), "/50,reconnect=1\n");
}

static void test_versions(void **state)
{
	struct qemu_version version;

	assert_true(qemu_parse_version(DEBIAN_VERSION, &version));
	assert_int_equal(version.major, 7);
	assert_int_equal(version.minor, 2);
	assert_int_equal(version.micro, 22);
	assert_true(qemu_parse_version("QEMU emulator version 11.0", &version));
	assert_int_equal(version.major, 11);
	assert_int_equal(version.micro, 0);
	assert_true(qemu_parse_version("warning\nQEMU emulator version 9.2.93 (v9.3)", &version));
	assert_int_equal(version.micro, 93);
	assert_false(qemu_parse_version("QEMU emulator version seven", &version));
	assert_false(qemu_parse_version("", &version));

	assert_true(qemu_version_reaches(VERSION(7, 2, 0), VERSION(7, 2, 0)));
	assert_true(qemu_version_reaches(VERSION(10, 0, 0), VERSION(9, 2, 5)));
	assert_false(qemu_version_reaches(VERSION(7, 1, 9), VERSION(7, 2, 0)));
	assert_false(qemu_version_reaches(VERSION(7, 2, 0), VERSION(7, 2, 1)));
}

/* The value of a property without a text comes from the option's text for QEMU. */
static void check_properties(const struct device_type *type, const struct qemu_property *property)
{
	for (; property && property->name; property++) {
		const struct option_row *row = property->option ?
						       option_find(type->options, property->option,
								   strlen(property->option)) :
						       NULL;

		assert_true(property->text || row);
		assert_true(!property->option || row);
		assert_true(!row || row->type == OPTION_NUMBER || row->type == OPTION_MAC);
	}
}

static void test_every_device_type_says_how_qemu_carries_it(void **state)
{
	for_each_device_type(type) {
		/* QEMU has no frontend for consoles and CAN. */
		assert_int_equal(type->qemu == NULL,
				 !strcmp(type->name, "console") || !strcmp(type->name, "can"));
		if (!type->qemu)
			continue;
		assert_true(type->qemu->since.major > 0);
		check_properties(type, type->qemu->netdev);
		check_properties(type, type->qemu->properties);
	}
}

static struct engine_plan *choose(struct error *error)
{
	struct engine_plan *plan = NULL;
	const struct engine *engine = engine_choose(&plan, &config, &kvm, error);

	assert_true(engine ? plan != NULL : plan == NULL);
	return plan;
}

static void test_summary_says_what_it_runs_on(void **state)
{
	struct engine_plan *plan;
	struct error error;

	fake_qemu_install(&scratch);
	fake_qemu_set("poweroff", DEBIAN_VERSION);
	plan = choose(&error);
	assert_non_null(plan);
	assert_string_equal(plan->summary, "QEMU 7.2.22 by emulation");
	free(plan);
	kvm.verdict = KVM_PROBE_WORKS;
	/* If KVM works, `auto` chooses the monitor; QEMU must be requested. */
	plan = choose(&error);
	assert_string_equal(plan->summary, "AVP's monitor on KVM");
	free(plan);
	config.engine = engine_number("qemu");
	plan = choose(&error);
	assert_string_equal(plan->summary, "QEMU 7.2.22 with KVM");
	free(plan);
	/* No engine was passed over, which would have given the reason. */
	kvm.verdict = KVM_PROBE_UNABLE;
	plan = choose(&error);
	assert_string_equal(plan->summary, "QEMU 7.2.22 by emulation (it is broken)");
	free(plan);
	config.engine = engine_number("kvm");
	kvm.verdict = KVM_PROBE_UNABLE;
	assert_null(choose(&error));
	assert_non_null(strstr(error.message, "engine kvm: it is broken"));
	config.engine = ENGINE_AUTO;
}

static void test_qemu_that_cannot_carry_a_device(void **state)
{
	struct error error;

	fake_qemu_install(&scratch);
	fake_qemu_set("poweroff", "QEMU emulator version 6.1.1");
	config.engine = engine_number("qemu");
	assert_null(choose(&error));
	assert_true(error.usage);
	assert_string_equal(error.message,
			    "entropy0: a device of type entropy needs QEMU 6.2 or newer "
			    "(vhost-user-rng-pci), but 6.1.1 is installed; install a newer "
			    "one, or omit the device");
	config.engine = ENGINE_AUTO;
	assert_null(choose(&error));
	assert_non_null(strstr(error.message, "entropy0: "));
	/* The others it can. */
	config.device_count = 2;
	free(choose(&error));
}

static void test_qemu_that_is_too_old_or_strange(void **state)
{
	struct error error;

	fake_qemu_install(&scratch);
	fake_qemu_set("poweroff", "QEMU emulator version 5.2.0");
	assert_null(choose(&error));
	assert_false(error.usage);
	assert_non_null(strstr(error.message, "has version 5.2.0; engine qemu needs 6.0 or newer"));
	fake_qemu_set("poweroff", "bash: error while loading\x1b[1m libraries");
	assert_null(choose(&error));
	assert_non_null(strstr(error.message, "does not print its version: bash: error while"));
	assert_null(strchr(error.message, '\x1b'));
	fake_qemu_set("poweroff", "");
	assert_null(choose(&error));
}

static void test_no_qemu(void **state)
{
	struct error error;

	setenv("PATH", scratch.directory, 1);
	assert_null(choose(&error));
	assert_non_null(strstr(error.message, FAKE_QEMU_NAME " is not in PATH; install QEMU"));
	/* Directories and files that are not executable are skipped. */
	mkdir(scratch_path(&scratch, FAKE_QEMU_NAME), 0700);
	assert_null(choose(&error));
	rmdir(scratch_path(&scratch, FAKE_QEMU_NAME));
	chmod(scratch_write(&scratch, FAKE_QEMU_NAME, "x", 1), 0600);
	assert_null(choose(&error));
	setenv("PATH", "", 1);
	assert_null(choose(&error));
	unsetenv("PATH");
	free(choose(&error));
}

/* A guest in the fake QEMU, and its events. */
static struct event_loop loop;
static bool running, reset, ended;
static enum guest_end end;
static char how[512];

static void on_running(void *context)
{
	assert_false(running);
	running = true;
}

static void on_reset(void *context)
{
	reset = true;
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
	.reset = on_reset,
	.ended = on_ended,
};

static void turn_until(const bool *flag)
{
	int64_t limit = clock_now_ms() + LIMIT_MS;

	while (!*flag && clock_now_ms() < limit)
		assert_true(event_loop_turn(&loop, 100) >= 0);
	assert_true(*flag);
}

/*
 * Runs the guest in the fake QEMU to its end. @action is called once it runs; @output is the
 * guest's console.
 */
static void run_fake(const char *mode, void (*action)(struct engine_guest *), char *output,
		     size_t size)
{
	struct engine_setup setup = {
		.loop = &loop,
		.config = &config,
		.kvm = &kvm,
		.events = &events,
	};
	struct engine_guest *guest;
	struct engine_plan *plan = NULL;
	struct error error;
	ssize_t bytes;
	int ends[2];

	running = reset = ended = false;
	config.device_count = 0;
	fake_qemu_set(mode, DEBIAN_VERSION);
	assert_int_equal(event_loop_init(&loop, 0, &error), 0);
	assert_int_equal(engine_qemu.usable(&plan, &kvm, &error), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	setup.plan = plan;
	setup.console_fd = ends[1];
	assert_int_equal(engine_start(&guest, &engine_qemu, &setup, &error), 0);
	assert_true(supervised_process_pid(&guest->process) > 0);
	if (action) {
		struct pollfd said = {.fd = ends[0], .events = POLLIN};

		turn_until(&running);
		assert_int_equal(poll(&said, 1, LIMIT_MS), 1);
		action(guest);
	}
	turn_until(&ended);
	bytes = read(ends[0], output, size - 1);
	assert_true(bytes >= 0);
	output[bytes] = 0;
	engine_free(guest);
	close(ends[0]);
	free(plan);
	event_loop_close(&loop);
}

static void expect_end(const char *mode, void (*action)(struct engine_guest *),
		       enum guest_end wanted, const char *wanted_how)
{
	char output[64];

	run_fake(mode, action, output, sizeof(output));
	assert_string_equal(how, wanted_how);
	assert_int_equal(end, wanted);
	assert_true(running);
	assert_string_equal(output, "hello\r\n");
}

static void test_ends(void **state)
{
	fake_qemu_install(&scratch);
	expect_end("poweroff", NULL, GUEST_POWERED_OFF, "powered off");
	assert_false(reset);
	expect_end("panic", NULL, GUEST_PANICKED, "panicked");
	expect_end("reset", NULL, GUEST_POWERED_OFF, "powered off");
	assert_true(reset);
	expect_end("crash", NULL, GUEST_FAILED, "ended with QEMU (signal 11 (Segmentation fault))");
	expect_end("halt", NULL, GUEST_FAILED, "was stopped by QEMU after an error");
	expect_end("quit", NULL, GUEST_KILLED, "was ended from outside (host-qmp-quit)");
	expect_end("exit", NULL, GUEST_FAILED, "ended with QEMU (exit status 1)");
}

static void cut_initrd(struct engine_guest *guest)
{
	assert_int_equal(truncate(config.initrd, 0), 0);
	engine_stop(guest);
}

static void set_time_of_initrd(struct engine_guest *guest)
{
	const struct timespec times[2] = {{1, 0}, {1, 0}};

	assert_int_equal(utimensat(AT_FDCWD, config.initrd, times, 0), 0);
	engine_stop(guest);
}

static void stop_twice(struct engine_guest *guest)
{
	engine_stop(guest);
	engine_stop(guest);
}

static void restart_with_another_initrd(struct engine_guest *guest)
{
	cut_initrd(guest);
	engine_stop(guest);
}

/*
 * If QEMU has the file mapped, a reset would load the changed file, or kill QEMU.
 */
static void test_initrd_that_changes_under_a_guest(void **state)
{
	char wanted[512];
	FILE *file;

	fake_qemu_install(&scratch);
	config.initrd = strdup(scratch_path(&scratch, "initrd"));
	for (int i = 0; i < 3 && QEMU_MAPS_INITRD; i++) {
		file = fopen(config.initrd, "w");
		assert_non_null(file);
		fputs("initrd", file);
		fclose(file);
		snprintf(
			wanted, sizeof(wanted),
			"could not be restarted: %s: was changed since the guest's first start "
			"(6 bytes then, %d now), and a reset would load it; start the guest again, "
			"and replace files rather than write into them",
			config.initrd, i == 1 ? 6 : 0);
		expect_end(i == 2 ? "fault" : "restart", i == 1 ? set_time_of_initrd : cut_initrd,
			   GUEST_FAILED, wanted);
		assert_true(reset == (i < 2));
	}
	/*
	 * A crash of QEMU's own is reported as one, and a file that nothing loads again does no
	 * harm.
	 */
	file = fopen(config.initrd, "w");
	fclose(file);
	if (!QEMU_MAPS_INITRD)
		expect_end("restart", restart_with_another_initrd, GUEST_POWERED_OFF,
			   "powered off on request");
	expect_end("fault", engine_stop, GUEST_FAILED, "ended with QEMU (signal 7 (Bus error))");
	expect_end("powerdown", cut_initrd, GUEST_POWERED_OFF, "powered off on request");
	expect_end("restart", stop_twice, GUEST_POWERED_OFF, "powered off on request");
	free(config.initrd);
	config.initrd = NULL;
}

static void test_qemu_that_does_not_start(void **state)
{
	char output[64];

	fake_qemu_install(&scratch);
	run_fake("refuse", NULL, output, sizeof(output));
	assert_false(running);
	assert_int_equal(end, GUEST_FAILED);
	assert_string_equal(how, "ended with QEMU (exit status 1): no room for memory");
}

/* The kernel's command line is the same for all engines. */
static void test_the_contract_reaches_the_guest(void **state)
{
	char output[256];

	fake_qemu_install(&scratch);
	run_fake("append", NULL, output, sizeof(output));
	assert_string_equal(output,
			    "console=" QEMU_CONSOLE " avp.contract=" CONTRACT_VERSION "\r\n");
}

/* When QEMU fails for a resource limit, the message names the limit. */
static void test_limits(void **state)
{
	struct rlimit files, space, low;
	struct engine_setup setup = {.loop = &loop,
				     .config = &config,
				     .kvm = &kvm,
				     .console_fd = -1};
	struct engine_guest *guest;
	struct error error;
	char output[64];

	fake_qemu_install(&scratch);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &files), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &space), 0);

	low = (struct rlimit){config.memory - 1, files.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(engine_start(&guest, &engine_qemu, &setup, &error), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &files), 0);
	assert_string_equal(
		error.message,
		"cannot make 268435456 bytes of guest memory: File too large (perhaps a "
		"limit: RLIMIT_FSIZE is 268435455, `ulimit -f`)");

	/* Higher than the real limit, so that only the fake fails. */
	low = (struct rlimit){(rlim_t)1 << 60, space.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
	run_fake("short", NULL, output, sizeof(output));
	assert_string_equal(how, "ended with QEMU (exit status 1): for guest RAM: Cannot allocate "
				 "memory (perhaps a limit: RLIMIT_AS is 1152921504606846976, "
				 "`ulimit -v`)");
	run_fake("refuse", NULL, output, sizeof(output));
	assert_string_equal(how, "ended with QEMU (exit status 1): no room for memory");
	fake_qemu_set("poweroff", "");
	assert_null(choose(&error));
	assert_int_equal(setrlimit(RLIMIT_AS, &space), 0);
	assert_non_null(strstr(error.message,
			       "does not print its version, nor anything else (perhaps a limit: "
			       "RLIMIT_AS is 1152921504606846976, `ulimit -v`)"));
}

/*
 * The fake QEMU refuses to run outside its sandbox, so all tests of ends check the sandbox.
 */
static void test_sandbox_of_qemu(void **state)
{
	struct qemu_program program;
	struct capture capture;
	struct error error;

	fake_qemu_install(&scratch);
	fake_qemu_set("poweroff", DEBIAN_VERSION);
	assert_int_equal(qemu_find(&program, &error), 0);
	assert_true(program.sandbox);
	fake_qemu_build_sandbox(false);
	assert_int_equal(qemu_find(&program, &error), 0);
	assert_false(program.sandbox);
	assert_int_equal(program.version.micro, 22);
	capture_start(&capture, STDERR_FILENO);
	expect_end("poweroff", NULL, GUEST_POWERED_OFF, "powered off");
	capture_all(&capture);
	capture_stop(&capture);
	fake_qemu_build_sandbox(true);
	assert_non_null(strstr(capture.text, "built without its sandbox"));
}

static void stop(struct engine_guest *guest)
{
	engine_stop(guest);
}

static void kill_once(struct engine_guest *guest)
{
	engine_kill(guest);
}

static void kill_twice(struct engine_guest *guest)
{
	engine_kill(guest);
	for (int64_t limit = clock_now_ms() + 200; clock_now_ms() < limit;)
		event_loop_turn(&loop, 50);
	assert_false(ended);
	engine_kill(guest);
}

static void test_ends_from_outside(void **state)
{
	fake_qemu_install(&scratch);
	expect_end("powerdown", stop, GUEST_POWERED_OFF, "powered off on request");
	expect_end("deaf", kill_once, GUEST_KILLED, "was killed");
	expect_end("stubborn", kill_twice, GUEST_KILLED, "was killed");
}

static void test_missing_kernel_starts_nothing(void **state)
{
	struct engine_setup setup = {
		.loop = &loop,
		.config = &config,
		.kvm = &kvm,
		.events = &events,
	};
	struct engine_guest *guest;
	struct engine_plan *plan = NULL;
	struct error error;
	int ends[2];
	char byte;

	fake_qemu_install(&scratch);
	fake_qemu_set("poweroff", DEBIAN_VERSION);
	assert_int_equal(engine_qemu.usable(&plan, &kvm, &error), 0);
	free(config.kernel);
	config.kernel = strdup("/nonexistent/vmlinuz");
	assert_int_equal(event_loop_init(&loop, 0, &error), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	setup.plan = plan;
	setup.console_fd = ends[1];
	assert_int_equal(engine_start(&guest, &engine_qemu, &setup, &error), -EINVAL);
	assert_true(error.usage);
	assert_non_null(strstr(error.message, "/nonexistent/vmlinuz: No such file"));
	assert_null(guest);
	/* The engine owned the console and closed it. */
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	free(plan);
	event_loop_close(&loop);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arguments_of_the_machine, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_arguments_of_devices, set_up, tear_down),
		cmocka_unit_test(test_versions),
		cmocka_unit_test_setup_teardown(test_sandbox_of_qemu, set_up, tear_down),
		cmocka_unit_test(test_every_device_type_says_how_qemu_carries_it),
		cmocka_unit_test_setup_teardown(test_summary_says_what_it_runs_on, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_qemu_that_cannot_carry_a_device, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_qemu_that_is_too_old_or_strange, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_no_qemu, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_initrd_that_changes_under_a_guest, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_qemu_that_does_not_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_contract_reaches_the_guest, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ends_from_outside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missing_kernel_starts_nothing, set_up,
						tear_down),
	};

	if (fake_qemu_called(argv))
		return fake_qemu_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

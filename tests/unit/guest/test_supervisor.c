// SPDX-License-Identifier: BSD-3-Clause
/*
 * The supervisor with fake device processes: this program, called as `avp device`. The serial
 * number of the block device tells the fake how to behave.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event_loop.h"
#include "device/block/options.h"
#include "guest/config/device_command.h"
#include "guest/run/supervisor.h"
#include "host/descriptor_store.h"
#include "host/supervised_process.h"
#include "unit/fake_device.h"

#define TURN_MS	 100
#define LIMIT_MS 20000

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

/* Reads a line, all of which is there. Returns false when the supervisor has hung up. */
static bool fake_read_line(int control)
{
	char byte = 0;

	while (byte != '\n')
		if (read(control, &byte, 1) != 1)
			return false;
	return true;
}

/* Answers each connection with a description of this process, until the supervisor hangs up. */
static void fake_serve(int listener, int control, int disk, char **argv)
{
	struct pollfd ends[] = {{.fd = control, .events = POLLIN},
				{.fd = listener, .events = POLLIN}};
	unsigned int heartbeats = 0;

	for (;;) {
		int connection;

		if (poll(ends, 2, -1) < 0)
			_exit(1);
		if (ends[0].revents && !fake_read_line(control))
			_exit(pwrite(disk, "was asked", 9, 8) == 9 ? 0 : 1);
		if (ends[0].revents) {
			heartbeats++;
			if (!strcmp(fake_option(argv, "serial"), "chatty"))
				dprintf(control, "ok\nok\n");
			else if (!strcmp(fake_option(argv, "serial"), "garbage"))
				dprintf(control, "%cok\n", 0);
			else if (strcmp(fake_option(argv, "serial"), "deaf"))
				dprintf(control, "ok\n");
			continue;
		}
		connection = accept(listener, NULL, NULL);
		if (connection < 0)
			_exit(1);
		dprintf(connection, "pid=%d\nheartbeats=%u\n", (int)getpid(), heartbeats);
		for (char **argument = argv; *argument; argument++)
			dprintf(connection, "%s\n", *argument);
		for (int fd = 0; fd < 256; fd++)
			if (fcntl(fd, F_GETFD) >= 0 && fd != connection && fd != disk)
				dprintf(connection, "fd=%d\n", fd);
		close(connection);
	}
}

static int run_fake(char **argv)
{
	const char *mode = fake_option(argv, "serial");
	int listener = atoi(fake_option(argv, "fd")), ready = atoi(fake_option(argv, "ready-fd"));
	char content[8] = "";
	int disk = open(fake_option(argv, "file"), O_RDWR);

	if (read(disk, content, sizeof(content)) != sizeof(content) ||
	    memcmp(content, "content", 8))
		dprintf(STDERR_FILENO, "error block: the file is not the one\n");
	if (!strcmp(mode, "usage")) {
		dprintf(STDERR_FILENO,
			"info block: before\nerror block: serial: is bad; change it\n");
		return 2;
	}
	if (!strcmp(mode, "json")) {
		dprintf(STDERR_FILENO, "{\"level\":\"error\",\"msg\":\"no room: make some\"}\n");
		return 1;
	}
	if (!strcmp(mode, "crash"))
		raise(SIGKILL);
	if (!strcmp(mode, "close")) {
		close(ready);
		return 1;
	}
	if (write(ready, "r", 1) != 1)
		return 1;
	close(ready);
	if (!strcmp(mode, "brief")) {
		usleep(10000);
		return 3;
	}
	while (!strcmp(mode, "stubborn"))
		pause();
	fake_serve(listener, atoi(fake_option(argv, "control-fd")), disk, argv);
	return 0;
}

/* The tests' side. */

static struct event_loop loop;
/* In the directory: the disk, and the program. */
#define FILES	      2
#define RESTART_LIMIT 5

static struct guest_config config;
static struct device_config devices[2];
static struct block_options options[2];
static struct supervisor *supervisor;
static char directory[] = "/tmp/test-supervisor-XXXXXX", file[64];
static bool ready;
static bool failed;
static const struct device_config *restarted;
static struct error failure;

static void on_ready(void *context)
{
	assert_false(ready);
	ready = true;
}

static void on_failed(void *context, const struct error *error)
{
	assert_false(failed);
	failed = true;
	failure = *error;
}

static void on_restarted(void *context, const struct device_config *device)
{
	restarted = device;
}

static const struct supervisor_events events = {
	.ready = on_ready,
	.restarted = on_restarted,
	.failed = on_failed,
};

static struct supervisor_setup setup = {
	.loop = &loop,
	.config = &config,
	.events = &events,
};

/* Describes one block device for each mode. */
static void describe(const char *mode_a, const char *mode_b)
{
	const char *modes[] = {mode_a, mode_b};

	config = (struct guest_config){
		.name = (char *)"car",
		.devices = devices,
		.restart_limit = RESTART_LIMIT,
	};
	for (unsigned int i = 0; i < 2 && modes[i]; i++) {
		options[i] = (struct block_options){
			.file = file,
			.serial = (char *)modes[i],
			.queues = 3,
			.queue_size = 256,
			.logical_block_size = 512,
		};
		devices[i] = (struct device_config){
			.type = device_type_find("block"),
			.name = (char *)(i ? "block1" : "block0"),
			.options = &options[i],
			.origin = (char *)"--block: ",
		};
		config.device_count++;
	}
}

/* Runs the loop until *flag is set, or something unexpected happens. */
static void run_until(const bool *flag)
{
	int64_t limit = clock_now_ms() + LIMIT_MS;

	while (!*flag && clock_now_ms() < limit)
		assert_true(event_loop_turn(&loop, TURN_MS) >= 0);
	assert_true(*flag);
}

static void open_and_start(void)
{
	struct error error;

	assert_int_equal(supervisor_open(&supervisor, &setup, &error), 0);
	assert_int_equal(supervisor_start(supervisor, &error), 0);
}

static void start(void)
{
	open_and_start();
	run_until(&ready);
	assert_false(failed);
}

static unsigned int count_entries(const char *path)
{
	DIR *stream = opendir(path);
	unsigned int count = 0;

	assert_non_null(stream);
	while (readdir(stream))
		count++;
	closedir(stream);
	return count - 2; /* "." and ".." */
}

static unsigned int open_descriptors;

static int set_up(void **state)
{
	struct error error;

	ready = false;
	failed = false;
	restarted = NULL;
	supervisor = NULL;
	open_descriptors = count_entries("/proc/self/fd");
	return event_loop_init(&loop, 0, &error);
}

/* No process, descriptor or file may be left. */
static int tear_down(void **state)
{
	supervisor_free(supervisor);
	event_loop_close(&loop);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(count_entries("/proc/self/fd"), open_descriptors);
	assert_int_equal(count_entries(directory), FILES);
	return 0;
}

/* Connects like an engine, and reads the fake's description. */
static void ask(size_t index, char *text, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = LIMIT_MS / 1000};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t length = 0;
	ssize_t bytes;

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d",
		 supervisor_device(supervisor, index).connect_fd);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	/* Without a process nobody answers. */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	while ((bytes = read(fd, text + length, size - 1 - length)) > 0)
		length += bytes;
	text[length] = 0;
	close(fd);
}

static int number_after(const char *text, const char *key)
{
	const char *found = strstr(text, key);

	assert_non_null(found);
	return atoi(found + strlen(key));
}

static void test_processes_get_what_they_need(void **state)
{
	char text[2048], line[64];
	int listener, opened;
	unsigned int count = 0;

	describe("one", "two");
	options[1].readonly = true;
	options[1].physical_block_size = 4096;
	start();
	/* The sockets have no name from the start. */
	assert_int_equal(count_entries(directory), FILES);

	ask(0, text, sizeof(text));
	assert_non_null(strstr(text, "device-block\n--expect-version=" AVP_VERSION "\n"));
	assert_non_null(strstr(text, "\n--serial=one\n"));
	assert_non_null(strstr(text, "\n--queues=3\n"));
	assert_non_null(strstr(text, "\n--cache=writeback\n"));
	assert_non_null(strstr(text, "\n--log-level=info\n"));
	assert_non_null(strstr(text, "\n--log-format=json\n"));
	assert_null(strstr(text, "--readonly"));
	assert_null(strstr(text, "--physical-block-size"));
	assert_int_equal(number_after(text, "pid="), supervisor_device(supervisor, 0).pid);
	/* Its own sockets and file; none of the other device or the supervisor. */
	listener = number_after(text, "--fd=");
	opened = number_after(text, "--file=/dev/fd/");
	for (char *at = text; (at = strstr(at, "\nfd=")); at++)
		count++;
	assert_int_equal(count, 6);
	snprintf(line, sizeof(line), "\nfd=%d\n", listener);
	assert_non_null(strstr(text, line));
	snprintf(line, sizeof(line), "\nfd=%d\n", opened);
	assert_non_null(strstr(text, line));

	ask(1, text, sizeof(text));
	assert_non_null(strstr(text, "\n--readonly\n"));
	assert_non_null(strstr(text, "\n--physical-block-size=4096\n"));
}

static void test_dead_process_is_started_again(void **state)
{
	char text[2048];
	pid_t before;

	char program[128];

	describe("one", NULL);
	start();
	before = supervisor_device(supervisor, 0).pid;
	/* An update removes or replaces the program: a running guest keeps the one that it has. */
	snprintf(program, sizeof(program), "%s/device-block", directory);
	assert_int_equal(unlink(program), 0);
	kill(before, SIGKILL);
	/* The socket survives the process: a connection waits for the next one. */
	for (int64_t limit = clock_now_ms() + LIMIT_MS; !restarted && clock_now_ms() < limit;)
		event_loop_turn(&loop, TURN_MS);
	assert_ptr_equal(restarted, &devices[0]);
	ask(0, text, sizeof(text));
	assert_int_not_equal(number_after(text, "pid="), before);
	assert_int_equal(number_after(text, "pid="), supervisor_device(supervisor, 0).pid);
	assert_int_equal(supervisor_device(supervisor, 0).restarts, 1);
	assert_false(failed);
	fake_device_install(directory);
}

static void test_failed_start_tells_why(void **state)
{
	describe("one", "usage");
	open_and_start();
	run_until(&failed);
	assert_true(failure.usage);
	assert_string_equal(failure.message, "--block: serial: is bad; change it");
	assert_false(ready);
}

static void test_failed_start_in_json(void **state)
{
	describe("json", NULL);
	open_and_start();
	run_until(&failed);
	assert_false(failure.usage);
	assert_string_equal(failure.message, "block0: no room: make some");
}

static void test_failed_start_without_a_word(void **state)
{
	describe("crash", NULL);
	open_and_start();
	run_until(&failed);
	assert_string_equal(failure.message, "block0: its device process ended before it served: "
					     "signal 9 (Killed)");
	supervisor_free(supervisor);
	failed = false;
	describe("close", NULL);
	open_and_start();
	run_until(&failed);
	assert_string_equal(failure.message, "block0: its device process ended before it served: "
					     "exit status 1");
}

static void test_dying_again_and_again(void **state)
{
	int64_t before = clock_now_ms();

	describe("one", "brief");
	start();
	run_until(&failed);
	assert_string_equal(failure.message,
			    "block1: its device process died 5 times in a row, each "
			    "within 30 s of its start: exit status 3");
	assert_int_equal(supervisor_device(supervisor, 1).restarts, RESTART_LIMIT - 1);
	assert_int_equal(supervisor_device(supervisor, 0).restarts, 0);
	/* Restarted at once, then after 100, 200 and 400 ms. */
	assert_in_range(clock_now_ms() - before, 700, LIMIT_MS);
	/* The others run until the supervisor is freed. */
	assert_int_not_equal(supervisor_device(supervisor, 0).pid, 0);
}

static void test_heartbeat(void **state)
{
	char text[2048] = "heartbeats=0";
	static const char *const modes[] = {"deaf", "chatty", "garbage"};
	pid_t before;

	/* One without heartbeats; one that does not answer, answers too much, or breaks the form.
	 */
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		describe("one", modes[i]);
		devices[1].heartbeat = 100;
		restarted = NULL;
		ready = false;
		start();
		before = supervisor_device(supervisor, 1).pid;
		for (int64_t limit = clock_now_ms() + LIMIT_MS;
		     !restarted && clock_now_ms() < limit;)
			event_loop_turn(&loop, TURN_MS);
		assert_ptr_equal(restarted, &devices[1]);
		assert_int_not_equal(supervisor_device(supervisor, 1).pid, before);
		assert_int_equal(supervisor_device(supervisor, 0).restarts, 0);
		ask(0, text, sizeof(text));
		assert_int_equal(number_after(text, "heartbeats="), 0);
		supervisor_free(supervisor);
		devices[1].heartbeat = 0;
	}

	/* Asked more often than it could leave unanswered. */
	devices[1].heartbeat = 0;
	ready = false;
	describe("one", NULL);
	devices[0].heartbeat = 100;
	start();
	for (int64_t limit = clock_now_ms() + LIMIT_MS;
	     number_after(text, "heartbeats=") <= SUPERVISED_UNANSWERED && clock_now_ms() < limit;
	     ask(0, text, sizeof(text)))
		event_loop_turn(&loop, TURN_MS);
	assert_true(number_after(text, "heartbeats=") > SUPERVISED_UNANSWERED);
}

static ino_t inode_of(const struct supervisor *of)
{
	struct stat status;

	assert_int_equal(fstat(supervisor_device(of, 0).connect_fd, &status), 0);
	return status.st_ino;
}

/*
 * A supervisor that is killed leaves its sockets in the store. The next one serves who has
 * connected to them meanwhile.
 */
static void test_sockets_outlive_the_supervisor(void **state)
{
	/* The longest name of a device. */
	char name[] = "block-0123456789012345678901234567890123456789012345678901234567";
	char path[128], listening[128], connecting[128], text[2048];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct error error;
	int ends[2], status, connect_fd, client;
	size_t length = 0;
	ssize_t bytes;
	ino_t inode;
	pid_t pid;

	describe("one", NULL);
	assert_int_equal(strlen(name), 64);
	devices[0].name = name;
	snprintf(listening, sizeof(listening), "%s.listen", name);
	snprintf(connecting, sizeof(connecting), "%s.connect", name);
	snprintf(path, sizeof(path), "%s/store", directory);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (descriptor_store_open(&setup.store, path, &error) < 0)
			_exit(1);
		open_and_start();
		inode = inode_of(supervisor);
		if (write(ends[1], &inode, sizeof(inode)) != sizeof(inode))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &inode, sizeof(inode)), sizeof(inode));
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));

	assert_int_equal(descriptor_store_open(&setup.store, path, &error), 0);
	connect_fd = descriptor_store_get(setup.store, connecting, &error);
	assert_true(connect_fd >= 0);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", connect_fd);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	close(connect_fd);
	start();
	assert_int_equal(inode_of(supervisor), inode);
	while ((bytes = read(client, text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)bytes;
	text[length] = 0;
	close(client);
	assert_int_equal(number_after(text, "pid="), supervisor_device(supervisor, 0).pid);
	/* In an orderly end nothing is left. */
	supervisor_free(supervisor);
	supervisor = NULL;
	assert_int_equal(descriptor_store_get(setup.store, listening, &error), -ENOENT);
	assert_int_equal(descriptor_store_get(setup.store, connecting, &error), -ENOENT);
	descriptor_store_end(setup.store);
	setup.store = NULL;
	while (access(path, F_OK) == 0)
		usleep(1000);
}

/* How long it lived counts, not how long it takes to fail. */
static void test_restart_policy(void **state)
{
	struct restart_policy policy = {0};

	/* A device that is killed after ten seconds each time. */
	for (int i = 1; i < RESTART_LIMIT; i++)
		assert_false(restart_policy_count(&policy, 10000, RESTART_LIMIT));
	assert_true(restart_policy_count(&policy, 10000, RESTART_LIMIT));
	policy = (struct restart_policy){0};
	for (int i = 0; i < 100; i++)
		assert_false(
			restart_policy_count(&policy, i % 3 ? 0 : RESTART_QUIET_MS, RESTART_LIMIT));
	for (int i = 0; i < 100; i++)
		assert_false(restart_policy_count(&policy, 0, 0));
	/* The death of a process that ran long does not count, even with a limit of 1. */
	policy = (struct restart_policy){0};
	assert_false(restart_policy_count(&policy, RESTART_QUIET_MS, 1));
	for (int i = 1; i < RESTART_LIMIT; i++)
		assert_false(restart_policy_count(&policy, 0, RESTART_LIMIT));
	assert_true(restart_policy_count(&policy, 0, RESTART_LIMIT));
}

static void test_missing_file(void **state)
{
	struct error error;

	describe("one", "two");
	options[1].file = (char *)"/nonexistent/disk";
	assert_int_equal(supervisor_open(&supervisor, &setup, &error), -EINVAL);
	assert_true(error.usage);
	assert_non_null(strstr(error.message, "--block: file: /nonexistent/disk: No such file"));
	assert_null(supervisor);
	options[1].file = (char *)"/dev/null";
	assert_int_equal(supervisor_open(&supervisor, &setup, &error), -EINVAL);
	assert_non_null(strstr(error.message, "neither a regular file nor a block device"));
}

static void test_program_is_missing(void **state)
{
	struct error error;

	describe("one", NULL);
	setenv("AVP_LIBEXEC_DIR", "/nonexistent", 1);
	assert_int_equal(supervisor_open(&supervisor, &setup, &error), -EINVAL);
	assert_string_equal(error.message,
			    "there is no program device-block in /nonexistent, which "
			    "AVP_LIBEXEC_DIR names; unset it or name the right directory");
	unsetenv("AVP_LIBEXEC_DIR");
	assert_int_equal(supervisor_open(&supervisor, &setup, &error), -ENOENT);
	assert_non_null(strstr(error.message, "the program device-block is missing"));
	setenv("AVP_LIBEXEC_DIR", directory, 1);
}

static void test_no_devices(void **state)
{
	describe(NULL, NULL);
	open_and_start();
	assert_true(ready);
}

/* Only the supervisor handles a signal to the whole unit or session. */
static void test_processes_obey_the_supervisor_alone(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	char text[2048];
	pid_t pid;
	int disk;

	describe("one", NULL);
	start();
	pid = supervisor_device(supervisor, 0).pid;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		kill(pid, signals[i]);
		ask(0, text, sizeof(text));
		assert_int_equal(number_after(text, "pid="), pid);
	}
	supervisor_free(supervisor);
	supervisor = NULL;
	disk = open(file, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(disk, text, 9, 8), 9);
	assert_memory_equal(text, "was asked", 9);
	close(disk);
}

static void test_stubborn_process_is_ended(void **state)
{
	int64_t before;

	describe("stubborn", "stubborn");
	start();
	before = clock_now_ms();
	supervisor_free(supervisor);
	supervisor = NULL;
	/* One common time limit. */
	assert_in_range(clock_now_ms() - before, SUPERVISOR_STOP_MS - 100,
			2 * SUPERVISOR_STOP_MS - 200);
}

static void test_derived_mac(void **state)
{
	const uint8_t given[6] = {0x02, 0, 0, 0, 0, 1}, none[6] = {0};
	uint8_t a[6], b[6];

	device_mac(a, given, "host", "car", "net0");
	assert_memory_equal(a, given, 6);
	device_mac(a, none, "host", "car", "net0");
	device_mac(b, none, "host", "car", "net0");
	assert_memory_equal(a, b, 6);
	assert_int_equal(a[0] & 3, 2);
	device_mac(b, none, "host", "car", "net1");
	assert_memory_not_equal(a, b, 6);
	device_mac(b, none, "host", "carn", "et0");
	assert_memory_not_equal(a, b, 6);
	device_mac(b, none, "host", NULL, "net0");
	assert_memory_not_equal(a, b, 6);
	device_mac(b, none, "other", "car", "net0");
	assert_memory_not_equal(a, b, 6);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_processes_get_what_they_need, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_dead_process_is_started_again, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_failed_start_tells_why, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_start_in_json, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_start_without_a_word, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_dying_again_and_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missing_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_program_is_missing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_devices, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_processes_obey_the_supervisor_alone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_stubborn_process_is_ended, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_heartbeat, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sockets_outlive_the_supervisor, set_up,
						tear_down),
		cmocka_unit_test(test_restart_policy),
		cmocka_unit_test(test_derived_mac),
	};
	int result, fd;

	if (argc > 2 && !strcmp(argv[1], "hold-descriptors"))
		return descriptor_store_hold(strchr(argv[2], '=') + 1, DESCRIPTOR_STORE_ALONE_MS,
					     NULL) < 0;
	if (fake_device_called(argv))
		return run_fake(argv);
	if (!mkdtemp(directory))
		return 1;
	snprintf(file, sizeof(file), "%s/disk", directory);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "content", 8) != 8)
		return 1;
	close(fd);
	setenv("XDG_RUNTIME_DIR", directory, 1);
	fake_device_install(directory);
	result = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(file);
	snprintf(file, sizeof(file), "%s/device-block", directory);
	unlink(file);
	rmdir(directory);
	return result;
}

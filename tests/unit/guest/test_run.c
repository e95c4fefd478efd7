// SPDX-License-Identifier: BSD-3-Clause
/*
 * A whole run with a fake QEMU and fake device processes: how it ends, what it prints, and that
 * nothing is left, also when it is killed. Each run is a process of its own, which the test watches
 * like a user. The serial number of a block device selects the behaviour of its fake.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop_request.h"
#include "device/block/options.h"
#include "guest/run/run.h"
#include "host/guest_directory.h"
#include "unit/fake_device.h"
#include "unit/fake_qemu.h"
#include "unit/scratch.h"

#define LIMIT_MS       20000
#define STOP_TIMEOUT_S 10
#define RESTART_LIMIT  5
/* Exit statuses of a run beyond enum guest_end. */
#define EXIT_ERROR 20
#define EXIT_USAGE 21
#define EXIT_LEFT  22 /* something was left changed */

static struct scratch scratch;
static struct block_options block_options;
static struct device_config device;
static struct guest_config config;
static char guest_name[32];

/* A run of the guest, and its output. */
struct process_run {
	pid_t pid;
	int input, output, errors;
	char text[16384]; /* of errors, so far */
	size_t length;
};

static unsigned int count_descriptors(void)
{
	DIR *stream = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(stream))
		count++;
	closedir(stream);
	return count;
}

/* The next run starts with SIGHUP ignored, as under nohup. */
static bool ignore_hangup;

/* Orphans of the next run become its children, and SIGCHLD is ignored. */
static bool get_orphans;

/* The run's own process: guest_run, and whether it leaves everything as it was. */
static _Noreturn void run_child(void)
{
	unsigned int descriptors = count_descriptors();
	struct sigaction pipe_action;
	struct error error = {0};
	enum guest_end end = 99;
	sigset_t mask;
	int result;

	if (ignore_hangup)
		signal(SIGHUP, SIG_IGN);
	if (get_orphans) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		signal(SIGCHLD, SIG_IGN);
	}
	result = guest_run(&config, NULL, &end, &error);

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigaction(SIGPIPE, NULL, &pipe_action);
	if (count_descriptors() != descriptors || sigismember(&mask, SIGTERM) ||
	    pipe_action.sa_handler != SIG_DFL || waitpid(-1, NULL, WNOHANG) != -1 ||
	    errno != ECHILD)
		_exit(EXIT_LEFT);
	if (result < 0) {
		dprintf(STDERR_FILENO, "error: %s\n", error.message);
		_exit(error.usage ? EXIT_USAGE : EXIT_ERROR);
	}
	_exit((int)end);
}

static void start(struct process_run *run, const char *qemu_mode, const char *device_mode)
{
	int in[2], out[2], err[2];

	*run = (struct process_run){0};
	fake_qemu_set(qemu_mode, "QEMU emulator version 7.2.22");
	block_options.serial = (char *)device_mode;
	config.device_count = device_mode ? 1 : 0;
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	run->pid = fork();
	if (run->pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		run_child();
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	run->input = in[1];
	run->output = out[0];
	run->errors = err[0];
}

/* Reads from @fd until @text has come. Returns false at its end. */
static bool read_until(int fd, char *buffer, size_t size, size_t *length, const char *text)
{
	for (;;) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		ssize_t bytes;

		buffer[*length] = 0;
		if (text && strstr(buffer, text))
			return true;
		assert_true(*length < size - 1);
		assert_int_equal(poll(&readable, 1, LIMIT_MS), 1);
		bytes = read(fd, buffer + *length, size - 1 - *length);
		assert_true(bytes >= 0);
		if (bytes == 0)
			return false;
		*length += bytes;
	}
}

static void expect_line(struct process_run *run, const char *text)
{
	if (!read_until(run->errors, run->text, sizeof(run->text), &run->length, text))
		fail_msg("no '%s' in: %s", text, run->text);
}

static void expect_output(struct process_run *run, const char *text)
{
	char buffer[256];
	size_t length = 0;

	assert_true(read_until(run->output, buffer, sizeof(buffer), &length, text));
}

/* Waits for the end of one run of several, which has the whole text in run->text. */
static int finish_one(struct process_run *run)
{
	int status;

	read_until(run->errors, run->text, sizeof(run->text), &run->length, NULL);
	assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
	close(run->input);
	close(run->output);
	close(run->errors);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int finish(struct process_run *run)
{
	int status = finish_one(run);

	/* Children left by the run would be ours now. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	return status;
}

static void test_power_off(void **state)
{
	struct process_run run;

	start(&run, "poweroff", "normal");
	expect_output(&run, "hello\r\n");
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	assert_non_null(strstr(run.text, "info run: engine qemu: QEMU 7.2.22 "));
	assert_non_null(strstr(run.text, "info run: device block0 (block): process "));
	assert_non_null(strstr(run.text, "info run: the guest powered off after "));
	assert_non_null(strstr(run.text, "its first output came at "));
	assert_non_null(strstr(run.text, "restarts of device processes: none"));
	assert_null(strstr(run.text, "warning"));
}

/* The fields of the line about @event, which is in a log of JSON lines. */
static json_t *find_event(char *log, const char *event)
{
	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
		json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		const char *found = json_string_value(json_object_get(json, "event"));

		if (found && !strcmp(found, event))
			return json;
		json_decref(json);
	}
	fail_msg("no %s", event);
	return NULL;
}

static void test_events_have_fields(void **state)
{
	struct process_run run;
	char text[sizeof(run.text)];
	json_t *json;

	log_set_format(LOG_FORMAT_JSON);
	log_set_guest("car");
	start(&run, "reset", "normal");
	log_set_format(LOG_FORMAT_TEXT);
	log_set_guest("");
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	memcpy(text, run.text, sizeof(text));
	json = find_event(text, "engine-started");
	assert_string_equal(json_string_value(json_object_get(json, "guest")), "car");
	assert_string_equal(json_string_value(json_object_get(json, "engine")), "qemu");
	assert_true(json_integer_value(json_object_get(json, "process")) > 0);
	json_decref(json);
	memcpy(text, run.text, sizeof(text));
	json = find_event(text, "device-started");
	assert_string_equal(json_string_value(json_object_get(json, "device")), "block0");
	assert_string_equal(json_string_value(json_object_get(json, "type")), "block");
	json_decref(json);
	memcpy(text, run.text, sizeof(text));
	json_decref(find_event(text, "guest-restarts"));
	memcpy(text, run.text, sizeof(text));
	json = find_event(text, "guest-ended");
	assert_string_equal(json_string_value(json_object_get(json, "end")), "powered-off");
	assert_true(json_is_integer(json_object_get(json, "milliseconds")));
	json_decref(json);
}

static void test_console_reaches_the_guest(void **state)
{
	struct process_run run;

	start(&run, "echo", NULL);
	assert_int_equal(write(run.input, "how are you\n", 12), 12);
	expect_output(&run, "how are you\n");
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
}

static void test_panic_and_crash(void **state)
{
	struct process_run run;

	start(&run, "panic", "normal");
	assert_int_equal(finish(&run), GUEST_PANICKED);
	assert_non_null(strstr(run.text, "the guest panicked after "));
	start(&run, "crash", "normal");
	assert_int_equal(finish(&run), GUEST_FAILED);
	assert_non_null(
		strstr(run.text, "error run: the guest ended with QEMU (signal 11 (Segmentation"));
	start(&run, "reset", "normal");
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	assert_non_null(strstr(run.text, "info run: the guest restarts"));
}

static void test_engine_that_does_not_start(void **state)
{
	struct process_run run;

	start(&run, "refuse", "normal");
	assert_int_equal(finish(&run), EXIT_ERROR);
	assert_non_null(strstr(run.text, "error: the guest did not start: it ended with QEMU (exit "
					 "status 1): no room for memory\n"));
}

static void test_files_have_their_paths(void **state)
{
	struct process_run run;
	char line[300];

	start(&run, "unloadable", NULL);
	assert_int_equal(finish(&run), EXIT_ERROR);
	snprintf(line, sizeof(line), "could not load kernel '%s'", config.kernel);
	assert_non_null(strstr(run.text, line));
	start(&run, "poweroff", "file");
	assert_int_equal(finish(&run), EXIT_USAGE);
	snprintf(line, sizeof(line), "error: --block: file: %s: is no disk; give one\n",
		 block_options.file);
	assert_string_equal(run.text, line);
}

static void test_device_that_does_not_start(void **state)
{
	struct process_run run;

	start(&run, "poweroff", "usage");
	assert_int_equal(finish(&run), EXIT_USAGE);
	/* One line, and the engine was not started. */
	assert_string_equal(run.text, "error: --block: file: is no disk; give one\n");
}

static void test_missing_engine(void **state)
{
	struct process_run run;

	start(&run, "poweroff", "normal");
	finish(&run);
	unlink(scratch_path(&scratch, FAKE_QEMU_NAME));
	start(&run, "poweroff", "normal");
	assert_int_equal(finish(&run), EXIT_ERROR);
	assert_non_null(strstr(run.text, "; engine qemu: " FAKE_QEMU_NAME " is not in PATH"));
	fake_qemu_install(&scratch);
}

static void test_device_that_dies_again_and_again(void **state)
{
	struct process_run run;

	start(&run, "deaf", "brief");
	assert_int_equal(finish(&run), GUEST_FAILED);
	assert_non_null(strstr(run.text, "error run: block0: its device process died 5 times"));
	assert_non_null(strstr(run.text, "restarts of device processes: block0 4"));
}

#define MEMORY_LIMIT (UINT64_C(256) << 20)

static bool write_text(const char *directory, const char *name, const char *text)
{
	char path[600];
	int fd;
	bool done;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return done;
}

/* Moves this process to a control group of its own with a limit on memory; "" if forbidden. */
static void make_group(char directory[400])
{
	static const char *const places[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
	static const char *const limits[] = {"memory.limit_in_bytes", "memory.max"};
	char number[32];

	for (int i = 0; i < 2; i++) {
		snprintf(directory, 400, "%s/avp-test-%d", places[i], (int)getpid());
		if (mkdir(directory, 0755) < 0)
			continue;
		snprintf(number, sizeof(number), "%" PRIu64, MEMORY_LIMIT);
		if (write_text(directory, limits[i], number)) {
			/* Swapped-out memory would not count. */
			write_text(directory, "memory.swap.max", "0");
			write_text(directory, "memory.swappiness", "0");
			if (write_text(directory, "cgroup.procs", "0"))
				return;
		}
		rmdir(directory);
	}
	directory[0] = 0;
}

static void leave_group(const char *directory)
{
	char above[400];

	snprintf(above, sizeof(above), "%s/..", directory);
	assert_true(write_text(above, "cgroup.procs", "0"));
	assert_int_equal(rmdir(directory), 0);
}

static void test_out_of_memory(void **state)
{
	struct process_run run;
	char group[400];

	make_group(group);
	if (!group[0])
		skip();
	start(&run, "eat", NULL);
	assert_int_equal(finish(&run), GUEST_FAILED);
	if (!strstr(run.text, "ended with QEMU (signal 9 (Killed) by the kernel's OOM killer: "))
		fail_msg("%s", run.text);
	config.restart_limit = 1;
	start(&run, "deaf", "eat");
	assert_int_equal(finish(&run), GUEST_FAILED);
	if (!strstr(run.text, "30 s of its start: signal 9 (Killed) by the kernel's OOM killer: "))
		fail_msg("%s", run.text);
	config.restart_limit = RESTART_LIMIT;
	leave_group(group);
}

/* Resets within a second count as one restart, so this takes many seconds. */
static void test_guest_that_resets_again_and_again(void **state)
{
	struct process_run run;

	config.restart_limit = 2;
	start(&run, "resets", NULL);
	assert_int_equal(finish(&run), GUEST_FAILED);
	assert_non_null(strstr(run.text, "error run: the guest restarted 2 times in a row"));
	config.restart_limit = RESTART_LIMIT;
}

/* The pid of a line that ends in "process N". */
static pid_t pid_after(const char *text, const char *start)
{
	const char *found = strstr(text, start);

	assert_non_null(found);
	found = strstr(found, "process ");
	return atoi(found + strlen("process "));
}

static void test_device_that_dies_once(void **state)
{
	struct process_run run;

	start(&run, "powerdown", "normal");
	expect_output(&run, "hello\r\n");
	expect_line(&run, "device block0 (block): process ");
	expect_line(&run, "\n");
	kill(pid_after(run.text, "device block0"), SIGKILL);
	expect_line(&run, " serves\n");
	kill(run.pid, SIGTERM);
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	assert_non_null(strstr(run.text, "block0: device process "));
	assert_non_null(strstr(run.text, "signal 9 (Killed); it is started again"));
	assert_non_null(strstr(run.text, "restarts of device processes: block0 1"));
}

/* Children of a killed device process do not stay as zombies. */
static void test_orphans(void **state)
{
	int64_t deadline = clock_now_ms() + LIMIT_MS;
	char path[160], text[32] = "";
	struct process_run run;
	int file;

	get_orphans = true;
	start(&run, "powerdown", "helper");
	get_orphans = false;
	expect_output(&run, "hello\r\n");
	expect_line(&run, "device block0 (block): process ");
	expect_line(&run, "\n");
	snprintf(path, sizeof(path), "%s/helper", scratch.directory);
	file = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(file >= 0);
	while (!strchr(text, '\n') && clock_now_ms() < deadline)
		assert_true(pread(file, text, sizeof(text) - 1, 0) >= 0);
	close(file);
	assert_true(atoi(text) > 0);
	assert_int_equal(kill(atoi(text), 0), 0);
	kill(pid_after(run.text, "device block0"), SIGKILL);
	expect_line(&run, " serves\n");
	while (kill(atoi(text), 0) == 0 && clock_now_ms() < deadline)
		usleep(1000);
	assert_int_equal(kill(atoi(text), 0), -1);
	kill(run.pid, SIGTERM);
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	unlink(path);
	assert_non_null(strstr(run.text, "restarts of device processes: block0 1"));
}

static void test_orderly_stop(void **state)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	struct process_run run;

	for (unsigned int i = 0; i < 4; i++) {
		start(&run, "powerdown", "normal");
		expect_output(&run, "hello\r\n");
		kill(run.pid, numbers[i]);
		/* Asked to stop, and stopped in order: not an error. */
		assert_int_equal(finish(&run), GUEST_POWERED_OFF);
		assert_non_null(strstr(run.text, "the guest's power button is pressed"));
		assert_non_null(strstr(run.text, "the guest powered off on request after "));
	}
}

/* Of two pending signals a signalfd returns the lower number first. */
static const int at_once[] = {SIGSTOP, SIGHUP, SIGTERM, SIGCONT};

/* The button is pressed until the deadline. Simultaneous signals are one request. */
static void test_power_button_is_pressed_again(void **state)
{
	struct process_run run;

	config.stop_timeout = 24 * 60 * 60;
	start(&run, "drowsy", "normal");
	expect_output(&run, "hello\r\n");
	for (size_t i = 0; i < 4; i++)
		kill(run.pid, at_once[i]);
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	assert_non_null(strstr(run.text, "the guest powered off on request after "));
	config.stop_timeout = STOP_TIMEOUT_S;
}

/* Two guests of one name would have the same MAC addresses, and be taken for each other. */
static void test_name_that_is_taken(void **state)
{
	struct process_run run, second;
	char taken[120];

	start(&run, "powerdown", NULL);
	expect_output(&run, "hello\r\n");
	start(&second, "poweroff", NULL);
	assert_int_equal(finish_one(&second), EXIT_USAGE);
	snprintf(
		taken, sizeof(taken),
		"error: --name: a guest named '%s' runs already, in process %d; give another name\n",
		guest_name, (int)run.pid);
	assert_string_equal(second.text, taken);
	/* A generated name is changed to a free one. */
	config.name = strdup(guest_name);
	config.unnamed = true;
	start(&second, "poweroff", NULL);
	free(config.name);
	config.name = guest_name;
	config.unnamed = false;
	assert_int_equal(finish_one(&second), GUEST_POWERED_OFF);
	kill(run.pid, SIGTERM);
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	/* The name is free again. */
	start(&second, "poweroff", NULL);
	assert_int_equal(finish(&second), GUEST_POWERED_OFF);
	/* Also after its holder was killed. */
	start(&run, "powerdown", NULL);
	expect_output(&run, "hello\r\n");
	kill(run.pid, SIGKILL);
	assert_int_equal(finish_one(&run), -SIGKILL);
	start(&second, "poweroff", NULL);
	assert_int_equal(finish_one(&second), GUEST_POWERED_OFF);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* A device process is found by its guest; other processes are not. */
static void test_guest_of_a_device_process(void **state)
{
	struct process_run run;
	char name[32] = "";

	start(&run, "powerdown", "normal");
	expect_output(&run, "hello\r\n");
	expect_line(&run, "device block0 (block): process ");
	expect_line(&run, "\n");
	assert_int_equal(guest_directory_find(pid_after(run.text, "device block0"), name,
					      sizeof(name)),
			 run.pid);
	assert_string_equal(name, guest_name);
	assert_int_equal(guest_directory_find(run.pid, name, sizeof(name)), 0);
	kill(run.pid, SIGTERM);
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	assert_int_equal(guest_directory_find(getpid(), name, sizeof(name)), 0);
}

/* As `systemctl stop` without KillMode=mixed: every process of the unit gets the signal. */
static void test_signal_to_all_processes(void **state)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	struct process_run run;

	for (unsigned int i = 0; i < 3; i++) {
		start(&run, "powerdown", "normal");
		expect_output(&run, "hello\r\n");
		expect_line(&run, "device block0 (block): process ");
		expect_line(&run, "\n");
		/* The others first, before the run could end them itself. */
		kill(pid_after(run.text, "engine qemu"), numbers[i]);
		kill(pid_after(run.text, "device block0"), numbers[i]);
		usleep(100000);
		kill(run.pid, numbers[i]);
		assert_int_equal(finish(&run), GUEST_POWERED_OFF);
		assert_non_null(strstr(run.text, "the guest powered off on request after "));
		assert_non_null(strstr(run.text, "restarts of device processes: none"));
		assert_null(strstr(run.text, "warning"));
	}
}

static void test_ignored_signal_stays_ignored(void **state)
{
	struct process_run run;

	ignore_hangup = true;
	start(&run, "powerdown", "normal");
	ignore_hangup = false;
	expect_output(&run, "hello\r\n");
	for (size_t i = 0; i < 4; i++)
		kill(run.pid, at_once[i]);
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	assert_null(strstr(run.text, "signal 1 "));
	assert_non_null(strstr(run.text, "signal 15 (Terminated): the guest's power button"));
}

static void test_second_signal_does_not_wait(void **state)
{
	struct process_run run;

	start(&run, "deaf", "normal");
	expect_output(&run, "hello\r\n");
	kill(run.pid, SIGTERM);
	expect_line(&run, "power button is pressed");
	usleep(STOP_REQUEST_MS * 1000);
	kill(run.pid, SIGTERM);
	assert_int_equal(finish(&run), GUEST_KILLED);
	assert_non_null(strstr(run.text, "the guest was killed after "));
	assert_null(strstr(run.text, "it still runs"));
}

static void test_stop_timeout(void **state)
{
	struct process_run run;

	config.stop_timeout = 1;
	start(&run, "deaf", "normal");
	expect_output(&run, "hello\r\n");
	kill(run.pid, SIGTERM);
	assert_int_equal(finish(&run), GUEST_KILLED);
	assert_non_null(strstr(run.text, "power button is pressed; it has 1 s"));
	assert_non_null(strstr(run.text, "it still runs: the guest is killed"));
	config.stop_timeout = 0;
	start(&run, "deaf", "normal");
	expect_output(&run, "hello\r\n");
	kill(run.pid, SIGTERM);
	assert_int_equal(finish(&run), GUEST_KILLED);
	assert_null(strstr(run.text, "power button"));
	config.stop_timeout = STOP_TIMEOUT_S;
}

/* Reads notifications on the service manager's socket until one contains @text. */
static void expect_told(int manager, const char *text)
{
	struct pollfd readable = {.fd = manager, .events = POLLIN};
	char message[1024];

	for (;;) {
		ssize_t length;

		if (poll(&readable, 1, LIMIT_MS) != 1)
			fail_msg("the service manager was never told '%s'", text);
		length = recv(manager, message, sizeof(message) - 1, 0);
		assert_true(length > 0);
		message[length] = 0;
		if (strstr(message, text))
			return;
	}
}

/* Children inherit neither the variables nor the socket of the service manager. */
static void expect_no_environment(pid_t pid)
{
	char path[64], text[8192];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = read(fd, text, sizeof(text));
	assert_true(length > 0);
	assert_null(memmem(text, (size_t)length, "NOTIFY_SOCKET", strlen("NOTIFY_SOCKET")));
	assert_null(memmem(text, (size_t)length, "WATCHDOG_", strlen("WATCHDOG_")));
	close(fd);
}

static void test_service_manager_is_told(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char starting[64], ready[80];

	snprintf(starting, sizeof(starting), "STATUS=starting guest %s", guest_name);
	snprintf(ready, sizeof(ready), "READY=1\nSTATUS=guest %s runs on engine qemu", guest_name);
	/* An abstract address as well as a path. */
	for (unsigned int abstract = 0; abstract < 2; abstract++) {
		int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		struct process_run run;
		size_t length;

		snprintf(address.sun_path, sizeof(address.sun_path), "%s%s", abstract ? "@" : "",
			 scratch_path(&scratch, "notify"));
		length = strlen(address.sun_path);
		setenv("NOTIFY_SOCKET", address.sun_path, 1);
		setenv("WATCHDOG_USEC", "100000", 1);
		if (abstract)
			address.sun_path[0] = 0;
		assert_int_equal(bind(manager, (struct sockaddr *)&address,
				      offsetof(struct sockaddr_un, sun_path) + length),
				 0);
		start(&run, "powerdown", "normal");
		expect_told(manager, starting);
		expect_told(manager, ready);
		for (int i = 0; i < 3; i++)
			expect_told(manager, "WATCHDOG=1");
		expect_line(&run, "device block0 (block): process ");
		expect_line(&run, "\n");
		expect_no_environment(pid_after(run.text, "engine qemu"));
		expect_no_environment(pid_after(run.text, "device block0"));
		kill(run.pid, SIGTERM);
		/* The guest's time limit plus the cleanup. */
		expect_told(manager, "STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000\nSTATUS=");
		assert_int_equal(finish(&run), GUEST_POWERED_OFF);
		assert_null(strstr(run.text, "warning"));
		close(manager);
	}
	unlink(scratch_path(&scratch, "notify"));
	/* Another process is watched; a socket without a listener only gets a warning. */
	for (unsigned int gone = 0; gone < 2; gone++) {
		struct process_run run;

		setenv("NOTIFY_SOCKET", gone ? scratch_path(&scratch, "gone") : "vsock:2:1234", 1);
		setenv("WATCHDOG_PID", "1", 1);
		start(&run, "poweroff", "normal");
		assert_int_equal(finish(&run), GUEST_POWERED_OFF);
		assert_non_null(strstr(run.text, "warning run: NOTIFY_SOCKET: "));
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void test_engine_that_ignores_its_end(void **state)
{
	struct process_run run;

	start(&run, "stubborn", "normal");
	expect_output(&run, "hello\r\n");
	kill(run.pid, SIGTERM);
	expect_line(&run, "power button is pressed");
	kill(run.pid, SIGINT);
	assert_int_equal(finish(&run), GUEST_KILLED);
	assert_non_null(strstr(run.text, "the guest was killed after "));
}

/* Waits until the process takes signals through its loop: it has blocked SIGINT. */
static void wait_takes_signals(pid_t pid)
{
	int64_t limit = clock_now_ms() + LIMIT_MS;
	unsigned long long blocked = 0;
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	while (!(blocked & 1ULL << (SIGINT - 1)) && clock_now_ms() < limit) {
		FILE *file = fopen(path, "r");

		assert_non_null(file);
		while (fgets(line, sizeof(line), file))
			sscanf(line, "SigBlk: %llx", &blocked);
		fclose(file);
		usleep(1000);
	}
}

static void test_signal_before_the_guest_runs(void **state)
{
	struct process_run run;

	start(&run, "mute", "normal");
	wait_takes_signals(run.pid);
	kill(run.pid, SIGINT);
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	/* A guest that never ran is not announced. */
	assert_null(strstr(run.text, "engine qemu: "));
	assert_non_null(strstr(run.text, "the guest was ended before it ran"));

	/* Slow device processes. */
	start(&run, "poweroff", "slow");
	wait_takes_signals(run.pid);
	kill(run.pid, SIGTERM);
	assert_int_equal(finish(&run), GUEST_POWERED_OFF);
	assert_non_null(strstr(run.text, "the guest was ended before it ran"));
}

/* Waits until all processes that have become ours have ended. */
static unsigned int reap_all(void)
{
	int64_t limit = clock_now_ms() + LIMIT_MS;
	unsigned int count = 0;
	pid_t pid;

	while (clock_now_ms() < limit) {
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0)
			return count;
		count += pid > 0;
		if (pid == 0)
			usleep(1000);
	}
	fail_msg("processes are left");
	return 0;
}

static void test_children_die_with_a_killed_run(void **state)
{
	struct process_run run;

	start(&run, "stubborn", "normal");
	expect_output(&run, "hello\r\n");
	kill(run.pid, SIGKILL);
	/* The run, QEMU and the device process. */
	assert_int_equal(reap_all(), 3);
	close(run.input);
	close(run.output);
	close(run.errors);

	/* While it starts: with a probe or the device process, or before either. */
	start(&run, "mute", "slow");
	sleep(1);
	kill(run.pid, SIGKILL);
	assert_in_range(reap_all(), 1, 4);
	close(run.input);
	close(run.output);
	close(run.errors);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_off),
		cmocka_unit_test(test_events_have_fields),
		cmocka_unit_test(test_console_reaches_the_guest),
		cmocka_unit_test(test_panic_and_crash),
		cmocka_unit_test(test_engine_that_does_not_start),
		cmocka_unit_test(test_files_have_their_paths),
		cmocka_unit_test(test_device_that_does_not_start),
		cmocka_unit_test(test_missing_engine),
		cmocka_unit_test(test_device_that_dies_again_and_again),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_guest_that_resets_again_and_again),
		cmocka_unit_test(test_device_that_dies_once),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_orderly_stop),
		cmocka_unit_test(test_power_button_is_pressed_again),
		cmocka_unit_test(test_name_that_is_taken),
		cmocka_unit_test(test_guest_of_a_device_process),
		cmocka_unit_test(test_signal_to_all_processes),
		cmocka_unit_test(test_ignored_signal_stays_ignored),
		cmocka_unit_test(test_second_signal_does_not_wait),
		cmocka_unit_test(test_stop_timeout),
		cmocka_unit_test(test_service_manager_is_told),
		cmocka_unit_test(test_engine_that_ignores_its_end),
		cmocka_unit_test(test_signal_before_the_guest_runs),
		cmocka_unit_test(test_children_die_with_a_killed_run),
	};
	int result;

	if (fake_qemu_called(argv))
		return fake_qemu_main(argv);
	if (fake_device_called(argv))
		_exit(fake_device(argv)); /* without the leak check, which needs a process */
	/* Processes whose parent dies become children of this one. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	scratch_make(&scratch);
	fake_qemu_install(&scratch);
	fake_device_install(scratch.directory);
	setenv("XDG_RUNTIME_DIR", scratch.directory, 1);
	setenv(GUEST_DIRECTORY_VARIABLE, scratch_path(&scratch, "avp"), 1);
	block_options =
		(struct block_options){.file = strdup(scratch_write_zeros(&scratch, "disk", 4096)),
				       .queues = 1,
				       .queue_size = 256,
				       .logical_block_size = 512};
	device = (struct device_config){.type = device_type_find("block"),
					.name = (char *)"block0",
					.options = &block_options,
					.origin = (char *)"--block: "};
	snprintf(guest_name, sizeof(guest_name), "guest-%d", (int)getpid());
	config = (struct guest_config){
		.name = guest_name,
		.kernel = strdup(scratch_write_kernel(&scratch, "vmlinuz")),
		.cpus = 1,
		.memory = 64 << 20,
		.devices = &device,
		.restart_limit = RESTART_LIMIT,
		.stop_timeout = STOP_TIMEOUT_S,
	};
	result = cmocka_run_group_tests(tests, NULL, NULL);
	free(config.kernel);
	free(block_options.file);
	scratch_remove(&scratch);
	return result;
}

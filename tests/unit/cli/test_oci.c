// SPDX-License-Identifier: BSD-3-Clause
/*
 * The life of a container (OCI runtime-spec 1.3, runtime.md), as a container tool has it: each call
 * is a process, the supervisor of a guest becomes a child of the test, and QEMU is a fake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "avp_main.h"
#include "host/guest_directory.h"
#include "unit/fake_qemu.h"
#include "unit/scratch.h"

#define WORDS 20

static struct scratch scratch;
static char text[65536]; /* what the last call has printed */

/* Members of the next bundle besides those that it needs; "" for none. */
static void write_bundle(const char *more)
{
	char config[4000];
	int length = snprintf(config, sizeof(config),
			      "{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": "
			      "\"%s/kernel\"}}, \"avp\": {\"engine\": \"qemu\", "
			      "\"stop-timeout\": 1}%s}",
			      scratch.directory, more);

	scratch_write(&scratch, "config.json", config, (size_t)length);
}

static int set_up(void **state)
{
	scratch_make(&scratch);
	scratch_write_kernel(&scratch, "kernel");
	fake_qemu_install(&scratch);
	fake_qemu_set("powerdown", "QEMU emulator version 7.2.22");
	setenv(GUEST_DIRECTORY_VARIABLE, scratch_path(&scratch, "run"), 1);
	write_bundle("");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return 0;
}

static int tear_down(void **state)
{
	/* Nothing of any guest is left, nor unreaped: all of it would be ours. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	scratch_remove(&scratch);
	return 0;
}

/* What the next calls meet. */
static struct {
	bool closed;	   /* standard descriptors are closed */
	bool odd_signals;  /* SIGPIPE is ignored and SIGUSR1 blocked */
	const char *input; /* a file; NULL: none */
	int leaked;	   /* a descriptor; 0: none */
} meets;

static void meet(void)
{
	sigset_t blocked;

	for (int fd = 0; meets.closed && fd <= STDERR_FILENO; fd++)
		close(fd);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	if (meets.odd_signals) {
		signal(SIGPIPE, SIG_IGN);
		sigprocmask(SIG_BLOCK, &blocked, NULL);
	}
	if (meets.leaked)
		dup2(STDERR_FILENO, meets.leaked);
}

/* Starts `avp` with the words of a line, in which @ is the scratch directory. */
static pid_t begin(const char *line)
{
	char copy[4000] = "avp ", *words[WORDS + 1] = {NULL};
	size_t length = strlen(copy);
	int count = 0, output;
	pid_t pid;

	for (; *line; line++)
		length += (size_t)snprintf(copy + length, sizeof(copy) - length, "%.*s",
					   *line == '@' ? (int)strlen(scratch.directory) : 1,
					   *line == '@' ? scratch.directory : line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		words[count++] = word;
	/* Not a pipe, which the supervisor would hold open. */
	output = open(scratch_path(&scratch, "output"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(output > STDERR_FILENO);
	pid = fork();
	if (pid == 0) {
		int input = open(meets.input ? meets.input : "/dev/null", O_RDONLY);

		dup2(input, STDIN_FILENO);
		dup2(output, STDOUT_FILENO);
		dup2(output, STDERR_FILENO);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		meet();
		_exit(avp_main(count, words));
	}
	close(output);
	return pid;
}

/* Waits for the end of a call; returns its exit status, with what it printed in text. */
static int finish(pid_t pid)
{
	int status, fd;
	ssize_t length;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	fd = open(scratch_path(&scratch, "output"), O_RDONLY);
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[length > 0 ? length : 0] = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int call(const char *line)
{
	return finish(begin(line));
}

static void check(const char *line, int status)
{
	int got = call(line);

	if (got != status)
		fail_msg("`%s` ends with %d instead of %d: %s", line, got, status, text);
}

static void check_refused(const char *line, int status, const char *part)
{
	check(line, status);
	if (!strstr(text, part))
		fail_msg("`%s`: \"%s\" is not in: %s", line, part, text);
}

/* The member of what the last call has printed, as text; a number as such. */
static const char *get(const char *name)
{
	static char value[300];
	json_t *json = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
	const json_t *member = json_object_get(json, name);

	assert_non_null(member);
	if (json_is_string(member))
		snprintf(value, sizeof(value), "%s", json_string_value(member));
	else
		snprintf(value, sizeof(value), "%d", (int)json_integer_value(member));
	json_decref(json);
	return value;
}

/* Whether the status of container c is @status; "": it does not exist. */
static void check_status(const char *status)
{
	check("state c", !*status);
	if (*status)
		assert_string_equal(get("status"), status);
}

/* The process of container c, which is created or runs. */
static pid_t find_process(void)
{
	check("state c", 0);
	return (pid_t)atoi(get("pid"));
}

static int wait_for_end(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Waits until the guest of container c has said "hello": then its processors run. */
static void wait_for_guest(const char *file)
{
	for (;;) {
		char output[4000] = "";
		int fd = open(scratch_path(&scratch, file), O_RDONLY);
		bool says;

		assert_true(read(fd, output, sizeof(output) - 1) >= 0);
		close(fd);
		says = strstr(output, "hello");
		if (says)
			return;
		usleep(10000);
	}
}

/* Brings container c into a status from nothing. */
static void bring(const char *status)
{
	if (!*status)
		return;
	check("create --bundle @ c", 0);
	/* Later calls print to a file of the same name. */
	rename(scratch_path(&scratch, "output"), scratch_path(&scratch, "console"));
	if (!strcmp(status, "created"))
		return;
	check("start c", 0);
	if (!strcmp(status, "stopped")) {
		pid_t pid = find_process();

		check("kill c KILL", 0);
		wait_for_end(pid);
		return;
	}
	wait_for_guest("console");
	if (!strcmp(status, "paused"))
		check("pause c", 0);
}

static void test_a_life(void **state)
{
	pid_t pid;
	char number[20] = "";
	int fd;

	check("create --bundle @ --pid-file @/pid --no-pivot --no-new-keyring --preserve-fds 0 c",
	      0);
	rename(scratch_path(&scratch, "output"), scratch_path(&scratch, "console"));
	check_status("created");
	pid = find_process();
	fd = open(scratch_path(&scratch, "pid"), O_RDONLY);
	assert_true(read(fd, number, sizeof(number) - 1) > 0);
	close(fd);
	assert_int_equal(atoi(number), pid);
	check("start c", 0);
	check_status("running");
	wait_for_guest("console");
	check("kill c 15", 0);
	/* The guest powers off: an orderly stop. */
	assert_int_equal(wait_for_end(pid), 0);
	check_status("stopped");
	assert_string_equal(get("pid"), "0");
	check("delete c", 0);
	check_status("");
}

static const char *const statuses[] = {"", "created", "running", "paused", "stopped"};

/* The exit status of each operation in each status. */
static const struct {
	const char *line;
	int expected[5];
} table[] = {
	{"create --bundle @ c", {0, 1, 1, 1, 1}},
	{"start c", {1, 0, 1, 1, 1}},
	{"state c", {1, 0, 0, 0, 0}},
	{"kill c 0", {1, 0, 0, 0, 1}},
	{"kill c WINCH", {1, 0, 0, 0, 1}},
	{"kill c STOP", {1, 1, 1, 1, 1}},
	{"kill c 15", {1, 0, 0, 0, 1}},
	{"kill --all c 9", {1, 0, 0, 0, 1}},
	{"delete c", {1, 1, 1, 1, 0}},
	{"delete --force c", {0, 0, 0, 0, 0}},
	{"pause c", {1, 1, 0, 1, 1}},
	{"resume c", {1, 1, 1, 0, 1}},
	{"ps --format json c", {1, 0, 0, 0, 1}},
	{"events --stats c", {1, 0, 0, 0, 1}},
	{"update --resources=- c", {1, 1, 1, 1, 1}},
	{"exec --process @/p.json --detach --pid-file @/p c", {1, 1, 1, 1, 1}},
	{"checkpoint --image-path @ --leave-running c", {1, 1, 1, 1, 1}},
	{"restore --image-path @ --bundle @ c", {1, 1, 1, 1, 1}},
};

static void test_each_operation_in_each_status(void **state)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		for (size_t j = 0; j < sizeof(statuses) / sizeof(statuses[0]); j++) {
			bring(statuses[j]);
			check(table[i].line, table[i].expected[j]);
			/* One that is refused changes nothing. */
			if (table[i].expected[j])
				check_status(statuses[j]);
			check("delete --force c", 0);
			check_status("");
			while (waitpid(-1, NULL, 0) > 0)
				;
		}
}

/* The words that callers look for. */
static void test_refusals(void **state)
{
	check_refused("state c", 1, "container 'c' does not exist");
	check_refused("kill c 9", 1, "container 'c' does not exist");
	bring("stopped");
	check_refused("kill c 9", 1, "container not running");
	check_refused("ps c", 1, "container not running");
	check_refused("create --bundle @ c", 1, "container with id exists");
	check_refused("create --bundle @/nothing d", 2, "No such file or directory");
	check_refused("kill c FOO", 2, "'FOO' is not a signal");
	check("kill c SIGRTMIN+99", 2);
	check_refused("exec c ls", 1, "exec is not supported");
	check("delete c", 0);
}

static void test_how_guests_end(void **state)
{
	pid_t pid;

	/* One that ignores its power button is killed after the time of the bundle. */
	fake_qemu_set("deaf", "QEMU emulator version 7.2.22");
	bring("running");
	pid = find_process();
	check("kill c RTMIN+3", 0);
	assert_int_equal(wait_for_end(pid), 137);
	check("delete c", 0);
	bring("running");
	pid = find_process();
	check("kill c 9", 0);
	assert_int_equal(wait_for_end(pid), -SIGKILL);
	/* Its processes ended before the call did. */
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		;
	assert_int_equal(pid, -1);
	check("delete c", 0);
	fake_qemu_set("panic", "QEMU emulator version 7.2.22");
	check("create --bundle @ c", 0);
	pid = find_process();
	check("start c", 0);
	assert_int_equal(wait_for_end(pid), 3);
	check("delete c", 0);
	fake_qemu_set("refuse", "QEMU emulator version 7.2.22");
	check("create --bundle @ c", 0);
	pid = find_process();
	check("start c", 0);
	assert_int_equal(wait_for_end(pid), 1);
	check("delete c", 0);
	/* Stopped before it was started. */
	bring("created");
	pid = find_process();
	check("kill c TERM", 0);
	assert_int_equal(wait_for_end(pid), 0);
	check("delete c", 0);
}

static void test_ids(void **state)
{
	char line[400], longest[256], longer[301];

	memset(longest, 'x', 255);
	longest[255] = 0;
	memset(longer, 'x', 300);
	longer[300] = 0;
	check_refused("create --bundle @ a/b", 2, "'a/b' is not a container's id");
	check("create --bundle @ ..", 2);
	check("create --bundle @ .hidden", 2);
	check("state ../c", 2);
	check("delete --force ../c", 2);
	snprintf(line, sizeof(line), "create --bundle @ %s", longer);
	check(line, 2);
	snprintf(line, sizeof(line), "create --bundle @ %s", longest);
	check(line, 0);
	snprintf(line, sizeof(line), "delete --force %s", longest);
	check(line, 0);
	check("create --bundle @ a_b+c-d.e", 0);
	check("delete --force a_b+c-d.e", 0);
}

static void test_one_of_several_gets_the_id(void **state)
{
	pid_t pids[6];
	int status, winners = 0;

	for (size_t i = 0; i < 6; i++)
		pids[i] = begin("create --bundle @ c");
	for (size_t i = 0; i < 6; i++) {
		status = finish(pids[i]);
		assert_in_range(status, 0, 1);
		winners += !status;
	}
	assert_int_equal(winners, 1);
	check_status("created");
	check("delete --force c", 0);
}

static void test_lists(void **state)
{
	json_t *list;

	check("list --json", 0);
	assert_string_equal(text, "[]\n");
	bring("running");
	check("create --bundle @ d", 0);
	check("list --format=json", 0);
	list = json_loads(text, 0, NULL);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	check("list --quiet", 0);
	assert_true(!strcmp(text, "c\nd\n") || !strcmp(text, "d\nc\n"));
	check("list", 0);
	assert_non_null(strstr(text, "running"));
	/* Its supervisor, and QEMU. */
	check("ps --format json c", 0);
	list = json_loads(text, 0, NULL);
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(json_integer_value(json_array_get(list, 0)), find_process());
	json_decref(list);
	check("events --stats c", 0);
	assert_string_equal(get("type"), "stats");
	check("delete --force d", 0);
	check("--root @/elsewhere list --quiet", 0);
	assert_string_equal(text, "");
	check("delete --force c", 0);
}

/* Writes a hook @name, a shell script that is not given PATH. */
static void write_hook(const char *name, const char *script)
{
	char whole[600];
	int length = snprintf(whole, sizeof(whole), "#!/bin/sh\n%s\n", script);

	chmod(scratch_write(&scratch, name, whole, (size_t)length), 0700);
}

/* A bundle with a hook at one point. */
static void write_bundle_with(const char *point, const char *name, const char *more)
{
	char hooks[500];

	snprintf(hooks, sizeof(hooks), ", \"hooks\": {\"%s\": [{\"path\": \"%s/%s\"%s}]}", point,
		 scratch.directory, name, more);
	write_bundle(hooks);
}

/* By hand: in the background, its log, short ids, and an orderly end. */
static void test_in_the_background(void **state)
{
	pid_t follower;

	check("run -d --name c2 @", 0);
	assert_string_equal(text, "c2\n");
	check("run --detach --engine qemu --kernel @/kernel --name c1 --stop-timeout 5", 0);
	check_refused("run -d --name c1 @", 1, "container with id exists: c1");
	check_refused("logs c", 2, "'c' begins 2 ids");
	check_refused("logs x", 1, "container 'x' does not exist");
	follower = begin("logs -f c2");
	/* The process that ends is the container's; it is still this test's child. */
	check("stop c2", 0);
	assert_int_equal(finish(follower), 0);
	check("logs c2", 0);
	assert_non_null(strstr(text, "hello"));
	assert_non_null(strstr(text, "the guest powered off on request"));
	check_refused("stop c2", 1, "container not running");
	check("delete c2", 0);
	/* Now it is the only one. */
	check("stop c", 0);
	check("delete --force c1", 0);
	bring("running");
	check_refused("logs c", 1, "container 'c' has no log");
	check("delete --force c", 0);
	check("run -x @", 2);
	check("stop", 2);
}

/* As container tools call run. */
static void test_run_of_a_tool(void **state)
{
	pid_t pid;

	fake_qemu_set("poweroff", "QEMU emulator version 7.2.22");
	check("run --bundle @ --pid-file @/pid c", 0);
	check_status("");
	fake_qemu_set("panic", "QEMU emulator version 7.2.22");
	check("run --bundle @ c", 3);
	fake_qemu_set("powerdown", "QEMU emulator version 7.2.22");
	check("run --bundle @ --detach --no-new-keyring c", 0);
	rename(scratch_path(&scratch, "output"), scratch_path(&scratch, "console"));
	check_status("running");
	wait_for_guest("console");
	check("delete --force c", 0);
	/* A signal is passed on. */
	pid = begin("run --bundle @ c");
	wait_for_guest("output");
	kill(pid, SIGTERM);
	assert_int_equal(finish(pid), 0);
	check_status("");
	check("run --bundle @", 2);
	write_hook("fails", "exit 3");
	write_bundle_with("poststart", "fails", "");
	check("run --bundle @ c", 1);
	check_status("");
}

static void test_hooks(void **state)
{
	static const char *const points[] = {"prestart",       "createRuntime", "createContainer",
					     "startContainer", "poststart",	"poststop"};
	char hooks[3000] = ", \"annotations\": {\"a\": \"b\"}, \"hooks\": {", script[300],
	     seen[4000] = "", *line, *rest = NULL;
	int fd;

	snprintf(script, sizeof(script), "echo $0 $1 $KEY $(/bin/cat) >>%s/seen",
		 scratch.directory);
	write_hook("hook", script);
	for (size_t i = 0; i < 6; i++) {
		size_t length = strlen(hooks);

		snprintf(hooks + length, sizeof(hooks) - length,
			 "%s\"%s\": [{\"path\": \"%s/hook\", \"args\": [\"hook\", \"%s\"], "
			 "\"env\": [\"KEY=value\"], \"timeout\": 60}]",
			 i ? ", " : "", points[i], scratch.directory, points[i]);
	}
	strcat(hooks, "}");
	write_bundle(hooks);
	bring("created");
	/* What is in the bundle later has no effect. */
	scratch_write(&scratch, "config.json", "{", 1);
	check("start c", 0);
	check("kill c 9", 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
	check("delete c", 0);
	fd = open(scratch_path(&scratch, "seen"), O_RDONLY);
	assert_true(read(fd, seen, sizeof(seen) - 1) > 0);
	close(fd);
	line = strtok_r(seen, "\n", &rest);
	for (size_t i = 0; i < 6; i++, line = strtok_r(NULL, "\n", &rest)) {
		static const char *const expected[] = {"creating", "creating", "creating",
						       "created",  "running",  "stopped"};
		char start[200];

		assert_non_null(line);
		snprintf(start, sizeof(start), "%s/hook %s value ", scratch.directory, points[i]);
		if (strncmp(line, start, strlen(start)) != 0)
			fail_msg("%s instead of %s", line, start);
		snprintf(text, sizeof(text), "%s", line + strlen(start));
		assert_string_equal(get("status"), expected[i]);
		assert_string_equal(get("id"), "c");
		if (i < 5)
			assert_true(atoi(get("pid")) > 1);
	}
	assert_null(line);
}

static void test_hooks_that_fail(void **state)
{
	write_hook("fails", "exit 3");
	write_hook("hangs", "/bin/sleep 1000");
	write_bundle_with("createRuntime", "fails", "");
	check_refused("create --bundle @ c", 1, "hook createRuntime: ");
	assert_non_null(strstr(text, "ended with exit status 3"));
	check_status("");
	write_bundle_with("createContainer", "hangs", ", \"timeout\": 1");
	check_refused("create --bundle @ c", 1, "still ran after 1 s, its timeout");
	check_status("");
	write_bundle_with("prestart", "missing", "");
	check_refused("create --bundle @ c", 1, "No such file or directory");
	check_status("");
	/* None of them has left a process that runs. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	write_bundle_with("startContainer", "fails", "");
	bring("created");
	check_refused("start c", 1, "hook startContainer: ");
	check_status("");
	write_bundle_with("poststart", "fails", "");
	bring("created");
	check_refused("start c", 1, "hook poststart: ");
	check_status("");
	/* The container is gone all the same. */
	write_bundle_with("poststop", "fails", "");
	bring("stopped");
	check_refused("delete c", 0, "warning");
	check_status("");
	write_bundle(", \"hooks\": {\"prestart\": [{\"path\": \"relative\"}]}");
	check_refused("create --bundle @ c", 2, "hooks.prestart[0]: has no absolute path");
	write_bundle(", \"hooks\": [1]");
	check_refused("create --bundle @ c", 2, "hooks: is not an object");
	check_status("");
}

/* Replaces the state of container c. */
static void write_state(const char *state)
{
	int directory = open(scratch_path(&scratch, "run/oci/c"), O_PATH | O_DIRECTORY);
	int fd = openat(directory, "state.json", O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, state, strlen(state)), strlen(state));
	close(fd);
	close(directory);
}

static void test_a_foreign_process(void **state)
{
	char recorded[600];
	pid_t foreign;

	bring("stopped");
	foreign = fork();
	if (!foreign) {
		pause();
		_exit(0);
	}
	/* The number was given to another process. */
	snprintf(recorded, sizeof(recorded),
		 "{\"status\": \"running\", \"bundle\": \"/\", \"created\": \"\", \"pid\": %d, "
		 "\"startTime\": 1}",
		 (int)foreign);
	write_state(recorded);
	check_status("stopped");
	check_refused("kill c 9", 1, "container not running");
	check("delete --force c", 0);
	assert_int_equal(waitpid(foreign, NULL, WNOHANG), 0);
	kill(foreign, SIGKILL);
	assert_int_equal(wait_for_end(foreign), -SIGKILL);
}

static void test_a_state_that_cannot_be_understood(void **state)
{
	static const char *const states[] = {
		"",
		"{",
		"[]",
		"{\"status\": \"running\", \"bundle\": 1}",
		"{\"status\": \"odd\", \"bundle\": \"/\", \"created\": \"\", \"pid\": 1, "
		"\"startTime\": 1}",
		"{\"status\": \"running\", \"bundle\": \"/\", \"created\": \"\", \"pid\": -1, "
		"\"startTime\": 1}",
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		bring("stopped");
		write_state(states[i]);
		check_refused("state c", 1, "has no state that can be understood");
		check_refused("delete c", 1, "`avp delete --force` removes it");
		check("list --json", 0);
		assert_string_equal(text, "[]\n");
		check("delete --force c", 0);
		check_status("");
	}
}

/* A creator that is killed while a hook runs takes its supervisor with it. */
static void test_a_creator_that_dies(void **state)
{
	char script[200];
	pid_t creator;

	snprintf(script, sizeof(script), ": >%s/runs; exec /bin/sleep 1000", scratch.directory);
	write_hook("hangs", script);
	write_bundle_with("createRuntime", "hangs", "");
	creator = begin("create --bundle @ c");
	while (access(scratch_path(&scratch, "runs"), F_OK) < 0)
		usleep(10000);
	check_status("creating");
	check("start c", 1);
	check("delete c", 1);
	kill(creator, SIGKILL);
	assert_int_equal(finish(creator), -SIGKILL);
	/* The supervisor, and the hook. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	check_status("stopped");
	check("delete c", 0);
	/* Another caller removes it meanwhile. */
	unlink(scratch_path(&scratch, "runs"));
	creator = begin("create --bundle @ c");
	while (access(scratch_path(&scratch, "runs"), F_OK) < 0)
		usleep(10000);
	check("delete --force c", 0);
	assert_int_equal(waitpid(creator, NULL, 0), creator);
	check_status("");
}

static void test_each_process_may_be_killed(void **state)
{
	pid_t pid, children[4];
	FILE *file;
	char path[80];
	int count = 0;

	bring("running");
	pid = find_process();
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "re");
	while (count < 4 && fscanf(file, "%d", &children[count]) == 1)
		count++;
	fclose(file);
	assert_int_equal(count, 1);
	/* QEMU: the guest has failed. */
	kill(children[0], SIGKILL);
	assert_int_equal(wait_for_end(pid), 1);
	check_status("stopped");
	check("delete c", 0);
	bring("paused");
	pid = find_process();
	kill(pid, SIGKILL);
	assert_int_equal(wait_for_end(pid), -SIGKILL);
	check_status("stopped");
	check_refused("resume c", 1, "container not running");
	check("delete c", 0);
}

/* A line of /proc/PID/status as a hexadecimal number. */
static unsigned long long read_status(pid_t pid, const char *name)
{
	char path[40], line[200];
	unsigned long long value = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			value = strtoull(line + strlen(name) + 1, NULL, 16);
	fclose(file);
	return value;
}

static void test_what_callers_leave(void **state)
{
	char path[60];
	pid_t pid;

	meets.leaked = 40;
	meets.odd_signals = true;
	bring("created");
	meets.leaked = 0;
	pid = find_process();
	snprintf(path, sizeof(path), "/proc/%d/fd/40", pid);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(read_status(pid, "SigBlk:") & 1ULL << (SIGUSR1 - 1), 0);
	check("start c", 0);
	wait_for_guest("console");
	check("delete --force c", 0);
	meets.odd_signals = false;
	/* Also without standard descriptors. */
	meets.closed = true;
	check("create --bundle @ c", 0);
	check("start c", 0);
	meets.closed = false;
	check_status("running");
	check("delete --force c", 0);
	check_status("");
}

static void test_terminal(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char bytes[4000] = "", control[CMSG_SPACE(sizeof(int))];
	struct iovec data = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), connection, terminal;
	size_t length = 0;
	pid_t pid;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", scratch.directory);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	fake_qemu_set("poweroff", "QEMU emulator version 7.2.22");
	check("create --bundle @ --console-socket @/socket c", 0);
	connection = accept(listener, NULL, NULL);
	assert_true(recvmsg(connection, &message, MSG_CMSG_CLOEXEC) > 0);
	assert_non_null(CMSG_FIRSTHDR(&message));
	memcpy(&terminal, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(terminal));
	assert_int_equal(isatty(terminal), 1);
	pid = find_process();
	check("start c", 0);
	/* EIO: its last process is gone. */
	for (ssize_t got = 1; got > 0; length += got > 0 ? (size_t)got : 0)
		got = read(terminal, bytes + length, sizeof(bytes) - 1 - length);
	bytes[length] = 0;
	assert_non_null(strstr(bytes, "hello"));
	assert_int_equal(wait_for_end(pid), 0);
	check("delete c", 0);
	close(terminal);
	close(connection);
	close(listener);
	check_refused("create --bundle @ --console-socket @/socket c", 1, "--console-socket: ");
	check_status("");
}

/* Runs the hook on a configuration, in which @ is the scratch directory. */
static int call_hook(const char *config)
{
	char whole[2000];
	size_t length = 0;
	int status;

	for (; *config; config++)
		length += (size_t)snprintf(whole + length, sizeof(whole) - length, "%.*s",
					   *config == '@' ? (int)strlen(scratch.directory) : 1,
					   *config == '@' ? scratch.directory : config);
	meets.input = scratch_write(&scratch, "hook.json", whole, length);
	status = call("precreate");
	meets.input = NULL;
	return status;
}

#define ROOT "\"root\": {\"path\": \"@/rootfs\"}, \"annotations\": "

static void test_hook_of_podman(void **state)
{
	static const struct {
		const char *config, *message;
	} refused[] = {
		/* Files outside of the root file system, also by a link. */
		{"{" ROOT "{\"org.avp.vm\": \"{\\\"kernel\\\": {\\\"path\\\": "
		 "\\\"/etc/passwd\\\"}}\"}}",
		 "org.avp.vm: /etc/passwd: "},
		{"{" ROOT "{\"org.avp.vm\": \"{\\\"kernel\\\": {\\\"initrd\\\": "
		 "\\\"link\\\"}}\"}}",
		 "org.avp.vm: "},
		{"{" ROOT "{\"org.avp.vm\": \"../kernel\"}}", "org.avp.vm: "},
		{"{" ROOT "{\"org.avp.vm\": \"{\"}}", "org.avp.vm: line 1"},
		{"{" ROOT "{\"org.avp.vm\": \"guest.json\", \"org.avp.config\": \"{}\"}}",
		 "remove one of them"},
		{"{", "standard input: line 1"},
	};
	static const char guest[] = "{\"vm\": {\"kernel\": {\"path\": \"kernel\"}, \"hwConfig\": "
				    "{\"vcpus\": 2}}, \"avp\": {\"engine\": \"qemu\"}}";
	char expected[1000];

	mkdir(scratch_path(&scratch, "rootfs"), 0700);
	scratch_write_kernel(&scratch, "rootfs/kernel");
	scratch_write(&scratch, "rootfs/guest.json", guest, strlen(guest));
	assert_int_equal(symlink("/etc/passwd", scratch_path(&scratch, "rootfs/link")), 0);
	/* What podman drops is in annotations, too. */
	assert_int_equal(call_hook("{" ROOT "{\"org.avp.vm\": \"guest.json\"}, \"x\": 1}"), 0);
	snprintf(expected, sizeof(expected),
		 "{\"root\":{\"path\":\"%s/rootfs\"},\"annotations\":{\"org.avp.vm\":"
		 "\"guest.json\",\"org.avp.hwConfig\":\"{\\\"vcpus\\\":2}\",\"org.avp.config\":"
		 "\"{\\\"engine\\\":\\\"qemu\\\"}\"},\"x\":1,\"vm\":{\"kernel\":{\"path\":"
		 "\"%s/rootfs/kernel\"},\"hwConfig\":{\"vcpus\":2}}}",
		 scratch.directory, scratch.directory);
	assert_string_equal(text, expected);
	/* Other containers stay as they are. */
	assert_int_equal(call_hook("{\"annotations\":{\"a\":\"b\"}}"), 0);
	assert_string_equal(text, "{\"annotations\":{\"a\":\"b\"}}");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(call_hook(refused[i].config), 2);
		if (!strstr(text, refused[i].message))
			fail_msg("\"%s\" is not in: %s", refused[i].message, text);
	}
}

/* The last lines of a log are what containerd shows. */
static void test_log_file(void **state)
{
	char line[2000] = "";
	int fd;

	check("--root @/other --log @/log.json --log-format json --systemd-cgroup --debug "
	      "--rootless=true --cgroup-manager disabled state c",
	      1);
	fd = open(scratch_path(&scratch, "log.json"), O_RDONLY);
	assert_true(read(fd, line, sizeof(line) - 1) > 0);
	close(fd);
	snprintf(text, sizeof(text), "%s", line);
	assert_string_equal(get("level"), "error");
	assert_string_equal(get("msg"), "container 'c' does not exist");
	check("--version", 0);
	assert_int_equal(strncmp(text, "avp version ", 12), 0);
	assert_non_null(strstr(text, "\nspec: 1."));
	check("features", 0);
	assert_string_equal(get("ociVersionMin"), "1.0.0");
}

static void test_roots_that_cannot_be_used(void **state)
{
	const char *open_to_all = scratch_path(&scratch, "open");

	assert_int_equal(mkdir(open_to_all, 0700) | chmod(open_to_all, 0777), 0);
	check_refused("--root @/open create --bundle @ c", 1, "other users can write to it");
	check_refused("--root /proc/none create --bundle @ c", 1, "--root: /proc/none");
	check("--root @/kernel list", 1);
	/* A directory that has room for one more directory, but not for a file in it. */
	open_to_all = scratch_path(&scratch, "full");
	assert_int_equal(mkdir(open_to_all, 0700), 0);
	if (mount("tmpfs", open_to_all, "tmpfs", 0, "nr_inodes=2,mode=700") < 0)
		skip();
	check_refused("--root @/full create --bundle @ c", 1, "No space left on device");
	/* Nothing is left. */
	assert_int_equal(rmdir(scratch_path(&scratch, "full/c")), -1);
	assert_int_equal(errno, ENOENT);
	mount("tmpfs", scratch_path(&scratch, "full"), "tmpfs", MS_REMOUNT | MS_RDONLY, NULL);
	check_refused("--root @/full create --bundle @ c", 1, "Read-only file system");
	umount(scratch_path(&scratch, "full"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_life),
		TEST(test_each_operation_in_each_status),
		TEST(test_refusals),
		TEST(test_how_guests_end),
		TEST(test_ids),
		TEST(test_one_of_several_gets_the_id),
		TEST(test_lists),
		TEST(test_in_the_background),
		TEST(test_run_of_a_tool),
		TEST(test_hooks),
		TEST(test_hooks_that_fail),
		TEST(test_a_foreign_process),
		TEST(test_a_state_that_cannot_be_understood),
		TEST(test_a_creator_that_dies),
		TEST(test_each_process_may_be_killed),
		TEST(test_what_callers_leave),
		TEST(test_terminal),
		TEST(test_hook_of_podman),
		TEST(test_log_file),
		TEST(test_roots_that_cannot_be_used),
	};

	if (fake_qemu_called(argv))
		return fake_qemu_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

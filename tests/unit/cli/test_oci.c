// SPDX-License-Identifier: BSD-3-Clause
/*
 * The life of a container (OCI runtime-spec 1.3, runtime.md), as a container tool has it: what each
 * operation does in each status, whatever is wrong, and whoever dies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/fake_qemu.h"
#include "unit/oci_caller.h"

static void test_a_life(void **state)
{
	pid_t pid;
	char number[20] = "";
	int fd;

	oci_check(
		"create --bundle @ --pid-file @/pid --no-pivot --no-new-keyring --preserve-fds 0 c",
		0);
	rename(scratch_path(&oci_scratch, "output"), scratch_path(&oci_scratch, "console"));
	oci_check_status("created");
	pid = oci_find_process();
	fd = open(scratch_path(&oci_scratch, "pid"), O_RDONLY);
	assert_true(read(fd, number, sizeof(number) - 1) > 0);
	close(fd);
	assert_int_equal(atoi(number), pid);
	oci_check("start c", 0);
	oci_check_status("running");
	oci_wait_for_guest("console");
	oci_check("kill c 15", 0);
	/* The guest powers off: an orderly stop. */
	assert_int_equal(oci_wait_for_end(pid), 0);
	oci_check_status("stopped");
	assert_string_equal(oci_get("pid"), "0");
	oci_check("delete c", 0);
	oci_check_status("");
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
	{"kill c 9", {1, 0, 0, 0, 1}},
	{"kill --all c 9", {1, 0, 0, 0, 0}},
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
			oci_bring(statuses[j]);
			oci_check(table[i].line, table[i].expected[j]);
			/* One that is refused changes nothing. */
			if (table[i].expected[j])
				oci_check_status(statuses[j]);
			oci_check("delete --force c", 0);
			oci_check_status("");
			while (waitpid(-1, NULL, 0) > 0)
				;
		}
}

/* The words that callers look for. */
static void test_refusals(void **state)
{
	oci_check_refused("state c", 1, "container 'c' does not exist");
	oci_check_refused("kill c 9", 1, "container 'c' does not exist");
	oci_bring("stopped");
	oci_check_refused("kill c 9", 1, "container not running");
	oci_check_refused("ps c", 1, "container not running");
	oci_check_refused("create --bundle @ c", 1, "container with id exists");
	oci_check_refused("create --bundle @/nothing d", 2, "No such file or directory");
	oci_check_refused("kill c FOO", 2, "'FOO' is not a signal");
	oci_check("kill c SIGRTMIN+99", 2);
	oci_check_refused("exec c ls", 1, "exec is not supported");
	oci_check("delete c", 0);
}

static void test_how_guests_end(void **state)
{
	pid_t pid;

	/* One that ignores its power button is killed after the time of the bundle. */
	fake_qemu_set("deaf", "QEMU emulator version 7.2.22");
	oci_bring("running");
	pid = oci_find_process();
	oci_check("kill c RTMIN+3", 0);
	assert_int_equal(oci_wait_for_end(pid), 137);
	oci_check("delete c", 0);
	oci_bring("running");
	pid = oci_find_process();
	oci_check("kill c 9", 0);
	assert_int_equal(oci_wait_for_end(pid), -SIGKILL);
	/* Its processes ended before the call did. */
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		;
	assert_int_equal(pid, -1);
	oci_check("delete c", 0);
	fake_qemu_set("panic", "QEMU emulator version 7.2.22");
	oci_check("create --bundle @ c", 0);
	pid = oci_find_process();
	oci_check("start c", 0);
	assert_int_equal(oci_wait_for_end(pid), 3);
	oci_check("delete c", 0);
	fake_qemu_set("refuse", "QEMU emulator version 7.2.22");
	oci_check("create --bundle @ c", 0);
	pid = oci_find_process();
	oci_check("start c", 0);
	assert_int_equal(oci_wait_for_end(pid), 1);
	oci_check("delete c", 0);
	/* Stopped before it was started. */
	oci_bring("created");
	pid = oci_find_process();
	oci_check("kill c TERM", 0);
	assert_int_equal(oci_wait_for_end(pid), 0);
	oci_check("delete c", 0);
}

static void test_ids(void **state)
{
	char line[400], longest[256], longer[301];

	memset(longest, 'x', 255);
	longest[255] = 0;
	memset(longer, 'x', 300);
	longer[300] = 0;
	oci_check_refused("create --bundle @ a/b", 2, "'a/b' is not a container's id");
	oci_check("create --bundle @ ..", 2);
	oci_check("create --bundle @ .hidden", 2);
	oci_check("state ../c", 2);
	oci_check("delete --force ../c", 2);
	snprintf(line, sizeof(line), "create --bundle @ %s", longer);
	oci_check(line, 2);
	snprintf(line, sizeof(line), "create --bundle @ %s", longest);
	oci_check(line, 0);
	snprintf(line, sizeof(line), "delete --force %s", longest);
	oci_check(line, 0);
	oci_check("create --bundle @ a_b+c-d.e", 0);
	oci_check("delete --force a_b+c-d.e", 0);
}

static void test_one_of_several_gets_the_id(void **state)
{
	pid_t pids[6];
	int status, winners = 0;

	for (size_t i = 0; i < 6; i++)
		pids[i] = oci_begin("create --bundle @ c");
	for (size_t i = 0; i < 6; i++) {
		status = oci_finish(pids[i]);
		assert_in_range(status, 0, 1);
		winners += !status;
	}
	assert_int_equal(winners, 1);
	oci_check_status("created");
	oci_check("delete --force c", 0);
}

static void test_lists(void **state)
{
	json_t *list;

	oci_check("list --json", 0);
	assert_string_equal(oci_text, "[]\n");
	oci_bring("running");
	oci_check("create --bundle @ d", 0);
	oci_check("list --format=json", 0);
	list = json_loads(oci_text, 0, NULL);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	oci_check("list --quiet", 0);
	assert_true(!strcmp(oci_text, "c\nd\n") || !strcmp(oci_text, "d\nc\n"));
	oci_check("list", 0);
	assert_non_null(strstr(oci_text, "running"));
	/* Its supervisor, and QEMU. */
	oci_check("ps --format json c", 0);
	list = json_loads(oci_text, 0, NULL);
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(json_integer_value(json_array_get(list, 0)), oci_find_process());
	json_decref(list);
	oci_check("events --stats c", 0);
	assert_string_equal(oci_get("type"), "stats");
	oci_check("delete --force d", 0);
	oci_check("--root @/elsewhere list --quiet", 0);
	assert_string_equal(oci_text, "");
	oci_check("delete --force c", 0);
}

/* By hand: in the background, its log, short ids, and an orderly end. */
static void test_in_the_background(void **state)
{
	pid_t follower;

	oci_check("run -d --name c2 @", 0);
	assert_string_equal(oci_text, "c2\n");
	oci_check("run --detach --engine qemu --kernel @/kernel --name c1 --stop-timeout 5", 0);
	oci_check_refused("run -d --name c1 @", 1, "container with id exists: c1");
	oci_check_refused("logs c", 2, "'c' begins 2 ids");
	oci_check_refused("logs x", 1, "container 'x' does not exist");
	follower = oci_begin("logs -f c2");
	/* The process that ends is the container's; it is still this test's child. */
	oci_check("stop c2", 0);
	assert_int_equal(oci_finish(follower), 0);
	oci_check("logs c2", 0);
	assert_non_null(strstr(oci_text, "hello"));
	assert_non_null(strstr(oci_text, "the guest powered off on request"));
	oci_check_refused("stop c2", 1, "container not running");
	oci_check("delete c2", 0);
	/* Now it is the only one. */
	oci_check("stop c", 0);
	oci_check("delete --force c1", 0);
	oci_bring("running");
	oci_check_refused("logs c", 1, "container 'c' has no log");
	oci_check("delete --force c", 0);
	oci_check("run -x @", 2);
	oci_check("stop", 2);
}

/* As container tools call run. */
static void test_run_of_a_tool(void **state)
{
	pid_t pid;

	fake_qemu_set("poweroff", "QEMU emulator version 7.2.22");
	oci_check("run --bundle @ --pid-file @/pid c", 0);
	oci_check_status("");
	fake_qemu_set("panic", "QEMU emulator version 7.2.22");
	oci_check("run --bundle @ c", 3);
	fake_qemu_set("powerdown", "QEMU emulator version 7.2.22");
	oci_check("run --bundle @ --detach --no-new-keyring c", 0);
	rename(scratch_path(&oci_scratch, "output"), scratch_path(&oci_scratch, "console"));
	oci_check_status("running");
	oci_wait_for_guest("console");
	oci_check("delete --force c", 0);
	/* A signal is passed on. */
	pid = oci_begin("run --bundle @ c");
	oci_wait_for_guest("output");
	kill(pid, SIGTERM);
	assert_int_equal(oci_finish(pid), 0);
	oci_check_status("");
	oci_check("run --bundle @", 2);
	oci_write_hook("fails", "exit 3");
	oci_write_bundle_with("poststart", "fails", "");
	oci_check("run --bundle @ c", 1);
	oci_check_status("");
}

/* Replaces the state of container c. */
static void write_state(const char *state)
{
	int directory = open(scratch_path(&oci_scratch, "run/oci/c"), O_PATH | O_DIRECTORY);
	int fd = openat(directory, "state.json", O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, state, strlen(state)), strlen(state));
	close(fd);
	close(directory);
}

static void test_a_foreign_process(void **state)
{
	char recorded[600];
	pid_t foreign;

	oci_bring("stopped");
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
	oci_check_status("stopped");
	oci_check_refused("kill c 9", 1, "container not running");
	oci_check("delete --force c", 0);
	assert_int_equal(waitpid(foreign, NULL, WNOHANG), 0);
	kill(foreign, SIGKILL);
	assert_int_equal(oci_wait_for_end(foreign), -SIGKILL);
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
		oci_bring("stopped");
		write_state(states[i]);
		oci_check_refused("state c", 1, "has no state that can be understood");
		oci_check_refused("delete c", 1, "`avp delete --force` removes it");
		oci_check("list --json", 0);
		assert_string_equal(oci_text, "[]\n");
		oci_check("delete --force c", 0);
		oci_check_status("");
	}
}

/* A creator that is killed while a hook runs takes its supervisor with it. */
static void test_a_creator_that_dies(void **state)
{
	char script[200];
	pid_t creator;

	snprintf(script, sizeof(script), ": >%s/runs; exec /bin/sleep 1000", oci_scratch.directory);
	oci_write_hook("hangs", script);
	oci_write_bundle_with("createRuntime", "hangs", "");
	creator = oci_begin("create --bundle @ c");
	while (access(scratch_path(&oci_scratch, "runs"), F_OK) < 0)
		usleep(10000);
	oci_check_status("creating");
	oci_check("start c", 1);
	oci_check("delete c", 1);
	kill(creator, SIGKILL);
	assert_int_equal(oci_finish(creator), -SIGKILL);
	/* The supervisor, and the hook. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	oci_check_status("stopped");
	oci_check("delete c", 0);
	/* Another caller removes it meanwhile. */
	unlink(scratch_path(&oci_scratch, "runs"));
	creator = oci_begin("create --bundle @ c");
	while (access(scratch_path(&oci_scratch, "runs"), F_OK) < 0)
		usleep(10000);
	oci_check("delete --force c", 0);
	assert_int_equal(waitpid(creator, NULL, 0), creator);
	oci_check_status("");
}

static void test_each_process_may_be_killed(void **state)
{
	pid_t pid, children[4];
	FILE *file;
	char path[80];
	int count = 0;

	oci_bring("running");
	pid = oci_find_process();
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "re");
	while (count < 4 && fscanf(file, "%d", &children[count]) == 1)
		count++;
	fclose(file);
	assert_int_equal(count, 1);
	/* QEMU: the guest has failed. */
	kill(children[0], SIGKILL);
	assert_int_equal(oci_wait_for_end(pid), 1);
	oci_check_status("stopped");
	oci_check("delete c", 0);
	oci_bring("paused");
	pid = oci_find_process();
	kill(pid, SIGKILL);
	assert_int_equal(oci_wait_for_end(pid), -SIGKILL);
	oci_check_status("stopped");
	oci_check_refused("resume c", 1, "container not running");
	oci_check("delete c", 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, oci_set_up, oci_tear_down)

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
		TEST(test_a_foreign_process),
		TEST(test_a_state_that_cannot_be_understood),
		TEST(test_a_creator_that_dies),
		TEST(test_each_process_may_be_killed),
	};

	if (fake_qemu_called(argv))
		oci_become_qemu(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

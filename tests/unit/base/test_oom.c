// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of base/oom.c: what the counters of both versions of control groups and of the host
 * say about a child that SIGKILL ended. test_run checks that the kernel counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/oom.h"
#include "unit/scratch.h"

#define KILLED	  SIGKILL /* from waitpid */
#define SURELY	  "signal 9 (Killed) by the kernel's OOM killer: the memory of the host"
#define PERHAPS	  "signal 9 (Killed), perhaps by the kernel's OOM killer, which has ended"
#define NOT_KNOWN "signal 9 (Killed)"

static struct scratch scratch;

static int set_up(void **state)
{
	scratch_make(&scratch);
	return 0;
}

static int tear_down(void **state)
{
	char line[300];

	snprintf(line, sizeof(line), "rm -rf '%s'/*", scratch.directory);
	assert_int_equal(system(line), 0);
	scratch_remove(&scratch);
	return 0;
}

/* Writes a file below the root that the code reads. */
static void put(const char *path, const char *text)
{
	char line[600];

	snprintf(line, sizeof(line), "mkdir -p \"$(dirname '%s/%s')\"", scratch.directory, path);
	assert_int_equal(system(line), 0);
	scratch_write(&scratch, path, text, strlen(text));
}

static void expect(int status, const struct oom_counts *before, const char *text)
{
	char buffer[OOM_STATUS_LENGTH];

	oom_describe(buffer, status, before, scratch.directory);
	if (strncmp(buffer, text, strlen(text)))
		fail_msg("not '%s': %s", text, buffer);
	if (!strcmp(text, NOT_KNOWN))
		assert_string_equal(buffer, NOT_KNOWN);
}

static void check_group(const char *cgroup, const char *file, const char *format)
{
	struct oom_counts before;
	char text[200];

	put("proc/self/cgroup", cgroup);
	put("proc/vmstat", "nr_free_pages 1\noom_kill 7\n");
	snprintf(text, sizeof(text), "%s%d\n", format, 2);
	put(file, text);
	before = oom_counts_read(scratch.directory);
	assert_int_equal(before.group, 2);
	assert_int_equal(before.host, 7);
	/* Kills of other processes on the host are not counted for this group. */
	put("proc/vmstat", "nr_free_pages 1\noom_kill 8\n");
	expect(KILLED, &before, NOT_KNOWN);
	snprintf(text, sizeof(text), "%s%d\n", format, 3);
	put(file, text);
	expect(KILLED, &before, SURELY);
	/* The OOM killer sends only SIGKILL. */
	expect(SIGSEGV, &before, "signal 11 (Segmentation fault)");
	expect(1 << 8, &before, "exit status 1");
}

static void test_both_kinds_of_groups(void **state)
{
	check_group("0::/user.slice/a b.scope\n",
		    "sys/fs/cgroup/user.slice/a b.scope/memory.events",
		    "low 0\nmax 9\noom 5\noom_group_kill 9\noom_kill ");
	tear_down(NULL);
	set_up(NULL);
	check_group("9:name=systemd:/x\n4:cpu,memory:/run\n0::/x\n",
		    "sys/fs/cgroup/memory/run/memory.oom_control",
		    "oom_kill_disable 0\nunder_oom 0\noom_kill ");
}

static void test_counts_that_are_not_there(void **state)
{
	struct oom_counts before = oom_counts_read(scratch.directory);

	assert_int_equal(before.group, -1);
	assert_int_equal(before.host, -1);
	expect(KILLED, &before, NOT_KNOWN);
	/* Only the host's counter is known, as in its root group. */
	put("proc/self/cgroup", "0::/\n");
	put("proc/vmstat", "oom_kill 7\n");
	before = oom_counts_read(scratch.directory);
	assert_int_equal(before.group, -1);
	expect(KILLED, &before, NOT_KNOWN);
	put("proc/vmstat", "oom_kill 8\n");
	expect(KILLED, &before, PERHAPS);
	/* A file of another format. */
	put("proc/vmstat", "oom_kill\n");
	put("proc/self/cgroup", ":\n4\n3:memory\n");
	before = oom_counts_read(scratch.directory);
	assert_int_equal(before.group, -1);
	assert_int_equal(before.host, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_kinds_of_groups, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_counts_that_are_not_there, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

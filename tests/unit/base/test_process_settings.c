// SPDX-License-Identifier: BSD-3-Clause
/*
 * The settings of a child process: each arrives in the child, and what the host refuses is an error
 * or a warning. The children are this program, called with a word that selects what to report.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "unit/capture.h"

#define SELF	"/proc/self/exe"
#define WAIT_MS 20000
#define USER	65534
#define GROUP	65533

/* The children's side. */

static int report_user(void)
{
	gid_t groups[8];
	int count = getgroups(8, groups);

	printf("%d %d:", (int)geteuid(), (int)getegid());
	for (int i = 0; i < count; i++)
		printf(" %d", (int)groups[i]);
	/* Nothing gives the old user back. */
	return setuid(0) == 0;
}

static int report_scheduling(void)
{
	struct sched_param parameter;
	cpu_set_t cpus;

	sched_getparam(0, &parameter);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	printf("%d %d %d %d", sched_getscheduler(0), parameter.sched_priority,
	       getpriority(PRIO_PROCESS, 0), CPU_COUNT(&cpus));
	return 0;
}

static int report_limits(void)
{
	struct rlimit files, core;

	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_CORE, &core);
	printf("%d %d %d", (int)files.rlim_cur, (int)files.rlim_max, (int)core.rlim_max);
	return 0;
}

static int report_file(const char *path)
{
	cleanup_file FILE *file = fopen(path, "re");

	if (!file)
		return 1;
	for (int c = getc(file); c != EOF; c = getc(file))
		putchar(c);
	return 0;
}

static int report_link(const char *path)
{
	char text[128];
	ssize_t length = readlink(path, text, sizeof(text));

	printf("%.*s", (int)length, text);
	return length < 0;
}

static int child_main(int argc, char **argv)
{
	if (!strcmp(argv[1], "user"))
		return report_user();
	if (!strcmp(argv[1], "scheduling"))
		return report_scheduling();
	if (!strcmp(argv[1], "limits"))
		return report_limits();
	if (!strcmp(argv[1], "file"))
		return report_file(argv[2]);
	if (!strcmp(argv[1], "link"))
		return report_link(argv[2]);
	if (!strcmp(argv[1], "pid"))
		printf("%d %d", (int)getpid(), (int)geteuid());
	if (!strcmp(argv[1], "environment"))
		for (char **variable = environ; *variable; variable++)
			printf("%s\n", *variable);
	if (!strcmp(argv[1], "pause") && write(STDOUT_FILENO, "x", 1) == 1)
		for (;;)
			pause();
	return 0;
}

/* The tests' side. */

static struct error error;
static struct capture capture;

/* Starts a child, with the reading end of its output in *reader. Returns as process_spawn. */
static int start(struct process *process, const struct process_settings *settings, const char *word,
		 const char *argument, int *reader)
{
	const char *argv[] = {"child", word, argument, NULL};
	struct process_spawn spawn = {
		.program = SELF,
		.argv = argv,
		.stdin_fd = -1,
		.stderr_fd = -1,
		.settings = settings,
	};
	int ends[2], result;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	spawn.stdout_fd = ends[1];
	result = process_spawn(process, &spawn, &error);
	close(ends[1]);
	*reader = ends[0];
	return result;
}

/* Runs a child to its end, which must be a success, and returns its output or the error. */
static int run(const struct process_settings *settings, const char *word, const char *argument,
	       char text[1024])
{
	struct process process;
	size_t length = 0;
	ssize_t bytes;
	int status, reader, result = start(&process, settings, word, argument, &reader);

	while (result == 0 && (bytes = read(reader, text + length, 1023 - length)) > 0)
		length += (size_t)bytes;
	text[length] = 0;
	close(reader);
	if (result < 0) {
		/* No child is left. */
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		return result;
	}
	assert_true(process_wait(&process, WAIT_MS, &status));
	assert_int_equal(status, 0);
	return 0;
}

/* A child with @settings, or a skipped test with the reason when this host refuses them. */
static void run_or_skip(const struct process_settings *settings, const char *word,
			const char *argument, char text[1024])
{
	if (run(settings, word, argument, text) == 0)
		return;
	print_message("skipped: %s\n", error.message);
	skip();
}

static void test_user_and_groups(void **state)
{
	static const gid_t groups[] = {7, 9};
	const struct process_settings settings = {
		.set = PROCESS_USER,
		.user = USER,
		.group = GROUP,
		.groups = groups,
		.group_count = 2,
	};
	gid_t before[64];
	int count = getgroups(64, before);
	char text[1024];

	run_or_skip(&settings, "user", NULL, text);
	assert_string_equal(text, "65534 65533: 7 9");
	/* The parent is who it was. */
	assert_int_not_equal(geteuid(), USER);
	assert_int_equal(getgroups(64, before), count);
}

static void test_environment(void **state)
{
	static const char *const environment[] = {"ONE=1", "TWO=two words", NULL};
	const struct process_settings settings = {.environment = environment};
	char text[1024];

	assert_int_equal(run(&settings, "environment", NULL, text), 0);
	assert_string_equal(text, "ONE=1\nTWO=two words\n");
}

static void test_processors(void **state)
{
	struct process_settings settings = {.set = PROCESS_CPUS};
	cpu_set_t own;
	char text[1024];
	int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(own), &own), 0);
	while (!CPU_ISSET(cpu, &own))
		cpu++;
	CPU_SET(cpu, &settings.cpus);
	assert_int_equal(run(&settings, "scheduling", NULL, text), 0);
	assert_string_equal(text, "0 0 0 1");
	/* No processor at all. */
	CPU_ZERO(&settings.cpus);
	assert_int_equal(run(&settings, "scheduling", NULL, text), -EINVAL);
	assert_string_equal(error.message, "cannot start child: this host refuses its processors: "
					   "Invalid argument");
}

static void test_scheduling(void **state)
{
	struct process_settings settings = {
		.set = PROCESS_SCHEDULING,
		.scheduling = SCHED_BATCH,
		.priority = 5,
	};
	char text[1024];
	int class, priority, nice;

	assert_int_equal(run(&settings, "scheduling", NULL, text), 0);
	assert_int_equal(sscanf(text, "%d %d %d", &class, &priority, &nice), 3);
	assert_int_equal(class, SCHED_BATCH);
	assert_int_equal(priority, 0);
	assert_int_equal(nice, 5);
	settings.scheduling = SCHED_FIFO;
	run_or_skip(&settings, "scheduling", NULL, text);
	assert_int_equal(sscanf(text, "%d %d %d", &class, &priority, &nice), 3);
	assert_int_equal(class, SCHED_FIFO);
	assert_int_equal(priority, 5);
	assert_int_equal(nice, 0);
}

static void test_limits(void **state)
{
	static const struct process_limit limits[] = {
		{RLIMIT_NOFILE, {70, 80}},
		{RLIMIT_CORE, {0, 0}},
	};
	const struct process_settings settings = {
		.set = PROCESS_LIMITS,
		.limits = limits,
		.limit_count = 2,
	};
	char text[1024];

	assert_int_equal(run(&settings, "limits", NULL, text), 0);
	assert_string_equal(text, "70 80 0");
}

static void test_oom_score(void **state)
{
	struct process_settings settings = {.set = PROCESS_OOM_SCORE, .oom_score_adj = 700};
	char text[1024];

	assert_int_equal(run(&settings, "file", "/proc/self/oom_score_adj", text), 0);
	assert_string_equal(text, "700\n");
	settings.oom_score_adj = 1001;
	assert_int_equal(run(&settings, "file", "/proc/self/oom_score_adj", text), -EINVAL);
	assert_string_equal(error.message, "cannot start child: this host refuses its OOM score: "
					   "Invalid argument");
}

/* In the first hierarchy in which this process may make a group. */
static void test_cgroup(void **state)
{
	static const char *const parents[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
					      "/sys/fs/cgroup/pids"};
	struct process_settings settings = {.set = PROCESS_CGROUP, .cgroup = -1};
	char path[128], group[64], text[1024];

	snprintf(group, sizeof(group), "avp-test-%d", (int)getpid());
	for (size_t i = 0; i < 3 && settings.cgroup < 0; i++) {
		struct stat status;

		snprintf(path, sizeof(path), "%s/cgroup.procs", parents[i]);
		if (stat(path, &status) < 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", parents[i], group);
		if (mkdir(path, 0755) == 0)
			settings.cgroup = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (settings.cgroup < 0) {
		print_message("skipped: no control group can be made here\n");
		skip();
	}
	assert_int_equal(run(&settings, "file", "/proc/self/cgroup", text), 0);
	assert_non_null(strstr(text, group));
	close(settings.cgroup);
	assert_int_equal(rmdir(path), 0);
}

static void test_namespaces(void **state)
{
	static const struct {
		const char *link;
		int flag;
	} kinds[] = {
		{"/proc/self/ns/mnt", CLONE_NEWNS},    {"/proc/self/ns/net", CLONE_NEWNET},
		{"/proc/self/ns/ipc", CLONE_NEWIPC},   {"/proc/self/ns/uts", CLONE_NEWUTS},
		{"/proc/self/ns/user", CLONE_NEWUSER},
	};
	char text[1024], own[128];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		/* As a user without rights would; then as root. */
		for (int root = 0; root < 2; root++) {
			const struct process_settings settings = {
				.set = PROCESS_NAMESPACES,
				.namespaces = kinds[i].flag | (root ? 0 : CLONE_NEWUSER),
			};
			ssize_t length = readlink(kinds[i].link, own, sizeof(own) - 1);

			assert_true(length > 0);
			own[length] = 0;
			run_or_skip(&settings, "link", kinds[i].link, text);
			assert_non_null(strchr(text, '['));
			assert_string_not_equal(text, own);
		}
	}
}

/* Its own processes only; inside it is the same user. */
static void test_process_namespace(void **state)
{
	const struct process_settings settings = {
		.set = PROCESS_NAMESPACES,
		.namespaces = CLONE_NEWPID | CLONE_NEWUSER,
	};
	char text[1024], expected[32];

	run_or_skip(&settings, "pid", NULL, text);
	snprintf(expected, sizeof(expected), "1 %d", (int)geteuid());
	assert_string_equal(text, expected);
}

/* A directory without cgroup.procs is refused on every host. */
static void test_refused_setting(void **state)
{
	struct process_settings settings = {.set = PROCESS_CGROUP | PROCESS_OOM_SCORE,
					    .oom_score_adj = 900};
	char text[1024];
	const char *said;

	settings.cgroup = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(run(&settings, "pid", NULL, text), -ENOENT);
	assert_string_equal(error.message, "cannot start child: this host refuses its control "
					   "group: No such file or directory");
	settings.optional = PROCESS_CGROUP;
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(run(&settings, "file", "/proc/self/oom_score_adj", text), 0);
	said = capture_all(&capture);
	capture_stop(&capture);
	/* The rest is applied. */
	assert_string_equal(text, "900\n");
	assert_non_null(strstr(said, "child: this host refuses its control group: No such file"));
	close(settings.cgroup);
}

static void test_refused_namespaces(void **state)
{
	struct process_settings settings = {
		.set = PROCESS_NAMESPACES,
		.namespaces = CLONE_NEWNET,
	};
	char text[1024];
	pid_t child;
	int status;

	/* As a user that may make none. */
	child = fork();
	if (child == 0) {
		if (geteuid() == 0 && setresuid(USER, USER, USER) < 0)
			_exit(77);
		if (run(&settings, "pid", NULL, text) != -EPERM ||
		    !strstr(error.message, "this host refuses its namespaces"))
			_exit(1);
		settings.optional = PROCESS_NAMESPACES;
		capture_start(&capture, STDERR_FILENO);
		status = run(&settings, "pid", NULL, text);
		_exit(status == 0 && strstr(capture_all(&capture),
					    "child: this host refuses its namespaces: ") ?
			      0 :
			      2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/*
 * A change of the user cancels the parent-death signal, and the first process of a namespace
 * ignores signals from inside it.
 */
static void test_child_dies_with_its_parent(void **state)
{
	const struct process_settings settings[] = {
		{.set = PROCESS_USER, .user = USER, .group = GROUP},
		{.set = PROCESS_NAMESPACES, .namespaces = CLONE_NEWPID | CLONE_NEWUSER},
	};

	for (size_t i = 0; i < 2; i++) {
		int ends[2], status;
		struct pollfd readable;
		pid_t middle;
		char byte;

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		middle = fork();
		if (middle == 0) {
			struct process process;
			int reader;

			if (start(&process, &settings[i], "pause", NULL, &reader) < 0)
				_exit(1);
			/* The pipe's end in the child is the only one besides ours. */
			dup2(reader, STDIN_FILENO);
			if (read(STDIN_FILENO, &byte, 1) != 1 ||
			    dprintf(ends[1], "%d\n", (int)process.pid) < 0)
				_exit(1);
			for (;;)
				pause();
		}
		close(ends[1]);
		readable = (struct pollfd){.fd = ends[0], .events = POLLIN};
		assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
		if (readable.revents & POLLIN) {
			char text[32] = "";
			int pidfd, gone;

			assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
			pidfd = pidfd_open(atoi(text), 0);
			assert_true(pidfd >= 0);
			kill(middle, SIGKILL);
			readable = (struct pollfd){.fd = pidfd, .events = POLLIN};
			gone = poll(&readable, 1, WAIT_MS);
			pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
			close(pidfd);
			assert_int_equal(gone, 1);
		} else {
			print_message("this host refuses the settings\n");
		}
		assert_int_equal(waitpid(middle, &status, 0), middle);
		close(ends[0]);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user_and_groups),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_processors),
		cmocka_unit_test(test_scheduling),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_oom_score),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_process_namespace),
		cmocka_unit_test(test_refused_setting),
		cmocka_unit_test(test_refused_namespaces),
		cmocka_unit_test(test_child_dies_with_its_parent),
	};

	if (argc > 1)
		return child_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

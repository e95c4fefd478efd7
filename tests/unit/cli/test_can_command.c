// SPDX-License-Identifier: BSD-3-Clause
/* The exit statuses of `avp can`, with the process of a bus that permits little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "base/program_path.h"
#include "cli/avp.h"
#include "unit/scratch.h"

#define ARGUMENTS_MAX 16

static struct scratch scratch;
static struct process service;
static char bus[128];

static const char config[] = "{\"bus\": {\"classic\": true},"
			     " \"clients\": {\"t\": {\"send\": [\"123\"]}}}";

static int set_up(void **state)
{
	char path[PATH_MAX], config_path[128], byte;
	struct error error;
	int ready[2];

	scratch_make(&scratch);
	snprintf(bus, sizeof(bus), "%s", scratch_path(&scratch, "bus.sock"));
	snprintf(config_path, sizeof(config_path), "%s",
		 scratch_write(&scratch, "bus.json", config, strlen(config)));
	assert_int_equal(program_path_find("service-can-bus", path, &error), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	/* The number that --ready-fd names. */
	assert_int_equal(dup2(ready[1], 100), 100);
	close(ready[1]);
	assert_int_equal(
		process_spawn(&service,
			      &(struct process_spawn){
				      .program = path,
				      .argv = (const char *const[]){"service-can-bus",
								    "--socket-path", bus,
								    "--config", config_path,
								    "--ready-fd", "100", NULL},
				      .kept_fds = (const int[]){100},
				      .kept_fd_count = 1,
				      .stdin_fd = -1,
				      .stdout_fd = -1,
				      .stderr_fd = -1,
			      },
			      &error),
		0);
	close(100);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return 0;
}

static int tear_down(void **state)
{
	kill(service.pid, SIGTERM);
	waitpid(service.pid, NULL, 0);
	close(service.pidfd);
	scratch_remove(&scratch);
	return 0;
}

/* The status of `avp can COMMAND BUS …`; the arguments end with NULL. */
static int run(const char *command, const char *const *more)
{
	char *arguments[ARGUMENTS_MAX + 1] = {(char *)"avp", (char *)"can", (char *)command, bus};
	int count = 4, status;
	pid_t pid;

	for (; *more && count < ARGUMENTS_MAX; more++)
		arguments[count++] = (char *)*more;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(command_main(&command_avp, count, arguments));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define RUN(command, ...) run(command, (const char *const[]){__VA_ARGS__, NULL})

static const char *write_log(const char *text)
{
	return scratch_write(&scratch, "log", text, strlen(text));
}

static void test_send(void **state)
{
	assert_int_equal(RUN("send", "123#00", "123#R", "--client", "t"), 0);
	/* Not permitted, not on this bus, not a frame; not a client, not a bus. */
	assert_int_equal(RUN("send", "123#00", "124#00", "--client", "t"), 1);
	assert_int_equal(RUN("send", "123##000", "--client", "t"), 1);
	assert_int_equal(RUN("send", "123", "--client", "t"), 2);
	assert_int_equal(RUN("send", "123#00"), 1);
	strcat(bus, "-none");
	assert_int_equal(RUN("send", "123#00", "--client", "t"), 1);
}

static void test_gen(void **state)
{
	assert_int_equal(RUN("gen", "123#00", "--rate", "0", "--count", "500", "--client", "t"), 0);
	assert_int_equal(RUN("gen", "124#00", "--rate", "0", "--count", "5", "--client", "t"), 1);
	assert_int_equal(RUN("gen", "--rate", "2000000", "--client", "t"), 2);
}

static void test_dump(void **state)
{
	assert_int_equal(RUN("dump", "100:700", "--timeout", "10", "--client", "t"), 0);
	assert_int_equal(RUN("dump", "10", "--timeout", "10", "--client", "t"), 2);
}

static void test_replay(void **state)
{
	const char *log = write_log("(0000000001.000000) can0 123#00\n"
				    "(0000000001.000000) can1 124#00\n"
				    "\n"
				    "(0000000001.500000) can0 20000004#0004000000000000\n"
				    "(0000000000.000000) can0 123#R\n");

	assert_int_equal(RUN("replay", log, "--interface", "can0", "--client", "t"), 0);
	assert_int_equal(RUN("replay", log, "--client", "t"), 1);
	log = write_log("(0000000001.000000) can0 123#00\n(0000000001.000000) can0 nothing\n");
	assert_int_equal(RUN("replay", log, "--fast", "--client", "t"), 2);
	assert_int_equal(RUN("replay", "/nonexistent/log", "--client", "t"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_send, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dump, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_replay, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

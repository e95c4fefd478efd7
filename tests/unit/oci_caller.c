// SPDX-License-Identifier: BSD-3-Clause
/* Calls avp like a container tool does: each call is a process. */
#include "unit/oci_caller.h"

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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "avp_main.h"
#include "host/guest_directory.h"
#include "unit/fake_qemu.h"

#define WORDS 20

struct scratch oci_scratch;
char oci_text[OCI_TEXT_SIZE];

/* Members of the next bundle besides those that it needs; "" for none. */
void oci_write_bundle(const char *more)
{
	char config[4000];
	int length = snprintf(config, sizeof(config),
			      "{\"ociVersion\": \"1.3.0\", \"vm\": {\"kernel\": {\"path\": "
			      "\"%s/kernel\"}}, \"avp\": {\"engine\": \"qemu\", "
			      "\"stop-timeout\": 1}%s}",
			      oci_scratch.directory, more);

	scratch_write(&oci_scratch, "config.json", config, (size_t)length);
}

void oci_become_qemu(char **argv)
{
	int status = fake_qemu_main(argv);

	fflush(stdout);
	_exit(status);
}

int oci_set_up(void **state)
{
	scratch_make(&oci_scratch);
	scratch_write_kernel(&oci_scratch, "kernel");
	fake_qemu_install(&oci_scratch);
	fake_qemu_set("powerdown", "QEMU emulator version 7.2.22");
	setenv(GUEST_DIRECTORY_VARIABLE, scratch_path(&oci_scratch, "run"), 1);
	oci_write_bundle("");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return 0;
}

struct oci_meets oci_meets;

static void meet(void)
{
	sigset_t blocked;

	for (int fd = 0; oci_meets.closed && fd <= STDERR_FILENO; fd++)
		close(fd);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	if (oci_meets.odd_signals) {
		signal(SIGPIPE, SIG_IGN);
		sigprocmask(SIG_BLOCK, &blocked, NULL);
	}
	if (oci_meets.leaked)
		dup2(STDERR_FILENO, oci_meets.leaked);
}

/* Starts `avp` with the words of a line, in which @ is the scratch directory. */
pid_t oci_begin(const char *line)
{
	char copy[4000] = "avp ", *words[WORDS + 1] = {NULL};
	size_t length = strlen(copy);
	int count = 0, output;
	pid_t pid;

	for (; *line; line++)
		length += (size_t)snprintf(copy + length, sizeof(copy) - length, "%.*s",
					   *line == '@' ? (int)strlen(oci_scratch.directory) : 1,
					   *line == '@' ? oci_scratch.directory : line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		words[count++] = word;
	/* Not a pipe, which the supervisor would hold open. */
	output = open(scratch_path(&oci_scratch, "output"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(output > STDERR_FILENO);
	pid = fork();
	if (pid == 0) {
		int input = open(oci_meets.input ? oci_meets.input : "/dev/null", O_RDONLY);

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

/* Waits for the end of a call; returns its exit status, with what it printed in oci_text. */
int oci_finish(pid_t pid)
{
	int status, fd;
	ssize_t length;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	fd = open(scratch_path(&oci_scratch, "output"), O_RDONLY);
	length = read(fd, oci_text, sizeof(oci_text) - 1);
	close(fd);
	oci_text[length > 0 ? length : 0] = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int oci_call(const char *line)
{
	return oci_finish(oci_begin(line));
}

int oci_tear_down(void **state)
{
	/* After a failure; else there is none. */
	oci_call("delete --force c");
	/* Nothing of any guest is left, nor unreaped: all of it would be ours. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	scratch_remove(&oci_scratch);
	return 0;
}

void oci_check(const char *line, int status)
{
	int got = oci_call(line);

	if (got != status)
		fail_msg("`%s` ends with %d instead of %d: %s", line, got, status, oci_text);
}

void oci_check_refused(const char *line, int status, const char *part)
{
	oci_check(line, status);
	if (!strstr(oci_text, part))
		fail_msg("`%s`: \"%s\" is not in: %s", line, part, oci_text);
}

/* The member of what the last call has printed, as text; a number as such. */
const char *oci_get(const char *name)
{
	static char value[300];
	json_t *json = json_loads(oci_text, JSON_DISABLE_EOF_CHECK, NULL);
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
void oci_check_status(const char *status)
{
	oci_check("state c", !*status);
	if (*status)
		assert_string_equal(oci_get("status"), status);
}

/* The process of container c, which is created or runs. */
pid_t oci_find_process(void)
{
	oci_check("state c", 0);
	return (pid_t)atoi(oci_get("pid"));
}

int oci_wait_for_end(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Waits until the guest of container c has said "hello": then its processors run. */
void oci_wait_for_guest(const char *file)
{
	for (;;) {
		char output[4000] = "";
		int fd = open(scratch_path(&oci_scratch, file), O_RDONLY);
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
void oci_bring(const char *status)
{
	if (!*status)
		return;
	oci_check("create --bundle @ c", 0);
	/* Later calls print to a file of the same name. */
	rename(scratch_path(&oci_scratch, "output"), scratch_path(&oci_scratch, "console"));
	if (!strcmp(status, "created"))
		return;
	oci_check("start c", 0);
	if (!strcmp(status, "stopped")) {
		pid_t pid = oci_find_process();

		oci_check("kill c KILL", 0);
		oci_wait_for_end(pid);
		return;
	}
	oci_wait_for_guest("console");
	if (!strcmp(status, "paused"))
		oci_check("pause c", 0);
}

/* Writes a hook @name, a shell script that is not given PATH. */
void oci_write_hook(const char *name, const char *script)
{
	char whole[600];
	int length = snprintf(whole, sizeof(whole), "#!/bin/sh\n%s\n", script);

	chmod(scratch_write(&oci_scratch, name, whole, (size_t)length), 0700);
}

/* A bundle with a hook at one point. */
void oci_write_bundle_with(const char *point, const char *name, const char *more)
{
	char hooks[500];

	snprintf(hooks, sizeof(hooks), ", \"hooks\": {\"%s\": [{\"path\": \"%s/%s\"%s}]}", point,
		 oci_scratch.directory, name, more);
	oci_write_bundle(hooks);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * What container tools expect of an OCI runtime besides the operations: hooks, terminals, logs, and
 * what they leave a runtime with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/socket_fd.h"
#include "unit/fake_qemu.h"
#include "unit/oci_caller.h"

static void test_hooks(void **state)
{
	static const char *const points[] = {"prestart",       "createRuntime", "createContainer",
					     "startContainer", "poststart",	"poststop"};
	char hooks[3000] = ", \"annotations\": {\"a\": \"b\"}, \"hooks\": {", script[300],
	     seen[4000] = "", *line, *rest = NULL;
	int fd;

	snprintf(script, sizeof(script), "echo $0 $1 $KEY $(/bin/cat) >>%s/seen",
		 oci_scratch.directory);
	oci_write_hook("hook", script);
	for (size_t i = 0; i < 6; i++) {
		size_t length = strlen(hooks);

		snprintf(hooks + length, sizeof(hooks) - length,
			 "%s\"%s\": [{\"path\": \"%s/hook\", \"args\": [\"hook\", \"%s\"], "
			 "\"env\": [\"KEY=value\"], \"timeout\": 60}]",
			 i ? ", " : "", points[i], oci_scratch.directory, points[i]);
	}
	strcat(hooks, "}");
	oci_write_bundle(hooks);
	oci_bring("created");
	/* Changes to the bundle after create have no effect. */
	scratch_write(&oci_scratch, "config.json", "{", 1);
	oci_check("start c", 0);
	oci_check("kill c 9", 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
	oci_check("delete c", 0);
	fd = open(scratch_path(&oci_scratch, "seen"), O_RDONLY);
	assert_true(read(fd, seen, sizeof(seen) - 1) > 0);
	close(fd);
	line = strtok_r(seen, "\n", &rest);
	for (size_t i = 0; i < 6; i++, line = strtok_r(NULL, "\n", &rest)) {
		static const char *const expected[] = {"creating", "creating", "creating",
						       "created",  "running",  "stopped"};
		char start[200];

		assert_non_null(line);
		snprintf(start, sizeof(start), "%s/hook %s value ", oci_scratch.directory,
			 points[i]);
		if (strncmp(line, start, strlen(start)) != 0)
			fail_msg("%s instead of %s", line, start);
		snprintf(oci_text, sizeof(oci_text), "%s", line + strlen(start));
		assert_string_equal(oci_get("status"), expected[i]);
		assert_string_equal(oci_get("id"), "c");
		if (i < 5)
			assert_true(atoi(oci_get("pid")) > 1);
	}
	assert_null(line);
}

static void test_hooks_that_fail(void **state)
{
	oci_write_hook("fails", "exit 3");
	oci_write_hook("hangs", "/bin/sleep 1000");
	oci_write_bundle_with("createRuntime", "fails", "");
	oci_check_refused("create --bundle @ c", 1, "hook createRuntime: ");
	assert_non_null(strstr(oci_text, "ended with exit status 3"));
	oci_check_status("");
	oci_write_bundle_with("createContainer", "hangs", ", \"timeout\": 1");
	oci_check_refused("create --bundle @ c", 1, "still ran after 1 s, its timeout");
	oci_check_status("");
	oci_write_bundle_with("prestart", "missing", "");
	oci_check_refused("create --bundle @ c", 1, "No such file or directory");
	oci_check_status("");
	/* None of them has left a process that runs. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	oci_write_bundle_with("startContainer", "fails", "");
	oci_bring("created");
	oci_check_refused("start c", 1, "hook startContainer: ");
	oci_check_status("");
	oci_write_bundle_with("poststart", "fails", "");
	oci_bring("created");
	oci_check_refused("start c", 1, "hook poststart: ");
	oci_check_status("");
	/* The container is gone all the same. */
	oci_write_bundle_with("poststop", "fails", "");
	oci_bring("stopped");
	oci_check_refused("delete c", 0, "warning");
	oci_check_status("");
	oci_write_bundle(", \"hooks\": {\"prestart\": [{\"path\": \"relative\"}]}");
	oci_check_refused("create --bundle @ c", 2, "hooks.prestart[0]: has no absolute path");
	oci_write_bundle(", \"hooks\": [1]");
	oci_check_refused("create --bundle @ c", 2, "hooks: is not an object");
	oci_check_status("");
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

	oci_meets.leaked = 40;
	oci_meets.odd_signals = true;
	oci_bring("created");
	oci_meets.leaked = 0;
	pid = oci_find_process();
	snprintf(path, sizeof(path), "/proc/%d/fd/40", pid);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(read_status(pid, "SigBlk:") & 1ULL << (SIGUSR1 - 1), 0);
	oci_check("start c", 0);
	oci_wait_for_guest("console");
	oci_check("delete --force c", 0);
	oci_meets.odd_signals = false;
	/* Also without standard descriptors. */
	oci_meets.closed = true;
	oci_check("create --bundle @ c", 0);
	oci_check("start c", 0);
	oci_meets.closed = false;
	oci_check_status("running");
	oci_check("delete --force c", 0);
	oci_check_status("");
}

static void test_terminal(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char bytes[4000] = "";
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), connection, terminal;
	size_t length = 0;
	pid_t pid;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", oci_scratch.directory);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	fake_qemu_set("poweroff", "QEMU emulator version 7.2.22");
	oci_check("create --bundle @ --console-socket @/socket c", 0);
	connection = accept(listener, NULL, NULL);
	assert_true(socket_receive_fd(connection, bytes, sizeof(bytes), &terminal, 0) > 0);
	assert_true(terminal >= 0);
	assert_int_equal(isatty(terminal), 1);
	pid = oci_find_process();
	oci_check("start c", 0);
	/* EIO: its last process is gone. */
	for (ssize_t got = 1; got > 0; length += got > 0 ? (size_t)got : 0)
		got = read(terminal, bytes + length, sizeof(bytes) - 1 - length);
	bytes[length] = 0;
	assert_non_null(strstr(bytes, "hello"));
	assert_int_equal(oci_wait_for_end(pid), 0);
	oci_check("delete c", 0);
	close(terminal);
	close(connection);
	close(listener);
	oci_check_refused("create --bundle @ --console-socket @/socket c", 1, "--console-socket: ");
	oci_check_status("");
}

/* Runs the hook on a configuration, in which @ is the scratch directory. */
static int call_hook(const char *config)
{
	char whole[2000];
	size_t length = 0;
	int status;

	for (; *config; config++)
		length += (size_t)snprintf(whole + length, sizeof(whole) - length, "%.*s",
					   *config == '@' ? (int)strlen(oci_scratch.directory) : 1,
					   *config == '@' ? oci_scratch.directory : config);
	oci_meets.input = scratch_write(&oci_scratch, "hook.json", whole, length);
	status = oci_call("precreate");
	oci_meets.input = NULL;
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

	mkdir(scratch_path(&oci_scratch, "rootfs"), 0700);
	scratch_write_kernel(&oci_scratch, "rootfs/kernel");
	scratch_write(&oci_scratch, "rootfs/guest.json", guest, strlen(guest));
	assert_int_equal(symlink("/etc/passwd", scratch_path(&oci_scratch, "rootfs/link")), 0);
	/* What podman drops is in annotations, too. */
	assert_int_equal(call_hook("{" ROOT "{\"org.avp.vm\": \"guest.json\"}, \"x\": 1}"), 0);
	snprintf(expected, sizeof(expected),
		 "{\"root\":{\"path\":\"%s/rootfs\"},\"annotations\":{\"org.avp.vm\":"
		 "\"guest.json\",\"org.avp.hwConfig\":\"{\\\"vcpus\\\":2}\",\"org.avp.config\":"
		 "\"{\\\"engine\\\":\\\"qemu\\\"}\"},\"x\":1,\"vm\":{\"kernel\":{\"path\":"
		 "\"%s/rootfs/kernel\"},\"hwConfig\":{\"vcpus\":2}}}",
		 oci_scratch.directory, oci_scratch.directory);
	assert_string_equal(oci_text, expected);
	/* Other containers stay as they are. */
	assert_int_equal(call_hook("{\"annotations\":{\"a\":\"b\"}}"), 0);
	assert_string_equal(oci_text, "{\"annotations\":{\"a\":\"b\"}}");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(call_hook(refused[i].config), 2);
		if (!strstr(oci_text, refused[i].message))
			fail_msg("\"%s\" is not in: %s", refused[i].message, oci_text);
	}
}

/* The last lines of a log are what containerd shows. */
static void test_log_file(void **state)
{
	char line[2000] = "";
	int fd;

	oci_check("--root @/other --log @/log.json --log-format json --systemd-cgroup --debug "
		  "--rootless=true --cgroup-manager disabled state c",
		  1);
	fd = open(scratch_path(&oci_scratch, "log.json"), O_RDONLY);
	assert_true(read(fd, line, sizeof(line) - 1) > 0);
	close(fd);
	snprintf(oci_text, sizeof(oci_text), "%s", line);
	assert_string_equal(oci_get("level"), "error");
	assert_string_equal(oci_get("msg"), "container 'c' does not exist");
	oci_check("--version", 0);
	assert_int_equal(strncmp(oci_text, "avp version ", 12), 0);
	assert_non_null(strstr(oci_text, "\nspec: 1."));
	oci_check("features", 0);
	assert_string_equal(oci_get("ociVersionMin"), "1.0.0");
}

static void test_roots_that_cannot_be_used(void **state)
{
	const char *open_to_all = scratch_path(&oci_scratch, "open");

	assert_int_equal(mkdir(open_to_all, 0700) | chmod(open_to_all, 0777), 0);
	oci_check_refused("--root @/open create --bundle @ c", 1, "other users can write to it");
	oci_check_refused("--root /proc/none create --bundle @ c", 1, "--root: /proc/none");
	oci_check("--root @/kernel list", 1);
	/* A directory that has room for one more directory, but not for a file in it. */
	open_to_all = scratch_path(&oci_scratch, "full");
	assert_int_equal(mkdir(open_to_all, 0700), 0);
	if (mount("tmpfs", open_to_all, "tmpfs", 0, "nr_inodes=2,mode=700") < 0)
		skip();
	oci_check_refused("--root @/full create --bundle @ c", 1, "No space left on device");
	/* Nothing is left. */
	assert_int_equal(rmdir(scratch_path(&oci_scratch, "full/c")), -1);
	assert_int_equal(errno, ENOENT);
	mount("tmpfs", scratch_path(&oci_scratch, "full"), "tmpfs", MS_REMOUNT | MS_RDONLY, NULL);
	oci_check_refused("--root @/full create --bundle @ c", 1, "Read-only file system");
	umount(scratch_path(&oci_scratch, "full"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, oci_set_up, oci_tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hooks),
		TEST(test_hooks_that_fail),
		TEST(test_what_callers_leave),
		TEST(test_terminal),
		TEST(test_hook_of_podman),
		TEST(test_log_file),
		TEST(test_roots_that_cannot_be_used),
	};

	if (fake_qemu_called(argv))
		oci_become_qemu(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/* Ports of a console as text, and what is opened for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/option_path.h"
#include "device/console/console_port.h"
#include "device/console/options.h"
#include "unit/scratch.h"

static int read_ports(const char *const *items, size_t count, struct console_port_option *ports,
		      struct error *error)
{
	const struct console_options options = {
		.ports = {.items = (char **)items, .count = count},
	};

	return console_ports_read(&options, ports, error);
}

static void test_reads_ports(void **state)
{
	const char *const items[] = {"tty:terminal", "agent:socket:/run/a:b", "log:file:x,y",
				     "a.b_c-d:null", "loop:echo"};
	struct console_port_option ports[CONSOLE_PORTS_MAX];
	struct console_options options = {.ports = {.items = (char **)items, .count = 5}};
	struct error error;

	assert_int_equal(read_ports(items, 5, ports, &error), 5);
	assert_string_equal(ports[0].name, "tty");
	assert_int_equal(ports[0].kind, CONSOLE_PORT_TERMINAL);
	assert_null(ports[0].path);
	assert_int_equal(ports[1].kind, CONSOLE_PORT_SOCKET);
	assert_string_equal(ports[1].path, "/run/a:b");
	assert_int_equal(ports[2].kind, CONSOLE_PORT_FILE);
	assert_string_equal(ports[2].path, "x,y");
	assert_int_equal(ports[3].kind, CONSOLE_PORT_NULL);
	assert_int_equal(ports[4].kind, CONSOLE_PORT_ECHO);
	assert_true(console_uses_terminal(&options));
	options.ports.items = (char **)items + 1;
	options.ports.count = 4;
	assert_false(console_uses_terminal(&options));
	/* Without any: the terminal. */
	options.ports.count = 0;
	assert_int_equal(console_ports_read(&options, ports, &error), 1);
	assert_true(console_uses_terminal(&options));
}

static void test_refuses_what_is_no_port(void **state)
{
	static const char *const wrong[] = {
		"",	    "tty",	 "tty:",   ":terminal", "tty:terminal:", "tty:socket",
		"a/b:null", "a:socket:", "a:file", "a b:null",	"a:null:x",	 "a:echo:x",
		"a:tty:x",  "a:nullx",	 "a:nul",  "..:null",	"\xc3\xa4:null",
	};
	struct console_port_option ports[CONSOLE_PORTS_MAX];
	const char *many[CONSOLE_PORTS_MAX + 1];
	char names[CONSOLE_PORTS_MAX + 1][16];
	const char *const twice[] = {"a:null", "b:null", "a:terminal"};
	const char *const terminals[] = {"a:terminal", "b:terminal"};
	char text[128] = {0};
	struct error error;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_true(read_ports(&wrong[i], 1, ports, &error) < 0);
		assert_true(error.usage);
		assert_memory_equal(error.message, "port: ", 6);
	}
	for (size_t length = 64; length < 66; length++) {
		const char *item = text;

		memset(text, 'n', length);
		strcpy(text + length, ":null");
		assert_int_equal(read_ports(&item, 1, ports, &error) == 1, length == 64);
	}
	assert_true(read_ports(twice, 3, ports, &error) < 0);
	assert_non_null(strstr(error.message, "'a'"));
	assert_true(read_ports(terminals, 2, ports, &error) < 0);
	for (size_t i = 0; i <= CONSOLE_PORTS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu:null", i);
		many[i] = names[i];
	}
	assert_int_equal(read_ports(many, CONSOLE_PORTS_MAX, ports, &error), CONSOLE_PORTS_MAX);
	assert_true(read_ports(many, CONSOLE_PORTS_MAX + 1, ports, &error) < 0);
}

static void test_opens_files_and_sockets(void **state)
{
	struct scratch scratch;
	struct console_port_option port = {"a", CONSOLE_PORT_FILE, NULL};
	struct socket_path made, other;
	char inherited[32];
	struct stat status;
	struct error error;
	char path[128];
	int fd, again;

	scratch_make(&scratch);
	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "port"));
	port.path = path;
	for (int i = 0; i < 2; i++) {
		fd = path_open_appended("port", port.path, &error);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, "x", 1), 1);
		close(fd);
	}
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, 2);
	/* A socket cannot replace a file. */
	port.kind = CONSOLE_PORT_SOCKET;
	assert_true(path_listen("port", port.path, &made, &error) < 0);
	assert_true(error.usage);
	assert_null(made.path);
	unlink(path);

	fd = path_listen("port", port.path, &made, &error);
	assert_true(fd >= 0);
	/* A socket that another process listens on is not replaced. */
	assert_true(path_listen("port", port.path, &other, &error) < 0);
	assert_non_null(strstr(error.message, "another process"));
	snprintf(inherited, sizeof(inherited), "/dev/fd/%d", fd);
	port.path = inherited;
	again = path_listen("port", port.path, &other, &error);
	assert_int_equal(again, fd);
	assert_null(other.path);
	port.path = "/dev/fd/0x3";
	assert_true(path_listen("port", port.path, &other, &error) < 0);
	/* The socket is removed at the end, but not a file that took its place. */
	assert_int_equal(rename(scratch_write_zeros(&scratch, "other", 1), path), 0);
	socket_path_remove(&made);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	unlink(path);
	port.path = path;
	fd = path_listen("port", port.path, &made, &error);
	socket_path_remove(&made);
	assert_int_equal(access(path, F_OK), -1);
	close(fd);
	port.path = "/nowhere/at/all";
	assert_true(path_open_appended("port", port.path, &error) < 0);
	assert_true(error.usage);
	scratch_remove(&scratch);
}

/* A restarted device process has what the supervisor opened, and nothing else. */
static void test_pipes_of_readers_that_come_and_go(void **state)
{
	struct console_port_option port = {"a", CONSOLE_PORT_FILE, NULL};
	char path[128], inherited[32], byte;
	struct scratch scratch;
	struct error error;
	int reader, fd, again;

	scratch_make(&scratch);
	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "pipe"));
	assert_int_equal(mkfifo(path, 0600), 0);
	port.path = path;
	assert_true(path_open_appended("port", port.path, &error) < 0);
	assert_true(error.usage);
	assert_non_null(strstr(error.message, "nobody reads"));
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	fd = path_open_appended("port", port.path, &error);
	assert_true(fd >= 0);
	close(reader);
	snprintf(inherited, sizeof(inherited), "/dev/fd/%d", fd);
	port.path = inherited;
	again = path_open_appended("port", port.path, &error);
	assert_true(again >= 0);
	assert_int_not_equal(again, fd);
	assert_true(fcntl(again, F_GETFL) & O_NONBLOCK);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(write(again, "x", 1), 1);
	assert_int_equal(read(reader, &byte, 1), 1);
	/* What cannot be written to is refused. */
	snprintf(inherited, sizeof(inherited), "/dev/fd/%d", reader);
	assert_true(path_open_appended("port", port.path, &error) < 0);
	assert_true(error.usage);
	close(reader);
	assert_true(path_open_appended("port", port.path, &error) < 0);
	close(again);
	close(fd);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_ports),
		cmocka_unit_test(test_refuses_what_is_no_port),
		cmocka_unit_test(test_opens_files_and_sockets),
		cmocka_unit_test(test_pipes_of_readers_that_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

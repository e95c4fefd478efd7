// SPDX-License-Identifier: BSD-3-Clause
/*
 * The list of name servers in a resolv.conf, and the process that follows such a file: in all the
 * ways in which programs of a host change it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit/capture.h"
#include "device/net/user/resolv_reader.h"
#include "unit/scratch.h"

#define TEXT(text) text, sizeof(text) - 1

static uint32_t find_interface(const char *name, void *context)
{
	(void)context;
	if (!strcmp(name, "5"))
		return 9;
	return strcmp(name, "eth0") ? 0 : 7;
}

static void expect_server(const struct name_servers *servers, uint32_t index, const char *text)
{
	char printed[NAME_SERVER_TEXT];

	assert_true(index < servers->count);
	assert_string_equal(name_server_print(&servers->servers[index], printed), text);
}

static void test_list(void **state)
{
	struct name_servers servers;

	(void)state;
	name_servers_parse(&servers,
			   TEXT("# nameserver 192.0.2.9\n"
				"; nameserver 192.0.2.9\n"
				"search example.org\n"
				"nameserver 192.0.2.1\n"
				"nameserver\t \t2001:db8::1  # the second\r\n"
				"nameserver fe80::1%eth0\r\n"
				"nameserver fe80::1%eth9\n"
				" nameserver 192.0.2.9\n"
				"nameservers 192.0.2.9\n"
				"nameserver192.0.2.9\n"
				"nameserver 192.0.2.300\n"
				"nameserver\n"
				"nameserver \n"
				"nameserver 192.0.2.1\n"
				"options edns0\n"
				"nameserver 192.0.2.2"),
			   find_interface, NULL);
	assert_int_equal(servers.count, 4);
	expect_server(&servers, 0, "192.0.2.1");
	expect_server(&servers, 1, "2001:db8::1");
	expect_server(&servers, 2, "fe80::1%7");
	expect_server(&servers, 3, "192.0.2.2");
	assert_true(name_servers_are_sane(&servers));
}

static void test_list_that_is_damaged(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} cases[] = {
		{TEXT("")},
		{TEXT("\n\n\n")},
		{TEXT("nameserver")},
		{TEXT("nameserver 1")},
		{TEXT("nameserver \0 192.0.2.1")},
		{TEXT("nameserver %eth0")},
		{TEXT("nameserver ::1%")},
		{TEXT("nameserver 192.0.2.1%eth0")},
		{TEXT("nameserver 11111111111111111111111111111111111111111111111111111111111111111"
		      "11111111111111111111111111111111111111111111111111111111111111111111111")},
	};
	struct name_servers servers;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		name_servers_parse(&servers, cases[i].text, cases[i].length, find_interface, NULL);
		assert_int_equal(servers.count, 0);
	}
}

static void test_long_list(void **state)
{
	struct name_servers servers;
	char text[1000];
	size_t length = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   "nameserver 192.0.2.%d\n", i);
	name_servers_parse(&servers, text, length, find_interface, NULL);
	assert_int_equal(servers.count, NAME_SERVERS_MAX);
	expect_server(&servers, NAME_SERVERS_MAX - 1, "192.0.2.7");
}

/* An interface by its number; a name with the same text takes precedence. */
static void test_numbers_of_interfaces(void **state)
{
	struct name_servers servers;

	(void)state;
	name_servers_parse(&servers,
			   TEXT("nameserver fe80::1%12\n"
				"nameserver fe80::2%4294967295\n"
				"nameserver fe80::3%4294967296\n"
				"nameserver fe80::3%99999999999999999999999\n"
				"nameserver fe80::3%0\n"
				"nameserver fe80::3%-1\n"
				"nameserver fe80::3%+1\n"
				"nameserver fe80::3%0x1\n"
				"nameserver fe80::3%1a\n"
				"nameserver fe80::3%1%1\n"
				"nameserver fe80::4%5\n"),
			   find_interface, NULL);
	assert_int_equal(servers.count, 3);
	expect_server(&servers, 0, "fe80::1%12");
	expect_server(&servers, 1, "fe80::2%4294967295");
	expect_server(&servers, 2, "fe80::4%9");
}

struct fixture {
	struct scratch scratch;
	struct event_loop loop;
	struct resolv_reader reader;
	struct name_servers servers; /* as reported last */
	unsigned int changes;
};

static void note_change(void *context, const struct name_servers *servers)
{
	struct fixture *f = context;

	f->servers = *servers;
	f->changes++;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error error = {0};

	assert_non_null(f);
	scratch_make(&f->scratch);
	assert_int_equal(mkdir(scratch_path(&f->scratch, "etc"), 0755), 0);
	assert_int_equal(mkdir(scratch_path(&f->scratch, "run"), 0755), 0);
	assert_int_equal(event_loop_init(&f->loop, 0, &error), 0);
	f->reader = RESOLV_READER_NONE;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	resolv_reader_stop(&f->reader);
	event_loop_close(&f->loop);
	scratch_remove(&f->scratch);
	free(f);
	return 0;
}

static const char *path_of(struct fixture *f, const char *name)
{
	return scratch_path(&f->scratch, name);
}

/* Writes a file that lists one server. */
static void write_file(struct fixture *f, const char *name, const char *server)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "nameserver %s\n", server);

	scratch_write(&f->scratch, name, text, (size_t)length);
}

/* Waits until the one server is @server; "": until there is none. */
static void wait_for(struct fixture *f, const char *server)
{
	const time_t limit = time(NULL) + 60;
	char text[NAME_SERVER_TEXT] = "";

	for (;;) {
		if (f->changes && f->servers.count == !!*server &&
		    (!*server || !strcmp(name_server_print(&f->servers.servers[0], text), server)))
			return;
		assert_true(event_loop_turn(&f->loop, 1000) >= 0);
		assert_true(time(NULL) < limit);
	}
}

static void start_reader(struct fixture *f)
{
	static char path[256];
	struct error error = {0};

	snprintf(path, sizeof(path), "%s", path_of(f, "etc/resolv.conf"));
	assert_int_equal(resolv_reader_start(&f->reader, &f->loop, path, note_change, f, &error),
			 0);
}

static void start(struct fixture *f, const char *first)
{
	start_reader(f);
	wait_for(f, first);
}

/*
 * Changes the name server four times: writes it to the file @written, and renames that to @replaced
 * unless it is NULL. The reader reports each change.
 */
static void expect_changes(struct fixture *f, const char *written, const char *replaced)
{
	for (int i = 2; i < 6; i++) {
		char server[20];

		snprintf(server, sizeof(server), "192.0.2.%d", i);
		write_file(f, written, server);
		if (replaced)
			assert_int_equal(rename(path_of(f, written), path_of(f, replaced)), 0);
		wait_for(f, server);
	}
}

/* Written again in place, as administrators do. */
static void test_written(void **state)
{
	struct fixture *f = *state;

	write_file(f, "etc/resolv.conf", "192.0.2.1");
	start(f, "192.0.2.1");
	expect_changes(f, "etc/resolv.conf", NULL);
}

/* Another file takes its place, again and again. */
static void test_replaced(void **state)
{
	struct fixture *f = *state;

	write_file(f, "etc/resolv.conf", "192.0.2.1");
	start(f, "192.0.2.1");
	expect_changes(f, "etc/new", "etc/resolv.conf");
	/* Then it is written in place. */
	write_file(f, "etc/resolv.conf", "192.0.2.99");
	wait_for(f, "192.0.2.99");
}

/* A symbolic link whose target is replaced, as systemd-resolved does it. */
static void test_target_replaced(void **state)
{
	struct fixture *f = *state;

	write_file(f, "run/stub.conf", "192.0.2.1");
	assert_int_equal(symlink("../run/stub.conf", path_of(f, "etc/resolv.conf")), 0);
	start(f, "192.0.2.1");
	expect_changes(f, "run/.new", "run/stub.conf");
}

/* A link that changes its target, then a link in its path, repeatedly. */
static void test_links_replaced(void **state)
{
	struct fixture *f = *state;
	char target[256];

	snprintf(target, sizeof(target), "%s", path_of(f, "run/current/resolv.conf"));
	assert_int_equal(mkdir(path_of(f, "run/a"), 0755), 0);
	assert_int_equal(mkdir(path_of(f, "run/b"), 0755), 0);
	write_file(f, "run/here", "192.0.2.3");
	write_file(f, "run/a/resolv.conf", "192.0.2.1");
	write_file(f, "run/b/resolv.conf", "192.0.2.2");
	write_file(f, "etc/resolv.conf", "192.0.2.4");
	/* The reader may later read only where the file is at the start. */
	assert_int_equal(unlink(path_of(f, "etc/resolv.conf")), 0);
	assert_int_equal(symlink("../run/here", path_of(f, "etc/resolv.conf")), 0);
	start(f, "192.0.2.3");
	assert_int_equal(symlink("a", path_of(f, "run/current")), 0);
	assert_int_equal(symlink(target, path_of(f, "etc/new")), 0);
	assert_int_equal(rename(path_of(f, "etc/new"), path_of(f, "etc/resolv.conf")), 0);
	wait_for(f, "192.0.2.1");
	assert_int_equal(symlink("b", path_of(f, "run/new")), 0);
	assert_int_equal(rename(path_of(f, "run/new"), path_of(f, "run/current")), 0);
	wait_for(f, "192.0.2.2");
	/* Back to a regular file: NetworkManager with rc-manager=file does this. */
	write_file(f, "etc/new", "192.0.2.5");
	assert_int_equal(rename(path_of(f, "etc/new"), path_of(f, "etc/resolv.conf")), 0);
	wait_for(f, "192.0.2.5");
}

/* Gone and back, with all of its directory, as when a service of the host restarts. */
static void test_removed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(path_of(f, "etc/service"), 0755), 0);
	write_file(f, "etc/service/stub.conf", "192.0.2.1");
	assert_int_equal(symlink("service/stub.conf", path_of(f, "etc/resolv.conf")), 0);
	start(f, "192.0.2.1");
	for (int i = 2; i < 4; i++) {
		char server[20];

		snprintf(server, sizeof(server), "192.0.2.%d", i);
		assert_int_equal(unlink(path_of(f, "etc/service/stub.conf")), 0);
		assert_int_equal(rmdir(path_of(f, "etc/service")), 0);
		wait_for(f, "");
		assert_int_equal(mkdir(path_of(f, "etc/service"), 0755), 0);
		write_file(f, "etc/service/stub.conf", server);
		wait_for(f, server);
	}
}

/* No file at the start, which is logged; then there is one. */
static void test_comes_later(void **state)
{
	struct fixture *f = *state;
	struct capture capture;

	capture_start(&capture, STDERR_FILENO);
	start(f, "");
	assert_non_null(strstr(capture_all(&capture), strerror(ENOENT)));
	capture_stop(&capture);
	write_file(f, "etc/resolv.conf", "192.0.2.1");
	wait_for(f, "192.0.2.1");
}

/*
 * Links in a circle, a directory, and a name that leads nowhere, are errors, and changes are still
 * noticed.
 */
static void test_odd_files(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(symlink("resolv.conf", path_of(f, "etc/resolv.conf")), 0);
	start(f, "");
	assert_int_equal(unlink(path_of(f, "etc/resolv.conf")), 0);
	assert_int_equal(mkdir(path_of(f, "etc/resolv.conf"), 0755), 0);
	usleep(100000);
	assert_int_equal(rmdir(path_of(f, "etc/resolv.conf")), 0);
	assert_int_equal(mkfifo(path_of(f, "etc/resolv.conf"), 0644), 0);
	usleep(100000);
	assert_int_equal(unlink(path_of(f, "etc/resolv.conf")), 0);
	write_file(f, "etc/resolv.conf", "192.0.2.1");
	wait_for(f, "192.0.2.1");
}

/* A change without effect is not reported. */
static void test_same_again(void **state)
{
	struct fixture *f = *state;

	write_file(f, "etc/resolv.conf", "192.0.2.1");
	start(f, "192.0.2.1");
	f->changes = 1;
	write_file(f, "etc/new", "192.0.2.1");
	assert_int_equal(rename(path_of(f, "etc/new"), path_of(f, "etc/resolv.conf")), 0);
	write_file(f, "etc/other", "192.0.2.7");
	usleep(300000);
	write_file(f, "etc/new", "192.0.2.2");
	assert_int_equal(rename(path_of(f, "etc/new"), path_of(f, "etc/resolv.conf")), 0);
	wait_for(f, "192.0.2.2");
	assert_int_equal(f->changes, 2);
}

/* Of a file that is too long only complete lines are used: no address is cut short. */
static void test_long_file(void **state)
{
	static const char first[] = "nameserver 192.0.2.7\n", last[] = "\nnameserver 192.0.2.123\n";
	static char text[65536 + 4];
	struct fixture *f = *state;
	const time_t limit = time(NULL) + 60;

	memset(text, '#', sizeof(text));
	memcpy(text, first, sizeof(first) - 1);
	/* All but the last two digits are in what is read. */
	memcpy(text + 65536 - (sizeof(last) - 4), last, sizeof(last) - 1);
	scratch_write(&f->scratch, "etc/resolv.conf", text, 65536 + 3);
	start_reader(f);
	while (!f->changes) {
		assert_true(event_loop_turn(&f->loop, 1000) >= 0);
		assert_true(time(NULL) < limit);
	}
	assert_int_equal(f->servers.count, 1);
	expect_server(&f->servers, 0, "192.0.2.7");
}

/* Starts a process that creates the file @name and removes it, again and again. */
static pid_t make_noise(struct fixture *f, const char *name)
{
	const pid_t parent = getpid();
	pid_t noise = fork();

	assert_true(noise >= 0);
	if (noise > 0)
		return noise;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent) {
		int fd = open(path_of(f, name), O_WRONLY | O_CREAT, 0644);

		if (fd >= 0)
			close(fd);
		unlink(path_of(f, name));
		usleep(2000);
	}
	_exit(0);
}

/* Changes are noticed although other files come and go in the same directory all the time. */
static void test_busy_directory(void **state)
{
	static const char *const names[] = {"etc/noise0", "etc/noise1", "etc/noise2"};
	struct fixture *f = *state;
	pid_t noises[3];

	write_file(f, "etc/resolv.conf", "192.0.2.1");
	start(f, "192.0.2.1");
	for (size_t i = 0; i < 3; i++)
		noises[i] = make_noise(f, names[i]);
	usleep(100000);
	expect_changes(f, "etc/resolv.conf", NULL);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(kill(noises[i], SIGKILL), 0);
		assert_int_equal(waitpid(noises[i], NULL, 0), noises[i]);
	}
}

/* The reader dies: the servers stay as they were, and a line says so. */
static void test_reader_dies(void **state)
{
	struct fixture *f = *state;
	struct capture capture;
	const time_t limit = time(NULL) + 60;

	write_file(f, "etc/resolv.conf", "192.0.2.1");
	start(f, "192.0.2.1");
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(kill(f->reader.pid, SIGKILL), 0);
	while (f->reader.source.fd >= 0) {
		assert_true(event_loop_turn(&f->loop, 1000) >= 0);
		assert_true(time(NULL) < limit);
	}
	assert_non_null(strstr(capture_all(&capture), "has ended"));
	capture_stop(&capture);
	assert_int_equal(f->servers.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_that_is_damaged),
		cmocka_unit_test(test_long_list),
		cmocka_unit_test(test_numbers_of_interfaces),
		TEST(test_written),
		TEST(test_replaced),
		TEST(test_target_replaced),
		TEST(test_links_replaced),
		TEST(test_removed),
		TEST(test_comes_later),
		TEST(test_odd_files),
		TEST(test_same_again),
		TEST(test_long_file),
		TEST(test_busy_directory),
		TEST(test_reader_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

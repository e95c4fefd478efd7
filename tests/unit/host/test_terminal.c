// SPDX-License-Identifier: BSD-3-Clause
/* The connection between a terminal and the device process of a console. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/terminal.h"

struct fixture {
	struct terminal terminal;
	int master, saved, peer;
};

/* Standard output is a terminal during a test. */
static void set_up(struct fixture *f)
{
	struct winsize window = {.ws_col = 80, .ws_row = 25};
	struct error error;
	int slave;

	assert_int_equal(openpty(&f->master, &slave, NULL, NULL, &window), 0);
	fflush(stdout);
	f->saved = dup(STDOUT_FILENO);
	dup2(slave, STDOUT_FILENO);
	close(slave);
	assert_int_equal(terminal_open(&f->terminal, &f->peer, &error), 0);
}

static void tear_down(struct fixture *f)
{
	terminal_close(&f->terminal);
	assert_int_equal(f->terminal.notify_fd, -1);
	close(f->peer);
	fflush(stdout);
	dup2(f->saved, STDOUT_FILENO);
	close(f->saved);
	close(f->master);
}

static void test_size_is_told(void **state)
{
	struct winsize window = {.ws_col = 132, .ws_row = 43};
	struct terminal_size size;
	struct fixture f;

	set_up(&f);
	assert_true(terminal_read_size(&f.terminal, &size));
	assert_int_equal(size.columns, 80);
	assert_int_equal(size.rows, 25);
	ioctl(f.master, TIOCSWINSZ, &window);
	terminal_resized(&f.terminal);
	assert_true(terminal_take_resized(&f.terminal));
	assert_true(terminal_read_size(&f.terminal, &size));
	assert_int_equal(size.columns, 132);
	/* No notification is not the end. */
	assert_true(terminal_take_resized(&f.terminal));
	close(f.terminal.notify_fd);
	f.terminal.notify_fd = -1;
	assert_false(terminal_take_resized(&f.terminal));
	tear_down(&f);
}

/* A device process may misuse its ends, and read nothing. */
static void test_nobody_waits_for_the_device(void **state)
{
	struct fixture f;

	set_up(&f);
	fcntl(f.terminal.resized_fd, F_SETFL, 0);
	for (int i = 0; i < 100000; i++)
		terminal_resized(&f.terminal);
	close(f.terminal.resized_fd);
	f.terminal.resized_fd = -1;
	terminal_resized(&f.terminal);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_is_told),
		cmocka_unit_test(test_nobody_waits_for_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of base/error.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"

static void the_kind_of_error_gives_the_exit_status(void **state)
{
	struct error error = {0};

	assert_int_equal(error_set(&error, ENOENT, "no %s", "disk"), -ENOENT);
	assert_int_equal(error.code, ENOENT);
	assert_false(error.usage);
	assert_string_equal(error.message, "no disk");
	assert_int_equal(error_exit_status(&error), 1);

	assert_int_equal(error_set_usage(&error, "wrong"), -EINVAL);
	assert_true(error.usage);
	assert_int_equal(error_exit_status(&error), 2);

	/* A usage error does not make a later error a usage error. */
	error_set(&error, EIO, "broken");
	assert_int_equal(error_exit_status(&error), 1);
}

static void errno_is_appended_as_text(void **state)
{
	struct error error;

	assert_int_equal(error_set_errno(&error, EACCES, "/dev/kvm"), -EACCES);
	assert_string_equal(error.message, "/dev/kvm: Permission denied");
	error_set_errno(&error, 99999, "strange");
	assert_string_equal(error.message, "strange: unknown error");
}

static void a_failure_never_reads_as_success(void **state)
{
	struct error error;

	assert_true(error_set(&error, 0, "forgot errno") < 0);
	assert_true(error_set(&error, -ENOMEM, "negative") < 0);
	assert_true(error.code > 0);
	assert_true(error_set(NULL, EIO, "nobody listens") < 0);
	error_prefix(NULL, "nobody");
}

static void a_prefix_keeps_the_rest(void **state)
{
	struct error error;

	error_set_usage(&error, "serial: must be a string");
	error_prefix(&error, "%s[%d]", "devices", 1);
	assert_string_equal(error.message, "devices[1]: serial: must be a string");
	assert_true(error.usage);
	assert_int_equal(error.code, EINVAL);
}

static void the_message_may_be_made_from_itself(void **state)
{
	struct error error;

	error_set(&error, EIO, "inner");
	error_set_usage(&error, "outer (%s)", error.message);
	assert_string_equal(error.message, "outer (inner)");
}

static void what_is_too_long_is_cut_and_says_so(void **state)
{
	char text[2 * sizeof(((struct error *)0)->message)];
	struct error error;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	error_set(&error, EIO, "%s", text);
	assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
	assert_string_equal(error.message + strlen(error.message) - 4, "x...");
	error_prefix(&error, "%s", text);
	assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
	error_set_errno(&error, EIO, "%s", text);
	assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
}

static void a_hostile_file_name_stays_on_one_line(void **state)
{
	struct error error;

	error_set(&error, ENOENT, "%s: not found", "disk\n\x1b[2Jerror: all is well");
	assert_null(strpbrk(error.message, "\n\x1b"));
	assert_string_equal(error.message, "disk??[2Jerror: all is well: not found");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kind_of_error_gives_the_exit_status),
		cmocka_unit_test(errno_is_appended_as_text),
		cmocka_unit_test(a_failure_never_reads_as_success),
		cmocka_unit_test(a_prefix_keeps_the_rest),
		cmocka_unit_test(the_message_may_be_made_from_itself),
		cmocka_unit_test(what_is_too_long_is_cut_and_says_so),
		cmocka_unit_test(a_hostile_file_name_stays_on_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

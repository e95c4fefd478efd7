// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp doctor`: its two forms agree, each problem comes with a remedy, and the exit status says
 * whether an engine can run guests. QEMU is a fake, as this machine may have none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit/capture.h"
#include "cli/avp.h"
#include "unit/fake_qemu.h"
#include "unit/scratch.h"

#define VERSION "QEMU emulator version 7.2.22"

static struct scratch scratch;
static struct capture capture;

static int set_up(void **state)
{
	scratch_make(&scratch);
	return 0;
}

static int tear_down(void **state)
{
	scratch_remove(&scratch);
	return 0;
}

/* Runs it and returns its output. */
static const char *run(const char *option, int *status)
{
	char *argv[] = {(char *)"avp", (char *)"doctor", (char *)option, NULL};
	const char *text;

	capture_start(&capture, STDOUT_FILENO);
	*status = command_main(&command_avp, option ? 3 : 2, argv);
	text = capture_all(&capture);
	capture_stop(&capture);
	return text;
}

static json_t *run_json(int *status)
{
	json_error_t error;
	json_t *object = json_loads(run("--json", status), 0, &error);

	if (!object)
		fail_msg("%s", error.text);
	return object;
}

static const json_t *find_check(const json_t *object, const char *name)
{
	const json_t *checks = json_object_get(object, "checks");

	for (size_t i = 0; i < json_array_size(checks); i++) {
		const json_t *check = json_array_get(checks, i);

		if (!strcmp(json_string_value(json_object_get(check, "name")), name))
			return check;
	}
	fail_msg("no check of %s", name);
	return NULL;
}

static const char *member(const json_t *check, const char *name)
{
	const char *text = json_string_value(json_object_get(check, name));

	return text ? text : "";
}

/* No two checks report the same. */
static void expect_different_findings(const json_t *object)
{
	const json_t *checks = json_object_get(object, "checks");

	for (size_t i = 0; i < json_array_size(checks); i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(member(json_array_get(checks, i), "finding"),
						member(json_array_get(checks, j), "finding"));
}

static void test_every_finding_is_complete(void **state)
{
	json_t *object;
	const json_t *checks;
	int status;

	fake_qemu_install(&scratch);
	fake_qemu_set("devices", VERSION);
	object = run_json(&status);
	checks = json_object_get(object, "checks");
	assert_true(json_array_size(checks) >= 9);
	for (size_t i = 0; i < json_array_size(checks); i++) {
		const json_t *check = json_array_get(checks, i);
		const char *word = member(check, "status");

		assert_true(!strcmp(word, "ok") || !strcmp(word, "warn") ||
			    !strcmp(word, "missing"));
		assert_true(member(check, "finding")[0]);
		/* Engines and QEMU give the remedy in the finding. */
		if (!strcmp(word, "warn"))
			assert_true(member(check, "remedy")[0]);
		if (!strcmp(word, "ok"))
			assert_string_equal(member(check, "remedy"), "");
	}
	assert_string_equal(member(find_check(object, "QEMU"), "status"), "ok");
	assert_non_null(strstr(member(find_check(object, "QEMU"), "finding"),
			       "7.2.22, carries: block, net, entropy, vsock"));
	assert_non_null(
		strstr(member(find_check(object, "engine qemu"), "finding"), "QEMU 7.2.22"));
	assert_int_equal(status, json_is_true(json_object_get(object, "usable")) ? 0 : 1);
	expect_different_findings(object);
	/* The reason is given with KVM. */
	if (strcmp(member(find_check(object, "KVM"), "status"), "ok"))
		assert_string_equal(member(find_check(object, "engine kvm"), "finding"), "see KVM");
	json_decref(object);
}

static void test_lines(void **state)
{
	const char *text;
	int status;

	fake_qemu_install(&scratch);
	fake_qemu_set("devices", VERSION);
	text = run(NULL, &status);
	assert_non_null(strstr(text, "KVM"));
	assert_non_null(strstr(text, "engine qemu    QEMU 7.2.22"));
	if (status == 0)
		assert_non_null(strstr(text, "\nGuests can be run on this machine.\n"));
	else
		assert_non_null(strstr(text, "\nGuests cannot be run on this machine yet.\n"));
}

static void test_device_that_qemu_lacks(void **state)
{
	json_t *object;
	int status;

	fake_qemu_install(&scratch);
	/* By its version, and by a build without any of them. */
	fake_qemu_set("devices", "QEMU emulator version 6.1.0");
	object = run_json(&status);
	assert_string_equal(member(find_check(object, "QEMU"), "status"), "warn");
	assert_non_null(
		strstr(member(find_check(object, "QEMU"), "finding"), "carries: block, net"));
	assert_non_null(strstr(member(find_check(object, "QEMU"), "remedy"), "entropy (6.2)"));
	json_decref(object);

	fake_qemu_set("bare", VERSION);
	object = run_json(&status);
	assert_non_null(strstr(member(find_check(object, "QEMU"), "finding"),
			       "carries: none of our devices"));
	json_decref(object);
}

static void test_no_qemu(void **state)
{
	json_t *object;
	int status;

	setenv("PATH", scratch.directory, 1);
	object = run_json(&status);
	assert_int_equal(status, 1);
	assert_true(json_is_false(json_object_get(object, "usable")));
	assert_string_equal(member(find_check(object, "QEMU"), "status"), "missing");
	assert_string_equal(member(find_check(object, "engine qemu"), "status"), "missing");
	assert_non_null(strstr(member(find_check(object, "QEMU"), "finding"), "install QEMU"));
	assert_string_equal(member(find_check(object, "engine qemu"), "finding"), "see QEMU");
	expect_different_findings(object);
	json_decref(object);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_finding_is_complete, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_device_that_qemu_lacks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_qemu, set_up, tear_down),
	};

	if (fake_qemu_called(argv))
		return fake_qemu_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

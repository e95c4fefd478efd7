// SPDX-License-Identifier: BSD-3-Clause
/*
 * The KVM probe: it ends with a result in words on any machine, and distinguishes missing,
 * forbidden and unusable device files.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/kvm_probe.h"

#define NOBODY 65534

static void expect_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_this_machine(void **state)
{
	struct kvm_probe_result result = {.reason = ""};
	const char *start = "/dev/kvm opens but cannot run 64-bit guests: ";

	assert_int_equal(kvm_probe(&result), 0);
	print_message("%s\n", result.reason);
	assert_true(result.reason[0]);
	switch (result.verdict) {
	case KVM_PROBE_WORKS:
		assert_int_equal(access("/dev/kvm", R_OK | W_OK), 0);
		break;
	case KVM_PROBE_MISSING:
		assert_int_not_equal(access("/dev/kvm", F_OK), 0);
		break;
	case KVM_PROBE_FORBIDDEN:
		assert_int_equal(access("/dev/kvm", F_OK), 0);
		break;
	case KVM_PROBE_UNABLE:
		assert_int_equal(strncmp(result.reason, start, strlen(start)), 0);
		assert_true(strlen(result.reason) > strlen(start));
		break;
	case KVM_PROBE_UNKNOWN:
#if defined(__x86_64__) || defined(__aarch64__)
		fail();
#endif
		break;
	}
	expect_no_children();
}

static void test_missing(void **state)
{
	struct kvm_probe_result result;

	assert_int_equal(kvm_probe_path(&result, "/nonexistent/kvm"), 0);
	assert_int_equal(result.verdict, KVM_PROBE_MISSING);
	assert_string_equal(result.reason, "/nonexistent/kvm: No such file or directory");
}

static void test_not_kvm(void **state)
{
	struct kvm_probe_result result;

	assert_int_equal(kvm_probe_path(&result, "/dev/null"), 0);
	assert_int_equal(result.verdict, KVM_PROBE_UNABLE);
	assert_non_null(strstr(result.reason, "KVM_GET_API_VERSION"));
	expect_no_children();
}

static void test_forbidden(void **state)
{
	char path[] = "/tmp/test-probe-XXXXXX";
	int fd = mkstemp(path), status;
	pid_t pid;

	assert_true(fd >= 0);
	fchmod(fd, 0);
	close(fd);
	pid = fork();
	if (pid == 0) {
		struct kvm_probe_result result;

		/* Root can open everything. */
		if (geteuid() == 0 && setuid(NOBODY) < 0)
			_exit(1);
		if (kvm_probe_path(&result, path) != 0)
			_exit(2);
		if (result.verdict != KVM_PROBE_FORBIDDEN ||
		    !strstr(result.reason, "Permission denied"))
			_exit(3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(path);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_this_machine),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_not_kvm),
		cmocka_unit_test(test_forbidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

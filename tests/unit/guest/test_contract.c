// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of guest/config/contract.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/contract_version.h"
#include "guest/config/contract.h"

static void versions_fit_by_semver(void **state)
{
	static const struct {
		const char *guest, *hypervisor;
		int result;
	} rows[] = {
		{"any", "1.0.0", 0},	     {"1.4.0", "1.4.0", 0},
		{"1.3.9", "1.4.0", 0},	     {"1.4.7", "1.4.0", 0},
		{"1.5.0", "1.4.0", 1},	     {"2.0.0", "1.4.0", -EINVAL},
		{"0.9.0", "1.4.0", -EINVAL}, {"0.1.3", "0.1.0", 0},
		{"0.2.0", "0.1.0", -EINVAL}, {"0.0.9", "0.1.0", -EINVAL},
		{"1.0.0", "0.1.0", -EINVAL},
	};
	struct error error;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int result = contract_compare(rows[i].guest, rows[i].hypervisor, "base", &error);

		assert_int_equal(result, rows[i].result);
		if (result < 0) {
			assert_true(error.usage);
			assert_non_null(strstr(error.message, rows[i].guest));
			assert_non_null(strstr(error.message, rows[i].hypervisor));
		}
	}
}

static void profiles_must_be_kept(void **state)
{
	struct error error;

	assert_int_equal(contract_compare("1.0.0,base", "1.0.0", "base,gateway", &error), 0);
	assert_int_equal(contract_compare("1.0.0,gateway,base", "1.0.0", "base,gateway", &error),
			 0);
	assert_int_equal(contract_compare("1.0.0,base,safety", "1.0.0", "base,gateway", &error),
			 -EINVAL);
	assert_non_null(strstr(error.message, "'safety'"));
	assert_int_equal(contract_compare("1.0.0,gate", "1.0.0", "base,gateway", &error), -EINVAL);
	assert_int_equal(contract_compare("1.0.0,", "1.0.0", "base", &error), -EINVAL);
}

static void other_text_is_refused(void **state)
{
	static const char *const rows[] = {"",		"1",
					   "1.0",	"1.0.0.0",
					   "1.0.x",	"-1.0.0",
					   "01.0.0",	" 1.0.0",
					   "1.0.0 ",	"1..0",
					   "99999.0.0", "1.0.0-rc1",
					   "all",	"18446744073709551617.0.0"};
	struct error error;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(contract_compare(rows[i], "1.0.0", "base", &error), -EINVAL);
		assert_non_null(strstr(error.message, "1.0.0"));
	}
}

static void the_own_version_fits_itself(void **state)
{
	struct error error;

	assert_int_equal(contract_compare(CONTRACT_VERSION "," CONTRACT_PROFILES, CONTRACT_VERSION,
					  CONTRACT_PROFILES, &error),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_fit_by_semver),
		cmocka_unit_test(profiles_must_be_kept),
		cmocka_unit_test(other_text_is_refused),
		cmocka_unit_test(the_own_version_fits_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/* SHA-256 by the examples of NIST (FIPS 180-4, "SHA256.pdf"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <string.h>

#include "base/sha256.h"
#include "unit/scratch.h"

static void check(const char *part, size_t times, const char *expected)
{
	char text[SHA256_TEXT];
	struct sha256 sha;

	sha256_init(&sha);
	for (size_t i = 0; i < times; i++)
		sha256_add(&sha, part, strlen(part));
	assert_string_equal(sha256_finish(&sha, text), expected);
}

static void test_examples(void **state)
{
	check("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	check("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
	      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	check("a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_a_file(void **state)
{
	struct scratch scratch;
	char text[SHA256_TEXT];
	struct error error;

	scratch_make(&scratch);
	assert_int_equal(sha256_file(scratch_write(&scratch, "abc", "abc", 3), text, &error), 0);
	assert_string_equal(text,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_true(sha256_file(scratch_path(&scratch, "none"), text, &error) < 0);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

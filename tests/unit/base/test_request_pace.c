// SPDX-License-Identifier: BSD-3-Clause
/*
 * How often a monitor that polls all the time is answered, and which signals count as one request,
 * with a clock that the test sets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>

#include "base/request_pace.h"
#include "base/stop_request.h"

static void test_flood(void **state)
{
	struct request_pace pace = {0};
	int64_t now = 5, last = 5 + 100 * REQUEST_PACE_MS;
	unsigned int answers = 0;

	while (now < last) {
		int wait = request_pace_count(&pace, now);

		answers++;
		assert_in_range(wait, 0, REQUEST_PACE_MS);
		now += wait;
		/* Requests may take some time. */
		if (answers % 7 == 0)
			now++;
		assert_true(answers <= 101 * REQUEST_PACE_COUNT);
	}
	assert_true(answers >= 50 * REQUEST_PACE_COUNT);
}

/* A client that asks now and then never waits, however often in total. */
static void test_ordinary(void **state)
{
	struct request_pace pace = {0};

	for (int i = 0; i < 100 * REQUEST_PACE_COUNT; i++)
		assert_int_equal(request_pace_count(&pace, (int64_t)i * 5), 0);
}

static void test_signals_of_one_request(void **state)
{
	struct stop_request request = {0};

	assert_true(stop_request_take(&request, 5));
	assert_false(stop_request_take(&request, 5));
	assert_false(stop_request_take(&request, 4 + STOP_REQUEST_MS));
	/* Counted from the first: a flood does not delay the second request. */
	assert_true(stop_request_take(&request, 5 + STOP_REQUEST_MS));
	assert_false(stop_request_take(&request, 6 + STOP_REQUEST_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_signals_of_one_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

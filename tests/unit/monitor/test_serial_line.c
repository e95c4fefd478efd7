// SPDX-License-Identifier: BSD-3-Clause
/*
 * The line of a serial port: a writer that is faster than its far end, and a far end that stops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor/serial_line.h"

struct stage {
	struct event_loop loop;
	struct serial_line line;
	uint64_t sent, to_send; /* test_one_turn_has_an_end: output of a guest that never stops */
	unsigned int changes;
};

static void changed(void *context)
{
	struct stage *stage = context;

	stage->changes++;
	for (; stage->sent < stage->to_send && serial_line_has_room(&stage->line); stage->sent++)
		serial_line_send(&stage->line, (uint8_t)(stage->sent % 251));
}

static int set_up(void **state)
{
	static struct stage stage;

	memset(&stage, 0, sizeof(stage));
	assert_int_equal(event_loop_init(&stage.loop, 0, NULL), 0);
	*state = &stage;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *stage = *state;

	serial_line_close(&stage->line, 100);
	event_loop_close(&stage->loop);
	return 0;
}

static void send_as_much(struct stage *stage, uint64_t to_send)
{
	stage->to_send = to_send;
	pthread_mutex_lock(&stage->line.lock);
	changed(stage);
	pthread_mutex_unlock(&stage->line.lock);
}

/* Several vCPUs may write faster than one thread sends: other sources get their turn. */
static void test_one_turn_has_an_end(void **state)
{
	struct stage *stage = *state;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	uint64_t before;

	assert_int_equal(
		serial_line_open(&stage->line, &stage->loop, -1, null, changed, stage, NULL), 0);
	send_as_much(stage, 10 * SERIAL_OUTPUT_SIZE);
	do {
		before = stage->sent;
		assert_int_equal(event_loop_turn(&stage->loop, 0), 1);
		assert_true(stage->sent - before <= SERIAL_OUTPUT_SIZE);
	} while (stage->line.output_count > 0);
	assert_int_equal(stage->sent, stage->to_send);
	assert_int_equal(stage->line.lost, 0);
	assert_int_equal(event_loop_turn(&stage->loop, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_turn_has_an_end, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

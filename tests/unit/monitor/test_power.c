// SPDX-License-Identifier: BSD-3-Clause
/*
 * The power registers, above all their interrupt: it must be high as long as the guest has events
 * to read, in every interleaving.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <pthread.h>

#include "monitor/power.h"
#include "unit/fake_hypervisor.h"

#define ADDRESS 0x600
#define IRQ	5
#define ROUNDS	20000

struct stage {
	struct fake_hypervisor fake;
	struct platform_setup setup;
	struct power power;
	unsigned int told[4];
};

static void report(void *context, enum platform_event event, const char *what)
{
	struct stage *stage = context;

	stage->told[event]++;
}

static int set_up(void **state)
{
	static struct stage stage;

	stage = (struct stage){.setup = {.report = report, .context = &stage}};
	fake_open(&stage.fake);
	power_init(&stage.power, ADDRESS, IRQ, &stage.setup);
	power_attach(&stage.power, &stage.fake.hypervisor);
	*state = &stage;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *stage = *state;

	power_close(&stage->power);
	fake_close(&stage->fake);
	return 0;
}

static uint32_t fetch(struct stage *stage)
{
	uint8_t data[4] = {0};
	struct bus_access access = {POWER_EVENTS, 4, false, data};

	stage->power.registers.handle(stage->power.registers.context, &access);
	return (uint32_t)bus_value(&access);
}

static void put(struct stage *stage, uint64_t offset, uint8_t value)
{
	struct bus_access access = {offset, 1, true, &value};

	stage->power.registers.handle(stage->power.registers.context, &access);
}

static void test_button(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(fetch(stage), 0);
	power_press_button(&stage->power);
	assert_true(stage->fake.levels[IRQ]);
	/* As long as the guest does not read; also when it is pressed again. */
	power_press_button(&stage->power);
	assert_true(stage->fake.levels[IRQ]);
	assert_int_equal(fetch(stage), POWER_EVENT_BUTTON);
	assert_false(stage->fake.levels[IRQ]);
	assert_int_equal(fetch(stage), 0);
	power_press_button(&stage->power);
	assert_true(stage->fake.levels[IRQ]);
	/* Cleared at a reset. */
	power_attach(&stage->power, NULL);
	power_press_button(&stage->power);
	power_attach(&stage->power, &stage->fake.hypervisor);
	assert_int_equal(fetch(stage), 0);
}

static void *press(void *context)
{
	struct stage *stage = context;

	for (int i = 0; i < ROUNDS; i++)
		power_press_button(&stage->power);
	return NULL;
}

static void test_press_and_fetch_do_not_cross(void **state)
{
	struct stage *stage = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, press, stage), 0);
	for (int i = 0; i < ROUNDS; i++)
		fetch(stage);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(stage->fake.levels[IRQ], stage->power.events != 0);
	fetch(stage);
	assert_false(stage->fake.levels[IRQ]);
}

static void test_switches(void **state)
{
	struct stage *stage = *state;

	put(stage, POWER_SLEEP_CONTROL, POWER_SLEEP_TYPE_OFF << 2);
	put(stage, POWER_SLEEP_CONTROL, 0x20);
	put(stage, POWER_RESET, 0x06);
	assert_int_equal(stage->told[PLATFORM_OFF] + stage->told[PLATFORM_RESET], 0);
	put(stage, POWER_SLEEP_CONTROL, POWER_SLEEP_TYPE_OFF << 2 | 0x20);
	assert_int_equal(stage->told[PLATFORM_OFF], 1);
	put(stage, POWER_RESET, POWER_RESET_VALUE);
	assert_int_equal(stage->told[PLATFORM_RESET], 1);
}

int main(void)
{
#define STAGE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_button),
		STAGE_TEST(test_press_and_fetch_do_not_cross),
		STAGE_TEST(test_switches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

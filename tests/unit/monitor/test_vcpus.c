// SPDX-License-Identifier: BSD-3-Clause
/* Threads of vCPUs that are paused and go on, on a fake hypervisor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "monitor/vcpus.h"
#include "unit/fake_hypervisor.h"

#define CPUS	 3
#define LIMIT_MS 10000

static struct fake_hypervisor fake;
static struct vcpus vcpus;
static struct bus bus;
static atomic_uint steps[CPUS];
static atomic_bool asleep; /* the vCPUs do nothing */
static int paused;	   /* an eventfd */

static void on_exited(void *context, const struct vcpu_exit *exit)
{
	fail();
}

static void on_paused(void *context)
{
	eventfd_write(paused, 1);
}

static const struct vcpus_events events = {.exited = on_exited, .paused = on_paused};

/* Each vCPU runs with exits, unless it sleeps. */
static void script(struct fake_hypervisor *hypervisor, uint32_t index, unsigned int step,
		   struct vcpu_exit *exit)
{
	steps[index]++;
	if (asleep)
		return;
	exit->kind = VCPU_EXIT_MMIO;
	exit->access.length = 1;
}

static int set_up(void **state)
{
	static const struct boot_entry entry;

	fake_open(&fake);
	fake.script = script;
	asleep = false;
	bus = (struct bus){.name = "address"};
	paused = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vcpus_init(&vcpus);
	return vcpus_start(&vcpus, &fake.hypervisor, CPUS, &entry, &bus, &bus, NULL, &events, NULL,
			   NULL);
}

static int tear_down(void **state)
{
	vcpus_stop(&vcpus);
	assert_int_equal(fake.vcpus, 0);
	vcpus_destroy(&vcpus);
	close(paused);
	fake_close(&fake);
	return 0;
}

static bool wait_for_pause(int limit_ms)
{
	struct pollfd readable = {.fd = paused, .events = POLLIN};
	eventfd_t count;

	return poll(&readable, 1, limit_ms) == 1 && eventfd_read(paused, &count) == 0;
}

/* How many vCPUs take a step within @limit_ms; it waits no longer than until all have. */
static unsigned int count_steps(int limit_ms)
{
	unsigned int before[CPUS], stepped = 0;

	for (int i = 0; i < CPUS; i++)
		before[i] = steps[i];
	for (int wait = 0; wait < limit_ms && stepped < CPUS; wait++) {
		usleep(1000);
		stepped = 0;
		for (int i = 0; i < CPUS; i++)
			stepped += steps[i] != before[i];
	}
	return stepped;
}

static bool all_step(void)
{
	return count_steps(LIMIT_MS) == CPUS;
}

static bool none_steps(void)
{
	return count_steps(50) == 0;
}

static void test_pause(void **state)
{
	assert_true(all_step());
	assert_false(vcpus_are_paused(&vcpus));
	for (int i = 0; i < 20; i++) {
		vcpus_pause(&vcpus);
		assert_true(wait_for_pause(LIMIT_MS));
		assert_true(vcpus_are_paused(&vcpus));
		assert_true(none_steps());
		vcpus_resume(&vcpus);
		assert_false(vcpus_are_paused(&vcpus));
		assert_true(all_step());
	}
}

/* Also vCPUs that sleep in the guest, which an interrupt of the hypervisor wakes. */
static void test_pause_of_sleepers(void **state)
{
	asleep = true;
	usleep(10000);
	vcpus_pause(&vcpus);
	assert_true(wait_for_pause(LIMIT_MS));
	assert_true(vcpus_are_paused(&vcpus));
	asleep = false;
	assert_true(none_steps());
	vcpus_resume(&vcpus);
	assert_true(all_step());
}

/* In any order, as fast as it goes. */
static void test_pause_and_resume_at_once(void **state)
{
	for (int i = 0; i < 1000; i++) {
		vcpus_pause(&vcpus);
		if (i % 3 == 0)
			vcpus_pause(&vcpus);
		vcpus_resume(&vcpus);
	}
	assert_true(all_step());
	while (wait_for_pause(0))
		;
	vcpus_pause(&vcpus);
	assert_true(wait_for_pause(LIMIT_MS));
	assert_true(none_steps());
}

/* Before the vCPUs have left the pause. */
static void test_pause_right_after_resume(void **state)
{
	vcpus_pause(&vcpus);
	assert_true(wait_for_pause(LIMIT_MS));
	for (int i = 0; i < 200; i++) {
		vcpus_resume(&vcpus);
		vcpus_pause(&vcpus);
		assert_true(wait_for_pause(LIMIT_MS));
		assert_true(vcpus_are_paused(&vcpus));
	}
	assert_true(none_steps());
	vcpus_resume(&vcpus);
	assert_true(all_step());
}

/* The end, by whichever thread, does not wait for the end of a pause: see tear_down. */
static void test_stop_in_a_pause(void **state)
{
	vcpus_pause(&vcpus);
	assert_true(wait_for_pause(LIMIT_MS));
	vcpus_halt(&vcpus);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pause),
		TEST(test_pause_of_sleepers),
		TEST(test_pause_and_resume_at_once),
		TEST(test_pause_right_after_resume),
		TEST(test_stop_in_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

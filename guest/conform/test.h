// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests register themselves: TEST(name, "AVP-…", …) { … } makes an entry in a linker section, where
 * the runner finds all tests in link order.
 *
 * In a test, check() ends it with the verdict fail, skip() with a reason and no verdict. The runner
 * cleans up what a test leaves behind (devices, memory, interrupts, processors).
 */
#ifndef CONFORM_TEST_H
#define CONFORM_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "noise.h"
#include "text.h"

enum transport { TRANSPORT_ANY, TRANSPORT_MMIO, TRANSPORT_PCI };
enum architecture { EVERY_ARCHITECTURE, ONLY_X86, ONLY_ARM };

struct test {
	const char *name;
	const char *requirements; /* separated by spaces */
	void (*run)(void);
	uint32_t device; /* virtio id of a device that the test needs; 0: none */
	enum transport transport;
	enum architecture architecture;
	const char *profile;   /* NULL: base */
	unsigned int cpus;     /* that the test needs */
	unsigned int limit_ms; /* 0: LIMIT_MS */
};

#define LIMIT_MS 5000

#define TEST(test_name, test_requirements, ...)                                             \
	static void test_run_##test_name(void);                                             \
	static const struct test test_entry_##test_name __attribute__((                     \
		used, section(".tests"), aligned(8))) = {.name = #test_name,                \
							 .requirements = test_requirements, \
							 .run = test_run_##test_name,       \
							 ##__VA_ARGS__};                    \
	static void test_run_##test_name(void)

extern const struct test tests_start[], tests_end[];

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define check(condition, ...)                                       \
	do {                                                        \
		if (!(condition))                                   \
			test_fail(__FILE__, __LINE__, __VA_ARGS__); \
	} while (0)
#define fail(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define skip(...) test_skip(__VA_ARGS__)
/* Skips because of where the test runs: an emulated processor, firmware before it, a busy host. */
#define cannot_judge(...) test_skip("environment: " __VA_ARGS__)
/*
 * Checks a time limit of the contract: what took @ns may take @limit_ms. Skips if it is late by no
 * more than the host's noise may explain (noise.h).
 */
#define check_within(ns, limit_ms, format, ...)                                              \
	do {                                                                                 \
		uint64_t within_ns = (ns);                                                   \
		switch (noise_judge(within_ns, limit_ns(limit_ms))) {                        \
		case NOISE_WITHIN:                                                           \
			break;                                                               \
		case NOISE_CANNOT_TELL:                                                      \
			cannot_judge(format ": %lu ms, beside noise of the host of %lu us",  \
				     ##__VA_ARGS__, within_ns / 1000000, noise_ns() / 1000); \
		case NOISE_LATE:                                                             \
			fail(format ": %lu ms", ##__VA_ARGS__, within_ns / 1000000);         \
		}                                                                            \
	} while (0)

/* Time. The option slow=N of the command line multiplies all limits. */
uint64_t ticks_to_ns(uint64_t ticks);
uint64_t ns_to_ticks(uint64_t ns);
/* A limit in nanoseconds. */
uint64_t limit_ns(unsigned int ms);
struct deadline {
	uint64_t end, turns;
	uint64_t limit; /* ns; 0: it was extended already, or is exact */
};
/* To give up: the host's noise extends it (noise.h). */
struct deadline deadline_after_ms(unsigned int ms);
/*
 * Call it in each iteration of a loop. After many iterations it sleeps a moment. It also returns
 * true, after a bounded number of iterations, when the clock stands still.
 */
bool deadline_passed(struct deadline *deadline);
void sleep_ms(unsigned int ms);

#define wait_until(condition, ms)                                                        \
	({                                                                               \
		struct deadline wait_deadline = deadline_after_ms(ms);                   \
		bool wait_result;                                                        \
		while (!(wait_result = (condition)) && !deadline_passed(&wait_deadline)) \
			;                                                                \
		wait_result || (condition);                                              \
	})

/* Calls function(argument). True: it caused an exception, described in *fault. */
bool fault_catch(void (*function)(void *), void *argument, struct fault *fault);

/* A timer for tests: @handler is called from an interrupt at or after @deadline (ticks). */
void timer_request(uint64_t deadline, void (*handler)(void));
/* At least one timer interrupt has arrived. */
bool timer_works(void);

/* Calls function(NULL), which may check and skip like a test, and cleans up after it. */
void outside_of_tests(void (*function)(void *));

/* Random numbers from the command line's seed (seed=N). */
uint64_t random_number(void);

/* The number of a command line option, or @otherwise. */
uint64_t option_number(const char *name, uint64_t otherwise);

#endif

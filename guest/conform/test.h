// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests register themselves: TEST(name, "AVP-…", …) { … } makes an entry in a section of its own,
 * in which the runner finds all in link order.
 *
 * In a test, check() ends it with the verdict fail, skip() without a verdict but with a reason.
 * What it leaves behind (devices, memory, interrupts, processors) the runner takes back.
 */
#ifndef CONFORM_TEST_H
#define CONFORM_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "text.h"

enum transport { TRANSPORT_ANY, TRANSPORT_MMIO, TRANSPORT_PCI };
enum architecture { EVERY_ARCHITECTURE, ONLY_X86, ONLY_ARM };

struct test {
	const char *name;
	const char *requirements; /* with spaces between */
	void (*run)(void);
	uint32_t device; /* virtio id of a device that it needs; 0: none */
	enum transport transport;
	enum architecture architecture;
	const char *profile;   /* NULL: base */
	unsigned int cpus;     /* that it needs */
	unsigned int limit_ms; /* 0: LIMIT_MS */
};

#define LIMIT_MS 5000
/*
 * Before the name of each test, so that it can be found in the image: src/conform/conform_expect.h.
 */
#define TEST_MARK "\1"

#define TEST(test_name, test_requirements, ...)                                             \
	static void test_run_##test_name(void);                                             \
	static const char test_text_##test_name[] = TEST_MARK #test_name;                   \
	static const struct test test_entry_##test_name __attribute__((                     \
		used, section(".tests"), aligned(8))) = {.name = test_text_##test_name + 1, \
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

/* Time. Limits are multiplied by the word slow=N of the command line. */
uint64_t ticks_to_ns(uint64_t ticks);
uint64_t ns_to_ticks(uint64_t ns);
struct deadline {
	uint64_t end, turns;
};
struct deadline deadline_after_ms(unsigned int ms);
/*
 * To be called in each turn of a loop; waits a moment after many. Ends also when the clock stands.
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

/* Calls function(argument); true: it caused an exception, which is told. */
bool fault_catch(void (*function)(void *), void *argument, struct fault *fault);

/* A timer for tests: @handler is called from an interrupt at or after @deadline (ticks). */
void timer_request(uint64_t deadline, void (*handler)(void));
/* The timer's interrupt has come at least once. */
bool timer_works(void);

/* Calls function(NULL), which may check and skip as a test does, and cleans up behind it. */
void outside_of_tests(void (*function)(void *));

/* Numbers from the seed that the command line names (seed=N). */
uint64_t random_number(void);

/* The option of the command line, or @otherwise. */
uint64_t option_number(const char *name, uint64_t otherwise);

#endif

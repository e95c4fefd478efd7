// SPDX-License-Identifier: BSD-3-Clause
/* What code that several kinds of tests share may rely on. */
#ifndef AVP_TESTS_PROMISE_H
#define AVP_TESTS_PROMISE_H

#include <stdio.h>

/* Aborts the program, as sanitizers do, when a condition does not hold. */
#define PROMISE(condition)                                                                \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				#condition);                                              \
			__builtin_trap();                                                 \
		}                                                                         \
	} while (0)

#endif

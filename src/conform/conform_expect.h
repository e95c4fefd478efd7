// SPDX-License-Identifier: BSD-3-Clause
/*
 * Known failures of the conformance guest on a hypervisor: a text file with the name of a test a
 * line, behind it a reason if there is one, and comments from # on.
 */
#ifndef AVP_CONFORM_CONFORM_EXPECT_H
#define AVP_CONFORM_CONFORM_EXPECT_H

#include <stddef.h>

#include "base/error.h"
#include "conform/conform_log.h"

struct conform_known {
	char name[64];
	char reason[192]; /* "": none was given */
	size_t line;
};

struct conform_expect {
	struct conform_known *known; /* allocated */
	size_t count;
	const char *path; /* the caller's */
};

/* One that is zeroed is empty. */
void conform_expect_free(struct conform_expect *expect);

/*
 * Reads the file at @path, which is kept by reference, into *expect, which is zeroed. Returns 0 or
 * a negative errno with *error set.
 */
int conform_expect_read(struct conform_expect *expect, const char *path, struct error *error);

/*
 * Whether the guest's image, a file at @image, has all tests that *expect names: each stands there
 * with a byte 1 before its name and a zero behind it. Returns 0 or a negative errno with *error
 * set.
 */
int conform_expect_check(const struct conform_expect *expect, const char *image,
			 struct error *error);

/*
 * Marks the tests of @log that *expect names, which has to outlive the log. A name that none of its
 * tests has is an error, unless the log is not whole, and so may not have all names. Returns 0 or a
 * negative errno with *error set.
 */
int conform_expect_apply(const struct conform_expect *expect, struct conform_log *log,
			 struct error *error);

#endif

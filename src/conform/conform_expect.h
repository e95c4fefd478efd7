// SPDX-License-Identifier: BSD-3-Clause
/*
 * Known failures of the conformance guest on a hypervisor: a text file with the name of a test and
 * an optional reason on each line; comments start with #.
 */
#ifndef AVP_CONFORM_CONFORM_EXPECT_H
#define AVP_CONFORM_CONFORM_EXPECT_H

#include <stddef.h>

#include "base/error.h"
#include "conform/conform_log.h"

struct conform_known {
	char name[64];
	char reason[192]; /* or "" */
	size_t line;
};

struct conform_expect {
	struct conform_known *known; /* allocated */
	size_t count;
	const char *path; /* owned by the caller */
};

/* A zeroed struct is empty. */
void conform_expect_free(struct conform_expect *expect);

/*
 * Reads the file at @path into *expect, which must be zeroed. @path must outlive *expect. Returns 0
 * or a negative errno with *error set.
 */
int conform_expect_read(struct conform_expect *expect, const char *path, struct error *error);

/*
 * Checks that the guest's image, a file at @image, has all tests that *expect names: the image
 * contains each name between a byte 1 and a zero. Returns 0 or a negative errno with *error set.
 */
int conform_expect_check(const struct conform_expect *expect, const char *image,
			 struct error *error);

/*
 * Marks the tests of @log that *expect names; *expect must outlive the log. A name that is not in
 * the log is an error, unless the log is incomplete. Returns 0 or a negative errno with *error set.
 */
int conform_expect_apply(const struct conform_expect *expect, struct conform_log *log,
			 struct error *error);

#endif

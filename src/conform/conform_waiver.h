// SPDX-License-Identifier: BSD-3-Clause
/*
 * Waivers: failures that somebody has accepted, with a reason and a last day. A text file with one
 * on each line, `NAME until YYYY-MM-DD REASON`; NAME is a test, a requirement or a row of a
 * profile; comments start with #.
 */
#ifndef AVP_CONFORM_CONFORM_WAIVER_H
#define AVP_CONFORM_CONFORM_WAIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/error.h"

struct conform_waiver {
	char name[64];
	char until[12]; /* the last day on which it holds, in UTC */
	char reason[192];
	size_t line;
	bool expired;
};

struct conform_waivers {
	struct conform_waiver *list; /* allocated */
	size_t count;
	const char *path; /* owned by the caller */
};

/* A zeroed struct is empty. */
void conform_waivers_free(struct conform_waivers *waivers);

/*
 * Reads the file at @path into *waivers, which must be zeroed; those that ended before @now are
 * marked as expired. @path must outlive *waivers. A line of another form, and a name that the
 * contract does not have, is an error. Returns 0 or a negative errno with *error set.
 */
int conform_waivers_read(struct conform_waivers *waivers, const char *path, time_t now,
			 struct error *error);

/*
 * Adds a copy of @added, whose line in waivers->path errors name, as it is on the day @today,
 * YYYY-MM-DD. Errors as above.
 */
int conform_waivers_add(struct conform_waivers *waivers, const struct conform_waiver *added,
			const char *today, struct error *error);

/* The waiver of this name that holds, or NULL. */
const struct conform_waiver *conform_waivers_find(const struct conform_waivers *waivers,
						  const char *name);

#endif

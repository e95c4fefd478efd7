// SPDX-License-Identifier: BSD-3-Clause
/*
 * Output files and escaping for the reports.
 */
#ifndef AVP_CONFORM_CONFORM_OUTPUT_H
#define AVP_CONFORM_CONFORM_OUTPUT_H

#include <stdio.h>

#include "base/error.h"

/* A file that is renamed to its path when it is complete. */
struct conform_output {
	FILE *file;
	const char *path;
	char *temporary; /* allocated */
};

/*
 * conform_output_open keeps the pointer @path. Both return 0 or a negative errno with *error set;
 * conform_output_close always closes.
 */
int conform_output_open(struct conform_output *output, const char *path, struct error *error);
int conform_output_close(struct conform_output *output, struct error *error);

/* Writes text escaped for XML and HTML. */
void conform_escape(FILE *file, const char *text);

#endif

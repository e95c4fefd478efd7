// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the reports on a conformance guest are written with.
 */
#ifndef AVP_CONFORM_CONFORM_OUTPUT_H
#define AVP_CONFORM_CONFORM_OUTPUT_H

#include <stdio.h>

#include "base/error.h"

/* A file that appears under its name when it is whole. */
struct conform_output {
	FILE *file;
	const char *path;
	char *temporary; /* allocated */
};

/*
 * @path is kept by reference. 0 or a negative errno with *error set; so is close, which always
 * closes.
 */
int conform_output_open(struct conform_output *output, const char *path, struct error *error);
int conform_output_close(struct conform_output *output, struct error *error);

/* Writes text as XML and HTML have it. */
void conform_escape(FILE *file, const char *text);

#endif

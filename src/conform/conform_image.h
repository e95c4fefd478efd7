// SPDX-License-Identifier: BSD-3-Clause
/*
 * The image of the conformance guest. Its path is relative to the program, in the build directory
 * and when installed.
 */
#ifndef AVP_CONFORM_CONFORM_IMAGE_H
#define AVP_CONFORM_CONFORM_IMAGE_H

#include <limits.h>

#include "base/error.h"
#include "conform/conform_options.h"

/* The console of a machine that starts this image, as Linux names it; NULL: unknown. */
const char *conform_image_console(const struct conform_options *options);

/* Writes the image's path to @path. Returns 0, or a negative errno with *error set. */
int conform_image_find(char path[PATH_MAX], const struct conform_options *options,
		       struct error *error);

/*
 * Copies the image to the file that --image names. Returns 0, or a negative errno with *error set.
 */
int conform_image_write(const struct conform_options *options, struct error *error);

#endif

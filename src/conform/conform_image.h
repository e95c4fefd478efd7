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

/* The format of --image-format, with IMAGE_NATIVE resolved. */
enum image_format conform_image_format(const struct conform_options *options);

/* Writes the image's path to @path. Returns 0, or a negative errno with *error set. */
int conform_image_find(char path[PATH_MAX], const struct conform_options *options,
		       struct error *error);

/*
 * Copies the image to the file that --image names. Returns 0, or a negative errno with *error set.
 */
int conform_image_write(const struct conform_options *options, struct error *error);

#endif

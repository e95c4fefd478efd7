// SPDX-License-Identifier: BSD-3-Clause
/*
 * A bundle to start from, made from the option tables.
 */
#ifndef AVP_RUNTIME_BUNDLE_EXAMPLE_H
#define AVP_RUNTIME_BUNDLE_EXAMPLE_H

#include <jansson.h>

#include "base/error.h"

/*
 * The config.json of a bundle that has every option of a guest with its default, and a device of
 * each type that needs no file. The caller owns *bundle.
 */
int bundle_example(json_t **bundle, struct error *error);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * A bundle to start from, made from the option tables.
 */
#ifndef AVP_GUEST_CONFIG_BUNDLE_EXAMPLE_H
#define AVP_GUEST_CONFIG_BUNDLE_EXAMPLE_H

#include <jansson.h>

#include "base/error.h"
#include "guest/config/host_kernel.h"

/*
 * The config.json of a bundle with every option of a guest at its default, and a device of each
 * type that needs no file. It boots @kernel or, when that is NULL, the example paths of the
 * options. The caller owns *bundle.
 */
int bundle_example(json_t **bundle, const struct host_kernel *kernel, struct error *error);

#endif

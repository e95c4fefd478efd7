// SPDX-License-Identifier: BSD-3-Clause
/*
 * The JSON schema of the `avp` object of a bundle, made from the option tables.
 */
#ifndef AVP_GUEST_CONFIG_SCHEMA_H
#define AVP_GUEST_CONFIG_SCHEMA_H

#include <jansson.h>

/* The schema (draft 2020-12) of `avp` as a new object; NULL when memory is short. */
json_t *bundle_schema(void);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Parts of a JSON schema (JSON Schema, draft 2020-12) from option tables: what option_json.h reads
 * by them. A schema does not express what the tables do not, such as options that exclude each
 * other.
 *
 * Functions that add set *failed when memory is short: the schema would be incomplete.
 */
#ifndef AVP_HOST_OPTION_SCHEMA_H
#define AVP_HOST_OPTION_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

#include "base/option.h"

#define SCHEMA_DRAFT "https://json-schema.org/draft/2020-12/schema"

/* What text_is_name accepts. */
#define SCHEMA_NAME_PATTERN "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

/* Add a value, which is taken over, to an object, or to an array. */
void schema_put(json_t *object, const char *key, json_t *value, bool *failed);
void schema_append(json_t *array, json_t *value, bool *failed);

/* Adds the keys of a table to the properties of an object, and those that it needs to @required. */
void schema_put_rows(json_t *properties, json_t *required, const struct option_row *rows,
		     bool *failed);

/* An object with exactly these keys; takes ownership of @properties and @required. */
json_t *schema_object(const char *description, json_t *properties, json_t *required);

#endif

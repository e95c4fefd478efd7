// SPDX-License-Identifier: BSD-3-Clause
/*
 * Options as JSON: reading members of an options struct from a JSON object as their rows describe
 * them, and writing them.
 */
#ifndef AVP_HOST_OPTION_JSON_H
#define AVP_HOST_OPTION_JSON_H

#include <jansson.h>

#include "base/error.h"
#include "base/option.h"

struct confinement;

/* The location of a JSON value, for errors and relative paths. */
struct json_location {
	const char *source;    /* the file: "DIR/config.json" */
	const char *key;       /* of the value: "avp.devices[1].serial"; "" for the whole */
	const char *directory; /* base of relative paths; NULL: they stay as they are */
	/*
	 * Where paths must lead, and what confines them to it: returns 0 with the path to use,
	 * owned by the caller, or a negative errno with *error set. NULL: anywhere.
	 */
	const struct confinement *confinement;
	int (*confine)(const char *path, enum option_path_use use,
		       const struct json_location *location, char **confined, struct error *error);
};

/* The name of a value's type with its article, for errors: "a string". */
const char *json_type_name(const json_t *value);

/* Fills *error with "SOURCE: KEY: must be @expected, not …"; returns a negative errno. */
int json_refuse_type(const json_t *value, const struct json_location *location,
		     const char *expected, struct error *error);

/* Sets one member from its JSON value. Errors are usage errors. */
int option_set_json(const struct option_row *row, void *options, const json_t *value,
		    const struct json_location *location, struct error *error);

/*
 * Sets the members of @targets (ends with rows NULL) from the keys of an object, and refuses
 * unknown keys. @others lists keys that the caller reads itself, ends with NULL.
 */
int option_set_json_object(const struct option_target *targets, const char *const *others,
			   json_t *object, const struct json_location *location,
			   struct error *error);

/* A member as a new JSON value; NULL when it is not set or memory is short. */
json_t *option_to_json(const struct option_row *row, const void *options);

#endif

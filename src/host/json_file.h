// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads JSON (RFC 8259) strictly: duplicate keys are errors, size and depth are limited, and errors
 * give line and column.
 */
#ifndef AVP_HOST_JSON_FILE_H
#define AVP_HOST_JSON_FILE_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

static inline void cleanup_json_function(json_t **json)
{
	json_decref(*json);
}

/* A json_t * whose reference is dropped when it goes out of scope. */
#define cleanup_json __attribute__((cleanup(cleanup_json_function)))

/* Parses @length bytes; @source names them in errors. The caller owns *json. */
int json_text_load(const char *text, size_t length, const char *source, json_t **json,
		   struct error *error);

/* Parses a regular file of at most @size_maximum bytes. The caller owns *json. */
int json_file_load(const char *path, size_t size_maximum, json_t **json, struct error *error);

/* As json_file_load, of @name in the open @directory, or AT_FDCWD; @path names it in errors. */
int json_file_load_at(int directory, const char *name, const char *path, size_t size_maximum,
		      json_t **json, struct error *error);

/* As json_file_load, of a file that is open; @path names it in errors. @fd stays the caller's. */
int json_descriptor_load(int fd, const char *path, size_t size_maximum, json_t **json,
			 struct error *error);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * A directory for the files of one test, removed with its content.
 */
#ifndef AVP_TESTS_UNIT_SCRATCH_H
#define AVP_TESTS_UNIT_SCRATCH_H

#include <stddef.h>

struct scratch {
	char directory[64];
};

void scratch_make(struct scratch *scratch);
void scratch_remove(struct scratch *scratch);

/* The path of a name in the directory; valid until the fourth call after this one. */
const char *scratch_path(const struct scratch *scratch, const char *name);

/* Writes a file of @length bytes in the directory. Returns its path, like scratch_path. */
const char *scratch_write(const struct scratch *scratch, const char *name, const void *bytes,
			  size_t length);

/* Writes a file of @size zero bytes. */
const char *scratch_write_zeros(const struct scratch *scratch, const char *name, size_t size);

/* Writes a file that begins like a kernel, so that checks accept it. */
const char *scratch_write_kernel(const struct scratch *scratch, const char *name);

#endif

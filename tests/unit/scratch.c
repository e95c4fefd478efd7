// SPDX-License-Identifier: BSD-3-Clause
/*
 * A directory for the files of one test, removed with its content.
 */
#include "unit/scratch.h"

#include <ftw.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void scratch_make(struct scratch *scratch)
{
	const char *parent = getenv("TMPDIR");

	snprintf(scratch->directory, sizeof(scratch->directory), "%s/avp-test-XXXXXX",
		 parent && strlen(parent) < 40 ? parent : "/tmp");
	assert_non_null(mkdtemp(scratch->directory));
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	return remove(path);
}

void scratch_remove(struct scratch *scratch)
{
	nftw(scratch->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_path(const struct scratch *scratch, const char *name)
{
	static char paths[4][256];
	static size_t next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", scratch->directory, name);
	return path;
}

const char *scratch_write(const struct scratch *scratch, const char *name, const void *bytes,
			  size_t length)
{
	const char *path = scratch_path(scratch, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
	return path;
}

const char *scratch_write_zeros(const struct scratch *scratch, const char *name, size_t size)
{
	const char *path = scratch_write(scratch, name, "", 0);

	assert_int_equal(truncate(path, size), 0);
	return path;
}

const char *scratch_write_kernel(const struct scratch *scratch, const char *name)
{
	char bytes[1024] = {0};

#ifdef __aarch64__
	memcpy(bytes + 0x38, "ARM\x64", 4);
#else
	memcpy(bytes + 0x202, "HdrS", 4);
#endif
	return scratch_write(scratch, name, bytes, sizeof(bytes));
}

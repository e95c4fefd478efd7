// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of the files that `avp conform` reads beside logs: the first byte of the input
 * chooses between waivers and a result file, the rest is the file. Whatever is in it, what is
 * accepted can be used, and a result that was not kept here is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conform/conform_keep.h"
#include "conform/conform_waiver.h"

#define NOW 1796026500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void remove_file(void)
{
	unlink(path);
}

static void write_file(const uint8_t *data, size_t size)
{
	FILE *file;

	if (!path[0]) {
		snprintf(path, sizeof(path), "/tmp/fuzz-conform-files.%d.json", (int)getpid());
		atexit(remove_file);
	}
	file = fopen(path, "we");
	require(file && fwrite(data, 1, size, file) == size);
	require(fclose(file) == 0);
}

static void read_waivers(void)
{
	struct conform_waivers waivers = {.list = NULL};
	struct error error;

	if (conform_waivers_read(&waivers, path, NOW, &error) == 0)
		for (size_t i = 0; i < waivers.count; i++) {
			const struct conform_waiver *waiver = &waivers.list[i];

			require(contract_has_name(waiver->name) && waiver->reason[0]);
			require(!conform_waivers_find(&waivers, waiver->name) == waiver->expired);
		}
	conform_waivers_free(&waivers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error error;

	if (size == 0)
		return 0;
	write_file(data + 1, size - 1);
	if (*data == 'w')
		read_waivers();
	else
		require(conform_keep_check(path, &error) < 0);
	return 0;
}

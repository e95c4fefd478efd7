// SPDX-License-Identifier: BSD-3-Clause
/*
 * Output files and escaping for the reports.
 */
#include "conform/conform_output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

int conform_output_open(struct conform_output *output, const char *path, struct error *error)
{
	*output = (struct conform_output){.path = path};
	if (text_replace_format(&output->temporary, error, "%s.new", path) < 0)
		return -ENOMEM;
	output->file = fopen(output->temporary, "we");
	if (output->file)
		return 0;
	error_set_usage(error, "%s: %s; check the path and its permissions", path, strerror(errno));
	free(output->temporary);
	return -error->code;
}

int conform_output_close(struct conform_output *output, struct error *error)
{
	bool failed = ferror(output->file);
	int result = 0;

	failed |= fclose(output->file) != 0;
	if (failed || rename(output->temporary, output->path) < 0) {
		result = error_set_errno(error, errno, "%s", output->path);
		unlink(output->temporary);
	}
	free(output->temporary);
	return result;
}

void conform_escape(FILE *file, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		case '&':
			fputs("&amp;", file);
			break;
		case '"':
			fputs("&quot;", file);
			break;
		default:
			/* Other bytes may not be valid UTF-8. */
			fputc((unsigned char)*text < 0x80 ? *text : '?', file);
		}
	}
}

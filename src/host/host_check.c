// SPDX-License-Identifier: BSD-3-Clause
/* Findings of host checks, and their form between programs. */
#include "host/host_check.h"

#include <stdarg.h>
#include <string.h>

#include "base/text.h"

const char *const host_status_words[] = {
	[HOST_OK] = "ok",
	[HOST_WARN] = "warn",
	[HOST_MISSING] = "missing",
};

void host_finding_set(struct host_finding *finding, enum host_status status, const char *format,
		      ...)
{
	va_list values;

	finding->status = status;
	va_start(values, format);
	vsnprintf(finding->text, sizeof(finding->text), format, values);
	va_end(values);
	text_make_printable(finding->text);
}

void host_finding_advise(struct host_finding *finding, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(finding->remedy, sizeof(finding->remedy), format, values);
	va_end(values);
	text_make_printable(finding->remedy);
}

void host_finding_print(FILE *stream, const char *name, const struct host_finding *finding)
{
	fprintf(stream, "%s\t%s\t%s\t%s\n", host_status_words[finding->status], name, finding->text,
		finding->remedy);
}

bool host_finding_parse(char *line, char name[HOST_CHECK_NAME], struct host_finding *finding)
{
	const size_t words = sizeof(host_status_words) / sizeof(host_status_words[0]);
	const char *fields[4];
	size_t status = 0;

	for (size_t i = 0; i < 4; i++) {
		fields[i] = strsep(&line, "\t");
		if (!fields[i])
			return false;
	}
	while (status < words && strcmp(fields[0], host_status_words[status]))
		status++;
	if (status == words || line)
		return false;
	snprintf(name, HOST_CHECK_NAME, "%s", fields[1]);
	text_make_printable(name);
	host_finding_set(finding, (enum host_status)status, "%s", fields[2]);
	host_finding_advise(finding, "%s", fields[3]);
	return true;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Checks of the host. They try a feature itself if that leaves no trace. `avp doctor` reports the
 * findings of all checks, including those of the device programs.
 */
#ifndef AVP_HOST_HOST_CHECK_H
#define AVP_HOST_HOST_CHECK_H

#include <stdbool.h>
#include <stdio.h>

enum host_status {
	HOST_OK,
	HOST_WARN,    /* guests run without it, but slower, less isolated or with fewer features */
	HOST_MISSING, /* what needs it fails */
};

/* The words for users. */
extern const char *const host_status_words[];

struct host_finding {
	enum host_status status;
	char text[320];	  /* what was found, one line */
	char remedy[240]; /* what to do about it, or "" */
};

/* A row of a table of checks, which ends with a row without a name. */
struct host_check {
	const char *name;
	void (*run)(struct host_finding *finding);
};

void host_finding_set(struct host_finding *finding, enum host_status status, const char *format,
		      ...) __attribute__((format(printf, 3, 4)));
void host_finding_advise(struct host_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* host_finding_parse truncates longer names. */
#define HOST_CHECK_NAME 32

/*
 * Write and parse a finding as one line: status, name, text and remedy separated by tabs. Both
 * programs have the same version. host_finding_parse returns false for other lines, and modifies
 * @line.
 */
void host_finding_print(FILE *stream, const char *name, const struct host_finding *finding);
bool host_finding_parse(char *line, char name[HOST_CHECK_NAME], struct host_finding *finding);

/* Behind the last finding: whoever reads them knows that there are no more. */
#define HOST_FINDINGS_END "end"

#endif

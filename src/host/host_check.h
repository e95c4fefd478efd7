// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a host offers, found out by trying where that leaves no trace. `avp doctor` tells what all
 * checks find, those of the device programs among them.
 */
#ifndef AVP_HOST_HOST_CHECK_H
#define AVP_HOST_HOST_CHECK_H

#include <stdbool.h>
#include <stdio.h>

enum host_status {
	HOST_OK,
	HOST_WARN,    /* guests run without it, but slower, less well locked in or with less */
	HOST_MISSING, /* what needs it does not work */
};

/* As users read them. */
extern const char *const host_status_words[];

struct host_finding {
	enum host_status status;
	char text[320];	  /* what was found, one line */
	char remedy[240]; /* what to do about it; empty when it is fine */
};

/* A table of them ends with a row without a name. */
struct host_check {
	const char *name;
	void (*run)(struct host_finding *finding);
};

void host_finding_set(struct host_finding *finding, enum host_status status, const char *format,
		      ...) __attribute__((format(printf, 3, 4)));
void host_finding_advise(struct host_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Longer names are cut when they are passed on. */
#define HOST_CHECK_NAME 32

/*
 * A finding as one line between programs of one version: status, name, text and remedy with tabs
 * between them. The second one returns false for anything else, and may change @line.
 */
void host_finding_print(FILE *stream, const char *name, const struct host_finding *finding);
bool host_finding_parse(char *line, char name[HOST_CHECK_NAME], struct host_finding *finding);

#endif

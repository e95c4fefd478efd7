// SPDX-License-Identifier: BSD-3-Clause
/*
 * The checks of `avp doctor`.
 */
#ifndef AVP_CLI_DOCTOR_H
#define AVP_CLI_DOCTOR_H

/* How far something works. */
enum doctor_status {
	DOCTOR_OK,
	DOCTOR_WARN,	/* guests run without it, but slower, less well locked in or with less */
	DOCTOR_MISSING, /* what needs it does not work */
};

struct doctor_finding {
	enum doctor_status status;
	char text[320];	  /* what was found, one line */
	char remedy[240]; /* what to do about it; empty when it is fine */
};

struct doctor_check {
	const char *name;
	void (*run)(struct doctor_finding *finding);
};

/* What the kernel and the installation offer besides engines. Ends with a row without a name. */
extern const struct doctor_check doctor_host_checks[];

void doctor_report(struct doctor_finding *finding, enum doctor_status status, const char *format,
		   ...) __attribute__((format(printf, 3, 4)));
void doctor_advise(struct doctor_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * What tests of the OCI runtime share: avp called as a container tool calls it, each time as a
 * process, with a fake QEMU. The supervisors of guests become children of the test. A call that
 * does not do what is expected fails the test. Where a line is given, @ is the scratch directory.
 */
#ifndef AVP_TESTS_UNIT_OCI_CALLER_H
#define AVP_TESTS_UNIT_OCI_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

#include "unit/scratch.h"

#define OCI_TEXT_SIZE 65536

extern struct scratch oci_scratch;
extern char oci_text[OCI_TEXT_SIZE]; /* what the last call has printed */

/* What the next calls meet. */
extern struct oci_meets {
	bool closed;	   /* standard descriptors are closed */
	bool odd_signals;  /* SIGPIPE is ignored and SIGUSR1 blocked */
	const char *input; /* a file; NULL: none */
	int leaked;	   /* a descriptor; 0: none */
} oci_meets;

/*
 * For main(): does what fake_qemu_main does. The sandbox of a supervisor forbids ptrace(2), which
 * LeakSanitizer needs at a normal exit.
 */
_Noreturn void oci_become_qemu(char **argv);

/* For cmocka: a scratch directory with a bundle, and later nothing of any guest. */
int oci_set_up(void **state);
int oci_tear_down(void **state);

/* Writes the bundle, with members besides those that it needs; "" for none. */
void oci_write_bundle(const char *more);
/* Writes a hook @name, a shell script that is not given PATH; and a bundle with it at one point. */
void oci_write_hook(const char *name, const char *script);
void oci_write_bundle_with(const char *point, const char *name, const char *more);

/* Starts `avp` with the words of a line; waits for its end, and returns the exit status. */
pid_t oci_begin(const char *line);
int oci_finish(pid_t pid);
/* Both. */
int oci_call(const char *line);
/* A call that ends with @status, and, with @part, prints that. */
void oci_check(const char *line, int status);
void oci_check_refused(const char *line, int status, const char *part);

/* The member of the JSON that the last call has printed; a number as text. */
const char *oci_get(const char *name);

/* Whether the status of container c is @status; "": it does not exist. */
void oci_check_status(const char *status);
/* Brings container c into a status from nothing; it prints to the file console. */
void oci_bring(const char *status);
/* The process of container c, which is created or runs. */
pid_t oci_find_process(void);
/* Waits until the guest has said "hello" in a file: then its processors run. */
void oci_wait_for_guest(const char *file);
/* Waits for the end of a child; returns its exit status, or minus its signal. */
int oci_wait_for_end(pid_t pid);

#endif

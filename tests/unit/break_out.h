// SPDX-License-Identifier: BSD-3-Clause
/*
 * What code would try that runs in a process that was taken over: ways to a file, a peer, another
 * process or more rights.
 */
#ifndef AVP_TESTS_UNIT_BREAK_OUT_H
#define AVP_TESTS_UNIT_BREAK_OUT_H

#include <stdbool.h>
#include <stddef.h>

struct attempt {
	const char *name;
	/* Returns 0 when it got through, else why not: an errno. */
	int (*try)(void);
	/*
	 * Without a sandbox it must get through, or the attempt is broken. Else why it may not on
	 * some hosts, by EPERM and the like. NULL: any process may do it on any.
	 */
	const char *unavailable;
	/* The process may be ended for it. */
	bool lethal;
};

extern const struct attempt attempts[];
extern const size_t attempt_count;

/* Makes what is to be reached: a file, sockets, a process. Before the processes that try. */
void break_out_open(void);
void break_out_close(void);

/* Before each process that tries: what the one before it may have removed is there again. */
void break_out_renew(void);

/* Opens, in this process, what send_by_inherited and connect_inherited look for. */
void break_out_hold_sockets(void);

/*
 * Makes the attempts from @first on in this process and writes the result of each to @report, an
 * int; then ends the process. Not _Noreturn: sanitizers make a call before such a one.
 */
void break_out(int report, size_t first);

#endif

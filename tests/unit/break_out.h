// SPDX-License-Identifier: BSD-3-Clause
/*
 * What code in a compromised process would try: ways to a file, a peer, another process or more
 * rights.
 */
#ifndef AVP_TESTS_UNIT_BREAK_OUT_H
#define AVP_TESTS_UNIT_BREAK_OUT_H

#include <stdbool.h>
#include <stddef.h>

struct attempt {
	const char *name;
	/* Returns 0 when it got through, otherwise an errno. */
	int (*try)(void);
	/*
	 * Without a sandbox the attempt must get through, or it is wrong. Otherwise why it may fail
	 * on some hosts with EPERM and the like. NULL: any process may do it on any host.
	 */
	const char *unavailable;
	/* The attempt may end the process. */
	bool lethal;
};

extern const struct attempt attempts[];
extern const size_t attempt_count;

/* Creates the targets: a file, sockets, a process. Call it before the processes that try. */
void break_out_open(void);
void break_out_close(void);

/* Call it before each process that tries: restores what the one before may have removed. */
void break_out_renew(void);

/* Opens, in this process, what send_by_inherited and connect_inherited look for. */
void break_out_hold_sockets(void);

/*
 * Makes the attempts from @first on in this process and writes the result of each to @report, an
 * int; then exits. Not _Noreturn: sanitizers insert a call before such a function.
 */
void break_out(int report, size_t first);

#endif

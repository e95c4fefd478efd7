// SPDX-License-Identifier: BSD-3-Clause
/*
 * Actions of the host that the guest asks for by lines of its log, "avp-conform: host VERB
 * ARGUMENT": a program of the user, an adapter for a hypervisor, executes them
 * (docs/conform-guest.md).
 */
#ifndef AVP_CONFORM_CONFORM_HOST_H
#define AVP_CONFORM_CONFORM_HOST_H

#include <stdbool.h>
#include <stddef.h>

#define CONFORM_HOST_WORD_LENGTH 32

/* What the run itself does: a verb, and the call of avp for it, which ends with NULL. */
struct conform_own_action {
	const char *verb;
	const char *call[8];
};

#define CONFORM_OWN_ACTIONS 4

struct conform_host {
	const char *program; /* of --adapter, or NULL: it acts on no line */
	struct conform_own_action own[CONFORM_OWN_ACTIONS];
	size_t own_count;
	unsigned int actions;
};

/* A request: a known verb, and an argument that belongs to it. */
struct conform_action {
	char verb[CONFORM_HOST_WORD_LENGTH];
	char argument[CONFORM_HOST_WORD_LENGTH]; /* or "" */
};

/* Parses a line. False: it is none, or not a valid one: the guest is not trusted. */
bool conform_action_parse(struct conform_action *action, const char *line);

/*
 * If @line asks for an action, does it: calls avp or the program with verb and argument, and waits
 * for its end, at most ten seconds. A program that fails is logged: the guest sees that nothing
 * happens. Blocks.
 */
void conform_host_act(struct conform_host *host, const char *line);

#endif

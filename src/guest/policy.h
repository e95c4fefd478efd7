// SPDX-License-Identifier: BSD-3-Clause
/*
 * The policy: whether a guest, a device of it, or a client of its control socket may get at
 * something. It is asked before a descriptor exists and before a verb is done, each time, also when
 * something is opened again. Without rules everything that is asked for is allowed, because only
 * what a guest's own configuration names is asked for.
 */
#ifndef AVP_GUEST_POLICY_H
#define AVP_GUEST_POLICY_H

#include <stdbool.h>

#include "base/error.h"

struct policy;

/* Who wants something. */
struct policy_subject {
	const struct policy *policy; /* that it is under; NULL: the default */
	const char *guest;	     /* name of the guest */
	const char *actor;	     /* "device block0", "engine kvm", "client of user 1000" */
};

enum policy_verb {
	POLICY_READ,	/* a file */
	POLICY_WRITE,	/* a file, which may also be read */
	POLICY_APPEND,	/* to a file */
	POLICY_LISTEN,	/* at the path of a socket, or at a port */
	POLICY_CONNECT, /* to a device, a service or the terminal */
	POLICY_JOIN,	/* a network of the host, or a service */
	POLICY_COMMAND, /* a verb of a control socket */
};

/* The words for them: "read" and so on. */
extern const char *const policy_verbs[];

/* What is wanted. */
struct policy_object {
	/*
	 * "file", "kernel", "firmware", "initrd", "dump-dtb", "socket", "port", "tap", "network",
	 * "device", "service", "terminal", or "guest", whose verb on a control socket is the name.
	 */
	const char *kind;
	const char *name;
};

/* Rules; they come with their owner, who must keep them while a guest is under them. */
struct policy {
	/* Any thread; must not block. */
	bool (*allows)(const struct policy *policy, const struct policy_subject *subject,
		       enum policy_verb verb, const struct policy_object *object);
};

/* Whether @subject may do @verb with @object. Any thread. */
bool policy_allows(const struct policy_subject *subject, enum policy_verb verb,
		   const struct policy_object *object);

/*
 * As policy_allows. Returns 0, or a negative errno with a usage error that starts with @where,
 * an option such as "--kernel: "; NULL: nothing.
 */
int policy_check(const struct policy_subject *subject, enum policy_verb verb,
		 const struct policy_object *object, const char *where, struct error *error);

#endif

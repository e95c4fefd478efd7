// SPDX-License-Identifier: BSD-3-Clause
/* The one call of the policy. */
#include "guest/policy.h"

const char *const policy_verbs[] = {
	[POLICY_READ] = "read",	      [POLICY_WRITE] = "write",	    [POLICY_APPEND] = "append",
	[POLICY_LISTEN] = "listen",   [POLICY_CONNECT] = "connect", [POLICY_JOIN] = "join",
	[POLICY_COMMAND] = "command",
};

bool policy_allows(const struct policy_subject *subject, enum policy_verb verb,
		   const struct policy_object *object)
{
	return !subject->policy || subject->policy->allows(subject->policy, subject, verb, object);
}

int policy_check(const struct policy_subject *subject, enum policy_verb verb,
		 const struct policy_object *object, const char *where, struct error *error)
{
	if (policy_allows(subject, verb, object))
		return 0;
	return error_set_usage(error, "%sthe policy does not allow %s of guest %s: %s, %s %s",
			       where ? where : "", subject->actor, subject->guest,
			       policy_verbs[verb], object->kind, object->name);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Compares versions of the contract.
 */
#include "guest/config/contract.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 9999

struct version {
	unsigned long major, minor, patch;
};

/* Reads a number without sign or leading zero that is followed by @end. */
static bool read_number(const char **text, char end, unsigned long *number)
{
	char *after;

	if (**text < '0' || **text > '9' ||
	    (**text == '0' && (*text)[1] >= '0' && (*text)[1] <= '9'))
		return false;
	*number = strtoul(*text, &after, 10);
	if (*number > NUMBER_MAX || *after != end)
		return false;
	*text = after + (end ? 1 : 0);
	return true;
}

/* Reads MAJOR.MINOR.PATCH of @length bytes. */
static bool read_version(const char *text, size_t length, struct version *version)
{
	char copy[20];
	const char *at = copy;

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = 0;
	return read_number(&at, '.', &version->major) && read_number(&at, '.', &version->minor) &&
	       read_number(&at, 0, &version->patch);
}

/* Whether the list @profiles contains @name, of @length bytes. */
static bool has_profile(const char *profiles, const char *name, size_t length)
{
	for (const char *at = profiles;; at++) {
		size_t own = strcspn(at, ",");

		if (own == length && memcmp(at, name, length) == 0)
			return true;
		at += own;
		if (!*at)
			return false;
	}
}

static int compare_profiles(const char *needed, const char *profiles, struct error *error)
{
	while (*needed == ',') {
		size_t length = strcspn(++needed, ",");

		if (length == 0 || !has_profile(profiles, needed, length))
			return error_set_usage(
				error,
				"profile '%.*s' of the contract is not supported, only %s; "
				"remove it from the list, or give 'any'",
				(int)length, needed, profiles);
		needed += length;
	}
	return 0;
}

int contract_compare(const char *needed, const char *version, const char *profiles,
		     struct error *error)
{
	size_t length = strcspn(needed, ",");
	struct version guest, own;
	int result;

	if (strcmp(needed, CONTRACT_ANY) == 0)
		return 0;
	if (!read_version(needed, length, &guest) || !read_version(version, strlen(version), &own))
		return error_set_usage(error,
				       "'%s' is not a version of the contract; give it as %s, with "
				       "profiles as %s,base, or 'any'",
				       needed, version, version);
	if (guest.major != own.major || (own.major == 0 && guest.minor != own.minor))
		return error_set_usage(
			error,
			"the guest needs version %.*s of the contract, this hypervisor implements "
			"%s, which is not compatible; take a guest for %s, "
			"or give 'any'",
			(int)length, needed, version, version);
	result = compare_profiles(needed + length, profiles, error);
	return result < 0 ? result : guest.minor > own.minor;
}

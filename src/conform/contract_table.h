// SPDX-License-Identifier: BSD-3-Clause
/*
 * Look-ups in the tables of the contract.
 */
#ifndef AVP_CONFORM_CONTRACT_TABLE_H
#define AVP_CONFORM_CONTRACT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "conform/contract_requirement.h"

/* The requirement with that id of @length bytes, or NULL. */
const struct contract_requirement *contract_find_requirement(const char *id, size_t length);

/* The number of the profile of that name, of @length bytes, or -1. */
int contract_find_profile(const char *name, size_t length);

/*
 * Calls with each test of @requirement that exists on @architecture: *next is its list of tests at
 * first. Returns the name, *length bytes; NULL at the end.
 */
const char *contract_next_test(const char **next, const char *architecture, size_t *length);

/* Whether @requirement is checked by that test, on any architecture. */
bool contract_is_checked_by(const struct contract_requirement *requirement, const char *test);

/* Whether it is the name of a test, or the id of a requirement or of a row of a profile. */
bool contract_has_name(const char *name);

/* "MUST", "SHOULD", "MAY". */
const char *contract_level_name(enum contract_level level);

/* What a row asks for, as a sentence in @text of @size bytes. Returns @text. */
const char *contract_describe_row(const struct contract_row *row, char *text, size_t size);

#endif

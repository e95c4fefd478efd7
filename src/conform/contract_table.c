// SPDX-License-Identifier: BSD-3-Clause
/* Look-ups in the tables of the contract. */
#include "conform/contract_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_name(const char *name, const char *word, size_t length)
{
	return strlen(name) == length && !memcmp(name, word, length);
}

const struct contract_requirement *contract_find_requirement(const char *id, size_t length)
{
	for (const struct contract_requirement *r = contract_requirements; r->id; r++)
		if (is_name(r->id, id, length))
			return r;
	return NULL;
}

int contract_find_profile(const char *name, size_t length)
{
	for (int i = 0; contract_profiles[i].name; i++)
		if (is_name(contract_profiles[i].name, name, length))
			return i;
	return -1;
}

/* The next NAME or NAME:ARCHITECTURE. *only is the architecture, *only_length bytes. */
static const char *next_entry(const char **next, size_t *length, const char **only,
			      size_t *only_length)
{
	const char *word = *next + strspn(*next, " ");
	size_t whole = strcspn(word, " ");

	*length = strcspn(word, ": ");
	*only = word + *length + (*length < whole);
	*only_length = (size_t)(word + whole - *only);
	*next = word + whole;
	return whole ? word : NULL;
}

const char *contract_next_test(const char **next, const char *architecture, size_t *length)
{
	const char *name, *only;
	size_t only_length;

	while ((name = next_entry(next, length, &only, &only_length)))
		if (!only_length || is_name(architecture, only, only_length))
			return name;
	return NULL;
}

bool contract_is_checked_by(const struct contract_requirement *requirement, const char *test)
{
	const char *next = requirement->tests, *name, *only;
	size_t length, only_length;

	while ((name = next_entry(&next, &length, &only, &only_length)))
		if (is_name(test, name, length))
			return true;
	return false;
}

bool contract_has_name(const char *name)
{
	for (const struct contract_requirement *r = contract_requirements; r->id; r++)
		if (!strcmp(r->id, name) || contract_is_checked_by(r, name))
			return true;
	for (const struct contract_row *row = contract_rows; row->id; row++)
		if (!strcmp(row->id, name))
			return true;
	return false;
}

const char *contract_level_name(enum contract_level level)
{
	static const char *const names[] = {
		[CONTRACT_MUST] = "MUST",
		[CONTRACT_SHOULD] = "SHOULD",
		[CONTRACT_MAY] = "MAY",
	};

	return names[level];
}

const char *contract_describe_row(const struct contract_row *row, char *text, size_t size)
{
	const char *chapter = contract_chapters[row->chapter].name;
	const char *level = contract_level_name(row->level);

	switch (row->asks) {
	case CONTRACT_PRESENT:
		snprintf(text, size, "a machine %s have a %s device", level, chapter);
		break;
	case CONTRACT_ABSENT:
		snprintf(text, size, "a machine %s NOT have a %s device", level, chapter);
		break;
	case CONTRACT_OFFERS:
		snprintf(text, size, "each %s device %s offer %s", chapter, level, row->name);
		break;
	case CONTRACT_FORBIDS:
		snprintf(text, size, "each %s device %s NOT offer %s", chapter, level, row->name);
		break;
	case CONTRACT_QUEUES:
		snprintf(text, size,
			 "each %s device %s have %" PRIu64 " queues of %" PRIu64 " entries or more",
			 chapter, level, row->minimum, row->queue_size ? row->queue_size : 1);
		break;
	case CONTRACT_LIMIT:
		snprintf(text, size, "%s of each %s device %s be %" PRIu64 " or more", row->name,
			 chapter, level, row->minimum);
		break;
	}
	return text;
}

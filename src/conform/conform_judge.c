// SPDX-License-Identifier: BSD-3-Clause
/* Judges requirements, rows of profiles, and profiles. */
#include "conform/conform_judge.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENVIRONMENT "environment: "
#define SHOULD	    "SHOULD"
#define ALL	    "all"

const char *conform_judgement_name(enum conform_judgement judgement)
{
	static const char *const names[CONFORM_JUDGEMENTS] = {
		[CONFORM_KEPT] = "kept",
		[CONFORM_BROKEN] = "broken",
		[CONFORM_WAIVED] = "waived",
		[CONFORM_UNPROVEN] = "not proven",
		[CONFORM_ENVIRONMENT] = "cannot be judged here",
		[CONFORM_NOT_APPLICABLE] = "not applicable",
	};

	return names[judgement];
}

void conform_judge_free(struct conform_judge *judge)
{
	free(judge->requirements);
	free(judge->rows);
	*judge = (struct conform_judge){.log = NULL};
}

/* Tests */

bool conform_is_environment(const struct conform_test *test)
{
	return test->verdict == CONFORM_SKIPPED &&
	       !strncmp(test->message, ENVIRONMENT, strlen(ENVIRONMENT));
}

bool conform_is_should(const struct conform_test *test)
{
	bool should = false;

	if (test->verdict != CONFORM_FAIL)
		return false;
	if (!strncmp(test->message, SHOULD, strlen(SHOULD)))
		return true;
	for (const struct contract_requirement *r = contract_requirements; r->id; r++) {
		if (!contract_is_checked_by(r, test->name))
			continue;
		if (r->level == CONTRACT_MUST)
			return false;
		should = true;
	}
	return should;
}

enum contract_basis conform_judge_basis(const struct conform_test *test)
{
	bool should = conform_is_should(test);

	for (const struct contract_requirement *r = contract_requirements; r->id; r++)
		if (contract_is_checked_by(r, test->name) &&
		    (r->level != CONTRACT_MUST) == should && r->basis == CONTRACT_STANDARD)
			return CONTRACT_STANDARD;
	return CONTRACT_OWN;
}

static const struct conform_test *find_test(const struct conform_log *log, const char *name,
					    size_t length)
{
	for (size_t i = 0; i < log->count; i++)
		if (strlen(log->tests[i].name) == length &&
		    !memcmp(log->tests[i].name, name, length))
			return &log->tests[i];
	return NULL;
}

/* What one test says of a requirement. A skip without a special reason is not applicable. */
static enum conform_judgement judge_test(const struct conform_test *test,
					 const struct contract_requirement *requirement)
{
	if (!test)
		return CONFORM_UNPROVEN;
	switch (test->verdict) {
	case CONFORM_PASS:
		return CONFORM_KEPT;
	case CONFORM_SKIPPED:
		if (test->left_out)
			return CONFORM_UNPROVEN;
		return conform_is_environment(test) ? CONFORM_ENVIRONMENT : CONFORM_NOT_APPLICABLE;
	case CONFORM_FAIL:
		if (requirement->level == CONTRACT_MUST && conform_is_should(test))
			return CONFORM_KEPT;
		return CONFORM_BROKEN;
	case CONFORM_WEDGED:
		return CONFORM_BROKEN;
	default:
		return CONFORM_UNPROVEN;
	}
}

/* Whether a requirement binds */

/* Returns the next name of *list, *length bytes, and advances *list; NULL at the end. */
static const char *next_name(const char **list, size_t *length)
{
	const char *name = *list;

	*length = strcspn(name, ",");
	*list = name + *length + (name[*length] == ',');
	return *name ? name : NULL;
}

static bool has_device(const struct conform_judge *judge, int virtio)
{
	for (size_t i = 0; i < judge->device_count; i++)
		if ((int)judge->devices[i].id == virtio)
			return true;
	return false;
}

static bool has_transport(const struct conform_judge *judge, const char *transport)
{
	for (size_t i = 0; i < judge->device_count; i++)
		if (!strcmp(judge->devices[i].transport, transport))
			return true;
	return false;
}

static bool has_entry(const struct conform_judge *judge, const char *entry)
{
	const char *list = judge->entries, *name;
	size_t length;

	while ((name = next_name(&list, &length)))
		if (strlen(entry) == length && !memcmp(name, entry, length))
			return true;
	return false;
}

static bool holds(const struct conform_judge *judge, const struct contract_condition *condition)
{
	if (condition->what == CONTRACT_TRANSPORT)
		return has_transport(judge, condition->name);
	if (condition->what == CONTRACT_ENTRY)
		return has_entry(judge, condition->name);
	for (size_t i = 0; i < judge->device_count; i++) {
		const struct conform_device *device = &judge->devices[i];

		if (condition->virtio && (int)device->id != condition->virtio)
			continue;
		/* What a device offers may be unknown. */
		if (!device->complete || conform_device_offers(device, condition->bit))
			return true;
	}
	return false;
}

static bool binds(const struct conform_judge *judge, const struct contract_requirement *requirement)
{
	const struct contract_chapter *chapter = &contract_chapters[requirement->chapter];
	const struct contract_condition *when = requirement->when;

	if (chapter->virtio > 0 && !has_device(judge, chapter->virtio))
		return false;
	if (chapter->transport && !has_transport(judge, chapter->transport))
		return false;
	if (requirement->where)
		return false;
	if (!when->what)
		return true;
	for (size_t i = 0; i < CONTRACT_CONDITIONS_MAX && when[i].what; i++)
		if (holds(judge, &when[i]))
			return true;
	return false;
}

/* Requirements */

/*
 * The worst that its tests say. One that passed is enough where others were skipped, because
 * several tests of a requirement divide its cases, such as split and packed rings, among them.
 */
static void judge_requirement(const struct conform_judge *judge,
			      const struct contract_requirement *requirement,
			      const struct conform_waivers *waivers,
			      struct conform_finding *finding)
{
	static const enum conform_judgement worst[] = {
		CONFORM_BROKEN, CONFORM_UNPROVEN,	CONFORM_ENVIRONMENT,
		CONFORM_KEPT,	CONFORM_NOT_APPLICABLE,
	};
	const struct conform_test *by[CONFORM_JUDGEMENTS] = {NULL};
	bool seen[CONFORM_JUDGEMENTS] = {false};
	const char *next = requirement->tests, *name;
	size_t length;

	finding->judgement = CONFORM_NOT_APPLICABLE;
	while ((name = contract_next_test(&next, judge->architecture, &length))) {
		const struct conform_test *test = find_test(judge->log, name, length);
		enum conform_judgement judgement = judge_test(test, requirement);

		if (!seen[judgement])
			by[judgement] = test;
		seen[judgement] = true;
	}
	for (size_t i = 0; i < sizeof(worst) / sizeof(worst[0]); i++)
		if (seen[worst[i]]) {
			finding->judgement = worst[i];
			finding->test = by[worst[i]];
			break;
		}
	/* All were skipped, or there is no test yet. */
	if (finding->judgement == CONFORM_NOT_APPLICABLE &&
	    (finding->test || !*requirement->tests) && binds(judge, requirement))
		finding->judgement = CONFORM_UNPROVEN;
	if (finding->judgement != CONFORM_BROKEN)
		return;
	finding->waiver = conform_waivers_find(waivers, requirement->id);
	if (!finding->waiver)
		finding->waiver = conform_waivers_find(waivers, finding->test->name);
	if (finding->waiver)
		finding->judgement = CONFORM_WAIVED;
}

/* Rows of profiles */

static bool has_run(const struct conform_judge *judge, unsigned int chapter)
{
	for (size_t i = 0; contract_requirements[i].id; i++)
		if (contract_requirements[i].chapter == chapter &&
		    (judge->requirements[i].judgement == CONFORM_KEPT ||
		     judge->requirements[i].judgement == CONFORM_BROKEN ||
		     judge->requirements[i].judgement == CONFORM_WAIVED))
			return true;
	return false;
}

/* Says in @text of @size bytes which device of which machine it is. */
static void name_device(const struct conform_device *device, char *text, size_t size)
{
	snprintf(text, size, "%s%sdevice %u", device->on ? device->on : "", device->on ? ", " : "",
		 device->number);
}

/* Says what is wrong with @device in @text of @size bytes. False: nothing. */
static bool is_wrong(const struct contract_row *row, const struct conform_device *device,
		     char *text, size_t size)
{
	char name[80];
	uint64_t value;

	name_device(device, name, sizeof(name));
	switch (row->asks) {
	case CONTRACT_OFFERS:
		snprintf(text, size, "%s does not offer %s", name, row->name);
		return !conform_device_offers(device, row->bit);
	case CONTRACT_FORBIDS:
		snprintf(text, size, "%s offers %s, which this profile forbids", name, row->name);
		return conform_device_offers(device, row->bit);
	case CONTRACT_QUEUES:
		snprintf(text, size, "%s has %u queues", name, device->queues);
		if (device->queues < row->minimum)
			return true;
		for (unsigned int i = 0; i < row->minimum && i < device->size_count; i++) {
			snprintf(text, size, "%s: queue %u has %" PRIu32 " entries", name, i,
				 device->sizes[i]);
			if (device->sizes[i] < row->queue_size)
				return true;
		}
		return false;
	case CONTRACT_LIMIT:
		if (!conform_device_limit(device, row->name, &value))
			return false;
		snprintf(text, size, "%s: %s is %" PRIu64, name, row->name, value);
		return value < row->minimum;
	default:
		return false;
	}
}

/* A row on the presence of devices. */
static enum conform_judgement judge_presence(const struct conform_judge *judge,
					     const struct contract_row *row,
					     struct conform_finding *finding)
{
	const struct contract_chapter *chapter = &contract_chapters[row->chapter];
	bool wanted = row->asks == CONTRACT_PRESENT;

	/* The log does not list devices that VIRTIO does not have. */
	if (!chapter->virtio && !has_run(judge, row->chapter)) {
		snprintf(finding->what, sizeof(finding->what),
			 "no test found a %s device, which the log would not list", chapter->name);
		return wanted ? CONFORM_UNPROVEN : CONFORM_NOT_APPLICABLE;
	}
	if (!chapter->virtio || has_device(judge, chapter->virtio) == wanted)
		return CONFORM_KEPT;
	snprintf(finding->what, sizeof(finding->what),
		 wanted ? "there is no %s device" :
			  "there is a %s device, which this profile forbids",
		 chapter->name);
	return CONFORM_BROKEN;
}

/* A row on each device of a type. */
static enum conform_judgement judge_devices(const struct conform_judge *judge,
					    const struct contract_row *row,
					    struct conform_finding *finding)
{
	enum conform_judgement judgement = CONFORM_NOT_APPLICABLE;
	char name[80];

	for (size_t i = 0; i < judge->device_count; i++) {
		const struct conform_device *device = &judge->devices[i];

		if ((int)device->id != contract_chapters[row->chapter].virtio ||
		    (device->features[0] & row->except))
			continue;
		if (!device->complete) {
			name_device(device, name, sizeof(name));
			snprintf(finding->what, sizeof(finding->what),
				 "what %s offers is not in the log", name);
			return CONFORM_UNPROVEN;
		}
		if (is_wrong(row, device, finding->what, sizeof(finding->what)))
			return CONFORM_BROKEN;
		finding->what[0] = 0;
		judgement = CONFORM_KEPT;
	}
	return judgement;
}

static void judge_row(const struct conform_judge *judge, const struct contract_row *row,
		      const struct conform_waivers *waivers, struct conform_finding *finding)
{
	bool presence = row->asks == CONTRACT_PRESENT || row->asks == CONTRACT_ABSENT;

	if (row->level == CONTRACT_MAY)
		finding->judgement = CONFORM_NOT_APPLICABLE;
	else if (presence)
		finding->judgement = judge_presence(judge, row, finding);
	else
		finding->judgement = judge_devices(judge, row, finding);
	if (finding->judgement == CONFORM_BROKEN)
		finding->waiver = conform_waivers_find(waivers, row->id);
	if (finding->waiver)
		finding->judgement = CONFORM_WAIVED;
}

/* Profiles */

/* Whether the profile demands devices of that chapter. */
static bool demands(unsigned int profile, unsigned int chapter)
{
	for (const struct contract_row *row = contract_rows; row->id; row++)
		if (row->profile == profile && row->chapter == chapter &&
		    row->level == CONTRACT_MUST && row->asks == CONTRACT_PRESENT)
			return true;
	return false;
}

enum conform_judgement conform_judge_in(const struct conform_judge *judge, size_t requirement,
					unsigned int profile)
{
	enum conform_judgement judgement = judge->requirements[requirement].judgement;
	unsigned int chapter = contract_requirements[requirement].chapter;

	/* Whether there is a device that VIRTIO does not have, only its tests can tell. */
	if (judgement == CONFORM_UNPROVEN && contract_chapters[chapter].virtio == 0 &&
	    !demands(profile, chapter) && !has_run(judge, chapter))
		return CONFORM_NOT_APPLICABLE;
	return judgement;
}

static void count(struct conform_profile *profile, enum contract_level level,
		  enum conform_judgement judgement)
{
	if (level == CONTRACT_MUST)
		profile->musts[judgement]++;
	else if (level == CONTRACT_SHOULD)
		profile->shoulds[judgement]++;
}

static void judge_profile(struct conform_judge *judge, unsigned int number)
{
	struct conform_profile *profile = &judge->profiles[number];
	enum conform_state state = conform_log_state(judge->log);

	for (size_t i = 0; contract_requirements[i].id; i++)
		if (contract_requirements[i].profiles >> number & 1)
			count(profile, contract_requirements[i].level,
			      conform_judge_in(judge, i, number));
	for (size_t i = 0; contract_rows[i].id; i++)
		if (contract_rows[i].profile == number)
			count(profile, contract_rows[i].level, judge->rows[i].judgement);
	/* A log that cannot be trusted proves nothing, not even a failure. */
	if (state != CONFORM_COMPLETE && state != CONFORM_INCOMPLETE)
		profile->result = CONFORM_NOT_JUDGED;
	else if (profile->musts[CONFORM_BROKEN])
		profile->result = CONFORM_NOT_CONFORMANT;
	else if (state == CONFORM_INCOMPLETE || profile->musts[CONFORM_UNPROVEN] ||
		 profile->musts[CONFORM_ENVIRONMENT] || !profile->musts[CONFORM_KEPT])
		profile->result = CONFORM_NOT_JUDGED;
	else
		profile->result = CONFORM_CONFORMANT;
}

const char *conform_profile_describe(const struct conform_judge *judge, size_t profile, char *text,
				     size_t size)
{
	const struct conform_profile *verdict = &judge->profiles[profile];
	const size_t *musts = verdict->musts;
	enum conform_state state = conform_log_state(judge->log);

	if (state != CONFORM_COMPLETE && verdict->result == CONFORM_NOT_JUDGED)
		snprintf(text, size, "incomplete: the log is %s",
			 state == CONFORM_INCOMPLETE ? "cut" : "not to be trusted");
	else if (verdict->result == CONFORM_NOT_CONFORMANT)
		snprintf(text, size, "not conformant: %zu broken", musts[CONFORM_BROKEN]);
	else if (verdict->result == CONFORM_NOT_JUDGED)
		snprintf(text, size, "incomplete: %zu not proven, %zu cannot be judged here",
			 musts[CONFORM_UNPROVEN], musts[CONFORM_ENVIRONMENT]);
	else if (musts[CONFORM_WAIVED])
		snprintf(text, size, "conformant with %zu waiver%s", musts[CONFORM_WAIVED],
			 musts[CONFORM_WAIVED] == 1 ? "" : "s");
	else
		snprintf(text, size, "conformant");
	return text;
}

struct conform_columns conform_judge_columns(const struct conform_judge *judge)
{
	const struct conform_log *log = judge->log;
	struct conform_columns columns = {0};

	for (size_t i = 0; i < log->count; i++) {
		const struct conform_test *test = &log->tests[i];

		columns.environment += conform_is_environment(test);
		/* What is not in the log breaks nothing. */
		if (!conform_is_bad(test) || test->verdict == CONFORM_UNKNOWN)
			continue;
		if (conform_judge_basis(test) == CONTRACT_STANDARD)
			columns.standard++;
		else
			columns.own++;
	}
	return columns;
}

bool conform_judge_is_good(const struct conform_judge *judge)
{
	const struct conform_log *log = judge->log;

	if (conform_log_state(log) != CONFORM_COMPLETE)
		return false;
	for (size_t i = 0; i < log->count; i++) {
		const struct conform_test *test = &log->tests[i];

		/* The contract does not know tests of a later guest: they count as they are. */
		if (conform_is_bad(test) && !test->waived && !conform_is_should(test) &&
		    (judge->partial || !contract_has_name(test->name)))
			return false;
	}
	for (size_t i = 0; !judge->partial && contract_profiles[i].name; i++)
		if (judge->profiles[i].chosen && judge->profiles[i].result != CONFORM_CONFORMANT)
			return false;
	return true;
}

/* The choice of profiles */

static bool is_all(const char *name, size_t length)
{
	return length == strlen(ALL) && !memcmp(name, ALL, length);
}

static int refuse_profile(const char *name, size_t length, struct error *error)
{
	char names[120] = "";

	for (size_t i = 0; contract_profiles[i].name; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), ", %s",
			 contract_profiles[i].name);
	return error_set_usage(error, "--profile: there is no profile '%.*s'; use " ALL "%s",
			       (int)length, name, names);
}

int conform_judge_check_profiles(const struct option_list *profiles, struct error *error)
{
	for (size_t i = 0; i < profiles->count; i++) {
		const char *list = profiles->items[i], *name;
		size_t length;

		if (!*list)
			return refuse_profile(list, 0, error);
		while ((name = next_name(&list, &length)))
			if (!is_all(name, length) && contract_find_profile(name, length) < 0)
				return refuse_profile(name, length, error);
	}
	return 0;
}

static bool is_architecture(const char *profile)
{
	return !strcmp(profile, "arm64") || !strcmp(profile, "x86-64");
}

static bool is_chosen(const struct option_list *profiles, size_t profile, bool here)
{
	for (size_t i = 0; i < profiles->count; i++) {
		const char *list = profiles->items[i], *name;
		size_t length;

		while ((name = next_name(&list, &length)))
			if (is_all(name, length) ?
				    here :
				    contract_find_profile(name, length) == (int)profile)
				return true;
	}
	return false;
}

static void choose_profiles(struct conform_judge *judge, const struct option_list *profiles)
{
	for (size_t i = 0; i < CONFORM_PROFILES_MAX && contract_profiles[i].name; i++) {
		const char *own = contract_profiles[i].name;
		bool here = !is_architecture(own) || !strcmp(own, judge->architecture);

		judge->profiles[i].chosen = profiles->count ?
						    is_chosen(profiles, i, here) :
						    here && (is_architecture(own) || i == 0);
	}
}

/* The log as a whole */

static void read_machine(struct conform_judge *judge)
{
	const struct conform_log *log = judge->log;
	const char *architecture = strstr(log->boot, " arch ");
	const char *entry = strstr(log->boot, " entry ");

	if (architecture)
		sscanf(architecture, " arch %15s", judge->architecture);
	if (entry)
		sscanf(entry, " entry %63s", judge->entries);
	for (size_t i = 0; i < log->device_count; i++) {
		struct conform_device *device = &judge->devices[judge->device_count];

		judge->device_count += conform_device_parse(device, log->devices[i]);
		device->on = log->devices_on[i];
	}
}

/* A failed test is waived by its name, or when all that it breaks is waived. */
static void mark_waived(const struct conform_judge *judge, struct conform_log *log,
			const struct conform_waivers *waivers)
{
	for (size_t i = 0; log->tests && i < log->count; i++) {
		struct conform_test *test = &log->tests[i];
		const struct conform_waiver *waiver = conform_waivers_find(waivers, test->name);
		bool broken = false;

		for (size_t n = 0; contract_requirements[n].id; n++) {
			const struct conform_finding *finding = &judge->requirements[n];

			if (finding->test != test)
				continue;
			broken |= finding->judgement == CONFORM_BROKEN;
			if (!waiver)
				waiver = finding->waiver;
		}
		test->waived = waiver && !broken ? waiver->reason : NULL;
	}
}

int conform_judge_log(struct conform_judge *judge, struct conform_log *log,
		      const struct conform_waivers *waivers, const struct option_list *profiles,
		      bool partial, struct error *error)
{
	size_t requirements = 0, rows = 0;

	while (contract_requirements[requirements].id)
		requirements++;
	while (contract_rows[rows].id)
		rows++;
	judge->log = log;
	judge->partial = partial;
	/* With the last rows, so that the sizes are never 0. */
	judge->requirements = calloc(requirements + 1, sizeof(*judge->requirements));
	judge->rows = calloc(rows + 1, sizeof(*judge->rows));
	if (!judge->requirements || !judge->rows)
		return error_set(error, ENOMEM, "out of memory");
	read_machine(judge);
	for (size_t i = 0; i < requirements; i++)
		judge_requirement(judge, &contract_requirements[i], waivers,
				  &judge->requirements[i]);
	for (size_t i = 0; i < rows; i++)
		judge_row(judge, &contract_rows[i], waivers, &judge->rows[i]);
	choose_profiles(judge, profiles);
	for (unsigned int i = 0; i < CONFORM_PROFILES_MAX && contract_profiles[i].name; i++)
		judge_profile(judge, i);
	mark_waived(judge, log, waivers);
	return 0;
}

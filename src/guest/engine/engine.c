// SPDX-License-Identifier: BSD-3-Clause
/*
 * The choice among the engines.
 */
#include "guest/engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/huge_pages.h"
#include "guest/engine/engine_feature.h"

/* Why an engine is not taken, in the order in which a person has to hear of it. */
enum refusal_rank {
	REFUSED_GUEST,	 /* it works here and does not take this guest: that is the mistake */
	REFUSED_BOTH,	 /* nor does it work here */
	REFUSED_MACHINE, /* it would take the guest, and does not work here */
};

/* The engines that were passed over, and why. */
struct refusals {
	struct {
		const struct engine *engine;
		enum refusal_rank rank;
		struct error reason;
	} list[ENGINES_MAXIMUM];
	size_t count;
};

/* Whether a choice of guest_engine_choices may stand for an engine. */
static bool may_be(uint64_t choice, const struct engine *engine)
{
	return choice == ENGINE_AUTO || !strcmp(guest_engine_choices[choice], engine->name);
}

bool engine_carries_type(uint64_t choice, const struct device_type *type)
{
	const struct device_config device = {.type = type, .name = (char *)type->name};

	for_each_engine(engine)
		if (may_be(choice, engine) && engine->carries &&
		    engine->carries(&device, NULL, NULL) < 0)
			return false;
	return true;
}

/* Whether an engine runs on this machine, and takes such a guest. */
static int try_engine(const struct engine *engine, struct engine_plan **plan,
		      const struct guest_config *config, const struct kvm_probe_result *kvm,
		      enum refusal_rank *rank, struct error *error)
{
	struct error unusable;
	int usable = engine->usable(plan, kvm, &unusable);
	int result = engine_check(engine, *plan, config, error);

	if (result < 0) {
		*rank = usable < 0 ? REFUSED_BOTH : REFUSED_GUEST;
		free(*plan);
		*plan = NULL;
		return result;
	}
	*rank = REFUSED_MACHINE;
	if (usable < 0)
		*error = unusable;
	return usable;
}

/* The engine that was asked for is not usable here: to ask for it was the mistake. */
static void refuse_engine(const struct engine *engine, const struct guest_config *config,
			  const struct error *reason, struct error *error)
{
	char place[200];

	if (!error)
		return;
	if (reason->usage)
		*error = *reason;
	else
		error_set_usage(error,
				"%s: engine %s: %s; `avp doctor` says what can be done, and auto "
				"takes another engine",
				guest_config_place(config, "engine", place, sizeof(place)),
				engine->name, reason->message);
}

static size_t count_rank(const struct refusals *refusals, enum refusal_rank rank)
{
	size_t count = 0;

	for (size_t i = 0; i < refusals->count; i++)
		count += refusals->list[i].rank == rank;
	return count;
}

/* What stands in a line with the reason of one engine. */
#define ENGINE_WORDS sizeof("engine SOMENAME: …; ")

/*
 * No engine is usable. What the guest asks for comes first; what is wrong with an engine here
 * matters only where that would have taken the guest.
 */
static void refuse_all(const struct refusals *refusals, struct error *error)
{
	char text[ERROR_MESSAGE_SIZE] = "";
	enum refusal_rank skipped = count_rank(refusals, REFUSED_GUEST) ? REFUSED_BOTH :
									  REFUSED_GUEST;
	size_t told = refusals->count - count_rank(refusals, skipped);
	size_t length = 0, each = told > 1 ? sizeof(text) / told - ENGINE_WORDS : 0;

	for (enum refusal_rank rank = REFUSED_GUEST; rank <= REFUSED_MACHINE; rank++)
		for (size_t i = 0; i < refusals->count && length < sizeof(text); i++) {
			const char *message = refusals->list[i].reason.message;

			if (refusals->list[i].rank != rank || rank == skipped)
				continue;
			/* One that is alone names its place, or the engine, itself. */
			if (told == 1) {
				*error = refusals->list[i].reason;
				return;
			}
			length += (size_t)snprintf(text + length, sizeof(text) - length,
						   "%sengine %s: %.*s%s", length ? "; " : "",
						   refusals->list[i].engine->name, (int)each,
						   message, strlen(message) > each ? "…" : "");
		}
	if (count_rank(refusals, REFUSED_MACHINE) < refusals->count)
		error_set_usage(error, "%s", text);
	else
		error_set(error, refusals->list[refusals->count - 1].reason.code, "%s", text);
}

static void tell_passed_over(struct engine_plan *plan, const struct refusals *refusals)
{
	size_t length = strlen(plan->summary);

	/* Why KVM is not used is told with the engine that was passed over for it. */
	if (!refusals->count && plan->slow[0])
		snprintf(plan->summary + length, sizeof(plan->summary) - length, " (%s)",
			 plan->slow);
	length = 0;
	plan->passed_over[0] = 0;
	for (size_t i = 0; i < refusals->count && length < sizeof(plan->passed_over); i++)
		length += (size_t)snprintf(plan->passed_over + length,
					   sizeof(plan->passed_over) - length,
					   "%sengine %s is passed over: %s", i ? "; " : "",
					   refusals->list[i].engine->name,
					   refusals->list[i].reason.message);
}

/* For all engines: what is missing is told before anything starts, in the same words. */
static int check_huge_pages(const struct guest_config *config, struct error *error)
{
	char place[200];
	int result = config->huge_pages ? huge_pages_check(config->memory, error) : 0;

	if (result < 0)
		error_prefix(error, "%s",
			     guest_config_place(config, "huge-pages", place, sizeof(place)));
	return result;
}

const struct engine *engine_choose(struct engine_plan **plan, const struct guest_config *config,
				   const struct kvm_probe_result *kvm, struct error *error)
{
	struct refusals refusals = {.count = 0};

	for_each_engine(engine) {
		enum refusal_rank rank;
		struct error reason;

		if (!may_be(config->engine, engine))
			continue;
		if (try_engine(engine, plan, config, kvm, &rank, &reason) < 0) {
			refusals.list[refusals.count].engine = engine;
			refusals.list[refusals.count].rank = rank;
			refusals.list[refusals.count++].reason = reason;
			if (config->engine == ENGINE_AUTO)
				continue;
			refuse_engine(engine, config, &reason, error);
			return NULL;
		}
		if (check_huge_pages(config, error) < 0) {
			free(*plan);
			*plan = NULL;
			return NULL;
		}
		tell_passed_over(*plan, &refusals);
		return engine;
	}
	refuse_all(&refusals, error);
	return NULL;
}

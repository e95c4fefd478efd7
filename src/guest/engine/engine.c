// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chooses the engine for a guest.
 */
#include "guest/engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/huge_pages.h"
#include "guest/engine/engine_feature.h"

/* Why an engine is refused, in the order in which the reasons are reported. */
enum refusal_rank {
	REFUSED_GUEST,	 /* works on this host, cannot run this guest: the guest is wrong */
	REFUSED_BOTH,	 /* cannot run this guest and does not work on this host */
	REFUSED_MACHINE, /* could run this guest, does not work on this host */
};

/* The engines that were refused, and why. */
struct refusals {
	struct {
		const struct engine *engine;
		enum refusal_rank rank;
		struct error reason;
	} list[ENGINES_MAXIMUM];
	size_t count;
};

/* Whether a choice of guest_engine_choices can mean @engine. */
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

/* Whether an engine runs on this host, and can run this guest. */
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

/* A usage error: the requested engine is not usable on this host. */
static void refuse_engine(const struct engine *engine, const struct guest_config *config,
			  const struct error *reason, struct error *error)
{
	char where[200];

	if (!error)
		return;
	if (reason->usage)
		*error = *reason;
	else
		error_set_usage(error,
				"%s: engine %s: %s; `avp doctor` says what can be done, and auto "
				"takes another engine",
				guest_config_describe_option(config, "engine", where,
							     sizeof(where)),
				engine->name, reason->message);
}

static size_t count_rank(const struct refusals *refusals, enum refusal_rank rank)
{
	size_t count = 0;

	for (size_t i = 0; i < refusals->count; i++)
		count += refusals->list[i].rank == rank;
	return count;
}

/* The words around the reason of one engine in a message. */
#define ENGINE_WORDS sizeof("engine SOMENAME: …; ")

/*
 * No engine is usable. Problems of the guest come first; an engine that does not work on this host
 * matters only if it could have run the guest.
 */
static void refuse_all(const struct refusals *refusals, struct error *error)
{
	char text[ERROR_MESSAGE_SIZE] = "";
	enum refusal_rank skipped = count_rank(refusals, REFUSED_GUEST) ? REFUSED_BOTH :
									  REFUSED_GUEST;
	size_t reported = refusals->count - count_rank(refusals, skipped);
	size_t length = 0, each = reported > 1 ? sizeof(text) / reported - ENGINE_WORDS : 0;

	for (enum refusal_rank rank = REFUSED_GUEST; rank <= REFUSED_MACHINE; rank++)
		for (size_t i = 0; i < refusals->count && length < sizeof(text); i++) {
			const char *message = refusals->list[i].reason.message;

			if (refusals->list[i].rank != rank || rank == skipped)
				continue;
			/* A single reason already names the option or the engine. */
			if (reported == 1) {
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

static void write_passed_over(struct engine_plan *plan, const struct refusals *refusals)
{
	size_t length = strlen(plan->summary);

	/* A refused engine already says why KVM is not used. */
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

/* The same check and message for all engines, before anything starts. */
static int check_huge_pages(const struct guest_config *config, struct error *error)
{
	char where[200];
	int result = config->huge_pages ? huge_pages_check(config->memory, error) : 0;

	if (result < 0)
		error_prefix(error, "%s",
			     guest_config_describe_option(config, "huge-pages", where,
							  sizeof(where)));
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
		write_passed_over(*plan, &refusals);
		return engine;
	}
	refuse_all(&refusals, error);
	return NULL;
}

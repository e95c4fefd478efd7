// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of engines, and the choice among them.
 */
#include "runtime/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/engine_limits.h"

const struct engine *const engines[] = {
	&engine_kvm,
	&engine_qemu,
	NULL,
};

#define ENGINE_COUNT (sizeof(engines) / sizeof(engines[0]) - 1)

/* The engines that were passed over, and why. */
struct refusals {
	struct {
		const struct engine *engine;
		struct error reason;
	} list[ENGINE_COUNT];
	size_t count;
};

/* Whether an engine runs on this machine, and takes such a guest. */
static int try_engine(const struct engine *engine, struct engine_plan **plan,
		      const struct guest_config *config, const struct kvm_probe_result *kvm,
		      struct error *error)
{
	int result = engine->usable(plan, config, kvm, error);

	if (result < 0)
		return result;
	result = engine_limits_check(engine, config, error);
	if (result < 0) {
		free(*plan);
		*plan = NULL;
	}
	return result;
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

/* No engine is usable: the reasons of all, in the order in which they were tried. */
static void refuse_all(const struct refusals *refusals, struct error *error)
{
	char text[sizeof(error->message)] = "";
	size_t length = 0, each = sizeof(text) / ENGINE_COUNT - sizeof("engine qemu: ; ");
	bool usage = false;

	for (size_t i = 0; i < refusals->count && length < sizeof(text); i++) {
		const char *message = refusals->list[i].reason.message;

		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   "%sengine %s: %.*s%s", i ? "; " : "",
					   refusals->list[i].engine->name, (int)each, message,
					   strlen(message) > each ? "…" : "");
		usage |= refusals->list[i].reason.usage;
	}
	if (usage)
		error_set_usage(error, "%s", text);
	else
		error_set(error, refusals->list[refusals->count - 1].reason.code, "%s", text);
}

static void tell_passed_over(struct engine_plan *plan, const struct refusals *refusals)
{
	size_t length = 0;

	plan->passed_over[0] = 0;
	for (size_t i = 0; i < refusals->count && length < sizeof(plan->passed_over); i++)
		length += (size_t)snprintf(plan->passed_over + length,
					   sizeof(plan->passed_over) - length,
					   "%sengine %s is passed over: %s", i ? "; " : "",
					   refusals->list[i].engine->name,
					   refusals->list[i].reason.message);
}

const struct engine *engine_choose(struct engine_plan **plan, const struct guest_config *config,
				   const struct kvm_probe_result *kvm, struct error *error)
{
	struct refusals refusals = {.count = 0};

	for (size_t i = 0; i < ENGINE_COUNT; i++) {
		const struct engine *engine = engines[i];
		struct error reason;

		if (config->engine != ENGINE_AUTO && config->engine != engine->kind)
			continue;
		if (try_engine(engine, plan, config, kvm, &reason) < 0) {
			refusals.list[refusals.count].engine = engine;
			refusals.list[refusals.count++].reason = reason;
			if (config->engine == ENGINE_AUTO)
				continue;
			refuse_engine(engine, config, &reason, error);
			return NULL;
		}
		tell_passed_over(*plan, &refusals);
		return engine;
	}
	refuse_all(&refusals, error);
	return NULL;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of engines, and the choice among them.
 */
#include "runtime/engine.h"

#include <errno.h>

const struct engine *const engines[] = {
	&engine_kvm,
	&engine_qemu,
	NULL,
};

const struct engine *engine_choose(struct engine_plan **plan, const struct guest_config *config,
				   const struct kvm_probe_result *kvm, struct error *error)
{
	for (const struct engine *const *engine = engines; *engine; engine++) {
		if (config->engine != ENGINE_AUTO && config->engine != (*engine)->kind)
			continue;
		if ((*engine)->usable(plan, config, kvm, error) == 0)
			return *engine;
		/* What the last engine tried lacks is what the user is told. */
		if (config->engine != ENGINE_AUTO || !engine[1])
			return NULL;
	}
	error_set_usage(error, "engine: there is no such engine");
	return NULL;
}

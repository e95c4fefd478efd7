// SPDX-License-Identifier: BSD-3-Clause
/*
 * What guests ask of engines, in one table: a row for each feature that engines support
 * differently. The values of an engine are in struct engine_machine. The check before a start, the
 * help and the tables in docs/ are made from it.
 */
#ifndef AVP_GUEST_ENGINE_ENGINE_FEATURE_H
#define AVP_GUEST_ENGINE_ENGINE_FEATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"
#include "guest/config/config.h"
#include "guest/engine/engine.h"

enum feature_kind {
	FEATURE_MOST,	 /* an engine's value is a maximum */
	FEATURE_UNIT,	 /* the guest's value must be a multiple of it */
	FEATURE_KERNELS, /* bits by enum kernel_format; a kernel of another format is refused */
	FEATURE_SUPPORT, /* 1: supported; 0: the option is refused */
	FEATURE_VERB,	 /* the same for a verb, when it is asked for */
};

struct engine_feature {
	/* Of guest_option_rows, or "" if none corresponds; FEATURE_VERB: of the control socket. */
	const char *option;
	const char *what; /* description; NULL ends the table */
	enum feature_kind kind;
	bool bytes;	    /* the values are sizes */
	size_t offset;	    /* of the uint64_t in struct engine_machine */
	uint64_t asks_from; /* OPTION_CHOICE: smaller values ask for nothing */
};

extern const struct engine_feature engine_features[];

/* The names of enum engine_architecture. */
extern const char *const engine_architectures[ENGINE_ARCHITECTURES];

/* The value of an engine for a row. */
uint64_t engine_feature_value(const struct engine_feature *feature, const struct engine *engine,
			      enum engine_architecture architecture);

/* Writes the formats in a value of FEATURE_KERNELS: "ELF, bzImage". Returns @buffer. */
const char *engine_feature_kernels(uint64_t value, char *buffer, size_t size);

/*
 * Whether @engine supports what a guest asks for: each row of the table, and each device.
 * guest_config_check must have accepted the guest. Returns 0, or a negative errno with a usage
 * error that names the option or device, the engine and what to do. @plan: the engine's, or NULL
 * when it is not usable on this host.
 */
int engine_check(const struct engine *engine, const struct engine_plan *plan,
		 const struct guest_config *config, struct error *error);

/*
 * Whether @engine supports the verb of a row of FEATURE_VERB. Returns 0 or -ENOTSUP with *error
 * set.
 */
int engine_check_ability(const struct engine *engine, const char *verb, struct error *error);

/*
 * Writes how the engines differ for one of guest_option_rows, such as "a multiple of 4K, of 8K with
 * engine qemu". Returns @buffer, which is empty when they do not differ.
 */
const char *engine_feature_text(const struct option_row *row, char *buffer, size_t size);

#endif

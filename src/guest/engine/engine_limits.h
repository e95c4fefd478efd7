// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the machines of all engines take, in one table: the checks before a start, the help and the
 * tables in docs/ are made from it.
 */
#ifndef AVP_GUEST_ENGINE_ENGINE_LIMITS_H
#define AVP_GUEST_ENGINE_ENGINE_LIMITS_H

#include <stdint.h>

#include "base/error.h"
#include "base/option.h"
#include "guest/config/config.h"
#include "guest/engine/engine.h"

enum limit_kind {
	LIMIT_MOST,    /* the value is a maximum */
	LIMIT_UNIT,    /* what is given must be a multiple of the value */
	LIMIT_SUPPORT, /* 1: the option does something; 0: it is refused */
};

enum limit_architecture { LIMIT_X86_64, LIMIT_ARM64, LIMIT_ARCHITECTURES };

/* The architecture that this program is built for. */
#ifdef __aarch64__
#define LIMIT_HERE LIMIT_ARM64
#else
#define LIMIT_HERE LIMIT_X86_64
#endif

struct engine_limit {
	const char *option; /* a row of guest_option_rows, or "" for what no such row stands for */
	const char *what;   /* for people; NULL ends the table */
	enum limit_kind kind;
	bool bytes;			   /* the values are sizes */
	uint64_t kvm[LIMIT_ARCHITECTURES]; /* of engine kvm, qemu */
	uint64_t qemu[LIMIT_ARCHITECTURES];
};

extern const struct engine_limit engine_limits[];

/* The value of a row for an engine (not ENGINE_AUTO) here. */
uint64_t engine_limit_value(const struct engine_limit *limit, enum engine_kind engine);

/*
 * Whether the machine of @engine takes what a guest asks for, which guest_config_check has found
 * sound in itself. Returns 0, or a negative errno with a usage error that names option, limit and
 * engine.
 */
int engine_limits_check(const struct engine *engine, const struct guest_config *config,
			struct error *error);

/*
 * Writes what the engines differ in for one of guest_option_rows, such as "a multiple of 4K, of 8K
 * with engine qemu". Returns @buffer, which is empty when there is nothing to say.
 */
const char *engine_limits_text(const struct option_row *row, char *buffer, size_t size);

#endif

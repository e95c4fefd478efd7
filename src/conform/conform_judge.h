// SPDX-License-Identifier: BSD-3-Clause
/*
 * Judges the log of a conformance guest by the contract: each requirement, each row of a profile,
 * and from both each profile. The contract's own table says which tests check a requirement, so a
 * log that names fewer does not make them disappear.
 */
#ifndef AVP_CONFORM_CONFORM_JUDGE_H
#define AVP_CONFORM_CONFORM_JUDGE_H

#include "base/error.h"
#include "base/option.h"
#include "conform/conform_device.h"
#include "conform/conform_log.h"
#include "conform/conform_waiver.h"
#include "conform/contract_table.h"

#define CONFORM_PROFILES_MAX 8

enum conform_judgement {
	CONFORM_KEPT,
	CONFORM_BROKEN,
	CONFORM_WAIVED,		/* broken, and a waiver holds */
	CONFORM_UNPROVEN,	/* it binds, and its tests were skipped, cut off or unstable */
	CONFORM_ENVIRONMENT,	/* it cannot be judged in this environment */
	CONFORM_NOT_APPLICABLE, /* it does not bind this machine */
	CONFORM_JUDGEMENTS,
};

/* "kept", "broken", … */
const char *conform_judgement_name(enum conform_judgement judgement);

struct conform_finding {
	enum conform_judgement judgement;
	const struct conform_test *test;     /* that decided; NULL: none, or not in the log */
	const struct conform_waiver *waiver; /* that holds, or NULL */
	char what[160];			     /* rows: what was found; requirements: "" */
};

enum conform_result {
	CONFORM_CONFORMANT,
	CONFORM_NOT_CONFORMANT,
	CONFORM_NOT_JUDGED, /* incomplete */
};

struct conform_profile {
	bool chosen;
	enum conform_result result;
	/* Requirements and rows of level MUST, and those of level SHOULD. */
	size_t musts[CONFORM_JUDGEMENTS], shoulds[CONFORM_JUDGEMENTS];
};

struct conform_judge {
	const struct conform_log *log;
	struct conform_finding *requirements; /* allocated, as contract_requirements */
	struct conform_finding *rows;	      /* allocated, as contract_rows */
	struct conform_profile profiles[CONFORM_PROFILES_MAX];
	struct conform_device devices[CONFORM_DEVICES_MAX];
	size_t device_count;
	char architecture[16]; /* of the guest, "" if unknown */
	char entries[64];      /* "pvh"; of several machines "pvh,efi" */
	bool partial;	       /* tests were left out on request */
};

/* A zeroed struct is empty. */
void conform_judge_free(struct conform_judge *judge);

/*
 * Judges @log. Each item of @profiles is a list of names separated by commas, or "all"; no items:
 * base and that of the guest's architecture. @partial: tests were selected by name, so no profile
 * is judged. Marks the tests of @log that are waived. @log and @waivers must outlive *judge, which
 * must be zeroed. Returns 0, or a negative errno with *error set.
 */
int conform_judge_log(struct conform_judge *judge, struct conform_log *log,
		      const struct conform_waivers *waivers, const struct option_list *profiles,
		      bool partial, struct error *error);

/* What is judged of a requirement, an index in contract_requirements, for one profile. */
enum conform_judgement conform_judge_in(const struct conform_judge *judge, size_t requirement,
					unsigned int profile);

/* Checks the names in a list of profiles. Returns 0, or a negative errno with *error set. */
int conform_judge_check_profiles(const struct option_list *profiles, struct error *error);

/* Describes the verdict on a profile, "conformant with 2 waivers" or the like. Returns @text. */
const char *conform_profile_describe(const struct conform_judge *judge, size_t profile, char *text,
				     size_t size);

/* What a failed test breaks: VIRTIO or another standard, or what the contract alone demands. */
enum contract_basis conform_judge_basis(const struct conform_test *test);

/* Tests: failed ones by what they break, and those that cannot be judged in this environment. */
struct conform_columns {
	size_t standard, own, environment;
};
struct conform_columns conform_judge_columns(const struct conform_judge *judge);

/* Whether the skip of @test says that this environment does not let it be judged. */
bool conform_is_environment(const struct conform_test *test);

/* Whether a failure concerns no requirement of level MUST. */
bool conform_is_should(const struct conform_test *test);

/* Whether all chosen profiles are conformant, or, for a partial log, no test breaks a MUST. */
bool conform_judge_is_good(const struct conform_judge *judge);

#endif

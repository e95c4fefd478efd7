// SPDX-License-Identifier: BSD-3-Clause
/*
 * The requirements that the conformance guest tests; the build takes them from the chapters in
 * contract/.
 */
#ifndef AVP_CONFORM_CONTRACT_REQUIREMENT_H
#define AVP_CONFORM_CONTRACT_REQUIREMENT_H

struct contract_requirement {
	const char *id;	   /* "AVP-BLK-001" */
	const char *level; /* "MUST", "SHOULD", "MAY" */
	const char *text;
};

/* In the order of the contract; ends with a row without an id. */
extern const struct contract_requirement contract_requirements[];

#endif

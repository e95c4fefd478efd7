// SPDX-License-Identifier: BSD-3-Clause
/*
 * The contract as the build takes it from contract/: chapters, profiles with what they ask of
 * devices, and the requirements that the conformance guest tests or that nothing tests yet.
 */
#ifndef AVP_CONFORM_CONTRACT_REQUIREMENT_H
#define AVP_CONFORM_CONTRACT_REQUIREMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTRACT_CONDITIONS_MAX 6

enum contract_level { CONTRACT_MUST, CONTRACT_SHOULD, CONTRACT_MAY };

/* What a failure breaks: VIRTIO or another standard, or what the contract alone demands. */
enum contract_basis { CONTRACT_STANDARD, CONTRACT_OWN };

struct contract_chapter {
	const char *name;      /* "block" */
	const char *prefix;    /* "BLK" */
	const char *title;     /* "Block devices" */
	int virtio;	       /* id of its device; 0: VIRTIO has none, -1: it is about no device */
	const char *transport; /* it binds devices on this transport only, or NULL */
};

struct contract_profile {
	const char *name;  /* "x86-64" */
	const char *title; /* for people */
	/* Requirements of level MUST, and those of them that only others than the guest check. */
	unsigned int musts, elsewhere;
};

/* A condition under which a requirement binds. */
struct contract_condition {
	enum { CONTRACT_NO_CONDITION, CONTRACT_FEATURE, CONTRACT_TRANSPORT, CONTRACT_ENTRY } what;
	const char *name; /* of the feature or the transport; how the guest was started */
	int virtio;	  /* features: id of the device, 0: any */
	unsigned int bit;
};

struct contract_requirement {
	const char *id; /* "AVP-BLK-001" */
	enum contract_level level;
	enum contract_basis basis;
	unsigned int chapter;  /* index in contract_chapters */
	unsigned int profiles; /* bit i: binds in contract_profiles[i] */
	const char *text;
	/* "VIRTIO 1.4, 5.2.6; own": the main one first. */
	const char *source;
	/* Separated by blanks: NAME, or NAME:ARCHITECTURE for one alone; "": not yet any. */
	const char *tests;
	bool where; /* it binds only where the machine has something that the guest looks for */
	/* It binds where one of these holds, or always if there is none. */
	struct contract_condition when[CONTRACT_CONDITIONS_MAX];
};

enum contract_asks {
	CONTRACT_PRESENT,
	CONTRACT_ABSENT,
	CONTRACT_OFFERS,
	CONTRACT_FORBIDS,
	CONTRACT_QUEUES,
	CONTRACT_LIMIT,
};

/* One thing that a profile asks of the devices of one type; several rows may share an id. */
struct contract_row {
	const char *id;	      /* "AVP-BASE-011" */
	unsigned int profile; /* index in contract_profiles */
	enum contract_level level;
	unsigned int chapter; /* of the device: index in contract_chapters */
	enum contract_asks asks;
	const char *name; /* of the feature or the limit, or NULL */
	unsigned int bit;
	uint64_t minimum;    /* CONTRACT_QUEUES, CONTRACT_LIMIT */
	uint64_t queue_size; /* CONTRACT_QUEUES: of each of these queues; 0: any */
	uint64_t except;     /* it does not bind a device that offers one of these features */
};

/* In the order of the contract; each ends with a row of zeros. */
extern const struct contract_chapter contract_chapters[];
extern const struct contract_profile contract_profiles[];
extern const struct contract_requirement contract_requirements[];
extern const struct contract_row contract_rows[];

#endif

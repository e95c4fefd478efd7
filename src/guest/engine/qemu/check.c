// SPDX-License-Identifier: BSD-3-Clause
/*
 * The check of `avp doctor` for the installed QEMU: its version, and the devices it supports.
 */
#include <stdio.h>
#include <string.h>

#include "device/kit/device_type.h"
#include "guest/engine/qemu/qemu.h"

/* Appends a word to a list in a line. */
static void append_word(char *list, size_t size, const char *word)
{
	size_t length = strlen(list);

	snprintf(list + length, size - length, "%s%s", length ? ", " : "", word);
}

static void check(struct host_finding *finding)
{
	char carried[128] = "", newer[128] = "";
	struct qemu_program program;
	struct error error;

	if (qemu_find(&program, &error) < 0) {
		host_finding_set(finding, HOST_MISSING, "%s", error.message);
		return;
	}
	for_each_device_type(type) {
		char wanted[64];

		if (!type->qemu)
			continue;
		if (qemu_carries(&program, type->qemu)) {
			append_word(carried, sizeof(carried), type->name);
			continue;
		}
		snprintf(wanted, sizeof(wanted), "%s (%u.%u)", type->name, type->qemu->since.major,
			 type->qemu->since.minor);
		append_word(newer, sizeof(newer), wanted);
	}
	host_finding_set(finding, newer[0] ? HOST_WARN : HOST_OK, "%.120s, %u.%u.%u, carries: %s",
			 program.path, program.version.major, program.version.minor,
			 program.version.micro, carried[0] ? carried : "none of our devices");
	if (newer[0])
		host_finding_advise(finding, "these need a full build of at least this version: %s",
				    newer);
}

const struct host_check qemu_check = {"QEMU", check};

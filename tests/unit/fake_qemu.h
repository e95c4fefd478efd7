// SPDX-License-Identifier: BSD-3-Clause
/*
 * A program that passes for QEMU: the test itself, found in PATH under QEMU's name. It answers
 * --version and speaks as much QMP as engine qemu uses.
 */
#ifndef AVP_TESTS_UNIT_FAKE_QEMU_H
#define AVP_TESTS_UNIT_FAKE_QEMU_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/engine/qemu/qemu.h"
#include "unit/scratch.h"

#define FAKE_QEMU_NAME QEMU_PROGRAM

/* The value of guest_config.engine that asks for an engine. */
uint64_t engine_number(const char *name);

/* Puts this program into @scratch under QEMU's name and makes that the whole of PATH. */
void fake_qemu_install(const struct scratch *scratch);

/* What the next one does, and which version it says it is; the modes are in fake_qemu.c. */
void fake_qemu_set(const char *mode, const char *version);

/* Takes memory for ever, as the first one that the OOM killer should end. */
_Noreturn void fake_eater(void);

/* Whether the fake one was built with QEMU's sandbox; it was unless this says otherwise. */
void fake_qemu_build_sandbox(bool built);

/* For main(): whether the program was called as QEMU, and what it then does. */
bool fake_qemu_called(char **argv);
int fake_qemu_main(char **argv);

#endif

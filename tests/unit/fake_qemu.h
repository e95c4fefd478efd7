// SPDX-License-Identifier: BSD-3-Clause
/*
 * A fake QEMU: the test itself, found in PATH under QEMU's name. It answers --version and speaks as
 * much QMP as engine qemu uses.
 */
#ifndef AVP_TESTS_UNIT_FAKE_QEMU_H
#define AVP_TESTS_UNIT_FAKE_QEMU_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/engine/qemu/qemu.h"
#include "unit/scratch.h"

#define FAKE_QEMU_NAME QEMU_PROGRAM

/* The value of guest_config.engine that selects an engine. */
uint64_t engine_number(const char *name);

/* Links this program in @scratch under QEMU's name and makes that the whole of PATH. */
void fake_qemu_install(const struct scratch *scratch);

/* Sets what the next one does, and the version that it reports; the modes are in fake_qemu.c. */
void fake_qemu_set(const char *mode, const char *version);

/* Allocates memory without end, as the process that the OOM killer should end. */
_Noreturn void fake_eater(void);

/* Whether the fake was built with QEMU's sandbox; the default is yes. */
void fake_qemu_build_sandbox(bool built);

/* For main(): whether the program was called as QEMU, and what it then does. */
bool fake_qemu_called(char **argv);
int fake_qemu_main(char **argv);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests that go over a reset of the machine. Such a test is run again by the guest that starts
 * behind it and finds what it had kept: in a note at the end of the first disk that can be written,
 * which is taken away before the test goes on. The word reset=1 of the command line says that the
 * host starts the guest again.
 */
#ifndef CONFORM_REBOOT_H
#define CONFORM_REBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEPT_MAX 2048

/* Looks for a note of the boot before; called once, when devices are known. */
void reboot_find(void);
/* The number of the test that goes on, 0: none, and the verdicts given before it. */
unsigned int reboot_test(unsigned int verdicts[4]);
/* How many resets by tests there were. */
unsigned int reboot_count(void);
/* The test with that number begins, the verdicts so far are these. */
void reboot_begin(unsigned int number, const char *name, const unsigned int verdicts[4]);
/* What was made ready for a reset that has not come is taken back. */
void reboot_cancel(void);

/* In a test: true in the boot behind its reset, with what it kept in *data. */
bool reboot_resume(void *data, size_t size);
/*
 * Keeps @data, which is safe when this returns, and says in the log that a reset is to come. Skips
 * the test where there can be none. Called again it keeps newer data; the disk is no one else's
 * then.
 */
void reboot_keep(const void *data, size_t size);
/* Keeps @data and resets the machine. */
_Noreturn void reboot_now(const void *data, size_t size);
/* Resets it; what was to be kept is. */
_Noreturn void reboot_reset(void);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests that span a reset of the machine. The guest that boots after the reset runs the same test
 * again, which finds the data that it stored: in a record at the end of the first writable disk,
 * which is erased before the test continues. The word reset=1 on the command line says that the
 * host starts the guest again.
 */
#ifndef CONFORM_REBOOT_H
#define CONFORM_REBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REBOOT_DATA_MAX 2048

/* Looks for the record of the previous boot; called once, after the devices are discovered. */
void reboot_find(void);
/* The number of the test to continue, 0: none, and the verdicts given before it. */
unsigned int reboot_test(unsigned int verdicts[4]);
/* How many times tests have reset the machine. */
unsigned int reboot_count(void);
/* Called when test @number begins; @verdicts are those so far. */
void reboot_begin(unsigned int number, const char *name, const unsigned int verdicts[4]);
/* Erases the record of a reset that did not happen. */
void reboot_cancel(void);

/* In a test: true in the boot after its reset; copies the stored data to *data. */
bool reboot_resume(void *data, size_t size);
/*
 * Stores @data, which is stable on return, and logs that a reset follows. Skips the test where no
 * reset is possible. A second call replaces the data. The test must not use the disk afterwards.
 */
void reboot_store(const void *data, size_t size);
/* Stores @data and resets the machine. */
_Noreturn void reboot_now(const void *data, size_t size);
/* Resets the machine; the data is stored already. */
_Noreturn void reboot_reset(void);

#endif

// SPDX-License-Identifier: BSD-3-Clause
#ifndef AVP_TESTS_UNIT_FAKE_DEVICE_H
#define AVP_TESTS_UNIT_FAKE_DEVICE_H

#include <stdbool.h>

/*
 * A fake block device process, which ends when the supervisor hangs up. The serial number among its
 * arguments @argv tells it what to do. Returns its exit status.
 */
int fake_device(char **argv);

/* Whether this program was called as the program of a disk. */
bool fake_device_called(char **argv);

/* From now on this program is found as that of a disk, in @directory. */
void fake_device_install(const char *directory);

#endif

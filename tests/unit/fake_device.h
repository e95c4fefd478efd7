// SPDX-License-Identifier: BSD-3-Clause
#ifndef AVP_TESTS_UNIT_FAKE_DEVICE_H
#define AVP_TESTS_UNIT_FAKE_DEVICE_H

#include <stdbool.h>

/*
 * A fake block device process, which exits when the supervisor disconnects. The serial number in
 * its arguments @argv selects what it does. Returns its exit status.
 */
int fake_device(char **argv);

/* Was this program called as a disk's device program? */
bool fake_device_called(char **argv);

/* From now on this program is found in @directory as a disk's device program. */
void fake_device_install(const char *directory);

#endif

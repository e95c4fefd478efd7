// SPDX-License-Identifier: BSD-3-Clause
#ifndef AVP_TESTS_UNIT_FAKE_DEVICE_H
#define AVP_TESTS_UNIT_FAKE_DEVICE_H

/*
 * A fake block device process, which ends when the supervisor hangs up. The serial number among its
 * arguments @argv tells it what to do. Returns its exit status.
 */
int fake_device(char **argv);

#endif

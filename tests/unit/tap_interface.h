// SPDX-License-Identifier: BSD-3-Clause
/* Tap interfaces in a network namespace of a test's own. */
#ifndef AVP_TESTS_UNIT_TAP_INTERFACE_H
#define AVP_TESTS_UNIT_TAP_INTERFACE_H

#include <stdbool.h>

/* Moves this process to a network namespace, where it is root. False, with errno, if it may not. */
bool tap_interface_enter_namespace(void);

/* Makes a tap that stays, and deletes it. make: false, with errno, where this is not possible. */
bool tap_interface_make(const char *name, bool multiqueue);
void tap_interface_delete(const char *name);

/* Brings it up; the kernel sends no frames by itself. */
void tap_interface_bring_up(const char *name);

#endif

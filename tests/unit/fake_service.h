// SPDX-License-Identifier: BSD-3-Clause
#ifndef AVP_TESTS_UNIT_FAKE_SERVICE_H
#define AVP_TESTS_UNIT_FAKE_SERVICE_H

#include <sys/types.h>

/*
 * Starts a process that listens on a socket at @path and lets every client join, without serving
 * it. Returns its id.
 */
pid_t fake_service_start(const char *path);
void fake_service_stop(pid_t pid);

#endif

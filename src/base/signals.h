// SPDX-License-Identifier: BSD-3-Clause
/* Signals received through an event loop, such as those that ask a program to end. */
#ifndef AVP_BASE_SIGNALS_H
#define AVP_BASE_SIGNALS_H

#include <signal.h>

#include "base/error.h"

/*
 * Blocks the signals @numbers, which end with 0, and returns a non-blocking signalfd for them, or a
 * negative errno with *error set. An ignored signal stays ignored: the parent wants it so, such as
 * nohup, or a supervisor that alone ends its children (process_spawn). *before gets the signal mask
 * as it was, also on failure.
 */
int signals_open(const int *numbers, sigset_t *before, struct error *error);

#endif

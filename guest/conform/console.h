// SPDX-License-Identifier: BSD-3-Clause
/*
 * The way out for text: a 16550, a PL011, or a virtio console, whichever is found.
 */
#ifndef CONFORM_CONSOLE_H
#define CONFORM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Looks for a serial port; what was written before is kept (some of it) and comes then. */
void console_init(void);
bool console_works(void);
/* Takes @write as the way out instead. */
void console_use(void (*write)(const char *text, size_t length));
void console_write(const char *text, size_t length);

#endif

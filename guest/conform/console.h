// SPDX-License-Identifier: BSD-3-Clause
/*
 * Text output: a 16550, a PL011, or a virtio console, whichever is found.
 */
#ifndef CONFORM_CONSOLE_H
#define CONFORM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Looks for a serial port and writes to it what was kept of the text so far (8 KiB). */
void console_init(void);
bool console_works(void);
/* Uses @write for output from now on. */
void console_use(void (*write)(const char *text, size_t length));
void console_write(const char *text, size_t length);

#endif

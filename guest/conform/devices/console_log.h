// SPDX-License-Identifier: BSD-3-Clause
/* A virtio console as the way out for text, on machines without a serial port. */
#ifndef CONFORM_CONSOLE_LOG_H
#define CONFORM_CONSOLE_LOG_H

/* Takes the first virtio console for it, which no test then sees; nothing where there is none. */
void console_log_start(void);

#endif

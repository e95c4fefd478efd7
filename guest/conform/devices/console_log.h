// SPDX-License-Identifier: BSD-3-Clause
/* A virtio console as the log output, on machines without a serial port. */
#ifndef CONFORM_CONSOLE_LOG_H
#define CONFORM_CONSOLE_LOG_H

/* Logs to the first virtio console and hides it from the tests; does nothing if there is none. */
void console_log_start(void);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's console on this program's standard input and output. If standard input is a terminal
 * and this program is in its foreground, it is switched to raw mode, so that every key reaches the
 * guest, and back on every exit, crashes included; Ctrl-A x ends the guest. In the background the
 * keys belong to the shell, and the terminal is taken when this program comes to the foreground.
 * The program must ignore SIGTTIN and SIGTTOU, or the terminal may stop it.
 */
#ifndef AVP_HOST_CONSOLE_H
#define AVP_HOST_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"

/* The quit keys, for messages. */
#define CONSOLE_QUIT_KEYS "Ctrl-A x"

struct console;

struct console_events {
	/* The quit keys were pressed. */
	void (*quit)(void *context);
	/* The guest's first output arrived. Called once. */
	void (*first_output)(void *context);
	/* The program came to the foreground: keys now reach the guest. May be NULL. */
	void (*foreground)(void *context);
};

/* The consoles that a guest can have: its serial port, and a console device. */
#define CONSOLE_ENDS 2

/*
 * Starts to copy bytes between standard input and output and the connected sockets @guest_fds, 1 to
 * CONSOLE_ENDS of them. Takes ownership of the sockets, also on failure. Output of all of them goes
 * to standard output; keys go to the last one. A process can have one console at a time. The end of
 * standard input is not passed on. Returns 0 with *console set or a negative errno with *error set.
 */
int console_open(struct console **console, struct event_loop *loop, const int *guest_fds,
		 size_t count, const struct console_events *events, void *context,
		 struct error *error);

/* Whether keys are read from a terminal, so that the quit keys work. */
bool console_is_terminal(const struct console *console);

/*
 * Ends the current line of the guest's output on a terminal, so that a log line starts on its own.
 * NULL is fine.
 */
void console_finish_line(struct console *console);

/*
 * Call it on SIGCONT: meanwhile the terminal's mode may have changed, and this program may have
 * moved between foreground and background.
 */
void console_resume(struct console *console);

/*
 * Copies the rest of the guest's output, within @limit_ms, then restores the terminal and
 * frees the console. NULL is fine.
 */
void console_close(struct console *console, int limit_ms);

#endif

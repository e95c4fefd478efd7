// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's console on this program's standard input and output. Standard input that is a
 * terminal in whose foreground this program runs is switched to raw mode, so that every key reaches
 * the guest, and back on every way out, crashes included; what ends a guest from there is Ctrl-A x.
 * In the background the keys are the shell's, and the terminal is taken when this program comes to
 * the foreground. The program must ignore SIGTTIN and SIGTTOU, or the terminal may stop it.
 */
#ifndef AVP_HOST_CONSOLE_H
#define AVP_HOST_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"

/* What to press; for a line that tells. */
#define CONSOLE_QUIT_KEYS "Ctrl-A x"

struct console;

struct console_events {
	/* The quit keys were pressed. */
	void (*quit)(void *context);
	/* The guest's first output arrived. Called once. */
	void (*first_output)(void *context);
	/* The program has come to the foreground: keys reach the guest from now on. May be NULL. */
	void (*foreground)(void *context);
};

/* The sides that a guest can have: its serial port, and a console device. */
#define CONSOLE_ENDS 2

/*
 * Starts to pass bytes between standard input and output and the connected sockets @guest_fds, 1 to
 * CONSOLE_ENDS of them, which are owned from now on, also on failure. What all of them say goes to
 * standard output; keys go to the last one. There can be one console at a time in a process. The
 * end of standard input is not passed on. Returns 0 with *console set or a negative errno with
 * *error set.
 */
int console_open(struct console **console, struct event_loop *loop, const int *guest_fds,
		 size_t count, const struct console_events *events, void *context,
		 struct error *error);

/* Whether keys are read from a terminal, so that the quit keys work. */
bool console_is_terminal(const struct console *console);

/*
 * Ends the line that the guest's output stands in on a terminal, so that a log line starts its own.
 * NULL is fine.
 */
void console_finish_line(struct console *console);

/*
 * This program was stopped and goes on (SIGCONT): the terminal may have been changed, and this be
 * another of foreground and background.
 */
void console_resume(struct console *console);

/*
 * Writes what the guest's side still has to say, within @limit_ms, then restores the terminal and
 * frees the console. NULL is fine.
 */
void console_close(struct console *console, int limit_ms);

#endif

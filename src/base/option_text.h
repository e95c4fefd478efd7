// SPDX-License-Identifier: BSD-3-Clause
/*
 * How an option row reads to a person; --help, the man pages and the tables in docs/ share it.
 */
#ifndef AVP_BASE_OPTION_TEXT_H
#define AVP_BASE_OPTION_TEXT_H

#include "base/option.h"

#define OPTION_TEXT_LENGTH 256

/* How the option is written: "--cpus N", "--console[=OPTION…]"; @dashes "" gives "cpus=N". */
const char *option_text_term(const struct option_row *row, const char *dashes,
			     char buffer[OPTION_TEXT_LENGTH]);

/* What values are accepted, when the help does not say: "1 to 16", "one of auto, kvm"; or "". */
const char *option_text_values(const struct option_row *row, char buffer[OPTION_TEXT_LENGTH]);

/*
 * What follows the help in brackets: values, default, required. Empty, or with a space first:
 * " (1 to 16; default 1)".
 */
const char *option_text_remarks(const struct option_row *row, char buffer[OPTION_TEXT_LENGTH]);

/* The type of the value in JSON, for the tables of a bundle's keys. */
const char *option_text_json_type(const struct option_row *row);

#endif

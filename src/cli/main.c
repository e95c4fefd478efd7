// SPDX-License-Identifier: BSD-3-Clause
/*
 * The entry point of avp; the subcommands are in the table in avp.c.
 */
#include "cli/avp.h"

int main(int argc, char **argv)
{
	return command_main(&command_avp, argc, argv);
}

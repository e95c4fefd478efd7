// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where avp starts. What it can do is in the tables that avp.c lists.
 */
#include "cli/avp.h"

int main(int argc, char **argv)
{
	return command_main(&command_avp, argc, argv);
}

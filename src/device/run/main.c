// SPDX-License-Identifier: BSD-3-Clause
/* Where a device's program starts; the build says which one it is. */
#include "device/run/program.h"

extern const struct device_program PROGRAM;

int main(int argc, char **argv)
{
	return device_program_main(&PROGRAM, argc, argv);
}

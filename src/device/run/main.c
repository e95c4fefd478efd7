// SPDX-License-Identifier: BSD-3-Clause
/* main() of a device's program; the build selects the device. */
#include "device/run/program.h"

extern const struct device_program PROGRAM;

int main(int argc, char **argv)
{
	return device_program_main(&PROGRAM, argc, argv);
}

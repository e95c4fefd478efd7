// SPDX-License-Identifier: BSD-3-Clause
/* main() of a service's program; the build selects the service. */
#include "service/run/service.h"

extern const struct service_program PROGRAM;

int main(int argc, char **argv)
{
	return service_program_main(&PROGRAM, argc, argv);
}

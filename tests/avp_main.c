// SPDX-License-Identifier: BSD-3-Clause
#include "avp_main.h"

#include <stdio.h>
#include <string.h>

#include "cli/avp.h"
#include "device/run/program.h"
#include "service/run/service.h"

/* A NULL follows the last one. */
extern const struct device_program *const all_device_programs[];
extern const struct service_program *const all_service_programs[];

int avp_main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	bool word = argc > 2 && (!strcmp(argv[1], "device") || !strcmp(argv[1], "service"));
	char name[64];

	snprintf(name, sizeof(name), "%s%s%s", word ? argv[1] : "", word ? "-" : "",
		 word  ? argv[2] :
		 slash ? slash + 1 :
			 argv[0]);
	for (size_t i = 0; all_device_programs[i]; i++)
		if (!strcmp(all_device_programs[i]->type->program.program, name))
			return device_program_main(all_device_programs[i], argc - (word ? 2 : 0),
						   argv + (word ? 2 : 0));
	for (size_t i = 0; all_service_programs[i]; i++)
		if (!strcmp(all_service_programs[i]->type->program.program, name))
			return service_program_main(all_service_programs[i], argc - (word ? 2 : 0),
						    argv + (word ? 2 : 0));
	return command_main(&command_avp, argc, argv);
}

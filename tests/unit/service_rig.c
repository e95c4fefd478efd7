// SPDX-License-Identifier: BSD-3-Clause
/* A service in the test's process. */
#include "unit/service_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int service_rig_open(struct service_rig *rig, const struct service_program *program, void *options,
		     const struct option_list *given, const char *config)
{
	struct error error;
	int result;

	scratch_make(&rig->scratch);
	snprintf(rig->socket_path, sizeof(rig->socket_path), "%s",
		 scratch_path(&rig->scratch, "service.sock"));
	rig->serving = (struct service_options){.socket_path = rig->socket_path};
	if (config) {
		snprintf(rig->config_path, sizeof(rig->config_path), "%s",
			 scratch_write(&rig->scratch, "service.json", config, strlen(config)));
		rig->serving.config = rig->config_path;
	}
	result = service_open(&rig->service, program, options, given, &rig->serving, &error);
	if (result < 0)
		print_message("%s\n", error.message);
	return result;
}

void service_rig_close(struct service_rig *rig)
{
	service_close(&rig->service);
	scratch_remove(&rig->scratch);
}

int service_rig_join(struct service_rig *rig, const char *name)
{
	struct error error;
	int pair[2], result;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	result = service_add_client(&rig->service, name, pair[0], &error);
	if (result == 0)
		return pair[1];
	close(pair[1]);
	return result;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bytes as the configuration file of each service: what is read has limits that its type accepts,
 * and clients with names; mistakes have a message.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"
#include "promise.h"
#include "service/run/service_config.h"

static void read_as(const struct service_type *type, const char *path)
{
	const struct option_list given = {0};
	void *options = calloc(1, type->options_size);
	struct service_config config;
	struct error error = {0};

	if (service_config_read(&config, type, options, &given, path, &error) < 0) {
		PROMISE(error.code > 0 && error.message[0]);
	} else {
		PROMISE(config.client_count <= SERVICE_CLIENTS_MAX);
		PROMISE(config.listed || config.client_count == 0);
		for (size_t i = 0; i < config.client_count; i++) {
			PROMISE(text_is_name(config.clients[i].name));
			PROMISE(service_config_client(&config, config.clients[i].name) ==
				config.clients[i].options);
		}
		PROMISE(!service_config_client(&config, "no client has such a name") ==
			config.listed);
	}
	service_config_clear(&config);
	option_clear(type->options, options);
	free(options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int file = -1;
	static char path[32];

	if (file < 0) {
		file = memfd_create("config", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	}
	PROMISE(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
	for (size_t i = 0; service_types[i]; i++)
		read_as(service_types[i], path);
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
/* The configuration file of a service. */
#include "service/run/service_config.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "host/json_file.h"
#include "host/option_json.h"

#define FILE_SIZE_MAX (1 << 20)

/* A struct of @size bytes with the defaults of @rows; NULL with *error set. */
static void *new_options(const struct option_row *rows, size_t size, struct error *error)
{
	void *options = calloc(1, size);

	if (!options)
		error_set(error, ENOMEM, "out of memory");
	else if (option_set_defaults(rows, options, error) < 0)
		free(take_pointer(options));
	return options;
}

static void free_options(const struct option_row *rows, void *options)
{
	if (!options)
		return;
	option_clear(rows, options);
	free(options);
}

static int read_object(const struct option_row *rows, void *options, json_t *object,
		       const struct json_location *location, struct error *error)
{
	const struct option_target targets[] = {{rows, options}, {NULL, NULL}};
	const char *const none[] = {NULL};

	if (!json_is_object(object))
		return json_refuse_type(object, location, "an object", error);
	return option_set_json_object(targets, none, object, location, error);
}

static int check(int (*check_options)(const void *options, struct error *error),
		 const void *options, const char *source, const char *key, struct error *error)
{
	int result = check_options ? check_options(options, error) : 0;

	if (result < 0 && source)
		error_prefix(error, "%s: %s", source, key);
	else if (result < 0)
		error_set_usage(error, "--%s", error->message);
	return result;
}

static int read_client(struct service_config *config, const char *name, json_t *object,
		       const struct json_location *location, struct error *error)
{
	const struct service_type *type = config->type;
	void *options;
	int result;

	if (!text_is_name(name) || strlen(name) >= SERVICE_NAME_SIZE)
		return error_set_usage(error,
				       "%s: %s: a client's name has at most %d letters, digits, "
				       "'.', '_' and '-'",
				       location->source, location->key, SERVICE_NAME_SIZE - 1);
	if (config->client_count == SERVICE_CLIENTS_MAX)
		return error_set_usage(error, "%s: %s: there are more than %d clients",
				       location->source, SERVICE_CLIENTS_KEY, SERVICE_CLIENTS_MAX);
	options = new_options(type->client_options, type->client_options_size, error);
	if (!options)
		return -error->code;
	config->clients[config->client_count].options = options;
	config->clients[config->client_count].name = strdup(name);
	if (!config->clients[config->client_count++].name)
		return error_set(error, ENOMEM, "out of memory");
	result = read_object(type->client_options, options, object, location, error);
	return result < 0 ?
		       result :
		       check(type->check_client, options, location->source, location->key, error);
}

static int read_clients(struct service_config *config, json_t *clients,
			const struct json_location *location, struct error *error)
{
	const char *name;
	json_t *object;
	int result = 0;

	if (!json_is_object(clients))
		return json_refuse_type(clients, location, "an object", error);
	config->listed = true;
	json_object_foreach(clients, name, object) {
		struct json_location client = *location;
		char key[128];

		snprintf(key, sizeof(key), "%s.%.80s", SERVICE_CLIENTS_KEY, name);
		client.key = key;
		result = read_client(config, name, object, &client, error);
		if (result < 0)
			break;
	}
	return result;
}

static int read_file(struct service_config *config, const char *path, struct error *error)
{
	const struct service_type *type = config->type;
	cleanup_json json_t *whole = NULL;
	cleanup_free char *copy = strdup(path);
	struct json_location location = {.source = path, .key = ""};
	const char *key;
	json_t *value;
	int result = copy ? json_file_load(path, FILE_SIZE_MAX, &whole, error) :
			    error_set(error, ENOMEM, "out of memory");

	if (result == 0 && !json_is_object(whole))
		result = json_refuse_type(whole, &location, "an object", error);
	if (result < 0)
		return result;
	location.directory = dirname(copy);
	json_object_foreach(whole, key, value) {
		location.key = key;
		if (!strcmp(key, type->key))
			result = read_object(type->options, config->options, value, &location,
					     error);
		else if (!strcmp(key, SERVICE_CLIENTS_KEY))
			result = read_clients(config, value, &location, error);
		else
			result = error_set_usage(error,
						 "%s: %.80s: is an unknown key; give '%s' and '%s'",
						 path, key, type->key, SERVICE_CLIENTS_KEY);
		if (result < 0)
			return result;
	}
	return 0;
}

int service_config_read(struct service_config *config, const struct service_type *type,
			void *options, const struct option_list *given, const char *path,
			struct error *error)
{
	int result;

	*config = (struct service_config){
		.type = type,
		.options = new_options(type->options, type->options_size, error),
		.client_options =
			new_options(type->client_options, type->client_options_size, error),
	};
	if (!config->options || !config->client_options)
		return -ENOMEM;
	result = path ? read_file(config, path, error) : 0;
	if (result < 0)
		return result;
	for (const struct option_row *row = type->options; row->name; row++)
		if (option_list_has(given, row->name))
			option_move(row, options, config->options);
	result = option_check_required(type->options, config->options, NULL, error);
	if (result == 0)
		result = check(type->check, config->options, path, type->key, error);
	return result;
}

const void *service_config_client(const struct service_config *config, const char *name)
{
	if (!config->listed)
		return config->client_options;
	for (size_t i = 0; i < config->client_count; i++)
		if (!strcmp(config->clients[i].name, name))
			return config->clients[i].options;
	return NULL;
}

void service_config_clear(struct service_config *config)
{
	if (!config->type)
		return;
	free_options(config->type->options, config->options);
	free_options(config->type->client_options, config->client_options);
	while (config->client_count > 0) {
		free(config->clients[--config->client_count].name);
		free_options(config->type->client_options,
			     config->clients[config->client_count].options);
	}
	config->type = NULL;
}

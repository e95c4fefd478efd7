// SPDX-License-Identifier: BSD-3-Clause
/* The JSON schema of the configuration file of a service. */
#include "service/kit/service_schema.h"

#include "host/option_schema.h"

static json_t *rows_schema(const char *description, const struct option_row *rows, bool *failed)
{
	json_t *properties = json_object(), *required = json_array();

	schema_put_rows(properties, required, rows, failed);
	return schema_object(description, properties, required);
}

static json_t *clients_schema(const struct service_type *type, bool *failed)
{
	return json_pack("{s:s, s:s, s:i, s:{s:s, s:i}, s:o}", "description",
			 "the clients that may join, by their names", "type", "object",
			 "maxProperties", SERVICE_CLIENTS_MAX, "propertyNames", "pattern",
			 SCHEMA_NAME_PATTERN, "maxLength", SERVICE_NAME_SIZE - 1,
			 "additionalProperties",
			 rows_schema("what the client may do", type->client_options, failed));
}

json_t *service_schema(const struct service_type *type)
{
	json_t *properties = json_object();
	bool failed = false;
	json_t *schema;

	schema_put(properties, type->key, rows_schema(type->summary, type->options, &failed),
		   &failed);
	schema_put(properties, SERVICE_CLIENTS_KEY, clients_schema(type, &failed), &failed);
	schema = schema_object("the configuration file of the service", properties, json_array());
	schema_put(schema, "$schema", json_string(SCHEMA_DRAFT), &failed);
	schema_put(schema, "title", json_string(type->name), &failed);
	if (failed) {
		json_decref(schema);
		return NULL;
	}
	return schema;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The JSON schema of the `avp` object of a bundle, made from the same tables that its parser reads.
 */
#include "guest/config/schema.h"

#include <stdbool.h>

#include "guest/config/config.h"
#include "host/option_schema.h"

static json_t *device_schema(const struct device_type *type, bool *failed)
{
	json_t *properties = json_object();
	json_t *required = json_array();

	schema_put(properties, "type",
		   json_pack("{s:s, s:s}", "const", type->name, "description",
			     "the type of the device"),
		   failed);
	schema_append(required, json_string("type"), failed);
	schema_put_rows(properties, required, device_option_rows, failed);
	schema_put_rows(properties, required, type->options, failed);
	return schema_object(type->summary, properties, required);
}

static json_t *devices_schema(bool *failed)
{
	json_t *types = json_array();

	for_each_device_type(type)
		schema_append(types, device_schema(type, failed), failed);
	return json_pack("{s:s, s:s, s:i, s:{s:o}}", "description",
			 "the devices of the guest, in the order in which it finds them", "type",
			 "array", "maxItems", GUEST_DEVICES_MAXIMUM, "items", "oneOf", types);
}

json_t *bundle_schema(void)
{
	json_t *properties = json_object();
	json_t *required = json_array();
	bool failed = false;
	json_t *schema;

	schema_put_rows(properties, required, guest_option_rows, &failed);
	schema_put(properties, "devices", devices_schema(&failed), &failed);
	schema = schema_object("AVP's own part of an OCI bundle's config.json", properties,
			       required);
	schema_put(schema, "$schema", json_string(SCHEMA_DRAFT), &failed);
	schema_put(schema, "title", json_string("avp"), &failed);
	if (failed) {
		json_decref(schema);
		return NULL;
	}
	return schema;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * A bundle to start from, made from the option tables.
 */
#include "guest/config/bundle_example.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "guest/config/bundle.h"
#include "guest/config/config.h"
#include "host/json_file.h"
#include "host/option_json.h"

/* Splits a text into an array of its words. */
static json_t *split_words(const char *text)
{
	json_t *array = json_array();

	while (*text) {
		size_t length = strcspn(text, " ");

		json_array_append_new(array, json_stringn(text, length));
		text += length;
		text += strspn(text, " ");
	}
	return array;
}

/* Sets a key such as vm.kernel.path, and makes the objects on the way. */
static int put_value(json_t *object, const char *key, json_t *value)
{
	const char *dot;

	while ((dot = strchr(key, '.'))) {
		char name[40];
		json_t *next;

		snprintf(name, sizeof(name), "%.*s", (int)(dot - key), key);
		next = json_object_get(object, name);
		if (!next) {
			next = json_object();
			if (json_object_set_new(object, name, next) < 0) {
				json_decref(value);
				return -1;
			}
		}
		object = next;
		key = dot + 1;
	}
	return json_object_set_new(object, key, value);
}

/* Writes the guest's own options: values and defaults, else the examples of their rows. */
static int put_guest(json_t *bundle, json_t *avp, const struct guest_config *config)
{
	for (const struct option_row *row = guest_option_rows; row->name; row++) {
		json_t *value;
		int result;

		value = row->words ? NULL : option_to_json(row, config);
		if (!value && row->words && row->example)
			value = split_words(row->example);
		else if (!value && row->example)
			value = json_string(row->example);
		if (!value)
			continue;
		result = row->bundle_key ? put_value(bundle, row->bundle_key, value) :
					   json_object_set_new(avp, row->name, value);
		if (result < 0)
			return result;
	}
	return 0;
}

static int put_rows(json_t *object, const struct option_row *rows, const void *options)
{
	for (const struct option_row *row = rows; row->name; row++) {
		json_t *value = option_to_json(row, options);

		if (value && json_object_set_new(object, row->name, value) < 0)
			return -1;
	}
	return 0;
}

static json_t *device_to_json(const struct device_config *device)
{
	json_t *object = json_pack("{s:s}", "type", device->type->name);

	if (object && put_rows(object, device_option_rows, device) == 0 &&
	    put_rows(object, device->type->options, device->options) == 0)
		return object;
	json_decref(object);
	return NULL;
}

static int add_devices(struct guest_config *config, struct error *error)
{
	for_each_device_type(type) {
		int result = 0;

		if (type->example)
			result = guest_config_parse_device(config, type, type->example, error);
		if (result < 0)
			return result;
	}
	return guest_config_name_devices(config, error);
}

static int set_kernel(struct guest_config *config, const struct host_kernel *kernel,
		      struct error *error)
{
	int result = text_replace(&config->kernel, kernel->kernel, strlen(kernel->kernel), error);

	if (result == 0)
		result = text_replace(&config->initrd, kernel->initrd, strlen(kernel->initrd),
				      error);
	return result;
}

int bundle_example(json_t **bundle, const struct host_kernel *kernel, struct error *error)
{
	cleanup_guest_config struct guest_config config = {0};
	cleanup_json json_t *root = json_pack("{s:s}", "ociVersion", BUNDLE_OCI_VERSION);
	cleanup_json json_t *avp = json_object();
	cleanup_json json_t *devices = json_array();
	int result = guest_config_init(&config, error);

	if (result == 0)
		result = add_devices(&config, error);
	if (result == 0 && kernel)
		result = set_kernel(&config, kernel, error);
	if (result < 0)
		return result;

	if (put_guest(root, avp, &config) < 0)
		return error_set(error, ENOMEM, "out of memory");
	for (size_t i = 0; i < config.device_count; i++)
		if (json_array_append_new(devices, device_to_json(&config.devices[i])) < 0)
			return error_set(error, ENOMEM, "out of memory");
	if (json_object_set(avp, "devices", devices) < 0 || json_object_set(root, "avp", avp) < 0)
		return error_set(error, ENOMEM, "out of memory");
	*bundle = json_incref(root);
	return 0;
}

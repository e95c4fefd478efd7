// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of configuration that people and other programs write: the config.json of a bundle,
 * and the option list of a device. An input that starts with the name of a device type and a space
 * is that device's option list ("block disk.img,readonly"), any other is a config.json.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guest/config/bundle.h"
#include "guest/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* Every mistake gives one line that a person can act on, and exit status 2. */
static void check_error(const struct error *error)
{
	require(error->usage && error->code > 0 && error->message[0]);
	for (const char *letter = error->message; *letter; letter++)
		require((unsigned char)*letter >= 0x20 && *letter != 0x7f);
}

/* Checks the limits of the option tables for a device that was read without an error. */
static void check_device(const struct device_config *device)
{
	require(device->type && device->options && device->origin);
	for (const struct option_row *row = device->type->options; row->name; row++) {
		uint64_t value;

		if (row->type != OPTION_NUMBER && row->type != OPTION_SIZE)
			continue;
		value = option_number(row, device->options);
		/* Not given, and without a default. */
		if (!value && !row->default_text)
			continue;
		require(value >= row->minimum && (!row->maximum || value <= row->maximum));
		require(!row->power_of_two || !(value & (value - 1)));
	}
	require(option_check_required(device->type->options, device->options, NULL, NULL) == 0);
}

static void check_guest(const struct guest_config *config)
{
	require(config->cpus >= 1 && config->device_count <= GUEST_DEVICES_MAXIMUM);
	for (size_t i = 0; i < config->device_count; i++)
		check_device(&config->devices[i]);
}

static const struct device_type *find_type(const char *text)
{
	for_each_device_type(type) {
		size_t length = strlen(type->name);

		if (!strncmp(text, type->name, length) && text[length] == ' ')
			return type;
	}
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_guest_config struct guest_config config = {0};
	cleanup_free char *text = strndup((const char *)data, size);
	const struct device_type *type = find_type(text);
	struct error error = {0};
	int result;

	log_set_level(LOG_ERROR);
	if (type) {
		require(guest_config_init(&config, &error) == 0);
		result = guest_config_parse_device(&config, type, text + strlen(type->name) + 1,
						   &error);
	} else {
		result = bundle_parse((const char *)data, size, "bundle", &config, &error);
	}
	if (result < 0)
		check_error(&error);
	else
		check_guest(&config);
	return 0;
}

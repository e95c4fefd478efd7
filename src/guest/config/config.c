// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest's configuration as a whole: building it device by device, and the checks before
 * anything is started.
 */
#include "guest/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/contract_version.h"
#include "base/file_check.h"
#include "base/log.h"
#include "base/text.h"
#include "guest/config/contract.h"
#include "guest/config/kernel_image.h"

#define GUEST_NAME "guest"

int guest_config_init(struct guest_config *config, struct error *error)
{
	*config = (struct guest_config){0};
	return option_set_defaults(guest_option_rows, config, error);
}

static void device_clear(struct device_config *device)
{
	if (device->options)
		option_clear(device->type->options, device->options);
	free(device->options);
	free(device->name);
	free(device->origin);
	*device = (struct device_config){0};
}

void guest_config_clear(struct guest_config *config)
{
	option_clear(guest_option_rows, config);
	for (size_t i = 0; i < config->device_count; i++)
		device_clear(&config->devices[i]);
	free(config->devices);
	free(config->source);
	for (size_t i = 0; i < config->pinned.count; i++)
		close(config->pinned.fds[i]);
	free(config->pinned.fds);
	*config = (struct guest_config){0};
}

void error_add_origin(const char *origin, struct error *error)
{
	struct error message;

	if (!error)
		return;
	message = *error;
	error_set(error, message.code, "%s%s", origin, message.message);
	error->usage = message.usage;
}

struct device_config *guest_config_add_device(struct guest_config *config,
					      const struct device_type *type, const char *origin,
					      struct error *error)
{
	struct device_config *devices, *device;

	if (config->device_count == GUEST_DEVICES_MAXIMUM) {
		error_set_usage(error, "a guest can have %d devices; omit some",
				GUEST_DEVICES_MAXIMUM);
		error_add_origin(origin, error);
		return NULL;
	}
	devices = reallocarray(config->devices, config->device_count + 1, sizeof(*devices));
	if (!devices) {
		error_set(error, ENOMEM, "out of memory");
		return NULL;
	}
	config->devices = devices;
	device = &devices[config->device_count];
	*device = (struct device_config){.type = type};
	device->options = calloc(1, type->options_size);
	if (!device->options) {
		error_set(error, ENOMEM, "out of memory");
		return NULL;
	}
	if (text_replace(&device->origin, origin, strlen(origin), error) < 0 ||
	    option_set_defaults(type->options, device->options, error) < 0) {
		device_clear(device);
		return NULL;
	}
	config->device_count++;
	return device;
}

int guest_config_parse_device(struct guest_config *config, const struct device_type *type,
			      const char *text, struct error *error)
{
	char where[40], origin[44];
	struct device_config *device;
	int result = 0;

	snprintf(where, sizeof(where), "--%s", type->name);
	snprintf(origin, sizeof(origin), "%s: ", where);
	device = guest_config_add_device(config, type, origin, error);
	if (!device)
		return -(error ? error->code : EINVAL);
	if (*text) {
		const struct option_target targets[] = {
			{type->options, device->options},
			{device_option_rows, device},
			{NULL, NULL},
		};

		result = option_parse_targets(targets, text, type->positional, where, error);
	}
	if (result < 0)
		return result;
	return option_check_required(type->options, device->options, where, error);
}

const char *guest_config_describe_option(const struct guest_config *config, const char *name,
					 char *buffer, size_t size)
{
	const struct option_row *row = option_find(guest_option_rows, name, strlen(name));
	bool overridden = config->overridden & 1U << (row - guest_option_rows);

	if (!config->source || overridden)
		snprintf(buffer, size, "--%s", name);
	else if (row->bundle_key)
		snprintf(buffer, size, "%s: %s", config->source, row->bundle_key);
	else
		snprintf(buffer, size, "%s: avp.%s", config->source, name);
	return buffer;
}

const char *guest_config_watchdog(const struct guest_config *config)
{
	if (config->watchdog == GUEST_WATCHDOG_AUTO)
		return guest_watchdog_choices[GUEST_WATCHDOG_RESET];
	return guest_watchdog_choices[config->watchdog];
}

/* Firmware excludes kernel, initial file system and command line. */
static int check_firmware(const struct guest_config *config, struct error *error)
{
	char where[200];
	uint64_t size;
	int result;

	guest_config_describe_option(config, "firmware", where, sizeof(where));
	if (config->kernel || config->initrd || config->append)
		return error_set_usage(error,
				       "%s: finds the kernel itself; give either firmware, or a "
				       "kernel, initial file system and command line",
				       where);
	result = file_check(where, config->firmware, O_RDONLY, false, &size, error);
	if (result == 0 && size == 0)
		result = error_set_usage(error, "%s: %s: is empty; give firmware", where,
					 config->firmware);
	return result;
}

static int check_boot_files(struct guest_config *config, struct error *error)
{
	char where[200];
	struct kernel_image image;
	uint64_t kernel_size, initrd_size = 0, needed;
	int result;

	if (config->firmware)
		return check_firmware(config, error);
	guest_config_describe_option(config, "kernel", where, sizeof(where));
	if (!config->kernel)
		return error_set_usage(error, "%s: is missing; give the guest's kernel", where);
	result = file_check(where, config->kernel, O_RDONLY, false, &kernel_size, error);
	if (result < 0)
		return result;
	result = kernel_image_check(config->kernel, &image, error);
	if (result < 0) {
		error_prefix(error, "%s: %s", where, config->kernel);
		return result;
	}
	needed = image.memory;
	config->kernel_format = image.format;
	config->command_line_maximum = image.command_line;
	if (config->initrd) {
		guest_config_describe_option(config, "initrd", where, sizeof(where));
		result = file_check(where, config->initrd, O_RDONLY, false, &initrd_size, error);
		if (result < 0)
			return result;
		if (!initrd_size)
			return error_set_usage(error,
					       "%s: %s: is empty; give an initial file "
					       "system, or omit the option",
					       where, config->initrd);
	}
	if (needed < kernel_size)
		needed = kernel_size;
	/* No size in a file can make this wrap. */
	if (needed > config->memory || initrd_size > config->memory - needed)
		return error_set_usage(error,
				       "%s: %" PRIu64 " bytes cannot hold the kernel and the "
				       "initial file system; give more",
				       guest_config_describe_option(config, "memory", where,
								    sizeof(where)),
				       config->memory);
	return 0;
}

/* As contract_compare; *error also says where the contract was given. */
static int check_contract(const struct guest_config *config, struct error *error)
{
	char where[200];
	int result = contract_compare(config->contract, CONTRACT_VERSION, CONTRACT_PROFILES, error);

	if (result < 0)
		error_prefix(error, "%s",
			     guest_config_describe_option(config, "contract", where,
							  sizeof(where)));
	return result;
}

static void warn_of_other_contract(const struct guest_config *config)
{
	char where[200];

	log_warning(
		"%s: the guest was built for version %s of the contract, this is " CONTRACT_VERSION
		": features may be missing",
		guest_config_describe_option(config, "contract", where, sizeof(where)),
		config->contract);
}

/* Memory is overcommitted: the guest starts, and is killed when it uses too much. */
static void warn_of_small_host(const struct guest_config *config)
{
	char where[200], wanted[TEXT_SIZE_LENGTH], there[TEXT_SIZE_LENGTH];
	struct sysinfo host;
	uint64_t bytes;

	if (sysinfo(&host) < 0)
		return;
	bytes = ((uint64_t)host.totalram + host.totalswap) * host.mem_unit;
	if (config->memory > bytes)
		log_warning("%s: %s is more than this host has, %s with swap: a guest that uses "
			    "it will be killed",
			    guest_config_describe_option(config, "memory", where, sizeof(where)),
			    text_format_size(wanted, config->memory),
			    text_format_size(there, bytes & ~UINT64_C(0xfffff)));
}

static const struct device_config *find_device(const struct guest_config *config, const char *name)
{
	for (size_t i = 0; i < config->device_count; i++)
		if (config->devices[i].name && !strcmp(config->devices[i].name, name))
			return &config->devices[i];
	return NULL;
}

static int refuse_names_used_twice(const struct guest_config *config, struct error *error)
{
	for (size_t i = 0; i < config->device_count; i++) {
		const struct device_config *device = &config->devices[i];
		int result;

		if (!device->name || find_device(config, device->name) == device)
			continue;
		result = error_set_usage(error,
					 "name: another device is named '%s' already; give each a "
					 "unique name",
					 device->name);
		error_add_origin(device->origin, error);
		return result;
	}
	return 0;
}

int guest_config_name_devices(struct guest_config *config, struct error *error)
{
	for (size_t i = 0; i < config->device_count; i++) {
		struct device_config *device = &config->devices[i];
		cleanup_free char *name = NULL;
		size_t number = 0;

		if (device->name)
			continue;
		do {
			if (text_replace_format(&name, error, "%s%zu", device->type->name,
						number++) < 0)
				return -ENOMEM;
		} while (find_device(config, name));
		device->name = take_pointer(name);
	}
	return 0;
}

static bool uses_terminal(const struct device_config *device)
{
	return device->type->uses_terminal && device->type->uses_terminal(device->options);
}

const struct device_config *guest_config_terminal(const struct guest_config *config)
{
	for (size_t i = 0; i < config->device_count; i++)
		if (uses_terminal(&config->devices[i]))
			return &config->devices[i];
	return NULL;
}

static int refuse_shared_terminal(const struct guest_config *config, size_t index,
				  struct error *error)
{
	const struct device_config *device = &config->devices[index];
	const struct device_config *first = guest_config_terminal(config);
	int result;

	if (device == first || !uses_terminal(device))
		return 0;
	result = error_set_usage(error,
				 "port: the terminal is the console of %s already; connect this "
				 "one to a socket, for example",
				 first->name);
	error_add_origin(device->origin, error);
	return result;
}

static int check_devices(const struct guest_config *config, struct error *error)
{
	for (size_t i = 0; i < config->device_count; i++) {
		const struct device_config *device = &config->devices[i];
		int result;

		if (device->type->check) {
			result = device->type->check(device->options, error);
			if (result < 0) {
				error_add_origin(device->origin, error);
				return result;
			}
		}
		result = refuse_shared_terminal(config, i, error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Has the type complete the options of its devices. */
static int complete_devices(const struct guest_config *config, const struct device_type *type,
			    struct device_peer *peers, struct error *error)
{
	size_t count = 0, index = 0;

	for (size_t i = 0; i < config->device_count; i++)
		if (config->devices[i].type == type)
			peers[count++] = (struct device_peer){config->devices[i].name,
							      config->devices[i].options};
	for (size_t i = 0; i < config->device_count; i++) {
		int result = 0;

		if (config->devices[i].type == type)
			result = type->complete(peers, count, index++, config->name, error);
		if (result < 0) {
			error_add_origin(config->devices[i].origin, error);
			return result;
		}
	}
	return 0;
}

static int complete_all(const struct guest_config *config, struct error *error)
{
	cleanup_free struct device_peer *peers = calloc(config->device_count + 1, sizeof(*peers));
	int result = 0;

	if (!peers)
		return error_set(error, ENOMEM, "out of memory");
	for_each_device_type(type)
		if (result == 0 && type->complete)
			result = complete_devices(config, type, peers, error);
	return result;
}

/* A generated guest name depends on which guests run, and MAC addresses depend on the name. */
void guest_config_hint(const struct guest_config *config)
{
	static const uint8_t not_given[6];

	for (size_t i = 0; config->unnamed && i < config->device_count; i++) {
		const struct device_config *device = &config->devices[i];

		for (const struct option_row *row = device->type->options; row->name; row++) {
			const char *value = (const char *)device->options + row->offset;

			if (row->type != OPTION_MAC || memcmp(value, not_given, sizeof(not_given)))
				continue;
			log_info("%s: its MAC address may change at the next start, as the guest "
				 "has no name; give --name, or the device's %s",
				 device->name, row->name);
			return;
		}
	}
}

int guest_config_check(struct guest_config *config, struct error *error)
{
	bool other_contract;
	int result = 0;

	config->unnamed = !config->name;
	if (config->unnamed)
		result = text_replace(&config->name, GUEST_NAME, strlen(GUEST_NAME), error);
	if (result == 0)
		result = check_contract(config, error);
	other_contract = result > 0;
	if (result >= 0)
		result = check_boot_files(config, error);
	if (result == 0)
		result = refuse_names_used_twice(config, error);
	if (result == 0)
		result = guest_config_name_devices(config, error);
	if (result == 0)
		result = check_devices(config, error);
	if (result == 0)
		result = complete_all(config, error);
	if (result < 0)
		return result;
	/* Warn only when there is no error. */
	if (other_contract)
		warn_of_other_contract(config);
	warn_of_small_host(config);
	return 0;
}

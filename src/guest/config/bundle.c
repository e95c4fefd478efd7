// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads an OCI bundle (runtime-spec 1.3, config.md and config-vm.md) as a guest.
 *
 * From the `vm` object come kernel, image and hwConfig, by the bundle keys of guest_option_rows;
 * the object `avp`, or the annotation org.avp.config instead of it, gives the rest. A key that asks
 * for what AVP cannot do is refused. What the specification lets a runtime ignore is ignored:
 * process, root, mounts and linux describe a container inside the guest.
 */
#include "guest/config/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "guest/config/confined_file.h"
#include "host/json_file.h"
#include "host/option_json.h"

#define IMAGE_DEVICE_NAME "image"
#define KEY_LENGTH	  200

/* State of reading a bundle. */
struct bundle {
	const char *directory;
	int directory_fd;   /* opened once, as the path may change; -1: not there */
	const char *source; /* the config.json */
	json_t *root;
	struct guest_config *config;
};

static int check_oci_version(const struct bundle *bundle, struct error *error)
{
	struct json_location location = {.source = bundle->source, .key = "ociVersion"};
	const json_t *version = json_object_get(bundle->root, location.key);
	const char *text;

	if (!version)
		return error_set_usage(error,
				       "%s: ociVersion: is missing; add \"ociVersion\": "
				       "\"" BUNDLE_OCI_VERSION "\"",
				       bundle->source);
	if (!json_is_string(version))
		return json_refuse_type(version, &location, "a string", error);
	text = json_string_value(version);
	if (strncmp(text, "1.", 2) || text[2] < '0' || text[2] > '9')
		return error_set_usage(error,
				       "%s: ociVersion: '%.40s' is not supported; write the bundle "
				       "to version " BUNDLE_OCI_VERSION,
				       bundle->source, text);
	return 0;
}

/*
 * Finds the value of a key such as vm.kernel.path; *value is NULL when there is none. Its parents
 * must be objects.
 */
static int find_value(const struct bundle *bundle, const char *key, json_t **value,
		      struct error *error)
{
	const char *part = key;

	*value = bundle->root;
	while (*value) {
		size_t length = strcspn(part, ".");
		char name[KEY_LENGTH], parent[KEY_LENGTH];

		if (!json_is_object(*value)) {
			struct json_location location = {.source = bundle->source, .key = parent};

			snprintf(parent, sizeof(parent), "%.*s", (int)(part - key - 1), key);
			return json_refuse_type(*value, &location, "an object", error);
		}
		snprintf(name, sizeof(name), "%.*s", (int)length, part);
		*value = json_object_get(*value, name);
		if (!part[length])
			break;
		part += length + 1;
	}
	return 0;
}

/* As find_value, for a string; *text is NULL when there is none. */
static int find_string(const struct bundle *bundle, const char *key, const char **text,
		       struct error *error)
{
	struct json_location location = {.source = bundle->source, .key = key};
	json_t *value;
	int result = find_value(bundle, key, &value, error);

	*text = NULL;
	if (result < 0 || !value)
		return result;
	if (!json_is_string(value))
		return json_refuse_type(value, &location, "a string", error);
	*text = json_string_value(value);
	return 0;
}

static int require_absolute(const struct bundle *bundle, const char *key, const char *path,
			    struct error *error)
{
	if (*path == '/')
		return 0;
	return error_set_usage(error,
			       "%s: %s: '%.80s' must be an absolute path, as OCI has it; start it "
			       "with /",
			       bundle->source, key, path);
}

/* Some programs write every key of the specification; an empty string counts as not given. */
static bool is_empty(const json_t *value)
{
	return json_is_string(value) && !json_string_length(value);
}

/* Takes vm.hwConfig from its annotation, if the object does not have it. */
static int take_hardware(const struct bundle *bundle, struct error *error)
{
	json_t *vm = json_object_get(bundle->root, "vm"), *hardware;
	struct json_location location = {.source = bundle->source,
					 .key = "annotations." BUNDLE_HARDWARE_ANNOTATION};
	cleanup_free char *source = NULL;
	const json_t *annotation = json_object_get(json_object_get(bundle->root, "annotations"),
						   BUNDLE_HARDWARE_ANNOTATION);
	int result;

	if (!annotation || !json_is_object(vm) || json_object_get(vm, "hwConfig"))
		return 0;
	if (!json_is_string(annotation))
		return json_refuse_type(annotation, &location, "a string", error);
	if (text_replace_format(&source, error, "%s: %s", location.source, location.key) < 0)
		return -ENOMEM;
	result = json_text_load(json_string_value(annotation), json_string_length(annotation),
				source, &hardware, error);
	if (result == 0 && json_object_set_new(vm, "hwConfig", hardware))
		result = error_set(error, ENOMEM, "out of memory");
	return result;
}

/* Reads the guest's own options that belong in the `vm` object. */
static int read_vm_options(const struct bundle *bundle, struct error *error)
{
	for (const struct option_row *row = guest_option_rows; row->name; row++) {
		struct json_location location = {.source = bundle->source, .key = row->bundle_key};
		json_t *value;
		int result;

		if (!row->bundle_key)
			continue;
		result = find_value(bundle, row->bundle_key, &value, error);
		if (result == 0 && is_empty(value))
			continue;
		if (result == 0 && value)
			result = option_set_json(row, bundle->config, value, &location, error);
		if (result == 0 && value && row->type == OPTION_PATH)
			result = require_absolute(bundle, row->bundle_key, json_string_value(value),
						  error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* The type of the disk that a guest boots from. */
static const struct device_type *find_image_type(void)
{
	for_each_device_type(type)
		if (type->vm_image)
			return type;
	return NULL;
}

static int set_option(const struct device_config *device, const char *name, const char *value,
		      struct error *error)
{
	const struct option_row *row = option_find(device->type->options, name, strlen(name));

	return option_set(row, device->options, value, name, error);
}

/* The image is the disk that the guest boots from: its first block device. */
static int read_vm_image(const struct bundle *bundle, struct error *error)
{
	const struct device_type *type = find_image_type();
	cleanup_free char *origin = NULL;
	const char *path, *format;
	struct device_config *device;
	json_t *image;
	int result = find_value(bundle, "vm.image", &image, error);

	if (result < 0 || !image)
		return result;
	result = find_string(bundle, "vm.image.path", &path, error);
	if (result == 0)
		result = find_string(bundle, "vm.image.format", &format, error);
	if (result < 0)
		return result;
	if (path && !*path && (!format || !*format))
		return 0;
	if (!path || !*path)
		return error_set_usage(error,
				       "%s: vm.image.path: is missing; give the guest's disk, or "
				       "remove vm.image",
				       bundle->source);
	result = require_absolute(bundle, "vm.image.path", path, error);
	if (result < 0)
		return result;
	if (format && !*format)
		format = NULL;
	if (format && strcmp(format, "raw"))
		return error_set_usage(error,
				       "%s: vm.image.format: '%.40s' is not supported; convert the "
				       "image: qemu-img convert -O raw",
				       bundle->source, format);

	if (text_replace_format(&origin, error, "%s: vm.image: ", bundle->source) < 0)
		return -ENOMEM;
	device = guest_config_add_device(bundle->config, type, origin, error);
	if (!device)
		return -ENOMEM;
	if (format)
		result = set_option(device, "format", format, error);
	if (result == 0)
		result = set_option(device, type->vm_image, path, error);
	if (result == 0)
		result = text_replace(&device->name, IMAGE_DEVICE_NAME, strlen(IMAGE_DEVICE_NAME),
				      error);
	return result;
}

/* Refuses keys of `vm` that AVP does not support, unless they are empty. */
static int refuse_vm_keys(const struct bundle *bundle, struct error *error)
{
	static const struct {
		const char *key;
		const char *reason;
	} refused[] = {
		{"vm.hypervisor.parameters", "AVP writes the hypervisor's command line itself"},
		{"vm.hwConfig.deviceTree", "AVP describes the guest's hardware itself"},
		{"vm.hwConfig.dtdevs", "AVP hands no hardware of the host to a guest"},
		{"vm.hwConfig.iomems", "AVP hands no hardware of the host to a guest"},
		{"vm.hwConfig.irqs", "AVP hands no hardware of the host to a guest"},
	};
	const char *hypervisor;
	int result;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		json_t *value;

		result = find_value(bundle, refused[i].key, &value, error);
		if (result < 0)
			return result;
		if (value && !is_empty(value) && !(json_is_array(value) && !json_array_size(value)))
			return error_set_usage(error, "%s: %s: is not supported: %s; remove it",
					       bundle->source, refused[i].key, refused[i].reason);
	}
	result = find_string(bundle, "vm.hypervisor.path", &hypervisor, error);
	if (result == 0 && hypervisor && *hypervisor)
		log_warning("%s: vm.hypervisor.path: is ignored; avp.engine chooses the "
			    "hypervisor",
			    bundle->source);
	return result;
}

static const char *list_device_types(char *buffer, size_t size)
{
	size_t length = 0;

	for_each_device_type(type)
		if (length < size)
			length += (size_t)snprintf(buffer + length, size - length, "%s%s",
						   type == device_types[0] ? "" : ", ", type->name);
	return buffer;
}

static int read_device_type(const json_t *object, const struct json_location *location,
			    const struct device_type **type, struct error *error)
{
	const json_t *value = json_object_get(object, "type");
	char key[KEY_LENGTH];
	struct json_location type_location = {.source = location->source, .key = key};
	struct text_match match = {0};
	char types[160];

	snprintf(key, sizeof(key), "%s.type", location->key);
	if (!value)
		return error_set_usage(error,
				       "%s: %s: is missing; add the type of the device, one of: %s",
				       location->source, key,
				       list_device_types(types, sizeof(types)));
	if (!json_is_string(value))
		return json_refuse_type(value, &type_location, "a string", error);
	*type = device_type_find(json_string_value(value));
	if (*type)
		return 0;

	match.word = json_string_value(value);
	match.length = strlen(match.word);
	for_each_device_type(known)
		text_match_offer(&match, known->name);
	if (match.nearest)
		return error_set_usage(error,
				       "%s: %s: there is no device type '%.40s'; did you mean "
				       "'%s'?",
				       location->source, key, match.word, match.nearest);
	return error_set_usage(error, "%s: %s: there is no device type '%.40s'; give one of: %s",
			       location->source, key, match.word,
			       list_device_types(types, sizeof(types)));
}

static int read_device(const struct bundle *bundle, json_t *object,
		       const struct json_location *location, struct error *error)
{
	static const char *const others[] = {"type", NULL};
	cleanup_free char *origin = NULL;
	const struct device_type *type;
	struct device_config *device;
	int result;

	if (!json_is_object(object))
		return json_refuse_type(object, location, "an object", error);
	result = read_device_type(object, location, &type, error);
	if (result < 0)
		return result;
	result = text_replace_format(&origin, error, "%s: %s.", location->source, location->key);
	if (result < 0)
		return result;
	device = guest_config_add_device(bundle->config, type, origin, error);
	if (!device)
		return -EINVAL;
	{
		const struct option_target targets[] = {
			{type->options, device->options},
			{device_option_rows, device},
			{NULL, NULL},
		};

		result = option_set_json_object(targets, others, object, location, error);
	}
	if (result < 0)
		return result;
	result = option_check_required(type->options, device->options, location->key, error);
	if (result < 0)
		error_prefix(error, "%s", location->source);
	return result;
}

/* Reads the object `avp`; @location says where it was found. */
static int read_avp(const struct bundle *bundle, json_t *avp, const struct json_location *location,
		    struct error *error)
{
	static const char *const others[] = {"devices", NULL};
	const struct option_target targets[] = {{guest_option_rows, bundle->config}, {NULL, NULL}};
	const char *separator = *location->key ? "." : "";
	char key[KEY_LENGTH];
	struct json_location device_location = *location;
	json_t *devices, *device;
	size_t i;
	int result;

	if (!json_is_object(avp))
		return json_refuse_type(avp, location, "an object", error);
	result = option_set_json_object(targets, others, avp, location, error);
	if (result < 0)
		return result;

	devices = json_object_get(avp, "devices");
	if (!devices)
		return 0;
	device_location.key = key;
	snprintf(key, sizeof(key), "%s%sdevices", location->key, separator);
	if (!json_is_array(devices))
		return json_refuse_type(devices, &device_location, "an array of objects", error);
	json_array_foreach(devices, i, device) {
		snprintf(key, sizeof(key), "%s%sdevices[%zu]", location->key, separator, i);
		result = read_device(bundle, device, &device_location, error);
		if (result < 0)
			return result;
	}
	return 0;
}

/*
 * Reads the annotation's value: the object as JSON text, or the absolute path of a file with it.
 * Whoever wrote the annotation may have fewer rights than this process, so the file, and the files
 * that it names, must lie in the bundle.
 */
static int read_annotation(const struct bundle *bundle, const char *value, struct error *error)
{
	cleanup_free char *source = NULL;
	const struct confinement confinement = {
		.directory = bundle->directory_fd,
		.administrator = ADMINISTRATOR_FILE,
		.pinned = &bundle->config->pinned,
	};
	struct json_location location = {
		.key = "",
		.directory = bundle->directory,
		.confinement = &confinement,
		.confine = confined_path_pin,
	};
	cleanup_json json_t *avp = NULL;
	cleanup_fd int fd = -1;
	int result = text_replace_format(&source, error, "%s: annotations." BUNDLE_ANNOTATION,
					 bundle->source);

	if (result < 0)
		return result;
	if (*value == '/') {
		fd = confined_file_open(value, &confinement, source, error);
		if (fd < 0)
			return fd;
		location.source = value;
		result = json_descriptor_load(fd, value, BUNDLE_SIZE_MAXIMUM, &avp, error);
	} else {
		location.source = source;
		result = json_text_load(value, strlen(value), source, &avp, error);
	}
	return result < 0 ? result : read_avp(bundle, avp, &location, error);
}

static int read_avp_or_annotation(const struct bundle *bundle, struct error *error)
{
	struct json_location location = {.source = bundle->source,
					 .key = "avp",
					 .directory = bundle->directory};
	json_t *avp = json_object_get(bundle->root, "avp");
	const json_t *annotations = json_object_get(bundle->root, "annotations");
	const json_t *annotation = json_object_get(annotations, BUNDLE_ANNOTATION);

	if (avp && annotation)
		return error_set_usage(error,
				       "%s: annotations." BUNDLE_ANNOTATION
				       ": is given and avp too; "
				       "remove one of them",
				       bundle->source);
	if (avp)
		return read_avp(bundle, avp, &location, error);
	if (!annotation)
		return 0;
	location.key = "annotations." BUNDLE_ANNOTATION;
	if (!json_is_string(annotation))
		return json_refuse_type(annotation, &location, "a string", error);
	return read_annotation(bundle, json_string_value(annotation), error);
}

/* Names a guest that has no name after its bundle's directory. */
static int set_default_name(const struct bundle *bundle, struct error *error)
{
	cleanup_free char *path = realpath(bundle->directory, NULL);
	const char *base = path ? strrchr(path, '/') + 1 : "";
	int result;

	if (bundle->config->name || !text_is_name(base))
		return 0;
	result = text_replace(&bundle->config->name, base, strlen(base), error);
	return result;
}

/* The most unknown keys with a warning of their own. */
#define WARNINGS_MAXIMUM 10
/* The most keys that an object of the specification has. */
#define KNOWN_KEYS 20

/* The objects of the specification and their keys (config.md, config-vm.md). */
static const struct known_keys {
	const char *object;
	const char *const keys[KNOWN_KEYS];
	/* Other programs add keys here: warn only of those that look like a mistake. */
	bool open;
} known_keys[] = {
	{"",
	 {"ociVersion", "root", "mounts", "process", "hostname", "domainname", "hooks",
	  "annotations", "linux", "solaris", "windows", "zos", "freebsd", "vm", "avp"},
	 true},
	{"annotations", {BUNDLE_ANNOTATION, BUNDLE_HARDWARE_ANNOTATION}, true},
	{"vm", {"hypervisor", "kernel", "image", "hwConfig"}, false},
	{"vm.hypervisor", {"path", "parameters"}, false},
	{"vm.kernel", {"path", "parameters", "initrd"}, false},
	{"vm.image", {"path", "format"}, false},
	{"vm.hwConfig", {"deviceTree", "vcpus", "memory", "dtdevs", "iomems", "irqs"}, false},
};

static void warn_of_key(const struct bundle *bundle, const char *key, const char *nearest,
			unsigned int *count)
{
	if (++*count == WARNINGS_MAXIMUM + 1)
		log_warning("%s: has more unknown keys, which are ignored", bundle->source);
	if (*count > WARNINGS_MAXIMUM)
		return;
	if (nearest)
		log_warning("%s: %s: is an unknown key and ignored; did you mean '%s'?",
			    bundle->source, key, nearest);
	else
		log_warning("%s: %s: is an unknown key and ignored", bundle->source, key);
}

/*
 * Warns of the keys of one object that the specification does not have: it wants them ignored, but
 * most of them are mistakes. @count is the number of warnings so far.
 */
static void check_keys(const struct bundle *bundle, const struct known_keys *known, json_t *object,
		       unsigned int *count)
{
	const char *name;
	json_t *member;

	json_object_foreach(object, name, member) {
		struct text_match match = {.word = name, .length = strlen(name)};
		char key[KEY_LENGTH];
		bool found = false;

		for (size_t i = 0; i < KNOWN_KEYS && known->keys[i]; i++) {
			found |= !strcmp(known->keys[i], name);
			text_match_offer(&match, known->keys[i]);
		}
		snprintf(key, sizeof(key), "%s%s%.80s", known->object, *known->object ? "." : "",
			 name);
		if (!found && (match.nearest || !known->open))
			warn_of_key(bundle, key, match.nearest, count);
	}
}

static void warn_of_unknown_keys(const struct bundle *bundle)
{
	unsigned int count = 0;

	for (size_t i = 0; i < sizeof(known_keys) / sizeof(known_keys[0]); i++) {
		json_t *object = bundle->root;

		/* The reader of a value that is not an object reports it. */
		if (*known_keys[i].object &&
		    find_value(bundle, known_keys[i].object, &object, NULL) < 0)
			continue;
		check_keys(bundle, &known_keys[i], object, &count);
	}
}

static int read_bundle(const struct bundle *bundle, struct error *error)
{
	int result;

	if (!json_is_object(bundle->root))
		return error_set_usage(error, "%s: must be an object, not %s", bundle->source,
				       json_type_name(bundle->root));
	result = check_oci_version(bundle, error);
	if (result == 0)
		result = take_hardware(bundle, error);
	if (result == 0)
		warn_of_unknown_keys(bundle);
	if (result == 0)
		result = read_vm_options(bundle, error);
	if (result == 0)
		result = refuse_vm_keys(bundle, error);
	if (result == 0)
		result = read_vm_image(bundle, error);
	if (result == 0)
		result = read_avp_or_annotation(bundle, error);
	if (result == 0)
		result = set_default_name(bundle, error);
	return result;
}

/* Reads the parsed config.json; takes ownership of @source. */
static int fill_config(json_t *root, const char *directory, int directory_fd, char *source,
		       struct guest_config *config, struct error *error)
{
	struct bundle bundle = {.directory = directory,
				.directory_fd = directory_fd,
				.source = source,
				.root = root,
				.config = config};
	int result = guest_config_init(config, error);

	config->source = source;
	if (result == 0)
		result = read_bundle(&bundle, error);
	if (result < 0)
		guest_config_clear(config);
	return result;
}

int bundle_parse(const char *text, size_t length, const char *directory,
		 struct guest_config *config, struct error *error)
{
	cleanup_free char *source = NULL;
	cleanup_json json_t *root = NULL;
	cleanup_fd int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result;

	*config = (struct guest_config){0};
	result = text_replace_format(&source, error, "%s/" BUNDLE_FILE, directory);
	if (result == 0)
		result = json_text_load(text, length, source, &root, error);
	return result < 0 ? result :
			    fill_config(root, directory, fd, take_pointer(source), config, error);
}

int bundle_load(const char *directory, struct guest_config *config, struct error *error)
{
	cleanup_json json_t *root = NULL;

	return bundle_read(directory, config, &root, error);
}

int bundle_read(const char *directory, struct guest_config *config, json_t **root,
		struct error *error)
{
	cleanup_free char *source = NULL;
	cleanup_fd int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result;

	*config = (struct guest_config){0};
	*root = NULL;
	result = text_replace_format(&source, error, "%s/" BUNDLE_FILE, directory);
	if (result == 0)
		result = json_file_load_at(fd < 0 ? AT_FDCWD : fd, fd < 0 ? source : BUNDLE_FILE,
					   source, BUNDLE_SIZE_MAXIMUM, root, error);
	if (result < 0 && fd >= 0 && faccessat(fd, BUNDLE_FILE, F_OK, 0) < 0 && errno == ENOENT)
		return error_set_usage(error, "%s: there is no such file; `avp spec` writes one",
				       source);
	return result < 0 ? result :
			    fill_config(*root, directory, fd, take_pointer(source), config, error);
}

// SPDX-License-Identifier: BSD-3-Clause
/* Checks that the tables of the types are complete; the build does so when it writes documents. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "device/kit/device_type.h"

/* A bundle has this key besides those of the types. */
#define BUNDLE_TYPE_KEY "type"

static int check_row(const struct device_type *type, const struct option_row *row,
		     struct error *error)
{
	for (const struct option_row *other = type->options; other != row; other++)
		if (!strcmp(other->name, row->name))
			return error_set(error, EINVAL, "%s: two options are named %s", type->name,
					 row->name);
	if (!strcmp(row->name, BUNDLE_TYPE_KEY))
		return error_set(error, EINVAL, "%s: an option may not be named %s", type->name,
				 row->name);
	if (!row->help || !*row->help)
		return error_set(error, EINVAL, "%s: option %s has no help", type->name, row->name);
	if ((row->type == OPTION_FLAG) != !row->argument)
		return error_set(error, EINVAL,
				 "%s: option %s: a flag has no argument, any other type has one",
				 type->name, row->name);
	if (row->offset >= type->options_size)
		return error_set(error, EINVAL, "%s: option %s lies outside its struct", type->name,
				 row->name);
	return 0;
}

static int check_shape(const struct device_type *type, struct error *error)
{
	const struct device_shape *shape = &type->shape;

	if (!shape->virtio_id)
		return error_set(error, EINVAL, "%s: has no VIRTIO id", type->name);
	if (!shape->queues)
		return error_set(error, EINVAL, "%s: has no queues", type->name);
	/* VIRTIO 1.4, 2.7: the size of a split ring is a power of two, at most 32768. */
	if (!shape->queue_size_max || shape->queue_size_max > 32768 ||
	    shape->queue_size_max & (shape->queue_size_max - 1))
		return error_set(error, EINVAL, "%s: its queue size, %u, is not a power of two",
				 type->name, shape->queue_size_max);
	for (size_t i = 1; i < DEVICE_SHAPE_SIZES; i++)
		if (shape->config_sizes[i] && shape->config_sizes[i] >= shape->config_sizes[i - 1])
			return error_set(error, EINVAL,
					 "%s: its configuration sizes are not in falling order",
					 type->name);
	return 0;
}

static int check_texts(const struct device_type *type, struct error *error)
{
	const struct {
		const char *what, *text;
	} texts[] = {
		{"summary", type->summary},
		{"run_row.help", type->run_row.help},
		{"run_row.argument", type->run_row.argument},
		{"vhost_user_type", type->vhost_user_type},
		{"program.program", type->program.program},
		{"program.summary", type->program.summary},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!texts[i].text || !*texts[i].text)
			return error_set(error, EINVAL, "%s: %s is missing", type->name,
					 texts[i].what);
	if (strcmp(type->name, type->program.name))
		return error_set(error, EINVAL, "%s: its program is named %s", type->name,
				 type->program.name);
	return 0;
}

/* Whether the options take the defaults that their rows name. */
static int check_defaults(const struct device_type *type, struct error *error)
{
	void *options = calloc(1, type->options_size);
	int result = options ? option_set_defaults(type->options, options, error) :
			       error_set(error, ENOMEM, "out of memory");

	if (result < 0)
		error_prefix(error, "%s", type->name);
	if (options)
		option_clear(type->options, options);
	free(options);
	return result;
}

static int check_type(const struct device_type *type, struct error *error)
{
	int result = check_texts(type, error);

	if (result == 0)
		result = check_shape(type, error);
	for (const struct option_row *row = type->options; row->name && result == 0; row++)
		result = check_row(type, row, error);
	if (result == 0 && type->positional &&
	    !option_find(type->options, type->positional, strlen(type->positional)))
		result = error_set(error, EINVAL, "%s: there is no option %s", type->name,
				   type->positional);
	if (result == 0 && type->vm_image &&
	    !option_find(type->options, type->vm_image, strlen(type->vm_image)))
		result = error_set(error, EINVAL, "%s: there is no option %s", type->name,
				   type->vm_image);
	if (result == 0)
		result = check_defaults(type, error);
	for (const struct qemu_property *property = type->qemu ? type->qemu->properties : NULL;
	     property && property->name && result == 0; property++)
		if (property->option &&
		    !option_find(type->options, property->option, strlen(property->option)))
			result = error_set(error, EINVAL, "%s: QEMU's %s comes from no option",
					   type->name, property->name);
	return result;
}

int device_types_check(const struct device_type *const *types, struct error *error)
{
	for (size_t i = 0; types[i]; i++) {
		int result;

		if (!types[i]->name || !text_is_name(types[i]->name))
			return error_set(error, EINVAL, "type %zu of the list has no name", i + 1);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(types[j]->name, types[i]->name))
				return error_set(error, EINVAL, "two types are named %s",
						 types[i]->name);
		result = check_type(types[i], error);
		if (result < 0)
			return result;
	}
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The option tables in docs/, in Markdown.
 */
#include "cli/document.h"

#include <inttypes.h>
#include <string.h>

#include "base/option_text.h"
#include "base/text.h"
#include "cli/avp.h"
#include "guest/config/config.h"
#include "guest/engine/engine_feature.h"
#include "guest/run/control.h"
#include "host/service_link.h"
#include "monitor/run/control_socket.h"
#include "service/kit/service_type.h"

/* Prints text for a cell; escapes bars, which end it, and <, which starts a tag. */
static void print_cell(FILE *stream, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			fputs("\\|", stream);
		else if (*text == '<')
			fputs("&lt;", stream);
		else
			fputc(*text, stream);
	}
}

static void print_code_cell(FILE *stream, const char *text)
{
	fputs(" `", stream);
	for (; *text; text++)
		fputs(*text == '|' ? "\\|" : (char[]){*text, 0}, stream);
	fputs("` |", stream);
}

/* The cells for values, default and help. */
static void print_meaning(FILE *stream, const struct option_row *row, const char *values)
{
	fprintf(stream, " %s%s|", values, *values ? " " : "");
	if (row->default_text)
		print_code_cell(stream, row->default_text);
	else
		fputs(row->required ? " required |" : " |", stream);
	fputc(' ', stream);
	print_cell(stream, row->help);
	fputs(" |\n", stream);
}

static void print_options(FILE *stream, const struct option_row *rows)
{
	fputs("| option | values | default | meaning |\n| --- | --- | --- | --- |\n", stream);
	for (const struct option_row *row = rows; row->name; row++) {
		char term[OPTION_TEXT_LENGTH], values[OPTION_TEXT_LENGTH];

		fputc('|', stream);
		print_code_cell(stream, option_text_term(row, "--", term));
		print_meaning(stream, row, option_text_values(row, values));
	}
}

static void print_key(FILE *stream, const char *prefix, const struct option_row *row)
{
	char values[OPTION_TEXT_LENGTH];
	char cell[2 * OPTION_TEXT_LENGTH];
	char key[OPTION_TEXT_LENGTH];

	snprintf(key, sizeof(key), "%s%s", prefix, row->bundle_key ? row->bundle_key : row->name);
	fputc('|', stream);
	print_code_cell(stream, key);
	option_text_values(row, values);
	snprintf(cell, sizeof(cell), "%s%s%s", option_text_json_type(row), values[0] ? ", " : "",
		 values);
	print_meaning(stream, row, cell);
}

static void print_keys_heading(FILE *stream)
{
	fputs("| key | value | default | meaning |\n| --- | --- | --- | --- |\n", stream);
}

static void print_bundle_keys(FILE *stream)
{
	print_keys_heading(stream);
	for (const struct option_row *row = guest_option_rows; row->name; row++)
		if (row->bundle_key)
			print_key(stream, "", row);
	for (const struct option_row *row = guest_option_rows; row->name; row++)
		if (!row->bundle_key && !row->command_line_only)
			print_key(stream, "avp.", row);
	fputs("| `avp.devices` | array of objects | | the devices of the guest |\n", stream);
	fputs("| `avp.devices[].type` | string, one of ", stream);
	for_each_device_type(type)
		fprintf(stream, "%s%s", type == device_types[0] ? "" : ", ", type->name);
	fputs(" | required | the type of the device |\n", stream);
	for (const struct option_row *row = device_option_rows; row->name; row++)
		print_key(stream, "avp.devices[].", row);
	for_each_device_type(type) {
		if (!type->options->name)
			continue;
		fprintf(stream, "\nOf a device of type `%s`:\n\n", type->name);
		print_keys_heading(stream);
		for (const struct option_row *row = type->options; row->name; row++)
			print_key(stream, "", row);
	}
}

static void print_limit_cell(FILE *stream, const struct engine_feature *feature, uint64_t value)
{
	char size[TEXT_SIZE_LENGTH], kernels[100];

	if (feature->kind == FEATURE_KERNELS)
		fprintf(stream, " %s |", engine_feature_kernels(value, kernels, sizeof(kernels)));
	else if (feature->kind == FEATURE_SUPPORT || feature->kind == FEATURE_VERB)
		fprintf(stream, " %s |", value ? "yes" : "no");
	else if (feature->bytes)
		fprintf(stream, " %s |", text_format_size(size, value));
	else
		fprintf(stream, " %" PRIu64 " |", value);
}

/* Prints the limits of the engines. */
static void print_limits(FILE *stream)
{
	fputs("| what |", stream);
	for_each_engine(engine)
		for (int i = 0; i < ENGINE_ARCHITECTURES; i++)
			fprintf(stream, " %s, %s |", engine->name, engine_architectures[i]);
	fputs("\n| --- |", stream);
	for_each_engine(engine)
		for (int i = 0; i < ENGINE_ARCHITECTURES; i++)
			fputs(" --- |", stream);
	fputc('\n', stream);
	for (const struct engine_feature *row = engine_features; row->what; row++) {
		fprintf(stream, "| %s%s |", row->kind == FEATURE_MOST ? "at most: " : "",
			row->what);
		for_each_engine(engine)
			for (int i = 0; i < ENGINE_ARCHITECTURES; i++)
				print_limit_cell(stream, row, engine_feature_value(row, engine, i));
		fputc('\n', stream);
	}
}

/* Prints the device types with links to their pages, for a page in docs/. */
static void print_types(FILE *stream)
{
	fputs("| device | VIRTIO id | what it serves | page |\n| --- | --- | --- | --- |\n",
	      stream);
	for_each_device_type(type)
		fprintf(stream, "| `%s` | %u | %s | [%s.md](../src/device/%s/%s.md) |\n",
			type->name, type->shape.virtio_id, type->summary, type->name, type->name,
			type->name);
}

/* Prints the services with links to their pages. */
static void print_services(FILE *stream)
{
	fputs("| service | what it serves | page |\n| --- | --- | --- |\n", stream);
	for (size_t i = 0; service_types[i]; i++) {
		const char *name = service_types[i]->name;
		char room[COMMAND_PATH_LENGTH];
		size_t at = 0;

		/* A folder's name has no dash. */
		for (; at < sizeof(room) - 1 && name[at]; at++)
			room[at] = (char)(name[at] == '-' ? '_' : name[at]);
		room[at] = 0;
		fprintf(stream, "| `%s` | %s | [%s.md](../src/service/%s/%s.md) |\n", name,
			service_types[i]->summary, name, room, name);
	}
}

/* Prints rows of a table: the fields of a verb or event in one cell. */
static void print_verb(FILE *stream, const struct control_verb *verb)
{
	const char *separator = "";

	fputc('|', stream);
	print_code_cell(stream, verb->name);
	fputc(' ', stream);
	for (const struct option_row *row = verb->fields; row && row->name; row++) {
		char values[OPTION_TEXT_LENGTH];

		option_text_values(row, values);
		fprintf(stream, "%s`%s`: %s%s%s%s", separator, row->name, row->help,
			values[0] ? " (" : "", values, values[0] ? ")" : "");
		separator = "; ";
	}
	fprintf(stream, "%s| ", *separator ? " " : "");
	print_cell(stream, verb->help);
}

/* Prints verbs with what they answer. */
static void print_verbs(FILE *stream, const struct control_verb *verbs)
{
	fputs("| verb | fields | what it does | answer |\n| --- | --- | --- | --- |\n", stream);
	for (const struct control_verb *verb = verbs; verb->name; verb++) {
		const char *separator = "";

		print_verb(stream, verb);
		fputs(" | ", stream);
		for (const struct command_note *note = verb->answer; note && note->term; note++) {
			fprintf(stream, "%s`%s`: %s", separator, note->term, note->text);
			separator = "; ";
		}
		fprintf(stream, "%s|\n", *separator ? " " : "");
	}
}

/* Prints what a configuration file of a service may contain. */
static void print_service_keys(FILE *stream, const struct service_type *type)
{
	char prefix[COMMAND_PATH_LENGTH];

	print_keys_heading(stream);
	snprintf(prefix, sizeof(prefix), "%s.", type->key);
	for (const struct option_row *row = type->options; row->name; row++)
		print_key(stream, prefix, row);
	for (const struct option_row *row = type->client_options; row->name; row++)
		print_key(stream, "clients.NAME.", row);
	if (!type->verbs)
		return;
	fputs("\nVerbs beside those of every service:\n\n", stream);
	print_verbs(stream, type->verbs);
}

/* Prints the verbs and events of a control socket. */
static void print_interface(FILE *stream, const struct control_interface *interface)
{
	fprintf(stream, "Interface `%s`, version %u.\n\n", interface->name, interface->version);
	print_verbs(stream, interface->verbs);
	fputs("\n| event | fields | what happened |\n| --- | --- | --- |\n", stream);
	for (const struct control_verb *event = interface->events; event->name; event++) {
		print_verb(stream, event);
		fputs(" |\n", stream);
	}
}

struct search {
	const char *section;
	const struct command *found;
};

/* Whether @path, "avp device block", is the section "device-block". */
static int compare_path(const struct command *command, const char *path, void *context)
{
	struct search *search = context;
	size_t i, start = strlen(command_avp.name) + 1;

	if (strlen(path) != start + strlen(search->section))
		return 0;
	for (i = 0; search->section[i]; i++)
		if (search->section[i] != (path[start + i] == ' ' ? '-' : path[start + i]))
			return 0;
	search->found = command;
	return 1;
}

int markdown_print(const char *section, FILE *stream, struct error *error)
{
	const struct device_type *type = device_type_find(section);
	struct search search = {.section = section};

	if (type && !type->options->name) {
		fputs("It has no options of its own.\n", stream);
		return 0;
	}
	if (type) {
		print_options(stream, type->options);
		return 0;
	}
	if (!strcmp(section, "bundle")) {
		print_bundle_keys(stream);
		return 0;
	}
	if (!strcmp(section, "limits")) {
		print_limits(stream);
		return 0;
	}
	if (!strcmp(section, "devices")) {
		print_types(stream);
		return 0;
	}
	if (!strcmp(section, "guest-control") || !strcmp(section, "monitor-control")) {
		print_interface(stream, section[0] == 'g' ? &guest_interface : &monitor_interface);
		return 0;
	}
	if (!strcmp(section, "services")) {
		print_services(stream);
		return 0;
	}
	if (!strcmp(section, "service-control")) {
		print_interface(stream,
				&(struct control_interface){SERVICE_INTERFACE, SERVICE_VERSION,
							    service_verbs, service_events});
		return 0;
	}
	if (service_type_find(section)) {
		print_service_keys(stream, service_type_find(section));
		return 0;
	}
	if (!strcmp(section, "serving")) {
		print_options(stream, serve_option_rows);
		return 0;
	}
	command_walk(&command_avp, compare_path, &search);
	if (!search.found)
		return error_set_usage(
			error,
			"there is no section '%.60s'; give bundle, devices, guest-control, limits, "
			"monitor-control, service-control, services, serving, the type of a "
			"device, a service, or a subcommand such as run",
			section);
	for (const struct option_group *group = search.found->groups; group && group->title;
	     group++) {
		if (!group->rows->name)
			continue;
		if (group != search.found->groups)
			fputc('\n', stream);
		fprintf(stream, "%s:\n\n", group->title);
		print_options(stream, group->rows);
	}
	return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
/* Writes and checks result files. */
#include "conform/conform_keep.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/contract_version.h"
#include "base/sha256.h"
#include "base/text.h"
#include "conform/conform_image.h"
#include "conform/conform_output.h"
#include "conform/conform_report.h"

#define SEAL	   "seal"
#define WAIVERS	   "waivers"
#define NOT_STATED "not stated"

static void free_json(json_t **json)
{
	json_decref(*json);
}
#define cleanup_json __attribute__((cleanup(free_json)))

static int no_memory(struct error *error)
{
	return error_set(error, ENOMEM, "out of memory");
}

int conform_keep_log_path(char **log, const char *path, struct error *error)
{
	size_t length = strlen(path);

	if (length < 6 || strcmp(path + length - 5, ".json"))
		return error_set_usage(error, "%s: a result file is named NAME.json", path);
	return text_replace_format(log, error, "%.*s.log", (int)length - 5, path);
}

/* The digest of all keys but the seal, in one form. */
static int make_seal(json_t *root, char seal[SHA256_TEXT], struct error *error)
{
	cleanup_json json_t *copy = json_copy(root);
	cleanup_free char *text = NULL;
	struct sha256 sha;

	if (copy)
		json_object_del(copy, SEAL);
	text = copy ? json_dumps(copy, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	if (!text)
		return no_memory(error);
	sha256_init(&sha);
	sha256_add(&sha, text, strlen(text));
	sha256_finish(&sha, seal);
	return 0;
}

/* Seals @root, and replaces the file at @path by it. */
static int write_result(json_t *root, const char *path, struct error *error)
{
	char seal[SHA256_TEXT];
	struct conform_output output;
	int result = make_seal(root, seal, error);

	if (result == 0 && json_object_set_new(root, SEAL, json_string(seal)) < 0)
		result = no_memory(error);
	if (result == 0)
		result = conform_output_open(&output, path, error);
	if (result < 0)
		return result;
	json_dumpf(root, output.file, JSON_INDENT(1) | JSON_ENSURE_ASCII);
	fputs("\n", output.file);
	return conform_output_close(&output, error);
}

/* An error unless all tests were run and the log is whole. */
static int check_log(const struct conform_judge *judge, const char *path, struct error *error)
{
	enum conform_state state = conform_log_state(judge->log);

	if (state != CONFORM_COMPLETE)
		return error_set(error, EINVAL, "%s: the log is %s", path,
				 conform_state_describe(state));
	for (size_t i = 0; i < judge->log->count; i++)
		if (judge->log->tests[i].left_out)
			return error_set(error, EINVAL,
					 "%s: %s was not selected; a result has all tests", path,
					 judge->log->tests[i].name);
	return 0;
}

/*
 * The image that ran and its digest: this program's own, or for a log from elsewhere the one that
 * is named. Both are "not stated" if nobody says which one it was.
 */
static int describe_image(char path[PATH_MAX], char digest[SHA256_TEXT],
			  const struct conform_options *options, struct error *error)
{
	int result = 0;

	if (!options->from.count)
		result = conform_image_find(path, options, error);
	else
		snprintf(path, PATH_MAX, "%s", options->image ? options->image : NOT_STATED);
	if (result == 0 && options->from.count && !options->image)
		strcpy(digest, NOT_STATED);
	else if (result == 0)
		result = sha256_file(path, digest, error);
	return result;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int set_text(json_t *root, const char *key, const char *text)
{
	return json_object_set_new(root, key, json_string(text));
}

/* Copies the log that was read to where the result's log is. */
static int copy_log(const char *from, const char *to, struct error *error)
{
	cleanup_file FILE *file = fopen(from, "re");
	struct conform_output output;
	char buffer[16384];
	size_t length;

	if (!file)
		return error_set_errno(error, errno, "%s", from);
	if (conform_output_open(&output, to, error) < 0)
		return -error->code;
	while ((length = fread(buffer, 1, sizeof(buffer), file)) > 0)
		fwrite(buffer, 1, length, output.file);
	return conform_output_close(&output, error);
}

/* The waivers that hold, of which a result without any says nothing. */
static int set_waivers(json_t *root, const struct conform_waivers *waivers)
{
	cleanup_json json_t *list = json_array();

	for (size_t i = 0; i < waivers->count; i++) {
		const struct conform_waiver *waiver = &waivers->list[i];

		if (!waiver->expired &&
		    json_array_append_new(list,
					  json_pack("{s:s,s:s,s:s}", "name", waiver->name, "until",
						    waiver->until, "reason", waiver->reason)) < 0)
			return -1;
	}
	return json_array_size(list) ? json_object_set(root, WAIVERS, list) : 0;
}

int conform_keep(const struct conform_options *options, const struct conform_judge *judge,
		 const struct conform_waivers *waivers, const char *command, time_t when,
		 const char *path, struct error *error)
{
	cleanup_json json_t *root = NULL;
	cleanup_free char *log = NULL;
	char image[PATH_MAX], digests[2][SHA256_TEXT], date[CONFORM_DATE_LENGTH];
	int result = check_log(judge, path, error);

	if (result == 0 && (!options->host || !options->hypervisor))
		result = error_set_usage(error, "keep needs --host and --hypervisor: the machine, "
						"and the hypervisor with its version");
	if (result == 0)
		result = conform_keep_log_path(&log, path, error);
	if (result == 0)
		result = sha256_file(options->from.count ? options->from.items[0] : log, digests[0],
				     error);
	if (result == 0)
		result = describe_image(image, digests[1], options, error);
	if (result < 0)
		return result;
	root = conform_report_describe(judge);
	if (!root || set_text(root, "date", conform_date(date, when)) < 0 ||
	    set_text(root, "host", options->host) < 0 ||
	    set_text(root, "hypervisor", options->hypervisor) < 0 ||
	    set_text(root, "command", command) < 0 ||
	    set_text(root, "image", base_name(image)) < 0 ||
	    set_text(root, "image sha256", digests[1]) < 0 ||
	    set_text(root, "log file", base_name(log)) < 0 ||
	    set_text(root, "log sha256", digests[0]) < 0 || set_waivers(root, waivers) < 0)
		return error_set_usage(error,
				       "--host, --hypervisor and the reasons of waivers must "
				       "be UTF-8");
	/* Only now, so that a refused result leaves no log behind. */
	if (options->from.count)
		result = copy_log(options->from.items[0], log, error);
	return result < 0 ? result : write_result(root, path, error);
}

void conform_kept_free(struct conform_kept *kept)
{
	json_decref(kept->root);
	conform_judge_free(&kept->judge);
	conform_waivers_free(&kept->waivers);
	conform_log_free(&kept->log);
}
#define cleanup_kept __attribute__((cleanup(conform_kept_free)))

const char *conform_kept_text(const struct conform_kept *kept, const char *key)
{
	const char *text = json_string_value(json_object_get(kept->root, key));

	return text ? text : "";
}

/* Reads the file; it must be as it was kept, and of this suite. */
static int read_result(struct conform_kept *kept, const char *path, struct error *error)
{
	char seal[SHA256_TEXT];
	json_error_t wrong;
	int result;

	kept->root = json_load_file(path, JSON_REJECT_DUPLICATES, &wrong);
	if (!kept->root)
		return error_set_usage(error, "%s:%d: %s", path, wrong.line, wrong.text);
	if (!json_is_object(kept->root))
		return error_set_usage(error, "%s: this is not a result file", path);
	result = make_seal(kept->root, seal, error);
	if (result < 0)
		return result;
	if (strcmp(conform_kept_text(kept, SEAL), seal))
		return error_set(
			error, EINVAL,
			"%s: it was changed after it was kept: the seal does not fit; keep "
			"the log again",
			path);
	if (strcmp(conform_kept_text(kept, "suite"), SUITE_VERSION))
		return error_set(error, EINVAL,
				 "%s: it is of suite '%s', and this program has %s: run the guest "
				 "again",
				 path, conform_kept_text(kept, "suite"), SUITE_VERSION);
	return 0;
}

/* Reads the waivers in the file, as they were on its date. */
static int read_waivers(struct conform_kept *kept, const char *path, struct error *error)
{
	const json_t *entry, *list = json_object_get(kept->root, WAIVERS);
	char today[12];
	size_t i;

	kept->waivers.path = path;
	snprintf(today, sizeof(today), "%.10s", conform_kept_text(kept, "date"));
	json_array_foreach(list, i, entry) {
		struct conform_waiver waiver = {.line = i + 1};
		const char *name, *until, *reason;
		int result;

		if (json_unpack((json_t *)entry, "{s:s,s:s,s:s}", "name", &name, "until", &until,
				"reason", &reason) < 0)
			return error_set_usage(error, "%s: this is not a result file", path);
		snprintf(waiver.name, sizeof(waiver.name), "%s", name);
		snprintf(waiver.until, sizeof(waiver.until), "%s", until);
		snprintf(waiver.reason, sizeof(waiver.reason), "%s", reason);
		result = conform_waivers_add(&kept->waivers, &waiver, today, error);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Reads the log beside it and judges it for all profiles. */
static int read_log(struct conform_kept *kept, const char *path, struct error *error)
{
	const struct option_list all = {(char *[]){(char *)"all"}, 1};
	cleanup_free char *log = NULL;
	char digest[SHA256_TEXT];
	int result = conform_keep_log_path(&log, path, error);

	if (result == 0)
		result = sha256_file(log, digest, error);
	if (result < 0)
		return result;
	if (strcmp(conform_kept_text(kept, "log sha256"), digest))
		return error_set(error, EINVAL,
				 "%s: it is not the log that %s was made from: its digest differs",
				 log, path);
	result = conform_log_read(&kept->log, log, error);
	conform_log_finish(&kept->log);
	if (result == 0)
		result = conform_judge_log(&kept->judge, &kept->log, &kept->waivers, &all, false,
					   error);
	return result < 0 ? result : check_log(&kept->judge, log, error);
}

int conform_kept_read(struct conform_kept *kept, const char *path, struct error *error)
{
	int result = read_result(kept, path, error);

	kept->name = base_name(path);
	if (result == 0)
		result = read_waivers(kept, path, error);
	return result < 0 ? result : read_log(kept, path, error);
}

int conform_keep_check(const char *path, struct error *error)
{
	cleanup_kept struct conform_kept kept = {.root = NULL};
	cleanup_json json_t *told = NULL;
	int result = conform_kept_read(&kept, path, error);
	const char *key;
	json_t *value;

	if (result < 0)
		return result;
	told = conform_report_describe(&kept.judge);
	if (!told)
		return no_memory(error);
	json_object_foreach(told, key, value)
		if (!json_equal(value, json_object_get(kept.root, key)))
			return error_set(
				error, EINVAL,
				"%s: '%s' is not what the log and the contract give; if the "
				"contract has changed, run avp conform again %s",
				path, key, path);
	return 0;
}

int conform_keep_again(const char *path, struct error *error)
{
	cleanup_kept struct conform_kept kept = {.root = NULL};
	cleanup_json json_t *told = NULL;
	int result = conform_kept_read(&kept, path, error);

	if (result < 0)
		return result;
	told = conform_report_describe(&kept.judge);
	if (!told || json_object_update(kept.root, told) < 0)
		return no_memory(error);
	return write_result(kept.root, path, error);
}

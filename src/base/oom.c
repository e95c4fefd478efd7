// SPDX-License-Identifier: BSD-3-Clause
/*
 * The kernel's counts of what its OOM killer has killed (Linux,
 * Documentation/admin-guide/cgroup-v2.rst, "memory.events"; cgroup-v1/memory.rst,
 * "memory.oom_control"; /proc/vmstat).
 */
#include "base/oom.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/process.h"

#define WORD "oom_kill"

/* The number after the word in a file with a word and a number a line, or -1. */
static int64_t read_count(const char *path)
{
	cleanup_file FILE *file = fopen(path, "re");
	char word[64];
	int64_t count;

	while (file && fscanf(file, "%63s %" SCNd64, word, &count) == 2)
		if (!strcmp(word, WORD))
			return count;
	return -1;
}

/* Whether a line of /proc/self/cgroup is about the memory controller; *path gets its group. */
static bool find_group(char *line, const char **path, bool *second)
{
	char *controllers = strchr(line, ':');
	char *group = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!group)
		return false;
	*group = 0;
	*path = group + 1;
	controllers++;
	*second = !*controllers;
	if (*second)
		return true;
	for (char *word = strtok(controllers, ","); word; word = strtok(NULL, ","))
		if (!strcmp(word, "memory"))
			return true;
	return false;
}

/* The count of the group that has the memory controller, in either hierarchy. */
static int64_t read_group(const char *root)
{
	cleanup_file FILE *file = NULL;
	char path[PATH_MAX], line[PATH_MAX];
	int64_t count = -1;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	file = fopen(path, "re");
	while (file && count < 0 && fgets(line, sizeof(line), file)) {
		const char *group;
		bool second;

		line[strcspn(line, "\n")] = 0;
		if (!find_group(line, &group, &second))
			continue;
		snprintf(path, sizeof(path), "%s/sys/fs/cgroup%s%.3000s/%s", root,
			 second ? "" : "/memory", group,
			 second ? "memory.events" : "memory.oom_control");
		count = read_count(path);
	}
	return count;
}

struct oom_counts oom_counts_read(const char *root)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/proc/vmstat", root);
	return (struct oom_counts){.group = read_group(root), .host = read_count(path)};
}

const char *oom_describe(char buffer[OOM_STATUS_LENGTH], int status,
			 const struct oom_counts *before, const char *root)
{
	char text[PROCESS_STATUS_LENGTH];
	const char *who = "";
	struct oom_counts now;

	process_describe(text, status);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		now = oom_counts_read(root);
		if (before->group >= 0 && now.group > before->group)
			who = " by the kernel's OOM killer: the memory of the host or of a control "
			      "group ran out";
		else if (before->group < 0 && before->host >= 0 && now.host > before->host)
			who = ", perhaps by the kernel's OOM killer, which has ended processes of "
			      "this host meanwhile";
	}
	snprintf(buffer, OOM_STATUS_LENGTH, "%s%s", text, who);
	return buffer;
}

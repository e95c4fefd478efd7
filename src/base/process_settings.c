// SPDX-License-Identifier: BSD-3-Clause
/*
 * The settings of a child process. The child shares the parent's memory until exec, so no function
 * here allocates, locks or writes a variable that the parent reads.
 */
#include "base/process_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

void process_settings_write_texts(const struct process_settings *settings,
				  struct process_setting_texts *texts)
{
	snprintf(texts->oom_score, sizeof(texts->oom_score), "%d", settings->oom_score_adj);
	/* Without privileges a process may map only its own user and group (user_namespaces(7)). */
	snprintf(texts->user_map, sizeof(texts->user_map), "%u %u 1", geteuid(), geteuid());
	snprintf(texts->group_map, sizeof(texts->group_map), "%u %u 1", getegid(), getegid());
}

/* Returns 0 or -1 with errno set. */
static int write_text(int directory, const char *path, const char *text)
{
	cleanup_fd int fd = openat(directory, path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

static int enter_namespaces(const struct process_settings *settings,
			    const struct process_setting_texts *texts)
{
	if (!(settings->namespaces & CLONE_NEWUSER))
		/* What is mounted in it stays in it; the kernel does so for other users' copies. */
		return settings->namespaces & CLONE_NEWNS ?
			       mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) :
			       0;
	/* The group can be mapped only after this file says so. */
	if (write_text(AT_FDCWD, "/proc/self/setgroups", "deny") < 0 ||
	    write_text(AT_FDCWD, "/proc/self/uid_map", texts->user_map) < 0)
		return -1;
	return write_text(AT_FDCWD, "/proc/self/gid_map", texts->group_map);
}

static int enter_cgroup(const struct process_settings *settings,
			const struct process_setting_texts *texts)
{
	return write_text(settings->cgroup, "cgroup.procs", "0");
}

static int set_oom_score(const struct process_settings *settings,
			 const struct process_setting_texts *texts)
{
	return write_text(AT_FDCWD, "/proc/self/oom_score_adj", texts->oom_score);
}

static int set_limits(const struct process_settings *settings,
		      const struct process_setting_texts *texts)
{
	for (size_t i = 0; i < settings->limit_count; i++)
		if (prlimit(0, (enum __rlimit_resource)settings->limits[i].resource,
			    &settings->limits[i].limit, NULL) < 0)
			return -1;
	return 0;
}

static int set_cpus(const struct process_settings *settings,
		    const struct process_setting_texts *texts)
{
	return sched_setaffinity(0, sizeof(settings->cpus), &settings->cpus);
}

static int set_scheduling(const struct process_settings *settings,
			  const struct process_setting_texts *texts)
{
	bool real_time = settings->scheduling == SCHED_FIFO || settings->scheduling == SCHED_RR;
	const struct sched_param parameter = {
		.sched_priority = real_time ? settings->priority : 0,
	};

	if (sched_setscheduler(0, settings->scheduling, &parameter) < 0)
		return -1;
	return real_time ? 0 : setpriority(PRIO_PROCESS, 0, settings->priority);
}

static int set_user(const struct process_settings *settings,
		    const struct process_setting_texts *texts)
{
	/* The functions of the C library would also change the user of the parent's threads. */
	if (syscall(SYS_setgroups, settings->group_count, settings->groups) < 0 ||
	    syscall(SYS_setresgid, settings->group, settings->group, settings->group) < 0)
		return -1;
	return (int)syscall(SYS_setresuid, settings->user, settings->user, settings->user);
}

static const struct {
	enum process_setting setting;
	const char *name;
	int (*apply)(const struct process_settings *settings,
		     const struct process_setting_texts *texts);
} steps[] = {
	{PROCESS_NAMESPACES, "its namespaces", enter_namespaces},
	{PROCESS_CGROUP, "its control group", enter_cgroup},
	{PROCESS_OOM_SCORE, "its OOM score", set_oom_score},
	{PROCESS_LIMITS, "its resource limits", set_limits},
	{PROCESS_CPUS, "its processors", set_cpus},
	{PROCESS_SCHEDULING, "its scheduling class and priority", set_scheduling},
	{PROCESS_USER, "its user and groups", set_user},
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

int process_settings_apply(const struct process_settings *settings,
			   const struct process_setting_texts *texts, int report)
{
	for (size_t i = 0; i < STEPS; i++) {
		struct process_report failure = {.setting = steps[i].setting};

		if (!(settings->set & steps[i].setting) || steps[i].apply(settings, texts) == 0)
			continue;
		failure.code = errno;
		if (write(report, &failure, sizeof(failure)) < 0 ||
		    !(settings->optional & steps[i].setting))
			return -1;
	}
	return 0;
}

const char *process_setting_name(unsigned int setting)
{
	for (size_t i = 0; i < STEPS; i++)
		if (steps[i].setting == setting)
			return steps[i].name;
	return "a setting";
}

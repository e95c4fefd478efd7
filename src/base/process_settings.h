// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a child process gets besides its program: user and groups, environment, processors,
 * scheduling, limits, control group and namespaces.
 */
#ifndef AVP_BASE_PROCESS_SETTINGS_H
#define AVP_BASE_PROCESS_SETTINGS_H

#include <sched.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

/* The settings, in the order in which they are applied: giving up the user comes last. */
enum process_setting {
	PROCESS_NAMESPACES = 1,
	PROCESS_CGROUP = 2,
	PROCESS_OOM_SCORE = 4,
	PROCESS_LIMITS = 8,
	PROCESS_CPUS = 16,
	PROCESS_SCHEDULING = 32,
	PROCESS_USER = 64,
};

struct process_limit {
	int resource; /* RLIMIT_… */
	struct rlimit limit;
};

struct process_settings {
	unsigned int set; /* of enum process_setting: those to apply; 0: none */
	/*
	 * Of them, those that the program can run without: if the host refuses one, a warning says
	 * so. The refusal of any other setting is the error of process_spawn.
	 */
	unsigned int optional;
	/* PROCESS_NAMESPACES: of CLONE_NEWNS, NEWPID, NEWNET, NEWIPC, NEWUTS and NEWUSER. */
	int namespaces;
	int cgroup; /* the directory of a control group, of either version */
	int oom_score_adj;
	const struct process_limit *limits;
	size_t limit_count;
	cpu_set_t cpus;
	int scheduling; /* SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_FIFO or SCHED_RR */
	int priority;	/* of SCHED_FIFO and SCHED_RR: 1 to 99; else the nice value, -20 to 19 */
	uid_t user;
	gid_t group;
	const gid_t *groups; /* supplementary */
	size_t group_count;
	/* NAME=VALUE; ends with NULL. NULL: the environment of this process. */
	const char *const *environment;
};

/* Texts that the child writes to files of /proc, made beforehand: it may not format. */
struct process_setting_texts {
	char oom_score[16], user_map[48], group_map[48];
};

/* What a child reports about a setting, or (setting 0) about the execution of its program. */
struct process_report {
	unsigned int setting; /* of enum process_setting */
	int code;	      /* a positive errno value */
};

void process_settings_write_texts(const struct process_settings *settings,
				  struct process_setting_texts *texts);

/*
 * For the child, between clone and exec: only async-signal-safe calls. Applies the settings and
 * writes a report to @report for each that fails. Returns 0, or -1 after the failure of one that is
 * not optional.
 */
int process_settings_apply(const struct process_settings *settings,
			   const struct process_setting_texts *texts, int report);

/* What a setting is called in a message: "its processors". */
const char *process_setting_name(unsigned int setting);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/* A device process that is a client of a service, both real. */
#include "unit/member_rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/kit/device_type.h"
#include "guest/policy.h"

static struct member_rig *asked_rig;

/* Processes */

pid_t member_rig_fork(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

void member_rig_await_child(int fd)
{
	char byte;

	assert_int_equal(read(fd, &byte, 1), 1);
	close(fd);
}

void member_rig_start_service(struct member_rig *rig, const char *program, const char *argument)
{
	char path[PATH_MAX], ready_fd[32];
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	snprintf(path, sizeof(path), "%s/%s", getenv("AVP_LIBEXEC_DIR"), program);
	snprintf(ready_fd, sizeof(ready_fd), "--ready-fd=%d", pipes[1]);
	rig->service_pid = member_rig_fork();
	if (rig->service_pid == 0) {
		execl(path, program, "--socket-path", rig->service_path, ready_fd, argument, NULL);
		_exit(127);
	}
	close(pipes[1]);
	member_rig_await_child(pipes[0]);
}

void member_rig_kill_service(struct member_rig *rig)
{
	kill(rig->service_pid, SIGKILL);
	assert_int_equal(waitpid(rig->service_pid, NULL, 0), rig->service_pid);
	rig->service_pid = 0;
}

/* The supervisor */

static bool allows(const struct policy *policy, const struct policy_subject *subject,
		   enum policy_verb verb, const struct policy_object *object)
{
	assert_int_equal(verb, POLICY_JOIN);
	assert_string_equal(object->kind, "service");
	assert_string_equal(object->name, asked_rig->service_path);
	asked_rig->asked++;
	return !asked_rig->forbidden;
}

static const struct policy policy = {allows};

static void on_ready(void *context)
{
	((struct member_rig *)context)->ready = true;
}

static void on_restarted(void *context, const struct device_config *device)
{
	((struct member_rig *)context)->restarted++;
}

static void on_failed(void *context, const struct error *error)
{
	fail_msg("%s", error->message);
}

static const struct supervisor_events events = {
	.ready = on_ready,
	.restarted = on_restarted,
	.failed = on_failed,
};

void member_rig_start_device(struct member_rig *rig, const char *type)
{
	const struct supervisor_setup setup = {
		.loop = &rig->loop,
		.config = &rig->config,
		.events = &events,
		.context = rig,
	};
	char text[PATH_MAX + 8];
	struct error error;

	snprintf(text, sizeof(text), "link=%s", rig->service_path);
	if (guest_config_parse_device(&rig->config, device_type_find(type), text, &error) < 0 ||
	    guest_config_name_devices(&rig->config, &error) < 0 ||
	    supervisor_open(&rig->supervisor, &setup, &error) < 0 ||
	    supervisor_start(rig->supervisor, &error) < 0)
		fail_msg("%s", error.message);
}

void member_rig_find_device(struct member_rig *rig)
{
	snprintf(rig->address_path, sizeof(rig->address_path), "/proc/self/fd/%d",
		 supervisor_device(rig->supervisor, 0).connect_fd);
	rig->address.path = rig->address_path;
}

void member_rig_kill_device(struct member_rig *rig)
{
	kill(supervisor_device(rig->supervisor, 0).pid, SIGKILL);
	guest_disconnect(&rig->guest);
}

/* The driver */

void member_rig_kick(struct member_rig *rig, uint16_t index)
{
	const uint64_t one = 1;

	if (driver_queue_kick_wanted(&rig->guest.rings[index].driver))
		assert_int_equal(write(rig->guest.rings[index].kick_fd, &one, sizeof(one)),
				 sizeof(one));
}

void *member_rig_take(struct member_rig *rig, uint16_t index)
{
	uint32_t written;
	int broken = 0;
	void *token = driver_queue_take(&rig->guest.rings[index].driver, &written, &broken);

	assert_int_equal(broken, 0);
	return token;
}

/* Life */

void member_rig_make(struct member_rig *rig)
{
	struct error error;

	memset(rig, 0, sizeof(*rig));
	asked_rig = rig;
	guest_create(&rig->guest);
	scratch_make(&rig->scratch);
	snprintf(rig->service_path, sizeof(rig->service_path), "%s",
		 scratch_path(&rig->scratch, "service.sock"));
	assert_int_equal(guest_config_init(&rig->config, &error), 0);
	rig->config.name = strdup("car");
	rig->config.policy = &policy;
	assert_int_equal(event_loop_init(&rig->loop, 0, &error), 0);
}

void member_rig_remove(struct member_rig *rig)
{
	guest_destroy(&rig->guest);
	supervisor_free(rig->supervisor);
	if (rig->service_pid)
		member_rig_kill_service(rig);
	event_loop_close(&rig->loop);
	guest_config_clear(&rig->config);
	scratch_remove(&rig->scratch);
}

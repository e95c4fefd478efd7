// SPDX-License-Identifier: BSD-3-Clause
/*
 * Operations on containers. What the guest has to do is asked over its control socket; its
 * supervisor decides when two callers ask at the same time.
 */
#include "guest/oci/operate.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/control_request.h"
#include "base/log.h"
#include "guest/oci/hooks.h"
#include "guest/run/control.h"
#include "host/json_file.h"

/* A supervisor that does not answer within this time hangs. */
#define ANSWER_MS 60000
/* How long the processes of a guest may take to end when they are killed. */
#define KILL_MS 10000

static int refuse_status(const struct container *container, const char *verb,
			 enum container_status status, struct error *error)
{
	/* Callers look for these words (docs/oci.md). */
	if (status == CONTAINER_STOPPED)
		return error_set(error, ESRCH, "cannot %s '%s': container not running", verb,
				 container->id);
	return error_set(error, EINVAL, "cannot %s '%s': the container is %s", verb, container->id,
			 container_status_names[status]);
}

static int ask(const struct container *container, const char *verb, struct error *error)
{
	struct control_message message;
	char peer[CONTAINER_ID_LENGTH + sizeof("container ''")];
	const struct control_request request = {
		.peer = peer,
		.interface = guest_interface.name,
		.version = guest_interface.version,
		.message = &message,
		.fd = -1,
		.limit_ms = ANSWER_MS,
	};
	int fd = container_connect(container, error);

	if (fd < 0)
		return fd;
	snprintf(peer, sizeof(peer), "container '%s'", container->id);
	control_message_begin(&message, verb);
	return control_request_send(&request, fd, error);
}

static int run_hooks(const struct container *container, const char *point,
		     enum container_status status, struct error *error)
{
	cleanup_json json_t *state = container_state(container, status);

	if (!state)
		return error_set(error, ENOMEM, "out of memory");
	return hooks_run(container->hooks, point, state, error);
}

int container_start(int root, const char *id, struct error *error)
{
	cleanup_container struct container container;
	int result = container_load(&container, root, id, error);
	enum container_status status;
	struct error ignored;

	if (result < 0)
		return result;
	status = container_status(&container);
	if (status != CONTAINER_CREATED)
		return refuse_status(&container, "start", status, error);
	result = run_hooks(&container, "startContainer", CONTAINER_CREATED, error);
	if (result == 0) {
		/* If this is refused, another caller was first, and the container is its own. */
		result = ask(&container, "start", error);
		if (result < 0)
			return result;
		result = run_hooks(&container, "poststart", CONTAINER_RUNNING, error);
	}
	/* A hook that fails ends the container (runtime.md, "Lifecycle", 8 and 10). */
	if (result < 0)
		container_delete(root, id, true, &ignored);
	return result;
}

/* What a signal is to a guest, whose system this process knows nothing of. */
static int translate_signal(int number, struct error *error)
{
	switch (number) {
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		return error_set(error, EINVAL,
				 "signal %d would stop the supervisor and not the guest; use "
				 "`avp pause`",
				 number);
	case 0:
	case SIGKILL:
		return number;
	/* These do nothing to a process that does not ask for them. */
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH:
		return 0;
	default:
		return SIGTERM;
	}
}

int container_kill(int root, const char *id, int signal_number, bool all, struct error *error)
{
	cleanup_container struct container container;
	int result = container_load(&container, root, id, error);
	enum container_status status;
	int translated;

	if (result < 0)
		return result;
	status = container_status(&container);
	/* A shim ends all that may be left of a container once that has stopped. */
	if (status == CONTAINER_STOPPED && all)
		return 0;
	if (status == CONTAINER_STOPPED || status == CONTAINER_CREATING)
		return refuse_status(&container, "kill", status, error);
	translated = translate_signal(signal_number, error);
	if (translated < 0)
		return translated;
	result = translated == SIGKILL ? host_process_kill(&container.process, KILL_MS) :
					 host_process_signal(&container.process, translated);
	if (result == -ESRCH)
		return refuse_status(&container, "kill", CONTAINER_STOPPED, error);
	return result < 0 ? error_set_errno(error, -result, "cannot kill '%s'", id) : 0;
}

int container_stop(int root, const char *id, struct error *error)
{
	cleanup_container struct container container;
	int result = container_load(&container, root, id, error);

	if (result == 0)
		result = container_kill(root, id, SIGTERM, false, error);
	if (result < 0)
		return result;
	host_process_wait(&container.process, -1);
	return 0;
}

/* Asks for what is possible only in one status. */
static int change(int root, const char *id, const char *verb, enum container_status needed,
		  struct error *error)
{
	cleanup_container struct container container;
	int result = container_load(&container, root, id, error);
	enum container_status status;

	if (result < 0)
		return result;
	status = container_status(&container);
	if (status != needed)
		return refuse_status(&container, verb, status, error);
	return ask(&container, verb, error);
}

int container_pause(int root, const char *id, struct error *error)
{
	return change(root, id, "pause", CONTAINER_RUNNING, error);
}

int container_resume(int root, const char *id, struct error *error)
{
	return change(root, id, "resume", CONTAINER_PAUSED, error);
}

int container_delete(int root, const char *id, bool force, struct error *error)
{
	cleanup_container struct container container;
	int result = container_load(&container, root, id, error);
	enum container_status status;

	if (result == -ENOENT && force)
		return 0;
	if (result == -EBADMSG && force)
		return container_remove(&container, root, error);
	if (result < 0)
		return result;
	status = container_status(&container);
	if (status != CONTAINER_STOPPED && !force)
		return refuse_status(&container, "delete", status, error);
	if (status != CONTAINER_STOPPED)
		result = host_process_kill(&container.process, KILL_MS);
	if (result < 0 && result != -ESRCH)
		return error_set_errno(error, -result, "cannot kill '%s'", id);
	result = container_remove(&container, root, error);
	if (result < 0)
		return result;
	/* The failure of one is only reported (runtime.md, "Lifecycle", 13). */
	if (run_hooks(&container, "poststop", CONTAINER_STOPPED, error) < 0)
		log_warning("%s", error->message);
	return 0;
}

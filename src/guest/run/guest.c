// SPDX-License-Identifier: BSD-3-Clause
/*
 * One guest: starts its engine and device processes, handles failures and time limits, and reports
 * its end.
 */
#include "guest/run/guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "base/timer.h"
#include "guest/engine/engine.h"
#include "guest/engine/engine_feature.h"
#include "host/restart_policy.h"
#include "guest/run/supervisor.h"
#include "host/kvm_probe.h"

#define COMPONENT "run"
/*
 * How often the power button is pressed while the guest has time to shut down. A guest that starts
 * or resets misses a press, and its kernel accepts the button before user space listens to it.
 */
#define PRESS_MS 1000
/* Resets within this time of each other are one restart of the guest. */
#define RESET_MS 1000

struct guest {
	struct guest_setup setup;
	struct timer timer;
	struct kvm_probe probe;
	struct kvm_probe_result kvm;
	const struct engine *engine;
	struct engine_plan *plan;
	struct supervisor *supervisor;
	struct engine_device *devices;
	struct {
		bool detached; /* the engine has no process for the device */
		uint64_t attachments;
	} * links; /* between the engine and each device */
	struct engine_setup engine_setup;
	struct engine_guest *running_on; /* the engine's process; NULL: not started */
	/* Progress. */
	bool released, devices_ready, running, ended, announced;
	bool stop_asked, kill_asked, pause_asked, paused;
	unsigned int resumes; /* that the engine has not reported as done */
	enum guest_end end;
	char how[512]; /* completes "the guest …" */
	bool failed;   /* the reason is in failure */
	struct error failure;
	struct restart_policy resets;
	struct log_limit watchdog_limit; /* of lines that the guest can cause */
	/* Times in milliseconds; 0: not yet. */
	int64_t start_ms, devices_ms, running_ms, reset_ms;
	int64_t stop_end_ms; /* deadline of a shutdown; then the guest is killed */
};

static const char *const ends[] = {
	[GUEST_POWERED_OFF] = "powered-off",
	[GUEST_FAILED] = "failed",
	[GUEST_PANICKED] = "panicked",
	[GUEST_KILLED] = "killed",
};

static void report(const struct guest *guest, const struct log_field *fields)
{
	if (guest->setup.events->happened)
		guest->setup.events->happened(guest->setup.context, fields);
}

static void step_done(struct guest *guest, const char *step)
{
	guest->setup.events->step(guest->setup.context, clock_now_ns(), step);
}

/* Seconds from the start to @ms. */
static double since_start(const struct guest *guest, int64_t ms)
{
	return (double)(ms - guest->start_ms) / 1000;
}

/* How it ended; before it ran, by what was asked. */
static enum guest_end get_end(const struct guest *guest)
{
	if (guest->failed)
		return GUEST_FAILED;
	if (guest->running)
		return guest->end;
	if (guest->kill_asked)
		return guest->stop_asked ? GUEST_POWERED_OFF : GUEST_KILLED;
	return GUEST_FAILED;
}

static void report_ended(struct guest *guest)
{
	if (guest->ended)
		return;
	guest->ended = true;
	timer_cancel(&guest->timer);
	report(guest,
	       LOG_FIELDS(LOG_TEXT("event", "guest-ended"), LOG_TEXT("end", ends[get_end(guest)]),
			  LOG_NUMBER("milliseconds", clock_now_ms() - guest->start_ms)));
	guest->setup.events->ended(guest->setup.context);
}

/* Kills the guest; the second time with SIGKILL. */
static void kill_now(struct guest *guest)
{
	guest->kill_asked = true;
	if (guest->running_on) {
		engine_kill(guest->running_on);
		timer_set_ms(&guest->timer, GUEST_KILL_MS);
	}
	/* Last, as a callback may ask for more, and set the timer for that. */
	report(guest, LOG_FIELDS(LOG_TEXT("event", "guest-stopping")));
	guest->setup.events->stopping(guest->setup.context, 0);
	if (!guest->running_on)
		report_ended(guest);
}

/* Presses the power button, and again every PRESS_MS until the deadline. */
static void press_power_button(struct guest *guest)
{
	int64_t left_ms = guest->stop_end_ms - clock_now_ms();

	engine_stop(guest->running_on);
	if (left_ms < 0)
		left_ms = 0;
	timer_set_ms(&guest->timer, left_ms < PRESS_MS ? (uint64_t)left_ms : PRESS_MS);
}

void guest_kill(struct guest *guest, const char *why)
{
	if (guest->ended)
		return;
	kill_now(guest);
	log_line(LOG_INFO, COMPONENT, "%s: the guest is killed", why);
}

void guest_stop(struct guest *guest, const char *why)
{
	uint64_t seconds = guest->setup.config->stop_timeout;
	bool kill = guest->stop_asked || guest->kill_asked || !guest->running || !seconds;

	if (guest->ended)
		return;
	guest->stop_asked = true;
	if (kill) {
		guest_kill(guest, why);
		return;
	}
	guest_resume(guest);
	guest->stop_end_ms = clock_now_ms() + (int64_t)seconds * 1000;
	press_power_button(guest);
	report(guest, LOG_FIELDS(LOG_TEXT("event", "guest-stopping")));
	guest->setup.events->stopping(guest->setup.context, seconds * 1000);
	log_line(LOG_INFO, COMPONENT, "%s: the guest's power button is pressed; it has %d s", why,
		 (int)seconds);
}

/* Kills the guest because of *error; only the first reason is kept. */
static void fail(struct guest *guest, const struct error *error)
{
	if (guest->failed || guest->ended)
		return;
	guest->failed = true;
	guest->failure = *error;
	kill_now(guest);
}

static void handle_timer(void *context)
{
	struct guest *guest = context;
	struct error error;

	if (guest->kill_asked) {
		kill_now(guest);
	} else if (guest->stop_asked && clock_now_ms() < guest->stop_end_ms) {
		press_power_button(guest);
	} else if (guest->stop_asked) {
		guest_kill(guest, "it still runs");
	} else if (!guest->running) {
		error_set(&error, ETIMEDOUT, "engine %s did not start the guest within %d s",
			  guest->engine->name, GUEST_START_MS / 1000);
		fail(guest, &error);
	}
}

static void report_ready(struct guest *guest)
{
	if (guest->running && guest->devices_ready)
		guest->setup.events->ready(guest->setup.context);
}

void guest_announce(struct guest *guest)
{
	const struct guest_config *config = guest->setup.config;

	if (guest->announced)
		return;
	guest->announced = true;
	guest_config_hint(config);
	if (guest->plan->passed_over[0])
		log_line(LOG_INFO, COMPONENT, "%s", guest->plan->passed_over);
	log_fields(LOG_INFO, COMPONENT,
		   LOG_FIELDS(LOG_TEXT("event", "engine-started"),
			      LOG_TEXT("engine", guest->engine->name),
			      LOG_NUMBER("process", guest_engine_process(guest))),
		   "engine %s: %s; process %d", guest->engine->name, guest->plan->summary,
		   (int)guest_engine_process(guest));
	for (size_t i = 0; i < config->device_count; i++) {
		struct supervisor_device device = supervisor_device(guest->supervisor, i);

		log_fields(LOG_INFO, COMPONENT,
			   LOG_FIELDS(LOG_TEXT("event", "device-started"),
				      LOG_TEXT("device", device.config->name),
				      LOG_TEXT("type", device.config->type->name),
				      LOG_NUMBER("process", device.pid)),
			   "device %s (%s): process %d", device.config->name,
			   device.config->type->name, (int)device.pid);
	}
}

static void handle_step(void *context, uint64_t nanoseconds, const char *step)
{
	struct guest *guest = context;

	guest->setup.events->step(guest->setup.context, nanoseconds, step);
}

static void handle_failure(void *context, const struct error *error)
{
	fail(context, error);
}

static void handle_running(void *context)
{
	struct guest *guest = context;

	guest->running = true;
	guest_announce(guest);
	guest->running_ms = clock_now_ms();
	step_done(guest, "guest runs");
	if (!guest->stop_asked && !guest->kill_asked)
		timer_cancel(&guest->timer);
	report(guest, LOG_FIELDS(LOG_TEXT("event", "guest-runs")));
	guest->setup.events->running(guest->setup.context);
	report_ready(guest);
}

static void handle_paused(void *context, const struct error *error)
{
	struct guest *guest = context;

	/* Again after a reset, or it was resumed meanwhile, and perhaps is to pause again. */
	if (guest->paused || !guest->pause_asked || guest->resumes)
		return;
	if (error) {
		guest->pause_asked = false;
	} else {
		guest->paused = true;
		report(guest, LOG_FIELDS(LOG_TEXT("event", "guest-paused")));
	}
	if (guest->setup.events->paused)
		guest->setup.events->paused(guest->setup.context, error);
}

static void handle_resumed(void *context, const struct error *error)
{
	struct guest *guest = context;
	bool was_paused = guest->paused;

	if (guest->resumes)
		guest->resumes--;
	/* If it stays paused, but is to pause again, it is that which is reported next. */
	guest->paused = error && was_paused && !guest->pause_asked;
	guest->pause_asked |= guest->paused;
	if (was_paused && !error)
		report(guest, LOG_FIELDS(LOG_TEXT("event", "guest-resumed")));
	if (guest->setup.events->resumed)
		guest->setup.events->resumed(guest->setup.context, error);
}

static void handle_reset(void *context)
{
	struct guest *guest = context;
	const struct guest_config *config = guest->setup.config;
	int64_t now = clock_now_ms();
	int64_t lived_ms = now - (guest->reset_ms ? guest->reset_ms : guest->running_ms);
	struct error error;

	/* A kernel tries several ways to reset; each one is reported. */
	if (guest->reset_ms && lived_ms < RESET_MS)
		return;
	guest->reset_ms = now;
	report(guest, LOG_FIELDS(LOG_TEXT("event", "guest-restarts")));
	log_fields(LOG_INFO, COMPONENT, LOG_FIELDS(LOG_TEXT("event", "guest-restarts")),
		   "the guest restarts");
	if (!restart_policy_count(&guest->resets, lived_ms, config->restart_limit))
		return;
	error_set(&error, EIO,
		  "the guest restarted %d times in a row, each within %d s of the time before; "
		  "--restart-limit allows more",
		  (int)config->restart_limit, RESTART_QUIET_MS / 1000);
	fail(guest, &error);
}

static void handle_device_given_up(void *context, const char *name)
{
	struct guest *guest = context;

	supervisor_kill_device(guest->supervisor, name);
}

/* The number of device @name, which may come from outside, or that of all devices. */
static size_t find_device(const struct guest *guest, const char *name)
{
	const struct guest_config *config = guest->setup.config;
	size_t i = 0;

	while (i < config->device_count && strcmp(config->devices[i].name, name))
		i++;
	return i;
}

static void handle_device_released(void *context, const char *name, const char *lost)
{
	struct guest *guest = context;
	size_t index = find_device(guest, name);

	if (index < guest->setup.config->device_count)
		supervisor_released(guest->supervisor, index, *lost ? lost : NULL);
}

static void handle_device_detached(void *context, const char *name)
{
	struct guest *guest = context;
	size_t index = find_device(guest, name);

	if (index < guest->setup.config->device_count)
		guest->links[index].detached = true;
}

static void handle_device_attached(void *context, const char *name, const char *lost)
{
	struct guest *guest = context;
	size_t index = find_device(guest, name);

	if (index >= guest->setup.config->device_count)
		return;
	guest->links[index].detached = false;
	guest->links[index].attachments++;
	supervisor_attached(guest->supervisor, index, *lost ? lost : NULL);
}

static void handle_watchdog(void *context, const char *what)
{
	struct guest *guest = context;
	const char *policy = guest_config_watchdog(guest->setup.config);
	const struct log_field *fields = LOG_FIELDS(LOG_TEXT("event", "watchdog-expired"),
						    LOG_TEXT("watchdog", what),
						    LOG_TEXT("policy", policy));

	report(guest, fields);
	if (log_limit_allow(&guest->watchdog_limit, COMPONENT))
		log_fields(LOG_WARNING, COMPONENT, fields, "%s expired; policy %s", what, policy);
}

static void handle_ended(void *context, enum guest_end end, const char *how)
{
	struct guest *guest = context;

	guest->end = end;
	snprintf(guest->how, sizeof(guest->how), "%s", how);
	report_ended(guest);
}

static const struct engine_events engine_events = {
	.step = handle_step,
	.refused = handle_failure,
	.running = handle_running,
	.paused = handle_paused,
	.resumed = handle_resumed,
	.reset = handle_reset,
	.device_given_up = handle_device_given_up,
	.device_released = handle_device_released,
	.device_detached = handle_device_detached,
	.device_attached = handle_device_attached,
	.watchdog = handle_watchdog,
	.ended = handle_ended,
};

static int start_engine(struct guest *guest, struct error *error)
{
	const struct guest_config *config = guest->setup.config;
	int result;

	guest->devices = calloc(config->device_count + 1, sizeof(*guest->devices));
	guest->links = calloc(config->device_count + 1, sizeof(*guest->links));
	if (!guest->devices || !guest->links)
		return error_set(error, ENOMEM, "out of memory");
	for (size_t i = 0; i < config->device_count; i++) {
		struct supervisor_device device = supervisor_device(guest->supervisor, i);

		guest->devices[i] = (struct engine_device){device.config, device.connect_fd};
	}
	guest->engine_setup = (struct engine_setup){
		.loop = guest->setup.loop,
		.plan = guest->plan,
		.config = config,
		.devices = guest->devices,
		.device_count = config->device_count,
		.kvm = &guest->kvm,
		.console_fd = take_fd(&guest->setup.console_fd),
		.events = &engine_events,
		.context = guest,
	};
	result = engine_start(&guest->running_on, guest->engine, &guest->engine_setup, error);
	if (result < 0)
		return result;
	timer_set_ms(&guest->timer, GUEST_START_MS);
	return guest->setup.events->started(guest->setup.context, error);
}

static void handle_devices_ready(void *context)
{
	struct guest *guest = context;
	struct error error;

	guest->devices_ready = true;
	guest->devices_ms = clock_now_ms();
	step_done(guest, "device processes serve");
	if (!guest->running_on && !guest->ended && start_engine(guest, &error) < 0)
		fail(guest, &error);
	report_ready(guest);
}

static void handle_device_restarted(void *context, const struct device_config *device)
{
	const struct guest *guest = context;

	if (guest->running_on && !engine_reattaches(guest->engine, device->type))
		log_line(LOG_WARNING, COMPONENT,
			 "%s: engine %s cannot attach the new process; the guest goes on without "
			 "the device",
			 device->name, guest->engine->name);
}

static void handle_device_replaced(void *context, size_t index, const char *lost,
				   const struct error *error)
{
	const struct guest *guest = context;
	const char *name = guest->setup.config->devices[index].name;

	if (error)
		log_line(LOG_WARNING, COMPONENT, "%s", error->message);
	else if (lost)
		log_line(LOG_WARNING, COMPONENT, "%s: restarted without its state: %s", name, lost);
	else
		log_line(LOG_INFO, COMPONENT, "%s: restarted with its state", name);
	guest->setup.events->device_restarted(guest->setup.context, index, lost, error);
}

static void handle_happened(void *context, const struct log_field *fields)
{
	report(context, fields);
}

static const struct supervisor_events supervisor_events = {
	.happened = handle_happened,
	.ready = handle_devices_ready,
	.restarted = handle_device_restarted,
	.replaced = handle_device_replaced,
	.failed = handle_failure,
};

/* Opens the devices' files first, so that a mistake shows before any process starts. */
static int open_devices(struct guest *guest, struct error *error)
{
	const struct supervisor_setup setup = {
		.loop = guest->setup.loop,
		.config = guest->setup.config,
		.events = &supervisor_events,
		.context = guest,
		.terminal = guest->setup.terminal,
	};
	int result = timer_open(&guest->timer, guest->setup.loop, CLOCK_MONOTONIC, handle_timer,
				guest, error);

	return result < 0 ? result : supervisor_open(&guest->supervisor, &setup, error);
}

/* Chooses the engine by what the probe has found. */
static int choose_engine(struct guest *guest, struct error *error)
{
	kvm_probe_wait(&guest->probe, &guest->kvm);
	step_done(guest, "KVM probed");
	guest->engine = engine_choose(&guest->plan, guest->setup.config, &guest->kvm, error);
	return guest->engine ? 0 : -error->code;
}

/*
 * Starts the engine and the device processes, in the order that gets the guest to run soonest. An
 * engine that does not wait for devices is started when they serve.
 */
static int start_processes(struct guest *guest, struct error *error)
{
	int result = 0;

	guest->released = true;
	if (guest->engine->waits_for_devices)
		result = start_engine(guest, error);
	if (result == 0)
		result = supervisor_start(guest->supervisor, error);
	step_done(guest, "device processes started");
	return result;
}

int guest_start(struct guest **out, const struct guest_setup *setup, struct error *error)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	int console = setup->console_fd, result;

	*out = guest;
	if (!guest) {
		close_fd(&console);
		return error_set(error, ENOMEM, "out of memory");
	}
	guest->setup = *setup;
	guest->timer = TIMER_NONE;
	guest->probe = KVM_PROBE_NONE;
	guest->start_ms = clock_now_ms();
	guest->watchdog_limit = (struct log_limit){.burst = 10, .interval_ms = 10000};
	result = kvm_probe_begin(&guest->probe);
	if (result < 0)
		error_set_errno(error, -result, "cannot find out whether KVM works");
	else
		result = open_devices(guest, error);
	if (result == 0)
		result = choose_engine(guest, error);
	if (result == 0 && !setup->held)
		result = start_processes(guest, error);
	/* As late as possible: destroying a virtual machine is slow. */
	kvm_probe_end(&guest->probe);
	if (result < 0) {
		guest_free(guest);
		*out = NULL;
	}
	return result;
}

int guest_release(struct guest *guest, struct error *error)
{
	int result;

	guest->start_ms = clock_now_ms();
	result = start_processes(guest, error);
	if (result < 0)
		fail(guest, error);
	return result;
}

const char *guest_engine_name(const struct guest *guest)
{
	return guest->engine->name;
}

int guest_pause(struct guest *guest, struct error *error)
{
	int result;

	if (guest->ended || guest_is_stopping(guest))
		return error_set(error, EBUSY, "the guest is being stopped");
	if (!guest->running)
		return error_set(error, EAGAIN, "the guest does not run yet");
	if (guest->pause_asked)
		return guest->paused ? 0 : -EINPROGRESS;
	result = engine_pause(guest->running_on, error);
	if (result < 0)
		return result;
	guest->pause_asked = true;
	return -EINPROGRESS;
}

int guest_resume(struct guest *guest)
{
	if (!guest->pause_asked)
		return guest->paused ? -EINPROGRESS : 0;
	guest->pause_asked = false;
	guest->resumes++;
	engine_resume(guest->running_on);
	return -EINPROGRESS;
}

int guest_restart_device(struct guest *guest, const char *name, size_t *index, struct error *error)
{
	int result = engine_check_ability(guest->engine, "restart", error);

	if (result < 0)
		return result;
	*index = find_device(guest, name);
	if (*index >= guest->setup.config->device_count)
		return error_set(error, ENODEV, "there is no device '%.80s'; `devices` lists them",
				 name);
	if (guest->ended || guest_is_stopping(guest))
		return error_set(error, EBUSY, "the guest is being stopped");
	if (!guest->running)
		return error_set(error, EAGAIN, "the guest does not run yet");
	result = supervisor_restart_device(guest->supervisor, *index, error);
	if (result < 0)
		return result;
	engine_release_device(guest->running_on, name, guest->links[*index].attachments);
	return -EINPROGRESS;
}

bool guest_is_stopping(const struct guest *guest)
{
	return guest->stop_asked || guest->kill_asked;
}

const char *guest_state(const struct guest *guest)
{
	if (guest->ended)
		return "ended";
	if (guest_is_stopping(guest))
		return "stopping";
	if (!guest->running)
		return guest->released ? "starting" : "created";
	return guest->paused ? "paused" : "running";
}

pid_t guest_engine_process(const struct guest *guest)
{
	return guest->running_on ? supervised_process_pid(&guest->running_on->process) : 0;
}

struct supervisor_device guest_device(const struct guest *guest, size_t index)
{
	return supervisor_device(guest->supervisor, index);
}

int guest_device_attached(const struct guest *guest, size_t index)
{
	if (!guest->running || !guest->engine->release_device)
		return -1;
	return !guest->links[index].detached;
}

void guest_set_log_level(struct guest *guest, enum log_level level)
{
	if (guest->running_on)
		engine_set_log_level(guest->running_on, level);
	supervisor_set_log_level(guest->supervisor, level);
}

bool guest_has_run(const struct guest *guest)
{
	return guest->running;
}

const char *guest_how(const struct guest *guest)
{
	return guest->how;
}

bool guest_has_child(const struct guest *guest, pid_t pid)
{
	if (pid == guest_engine_process(guest))
		return true;
	for (size_t i = 0; i < guest->setup.config->device_count; i++)
		if (pid == supervisor_device(guest->supervisor, i).pid)
			return true;
	return false;
}

void guest_end(struct guest *guest)
{
	if (!guest)
		return;
	engine_free(take_pointer(guest->running_on));
	supervisor_stop(guest->supervisor);
}

/* Logs how the guest ended, its times and the restarts. */
static void log_end(const struct guest *guest, const char *output)
{
	char restarts[256] = "";
	size_t length = 0;

	/* An error if nothing else says why. */
	log_fields(guest->end == GUEST_FAILED && !guest->failed ? LOG_ERROR : LOG_INFO, COMPONENT,
		   LOG_FIELDS(LOG_TEXT("event", "guest-ended"),
			      LOG_TEXT("end", ends[get_end(guest)]),
			      LOG_NUMBER("milliseconds", clock_now_ms() - guest->start_ms)),
		   "the guest %s after %.2f s; devices served at %.2f s, its processors ran at "
		   "%.2f s%s",
		   guest->how, since_start(guest, clock_now_ms()),
		   since_start(guest, guest->devices_ms), since_start(guest, guest->running_ms),
		   output);
	for (size_t i = 0; i < guest->setup.config->device_count; i++) {
		struct supervisor_device device = supervisor_device(guest->supervisor, i);

		if (device.restarts && length < sizeof(restarts))
			length += snprintf(restarts + length, sizeof(restarts) - length, "%s%s %u",
					   length ? ", " : "", device.config->name,
					   device.restarts);
	}
	log_line(LOG_INFO, COMPONENT, "restarts of device processes: %s",
		 length ? restarts : "none");
}

int guest_take_result(struct guest *guest, const char *output, enum guest_end *end,
		      struct error *error)
{
	if (guest->running) {
		log_end(guest, output);
		if (guest->failed)
			log_line(LOG_ERROR, COMPONENT, "%s", guest->failure.message);
		*end = get_end(guest);
		return 0;
	}
	if (guest->failed) {
		if (error)
			*error = guest->failure;
		return -guest->failure.code;
	}
	if (guest->kill_asked) {
		log_line(LOG_INFO, COMPONENT, "the guest was ended before it ran");
		*end = get_end(guest);
		return 0;
	}
	return error_set(error, EIO, "the guest did not start: it %s", guest->how);
}

void guest_free(struct guest *guest)
{
	if (!guest)
		return;
	guest_end(guest);
	supervisor_free(guest->supervisor);
	timer_close(&guest->timer);
	kvm_probe_end(&guest->probe);
	close_fd(&guest->setup.console_fd);
	free(guest->devices);
	free(guest->links);
	free(guest->plan);
	free(guest);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * An engine is a hypervisor that the runtime can start. All engines get the same guest, device
 * processes and console, and report the same events; run/guest.c depends on nothing else.
 */
#ifndef AVP_GUEST_ENGINE_ENGINE_H
#define AVP_GUEST_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/arguments.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "guest/config/config.h"
#include "guest/config/kernel_image.h"
#include "guest/run/guest.h"
#include "host/host_check.h"
#include "host/kvm_probe.h"
#include "host/supervised_process.h"

/* A device of the guest, and how to reach the process that serves it. */
struct engine_device {
	const struct device_config *config;
	/* Connect to /proc/self/fd/<connect_fd>; reconnect if the connection is lost. */
	int connect_fd;
};

/* Events of an engine. They come from the loop. */
struct engine_events {
	/*
	 * A step of the start was done, at @nanoseconds of CLOCK_MONOTONIC. Optional: not every
	 * engine can observe its start.
	 */
	void (*step)(void *context, uint64_t nanoseconds, const char *step);
	/* The guest did not start, because of *error. ended follows. */
	void (*refused)(void *context, const struct error *error);
	/* The guest's processors run. Called once. */
	void (*running)(void *context);
	/*
	 * After engine_pause: no vCPU runs. After engine_resume: they do. May be repeated. With
	 * *error, which is NULL otherwise: it was refused, and the vCPUs are as before.
	 */
	void (*paused)(void *context, const struct error *error);
	void (*resumed)(void *context, const struct error *error);
	/* The guest restarts in place. */
	void (*reset)(void *context);
	/* The process of device @name does not answer: kill and restart it. */
	void (*device_given_up)(void *context, const char *name);
	/*
	 * After engine_release_device: the process of device @name may be replaced. Another one is
	 * attached to the device, or the device has none. @lost: why the state of the device does
	 * not get to the next process, or "".
	 */
	void (*device_released)(void *context, const char *name, const char *lost);
	void (*device_detached)(void *context, const char *name);
	void (*device_attached)(void *context, const char *name, const char *lost);
	/* Watchdog @what of the guest expired. The engine applies the policy next. */
	void (*watchdog)(void *context, const char *what);
	/*
	 * The guest and the engine's process have ended; the last call. @how completes "the guest
	 * …"; @end is GUEST_KILLED only after engine_stop or engine_kill, or when someone else
	 * ended the engine in an orderly way.
	 */
	void (*ended)(void *context, enum guest_end end, const char *how);
};

enum engine_architecture { ENGINE_X86_64, ENGINE_ARM64, ENGINE_ARCHITECTURES };

/* The architecture that this program is built for. */
#ifdef __aarch64__
#define ENGINE_HERE ENGINE_ARM64
#else
#define ENGINE_HERE ENGINE_X86_64
#endif

/*
 * What an engine supports on one architecture. engine_feature.h has the table of what guests ask
 * for.
 */
struct engine_machine {
	uint64_t kernels; /* formats that it boots: bits by ENGINE_BOOTS */
	/* Maxima. */
	uint64_t cpus;
	uint64_t memory;       /* bytes */
	uint64_t command_line; /* characters, without the zero at the end */
	uint64_t devices;
	uint64_t memory_unit; /* bytes that memory is a multiple of */
	/* 1: supported; 0: not. */
	uint64_t huge_pages, firmware, watchdog, dump_dtb, pause, restart;
};

/* The bit of an enum kernel_format. */
#define ENGINE_BOOTS(format) (UINT64_C(1) << (format))

/*
 * What an engine found out about this host when it was asked whether it is usable. An engine embeds
 * it at the start of its own struct, which is one allocation, freed with free().
 */
struct engine_plan {
	char summary[512]; /* engine and acceleration: "QEMU 7.2.22 with KVM" */
	char slow[256];	   /* why it does not run on KVM, or "" */
	/* By engine_choose: "engine kvm is passed over: WHY" of an engine tried before, or "". */
	char passed_over[512];
};

struct engine_setup {
	struct event_loop *loop;
	const struct engine_plan *plan; /* from usable */
	const struct guest_config *config;
	const struct engine_device *devices;
	size_t device_count;
	const struct kvm_probe_result *kvm;
	int console_fd; /* socket of the guest's console; owned by the engine, also on failure */
	const struct engine_events *events;
	void *context;
};

/* A running guest; an engine embeds it at the start of its own struct. */
struct engine_guest {
	const struct engine *engine;
	const struct engine_setup *setup;
	struct supervised_process process; /* never restarted */
	struct engine_launch *launch;	   /* while it is started; else NULL */
	bool running;			   /* its vCPUs have run: engine_report_running */
	bool stop_asked, kill_asked;
};

enum engine_file { ENGINE_KERNEL, ENGINE_FIRMWARE, ENGINE_INITRD, ENGINE_FILES };

/* The most descriptors that an engine's process inherits: two a device, and a few. */
#define ENGINE_DESCRIPTORS (2 * GUEST_DEVICES_MAXIMUM + 8)

_Static_assert(ENGINE_DESCRIPTORS <= SUPERVISED_DESCRIPTORS, "an engine's process gets all");

/*
 * How an engine's process is started. engine_start owns the descriptors unless noted otherwise.
 */
struct engine_launch {
	/* Set by engine_start. */
	int files[ENGINE_FILES]; /* -1: the guest has none of this kind */
	const char *paths[ENGINE_FILES];
	const char *command_line; /* of the kernel; NULL: firmware */
	int console;		  /* the guest's serial port */
	int control;		  /* a stream socket for commands to the process, and its events */
	int own_control;	  /* its other end; the engine takes it with take_fd */
	/* Set by the engine. */
	const char *program;
	struct arguments arguments;
	int output; /* becomes its standard output and error; -1: they are logged */
	/* Filled by engine_launch_keep; those above are already in it. */
	int kept[ENGINE_DESCRIPTORS];
	bool lent[ENGINE_DESCRIPTORS]; /* stays open in this process */
	size_t kept_count;
};

/* Size of a text that completes "the guest …". */
#define ENGINE_HOW_LENGTH 1024

struct engine {
	const char *name; /* also that of its folder */
	struct engine_machine machines[ENGINE_ARCHITECTURES];
	/*
	 * The default of the guest's console=, such as "ttyS0"; NULL: nothing is added to the
	 * command line.
	 */
	const char *console;
	bool states_profiles; /* guests are told the profiles of the contract that it keeps */
	/*
	 * The engine waits for device processes that do not serve yet, so it is started before
	 * them.
	 */
	bool waits_for_devices;
	/* The check of its program in `avp doctor`; NULL: it needs no other program. */
	const struct host_check *check;
	size_t guest_size; /* size of its struct that begins with a struct engine_guest */
	/*
	 * Whether this engine runs guests on this host. Returns 0 with *plan set, or a negative
	 * errno with *plan NULL and *error saying what is missing and what to do. No process that
	 * it starts remains.
	 */
	int (*usable)(struct engine_plan **plan, const struct kvm_probe_result *kvm,
		      struct error *error);
	/*
	 * Whether it supports a device: returns 0, or a negative errno with a usage error that
	 * names the device. @plan NULL: on any host. A NULL pointer: it supports all devices.
	 */
	int (*carries)(const struct device_config *device, const struct engine_plan *plan,
		       struct error *error);
	/* Whether it reconnects a device of this type to a restarted process. NULL: all types. */
	bool (*reattaches)(const struct device_type *type);
	/*
	 * Sets up how its process is started, and takes its end of the control socket. Returns 0,
	 * or a negative errno with *error set; close follows in either case.
	 */
	int (*prepare)(struct engine_guest *guest, struct engine_launch *launch,
		       struct error *error);
	/*
	 * Press the power button; kill the guest. The pid is 0 if the process has ended.
	 */
	void (*stop)(struct engine_guest *guest);
	void (*kill)(struct engine_guest *guest);
	/*
	 * Pause the vCPUs, or have them run again; an event follows. Only while the guest runs.
	 * NULL: struct engine_machine says that it cannot.
	 */
	void (*pause)(struct engine_guest *guest);
	void (*resume)(struct engine_guest *guest);
	/*
	 * Let go of the process of device @name and keep its state for the next one; an event
	 * follows. It is the process after @attachments events device_attached, and no other. Only
	 * while the guest runs. NULL: struct engine_machine says that it cannot, and
	 * it does not report which devices are attached.
	 */
	void (*release_device)(struct engine_guest *guest, const char *name, uint64_t attachments);
	/* Set the level of the process's log; NULL: it has none. */
	void (*set_log_level)(struct engine_guest *guest, enum log_level level);
	/*
	 * The process has ended with @status of process_reap: reads its remaining events and
	 * output, and writes how the guest ended.
	 */
	enum guest_end (*describe_end)(struct engine_guest *guest, int status,
				       char how[ENGINE_HOW_LENGTH]);
	/* Frees what prepare and the events have allocated; the process has ended. */
	void (*close)(struct engine_guest *guest);
};

/* All engines of meson.build's list, in the order in which `auto` tries them; ends with NULL. */
extern const struct engine *const engines[];
#define ENGINES_MAXIMUM 8
/* Declares @each and iterates over all engines. */
#define for_each_engine(each)                                                                   \
	for (const struct engine *const *each##_place = engines, *each; (each = *each##_place); \
	     each##_place++)

/*
 * Chooses the engine that *config asks for; `auto` is the first that is usable and can run the
 * guest. Returns it with *plan set, or NULL with *error set. Requesting an engine that is not
 * usable is a usage error. The error of `auto` says which options no engine supports, else which
 * engines could run the guest and why they do not work on this host.
 */
const struct engine *engine_choose(struct engine_plan **plan, const struct guest_config *config,
				   const struct kvm_probe_result *kvm, struct error *error);

/*
 * Whether the engine that @choice, of guest_engine_choices, means supports devices of @type; for
 * ENGINE_AUTO: whether any engine does.
 */
bool engine_carries_type(uint64_t choice, const struct device_type *type);

/*
 * Writes the command line of the guest's kernel on @engine to *line, which the caller frees: the
 * guest's own, the engine's console if it names none, and the version of the contract
 * (contract/version.toml). Returns 0 or -ENOMEM with *error set.
 */
int engine_command_line(char **line, const struct engine *engine, const struct guest_config *config,
			struct error *error);

/*
 * Asks the policy whether the engine may connect to device @device. Returns 0, or a negative errno
 * with *error set. engine_start asks for each device; an engine asks before it connects again.
 */
int engine_permit_device(const struct engine *engine, const struct engine_setup *setup,
			 size_t device, struct error *error);

/*
 * Starts a guest on the engine that engine_choose returned for it. Returns 0 with *guest set, or a
 * negative errno with *error set, *guest NULL and nothing started. The setup must outlive the
 * guest.
 */
int engine_start(struct engine_guest **guest, const struct engine *engine,
		 const struct engine_setup *setup, struct error *error);

/*
 * Makes the process inherit @fd. It is closed here after the start, unless it is @lent.
 */
void engine_launch_keep(struct engine_launch *launch, int fd, bool lent);

/* For engines: the guest's vCPUs run. Only the first call counts. */
void engine_report_running(struct engine_guest *guest);

/*
 * Presses the power button, so that the guest may shut down. May be repeated: a guest that is
 * starting ignores it.
 */
void engine_stop(struct engine_guest *guest);

/*
 * Pauses the guest or ends the pause: an event follows. Only once the guest runs. Returns 0, or
 * -ENOTSUP with a usage error for an engine that cannot.
 */
int engine_pause(struct engine_guest *guest, struct error *error);
void engine_resume(struct engine_guest *guest);

/*
 * Lets go of the process of a device, which is to be replaced: an event follows. Only once the
 * guest runs, after engine_check_ability of "restart".
 */
void engine_release_device(struct engine_guest *guest, const char *name, uint64_t attachments);

/* Sets the level of the log of the engine's process, if it is AVP's. */
void engine_set_log_level(struct engine_guest *guest, enum log_level level);

/* Kills the guest; the event ended follows. A second call sends SIGKILL. */
void engine_kill(struct engine_guest *guest);

/* Whether the engine reconnects a device of this type to a restarted process. */
bool engine_reattaches(const struct engine *engine, const struct device_type *type);

/* Ends the process if it still runs, waits for it, and frees the guest. NULL is fine. */
void engine_free(struct engine_guest *guest);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * An engine is a hypervisor that the runtime can start. All of them get the same guest, the same
 * device processes and the same console, and tell the same events; run.c knows nothing else of
 * them.
 */
#ifndef AVP_GUEST_ENGINE_ENGINE_H
#define AVP_GUEST_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/arguments.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "base/oom.h"
#include "base/process.h"
#include "guest/config/config.h"
#include "guest/config/kernel_image.h"
#include "guest/run/run.h"
#include "host/host_check.h"
#include "monitor/kvm/probe.h"

/* A device process that the guest's device is served by. */
struct engine_device {
	const struct device_config *config;
	/* Connect to the path /proc/self/fd/<connect_fd>, again when the connection is lost. */
	int connect_fd;
};

/* What an engine tells, from the loop. */
struct engine_events {
	/*
	 * A step of the start was done, at @nanoseconds of CLOCK_MONOTONIC. Engines that cannot
	 * look into their start tell none.
	 */
	void (*step)(void *context, uint64_t nanoseconds, const char *step);
	/* The guest was never started, and *error says why; ended follows. */
	void (*refused)(void *context, const struct error *error);
	/* The guest's processors run. Called once. */
	void (*running)(void *context);
	/* The guest restarts in place. */
	void (*reset)(void *context);
	/* A device's process does not do its part: it should be ended, and another started. */
	void (*device_given_up)(void *context, const char *name);
	/* A watchdog of the guest expired, @what; what the policy wants of it follows. */
	void (*watchdog)(void *context, const char *what);
	/*
	 * The guest is over and the engine's process is gone; the last call. @how completes "the
	 * guest …"; @end is GUEST_KILLED only when engine_stop or engine_kill had been called or
	 * someone else ended the engine in an orderly way.
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
 * What an engine's machine carries, on one architecture; engine_feature.h tells what it is asked
 * for.
 */
struct engine_machine {
	uint64_t kernels; /* what it boots itself: ENGINE_BOOTS of each */
	/* The most of each. */
	uint64_t cpus;
	uint64_t memory;       /* bytes */
	uint64_t command_line; /* characters, without the zero at the end */
	uint64_t devices;
	uint64_t memory_unit; /* bytes that memory is a multiple of */
	/* 1: it has it; 0: it has not. */
	uint64_t huge_pages, firmware, watchdog, dump_dtb;
};

/* The bit of an enum kernel_format. */
#define ENGINE_BOOTS(format) (UINT64_C(1) << (format))

/*
 * What an engine found out about this machine when it was asked whether it is usable. An engine
 * puts it at the start of a struct of its own; allocated in one piece, given back with free().
 */
struct engine_plan {
	char summary[512]; /* what it is and what it runs on: "QEMU 7.2.22 with KVM" */
	char slow[256];	   /* why it does not run on KVM, or "" */
	/* By engine_choose: "engine kvm is passed over: WHY", for the one tried before, or "". */
	char passed_over[512];
};

struct engine_setup {
	struct event_loop *loop;
	const struct engine_plan *plan; /* the engine's own, from usable */
	const struct guest_config *config;
	const struct engine_device *devices;
	size_t device_count;
	const struct kvm_probe_result *kvm;
	int console_fd; /* socket of the guest's console; the engine's, also on failure */
	const struct engine_events *events;
	void *context;
};

/* A running guest; an engine has more of it behind this, in a struct of its own. */
struct engine_guest {
	const struct engine *engine;
	const struct engine_setup *setup;
	struct process process;
	struct oom_counts oom_before;
	struct event_source exit_source;
	bool running; /* its processors have run: engine_tell_running */
	bool stop_asked, kill_asked;
};

enum engine_file { ENGINE_KERNEL, ENGINE_FIRMWARE, ENGINE_INITRD, ENGINE_FILES };

/* The most descriptors that an engine's process inherits: one for each device, and a few. */
#define ENGINE_DESCRIPTORS (GUEST_DEVICES_MAXIMUM + 8)

/*
 * What an engine's process is started with. Descriptors are engine_start's unless it says
 * otherwise.
 */
struct engine_launch {
	/* By engine_start. */
	int files[ENGINE_FILES]; /* -1: the guest has none of this kind */
	const char *paths[ENGINE_FILES];
	const char *command_line; /* of the kernel; NULL: firmware */
	int console;		  /* the guest's serial port */
	int control;		  /* a stream socket for commands to the process, and its events */
	int own_control;	  /* its other end, taken over by the engine with take_fd */
	/* By the engine. */
	const char *program;
	struct arguments arguments;
	int output; /* becomes its standard output and error */
	/* With engine_launch_keep: those above are in it already. */
	int kept[ENGINE_DESCRIPTORS];
	bool lent[ENGINE_DESCRIPTORS]; /* it stays open here */
	size_t kept_count;
};

/* Long enough for what completes "the guest …". */
#define ENGINE_HOW_LENGTH 1024

struct engine {
	const char *name; /* that of its folder */
	struct engine_machine machines[ENGINE_ARCHITECTURES];
	/*
	 * The console of a guest whose command line names none: "ttyS0"; NULL: it gets no word of
	 * one.
	 */
	const char *console;
	/*
	 * It waits by itself for device processes that do not serve yet, so it is started before
	 * them.
	 */
	bool waits_for_devices;
	/* What `avp doctor` says of the program that it stands on; NULL: that is AVP's own. */
	const struct host_check *check;
	size_t guest_size; /* of its own struct, which begins with a struct engine_guest */
	/*
	 * Whether this engine runs guests on this machine. Returns 0 with *plan set, or a negative
	 * errno with *plan NULL and *error saying what is missing and what to do. Starts nothing
	 * that stays.
	 */
	int (*usable)(struct engine_plan **plan, const struct kvm_probe_result *kvm,
		      struct error *error);
	/*
	 * Whether it carries a device: returns 0, or a negative errno with a usage error that names
	 * the device. @plan NULL: whether it could, if it were usable. NULL: it carries all.
	 */
	int (*carries)(const struct device_config *device, const struct engine_plan *plan,
		       struct error *error);
	/* Whether a device of this type gets a process that was started again. NULL: all do. */
	bool (*reattaches)(const struct device_type *type);
	/*
	 * Makes ready what its process is started with, and takes over its end of the control
	 * socket. Returns 0, or a negative errno with *error set; close follows in either case.
	 */
	int (*prepare)(struct engine_guest *guest, struct engine_launch *launch,
		       struct error *error);
	/*
	 * The process runs, or its pid is 0. Presses the power button; ends the guest as it stands.
	 */
	void (*stop)(struct engine_guest *guest);
	void (*kill)(struct engine_guest *guest);
	/*
	 * The process is gone, with @status of process_reap: reads what it said last, and writes
	 * how the guest ended.
	 */
	enum guest_end (*judge)(struct engine_guest *guest, int status,
				char how[ENGINE_HOW_LENGTH]);
	/* Gives back what prepare and the events have made; the process is gone. */
	void (*close)(struct engine_guest *guest);
};

/* All engines of meson.build's list, in the order in which `auto` tries them; ends with NULL. */
extern const struct engine *const engines[];
#define ENGINES_MAXIMUM 8
/* Goes through them, with @each declared as the one at hand. */
#define for_each_engine(each)                                                                   \
	for (const struct engine *const *each##_place = engines, *each; (each = *each##_place); \
	     each##_place++)

/*
 * Chooses the engine that *config asks for: for `auto` the first that is usable and takes such a
 * guest. Returns it with *plan set, or NULL with *error set: to ask for an engine that is not
 * usable is a mistake of the call. `auto` tells what of the guest no engine takes, and then which
 * would take it and why that does not work here.
 */
const struct engine *engine_choose(struct engine_plan **plan, const struct guest_config *config,
				   const struct kvm_probe_result *kvm, struct error *error);

/*
 * Whether devices of @type are carried by the engine that @choice, of guest_engine_choices, stands
 * for; of ENGINE_AUTO: by whichever it may be.
 */
bool engine_carries_type(uint64_t choice, const struct device_type *type);

/*
 * Writes the command line that the kernel of a guest gets on @engine, *line, the caller's to free:
 * the guest's own, a console where it names none and the engine has one, and the contract that is
 * kept (contract/version.toml). Returns 0 or -ENOMEM with *error set.
 */
int engine_command_line(char **line, const struct engine *engine, const struct guest_config *config,
			struct error *error);

/*
 * Starts the guest that engine_choose has found @engine to carry. Returns 0 with *guest set, or a
 * negative errno with *error set, *guest NULL and nothing started. The setup must outlive the
 * guest.
 */
int engine_start(struct engine_guest **guest, const struct engine *engine,
		 const struct engine_setup *setup, struct error *error);

/*
 * Has the process inherit @fd, which is closed here when it has started, or stays open if it is
 * @lent.
 */
void engine_launch_keep(struct engine_launch *launch, int fd, bool lent);

/* The guest's processors run, as far as the engine knows for the first time. */
void engine_tell_running(struct engine_guest *guest);

/*
 * Presses the power button: the guest shuts down by itself, if it wants to. May be called
 * again and again: a guest that is starting does not hear it.
 */
void engine_stop(struct engine_guest *guest);

/* Ends the guest as it stands; ended comes soon. A second time it is done with more force. */
void engine_kill(struct engine_guest *guest);

/* Whether a device of this type gets a process that was started again. */
bool engine_reattaches(const struct engine *engine, const struct device_type *type);

/* Ends what still runs, waiting for it, and frees the guest. NULL is fine. */
void engine_free(struct engine_guest *guest);

#endif

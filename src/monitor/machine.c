// SPDX-License-Identifier: BSD-3-Clause
/*
 * A machine. A reset is a power cycle: the virtual machine is freed and a new one made with the
 * same memory, so that no state of a vCPU or an interrupt controller can survive.
 */
#include "monitor/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/file_stamp.h"
#include "base/clock.h"
#include "base/log.h"
#include "monitor/boot_file.h"
#include "monitor/loop_thread.h"
#include "monitor/memory.h"
#include "monitor/platform.h"
#include "monitor/vcpus.h"
#include "monitor/virtio/virtio_mmio.h"
#include "virtio/round_up.h"

/* The guest fails after so many triple faults, each this soon after a start. */
#define FAULTS_MAX     5
#define FAULT_QUICK_MS 2000
/* Of both architectures. */
#define REGISTERS_END (UINT64_C(4) << 30)
/* Memory and windows share no section of Linux (at most 1 GiB, with pages of 64 KiB: 512 MiB). */
#define WINDOWS_ALIGNMENT (UINT64_C(1) << 30)
/* How long to wait until the guest's last output is read. */
#define OUTPUT_MS 1000

/* Why the guest's vCPUs stopped; only the first reason counts. */
enum outcome {
	OUTCOME_NONE,
	OUTCOME_OFF,
	OUTCOME_RESET,
	OUTCOME_FAULT,
	OUTCOME_PANIC,
	OUTCOME_WATCHDOG,
	OUTCOME_FAILED
};

/* A device's transport, and the thread that handles its process. */
struct machine_transport {
	struct virtio_mmio *transport;
	struct loop_thread thread;
};

/*
 * The thread that loads the kernel while the rest of the machine is opened: the copy takes about as
 * long.
 */
struct loader {
	pthread_t thread;
	bool runs;
	int result;
	struct error error;
};

struct machine {
	const struct machine_setup *setup;
	struct boot_source boot;
	const struct device_shape **shapes; /* of the devices in setup */
	struct monitor_memory memory;
	struct bus addresses, ports;
	struct platform *platform;
	struct machine_transport *transports;
	size_t transport_count;
	uint64_t windows_end; /* of the devices' shared memory: guest addresses; 0: there is none */
	struct boot_entry entry;
	struct {
		struct file_stamp kernel, firmware, initrd;
	} stamps;
	bool loaded;		       /* the kernel in memory is unmodified */
	struct loader loader;	       /* owns the three above while it runs */
	struct hypervisor *hypervisor; /* NULL: the power is off */
	struct vcpus vcpus;
	int64_t started_ms;
	unsigned int quick_faults;
	bool pause_asked, paused;
	/* Set by the vCPUs' threads, which signal this eventfd. */
	struct event_source outcome_source;
	pthread_mutex_t lock; /* of those below */
	enum outcome outcome;
	char reason[200];
	char unsafe_memory[200]; /* why this memory must not be used any more, or "" */
};

static void mark(const struct machine *machine, const char *step)
{
	if (machine->setup->events->mark)
		machine->setup->events->mark(machine->setup->context, step);
}

/* Any thread: sets the outcome and stops all vCPUs. */
static void set_outcome(struct machine *machine, enum outcome outcome, const char *reason)
{
	pthread_mutex_lock(&machine->lock);
	if (machine->outcome == OUTCOME_NONE) {
		machine->outcome = outcome;
		snprintf(machine->reason, sizeof(machine->reason), "%s", reason);
	}
	pthread_mutex_unlock(&machine->lock);
	vcpus_halt(&machine->vcpus);
	eventfd_write(machine->outcome_source.fd, 1);
}

/*
 * Called in the event loop's thread; the policy decides what follows.
 */
static void handle_watchdog(struct machine *machine, const char *what)
{
	const struct machine_setup *setup = machine->setup;

	if (setup->watchdog == MACHINE_WATCHDOG_NONE)
		return;
	if (setup->events->watchdog)
		setup->events->watchdog(setup->context, what);
	if (setup->watchdog != MACHINE_WATCHDOG_NOTIFY)
		set_outcome(machine, OUTCOME_WATCHDOG, what);
}

static void handle_platform(void *context, enum platform_event event, const char *what)
{
	static const enum outcome outcomes[] = {
		[PLATFORM_OFF] = OUTCOME_OFF,
		[PLATFORM_RESET] = OUTCOME_RESET,
		[PLATFORM_PANICKED] = OUTCOME_PANIC,
	};

	if (event == PLATFORM_WATCHDOG)
		handle_watchdog(context, what);
	else
		set_outcome(context, outcomes[event], "");
}

static uint64_t vcpu_time(void *context, uint32_t index)
{
	struct machine *machine = context;

	return vcpus_time(&machine->vcpus, index);
}

static void handle_exited(void *context, const struct vcpu_exit *exit)
{
	if (exit->kind == VCPU_EXIT_FAILED || exit->kind == VCPU_EXIT_MEMORY)
		set_outcome(context, OUTCOME_FAILED, exit->reason);
	else if (exit->kind == VCPU_EXIT_POWER_OFF)
		set_outcome(context, OUTCOME_OFF, "");
	else
		set_outcome(context, exit->fault ? OUTCOME_FAULT : OUTCOME_RESET, "");
}

/* In the thread of the last vCPU: the loop's thread goes on in handle_outcome. */
static void handle_all_paused(void *context)
{
	const struct machine *machine = context;

	eventfd_write(machine->outcome_source.fd, 1);
}

/* The only memory that the host may be unable to provide is that of files of device processes. */
static bool mend_memory(void *context)
{
	struct machine *machine = context;
	bool mended = false;

	for (size_t i = 0; i < machine->transport_count; i++)
		mended |= shared_memory_mend(
			virtio_mmio_shared_memory(machine->transports[i].transport));
	return mended;
}

static const struct vcpus_events vcpus_events = {
	.exited = handle_exited,
	.paused = handle_all_paused,
	.mend_memory = mend_memory,
};

/* Switches the power off: detaches everything before the virtual machine is freed. */
static void switch_off(struct machine *machine)
{
	if (!machine->hypervisor)
		return;
	vcpus_stop(&machine->vcpus);
	machine->paused = false;
	for (size_t i = 0; i < machine->transport_count; i++)
		virtio_mmio_detach(machine->transports[i].transport);
	machine->platform->ops->detach(machine->platform);
	machine->hypervisor->ops->free(machine->hypervisor);
	machine->hypervisor = NULL;
}

/* Checks that the files are unchanged since the first start. */
static int check_files(struct machine *machine, struct error *error)
{
	const struct boot_source *boot = &machine->boot;
	int result = file_stamp_check(&machine->stamps.kernel, boot->kernel_fd, boot->kernel_name,
				      error);

	if (result == 0)
		result = file_stamp_check(&machine->stamps.firmware, boot->firmware_fd,
					  boot->firmware_name, error);
	if (result == 0)
		result = file_stamp_check(&machine->stamps.initrd, boot->initrd_fd,
					  boot->initrd_name, error);
	return result;
}

static int load(struct machine *machine, struct error *error)
{
	int result, changed;

	if (machine->loaded)
		return 0;
	result = check_files(machine, error);
	if (result < 0)
		return result;
	result = arch_boot_load(&machine->memory, &machine->boot, &machine->entry, error);
	/*
	 * Check again: if a file changed while it was read, that explains any other error.
	 */
	changed = check_files(machine, error);
	machine->loaded = result == 0 && changed == 0;
	return changed < 0 ? changed : result;
}

static void *run_loader(void *argument)
{
	struct machine *machine = argument;

	monitor_thread_set_name("loader");
	machine->loader.result = load(machine, &machine->loader.error);
	if (machine->loaded)
		mark(machine, "kernel loaded");
	return NULL;
}

static int start_loader(struct machine *machine, struct error *error)
{
	struct loader *loader = &machine->loader;
	int code = monitor_thread_create(&loader->thread, run_loader, machine);

	loader->runs = code == 0;
	return code ? error_set_errno(error, code, "cannot start the thread of the loader") : 0;
}

/* Waits for the loader, if it runs. Its error takes precedence over others. */
static int finish_loader(struct machine *machine, struct error *error)
{
	struct loader *loader = &machine->loader;

	if (!loader->runs)
		return 0;
	pthread_join(loader->thread, NULL);
	loader->runs = false;
	if (loader->result < 0 && error)
		*error = loader->error;
	return loader->result;
}

/* Switches the power on: everything of the virtual machine except the vCPUs. */
static int switch_on(struct machine *machine, struct error *error)
{
	const struct machine_setup *setup = machine->setup;
	struct hypervisor_setup hypervisor = setup->hypervisor;
	int result;

	hypervisor.windows_end = machine->windows_end;
	result = setup->create_hypervisor(&machine->hypervisor, &hypervisor, error);
	if (result < 0)
		return result;
	result = monitor_memory_attach(&machine->memory, machine->hypervisor, error);
	for (size_t i = 0; i < machine->transport_count && result == 0; i++)
		result = shared_memory_attach(
			virtio_mmio_shared_memory(machine->transports[i].transport),
			machine->hypervisor, error);
	if (result == 0)
		result = machine->hypervisor->ops->add_interrupt_controllers(machine->hypervisor,
									     error);
	machine->platform->ops->attach(machine->platform, machine->hypervisor);
	for (size_t i = 0; i < machine->transport_count; i++)
		virtio_mmio_attach(machine->transports[i].transport, machine->hypervisor);
	if (result == 0)
		mark(machine, "virtual machine made");
	return result;
}

int machine_start(struct machine *machine, struct error *error)
{
	const struct machine_setup *setup = machine->setup;
	int result;

	/* Outcomes from here on belong to the new virtual machine. */
	pthread_mutex_lock(&machine->lock);
	machine->outcome = OUTCOME_NONE;
	pthread_mutex_unlock(&machine->lock);
	result = load(machine, error);
	for (size_t i = 0; i < machine->transport_count && result == 0; i++)
		result = loop_thread_start(&machine->transports[i].thread, setup->devices[i].name,
					   error);
	if (result == 0 && !machine->hypervisor)
		result = switch_on(machine, error);
	machine->loaded = false;
	machine->started_ms = clock_now_ms();
	if (result == 0)
		result = vcpus_start(&machine->vcpus, machine->hypervisor, setup->hypervisor.cpus,
				     &machine->entry, &machine->addresses, &machine->ports,
				     setup->broker, &vcpus_events, machine, error);
	if (result < 0) {
		switch_off(machine);
		return result;
	}
	/* A machine that was reset meanwhile pauses again. */
	if (machine->pause_asked)
		vcpus_pause(&machine->vcpus);
	mark(machine, "vCPUs run");
	setup->events->running(setup->context);
	return 0;
}

static void end(struct machine *machine, enum machine_end how, const char *why)
{
	machine->setup->events->ended(machine->setup->context, how, why);
}

static void restart(struct machine *machine)
{
	struct error error;

	machine->setup->events->reset(machine->setup->context);
	if (machine_start(machine, &error) == 0)
		return;
	error_prefix(&error, "could not be restarted");
	end(machine, MACHINE_FAILED, error.message);
}

static bool ran_shortly(const struct machine *machine)
{
	return clock_now_ms() - machine->started_ms < FAULT_QUICK_MS;
}

/* Like the hardware, reset after a triple fault, but not forever. */
static void handle_fault(struct machine *machine)
{
	if (ran_shortly(machine) && ++machine->quick_faults == FAULTS_MAX) {
		end(machine, MACHINE_FAILED, "triple-faulted repeatedly right after its start");
		return;
	}
	log_warning("the guest triple-faulted: it is reset");
	restart(machine);
}

/* Whether the guest would be restarted. */
static bool goes_on(const struct machine *machine)
{
	return machine->outcome == OUTCOME_RESET || machine->outcome == OUTCOME_FAULT ||
	       (machine->outcome == OUTCOME_WATCHDOG &&
		machine->setup->watchdog == MACHINE_WATCHDOG_RESET);
}

/* Reports that the machine is paused, when it is. */
static void finish_pause(struct machine *machine)
{
	if (machine->paused || !vcpus_are_paused(&machine->vcpus))
		return;
	machine->paused = true;
	if (machine->platform->ops->pause)
		machine->platform->ops->pause(machine->platform, true);
	machine->setup->events->paused(machine->setup->context);
}

static bool has_outcome(struct machine *machine)
{
	bool has;

	pthread_mutex_lock(&machine->lock);
	has = machine->outcome != OUTCOME_NONE;
	pthread_mutex_unlock(&machine->lock);
	return has;
}

static void handle_outcome(void *context, uint32_t events)
{
	struct machine *machine = context;
	eventfd_t count;

	if (eventfd_read(machine->outcome_source.fd, &count) < 0 || !machine->hypervisor)
		return;
	if (!has_outcome(machine)) {
		finish_pause(machine);
		return;
	}
	/* After a longer run the start has worked. */
	if (!ran_shortly(machine))
		machine->quick_faults = 0;
	switch_off(machine);
	/* No other thread is left: drop outcomes of the machine that is off. */
	eventfd_read(machine->outcome_source.fd, &count);
	if (machine->unsafe_memory[0] && goes_on(machine)) {
		end(machine, MACHINE_FAILED, machine->unsafe_memory);
		return;
	}
	switch (machine->outcome) {
	case OUTCOME_NONE:
		break;
	case OUTCOME_OFF:
		end(machine, MACHINE_POWERED_OFF, "powered off");
		break;
	case OUTCOME_PANIC:
		end(machine, MACHINE_PANICKED, "panicked");
		break;
	case OUTCOME_FAILED:
		end(machine, MACHINE_FAILED, machine->reason);
		break;
	case OUTCOME_RESET:
		restart(machine);
		break;
	case OUTCOME_FAULT:
		handle_fault(machine);
		break;
	case OUTCOME_WATCHDOG:
		if (machine->setup->watchdog == MACHINE_WATCHDOG_RESET)
			restart(machine);
		else
			end(machine, MACHINE_FAILED, "was stopped: its watchdog expired");
		break;
	}
}

static int open_platform(struct machine *machine, struct error *error)
{
	const struct machine_setup *setup = machine->setup;
	const struct platform_setup platform = {
		.loop = setup->loop,
		.addresses = &machine->addresses,
		.ports = &machine->ports,
		.cpus = setup->hypervisor.cpus,
		.serial_fd = setup->serial_fd,
		.report = handle_platform,
		.vcpu_time = vcpu_time,
		.context = machine,
	};

	return arch_platform_open(&machine->platform, &platform, error);
}

static void handle_reported(void *context, const char *name, enum remote_report report,
			    const char *why)
{
	struct machine *machine = context;

	if (machine->setup->events->device_reported)
		machine->setup->events->device_reported(machine->setup->context, name, report, why);
}

static void handle_not_ended(void *context, const char *name)
{
	struct machine *machine = context;
	char why[sizeof(machine->unsafe_memory)];

	snprintf(why, sizeof(why),
		 "was stopped: the process of device %.60s was given up and did not end: it could "
		 "write to memory that the guest uses again",
		 name);
	pthread_mutex_lock(&machine->lock);
	memcpy(machine->unsafe_memory, why, sizeof(why));
	pthread_mutex_unlock(&machine->lock);
	set_outcome(machine, OUTCOME_FAILED, why);
}

static int open_device(struct machine *machine, unsigned int index, struct error *error)
{
	struct machine_device *device = &machine->setup->devices[index];
	struct machine_transport *transport = &machine->transports[index];
	struct transport_setup setup = {
		.name = device->name,
		.shape = &device->shape,
		.peer = {-1, machine->setup->broker, index},
		.memory = &machine->memory,
		.loop = &transport->thread.loop,
		.reported = handle_reported,
		.not_ended = handle_not_ended,
		.context = machine,
	};
	int result = loop_thread_open(&transport->thread, error);

	if (result < 0)
		return result;
	machine->transport_count++;
	setup.peer.fd = take_fd(&device->fd);
	result = virtio_mmio_open(&transport->transport, &setup, arch_virtio_slot(index), error);
	if (result == 0)
		result = bus_add(&machine->addresses, virtio_mmio_registers(transport->transport),
				 error);
	return result;
}

static void close_device(struct machine_transport *transport)
{
	if (transport->transport)
		virtio_mmio_hang_up(transport->transport);
	loop_thread_stop(&transport->thread);
	virtio_mmio_free(transport->transport);
	loop_thread_close(&transport->thread);
}

/*
 * Windows of shared memory are beyond memory and all registers. Drivers learn their addresses from
 * the devices; nothing else describes them.
 */
static int place_windows(struct machine *machine, struct error *error)
{
	uint64_t start = REGISTERS_END, end;
	int result = 0;

	for (size_t i = 0; i < machine->memory.count; i++) {
		const struct memory_range *range = &machine->memory.ranges[i];

		if (range->address + range->size > start)
			start = range->address + range->size;
	}
	start = end = round_up(start, WINDOWS_ALIGNMENT);
	for (size_t i = 0; i < machine->transport_count && result == 0; i++) {
		struct shared_memory *memory =
			virtio_mmio_shared_memory(machine->transports[i].transport);
		const struct bus_device *failing;

		end = shared_memory_place(memory, end);
		failing = shared_memory_bus_device(memory);
		if (failing)
			result = bus_add(&machine->addresses, failing, error);
	}
	machine->windows_end = end > start ? end : 0;
	return result;
}

static int open_devices(struct machine *machine, struct error *error)
{
	const struct machine_setup *setup = machine->setup;
	int result = 0;

	if (setup->device_count > arch_virtio_slots)
		return error_set_usage(error, "%zu devices: this machine supports %u",
				       setup->device_count, arch_virtio_slots);
	machine->transports = calloc(setup->device_count + 1, sizeof(*machine->transports));
	if (!machine->transports)
		return error_set(error, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < setup->device_count && result == 0; i++)
		result = open_device(machine, i, error);
	return result < 0 ? result : place_windows(machine, error);
}

static int open_parts(struct machine *machine, struct error *error)
{
	const struct machine_setup *setup = machine->setup;
	struct memory_range ranges[MONITOR_MEMORY_RANGES];
	size_t count = arch_memory_ranges(setup->memory, &machine->boot, ranges);
	int result = open_platform(machine, error);

	if (result == 0)
		result = event_loop_add(setup->loop, &machine->outcome_source, EPOLLIN, error);
	if (result == 0)
		result = monitor_memory_open(&machine->memory, ranges, count, setup->huge_pages,
					     error);
	if (result == 0) {
		mark(machine, "memory mapped");
		result = start_loader(machine, error);
	}
	if (result == 0)
		result = open_devices(machine, error);
	if (result == 0) {
		mark(machine, "devices attached");
		result = switch_on(machine, error);
	}
	if (finish_loader(machine, error) < 0)
		result = machine->loader.result;
	return result;
}

int machine_open(struct machine **out, const struct machine_setup *setup, struct error *error)
{
	int serial_fd = setup->serial_fd;
	struct machine *machine = calloc(1, sizeof(*machine));
	int result;

	if (!machine) {
		close_fd(&serial_fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	machine->shapes = calloc(setup->device_count + 1, sizeof(*machine->shapes));
	if (!machine->shapes) {
		close_fd(&serial_fd);
		free(machine);
		return error_set(error, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < setup->device_count; i++)
		machine->shapes[i] = &setup->devices[i].shape;
	machine->setup = setup;
	machine->memory.fd = -1;
	machine->boot = setup->boot;
	machine->boot.cpus = setup->hypervisor.cpus;
	machine->boot.virtio_devices = (unsigned int)setup->device_count;
	machine->boot.shapes = machine->shapes;
	machine->boot.variant = setup->hypervisor.variant;
	machine->addresses.name = "address";
	machine->ports.name = "port";
	pthread_mutex_init(&machine->lock, NULL);
	vcpus_init(&machine->vcpus);
	machine->outcome_source = (struct event_source){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
							handle_outcome, machine};
	if (machine->outcome_source.fd < 0) {
		close_fd(&serial_fd);
		result = error_set_errno(error, errno, "cannot make an eventfd");
	} else {
		result = open_parts(machine, error);
	}
	if (result < 0) {
		machine_close(machine);
		return result;
	}
	*out = machine;
	return 0;
}

void machine_pause(struct machine *machine)
{
	if (machine->pause_asked)
		return;
	machine->pause_asked = true;
	if (machine->hypervisor)
		vcpus_pause(&machine->vcpus);
}

void machine_resume(struct machine *machine)
{
	machine->pause_asked = false;
	if (machine->paused && machine->platform->ops->pause)
		machine->platform->ops->pause(machine->platform, false);
	machine->paused = false;
	vcpus_resume(&machine->vcpus);
}

void machine_press_power_button(struct machine *machine)
{
	machine->platform->ops->press_power_button(machine->platform);
}

int machine_release_device(struct machine *machine, const char *name, uint64_t attachments,
			   struct error *error)
{
	for (size_t i = 0; i < machine->transport_count; i++) {
		if (strcmp(machine->setup->devices[i].name, name))
			continue;
		virtio_mmio_release(machine->transports[i].transport, attachments);
		return 0;
	}
	return error_set(error, ENOENT, "there is no device '%.80s'", name);
}

void machine_close(struct machine *machine)
{
	if (!machine)
		return;
	switch_off(machine);
	for (size_t i = 0; i < machine->transport_count; i++)
		close_device(&machine->transports[i]);
	free(machine->transports);
	if (machine->platform)
		machine->platform->ops->close(machine->platform, OUTPUT_MS);
	monitor_memory_close(&machine->memory);
	event_loop_remove(machine->setup->loop, &machine->outcome_source);
	close_fd(&machine->outcome_source.fd);
	pthread_mutex_destroy(&machine->lock);
	vcpus_destroy(&machine->vcpus);
	free(machine->shapes);
	free(machine);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * A machine on a fake hypervisor: its vCPUs follow a script, and the machine must power off, reset
 * and fail as it should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/resource_limit.h"
#include "monitor/loop_thread.h"
#include "monitor/machine.h"
#include "monitor/panic.h"
#include "unit/fake_hypervisor.h"
#include "unit/vhost_rig.h"
#if defined(__x86_64__)
#include "monitor/power.h"
#include "monitor/x86/layout.h"
#else
#include "monitor/arm64/layout.h"
#endif

#define CPUS 3

struct stage {
	struct event_loop loop;
	struct fake_hypervisor fake;
	struct machine_setup setup;
	struct machine *machine;
	int far; /* end of the serial line */
	unsigned int running, resets, made, expiries, pauses;
	uint64_t windows_end;
	bool ended;
	enum machine_end end;
	char why[600];
	void (*change)(void); /* changes the files at a reset; or NULL */
};

static struct stage stage;

/* The exits of vCPU 0 after start number stage.made; the others sleep. */
static void (*act)(unsigned int life, unsigned int step, struct vcpu_exit *exit);

static void script(struct fake_hypervisor *fake, uint32_t index, unsigned int step,
		   struct vcpu_exit *exit)
{
	if (index == 0 && act)
		act(stage.made, step, exit);
}

static void put(struct vcpu_exit *exit, enum vcpu_exit_kind kind, uint64_t address, uint8_t value)
{
	exit->kind = kind;
	exit->access.address = address;
	exit->access.length = 1;
	exit->access.write = true;
	exit->access.data[0] = value;
}

#if defined(__x86_64__)
#define KERNEL_MACHINE EM_X86_64
#define KERNEL_ADDRESS 0x200000
#define POWER_IRQ      X86_POWER_PIN

static void put_serial(struct vcpu_exit *exit, uint8_t byte)
{
	put(exit, VCPU_EXIT_PORT, X86_SERIAL_PORT, byte);
}

static void put_panic(struct vcpu_exit *exit, uint8_t value)
{
	put(exit, VCPU_EXIT_PORT, X86_PANIC_PORT, value);
}

static void switch_off(struct vcpu_exit *exit)
{
	put(exit, VCPU_EXIT_PORT, X86_POWER_PORT + POWER_SLEEP_CONTROL,
	    POWER_SLEEP_TYPE_OFF << 2 | 0x20);
}

static void reset(struct vcpu_exit *exit)
{
	put(exit, VCPU_EXIT_PORT, X86_POWER_PORT + POWER_RESET, POWER_RESET_VALUE);
}
#else
#define KERNEL_MACHINE EM_AARCH64
#define KERNEL_ADDRESS (ARM64_KERNEL_ADDRESS)
#define POWER_IRQ      ARM64_GPIO_SPI

static void put_serial(struct vcpu_exit *exit, uint8_t byte)
{
	put(exit, VCPU_EXIT_MMIO, ARM64_UART_ADDRESS, byte);
}

static void put_panic(struct vcpu_exit *exit, uint8_t value)
{
	put(exit, VCPU_EXIT_MMIO, ARM64_PANIC_ADDRESS, value);
}

static void switch_off(struct vcpu_exit *exit)
{
	exit->kind = VCPU_EXIT_POWER_OFF;
}

static void reset(struct vcpu_exit *exit)
{
	exit->kind = VCPU_EXIT_RESET;
}
#endif

static int create(struct hypervisor **hypervisor, const struct hypervisor_setup *setup,
		  struct error *error)
{
	assert_int_equal(setup->cpus, CPUS);
	stage.made++;
	stage.windows_end = setup->windows_end;
	*hypervisor = &stage.fake.hypervisor;
	return 0;
}

static void on_running(void *context)
{
	stage.running++;
}

static void on_reset(void *context)
{
	/* No vCPU is left from before the reset. */
	assert_int_equal(stage.fake.vcpus, 0);
	stage.resets++;
	if (stage.change)
		stage.change();
}

static void on_watchdog(void *context, const char *what)
{
	assert_string_equal(what, "the guest's watchdog");
	stage.expiries++;
}

static void on_paused(void *context)
{
	stage.pauses++;
}

static void on_ended(void *context, enum machine_end end, const char *why)
{
	assert_false(stage.ended);
	assert_int_equal(stage.fake.vcpus, 0);
	stage.ended = true;
	stage.end = end;
	snprintf(stage.why, sizeof(stage.why), "%s", why);
}

static const struct machine_events events = {
	.running = on_running,
	.reset = on_reset,
	.paused = on_paused,
	.watchdog = on_watchdog,
	.ended = on_ended,
};

static int make_kernel(void)
{
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segment;
	} elf = {
		{
			.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			.e_machine = KERNEL_MACHINE,
			.e_entry = KERNEL_ADDRESS,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		{.p_type = PT_LOAD, .p_paddr = KERNEL_ADDRESS, .p_filesz = 64, .p_memsz = 4096},
	};
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	assert_int_equal(write(fd, &elf, sizeof(elf)), sizeof(elf));
	return fd;
}

static int set_up(void **state)
{
	int ends[2];

	(void)state;
	memset(&stage, 0, sizeof(stage));
	assert_int_equal(event_loop_init(&stage.loop, 0, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	stage.far = ends[0];
	fake_open(&stage.fake);
	stage.fake.script = script;
	stage.setup = (struct machine_setup){
		.loop = &stage.loop,
		.hypervisor = {.cpus = CPUS, .kvm_fd = -1},
		.create_hypervisor = create,
		.boot = {.kernel_fd = make_kernel(),
			 .kernel_name = "KERNEL",
			 .firmware_fd = -1,
			 .tree_fd = -1,
			 .initrd_fd = -1,
			 .command_line = ""},
		.memory = 64 << 20,
		.serial_fd = ends[1],
		.events = &events,
	};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	machine_close(stage.machine);
	assert_int_equal(stage.fake.vcpus, 0);
	close(stage.setup.boot.kernel_fd);
	close(stage.far);
	event_loop_close(&stage.loop);
	fake_close(&stage.fake);
	return 0;
}

static void start(void)
{
	struct error error;

	if (machine_open(&stage.machine, &stage.setup, &error) < 0 ||
	    machine_start(stage.machine, &error) < 0)
		fail_msg("%s", error.message);
}

static void wait_for_end(void)
{
	for (int i = 0; i < 1000 && !stage.ended; i++)
		event_loop_turn(&stage.loop, 10);
	assert_true(stage.ended);
}

static void act_off(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	static const char text[] = "bye\n";

	if (step < strlen(text))
		put_serial(exit, (uint8_t)text[step]);
	else if (step == strlen(text))
		switch_off(exit);
	/* It must not be called again. */
	else
		abort();
}

static void test_power_off(void **state)
{
	char text[16] = "";

	(void)state;
	act = act_off;
	start();
	assert_int_equal(stage.running, 1);
	assert_int_equal(stage.fake.entry.address, KERNEL_ADDRESS);
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_POWERED_OFF);
	assert_int_equal(stage.made, 1);
	machine_close(stage.machine);
	stage.machine = NULL;
	/* Its last output has arrived. */
	assert_int_equal(recv(stage.far, text, sizeof(text) - 1, MSG_DONTWAIT), 4);
	assert_string_equal(text, "bye\n");
}

static void act_resets(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	if (life > 10)
		act_off(life, step, exit);
	else if (life % 2)
		reset(exit);
	else
		exit->kind = VCPU_EXIT_RESET;
}

static void test_resets(void **state)
{
	(void)state;
	act = act_resets;
	start();
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_POWERED_OFF);
	assert_int_equal(stage.resets, 10);
	assert_int_equal(stage.running, 11);
	assert_int_equal(stage.made, 11);
}

static void act_fault(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	exit->kind = VCPU_EXIT_RESET;
	exit->fault = true;
}

static void test_triple_faults_come_to_an_end(void **state)
{
	(void)state;
	act = act_fault;
	start();
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_FAILED);
	assert_non_null(strstr(stage.why, "triple-faulted"));
	assert_int_equal(stage.resets, 4);
}

/* Every other start ends by an ordinary reset, as quickly. */
static void act_fault_or_reset(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	exit->kind = VCPU_EXIT_RESET;
	exit->fault = life % 2;
}

static void test_quick_resets_do_not_excuse_faults(void **state)
{
	(void)state;
	act = act_fault_or_reset;
	start();
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_FAILED);
	assert_int_equal(stage.resets, 8);
}

static void act_panic(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	put_panic(exit, step ? PANIC_EVENT_PANICKED : 0x2);
}

static void test_panic(void **state)
{
	(void)state;
	act = act_panic;
	start();
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_PANICKED);
}

static void act_failure(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	exit->kind = VCPU_EXIT_FAILED;
	snprintf(exit->reason, sizeof(exit->reason), "was stopped: nowhere to go");
}

static void test_failure(void **state)
{
	(void)state;
	act = act_failure;
	start();
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_FAILED);
	assert_string_equal(stage.why, "was stopped: nowhere to go");
}

static atomic_bool resets_now;

static void act_reset_once(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	if (life == 1)
		reset(exit);
	resets_now = true;
}

/* A machine that resets when it is to pause is paused after it, and is switched off paused. */
static void test_pause_and_reset(void **state)
{
	act = act_reset_once;
	start();
	while (!resets_now)
		usleep(1000);
	machine_pause(stage.machine);
	for (int i = 0; i < 1000 && !(stage.pauses && stage.resets); i++)
		event_loop_turn(&stage.loop, 10);
	assert_int_equal(stage.pauses, 1);
	assert_int_equal(stage.resets, 1);
}

/* The number of faults, and what comes after them. */
static unsigned int faults_left;

static void act_faults(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	if (faults_left == 0) {
		switch_off(exit);
		return;
	}
	faults_left--;
	exit->kind = VCPU_EXIT_MEMORY;
	snprintf(exit->reason, sizeof(exit->reason), "was stopped: Bad address");
}

/* Another vCPU may have mended it, but that does not last for ever. */
static void test_memory_that_is_missing(void **state)
{
	(void)state;
	faults_left = 90;
	act = act_faults;
	start();
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_POWERED_OFF);
}

static void test_memory_that_stays_missing(void **state)
{
	(void)state;
	faults_left = UINT_MAX;
	act = act_faults;
	start();
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_FAILED);
	assert_string_equal(stage.why, "was stopped: Bad address");
}

static void test_power_button(void **state)
{
	(void)state;
	act = NULL;
	start();
	machine_press_power_button(stage.machine);
	/*
	 * Until the guest has seen it. The lines of arm64's GPIO controller interrupt only on
	 * request.
	 */
#if defined(__x86_64__)
	assert_true(stage.fake.levels[POWER_IRQ]);
#else
	assert_false(stage.fake.levels[POWER_IRQ]);
#endif
	/* The machine can be switched off while its vCPUs sleep. */
	machine_close(stage.machine);
	stage.machine = NULL;
	assert_false(stage.ended);
}

static void act_nonsense(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	static unsigned int seed = 5;

	if (step == 20000) {
		act_off(life, 4, exit);
		return;
	}
	exit->kind = rand_r(&seed) % 2 ? VCPU_EXIT_PORT : VCPU_EXIT_MMIO;
	exit->access.length = 1u << rand_r(&seed) % (exit->kind == VCPU_EXIT_PORT ? 3 : 4);
	exit->access.address = (uint64_t)rand_r(&seed) << 3 ^ (uint64_t)rand_r(&seed) << 32;
	if (exit->kind == VCPU_EXIT_PORT)
		exit->access.address %= 0x500; /* includes the serial port, but not power */
	exit->access.write = rand_r(&seed) % 2;
	exit->count = exit->kind == VCPU_EXIT_PORT ? 1 + (unsigned int)rand_r(&seed) % 8 : 1;
	for (int i = 0; i < 32; i++)
		exit->access.data[i] = (uint8_t)rand_r(&seed);
}

static void test_wild_accesses(void **state)
{
	(void)state;
	act = act_nonsense;
	start();
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_POWERED_OFF);
}

#if defined(__aarch64__)
/*
 * After its first start the guest sets its watchdog and hangs; then it powers off.
 */
static void act_watchdog(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	if (life > 1)
		switch_off(exit);
	else if (step == 0)
		put(exit, VCPU_EXIT_MMIO, ARM64_WATCHDOG_CONTROL + 8, 1);
	else if (step == 1)
		put(exit, VCPU_EXIT_MMIO, ARM64_WATCHDOG_CONTROL, 1);
	exit->access.length = 4;
}

static void test_watchdog_resets(void **state)
{
	(void)state;
	act = act_watchdog;
	stage.setup.watchdog = MACHINE_WATCHDOG_RESET;
	start();
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_POWERED_OFF);
	assert_int_equal(stage.resets, 1);
	assert_int_equal(stage.expiries, 1);
}

static void test_watchdog_stops(void **state)
{
	(void)state;
	act = act_watchdog;
	stage.setup.watchdog = MACHINE_WATCHDOG_STOP;
	start();
	wait_for_end();
	assert_int_equal(stage.end, MACHINE_FAILED);
	assert_string_equal(stage.why, "was stopped: its watchdog expired");
	assert_int_equal(stage.expiries, 1);
}

static void test_watchdog_that_is_only_told(void **state)
{
	(void)state;
	act = act_watchdog;
	stage.setup.watchdog = MACHINE_WATCHDOG_NOTIFY;
	start();
	for (int i = 0; i < 1000 && stage.expiries == 0; i++)
		event_loop_turn(&stage.loop, 10);
	assert_int_equal(stage.expiries, 1);
	event_loop_turn(&stage.loop, 50);
	assert_false(stage.ended);
	assert_int_equal(stage.resets, 0);
}

static void test_watchdog_that_nobody_heeds(void **state)
{
	(void)state;
	act = act_watchdog;
	stage.setup.watchdog = MACHINE_WATCHDOG_NONE;
	start();
	for (int i = 0; i < 20; i++)
		event_loop_turn(&stage.loop, 10);
	assert_false(stage.ended);
	assert_int_equal(stage.expiries, 0);
	assert_int_equal(stage.resets, 0);
}
#endif

/* Wait as long as a person would: file system clocks are coarse. */
static void change_later(int fd)
{
	struct timespec times[2];

	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec += 60;
	times[1] = times[0];
	assert_int_equal(futimens(fd, times), 0);
}

static void cut_initrd(void)
{
	assert_int_equal(ftruncate(stage.setup.boot.initrd_fd, 0), 0);
	change_later(stage.setup.boot.initrd_fd);
}

static void shorten_initrd(void)
{
	assert_int_equal(ftruncate(stage.setup.boot.initrd_fd, 5000), 0);
	change_later(stage.setup.boot.initrd_fd);
}

static void cut_kernel(void)
{
	assert_int_equal(ftruncate(stage.setup.boot.kernel_fd, 70), 0);
	change_later(stage.setup.boot.kernel_fd);
}

static void grow_kernel(void)
{
	assert_int_equal(ftruncate(stage.setup.boot.kernel_fd, 8000), 0);
	change_later(stage.setup.boot.kernel_fd);
}

static void overwrite_kernel(void)
{
	assert_int_equal(pwrite(stage.setup.boot.kernel_fd, "x", 1, 30), 1);
	change_later(stage.setup.boot.kernel_fd);
}

/* A change is detected even if size or time stays the same. */
static void set_time(int fd, const struct stat *before, long later_ns)
{
	struct timespec times[2] = {before->st_mtim, before->st_mtim};

	times[1].tv_nsec += times[1].tv_nsec < 500000000 ? later_ns : -later_ns;
	assert_int_equal(futimens(fd, times), 0);
}

static void overwrite_in_the_same_second(void)
{
	struct stat before;

	assert_int_equal(fstat(stage.setup.boot.kernel_fd, &before), 0);
	assert_int_equal(pwrite(stage.setup.boot.kernel_fd, "x", 1, 30), 1);
	set_time(stage.setup.boot.kernel_fd, &before, 1);
}

static void shorten_and_restore_time(void)
{
	struct stat before;

	assert_int_equal(fstat(stage.setup.boot.initrd_fd, &before), 0);
	assert_int_equal(ftruncate(stage.setup.boot.initrd_fd, 5000), 0);
	set_time(stage.setup.boot.initrd_fd, &before, 0);
}

/* As a package manager: another file gets the name, the open one is unchanged. */
static void change_owner(void)
{
	assert_int_equal(fchmod(stage.setup.boot.kernel_fd, 0600), 0);
}

/* A reset must boot the same files as the first start. */
static void test_files_that_change_under_a_guest(void **state)
{
	static const struct {
		void (*change)(void);
		const char *why;
	} cases[] = {
		{cut_initrd, "could not be restarted: INITRD: was changed since the guest's "
			     "first start (6000 bytes then, 0 now)"},
		{shorten_initrd, "could not be restarted: INITRD: was changed since the guest's "
				 "first start (6000 bytes then, 5000 now)"},
		{cut_kernel, "could not be restarted: KERNEL: was changed since the guest's "
			     "first start ("},
		{grow_kernel, "could not be restarted: KERNEL: was changed since "},
		{overwrite_kernel, "could not be restarted: KERNEL: was changed since "},
		{overwrite_in_the_same_second,
		 "could not be restarted: KERNEL: was changed since "},
		{shorten_and_restore_time, "could not be restarted: INITRD: was changed since "},
		{change_owner, NULL},
	};

	act = act_resets;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		stage.change = cases[i].change;
		stage.setup.boot.initrd_name = "INITRD";
		stage.setup.boot.initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
		assert_int_equal(ftruncate(stage.setup.boot.initrd_fd, 6000), 0);
		start();
		wait_for_end();
		if (cases[i].why) {
			assert_int_equal(stage.end, MACHINE_FAILED);
			assert_int_equal(stage.running, 1);
			if (strncmp(stage.why, cases[i].why, strlen(cases[i].why)))
				fail_msg("case %zu: %s", i, stage.why);
			assert_non_null(strstr(stage.why, "; start the guest again"));
		} else {
			assert_int_equal(stage.end, MACHINE_POWERED_OFF);
		}
		close(stage.setup.boot.initrd_fd);
		tear_down(state);
		set_up(state);
	}
}

static void test_an_empty_initrd(void **state)
{
	struct error error;

	(void)state;
	stage.setup.boot.initrd_name = "INITRD";
	stage.setup.boot.initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
	assert_int_equal(machine_open(&stage.machine, &stage.setup, &error), -EINVAL);
	stage.machine = NULL;
	assert_true(error.usage);
	assert_non_null(strstr(error.message, "INITRD: is empty"));
	close(stage.setup.boot.initrd_fd);
}

static void *find_stack_size(void *argument)
{
	pthread_attr_t attributes;

	assert_int_equal(pthread_getattr_np(pthread_self(), &attributes), 0);
	pthread_attr_getstacksize(&attributes, argument);
	pthread_attr_destroy(&attributes);
	return NULL;
}

/* Independent of RLIMIT_STACK at the start of the process, the default of threads. */
static void test_stacks_of_threads(void **state)
{
	pthread_t thread;
	size_t size = 0;

	(void)state;
	assert_int_equal(monitor_thread_create(&thread, find_stack_size, &size), 0);
	pthread_join(thread, NULL);
	assert_int_equal(size, RESOURCE_LIMIT_STACK);
}

static void test_what_cannot_start(void **state)
{
	struct error error;

	(void)state;
	assert_int_equal(ftruncate(stage.setup.boot.kernel_fd, 10), 0);
	assert_int_equal(machine_open(&stage.machine, &stage.setup, &error), -EINVAL);
	assert_true(error.usage);
	/* Everything made so far was freed. */
	assert_false(stage.fake.controllers);
	stage.machine = NULL;
}

static void test_what_cannot_be_opened(void **state)
{
	static struct machine_device device = {.name = "disk",
					       .shape = {.virtio_id = 2, .queues = 1},
					       .fd = -1};
	struct error error;

	(void)state;
	stage.setup.devices = &device;
	stage.setup.device_count = 1;
	assert_true(machine_open(&stage.machine, &stage.setup, &error) < 0);
	assert_non_null(strstr(error.message, "disk"));
	/* An error of the kernel is reported first. */
	stage.setup.serial_fd = -1;
	assert_int_equal(ftruncate(stage.setup.boot.kernel_fd, 10), 0);
	assert_int_equal(machine_open(&stage.machine, &stage.setup, &error), -EINVAL);
	assert_non_null(strstr(error.message, "KERNEL"));
	stage.machine = NULL;
}

/* A device has its driver, and its process hangs as the machine resets. */
static struct vhost_rig rig;
static pthread_t holder;
static sem_t rig_held, rig_go_on;

static void hold_rig(struct vhost_rig *held, void *context)
{
	sem_post(&rig_held);
	sem_wait(&rig_go_on);
}

static void *run_hold(void *context)
{
	rig_run(&rig, hold_rig, NULL);
	return NULL;
}

static void act_drives_and_resets(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	static const struct {
		uint32_t address;
		uint8_t value;
	} writes[] = {
		{VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER},
		{VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1},
		{VIRTIO_MMIO_DRIVER_FEATURES, 1 << (VIRTIO_F_VERSION_1 - 32)},
		{VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
					     VIRTIO_CONFIG_S_FEATURES_OK},
		{VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
					     VIRTIO_CONFIG_S_FEATURES_OK |
					     VIRTIO_CONFIG_S_DRIVER_OK},
	};
	const size_t count = sizeof(writes) / sizeof(writes[0]);

	if (life > 1) {
		switch_off(exit);
		return;
	}
	if (step < count) {
		put(exit, VCPU_EXIT_MMIO, arch_virtio_slot(0).address + writes[step].address,
		    writes[step].value);
		exit->access.length = 4;
		memset(exit->access.data + 1, 0, 3);
		return;
	}
	/* From now on its process hangs. */
	if (step == count) {
		pthread_create(&holder, NULL, run_hold, NULL);
		sem_wait(&rig_held);
	}
	reset(exit);
}

/* Memory that a process may still write to is not used after a reset. */
static void test_a_process_outlives_the_reset(void **state)
{
	struct machine_device device = {
		.name = "rng0",
		.shape = {.virtio_id = VIRTIO_ID_RNG, .queues = 1, .queue_size_max = 64},
	};
	struct error error;

	(void)state;
	sem_init(&rig_held, 0, 0);
	sem_init(&rig_go_on, 0, 0);
	rig_start(&rig, -1);
	device.fd = vhost_client_connect(rig.path, 1000, &error);
	assert_done(device.fd, &error);
	stage.setup.devices = &device;
	stage.setup.device_count = 1;
	act = act_drives_and_resets;
	start();
	for (int i = 0; i < 6000 && !stage.ended; i++)
		event_loop_turn(&stage.loop, 10);
	sem_post(&rig_go_on);
	pthread_join(holder, NULL);
	machine_close(stage.machine);
	stage.machine = NULL;
	rig_stop(&rig);
	assert_true(stage.ended);
	assert_int_equal(stage.end, MACHINE_FAILED);
	assert_non_null(
		strstr(stage.why, "the process of device rng0 was given up and did not end"));
	assert_int_equal(stage.resets, 0);
	assert_int_equal(stage.running, 1);
}

static void act_looks_at_windows(unsigned int life, unsigned int step, struct vcpu_exit *exit)
{
	const struct fake_window *windows = stage.fake.windows;

	assert(stage.fake.window_count == 2);
	assert(windows[0].address == UINT64_C(0x100000000) && windows[0].size == 0x10000);
	assert(windows[1].address == UINT64_C(0x100200000) && windows[1].size == 0x4000);
	if (life == 1)
		reset(exit);
	else
		switch_off(exit);
}

/* Each virtual machine has the windows of a device, beyond memory. */
static void test_windows(void **state)
{
	struct machine_device device = {
		.name = "rng0",
		.shape = {.virtio_id = VIRTIO_ID_RNG, .queues = 1, .queue_size_max = 64},
	};
	struct error error;

	(void)state;
	rig_start(&rig, -1);
	device.fd = vhost_client_connect(rig.path, 1000, &error);
	assert_done(device.fd, &error);
	stage.setup.devices = &device;
	stage.setup.device_count = 1;
	act = act_looks_at_windows;
	start();
	wait_for_end();
	machine_close(stage.machine);
	stage.machine = NULL;
	rig_stop(&rig);
	assert_int_equal(stage.end, MACHINE_POWERED_OFF);
	assert_int_equal(stage.resets, 1);
	assert_true(stage.windows_end == UINT64_C(0x100204000));
}

int main(void)
{
#define STAGE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_power_off),
		STAGE_TEST(test_resets),
		STAGE_TEST(test_triple_faults_come_to_an_end),
		STAGE_TEST(test_quick_resets_do_not_excuse_faults),
		STAGE_TEST(test_panic),
		STAGE_TEST(test_failure),
		STAGE_TEST(test_memory_that_is_missing),
		STAGE_TEST(test_memory_that_stays_missing),
		STAGE_TEST(test_windows),
		STAGE_TEST(test_power_button),
		STAGE_TEST(test_pause_and_reset),
		STAGE_TEST(test_wild_accesses),
#if defined(__aarch64__)
		STAGE_TEST(test_watchdog_resets),
		STAGE_TEST(test_watchdog_stops),
		STAGE_TEST(test_watchdog_that_is_only_told),
		STAGE_TEST(test_watchdog_that_nobody_heeds),
#endif
		STAGE_TEST(test_a_process_outlives_the_reset),
		STAGE_TEST(test_files_that_change_under_a_guest),
		STAGE_TEST(test_an_empty_initrd),
		cmocka_unit_test(test_stacks_of_threads),
		STAGE_TEST(test_what_cannot_start),
		STAGE_TEST(test_what_cannot_be_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

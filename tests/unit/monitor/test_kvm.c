// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM behind the interface of a hypervisor. Guests are a few 32-bit instructions, started as by
 * PVH, so that a KVM without 64-bit guests can run them. Skipped if /dev/kvm can't be opened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "monitor/kvm/kvm_private.h"
#include "monitor/loop_thread.h"
#include "monitor/virtio/shared_memory.h"

#define MEMORY_SIZE	(UINT64_C(2) << 20)
#define CODE_ADDRESS	0x100000
#define PORT		0x123
#define MMIO		0xd0000050
#define WINDOW		0x20000000
#define WINDOW_PAGES	64
#define IRQ		10
#define MSR_MISC_ENABLE 0x1a0
/* How long a vCPU may take to be interrupted: very long. */
#define LOST_S 60

struct stage {
	int kvm_fd;
	uint8_t *memory;
	struct hypervisor *hypervisor;
	struct vcpu *vcpu;
};

static const struct hypervisor_ops *ops(const struct stage *stage)
{
	return stage->hypervisor->ops;
}

static int set_up(void **state)
{
	static struct stage stage;
	struct hypervisor_setup setup = {.cpus = 1, .memory = MEMORY_SIZE};
	struct error error;

	stage = (struct stage){.kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC)};
	*state = &stage;
	if (stage.kvm_fd < 0) {
		print_message("skipped: /dev/kvm: %s\n", strerror(errno));
		return 0;
	}
	stage.memory =
		mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(stage.memory != MAP_FAILED);
	setup.kvm_fd = stage.kvm_fd;
	if (kvm_choose_variant(&setup, &error) < 0 ||
	    kvm_create(&stage.hypervisor, &setup, &error) < 0 ||
	    ops(&stage)->add_memory(stage.hypervisor, 0, MEMORY_SIZE, stage.memory, &error) < 0 ||
	    ops(&stage)->add_interrupt_controllers(stage.hypervisor, &error) < 0)
		fail_msg("%s", error.message);
	return 0;
}

static int tear_down(void **state)
{
	struct stage *stage = *state;

	if (stage->kvm_fd < 0)
		return 0;
	if (stage->vcpu)
		ops(stage)->vcpu_free(stage->vcpu);
	ops(stage)->free(stage->hypervisor);
	munmap(stage->memory, MEMORY_SIZE);
	close(stage->kvm_fd);
	return 0;
}

/* The stage of a test, which is skipped when there is none. */
static struct stage *get(void **state)
{
	struct stage *stage = *state;

	if (stage->kvm_fd < 0)
		skip();
	return stage;
}

static void make_vcpu(struct stage *stage, const uint8_t *code, size_t size)
{
	const struct boot_entry entry = {.protocol = BOOT_PVH, .address = CODE_ADDRESS};
	struct error error;

	memcpy(stage->memory + CODE_ADDRESS, code, size);
	if (ops(stage)->vcpu_create(stage->hypervisor, 0, &entry, &stage->vcpu, &error) < 0)
		fail_msg("%s", error.message);
}

static void test_memory_has_its_limit(void **state)
{
	struct stage *stage = get(state);
	struct error error;

	assert_int_equal(ops(stage)->add_memory(stage->hypervisor, MEMORY_SIZE / 2, MEMORY_SIZE,
						stage->memory, &error),
			 -EEXIST);
	for (int i = 1; i < MONITOR_MEMORY_RANGES; i++)
		assert_int_equal(ops(stage)->add_memory(stage->hypervisor, i * MEMORY_SIZE, 4096,
							stage->memory, &error),
				 0);
	assert_int_equal(ops(stage)->add_memory(stage->hypervisor, 64 * MEMORY_SIZE, 4096,
						stage->memory, &error),
			 -ENOSPC);
}

/* A window that no guest could reach is an error at the start. */
static void test_windows_have_addresses(void **state)
{
	struct stage *stage = get(state);
	struct error error;

	assert_int_equal(ops(stage)->add_window(stage->hypervisor, UINT64_C(1) << 52, 4096,
						stage->memory, &error),
			 -E2BIG);
	assert_non_null(strstr(error.message, "address bits"));
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(ops(stage)->add_window(stage->hypervisor, WINDOW + i * 4096, 4096,
							stage->memory, &error),
				 0);
}

static void test_kicks(void **state)
{
	struct stage *stage = get(state);
	struct hypervisor_kick kick = {MMIO, 4, 1, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	struct hypervisor_kick other = {MMIO, 4, 2, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	struct hypervisor_kick equal = {MMIO, 4, 1, other.fd};
	struct hypervisor *hypervisor = stage->hypervisor;
	struct error error;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(ops(stage)->add_kick(hypervisor, &kick, &error), 0);
		assert_int_equal(ops(stage)->add_kick(hypervisor, &equal, &error), -EEXIST);
		assert_int_equal(ops(stage)->add_kick(hypervisor, &other, &error), 0);
		assert_int_equal(ops(stage)->remove_kick(hypervisor, &equal, &error), -ENOENT);
		assert_int_equal(ops(stage)->remove_kick(hypervisor, &kick, &error), 0);
		assert_int_equal(ops(stage)->remove_kick(hypervisor, &other, &error), 0);
		assert_int_equal(ops(stage)->remove_kick(hypervisor, &kick, &error), -ENOENT);
	}
	close(kick.fd);
	close(other.fd);
}

static void test_interrupts(void **state)
{
	struct stage *stage = get(state);
	struct hypervisor *hypervisor = stage->hypervisor;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct error error;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(ops(stage)->add_interrupt(hypervisor, IRQ, fd, &error), 0);
		assert_int_equal(ops(stage)->add_interrupt(hypervisor, IRQ, fd, &error), -EBUSY);
		assert_int_equal(eventfd_write(fd, 1), 0);
		assert_int_equal(ops(stage)->remove_interrupt(hypervisor, IRQ, fd, &error), 0);
	}
	assert_int_equal(ops(stage)->set_interrupt(hypervisor, IRQ, true), 0);
	assert_int_equal(ops(stage)->set_interrupt(hypervisor, IRQ, false), 0);
	close(fd);
}

static const uint8_t code_exits[] = {
	0x66, 0xba, PORT & 0xff, PORT >> 8, /* mov dx, PORT */
	0xb0, 0x5a,			    /* mov al, 0x5a */
	0xee,				    /* out dx, al */
	0xec,				    /* in al, dx */
	0xee,				    /* out dx, al */
	/* mov dword [MMIO], 1, and 2 */
	0xc7, 0x05, 0x50, 0x00, 0x00, 0xd0, 0x01, 0x00, 0x00, 0x00, /* */
	0xc7, 0x05, 0x50, 0x00, 0x00, 0xd0, 0x02, 0x00, 0x00, 0x00, /* */
	0xa1, 0x50, 0x00, 0x00, 0xd0,				    /* mov eax, [MMIO] */
	0x66, 0xef,						    /* out dx, ax */
	0x0f, 0x0b, /* ud2: without an interrupt table a triple fault */
};

static void expect_access(struct stage *stage, struct vcpu_exit *exit, enum vcpu_exit_kind kind,
			  uint64_t address, uint32_t length, bool write)
{
	ops(stage)->vcpu_run(stage->vcpu, exit);
	if (exit->kind == VCPU_EXIT_FAILED)
		fail_msg("%s", exit->reason);
	assert_int_equal(exit->kind, kind);
	assert_int_equal(exit->access.address, address);
	assert_int_equal(exit->access.length, length);
	assert_int_equal(exit->access.write, write);
}

static void test_exits(void **state)
{
	struct stage *stage = get(state);
	struct hypervisor_kick kick = {MMIO, 4, 1, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	struct vcpu_exit exit;
	struct error error;
	eventfd_t count;

	make_vcpu(stage, code_exits, sizeof(code_exits));
	assert_int_equal(ops(stage)->add_kick(stage->hypervisor, &kick, &error), 0);
	expect_access(stage, &exit, VCPU_EXIT_PORT, PORT, 1, true);
	assert_int_equal(exit.count, 1);
	assert_int_equal(bus_value(&exit.access), 0x5a);
	expect_access(stage, &exit, VCPU_EXIT_PORT, PORT, 1, false);
	bus_answer(&exit.access, 0xa5);
	expect_access(stage, &exit, VCPU_EXIT_PORT, PORT, 1, true);
	assert_int_equal(bus_value(&exit.access), 0xa5);
	/* The write of 1 is a kick, that of 2 is not. */
	expect_access(stage, &exit, VCPU_EXIT_MMIO, MMIO, 4, true);
	assert_int_equal(bus_value(&exit.access), 2);
	assert_int_equal(eventfd_read(kick.fd, &count), 0);
	assert_int_equal(count, 1);
	expect_access(stage, &exit, VCPU_EXIT_MMIO, MMIO, 4, false);
	bus_answer(&exit.access, 0x12345678);
	expect_access(stage, &exit, VCPU_EXIT_PORT, PORT, 2, true);
	assert_int_equal(bus_value(&exit.access), 0x5678);
	ops(stage)->vcpu_run(stage->vcpu, &exit);
	assert_int_equal(exit.kind, VCPU_EXIT_RESET);
	assert_true(exit.fault);
	close(kick.fd);
}

static uint64_t read_msr(int vcpu_fd, uint32_t index)
{
	uint64_t storage[(sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)) / 8] = {0};
	struct kvm_msrs *msrs = (struct kvm_msrs *)storage;

	msrs->nmsrs = 1;
	msrs->entries[0].index = index;
	assert_int_equal(ioctl(vcpu_fd, KVM_GET_MSRS, msrs), 1);
	return msrs->entries[0].data;
}

/* KVM's own bits are kept. */
static void test_miscellaneous_features(void **state)
{
	struct stage *stage = get(state);
	int machine = ioctl(stage->kvm_fd, KVM_CREATE_VM, 0);
	int vcpu = ioctl(machine, KVM_CREATE_VCPU, 0);

	make_vcpu(stage, code_exits, sizeof(code_exits));
	assert_int_equal(read_msr(stage->vcpu->fd, MSR_MISC_ENABLE),
			 read_msr(vcpu, MSR_MISC_ENABLE) | 1);
	close(vcpu);
	close(machine);
}

/*
 * A vCPU in its thread, and a thread that interrupts it repeatedly, each at random times. After
 * each interrupt a run must return.
 */
struct chase {
	struct stage *stage;
	pthread_t thread;
	atomic_uint asked; /* how often it was interrupted */
	atomic_uint seen;  /* value of asked when a run last returned for an interrupt */
	atomic_bool stop;
	sem_t start, ready, answered;
	unsigned int seed, pause, ports;
	char failure[250];
};

static void pause_for(unsigned int *seed, unsigned int limit)
{
	for (volatile unsigned int i = limit ? (unsigned int)rand_r(seed) % limit : 0; i > 0; i--)
		;
}

static void *run_vcpu(void *context)
{
	struct chase *chase = context;
	struct vcpu_exit exit;

	sem_post(&chase->ready);
	sem_wait(&chase->start);
	while (!atomic_load(&chase->stop)) {
		unsigned int asked;

		ops(chase->stage)->vcpu_run(chase->stage->vcpu, &exit);
		if (exit.kind == VCPU_EXIT_PORT) {
			chase->ports++;
		} else if (exit.kind != VCPU_EXIT_NONE) {
			snprintf(chase->failure, sizeof(chase->failure), "exit %d: %s", exit.kind,
				 exit.kind == VCPU_EXIT_FAILED ? exit.reason : "");
			sem_post(&chase->answered);
			return NULL;
		}
		asked = atomic_load(&chase->asked);
		if (exit.kind == VCPU_EXIT_NONE && asked != atomic_load(&chase->seen)) {
			atomic_store(&chase->seen, asked);
			sem_post(&chase->answered);
		}
		pause_for(&chase->seed, chase->pause);
	}
	return NULL;
}

static void interrupt(struct chase *chase)
{
	atomic_fetch_add(&chase->asked, 1);
	ops(chase->stage)->vcpu_interrupt(chase->stage->vcpu, (unsigned long)chase->thread);
}

static void expect_answer(struct chase *chase)
{
	struct timespec limit;
	int result;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += LOST_S;
	do
		result = sem_timedwait(&chase->answered, &limit);
	while (result < 0 ? errno == EINTR :
			    !chase->failure[0] &&
				    atomic_load(&chase->seen) != atomic_load(&chase->asked));
	if (result < 0 || chase->failure[0]) {
		/* The thread may never end, so the test cannot continue. */
		fprintf(stderr, "interrupt %u: %s\n", atomic_load(&chase->asked),
			result < 0 ? "lost" : chase->failure);
		abort();
	}
}

/* @pause, and @own_pause of the vCPU between its runs: turns of an empty loop, at most. */
static void chase(struct stage *stage, const uint8_t *code, size_t size, unsigned int rounds,
		  unsigned int pause, unsigned int own_pause)
{
	struct chase chase = {.stage = stage, .seed = 7, .pause = own_pause};
	unsigned int seed = 3;

	make_vcpu(stage, code, size);
	sem_init(&chase.start, 0, 0);
	sem_init(&chase.ready, 0, 0);
	sem_init(&chase.answered, 0, 0);
	assert_int_equal(monitor_thread_create(&chase.thread, run_vcpu, &chase), 0);
	/* Before its first run, which would not return by itself. */
	sem_wait(&chase.ready);
	interrupt(&chase);
	sem_post(&chase.start);
	expect_answer(&chase);
	for (unsigned int i = 0; i < rounds; i++) {
		pause_for(&seed, i % 3 ? pause : 0);
		interrupt(&chase);
		/* More while the first is being delivered. */
		for (unsigned int j = (unsigned int)rand_r(&seed) % 3; j > 0; j--) {
			pause_for(&seed, 3000);
			interrupt(&chase);
		}
		expect_answer(&chase);
	}
	atomic_store(&chase.stop, true);
	interrupt(&chase);
	assert_int_equal(pthread_join(chase.thread, NULL), 0);
	sem_destroy(&chase.start);
	sem_destroy(&chase.ready);
	sem_destroy(&chase.answered);
}

static const uint8_t code_loop[] = {0xeb, 0xfe};	     /* jmp to itself */
static const uint8_t code_halt[] = {0xfa, 0xf4, 0xeb, 0xfd}; /* cli; hlt; jmp to the hlt */
static const uint8_t code_ports[] = {
	0x66, 0xba, PORT & 0xff, PORT >> 8, /* mov dx, PORT */
	0xee,				    /* out dx, al */
	0xeb, 0xfd,			    /* jmp to the out */
};

static void test_interrupt_of_a_loop(void **state)
{
	chase(get(state), code_loop, sizeof(code_loop), 3000, 20000, 0);
}

static void test_interrupt_around_runs(void **state)
{
	chase(get(state), code_loop, sizeof(code_loop), 10000, 2000, 2000);
}

static void test_interrupt_of_a_halt(void **state)
{
	chase(get(state), code_halt, sizeof(code_halt), 3000, 20000, 200);
}

static void test_interrupt_among_exits(void **state)
{
	chase(get(state), code_ports, sizeof(code_ports), 3000, 5000, 100);
}

/*
 * An interrupt that is only half done when the run returns for another reason leaves the flag set.
 * That ends one run, not all.
 */
static void test_interrupt_ends_one_run(void **state)
{
	struct stage *stage = get(state);
	struct vcpu_exit exit;

	make_vcpu(stage, code_ports, sizeof(code_ports));
	for (int i = 0; i < 3; i++) {
		__atomic_store_n(&stage->vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		ops(stage)->vcpu_run(stage->vcpu, &exit);
		assert_int_equal(exit.kind, VCPU_EXIT_NONE);
		/* The returned run may complete the pending write. */
		expect_access(stage, &exit, VCPU_EXIT_PORT, PORT, 1, true);
	}
}

/* In each of WINDOW_PAGES pages: reads a byte and increments the next one. Then writes to PORT. */
static const uint8_t code_window[] = {
	0x66, 0xba,	    PORT & 0xff, PORT >> 8,		/* mov dx, PORT */
	0xbf, 0x00,	    0x00,	 0x00,	    0x20,	/* mov edi, WINDOW */
	0xb9, WINDOW_PAGES, 0x00,	 0x00,	    0x00,	/* mov ecx, WINDOW_PAGES */
	0x8a, 0x07,						/* mov al, [edi] */
	0xfe, 0x47,	    0x01,				/* inc byte [edi + 1] */
	0x81, 0xc7,	    0x00,	 0x10,	    0x00, 0x00, /* add edi, 4096 */
	0xe2, 0xf3,						/* loop to the read */
	0xee,							/* out dx, al */
	0xeb, 0xe6,						/* jmp to the mov edi */
};

/*
 * One pass over the window. Returns how often the vCPU reported memory that is not there, which may
 * be @faults_max times.
 */
static unsigned int pass(struct stage *stage, struct shared_memory *memory, unsigned int faults_max)
{
	const struct bus_device *failing = shared_memory_bus_device(memory);
	unsigned int faults = 0;
	struct vcpu_exit exit;

	for (;;) {
		ops(stage)->vcpu_run(stage->vcpu, &exit);
		if (exit.kind == VCPU_EXIT_PORT)
			return faults;
		if (exit.kind == VCPU_EXIT_NONE)
			continue;
		assert_true(faults++ < faults_max);
		if (exit.kind == VCPU_EXIT_MMIO) {
			/* KVM emulates the instruction, and does not find the memory. */
			assert_true(exit.access.address - failing->start < failing->size);
			failing->handle(failing->context, &exit.access);
			continue;
		}
		if (exit.kind != VCPU_EXIT_MEMORY)
			fail_msg("exit %d: %s", exit.kind, exit.reason);
		assert_non_null(strstr(exit.reason, "vCPU 0"));
		shared_memory_mend(memory);
	}
}

/* A statistic of the vCPU (api.rst, KVM_GET_STATS_FD). */
static uint64_t read_statistic(struct stage *stage, const char *name)
{
	int fd = ioctl(stage->vcpu->fd, KVM_GET_STATS_FD, NULL);
	struct kvm_stats_header header;
	uint64_t storage[16], value = UINT64_MAX;
	struct kvm_stats_desc *found = (struct kvm_stats_desc *)storage;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	assert_true(sizeof(*found) + header.name_size <= sizeof(storage));
	for (uint32_t i = 0; i < header.num_desc; i++) {
		size_t size = sizeof(*found) + header.name_size;

		assert_int_equal(pread(fd, found, size, (off_t)(header.desc_offset + i * size)),
				 size);
		if (!strcmp(found->name, name))
			assert_int_equal(pread(fd, &value, sizeof(value),
					       header.data_offset + found->offset),
					 sizeof(value));
	}
	close(fd);
	assert_true(value != UINT64_MAX);
	return value;
}

/* A window costs exits at the first touch of a page alone, and a file may shrink below it. */
static void test_shared_memory(void **state)
{
	struct stage *stage = get(state);
	struct vhost_shmem_config config = {.count = 1, .sizes = {WINDOW_PAGES * 4096}};
	struct vhost_shmem_map map = {.length = WINDOW_PAGES * 4096, .flags = VHOST_SHMEM_WRITABLE};
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct shared_memory memory;
	struct event_loop loop;
	uint64_t exits;
	uint8_t count;

	assert_int_equal(event_loop_init(&loop, 0, NULL), 0);
	assert_int_equal(ftruncate(fd, (off_t)map.length), 0);
	assert_int_equal(shared_memory_open(&memory, "test0", &config, &loop, NULL), 0);
	shared_memory_place(&memory, WINDOW);
	assert_int_equal(shared_memory_attach(&memory, stage->hypervisor, NULL), 0);
	make_vcpu(stage, code_window, sizeof(code_window));
	/* Blank, then with a file; the hypervisor is not told. */
	assert_int_equal(pass(stage, &memory, 0), 0);
	assert_int_equal(shared_memory_map(&memory, &map, fd), 0);
	assert_int_equal(pass(stage, &memory, 0), 0);
	assert_int_equal(pread(fd, &count, 1, 3 * 4096 + 1), 1);
	assert_int_equal(count, 1);
	exits = read_statistic(stage, "exits");
	for (int i = 0; i < 100; i++)
		assert_int_equal(pass(stage, &memory, 0), 0);
	exits = read_statistic(stage, "exits") - exits;
	print_message("%u accesses: %u exits, 100 of them for the port\n", 200 * WINDOW_PAGES,
		      (unsigned int)exits);
	/* The port's, and interrupts of the host. */
	assert_true(exits < 100 + 20 * WINDOW_PAGES);
	assert_int_equal(pread(fd, &count, 1, (off_t)(map.length - 4095)), 1);
	assert_int_equal(count, 101);
	/* It ends in the middle of the guest's pass, once and again. */
	assert_int_equal(ftruncate(fd, 5 * 4096), 0);
	assert_int_equal(pass(stage, &memory, 1), 1);
	assert_int_equal(pass(stage, &memory, 0), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pass(stage, &memory, 1), 1);
	assert_int_equal(shared_memory_unmap(&memory, &map), 0);
	assert_int_equal(pass(stage, &memory, 0), 0);
	ops(stage)->vcpu_free(stage->vcpu);
	stage->vcpu = NULL;
	shared_memory_close(&memory);
	event_loop_close(&loop);
	close(fd);
}

/* A vCPU that uses the window all the time. */
struct user {
	struct stage *stage;
	struct shared_memory *memory;
	atomic_bool stop;
	atomic_uint passes;
};

static void *use_window(void *context)
{
	struct user *user = context;

	while (!atomic_load(&user->stop)) {
		pass(user->stage, user->memory, UINT_MAX);
		atomic_fetch_add(&user->passes, 1);
	}
	return NULL;
}

/* Files come, go and shrink under a running vCPU. */
static void test_shared_memory_in_use(void **state)
{
	struct stage *stage = get(state);
	struct vhost_shmem_config config = {.count = 1, .sizes = {WINDOW_PAGES * 4096}};
	struct vhost_shmem_map map = {.length = WINDOW_PAGES * 4096, .flags = VHOST_SHMEM_WRITABLE};
	int fd = memfd_create("file", MFD_CLOEXEC);
	struct shared_memory memory;
	struct event_loop loop;
	struct user user = {.stage = stage, .memory = &memory};
	unsigned int seen = 0;
	pthread_t thread;

	assert_int_equal(event_loop_init(&loop, 0, NULL), 0);
	assert_int_equal(shared_memory_open(&memory, "test0", &config, &loop, NULL), 0);
	shared_memory_place(&memory, WINDOW);
	assert_int_equal(shared_memory_attach(&memory, stage->hypervisor, NULL), 0);
	make_vcpu(stage, code_window, sizeof(code_window));
	assert_int_equal(monitor_thread_create(&thread, use_window, &user), 0);
	for (unsigned int i = 0; i < 300; i++) {
		assert_int_equal(ftruncate(fd, (off_t)map.length), 0);
		assert_int_equal(shared_memory_map(&memory, &map, fd), 0);
		if (i % 2)
			assert_int_equal(ftruncate(fd, (off_t)(i % WINDOW_PAGES * 4096)), 0);
		/* The vCPU gets on. */
		for (seen = atomic_load(&user.passes); atomic_load(&user.passes) == seen;)
			sched_yield();
		if (i % 3)
			assert_int_equal(shared_memory_unmap(&memory, &map), 0);
		else
			shared_memory_clear(&memory);
	}
	atomic_store(&user.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	ops(stage)->vcpu_free(stage->vcpu);
	stage->vcpu = NULL;
	shared_memory_close(&memory);
	event_loop_close(&loop);
	close(fd);
}

int main(void)
{
#define STAGE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_memory_has_its_limit),
		STAGE_TEST(test_windows_have_addresses),
		STAGE_TEST(test_kicks),
		STAGE_TEST(test_interrupts),
		STAGE_TEST(test_exits),
		STAGE_TEST(test_miscellaneous_features),
		STAGE_TEST(test_interrupt_of_a_loop),
		STAGE_TEST(test_interrupt_around_runs),
		STAGE_TEST(test_interrupt_of_a_halt),
		STAGE_TEST(test_interrupt_among_exits),
		STAGE_TEST(test_interrupt_ends_one_run),
		STAGE_TEST(test_shared_memory),
		STAGE_TEST(test_shared_memory_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

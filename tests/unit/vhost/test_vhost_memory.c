// SPDX-License-Identifier: BSD-3-Clause
/* Tests of src/vhost/memory.c, mapping.c, guard.c, iotlb.c and event.c. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/ring_pair.h"
#include "vhost/event.h"
#include "vhost/guard.h"
#include "vhost/iotlb.h"
#include "vhost/memory.h"

#define PAGE	   4096u
#define FILE_PAGES 16u

static int make_file(void)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, FILE_PAGES * PAGE), 0);
	for (unsigned int i = 0; i < FILE_PAGES; i++)
		assert_int_equal(pwrite(fd, &i, 1, i * PAGE), 1);
	return fd;
}

static void regions_are_found_both_ways(void **state)
{
	struct vhost_guest_memory *memory = calloc(1, sizeof(*memory));
	/* The second begins in the middle of a page of its file. */
	const struct vhost_region first = {0x100000, 4 * PAGE, 0x7000000, 0};
	const struct vhost_region second = {0x900000, 2 * PAGE, 0x1000000, 5 * PAGE + 0x100};
	struct guest_addr guest;
	struct error error;
	uint64_t length;
	uint8_t bytes[4];
	void *host;
	int fd = make_file();

	(void)state;
	vhost_memory_init(memory);
	assert_int_equal(vhost_memory_add(memory, &first, fd, &error), 0);
	assert_int_equal(vhost_memory_add(memory, &second, fd, &error), 0);
	assert_int_equal(guest_memory_read(&memory->guest, guest_addr(0x103000), bytes, 1), 0);
	assert_int_equal(bytes[0], 3);
	assert_int_equal(guest_memory_read(&memory->guest, guest_addr(0x900f00), bytes, 1), 0);
	assert_int_equal(bytes[0], 6);
	assert_int_equal(guest_memory_read(&memory->guest, guest_addr(0x104000), bytes, 1),
			 -EFAULT);

	length = 100 * PAGE;
	assert_int_equal(vhost_memory_find_user(memory, 0x7003ff0, &length, &host), 0);
	assert_int_equal(length, 16);
	assert_int_equal(((uint8_t *)host)[-0xff0], 3);
	assert_int_equal(vhost_memory_find_user(memory, 0x7004000, &length, &host), -EFAULT);
	assert_int_equal(vhost_memory_user_to_guest(memory, 0x1001234, &guest), 0);
	assert_int_equal(guest.value, 0x901234);
	assert_int_equal(vhost_memory_user_to_guest(memory, 0xffffff, &guest), -EFAULT);

	/* Where a byte lies must not change its alignment. */
	assert_int_equal(vhost_memory_add(memory, &(struct vhost_region){0, PAGE, 0, 8}, fd,
					  &error),
			 -EINVAL);
	assert_int_equal(vhost_memory_add(memory, &(struct vhost_region){8, PAGE, 0, 8}, fd,
					  &error),
			 -EINVAL);
	close(fd);

	/* Removed by its guest address, user address and size. */
	assert_int_equal(vhost_memory_remove(memory, &(struct vhost_region){0x100000, 4 * PAGE,
									    0x7000001, 0}),
			 -ENOENT);
	assert_int_equal(vhost_memory_remove(memory, &(struct vhost_region){0x100000, 4 * PAGE,
									    0x7000000, 99}),
			 0);
	assert_int_equal(guest_memory_read(&memory->guest, guest_addr(0x103000), bytes, 1),
			 -EFAULT);
	assert_int_equal(guest_memory_read(&memory->guest, guest_addr(0x900f00), bytes, 1), 0);
	vhost_memory_clear(memory);
	assert_int_equal(memory->guest.region_count, 0);
	free(memory);
}

/* As QEMU does for a network device with several queue pairs; any other overlap is wrong. */
static void a_region_that_is_added_twice_is_removed_twice(void **state)
{
	struct vhost_guest_memory *memory = calloc(1, sizeof(*memory));
	const struct vhost_region region = {0x100000, 4 * PAGE, 0x7000000, 0};
	const struct vhost_region elsewhere = {0x100000, 4 * PAGE, 0x7000000, PAGE};
	const struct vhost_region shorter = {0x100000, PAGE, 0x7000000, 0};
	struct error error;
	uint8_t byte;
	int fd = make_file();

	(void)state;
	vhost_memory_init(memory);
	assert_int_equal(vhost_memory_add(memory, &region, fd, &error), 0);
	assert_int_equal(vhost_memory_add(memory, &region, fd, &error), 0);
	assert_int_equal(memory->count, 1);
	assert_int_equal(vhost_memory_add(memory, &elsewhere, fd, &error), -EEXIST);
	assert_int_equal(vhost_memory_add(memory, &shorter, fd, &error), -EEXIST);
	assert_int_equal(vhost_memory_remove(memory, &region), 0);
	assert_int_equal(guest_memory_read(&memory->guest, guest_addr(0x100000), &byte, 1), 0);
	assert_int_equal(vhost_memory_remove(memory, &region), 0);
	assert_int_equal(guest_memory_read(&memory->guest, guest_addr(0x100000), &byte, 1),
			 -EFAULT);
	assert_int_equal(vhost_memory_remove(memory, &region), -ENOENT);
	close(fd);
	vhost_memory_clear(memory);
	free(memory);
}

static void huge_pages_are_mapped_whole(void **state)
{
	struct vhost_mapping mapping;
	volatile bool lost = false;
	struct error error;
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	int ret;

	(void)state;
	/*
	 * Machines without reserved huge pages have nothing to map; the sizes are checked
	 * nevertheless.
	 */
	if (fd < 0 || ftruncate(fd, 4 << 20) < 0) {
		close(fd);
		skip();
	}
	ret = vhost_mapping_open(&mapping, fd, 0x1000, 0x1000, &lost, &error);
	close(fd);
	if (ret == -ENOMEM)
		skip();
	assert_int_equal(ret, 0);
	assert_int_equal(mapping.length, 2 << 20);
	assert_ptr_equal(mapping.content, (uint8_t *)mapping.start + 0x1000);
	vhost_mapping_close(&mapping);
}

static void memory_that_is_cut_off_reads_as_zero(void **state)
{
	struct vhost_mapping first, second;
	volatile bool first_lost = false, second_lost = false;
	volatile uint8_t *bytes;
	struct error error;
	int fd = make_file(), other = make_file();

	(void)state;
	assert_int_equal(vhost_mapping_open(&first, fd, 0, 8 * PAGE, &first_lost, &error), 0);
	assert_int_equal(vhost_mapping_open(&second, other, PAGE, PAGE, &second_lost, &error), 0);
	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	bytes = first.content;
	assert_int_equal(bytes[PAGE], 1);
	assert_false(first_lost);
	assert_int_equal(bytes[5 * PAGE], 0);
	assert_true(first_lost);
	bytes[7 * PAGE] = 9;
	assert_int_equal(bytes[7 * PAGE], 9);
	assert_false(second_lost);
	bytes = second.content;
	assert_int_equal(*bytes, 1);
	vhost_mapping_close(&first);
	vhost_mapping_close(&second);
	close(fd);
	close(other);
}

/* A SIGBUS outside our mappings kills, as it should. */
static void other_bus_errors_are_not_hidden(void **state)
{
	struct vhost_mapping mapping;
	volatile bool lost = false;
	struct error error;
	int fd = make_file(), status;
	pid_t child;

	(void)state;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		volatile uint8_t *bytes = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

		signal(SIGBUS, SIG_DFL);
		if (vhost_mapping_open(&mapping, fd, 0, PAGE, &lost, &error) < 0 ||
		    ftruncate(fd, 0) < 0)
			_exit(1);
		_exit(*bytes ? 2 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	close(fd);
}

static void guards_run_out_cleanly(void **state)
{
	volatile bool lost = false;
	struct error error;

	(void)state;
	for (uintptr_t i = 1; i <= VHOST_GUARDS_MAX; i++)
		assert_int_equal(vhost_guard_add((void *)(i << 40), PAGE, &lost, &error), 0);
	assert_int_equal(vhost_guard_add((void *)PAGE, PAGE, &lost, &error), -ENOSPC);
	for (uintptr_t i = 1; i <= VHOST_GUARDS_MAX; i++)
		vhost_guard_remove((void *)(i << 40));
}

/* IOMMU */

struct asked {
	unsigned int count;
	uint64_t iova;
	uint8_t access;
};

static void on_miss(void *context, uint64_t iova, uint8_t access)
{
	struct asked *asked = context;

	asked->count++;
	asked->iova = iova;
	asked->access = access;
}

struct translator {
	struct vhost_guest_memory memory;
	struct vhost_iotlb iotlb;
	struct asked asked;
	uint8_t *host;
};

#define USER 0x500000u

static int set_up(void **state)
{
	struct translator *t = calloc(1, sizeof(*t));
	const struct vhost_region region = {0, FILE_PAGES * PAGE, USER, 0};
	struct error error;
	int fd = make_file();

	vhost_memory_init(&t->memory);
	assert_int_equal(vhost_memory_add(&t->memory, &region, fd, &error), 0);
	close(fd);
	assert_int_equal(vhost_iotlb_open(&t->iotlb, on_miss, &t->asked), 0);
	t->memory.iotlb = &t->iotlb;
	t->memory.guest.ops = &vhost_iotlb_ops;
	t->host = t->memory.regions[0].mapping.content;
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct translator *t = *state;

	vhost_iotlb_close(&t->iotlb);
	vhost_memory_clear(&t->memory);
	free(t);
	return 0;
}

/* Where an access goes: the offset in the file, or a negative errno; *length is what was found. */
static int64_t look_up(struct translator *t, uint64_t iova, uint64_t *length, int access)
{
	void *host;
	int ret = guest_memory_translate(&t->memory.guest, guest_addr(iova), length, access, &host);

	return ret < 0 ? ret : (uint8_t *)host - t->host;
}

static void translations_are_asked_for_once(void **state)
{
	struct translator *t = *state;
	uint64_t length = 8;

	assert_int_equal(look_up(t, 0x10008, &length, GUEST_MEMORY_READ), -EAGAIN);
	assert_int_equal(look_up(t, 0x10008, &length, GUEST_MEMORY_READ), -EAGAIN);
	assert_int_equal(t->asked.count, 1);
	assert_int_equal(t->asked.iova, 0x10008);
	assert_int_equal(t->asked.access, VHOST_ACCESS_RO);
	assert_int_equal(
		vhost_iotlb_update(&t->iotlb, 0x10000, PAGE, USER + 2 * PAGE, VHOST_ACCESS_RO), 0);
	assert_int_equal(look_up(t, 0x10008, &length, GUEST_MEMORY_READ), 2 * PAGE + 8);
	assert_int_equal(length, 8);
	/* Another kind of access is another request. */
	assert_int_equal(look_up(t, 0x10008, &length, GUEST_MEMORY_WRITE), -EAGAIN);
	assert_int_equal(t->asked.count, 2);
	assert_int_equal(t->asked.access, VHOST_ACCESS_WO);
	/* After a reply the request may be sent again. */
	assert_int_equal(vhost_iotlb_invalidate(&t->iotlb, 0, UINT64_MAX), 0);
	assert_int_equal(look_up(t, 0x10008, &length, GUEST_MEMORY_READ), -EAGAIN);
	assert_int_equal(t->asked.count, 3);
}

static void pages_that_meet_are_one_piece(void **state)
{
	struct translator *t = *state;
	uint64_t length = 3 * PAGE;

	vhost_iotlb_update(&t->iotlb, 0x10000, PAGE, USER, 3);
	assert_int_equal(look_up(t, 0x10000, &length, 3), -EAGAIN);
	assert_int_equal(t->asked.iova, 0x11000);
	vhost_iotlb_update(&t->iotlb, 0x11000, PAGE, USER + PAGE, 3);
	vhost_iotlb_update(&t->iotlb, 0x12000, PAGE, USER + 9 * PAGE, 3);
	assert_int_equal(look_up(t, 0x10000, &length, 3), 0);
	assert_int_equal(length, 2 * PAGE);
	length = PAGE;
	assert_int_equal(look_up(t, 0x10800, &length, 3), 0x800);
	assert_int_equal(length, PAGE);
	/* A translation to an address outside memory is outside memory. */
	vhost_iotlb_update(&t->iotlb, 0x13000, PAGE, USER + FILE_PAGES * PAGE, 3);
	length = 1;
	assert_int_equal(look_up(t, 0x13000, &length, 3), -EFAULT);
	vhost_iotlb_update(&t->iotlb, 0x14000, 2 * PAGE, USER + (FILE_PAGES - 1) * PAGE, 3);
	length = 2 * PAGE;
	assert_int_equal(look_up(t, 0x14000, &length, 3), (FILE_PAGES - 1) * PAGE);
	assert_int_equal(length, PAGE);
	assert_int_equal(vhost_iotlb_update(&t->iotlb, 0x10000, PAGE, USER + 8, 3), -EINVAL);
	/* At the end of the address space there is no next range. */
	vhost_iotlb_update(&t->iotlb, UINT64_MAX - PAGE + 1, PAGE, USER, 3);
	length = 2 * PAGE;
	assert_int_equal(look_up(t, UINT64_MAX - PAGE + 1, &length, 3), -EFAULT);
	length = PAGE;
	assert_int_equal(look_up(t, UINT64_MAX - PAGE + 1, &length, 3), 0);
}

/* Compared with a plain array of bytes, with ranges that overlap in all ways. */
static void random_updates_agree_with_a_model(void **state)
{
	struct translator *t = *state;
	enum { SPACE = 4096 };
	int32_t model[SPACE];
	uint64_t random = 7;

	for (unsigned int i = 0; i < SPACE; i++)
		model[i] = -1;
	for (unsigned int round = 0; round < 5000; round++) {
		uint64_t start = test_random_below(&random, SPACE);
		uint64_t size = 1 + test_random_below(&random, round % 5 ? 64 : SPACE);
		bool update = test_random_below(&random, 3) > 0;
		uint64_t offset = test_random_below(&random, PAGE / 2) * 16 + start % 16;
		uint64_t at = test_random_below(&random, SPACE), length = 1;
		int64_t found;

		if (size > SPACE - start)
			size = SPACE - start;
		if (update)
			assert_int_equal(
				vhost_iotlb_update(&t->iotlb, start, size, USER + offset, 3), 0);
		else
			assert_int_equal(vhost_iotlb_invalidate(&t->iotlb, start, size), 0);
		for (uint64_t i = 0; i < size; i++)
			model[start + i] = update ? (int32_t)(offset + i) : -1;
		found = look_up(t, at, &length, 3);
		assert_int_equal(found, model[at] < 0 ? -EAGAIN : model[at]);
		for (size_t i = 1; i < t->iotlb.count; i++)
			assert_true(t->iotlb.entries[i - 1].last < t->iotlb.entries[i].iova);
	}
}

static void old_translations_give_way(void **state)
{
	struct translator *t = *state;
	uint64_t length = 1;
	uint64_t random = 3;

	for (unsigned int i = 0; i < 3 * VHOST_IOTLB_ENTRIES; i++) {
		uint64_t iova = (uint64_t)test_random_below(&random, 1 << 20) * 2 * PAGE;

		assert_int_equal(vhost_iotlb_update(&t->iotlb, iova, PAGE, USER, 3), 0);
		assert_int_equal(look_up(t, iova, &length, 3), 0);
		assert_true(t->iotlb.count <= VHOST_IOTLB_ENTRIES);
	}
	/* A split needs an entry as well. */
	vhost_iotlb_clear(&t->iotlb);
	for (unsigned int i = 0; i < VHOST_IOTLB_ENTRIES; i++)
		vhost_iotlb_update(&t->iotlb, (uint64_t)i * 2 * PAGE, PAGE, USER, 3);
	for (unsigned int i = 0; i < VHOST_IOTLB_ENTRIES; i += 100) {
		uint64_t iova = (uint64_t)i * 2 * PAGE;

		vhost_iotlb_update(&t->iotlb, iova, PAGE, USER, 3);
		assert_int_equal(vhost_iotlb_invalidate(&t->iotlb, iova + 100, 100), 0);
		assert_true(t->iotlb.count <= VHOST_IOTLB_ENTRIES);
		assert_int_equal(look_up(t, iova + 150, &length, 3), -EAGAIN);
		assert_int_equal(look_up(t, iova + 200, &length, 3), 200);
	}
}

/* Events */

static void events_never_wait(void **state)
{
	const uint64_t full = UINT64_MAX - 1;
	const int modes[] = {0, EFD_NONBLOCK, EFD_SEMAPHORE};
	struct error error;

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct vhost_event event = VHOST_EVENT_NONE;
		int fd = eventfd(0, EFD_CLOEXEC | modes[i]);
		uint64_t value = 0;

		assert_int_equal(vhost_event_signal(&event), 0);
		assert_int_equal(vhost_event_drain(&event), 0);
		assert_int_equal(vhost_event_set(&event, fcntl(fd, F_DUPFD_CLOEXEC, 0), &error), 0);
		/* Nothing to read, then too much. */
		assert_int_equal(vhost_event_drain(&event), 0);
		assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
		assert_int_equal(vhost_event_signal(&event), 0);
		assert_int_equal(vhost_event_drain(&event), 0);
		assert_int_equal(vhost_event_signal(&event), 0);
		assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
		assert_int_equal(value, 1);
		/* The peer's file is unchanged. */
		assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK,
				 modes[i] & EFD_NONBLOCK ? O_NONBLOCK : 0);
		assert_int_equal(vhost_event_set(&event, -1, &error), 0);
		assert_int_equal(event.fd, -1);
		close(fd);
	}
}

static void only_eventfds_are_taken(void **state)
{
	struct vhost_event event = VHOST_EVENT_NONE;
	struct error error;
	int pair[2];
	int file = make_file();

	(void)state;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(vhost_event_set(&event, pair[1], &error), -EINVAL);
	assert_int_equal(event.fd, -1);
	assert_int_equal(fcntl(pair[1], F_GETFD), -1);
	close(pair[0]);
	/* Nothing was written to it either. */
	assert_int_equal(vhost_event_set(&event, fcntl(file, F_DUPFD_CLOEXEC, 0), &error), -EINVAL);
	assert_int_equal(lseek(file, 0, SEEK_CUR), 0);
	assert_int_equal(lseek(file, 0, SEEK_END), FILE_PAGES * PAGE);
	close(file);
}

#define translator_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_found_both_ways),
		cmocka_unit_test(a_region_that_is_added_twice_is_removed_twice),
		cmocka_unit_test(huge_pages_are_mapped_whole),
		cmocka_unit_test(memory_that_is_cut_off_reads_as_zero),
		cmocka_unit_test(other_bus_errors_are_not_hidden),
		cmocka_unit_test(guards_run_out_cleanly),
		translator_test(translations_are_asked_for_once),
		translator_test(pages_that_meet_are_one_piece),
		translator_test(random_updates_agree_with_a_model),
		translator_test(old_translations_give_way),
		cmocka_unit_test(events_never_wait),
		cmocka_unit_test(only_eventfds_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Windows of shared memory regions: a table of mappings over one reservation of host addresses.
 */
#include "monitor/virtio/shared_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "vhost/mapping.h"
#include "virtio/round_up.h"

#define COMPONENT "monitor"
/* Blank memory: at least so many bytes, and at most so many mappings for all windows. */
#define BLANK_BYTES_MIN	 SHARED_MEMORY_ALIGNMENT
#define BLANK_PIECES_MAX 256
/* How long a guest may wait for memory that a file does not have any more. */
#define LOOK_MS 1000

/* Warns of what the process does, a limited number of times. */
static void warn(struct shared_memory *memory, const char *what)
{
	if (log_limit_allow(&memory->log_limit, COMPONENT))
		log_line(LOG_WARNING, COMPONENT, "%s: %s", memory->name, what);
}

/* Makes @length bytes at @start of the reservation blank. */
static int lay_blank(const struct shared_memory *memory, uint64_t start, uint64_t length)
{
	while (length > 0) {
		uint64_t offset = start % memory->blank_size;
		uint64_t part = memory->blank_size - offset;

		if (part > length)
			part = length;
		if (mmap(memory->host + start, part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 memory->blank_fd, (off_t)offset) == MAP_FAILED)
			return -errno;
		start += part;
		length -= part;
	}
	return 0;
}

/* The limits of this file prevent a failure, unless the host's are lower. */
static int make_blank(const struct shared_memory *memory, uint64_t start, uint64_t length)
{
	int result = lay_blank(memory, start, length);

	if (result < 0)
		log_line(LOG_ERROR, COMPONENT,
			 "%s: shared memory that is not mapped any more stays visible: %s",
			 memory->name, strerror(-result));
	return result;
}

/* Opening */

static int add_regions(struct shared_memory *memory, const struct vhost_shmem_config *config,
		       struct error *error)
{
	for (unsigned int id = 0; id < VHOST_SHMEM_REGIONS; id++) {
		uint64_t size = config->sizes[id];

		if (size == 0)
			continue;
		if (memory->region_count == SHARED_MEMORY_REGIONS_MAX)
			return error_set(error, EPROTO,
					 "its device process has more than %d shared memory "
					 "regions",
					 SHARED_MEMORY_REGIONS_MAX);
		if (size % memory->page)
			return error_set(error, EPROTO,
					 "its device process has a shared memory region of %" PRIu64
					 " bytes, which is not a whole number of pages",
					 size);
		if (size > SHARED_MEMORY_BYTES_MAX - memory->size)
			return error_set(error, EPROTO,
					 "its device process has more than %" PRIu64
					 " GiB of shared memory regions",
					 SHARED_MEMORY_BYTES_MAX >> 30);
		memory->regions[memory->region_count++] =
			(struct shared_region){.id = (uint8_t)id,
					       .size = size,
					       .offset = memory->size};
		memory->size += round_up(size, SHARED_MEMORY_ALIGNMENT);
	}
	return 0;
}

static int make_blank_file(struct shared_memory *memory, struct error *error)
{
	memory->blank_size = BLANK_BYTES_MIN;
	while (memory->size / memory->blank_size > BLANK_PIECES_MAX)
		memory->blank_size *= 2;
	memory->blank_fd = memfd_create("blank shared memory", MFD_CLOEXEC);
	if (memory->blank_fd < 0 || ftruncate(memory->blank_fd, (off_t)memory->blank_size) < 0)
		return error_set_errno(error, errno, "cannot make blank shared memory");
	return 0;
}

static int reserve(struct shared_memory *memory, struct error *error)
{
	int result = 0;

	memory->base_size = memory->size + SHARED_MEMORY_ALIGNMENT;
	memory->base = mmap(NULL, memory->base_size, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory->base == MAP_FAILED) {
		memory->base = NULL;
		return error_set_errno(error, errno,
				       "cannot reserve %" PRIu64 " bytes for shared memory",
				       memory->base_size);
	}
	memory->host = (uint8_t *)round_up((uintptr_t)memory->base, SHARED_MEMORY_ALIGNMENT);
	for (unsigned int i = 0; i < memory->region_count && result == 0; i++)
		result = lay_blank(memory, memory->regions[i].offset, memory->regions[i].size);
	return result < 0 ? error_set_errno(error, -result, "cannot map blank shared memory") : 0;
}

/* Mends, and looks again later as long as a file may shrink. */
static void handle_timer(void *context)
{
	struct shared_memory *memory = context;
	bool again = false;

	shared_memory_mend(memory);
	pthread_mutex_lock(&memory->lock);
	for (unsigned int i = 0; i < memory->mapping_count; i++)
		again |= memory->mappings[i].may_shrink;
	if (again)
		timer_set_ms(&memory->timer, LOOK_MS);
	pthread_mutex_unlock(&memory->lock);
}

int shared_memory_open(struct shared_memory *memory, const char *name,
		       const struct vhost_shmem_config *config, struct event_loop *loop,
		       struct error *error)
{
	int result;

	*memory = (struct shared_memory){
		.name = name,
		.page = (uint64_t)sysconf(_SC_PAGESIZE),
		.blank_fd = -1,
		.timer = TIMER_NONE,
		.log_limit = {.burst = 5, .interval_ms = 60000},
	};
	pthread_mutex_init(&memory->lock, NULL);
	result = add_regions(memory, config, error);
	if (result == 0 && memory->region_count > 0) {
		memory->mappings = calloc(SHARED_MEMORY_MAPPINGS_MAX, sizeof(*memory->mappings));
		result = memory->mappings ? make_blank_file(memory, error) :
					    error_set(error, ENOMEM, "out of memory");
		if (result == 0)
			result = reserve(memory, error);
		if (result == 0)
			result = timer_open(&memory->timer, loop, CLOCK_MONOTONIC, handle_timer,
					    memory, error);
	}
	if (result < 0)
		shared_memory_close(memory);
	return result;
}

void shared_memory_close(struct shared_memory *memory)
{
	if (!memory->name)
		return;
	while (memory->mappings && memory->mapping_count > 0)
		close_fd(&memory->mappings[--memory->mapping_count].fd);
	free(memory->mappings);
	timer_close(&memory->timer);
	if (memory->base)
		munmap(memory->base, memory->base_size);
	close_fd(&memory->blank_fd);
	pthread_mutex_destroy(&memory->lock);
	*memory = (struct shared_memory){.name = NULL};
}

/* The guest's side */

static void handle_failing(void *context, const struct bus_access *access)
{
	shared_memory_mend(context);
}

uint64_t shared_memory_place(struct shared_memory *memory, uint64_t address)
{
	uint64_t start = round_up(address, SHARED_MEMORY_ALIGNMENT);

	for (unsigned int i = 0; i < memory->region_count; i++) {
		memory->regions[i].address = round_up(address, SHARED_MEMORY_ALIGNMENT);
		address = memory->regions[i].address + memory->regions[i].size;
	}
	memory->failing =
		(struct bus_device){start, address - start, handle_failing, memory, memory->name};
	return address;
}

const struct bus_device *shared_memory_bus_device(const struct shared_memory *memory)
{
	return memory->region_count ? &memory->failing : NULL;
}

int shared_memory_attach(struct shared_memory *memory, struct hypervisor *hypervisor,
			 struct error *error)
{
	int result = 0;

	for (unsigned int i = 0; i < memory->region_count && result == 0; i++) {
		const struct shared_region *region = &memory->regions[i];

		result = hypervisor->ops->add_window(hypervisor, region->address, region->size,
						     memory->host + region->offset, error);
	}
	return result;
}

const struct shared_region *shared_memory_find(const struct shared_memory *memory, uint32_t id)
{
	for (unsigned int i = 0; i < memory->region_count; i++)
		if (memory->regions[i].id == id)
			return &memory->regions[i];
	return NULL;
}

bool shared_memory_matches(const struct shared_memory *memory,
			   const struct vhost_shmem_config *config)
{
	for (unsigned int id = 0; id < VHOST_SHMEM_REGIONS; id++) {
		const struct shared_region *region = shared_memory_find(memory, id);

		if (config->sizes[id] != (region ? region->size : 0))
			return false;
	}
	return true;
}

/* Mappings */

/* The place in the table of the first mapping that ends after @start. */
static unsigned int lower_bound(const struct shared_memory *memory, uint64_t start)
{
	unsigned int low = 0, high = memory->mapping_count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		const struct shared_mapping *mapping = &memory->mappings[middle];

		if (start < mapping->start + mapping->length)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void remove_at(struct shared_memory *memory, unsigned int place)
{
	close_fd(&memory->mappings[place].fd);
	memory->mapping_count--;
	memmove(&memory->mappings[place], &memory->mappings[place + 1],
		(memory->mapping_count - place) * sizeof(memory->mappings[0]));
}

/* Where *map is in the reservation. -EINVAL: nowhere. */
static int locate(const struct shared_memory *memory, const struct vhost_shmem_map *map,
		  uint64_t *start)
{
	const struct shared_region *region = shared_memory_find(memory, map->id);

	if (!region || map->length == 0 || map->length > region->size ||
	    map->shm_offset > region->size - map->length ||
	    (map->shm_offset | map->length) % memory->page)
		return -EINVAL;
	*start = region->offset + map->shm_offset;
	return 0;
}

/*
 * Whether @fd is a file that *map can show. Of huge pages it shows whole ones: Linux rounds the
 * length of such a mapping up, and would cover what lies behind it, be it the monitor's own memory.
 */
static int check_file(const struct shared_memory *memory, const struct vhost_shmem_map *map, int fd)
{
	struct stat file;

	if (map->fd_offset % memory->page || map->fd_offset > (uint64_t)INT64_MAX - map->length)
		return -EINVAL;
	/* First: the process may serve the file itself, and leave what follows unanswered. */
	if (!vhost_file_never_waits(fd) || fstat(fd, &file) < 0 || !S_ISREG(file.st_mode))
		return -ENODEV;
	return (map->shm_offset | map->length | map->fd_offset) % vhost_file_page_size(fd) ?
		       -EINVAL :
		       0;
}

/*
 * Makes place for a mapping at @start: what an earlier process has mapped there, exactly, is
 * replaced. Returns the place in the table, or a negative errno.
 */
static int make_place(struct shared_memory *memory, uint64_t start, uint64_t length)
{
	unsigned int place = lower_bound(memory, start);
	const struct shared_mapping *found = &memory->mappings[place];

	if (place < memory->mapping_count && found->start < start + length) {
		if (!found->inherited || found->start != start || found->length != length)
			return -EEXIST;
		remove_at(memory, place);
	} else if (memory->mapping_count == SHARED_MEMORY_MAPPINGS_MAX) {
		warn(memory, "its process maps too many files into shared memory: refused");
		return -ENOSPC;
	}
	return (int)place;
}

/* Whether a file does not have a part of what is shown of it, which is blank now. */
static bool mend(struct shared_memory *memory, struct shared_mapping *mapping)
{
	uint64_t end, shown;
	struct stat file;

	if (fstat(mapping->fd, &file) < 0)
		return false;
	/* The page with the end of the file exists as a whole. */
	end = round_up((uint64_t)file.st_size, memory->page);
	shown = end > mapping->file_offset ? end - mapping->file_offset : 0;
	if (shown >= mapping->shown)
		return false;
	warn(memory, "a file in shared memory is too short: the guest sees zeros instead");
	if (make_blank(memory, mapping->start + shown, mapping->shown - shown) < 0)
		return false;
	mapping->shown = shown;
	return true;
}

static int map_file(struct shared_memory *memory, const struct vhost_shmem_map *map, int fd)
{
	int sharing = map->flags & VHOST_SHMEM_WRITABLE ? MAP_SHARED : MAP_PRIVATE;
	cleanup_fd int own = -1;
	uint64_t start;
	int place, seals, result = locate(memory, map, &start);

	if (result == 0)
		result = check_file(memory, map, fd);
	if (result < 0)
		return result;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	/* Only memory has seals. */
	seals = fcntl(own, F_GET_SEALS);
	place = make_place(memory, start, map->length);
	if (place < 0)
		return place;
	if (mmap(memory->host + start, map->length, PROT_READ | PROT_WRITE,
		 sharing | MAP_FIXED | MAP_NORESERVE, own, (off_t)map->fd_offset) == MAP_FAILED) {
		result = -errno;
		/* It may have unmapped what was there before it failed. */
		make_blank(memory, start, map->length);
		return result;
	}
	memmove(&memory->mappings[place + 1], &memory->mappings[place],
		(memory->mapping_count - (unsigned int)place) * sizeof(memory->mappings[0]));
	memory->mapping_count++;
	memory->mappings[place] = (struct shared_mapping){
		.start = start,
		.length = map->length,
		.shown = map->length,
		.file_offset = map->fd_offset,
		.may_shrink = !(seals > 0 && (seals & F_SEAL_SHRINK)),
		.fd = take_fd(&own),
	};
	/* It may be too short from the start, also one that cannot shrink. */
	mend(memory, &memory->mappings[place]);
	if (memory->mappings[place].may_shrink)
		timer_set_ms(&memory->timer, LOOK_MS);
	return 0;
}

int shared_memory_map(struct shared_memory *memory, const struct vhost_shmem_map *map, int fd)
{
	int result;

	pthread_mutex_lock(&memory->lock);
	result = map_file(memory, map, fd);
	pthread_mutex_unlock(&memory->lock);
	return result;
}

static int unmap_file(struct shared_memory *memory, const struct vhost_shmem_map *map)
{
	unsigned int place;
	uint64_t start;
	int result = locate(memory, map, &start);

	if (result < 0)
		return result;
	place = lower_bound(memory, start);
	if (place == memory->mapping_count || memory->mappings[place].start != start ||
	    memory->mappings[place].length != map->length)
		return -EINVAL;
	result = make_blank(memory, start, map->length);
	if (result == 0)
		remove_at(memory, place);
	return result;
}

int shared_memory_unmap(struct shared_memory *memory, const struct vhost_shmem_map *map)
{
	int result;

	pthread_mutex_lock(&memory->lock);
	result = unmap_file(memory, map);
	pthread_mutex_unlock(&memory->lock);
	return result;
}

void shared_memory_inherit(struct shared_memory *memory)
{
	pthread_mutex_lock(&memory->lock);
	for (unsigned int i = 0; i < memory->mapping_count; i++)
		memory->mappings[i].inherited = true;
	pthread_mutex_unlock(&memory->lock);
}

/* Ends all mappings, or only the @inherited ones. */
static void end_mappings(struct shared_memory *memory, bool inherited)
{
	for (unsigned int i = memory->mapping_count; i-- > 0;) {
		const struct shared_mapping *mapping = &memory->mappings[i];

		if (inherited && !mapping->inherited)
			continue;
		make_blank(memory, mapping->start, mapping->length);
		remove_at(memory, i);
	}
}

void shared_memory_disinherit(struct shared_memory *memory)
{
	pthread_mutex_lock(&memory->lock);
	end_mappings(memory, true);
	pthread_mutex_unlock(&memory->lock);
}

void shared_memory_clear(struct shared_memory *memory)
{
	if (memory->region_count == 0)
		return;
	pthread_mutex_lock(&memory->lock);
	end_mappings(memory, false);
	/* Drops what the guest has written to it. */
	if (fallocate(memory->blank_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)memory->blank_size) < 0)
		log_line(LOG_ERROR, COMPONENT, "%s: blank shared memory is not cleared: %s",
			 memory->name, strerror(errno));
	pthread_mutex_unlock(&memory->lock);
}

bool shared_memory_mend(struct shared_memory *memory)
{
	bool mended = false;

	pthread_mutex_lock(&memory->lock);
	for (unsigned int i = 0; i < memory->mapping_count; i++)
		mended |= mend(memory, &memory->mappings[i]);
	pthread_mutex_unlock(&memory->lock);
	return mended;
}

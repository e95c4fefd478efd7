// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of the windows of shared memory: what a hostile device process asks for, and does to
 * its files meanwhile. An input is a sequence of steps (enum step); a model of the pages says what
 * the guest must see after each, and which requests succeed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz/hostile_driver.h"
#include "fuzz/input.h"
#include "monitor/virtio/shared_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAGE	   UINT64_C(4096)
#define REGIONS	   2
#define PAGES	   24 /* of the larger region */
#define FILES	   2
#define FILE_PAGES 32
#define STEPS_MAX  200

enum step {
	STEP_MAP,     /* struct request */
	STEP_UNMAP,   /* struct request */
	STEP_INHERIT, /* - */
	STEP_CLEAR,   /* - */
	STEP_SIZE,    /* file, pages: the file gets another size */
	STEPS,
};

/* A request, in pages, with what is added to it in bytes. */
struct request {
	uint8_t region; /* of ids; else any id */
	uint8_t start, length, file_page;
	uint8_t flags; /* 1: writable; 2 to 8: added to start, length, file_page; 16: long */
	uint8_t file;  /* FILES: not a file */
};

struct model_page {
	bool mapped, shown;
	uint8_t file, file_page;
	/* Of the mapping: its first page and their number. */
	uint8_t start, count;
	bool inherited;
};

static const uint8_t ids[REGIONS] = {0, 200};
static const uint8_t sizes[REGIONS] = {PAGES, 5};

static struct {
	int files[FILES], pipe[2];
	uint8_t file_pages[FILES];
	struct event_loop loop;
	struct shared_memory memory;
	struct model_page pages[REGIONS][PAGES];
	unsigned int mappings;
} stage;

static bool take(struct input *input, void *out, size_t size)
{
	if (input->left < size)
		return false;
	memcpy(out, input->data, size);
	input->data += size;
	input->left -= size;
	return true;
}

/* What page @page of a file begins with. */
static uint8_t mark_of(uint8_t file, uint8_t page)
{
	return (uint8_t)(1 + file * FILE_PAGES + page);
}

static void resize(uint8_t file, uint8_t pages)
{
	uint8_t before = stage.file_pages[file];

	PROMISE(ftruncate(stage.files[file], (off_t)(pages * PAGE)) == 0);
	for (uint8_t page = before; page < pages; page++) {
		uint8_t mark = mark_of(file, page);

		PROMISE(pwrite(stage.files[file], &mark, 1, (off_t)(page * PAGE)) == 1);
	}
	stage.file_pages[file] = pages;
}

/* The guest cannot use pages that a file lacks, and the monitor looks for them then. */
static void mend(void)
{
	bool any = false;

	for (unsigned int i = 0; i < REGIONS; i++)
		for (unsigned int j = 0; j < sizes[i]; j++) {
			struct model_page *page = &stage.pages[i][j];

			if (!page->mapped || !page->shown ||
			    page->file_page < stage.file_pages[page->file])
				continue;
			page->shown = false;
			any = true;
		}
	PROMISE(shared_memory_mend(&stage.memory) == any);
	PROMISE(!shared_memory_mend(&stage.memory));
}

static void check(void)
{
	for (unsigned int i = 0; i < REGIONS; i++)
		for (unsigned int j = 0; j < sizes[i]; j++) {
			const struct model_page *page = &stage.pages[i][j];
			const struct shared_region *region =
				shared_memory_find(&stage.memory, ids[i]);
			uint8_t byte = stage.memory.host[region->offset + j * PAGE];

			PROMISE(byte == (page->mapped && page->shown ?
						 mark_of(page->file, page->file_page) :
						 0));
		}
	PROMISE(stage.memory.mapping_count == stage.mappings);
}

static struct vhost_shmem_map wire(const struct request *request, unsigned int *region)
{
	*region = request->region;
	return (struct vhost_shmem_map){
		.id = *region < REGIONS ? ids[*region] : request->region,
		.shm_offset = request->start * PAGE + !!(request->flags & 2),
		.length = request->length * PAGE + !!(request->flags & 4) +
			  (request->flags & 16 ? UINT64_C(1) << 63 : 0),
		.fd_offset = request->file_page * PAGE + !!(request->flags & 8),
		.flags = request->flags & VHOST_SHMEM_WRITABLE,
	};
}

/* Whether the request names a part of a region. */
static bool is_part(const struct request *request, unsigned int *region)
{
	for (unsigned int i = 0; i < REGIONS && *region >= REGIONS; i++)
		if (request->region == ids[i])
			*region = i;
	return *region < REGIONS && request->length > 0 && !(request->flags & (2 | 4 | 16)) &&
	       request->start + request->length <= sizes[*region];
}

static void step_map(const struct request *request)
{
	unsigned int region;
	const struct vhost_shmem_map map = wire(request, &region);
	bool file = request->file % (FILES + 1) < FILES;
	int fd = file ? stage.files[request->file % (FILES + 1)] : stage.pipe[0];
	int result = shared_memory_map(&stage.memory, &map, fd);
	bool right = is_part(request, &region) && file && !(request->flags & 8);
	bool replaces = false;

	for (unsigned int j = 0; right && j < request->length; j++) {
		const struct model_page *page = &stage.pages[region][request->start + j];

		if (!page->mapped)
			continue;
		replaces = page->inherited && page->start == request->start &&
			   page->count == request->length;
		right = replaces;
	}
	PROMISE((result == 0) == right);
	if (!right)
		return;
	stage.mappings += !replaces;
	for (unsigned int j = 0; j < request->length; j++)
		stage.pages[region][request->start + j] = (struct model_page){
			.mapped = true,
			.shown = request->file_page + j <
				 stage.file_pages[request->file % (FILES + 1)],
			.file = request->file % (FILES + 1),
			.file_page = (uint8_t)(request->file_page + j),
			.start = request->start,
			.count = request->length,
		};
}

static void step_unmap(const struct request *request)
{
	unsigned int region;
	const struct vhost_shmem_map map = wire(request, &region);
	int result = shared_memory_unmap(&stage.memory, &map);
	bool right = is_part(request, &region);
	const struct model_page *first;

	if (right) {
		first = &stage.pages[region][request->start];
		right = first->mapped && first->start == request->start &&
			first->count == request->length;
	}
	PROMISE((result == 0) == right);
	if (!right)
		return;
	stage.mappings--;
	memset(&stage.pages[region][request->start], 0,
	       request->length * sizeof(struct model_page));
}

static bool take_step(struct input *input)
{
	struct request request;
	uint8_t step, bytes[2];

	if (!take(input, &step, 1))
		return false;
	switch (step % STEPS) {
	case STEP_MAP:
	case STEP_UNMAP:
		if (!take(input, &request, sizeof(request)))
			return false;
		/* Beyond the marks. */
		request.file_page %= FILE_PAGES - PAGES;
		if (step % STEPS == STEP_MAP)
			step_map(&request);
		else
			step_unmap(&request);
		break;
	case STEP_INHERIT:
		shared_memory_inherit(&stage.memory);
		for (unsigned int i = 0; i < REGIONS; i++)
			for (unsigned int j = 0; j < PAGES; j++)
				stage.pages[i][j].inherited = true;
		break;
	case STEP_CLEAR:
		shared_memory_clear(&stage.memory);
		memset(stage.pages, 0, sizeof(stage.pages));
		stage.mappings = 0;
		break;
	case STEP_SIZE:
		if (!take(input, bytes, sizeof(bytes)))
			return false;
		resize(bytes[0] % FILES, bytes[1] % (FILE_PAGES + 1));
		break;
	}
	mend();
	check();
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_shmem_config config = {.count = REGIONS};
	struct input input = {data, size};

	if (stage.pipe[1] == 0) {
		log_set_level(LOG_ERROR);
		PROMISE(pipe(stage.pipe) == 0);
		PROMISE(event_loop_init(&stage.loop, 0, NULL) == 0);
		for (unsigned int i = 0; i < FILES; i++)
			stage.files[i] = memfd_create("file", MFD_CLOEXEC);
	}
	memset(stage.pages, 0, sizeof(stage.pages));
	stage.mappings = 0;
	for (uint8_t i = 0; i < FILES; i++)
		resize(i, FILE_PAGES);
	for (unsigned int i = 0; i < REGIONS; i++)
		config.sizes[ids[i]] = sizes[i] * PAGE;
	PROMISE(shared_memory_open(&stage.memory, "fuzz", &config, &stage.loop, NULL) == 0);
	for (unsigned int i = 0; i < STEPS_MAX && take_step(&input); i++)
		;
	shared_memory_close(&stage.memory);
	return 0;
}

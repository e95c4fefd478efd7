// SPDX-License-Identifier: BSD-3-Clause
/*
 * The record of requests in flight (vhost-user specification, "Inflight I/O tracking").
 *
 * The process can be killed between any two instructions. Its successor finds what it had stored by
 * then, in program order, so the order of the stores below is what makes a step atomic; `ordered`
 * keeps the compiler from changing it.
 */
#include "virtio/inflight.h"

#include <errno.h>
#include <string.h>

#include "virtio/ring.h"
#include "virtio/round_up.h"

#define RECORD_VERSION	 1
#define RECORD_ALIGNMENT 64

#define ordered()	 __atomic_signal_fence(__ATOMIC_SEQ_CST)

struct split_entry {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* in the last batch of used descriptors */
	uint64_t counter;
};

struct split_record {
	uint64_t features;
	uint16_t version;
	uint16_t size;
	uint16_t last_batch_head;
	uint16_t used_index;
	struct split_entry entries[];
};

struct packed_entry {
	uint8_t inflight;
	uint8_t padding;
	uint16_t next;	/* free entry, or next descriptor of the chain */
	uint16_t last;	/* descriptor of the chain: in the head entry */
	uint16_t count; /* of descriptors: in the head entry */
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t length;
	uint64_t address;
};

/*
 * The position of the used ring, and its position before the batch that is being used. Stored and
 * read as one: an index with the wrong wrap counter is another position.
 */
struct packed_position {
	uint16_t used_index;
	uint16_t old_used_index;
	uint8_t used_wrap;
	uint8_t old_used_wrap;
	uint8_t padding[2];
};

struct packed_record {
	uint64_t features;
	uint16_t version;
	uint16_t size;
	uint16_t free_head;
	uint16_t old_free_head;
	union {
		struct packed_position position;
		uint64_t whole_position;
	};
	uint8_t padding[8];
	struct packed_entry entries[];
};

_Static_assert(sizeof(struct split_entry) == 16 && sizeof(struct split_record) == 16,
	       "layout of the vhost-user specification");
_Static_assert(sizeof(struct packed_entry) == 32 && sizeof(struct packed_record) == 32,
	       "layout of the vhost-user specification");
_Static_assert(offsetof(struct packed_record, position) == 16 &&
		       sizeof(struct packed_position) == sizeof(uint64_t),
	       "layout of the vhost-user specification");

size_t inflight_region_size(uint16_t size, bool packed)
{
	size_t bytes = packed ? sizeof(struct packed_record) + size * sizeof(struct packed_entry) :
				sizeof(struct split_record) + size * sizeof(struct split_entry);

	return round_up(bytes, RECORD_ALIGNMENT);
}

static struct packed_position read_position(const struct packed_record *record)
{
	union {
		uint64_t whole;
		struct packed_position position;
	} copy = {.whole = shared_read(&record->whole_position)};

	return copy.position;
}

static void write_position(struct packed_record *record, struct packed_position position)
{
	union {
		struct packed_position position;
		uint64_t whole;
	} copy = {.position = position};

	ordered();
	shared_write(&record->whole_position, copy.whole);
	ordered();
}

/* The two formats of the record have the same header. */
static struct split_record *header(const struct virtqueue_inflight *inflight)
{
	return inflight->region;
}

int inflight_attach(struct virtqueue_inflight *inflight, void *region, uint16_t size, bool packed)
{
	*inflight = (struct virtqueue_inflight){.region = region, .size = size, .packed = packed};
	if (header(inflight)->version > RECORD_VERSION)
		return -EINVAL;
	/* No driver changes the size of a ring that runs. */
	if (header(inflight)->size != size)
		inflight_forget(region);
	return 0;
}

/* The position that is not moved before the ring has been written. */
static uint16_t used_position(const struct packed_record *record)
{
	struct packed_position at = read_position(record);

	return at.old_used_index | (uint16_t)(at.old_used_wrap ? 1 << 15 : 0);
}

bool inflight_read_end(const void *region, uint16_t *position)
{
	const struct packed_record *record = region;

	/* The rest of a record stays as it was when it is closed. */
	if (shared_read(&record->version) != 0 || shared_read(&record->size) == 0)
		return false;
	*position = used_position(record);
	return true;
}

bool inflight_read_progress(const void *region, uint16_t size, bool packed,
			    struct inflight_progress *progress)
{
	const struct packed_record *record = region;
	const struct split_record *split = region;

	*progress = (struct inflight_progress){.position = 0};
	if (shared_read(&split->version) != RECORD_VERSION)
		return false;
	if (!packed) {
		progress->last = shared_read(&split->last_batch_head);
		if (progress->last < size)
			progress->counter = shared_read(&split->entries[progress->last].counter);
		return true;
	}
	progress->position = used_position(record);
	/* The entry freed last is the first on the free list. */
	progress->last = shared_read(&record->old_free_head);
	if (progress->last < size)
		progress->counter = shared_read(&record->entries[progress->last].counter);
	return true;
}

void inflight_forget(void *region)
{
	struct split_record *record = region;

	record->version = 0;
}

bool inflight_holds_requests(const void *region, uint16_t size, bool packed)
{
	const struct packed_record *record = region;
	const struct split_record *split = region;

	if (shared_read(&split->version) != RECORD_VERSION)
		return false;
	for (uint16_t i = 0; i < size; i++)
		if (packed ? record->entries[i].inflight : split->entries[i].inflight)
			return true;
	return false;
}

bool inflight_is_open(const struct virtqueue_inflight *inflight)
{
	return header(inflight)->version == RECORD_VERSION;
}

void inflight_open(struct virtqueue_inflight *inflight, uint16_t used_index, bool used_wrap)
{
	memset(inflight->region, 0, inflight_region_size(inflight->size, inflight->packed));
	inflight->counter = 0;
	if (inflight->packed) {
		struct packed_record *record = inflight->region;

		record->position = (struct packed_position){
			.used_index = used_index,
			.old_used_index = used_index,
			.used_wrap = used_wrap,
			.old_used_wrap = used_wrap,
		};
		for (uint16_t i = 0; i < inflight->size; i++)
			record->entries[i].next = i + 1;
	} else {
		struct split_record *record = inflight->region;

		record->used_index = used_index;
	}
	header(inflight)->size = inflight->size;
	ordered();
	header(inflight)->version = RECORD_VERSION;
}

void inflight_close(struct virtqueue_inflight *inflight)
{
	inflight_forget(inflight->region);
}

/* The number by which a record's entry is sorted. */
static uint64_t counter_of(const struct virtqueue_inflight *inflight, uint16_t entry)
{
	return inflight->packed ?
		       ((struct packed_record *)inflight->region)->entries[entry].counter :
		       ((struct split_record *)inflight->region)->entries[entry].counter;
}

/* Puts an entry where its number belongs; the list is short and almost always in order. */
static void insert_by_counter(struct virtqueue_inflight *inflight, uint16_t *replay, int count,
			      uint16_t entry)
{
	uint64_t counter = counter_of(inflight, entry);

	for (; count > 0 && counter_of(inflight, replay[count - 1]) > counter; count--)
		replay[count] = replay[count - 1];
	replay[count] = entry;
}

/*
 * Numbers continue where they were, also when nothing is in flight: see struct inflight_progress.
 */
static void continue_counting(struct virtqueue_inflight *inflight)
{
	for (uint16_t i = 0; i < inflight->size; i++)
		if (counter_of(inflight, i) >= inflight->counter)
			inflight->counter = counter_of(inflight, i) + 1;
}

int inflight_resume_split(struct virtqueue_inflight *inflight, uint16_t used_index,
			  uint16_t *replay, struct inflight_position *position)
{
	struct split_record *record = inflight->region;
	uint16_t batch = used_index - record->used_index;
	int count = 0;

	/*
	 * No batch is that large: the used ring belongs to another run, and its requests are
	 * unknown.
	 */
	if (batch > inflight->size && inflight_holds_requests(record, inflight->size, false))
		return -ESTALE;
	/* Killed between the update of the used ring and of the record: the batch was used. */
	if (batch <= inflight->size) {
		uint16_t last = shared_read(&record->last_batch_head);

		for (; batch > 0; batch--) {
			if (last >= inflight->size)
				return -EINVAL;
			record->entries[last].inflight = 0;
			last = shared_read(&record->entries[last].next);
		}
	}
	ordered();
	record->used_index = used_index;
	for (uint16_t i = 0; i < inflight->size; i++)
		if (record->entries[i].inflight)
			insert_by_counter(inflight, replay, count++, i);
	continue_counting(inflight);
	position->used_index = used_index;
	position->slots = (uint16_t)count;
	return count;
}

void inflight_take_split(struct virtqueue_inflight *inflight, uint16_t head)
{
	struct split_record *record = inflight->region;

	record->entries[head].counter = inflight->counter++;
	ordered();
	record->entries[head].inflight = 1;
	ordered();
}

void inflight_link_split(struct virtqueue_inflight *inflight, uint16_t head)
{
	struct split_record *record = inflight->region;

	record->entries[head].next = record->last_batch_head;
	ordered();
	record->last_batch_head = head;
	ordered();
}

void inflight_clear_split(struct virtqueue_inflight *inflight, uint16_t head)
{
	struct split_record *record = inflight->region;

	ordered();
	record->entries[head].inflight = 0;
	ordered();
}

void inflight_end_batch_split(struct virtqueue_inflight *inflight, uint16_t used_index)
{
	struct split_record *record = inflight->region;

	ordered();
	record->used_index = used_index;
	ordered();
}

/* Whether the entries and links of a chain stay within the record. */
static bool chain_is_sound(const struct virtqueue_inflight *inflight, uint16_t head)
{
	const struct packed_record *record = inflight->region;
	uint16_t count = record->entries[head].count;

	if (count == 0 || count > inflight->size)
		return false;
	for (uint16_t i = 1; i < count; i++) {
		head = shared_read(&record->entries[head].next);
		if (head >= inflight->size)
			return false;
	}
	return true;
}

/* Slots of the ring from the old position to the new one; 0 when the two are inconsistent. */
static uint32_t batch_slots(const struct packed_position *at, uint16_t size)
{
	uint32_t end = at->used_index;

	if (!at->used_wrap != !at->old_used_wrap)
		end += size;
	return end > at->old_used_index && end <= at->old_used_index + (uint32_t)size ?
		       end - at->old_used_index :
		       0;
}

/*
 * Takes back the used entries of a batch whose first one was never written: the driver sees none
 * of them yet, but would, as soon as another request is used in the first one's place.
 */
static void take_batch_back(struct vring_packed_desc *ring, const struct packed_position *at,
			    uint32_t slots, uint16_t size)
{
	uint16_t index = at->old_used_index;
	bool wrap = at->old_used_wrap;

	for (; slots > 0; slots--) {
		uint16_t flags = shared_read(&ring[index].flags);

		if (packed_is_used(flags, wrap))
			shared_write(&ring[index].flags, flags ^ PACKED_USED);
		packed_advance(size, &index, &wrap, 1);
	}
	ordered();
}

/*
 * Finishes a batch that was being used: it counts as used if the driver can see its first entry.
 * Sets *used to the position of the used ring.
 */
static int finish_batch(struct virtqueue_inflight *inflight, struct vring_packed_desc *ring,
			struct inflight_position *used)
{
	struct packed_record *record = inflight->region;
	struct packed_position at = read_position(record);
	uint32_t slots;

	if (at.used_index >= inflight->size || at.old_used_index >= inflight->size)
		return -EINVAL;
	if (at.used_index != at.old_used_index || !at.used_wrap != !at.old_used_wrap) {
		slots = batch_slots(&at, inflight->size);
		if (slots == 0)
			return -EINVAL;
		/* Before it is used, the first slot has what the driver made available there. */
		if (packed_is_available(shared_read(&ring[at.old_used_index].flags),
					at.old_used_wrap)) {
			take_batch_back(ring, &at, slots, inflight->size);
		} else {
			inflight_end_batch_packed(inflight);
			at.old_used_index = at.used_index;
			at.old_used_wrap = at.used_wrap;
		}
	}
	record->free_head = shared_read(&record->old_free_head);
	at.used_index = at.old_used_index;
	at.used_wrap = at.old_used_wrap;
	write_position(record, at);
	used->used_index = at.used_index;
	used->used_wrap = at.used_wrap;
	return 0;
}

int inflight_resume_packed(struct virtqueue_inflight *inflight, struct vring_packed_desc *ring,
			   uint16_t *replay, struct inflight_position *position)
{
	struct packed_record *record = inflight->region;
	uint16_t size = inflight->size, free;
	uint32_t slots = 0;
	int count = 0;

	if (finish_batch(inflight, ring, position) < 0)
		return -EINVAL;
	free = shared_read(&record->free_head);
	for (uint16_t i = 0; i < size && free < size; i++) {
		record->entries[free].inflight = 0;
		free = shared_read(&record->entries[free].next);
	}
	for (uint16_t i = 0; i < size; i++) {
		if (!record->entries[i].inflight)
			continue;
		if (!chain_is_sound(inflight, i))
			return -EINVAL;
		slots += record->entries[i].count;
		insert_by_counter(inflight, replay, count++, i);
	}
	if (slots > size)
		return -EINVAL;
	continue_counting(inflight);
	position->slots = (uint16_t)slots;
	return count;
}

int inflight_add_packed(struct virtqueue_inflight *inflight,
			const struct vring_packed_desc *descriptor)
{
	struct packed_record *record = inflight->region;
	/* The frontend can write here at any time: read once, and keep the head for commit. */
	uint16_t at = shared_read(&record->free_head), head = shared_read(&record->old_free_head);

	if (at >= inflight->size || head >= inflight->size)
		return -ENOSPC;
	if (at == head) {
		record->entries[head].count = 0;
		record->entries[head].counter = inflight->counter++;
		ordered();
		record->entries[head].inflight = 1;
	}
	inflight->head = head;
	record->entries[head].last = at;
	record->entries[head].count++;
	record->entries[at].address = descriptor->addr;
	record->entries[at].length = descriptor->len;
	record->entries[at].flags = descriptor->flags;
	record->entries[at].id = descriptor->id;
	ordered();
	record->free_head = record->entries[at].next;
	ordered();
	return 0;
}

uint16_t inflight_commit_packed(struct virtqueue_inflight *inflight)
{
	struct packed_record *record = inflight->region;

	record->old_free_head = record->free_head;
	ordered();
	return inflight->head;
}

void inflight_cancel_packed(struct virtqueue_inflight *inflight)
{
	struct packed_record *record = inflight->region;
	uint16_t head = shared_read(&record->old_free_head);

	record->free_head = head;
	ordered();
	if (head < inflight->size)
		record->entries[head].inflight = 0;
}

int inflight_read_packed(const struct virtqueue_inflight *inflight, uint16_t *entry,
			 struct vring_packed_desc *descriptor)
{
	const struct packed_record *record = inflight->region;
	const struct packed_entry *from;

	if (*entry >= inflight->size)
		return -EINVAL;
	from = &record->entries[*entry];
	descriptor->addr = from->address;
	descriptor->len = from->length;
	descriptor->id = from->id;
	descriptor->flags = from->flags;
	*entry = shared_read(&from->next);
	return 0;
}

uint16_t inflight_count_packed(const struct virtqueue_inflight *inflight, uint16_t head)
{
	const struct packed_record *record = inflight->region;
	uint16_t count = record->entries[head].count;

	return count < inflight->size ? count : inflight->size;
}

void inflight_link_packed(struct virtqueue_inflight *inflight, uint16_t head)
{
	struct packed_record *record = inflight->region;
	uint16_t last = shared_read(&record->entries[head].last);

	if (last < inflight->size)
		record->entries[last].next = record->free_head;
	ordered();
	record->free_head = head;
	ordered();
}

void inflight_begin_batch_packed(struct virtqueue_inflight *inflight, uint16_t used_index,
				 bool used_wrap)
{
	struct packed_position at = read_position(inflight->region);

	at.used_index = used_index;
	at.used_wrap = used_wrap;
	write_position(inflight->region, at);
}

void inflight_clear_packed(struct virtqueue_inflight *inflight, uint16_t head)
{
	struct packed_record *record = inflight->region;

	ordered();
	record->entries[head].inflight = 0;
	ordered();
}

void inflight_end_batch_packed(struct virtqueue_inflight *inflight)
{
	struct packed_record *record = inflight->region;
	struct packed_position at = read_position(record);

	record->old_free_head = record->free_head;
	at.old_used_index = at.used_index;
	at.old_used_wrap = at.used_wrap;
	write_position(record, at);
}

void inflight_untake_packed(struct virtqueue_inflight *inflight, uint16_t head)
{
	struct packed_record *record = inflight->region;

	inflight_link_packed(inflight, head);
	/*
	 * From here on the entry is free, whatever it says: resume clears what is on the free list.
	 */
	record->old_free_head = record->free_head;
	inflight_clear_packed(inflight, head);
}

// SPDX-License-Identifier: BSD-3-Clause
/* Translations of an IOMMU (vhost-user specification, "IOMMU support"). */
#include "vhost/iotlb.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "virtio/container_of.h"

#define TABLE_BYTES (VHOST_IOTLB_ENTRIES * sizeof(struct vhost_iotlb_entry))

_Static_assert((int)GUEST_MEMORY_READ == VHOST_ACCESS_RO &&
		       (int)GUEST_MEMORY_WRITE == VHOST_ACCESS_WO,
	       "access bits are those of the wire");

int vhost_iotlb_open(struct vhost_iotlb *iotlb,
		     void (*miss)(void *context, uint64_t iova, uint8_t access), void *context)
{
	/* Untouched pages of the table cost nothing. */
	void *entries = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (entries == MAP_FAILED)
		return -ENOMEM;
	*iotlb = (struct vhost_iotlb){.entries = entries, .miss = miss, .context = context};
	return 0;
}

void vhost_iotlb_close(struct vhost_iotlb *iotlb)
{
	if (iotlb->entries)
		munmap(iotlb->entries, TABLE_BYTES);
	*iotlb = (struct vhost_iotlb){0};
}

void vhost_iotlb_clear(struct vhost_iotlb *iotlb)
{
	iotlb->count = 0;
	iotlb->pending_count = 0;
	memset(iotlb->pending, 0, sizeof(iotlb->pending));
}

/* The first entry that ends at or after @iova. */
static size_t lower_bound(const struct vhost_iotlb *iotlb, uint64_t iova)
{
	size_t low = 0, high = iotlb->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (iotlb->entries[middle].last < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void remove_at(struct vhost_iotlb *iotlb, size_t at, size_t count)
{
	memmove(&iotlb->entries[at], &iotlb->entries[at + count],
		(iotlb->count - at - count) * sizeof(iotlb->entries[0]));
	iotlb->count -= count;
}

/* Makes room at @at and returns the index, which moves when an entry is evicted. */
static size_t insert_at(struct vhost_iotlb *iotlb, size_t at, struct vhost_iotlb_entry entry)
{
	if (iotlb->count == VHOST_IOTLB_ENTRIES) {
		bool first = at > iotlb->count / 2;

		remove_at(iotlb, first ? 0 : iotlb->count - 1, 1);
		at -= first;
	}
	memmove(&iotlb->entries[at + 1], &iotlb->entries[at],
		(iotlb->count - at) * sizeof(iotlb->entries[0]));
	iotlb->entries[at] = entry;
	iotlb->count++;
	return at;
}

/* Removes a range from the table; returns the index where entries of that range belong. */
static size_t cut(struct vhost_iotlb *iotlb, uint64_t iova, uint64_t last)
{
	size_t at = lower_bound(iotlb, iova);
	size_t end;

	if (at < iotlb->count && iotlb->entries[at].iova < iova) {
		struct vhost_iotlb_entry rest = iotlb->entries[at];

		iotlb->entries[at].last = iova - 1;
		at++;
		if (rest.last > last) {
			rest.user += last + 1 - rest.iova;
			rest.iova = last + 1;
			return insert_at(iotlb, at, rest);
		}
	}
	for (end = at; end < iotlb->count && iotlb->entries[end].last <= last; end++)
		;
	remove_at(iotlb, at, end - at);
	if (at < iotlb->count && iotlb->entries[at].iova <= last) {
		iotlb->entries[at].user += last + 1 - iotlb->entries[at].iova;
		iotlb->entries[at].iova = last + 1;
	}
	return at;
}

int vhost_iotlb_update(struct vhost_iotlb *iotlb, uint64_t iova, uint64_t size, uint64_t user,
		       uint8_t access)
{
	uint64_t last = iova + size - 1;
	size_t at;

	if (size == 0 || last < iova || user + size - 1 < user || access == 0 ||
	    access > VHOST_ACCESS_RW || (iova ^ user) % VHOST_MEMORY_ALIGNMENT)
		return -EINVAL;
	at = cut(iotlb, iova, last);
	insert_at(iotlb, at, (struct vhost_iotlb_entry){iova, last, user, access});
	for (size_t i = 0; i < VHOST_IOTLB_PENDING; i++)
		if (iotlb->pending[i].iova >= iova && iotlb->pending[i].iova <= last)
			iotlb->pending[i].access = 0;
	return 0;
}

int vhost_iotlb_invalidate(struct vhost_iotlb *iotlb, uint64_t iova, uint64_t size)
{
	uint64_t last = iova + size - 1;

	if (size == 0 || last < iova)
		return -EINVAL;
	cut(iotlb, iova, last);
	return 0;
}

/* Asks for a translation, unless a request for it is pending. */
static int ask(struct vhost_iotlb *iotlb, uint64_t iova, uint8_t access)
{
	size_t slot = iotlb->pending_count % VHOST_IOTLB_PENDING;

	for (size_t i = 0; i < VHOST_IOTLB_PENDING; i++)
		if (iotlb->pending[i].iova == iova && iotlb->pending[i].access == access)
			return -EAGAIN;
	iotlb->pending[slot].iova = iova;
	iotlb->pending[slot].access = access;
	iotlb->pending_count++;
	iotlb->miss(iotlb->context, iova, access);
	return -EAGAIN;
}

static int translate(struct guest_memory *guest, struct guest_addr address, uint64_t *length,
		     enum guest_access access, void **host)
{
	struct vhost_guest_memory *memory = container_of(guest, struct vhost_guest_memory, guest);
	struct vhost_iotlb *iotlb = memory->iotlb;
	uint64_t iova = address.value;
	uint64_t found = 0;
	size_t at = lower_bound(iotlb, iova);

	/*
	 * Join entries that are contiguous in host memory: the frontend may translate in pages what
	 * a caller needs in one piece.
	 */
	while (found < *length) {
		const struct vhost_iotlb_entry *entry = &iotlb->entries[at];
		uint64_t part = *length - found;
		void *piece;

		if (iova + found < iova)
			return -EFAULT;
		if (at == iotlb->count || entry->iova > iova + found ||
		    (entry->access & access) != access)
			return ask(iotlb, iova + found, access);
		if (part - 1 > entry->last - (iova + found))
			part = entry->last - (iova + found) + 1;
		if (vhost_memory_find_user(memory, entry->user + (iova + found - entry->iova),
					   &part, &piece) < 0)
			return found ? (*length = found, 0) : -EFAULT;
		if (found && piece != (uint8_t *)*host + found)
			break;
		if (!found)
			*host = piece;
		found += part;
		at = lower_bound(iotlb, iova + found);
	}
	*length = found;
	return 0;
}

const struct guest_memory_ops vhost_iotlb_ops = {.translate = translate};

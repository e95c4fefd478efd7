// SPDX-License-Identifier: BSD-3-Clause
/*
 * The record of requests in flight that outlives a device process: a region of shared memory as
 * the vhost-user specification lays it out ("Inflight I/O tracking"), kept by the frontend. A
 * restarted device finds in it which requests were taken and not completed, and takes them again.
 *
 * A crash at any instruction may have left the region half-written, and the frontend can write to
 * it, too: it is checked as any untrusted input.
 */
#ifndef AVP_VIRTIO_INFLIGHT_H
#define AVP_VIRTIO_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

/* The record of one queue. */
struct virtqueue_inflight {
	void *region;  /* inflight_region_size bytes */
	uint16_t size; /* entries of the ring it was made for */
	bool packed;
	uint64_t counter; /* the next request's number: the order of submission */
	uint16_t head;	  /* packed: the entry of the chain that was added last */
};

/* Bytes of a record for a ring of @size entries, a multiple of 64. */
size_t inflight_region_size(uint16_t size, bool packed);

/*
 * Attaches @region to *inflight. A zeroed region is a valid, empty record; the first ring that
 * starts sets it up and discards what a ring of another size left. -EINVAL: the version of the
 * record is unknown.
 */
int inflight_attach(struct virtqueue_inflight *inflight, void *region, uint16_t size, bool packed);

/*
 * How far a device has used buffers, according to its record. A position alone repeats after twice
 * the size of a packed ring; together with the number of the request used last it does not.
 */
struct inflight_progress {
	uint16_t position; /* packed: of the used ring, the wrap counter in bit 15 */
	uint16_t last;	   /* the entry that was used last */
	uint64_t counter;  /* its number; changes as soon as that entry is taken again */
};

/*
 * Reads the progress from the record at @region, for rings of up to @size entries. Another process
 * writes the record; it is not trusted. The driver can see in the ring all that it reports as used.
 * Returns false when no ring runs with the record.
 */
bool inflight_read_progress(const void *region, uint16_t size, bool packed,
			    struct inflight_progress *progress);

/*
 * Where a packed ring ended whose record at @region was closed since. Returns false, with *position
 * unchanged, when no ring ended with it. Not trusted either.
 */
bool inflight_read_end(const void *region, uint16_t *position);

/* Whether the record at @region, for rings of up to @size entries, holds a request in flight. */
bool inflight_holds_requests(const void *region, uint16_t size, bool packed);

/* Discards the requests in the record at @region: the next ring that starts with it takes none. */
void inflight_forget(void *region);

/* The rest is for the rings. */

/* The position of a ring according to its record. */
struct inflight_position {
	uint16_t used_index;
	bool used_wrap; /* packed */
	uint16_t slots; /* ring entries that the requests in flight take: split, one each */
};

/* Whether a ring ran with this record, which has not been closed since. */
bool inflight_is_open(const struct virtqueue_inflight *inflight);

/* Opens an empty record at a position of the used ring. */
void inflight_open(struct virtqueue_inflight *inflight, uint16_t used_index, bool used_wrap);

/*
 * Closes the record: none of its requests is taken again, and the next start sets the position of
 * the ring. Only for a reset and for the end of a run with nothing in flight.
 */
void inflight_close(struct virtqueue_inflight *inflight);

/*
 * Repairs what a crash left half-done and puts the heads of what was in flight, oldest first, in
 * @replay (size entries). Split: @used_index is what the used ring says. Packed: @ring is the
 * descriptor ring, in which a batch that was being written is taken back. Returns how many, -EINVAL
 * when the record is inconsistent, or -ESTALE when it does not match the ring.
 */
int inflight_resume_split(struct virtqueue_inflight *inflight, uint16_t used_index,
			  uint16_t *replay, struct inflight_position *position);
int inflight_resume_packed(struct virtqueue_inflight *inflight, struct vring_packed_desc *ring,
			   uint16_t *replay, struct inflight_position *position);

/*
 * Requests complete in batches of one or more, of which the driver sees all or none, at whatever
 * moment the process dies: each request is linked, packed rings say where the batch ends, the ring
 * is written, each request is cleared, and the batch is ended.
 */

/* A request was taken from the ring. */
void inflight_take_split(struct virtqueue_inflight *inflight, uint16_t head);

void inflight_link_split(struct virtqueue_inflight *inflight, uint16_t head);
/* Also for a request that goes back to the ring as if it had not been taken. */
void inflight_clear_split(struct virtqueue_inflight *inflight, uint16_t head);
void inflight_end_batch_split(struct virtqueue_inflight *inflight, uint16_t used_index);

/*
 * Packed: each descriptor of a chain as it is read, then either commit, which returns the entry
 * that stands for the request, or cancel. -ENOSPC: more in flight than the ring has entries.
 */
int inflight_add_packed(struct virtqueue_inflight *inflight,
			const struct vring_packed_desc *descriptor);
uint16_t inflight_commit_packed(struct virtqueue_inflight *inflight);
void inflight_cancel_packed(struct virtqueue_inflight *inflight);
void inflight_untake_packed(struct virtqueue_inflight *inflight, uint16_t head);
/* Entries of a recorded chain, for replay: the head, then as *entry becomes. -EINVAL: broken. */
int inflight_read_packed(const struct virtqueue_inflight *inflight, uint16_t *entry,
			 struct vring_packed_desc *descriptor);
uint16_t inflight_count_packed(const struct virtqueue_inflight *inflight, uint16_t head);

void inflight_link_packed(struct virtqueue_inflight *inflight, uint16_t head);
/* @used_index and @used_wrap: where the used ring will stand after the batch. */
void inflight_begin_batch_packed(struct virtqueue_inflight *inflight, uint16_t used_index,
				 bool used_wrap);
void inflight_clear_packed(struct virtqueue_inflight *inflight, uint16_t head);
void inflight_end_batch_packed(struct virtqueue_inflight *inflight);

#endif

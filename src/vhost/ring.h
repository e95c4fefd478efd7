// SPDX-License-Identifier: BSD-3-Clause
/*
 * One ring as a frontend sets it up, piece by piece and in any order (vhost-user specification,
 * "Ring states"). It runs while all of these hold: the features are known, size, addresses and
 * kick are set, it is enabled, its memory is there, and the device needs no reset.
 *
 * What the specification calls started (kick set, not stopped by GET_VRING_BASE) but disabled is
 * a ring that does not run here: nothing is taken from it until it is enabled. A queue that
 * discards (struct virtqueue) is the exception: disabled by SET_VRING_ENABLE it runs on, and what
 * the driver sends is completed undone. Whenever a ring starts to run it is looked at, so a kick
 * that came too early is not lost.
 *
 * Rings belong to the thread of their server.
 */
#ifndef AVP_VHOST_RING_H
#define AVP_VHOST_RING_H

#include "base/event_loop.h"
#include "vhost/event.h"
#include "vhost/message.h"
#include "virtio/inflight.h"
#include "virtio/virtqueue.h"

struct vhost_server;

/* What the frontend said with SET_VRING_ENABLE. Unsaid: as protocol features were negotiated. */
enum vhost_ring_enable { VHOST_RING_UNSAID, VHOST_RING_DISABLED, VHOST_RING_ENABLED };

/* Whose requests in flight are in the ring's record? */
enum vhost_ring_record {
	VHOST_RECORD_INHERITED, /* of an earlier process or connection; knows the ring's position */
	VHOST_RECORD_OWN,	/* of the ring's last run: for a ring that goes on from there */
	VHOST_RECORD_STALE,	/* of another run: the last one had no record */
};

struct vhost_ring {
	struct vhost_server *server;
	struct virtqueue *queue; /* of the device; queue->started: the ring runs */
	struct event_source kick_source;
	struct vhost_event kick, call, err;
	bool kick_set; /* SET_VRING_KICK came, since the last GET_VRING_BASE */
	enum vhost_ring_enable enable;
	uint16_t size; /* 0: not set */
	bool address_set;
	struct vhost_vring_addr address;
	uint32_t base; /* where to go on, while it does not run, as SET_VRING_BASE has it */
	struct virtqueue_inflight inflight;
	void *storage; /* for the queue; untouched pages cost nothing */
	size_t storage_size;
	/* The device was shown the request that is next and left it: it takes it when it can. */
	bool declined;
	uint64_t declined_at; /* handed_out of the queue */
	enum vhost_ring_record record;
	/*
	 * Where the run that it is of ended, in the form of base, and of a driver with which
	 * features.
	 */
	uint32_t ended_at;
	uint64_t ended_features;
};

void vhost_ring_init(struct vhost_ring *ring, struct vhost_server *server, struct virtqueue *queue);

/* Stops the ring, closes what the frontend gave and forgets the set-up. */
void vhost_ring_close(struct vhost_ring *ring);

/*
 * As vhost_ring_close, but call, err and position stay: for a reset within one connection. Nothing
 * of the record of requests in flight remains but what this ring itself left undone, which counts
 * only if the next start goes on from its position.
 */
void vhost_ring_reset(struct vhost_ring *ring);

/* Another driver begins: pauses the ring and forgets what is of the one before, its record too. */
void vhost_ring_begin(struct vhost_ring *ring);

/*
 * Starts the ring if all that is needed is there; fine when it is not, or runs already. A negative
 * errno with *error set: the frontend set it up wrongly. Where a ring lies is the driver's choice:
 * outside memory, or not as it may be, the device needs a reset. Before that a ring outside memory
 * waits for memory to be added, with @memory_comes.
 */
int vhost_ring_update(struct vhost_ring *ring, bool memory_comes, struct error *error);

/*
 * Stops the ring, if it runs, in a way that vhost_ring_update starts it where it was. The record
 * of requests in flight stays open: the process may die before it goes on.
 */
void vhost_ring_pause(struct vhost_ring *ring);

/*
 * GET_VRING_BASE: stops the ring until the next SET_VRING_KICK; returns its position. Closes the
 * record of requests in flight unless the device left some of it undone, which a run that goes on
 * from that position takes again.
 */
uint32_t vhost_ring_stop(struct vhost_ring *ring);

/* SET_VRING_ENABLE. As vhost_ring_update. */
int vhost_ring_set_enable(struct vhost_ring *ring, bool enabled, struct error *error);

/* Does it run, and is not just emptied while it is disabled? */
static inline bool vhost_ring_works(const struct vhost_ring *ring)
{
	return ring->queue->started && !ring->queue->disabled;
}

/* SET_VRING_BASE: the position, in the form that vhost_ring_stop returns. The ring is paused. */
void vhost_ring_set_base(struct vhost_ring *ring, uint32_t base);

/* SET_VRING_KICK: takes over @fd (-1: poll instead). As vhost_ring_update. */
int vhost_ring_set_kick(struct vhost_ring *ring, int fd, struct error *error);

/* SET_VRING_CALL: takes over @fd (-1: none) and signals it, for news may have been lost. */
int vhost_ring_set_call(struct vhost_ring *ring, int fd, struct error *error);

/* Does any area of the ring touch the guest's addresses from @start to @last? */
bool vhost_ring_touches(const struct vhost_ring *ring, uint64_t start, uint64_t last);

/* What was in the way of taking requests may be gone: the device is shown them again. */
void vhost_ring_retry(struct vhost_ring *ring);

/* For the event loop: see struct event_poller. */
bool vhost_ring_poll(struct vhost_ring *ring);
bool vhost_ring_prepare(struct vhost_ring *ring, int *timeout_ms);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * One ring as a frontend sets it up, piece by piece and in any order (vhost-user specification,
 * "Ring states"). It runs while all of these hold: the features are known, size, addresses and
 * kick are set, it is enabled, its memory is there, and the device needs no reset.
 *
 * What the specification calls started (kick set, not stopped by GET_VRING_BASE) but disabled is a
 * ring that does not run here: no request is taken from it until it is enabled. A queue that
 * discards (struct virtqueue) is the exception: disabled by SET_VRING_ENABLE it continues to run,
 * and requests are completed undone. A ring is polled whenever it starts to run, so a kick that
 * came too early is not lost.
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

/*
 * What the frontend said with SET_VRING_ENABLE. Unsaid: depends on whether protocol features were
 * negotiated.
 */
enum vhost_ring_enable { VHOST_RING_UNSAID, VHOST_RING_DISABLED, VHOST_RING_ENABLED };

/* The run whose requests in flight the ring's record holds. */
enum vhost_ring_record {
	VHOST_RECORD_INHERITED, /* an earlier process or connection; has the position */
	VHOST_RECORD_OWN,	/* the ring's last run: for a ring that continues from there */
	VHOST_RECORD_STALE,	/* another run: the last one had no record */
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
	uint32_t base; /* while it does not run: the next position, as in SET_VRING_BASE */
	struct virtqueue_inflight inflight;
	void *storage; /* for the queue; untouched pages cost nothing */
	size_t storage_size;
	/* The device was offered the next request and declined it: it takes it when it can. */
	bool declined;
	uint64_t declined_at; /* handed_out of the queue */
	enum vhost_ring_record record;
	/*
	 * Where the run of the record ended, in the form of base, and the features of its driver.
	 */
	uint32_t ended_at;
	uint64_t ended_features;
};

void vhost_ring_init(struct vhost_ring *ring, struct vhost_server *server, struct virtqueue *queue);

/* Stops the ring, closes the frontend's descriptors and forgets the set-up. */
void vhost_ring_close(struct vhost_ring *ring);

/*
 * As vhost_ring_close, but call, err and position stay: for a reset within one connection. Of the
 * record of requests in flight only those remain that this ring itself left undone; they count only
 * if the next start continues from its position.
 */
void vhost_ring_reset(struct vhost_ring *ring);

/*
 * Another driver begins: pauses the ring and forgets the state of the previous driver, with its
 * record.
 */
void vhost_ring_begin(struct vhost_ring *ring);

/*
 * Starts the ring if everything it needs is set; otherwise, or if it runs already, does nothing. A
 * negative errno with *error set: the frontend set it up wrongly. The driver chooses the place of a
 * ring: if that is outside memory or not allowed, the device needs a reset. With @memory_comes a
 * ring outside memory waits for memory to be added instead.
 */
int vhost_ring_update(struct vhost_ring *ring, bool memory_comes, struct error *error);

/*
 * Stops the ring, if it runs, so that vhost_ring_update continues it where it was. The record of
 * requests in flight stays open: the process may die before it continues.
 */
void vhost_ring_pause(struct vhost_ring *ring);

/*
 * GET_VRING_BASE: stops the ring until the next SET_VRING_KICK; returns its position. Closes the
 * record of requests in flight unless the device left some undone: a run that continues from that
 * position takes those again.
 */
uint32_t vhost_ring_stop(struct vhost_ring *ring);

/* SET_VRING_ENABLE. As vhost_ring_update. */
int vhost_ring_set_enable(struct vhost_ring *ring, bool enabled, struct error *error);

/* Whether it runs, and not just to be drained while disabled. */
static inline bool vhost_ring_works(const struct vhost_ring *ring)
{
	return ring->queue->started && !ring->queue->disabled;
}

/* SET_VRING_BASE: the position, in the form that vhost_ring_stop returns. The ring is paused. */
void vhost_ring_set_base(struct vhost_ring *ring, uint32_t base);

/* SET_VRING_KICK: takes over @fd (-1: poll instead). As vhost_ring_update. */
int vhost_ring_set_kick(struct vhost_ring *ring, int fd, struct error *error);

/*
 * SET_VRING_CALL: takes over @fd (-1: none) and signals it, because a notification may have been
 * lost.
 */
int vhost_ring_set_call(struct vhost_ring *ring, int fd, struct error *error);

/* Whether any area of the ring touches the guest's addresses from @start to @last. */
bool vhost_ring_touches(const struct vhost_ring *ring, uint64_t start, uint64_t last);

/* An obstacle to taking requests may be gone: offers them to the device again. */
void vhost_ring_retry(struct vhost_ring *ring);

/* For the event loop: see struct event_poller. */
bool vhost_ring_poll(struct vhost_ring *ring);
bool vhost_ring_prepare(struct vhost_ring *ring, int *timeout_ms);

#endif

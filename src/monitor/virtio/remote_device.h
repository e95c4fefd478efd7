// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device in another process, reached by vhost-user: its life from the monitor's side. A process
 * that goes away is connected to again, and gets everything back that the driver had set up.
 *
 * One lock guards it, which the functions below are called with, unless they say otherwise. While
 * it waits for the process, so does whoever else wants the lock: for at most
 * VHOST_CLIENT_TIMEOUT_MS in an operation, of which a process that comes back is asked three. What
 * comes from the process is handled by an event loop, which should be the device's own: a process
 * that is slow to answer holds it up.
 *
 * Kicks of each ring and interrupts of the device pass through eventfds that are shared with one
 * process; the next one gets new ones. A process can fill such a counter and so keep whoever writes
 * waiting: nothing here writes, but to what the hypervisor takes out of at once.
 */
#ifndef AVP_MONITOR_VIRTIO_REMOTE_DEVICE_H
#define AVP_MONITOR_VIRTIO_REMOTE_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/timer.h"
#include "monitor/broker.h"
#include "monitor/memory.h"
#include "vhost/client.h"
#include "vhost/inflight_area.h"
#include "virtio/device_shape.h"
#include "virtio/inflight.h"

#define REMOTE_QUEUES_MAX 64
#define REMOTE_CONFIG_MAX 256

/* A ring that the driver has set up. */
struct remote_ring {
	bool running;
	uint16_t size;
	uint64_t descriptors, driver, device; /* guest addresses */
	int kick_fd;			      /* an eventfd; -1: not made yet */
	/*
	 * How far the device has used buffers, in memory that it or the guest writes: the index of
	 * the split used ring. NULL: see the record of requests in flight.
	 */
	const volatile uint16_t *used_index;
};

/* What happens on the other side; called with the lock, in any thread. */
struct remote_events {
	/* Configuration space is another one than before. */
	void (*config_changed)(void *context);
	/* The device has met what no correct driver does. */
	void (*needs_reset)(void *context);
	/*
	 * The process does not answer, or breaks the protocol: somebody should end it. It is waited
	 * for a short while, as what it still writes to guest memory is nobody's.
	 */
	void (*given_up)(void *context);
	/* It was waited for in vain: guest memory is not safe from it, whatever the guest does. */
	void (*outlived)(void *context);
	/* The eventfds go; and new ones have come. */
	void (*disconnect)(void *context);
	void (*connect)(void *context);
};

/* How the process is reached. */
struct remote_peer {
	int fd; /* connected already, owned from remote_open on; -1: the broker is asked */
	struct broker *broker; /* for later connections, and the first without fd; NULL: none */
	uint32_t device;       /* its number there */
};

struct remote_device {
	const char *name;
	struct remote_peer peer; /* fd is not used any more */
	const struct device_shape *shape;
	const struct monitor_memory *memory;
	struct event_loop *loop;
	pthread_mutex_t lock;
	const struct remote_events *events;
	void *context;

	struct vhost_client *client; /* NULL: the process is away */
	uint64_t features;	     /* offered */
	uint16_t queue_count;
	uint32_t config_size;
	uint32_t config_length; /* that this process gives; 0: not known yet */
	uint8_t config[REMOTE_CONFIG_MAX];
	bool memory_told; /* this process has guest memory */
	bool rings_told;  /* it was told to start rings, or will be next */
	bool as_new;	  /* it was reset, and told nothing of a driver's since */

	/* What the driver has set up. */
	bool started;
	bool refused; /* some of it, by a process: none is told again before the driver resets */
	uint64_t negotiated;
	struct remote_ring rings[REMOTE_QUEUES_MAX];
	/*
	 * An eventfd: the interrupt, one for all rings. Of two that lead to one edge-triggered pin
	 * the second's edge would be lost while the first one's is on its way.
	 */
	int call_fd;
	int inflight_fd; /* -1: none */
	struct vhost_inflight inflight;
	struct vhost_inflight_area inflight_area;
	volatile bool inflight_lost;

	bool config_written; /* the driver has set what a new process is to be told */

	/* The event loop's side. */
	struct event_source connection, backend;
	struct timer retry;  /* the next attempt to connect again */
	int pause_ms;	     /* before the attempt after that */
	bool told;	     /* that it does not come back */
	int64_t attached_ms; /* when it did last */

	/* What ends a call that waits, from another thread. */
	pthread_mutex_t line_lock; /* of the two below */
	int line_fd;		   /* the connection, another descriptor of it; -1: none */
	bool closing;
};

/*
 * Connects to the process that *peer leads to and learns what the device offers. Without the lock;
 * *loop does not run. *shape outlives the device; its setting lies in the first REMOTE_CONFIG_MAX
 * bytes. -EPROTO: it is none that this monitor can use.
 */
int remote_open(struct remote_device *remote, const char *name, const struct remote_peer *peer,
		const struct device_shape *shape, const struct monitor_memory *memory,
		struct event_loop *loop, const struct remote_events *events, void *context,
		struct error *error);
/* Ends the connection for good, with what waits for it. Without the lock, from any thread. */
void remote_hang_up(struct remote_device *remote);
/* Without the lock; no vCPU and no loop runs. One that failed to open is fine. */
void remote_close(struct remote_device *remote);

/* Offers the driver's choice of features. Returns whether the device takes it. */
bool remote_set_features(struct remote_device *remote, uint64_t features);

/*
 * The driver is ready: starts the device with all rings that are marked running. -EINVAL: it
 * refuses. A process that is away gets it all when it is back.
 */
int remote_start(struct remote_device *remote);
/* Starts one more ring, or stops one. */
int remote_start_ring(struct remote_device *remote, uint16_t index);
void remote_stop_ring(struct remote_device *remote, uint16_t index);
/* Back to the state after remote_open: all rings stop. */
void remote_reset(struct remote_device *remote);

/*
 * How far the device has used buffers of a running ring: changes with each buffer, and now and then
 * without one. Where the process keeps no record of requests in flight it is the used index alone,
 * which repeats.
 */
struct inflight_progress remote_progress(const struct remote_device *remote, uint16_t index);

/*
 * Asks a running device for its configuration space, which it may change by what a queue told it,
 * without a word: as the MAC address (VIRTIO 1.4, 5.1.9.5.2). Returns whether it has changed.
 */
bool remote_refresh_config(struct remote_device *remote);

/* Writes to configuration space, @offset + @length at most config_size. */
void remote_write_config(struct remote_device *remote, uint32_t offset, const void *data,
			 uint32_t length);

#endif

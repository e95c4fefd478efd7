// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device in another process, reached by vhost-user: its life from the monitor's side. When the
 * process goes away, the monitor reconnects and sends everything that the driver had set up.
 *
 * One lock guards the device; hold it to call the functions below, unless noted otherwise. While
 * the lock's holder waits for the process, others wait for the lock: at most
 * VHOST_CLIENT_TIMEOUT_MS an operation, and three operations for a process that reconnects; the
 * release of a process (remote_release) is one. An event loop handles the messages of the process;
 * it should be the device's own, because a slow process blocks it.
 *
 * Kicks and interrupts pass through eventfds that are shared with one process; the next process
 * gets new ones. A process can fill such a counter and block a writer, so the monitor writes only
 * to eventfds that the hypervisor reads at once.
 */
#ifndef AVP_MONITOR_VIRTIO_REMOTE_DEVICE_H
#define AVP_MONITOR_VIRTIO_REMOTE_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/timer.h"
#include "vhost/broker.h"
#include "monitor/memory.h"
#include "monitor/virtio/shared_memory.h"
#include "vhost/client.h"
#include "vhost/inflight_area.h"
#include "virtio/device_shape.h"
#include "virtio/inflight.h"

/* A ring that the driver has set up. */
struct remote_ring {
	bool running;
	uint16_t size;
	uint64_t descriptors, driver, device; /* guest addresses */
	int kick_fd;			      /* an eventfd; -1: none yet */
	/*
	 * The index of the split used ring, in memory that the process and the guest can write.
	 * NULL: use the record of requests in flight.
	 */
	const volatile uint16_t *used_index;
	/* Where a packed ring goes on whose record of requests in flight is closed. */
	uint16_t position;
};

/* What is reported about the process. */
enum remote_report {
	/*
	 * It does not answer, or breaks the protocol: it should be killed. Its end is awaited for a
	 * short time, because it may still write to guest memory.
	 */
	REMOTE_GIVEN_UP,
	/* The answer to remote_release: now it should be ended. */
	REMOTE_RELEASED,
	/* The device has lost its process, or given it away; another one serves the device. */
	REMOTE_DETACHED,
	REMOTE_ATTACHED,
};

/* Events of the process; called with the lock, in any thread. */
struct remote_events {
	/* Configuration space has changed. */
	void (*config_changed)(void *context);
	/* The device reports a driver error. */
	void (*needs_reset)(void *context);
	/*
	 * With REMOTE_RELEASED and REMOTE_ATTACHED, @why the state of the device does not get to
	 * the next process; NULL: it does, or the driver set up nothing.
	 */
	void (*reported)(void *context, enum remote_report report, const char *why);
	/* The process that was given up did not end: it may write to guest memory at any time. */
	void (*not_ended)(void *context);
	/* The eventfds are about to be closed; new ones were made. */
	void (*disconnect)(void *context);
	void (*connect)(void *context);
};

/* How to connect to the process. */
struct remote_peer {
	int fd;		       /* connected, owned by the device; -1: ask the broker */
	struct broker *broker; /* for later connections, and the first if fd is -1; or NULL */
	uint32_t device;       /* the broker's number of the device */
};

#define REMOTE_CONFIG_CALL 0
#define REMOTE_CALLS_MAX   (1 + DEVICE_SHAPE_QUEUES_MAX)

struct remote_device {
	const char *name;
	struct remote_peer peer; /* fd is unused after remote_open */
	const struct device_shape *shape;
	const struct monitor_memory *memory;
	struct event_loop *loop;
	pthread_mutex_t lock;
	const struct remote_events *events;
	void *context;

	struct shared_memory shared_memory; /* has its own lock */
	struct vhost_client *client;	    /* NULL: not connected */
	struct vhost_client *former; /* to the process that was released, until it ends; or NULL */
	uint64_t features;	     /* offered */
	uint16_t queue_count;
	uint32_t config_size;
	uint32_t config_length; /* of this process; 0: not known yet */
	uint8_t config[DEVICE_SHAPE_CONFIG_MAX];
	bool memory_sent; /* this process was sent guest memory */
	bool rings_sent;  /* it was told to start rings, or will be next */
	bool as_new;	  /* since its start or reset no driver set it up, and it mapped nothing */

	/* What the driver has set up. */
	bool started;
	bool refused; /* a process refused it: do not send it again before the driver resets */
	bool lost_requests; /* which must not be repeated: the driver has to reset the device */
	uint64_t negotiated;
	struct remote_ring rings[DEVICE_SHAPE_QUEUES_MAX];
	/*
	 * Eventfds, each a source of interrupts: of configuration space (REMOTE_CONFIG_CALL), and
	 * of ring n (1 + n); with one_call the first is that of all rings, too.
	 */
	int calls[REMOTE_CALLS_MAX];
	bool one_call;
	int inflight_fd; /* -1: none */
	struct vhost_inflight inflight;
	struct vhost_inflight_area inflight_area;
	volatile bool inflight_lost;

	bool config_written; /* the driver has set what a new process must be sent */
	/* The state of the device that its released process has saved, for the next; NULL: none. */
	uint8_t *state;
	size_t state_length;
	char state_lost[ERROR_MESSAGE_SIZE]; /* why it did not get there, or "" */
	bool state_taken;		     /* by the process that is being set up */

	/* The event loop's side. */
	struct event_source connection, backend;
	struct event_source release; /* an eventfd: remote_release was called */
	_Atomic uint64_t release_of; /* with this number */
	uint64_t attachments;	     /* how often REMOTE_ATTACHED was reported */
	struct timer retry;	     /* the next attempt to reconnect */
	int pause_ms;		     /* delay before the attempt after that */
	bool failure_logged;	     /* the failure to reconnect was logged */
	int64_t attached_ms;	     /* time of the last connection */

	/* Lets another thread interrupt a call that blocks. */
	pthread_mutex_t hang_up_lock; /* of the two below */
	int hang_up_fd;		      /* a duplicate of the connection; -1: none */
	bool closing;
};

/*
 * Connects to the process of *peer and learns what the device offers. Without the lock, before
 * *loop runs. *shape must outlive the device; its setting must be in the first
 * DEVICE_SHAPE_CONFIG_MAX bytes. @one_call: see struct remote_device. -EPROTO: the monitor cannot
 * use the process.
 */
int remote_open(struct remote_device *remote, const char *name, const struct remote_peer *peer,
		const struct device_shape *shape, const struct monitor_memory *memory,
		bool one_call, struct event_loop *loop, const struct remote_events *events,
		void *context, struct error *error);
/* Closes the connection for good, and ends calls that wait on it. Without the lock, any thread. */
void remote_hang_up(struct remote_device *remote);
/* Without the lock, when no vCPU and no loop runs. Fine after a failed remote_open. */
void remote_close(struct remote_device *remote);

/* How many of its calls are in use. Any thread, after remote_open. */
uint16_t remote_call_count(const struct remote_device *remote);

/* Sets the driver's choice of features. Returns whether the device accepts it. */
bool remote_set_features(struct remote_device *remote, uint64_t features);

/*
 * The driver is ready: starts the device with all rings that are marked running. -EINVAL: it
 * refuses. If the process is gone, the next one is sent everything.
 */
int remote_start(struct remote_device *remote);
/* Starts one more ring, or stops one. */
int remote_start_ring(struct remote_device *remote, uint16_t index);
void remote_stop_ring(struct remote_device *remote, uint16_t index);
/* Back to the state after remote_open: all rings stop. */
void remote_reset(struct remote_device *remote);

/*
 * How far the device has used buffers of a running ring. The value changes with each buffer, and
 * sometimes without one. Without a record of requests in flight it is only the used index, which
 * wraps around.
 */
struct inflight_progress remote_progress(const struct remote_device *remote, uint16_t index);

/*
 * Lets go of the process, so that it can be replaced without its driver noticing: stops the rings,
 * saves the state of the device and leaves the process alone, whose end is awaited before the next
 * one is connected. REMOTE_RELEASED follows, later and in the loop's thread, in any case; when the
 * state could not be saved, the next process is given what that of a process that died would be.
 * The process is the one after which REMOTE_ATTACHED was reported @attachments times; another one,
 * which was attached meanwhile, is not let go. Without the lock, any thread.
 */
void remote_release(struct remote_device *remote, uint64_t attachments);

/*
 * Reads the configuration space of a running device, which the device may change after a command on
 * a queue without a notification, such as the MAC address (VIRTIO 1.4, 5.1.9.5.2). Returns whether
 * it has changed.
 */
bool remote_refresh_config(struct remote_device *remote);

/* Writes to configuration space, @offset + @length at most config_size. */
void remote_write_config(struct remote_device *remote, uint32_t offset, const void *data,
			 uint32_t length);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process around a service: its control socket, the clients that join through it, their
 * channels, signals, the sandbox, and the loop.
 *
 * Clients are served in turn, at most SERVICE_BATCH messages each, and only while their channel has
 * room for what they may be told, if messages are answered: one that does not read is not listened
 * to. A client that breaks
 * its channel, or the service's protocol, is no longer served. One that wakes the service up for
 * nothing, again and again, is not listened to for a while. Nothing is allocated after a client has
 * joined.
 *
 * Everything here belongs to the one thread of the process.
 */
#ifndef AVP_SERVICE_RUN_SERVICE_H
#define AVP_SERVICE_RUN_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/control_server.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "base/log_limit.h"
#include "base/socket_path.h"
#include "base/timer.h"
#include "service/channel/channel.h"
#include "service/kit/service_type.h"
#include "service/run/service_config.h"

/* Messages of one client before the next one is served. */
#define SERVICE_BATCH 32
/* Wake-ups in a row that bring nothing, and how long their sender is not listened to then. */
#define SERVICE_VAIN_WAKES 64
#define SERVICE_PAUSE_MS   100

struct service;

struct service_client {
	struct service *service;
	char name[SERVICE_NAME_SIZE];
	void *context; /* the service's, set in join */
	struct channel channel;
	struct event_watch watch;
	uint64_t progress; /* what it had sent and read when its last wake-up came */
	unsigned int vain_wakes;
	bool paused;
	/* Set by the service, for as long as it likes. */
	bool deferred;	     /* no messages are taken from it */
	bool waits_for_room; /* wake up when its channel has room */
};

struct service_program {
	const struct service_type *type;
	struct channel_shape shape; /* of the channels */
	size_t state_size;	    /* of service->state, zeroed at first */
	/* Messages need no answer: they are taken whether or not the channel has room for one. */
	bool one_way;
	/*
	 * Opens what the service needs and adds the rights that it needs to service->needs.
	 * @options: as type->options, checked. Returns 0, or a negative errno with *error set.
	 */
	int (*open)(struct service *service, const void *options, struct error *error);
	/* Closes what open has made, also after it failed; all clients have left. */
	void (*close)(struct service *service);
	/*
	 * A client joined; @options: as type->client_options, checked, kept by the caller while the
	 * service runs. Returns 0 or a negative errno with *error set.
	 */
	int (*join)(struct service_client *client, const void *options, struct error *error);
	void (*leave)(struct service_client *client);
	/*
	 * A message of the client, which has room for the longest message in its channel (but see
	 * one_way). Returns
	 * 0, or a negative errno with *error set: no correct client sends that, and it is no longer
	 * served.
	 */
	int (*take)(struct service_client *client, const struct channel_message *message,
		    struct error *error);
	/*
	 * Does what is due at @now_ns (CLOCK_MONOTONIC), bounded. Returns the time at which to be
	 * called again, 0: at once, UINT64_MAX: after the next message. NULL: nothing ever is.
	 */
	uint64_t (*run)(struct service *service, uint64_t now_ns);
	/* Add counters of a client, and of the service, to what the verb `state` answers. */
	void (*describe_client)(const struct service_client *client,
				struct control_message *message);
	void (*describe)(const struct service *service, struct control_message *message);
	/* The handlers of type->verbs, in that order; their context is the service. */
	int (*const *handlers)(void *context, const struct control_call *call, struct error *error);
};

/* The verbs of a service, with those of all services and the end. */
#define SERVICE_VERBS_MAX 16

struct service {
	const struct service_program *program;
	const struct service_options *options;
	void *state;
	struct service_config config;
	struct event_loop loop;
	struct event_poller poller;
	struct event_source signals;
	struct timer timer;  /* for run */
	struct timer paused; /* for clients that are not listened to */
	uint64_t timer_ns;   /* the time that it is set to; 0: none */
	uint64_t run_ns;     /* when to call run */
	struct control_server control;
	struct control_interface interface;
	struct control_verb verbs[SERVICE_VERBS_MAX];
	struct socket_path bound;
	struct log_limit complaints;
	struct service_client *clients[SERVICE_CLIENTS_MAX];
	unsigned int needs; /* of enum sandbox_need */
};

/*
 * Prepares the service, from the configuration file on, up to where clients can join. @options: the
 * struct of type->options as the command line has set it, which is taken over, @given the names of
 * the options that were given;
 * @serving must outlive the service. On failure only call service_close.
 */
int service_open(struct service *service, const struct service_program *program, void *options,
		 const struct option_list *given, const struct service_options *serving,
		 struct error *error);

/* Drops rights and serves until a signal. Returns 0, or a negative errno with *error set. */
int service_run(struct service *service, struct error *error);

/* Safe on one that was only zeroed or failed to open. */
void service_close(struct service *service);

/*
 * Makes the owner of @socket, a connected SOCK_SEQPACKET socket that is owned from now on, a
 * client. One of that name that is there leaves. Returns 0 or a negative errno with *error set.
 */
int service_add_client(struct service *service, const char *name, int socket, struct error *error);

/* The client of that name; NULL: none is connected. */
struct service_client *service_find_client(struct service *service, const char *name);

/* Whether the channel has room for the longest message: half of it is free. */
bool service_client_has_room(struct service_client *client);

/* The whole of main(). Returns the exit status. */
int service_program_main(const struct service_program *program, int argc, char **argv);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The serving side of control channels (base/control.h). What can be asked is a table of verbs; the
 * fields of a verb are option rows, so that they are checked, and documented, like other options.
 *
 * A client is greeted with `hello interface=NAME version=NUMBER`. Each of its lines is answered, in
 * order, by `ok …`, perhaps after lines of details, or by `error code=ERRNO text=…`. A client that
 * asked for events gets lines `event name=…` in between.
 *
 * Clients are not trusted: at most CONTROL_CLIENTS are connected. One that breaks the form of a
 * line, or leaves so much unread that its socket is full, loses its connection. When all places are
 * taken, a new client gets that of the client that has been silent for the longest time, and of one
 * that waits for an answer only if all do; those that wait for events are CONTROL_SUBSCRIBERS at
 * most, and keep theirs. Nothing here blocks, and nothing wakes up without a client's doing.
 *
 * Everything here belongs to the thread of the loop.
 */
#ifndef AVP_BASE_CONTROL_SERVER_H
#define AVP_BASE_CONTROL_SERVER_H

#include <sys/types.h>

#include "base/command.h"
#include "base/control.h"
#include "base/option.h"

#define CONTROL_CLIENTS	    8
#define CONTROL_SUBSCRIBERS 4
/* The largest struct of a verb's fields. */
#define CONTROL_VALUES_SIZE 256

struct control_client;

/* A request. */
struct control_call {
	struct control_client *client;
	const void *values; /* the struct that the verb's fields describe; NULL: it has none */
	int *fd;	    /* came with the request, or -1; take it with take_fd */
	struct control_message *reply; /* `ok`: the handler adds fields */
	int *answer; /* -1; a descriptor to send with the reply, which stays the handler's */
	/* 0; with -EINPROGRESS it tells the requests of a verb apart for control_server_finish. */
	uint64_t *token;
};

struct control_verb {
	const char *name;		   /* NULL ends the table */
	const char *help;		   /* what it does, as that of an option row */
	const struct option_row *fields;   /* NULL: none */
	size_t size;			   /* of their struct */
	const struct command_note *answer; /* its fields and lines; NULL: `ok` alone */
	/*
	 * Returns 0 for `ok`, or a negative errno with *error set for `error`. -EINPROGRESS: the
	 * answer comes from control_server_finish, and the client's next lines wait for it. Must
	 * not close the server.
	 */
	int (*handle)(void *context, const struct control_call *call, struct error *error);
};

/* What a socket offers. */
struct control_interface {
	const char *name;
	unsigned int version;
	const struct control_verb *verbs;
	const struct control_verb *events; /* for documents; their handlers are NULL */
};

struct control_server {
	struct event_loop *loop;
	const struct control_interface *interface;
	/*
	 * Whether a client of @user may do the verb, asked before it is done: 0, or a negative
	 * errno with *error set. NULL: all of them may.
	 */
	int (*permit)(void *context, uid_t user, const struct control_verb *verb,
		      struct error *error);
	/* A client is gone; may be NULL. Must not close the server. */
	void (*gone)(void *context);
	void *context;
	struct event_source listener;			 /* fd -1: none */
	struct control_client *clients[CONTROL_CLIENTS]; /* kept when closed, for the next ones */
};

#define CONTROL_SERVER_NONE ((struct control_server){.listener.fd = -1})

/*
 * Serves the clients that connect to @fd, a listening Unix stream socket, owned from now on, also
 * on failure. Only those of this process's user and of root are served. The loop, the interface
 * and the context of *server must be set, the rest as in CONTROL_SERVER_NONE; *server must not
 * move. Returns 0 or a negative errno with *error set.
 */
int control_server_listen(struct control_server *server, int fd, struct error *error);

/*
 * Serves the other end of @fd, a connected Unix stream socket, owned from now on, also on failure.
 * Otherwise as control_server_listen. Returns 0 or a negative errno with *error set.
 */
int control_server_add(struct control_server *server, int fd, struct error *error);

/* The handler of a verb `events`, for tables: the client gets them from now on. */
int control_server_subscribe(void *context, const struct control_call *call, struct error *error);

/*
 * The fields of a verb `log-level`, and its handler: sets the level of this process's log, and
 * answers with that from before.
 */
struct control_log_level {
	uint64_t level; /* enum log_level */
};
extern const struct option_row control_log_level_rows[];
int control_server_set_log_level(void *context, const struct control_call *call,
				 struct error *error);

/* Sends an event, built from CONTROL_EVENT, to the clients that asked for events. */
void control_server_event(struct control_server *server, struct control_message *message);

/* For a handler: sends a line of details before the answer. */
void control_server_detail(const struct control_call *call, struct control_message *message);

/*
 * Answers the clients that wait for the verb @name and the token of its handler, which returned
 * -EINPROGRESS: with *reply, built from CONTROL_OK (NULL: `ok` alone), or, unless @error is NULL,
 * with `error`.
 */
void control_server_finish(struct control_server *server, const char *name, uint64_t token,
			   struct control_message *reply, const struct error *error);

/* Whether anyone is connected. */
bool control_server_has_clients(const struct control_server *server);

/* Closes the listening socket and all connections. CONTROL_SERVER_NONE is fine. */
void control_server_close(struct control_server *server);

#endif

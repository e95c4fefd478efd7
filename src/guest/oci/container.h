// SPDX-License-Identifier: BSD-3-Clause
/*
 * The state of guests that a container tool, or a user, creates, starts, kills and deletes (OCI
 * runtime-spec 1.3, runtime.md): ROOT/ID/state.json, and beside it the control socket of the guest.
 *
 * `avp create` makes it, and from then on the guest's supervisor, which is the container's process,
 * records what becomes of the guest. A file replaces another one by a rename, so that a reader gets
 * a whole one. What only the kernel knows, whether the process lives, is not in the file: readers
 * look, by the process's number and the time of its start, so that another process of that number
 * is never taken for it.
 */
#ifndef AVP_GUEST_OCI_CONTAINER_H
#define AVP_GUEST_OCI_CONTAINER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "guest/oci/host_process.h"

/* The longest id, in bytes: that of a directory's name. */
#define CONTAINER_ID_LENGTH 255

enum container_status {
	CONTAINER_CREATING,
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_PAUSED,
	CONTAINER_STOPPED,
};

/* The words of the specification, by enum container_status. */
extern const char *const container_status_names[];

struct container {
	char *id, *bundle; /* the bundle's absolute path */
	char created[32];  /* when, in UTC (RFC 3339) */
	/* As it was recorded: never CONTAINER_STOPPED. */
	enum container_status recorded;
	/* The guest's supervisor; while the guest is being created, who creates it. */
	struct host_process process;
	json_t *annotations, *hooks; /* of the bundle; NULL: none */
	int directory;		     /* ROOT/ID */
};

#define CONTAINER_NONE ((struct container){.directory = -1})

/* Closes and frees what it owns. */
void container_clear(struct container *container);
#define cleanup_container __attribute__((cleanup(container_clear)))

/*
 * Opens the directory of all containers, @path, or the default one if that is NULL, and makes it if
 * it is not there. Returns it, owned by the caller, or a negative errno with *error set: others can
 * write to it.
 */
int container_root_open(const char *path, struct error *error);

/*
 * Makes the container @id in @root, with the status creating; of several callers with the same id
 * one gets it. Returns 0, or a negative errno with *error set: -EEXIST, there is one.
 */
int container_make(struct container *container, int root, const char *id, struct error *error);

/*
 * Reads the container @id, which may be any text. Returns 0, or a negative errno with *error set:
 * -ENOENT, there is none; -EBADMSG, its state cannot be understood, but container_remove works.
 */
int container_load(struct container *container, int root, const char *id, struct error *error);

/* Writes the state, all of it or nothing. Returns 0, or a negative errno with *error set. */
int container_save(const struct container *container, struct error *error);

/* The status, with what the kernel knows. */
enum container_status container_status(const struct container *container);

/* The state as the specification has it (runtime.md, "State"); NULL: no memory. */
json_t *container_state(const struct container *container, enum container_status status);

/* Removes ROOT/ID and the files in it. Returns 0 or a negative errno with *error set. */
int container_remove(const struct container *container, int root, struct error *error);

/*
 * Calls @visit for each container in @root, in no order; one that is removed meanwhile, or whose
 * state cannot be understood, is left out. Stops at the first result that is not 0 and returns it.
 */
int container_walk(int root, int (*visit)(const struct container *container, void *context),
		   void *context);

/*
 * Finds the container that a person means: with the id @text, or the only one whose id begins with
 * it. Returns 0 with *id set, owned by the caller, or a negative errno with *error set.
 */
int container_find(int root, const char *text, char **id, struct error *error);

/*
 * Opens the log of a container that is in the background: to append to it, which makes it, or to
 * read. Returns it or a negative errno with *error set.
 */
int container_open_log(const struct container *container, bool append, struct error *error);

/* Makes the guest's control socket, which listens. Returns it or a negative errno with *error. */
int container_listen(const struct container *container, struct error *error);

/* Connects to it. Returns the socket or a negative errno with *error set: nobody listens. */
int container_connect(const struct container *container, struct error *error);

#endif

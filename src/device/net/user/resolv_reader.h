// SPDX-License-Identifier: BSD-3-Clause
/*
 * Follows the host's resolv.conf for a sandboxed process: a separate process, started before, reads
 * the file and reports its name servers, at once and whenever they change. It notices when the file
 * is written, replaced, removed or created, and the same for every symbolic link and directory on
 * the path. Its only input is the file; it may read below /etc, /run and the file's directory at
 * the start, and can do nothing else.
 */
#ifndef AVP_DEVICE_NET_USER_RESOLV_READER_H
#define AVP_DEVICE_NET_USER_RESOLV_READER_H

#include <sys/types.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "device/net/user/name_servers.h"

typedef void resolv_reader_changed(void *context, const struct name_servers *servers);

struct resolv_reader {
	struct event_loop *loop;
	struct event_source source; /* fd -1: not started, or ended */
	pid_t pid;		    /* 0: not started */
	const char *path;
	resolv_reader_changed *changed;
	void *context;
};

#define RESOLV_READER_NONE ((struct resolv_reader){.source.fd = -1})

/*
 * Starts the process, and waits until it is in its sandbox. @changed is called from the loop, for
 * the first time soon after this. @path is absolute; the caller keeps it. Single-threaded programs
 * only: it forks.
 */
int resolv_reader_start(struct resolv_reader *reader, struct event_loop *loop, const char *path,
			resolv_reader_changed *changed, void *context, struct error *error);

/* Ends the process. Safe on one that was not started. */
void resolv_reader_stop(struct resolv_reader *reader);

#endif

// SPDX-License-Identifier: BSD-3-Clause
/* Loads libslirp, and redirects its GLib messages to our log. */
#include "device/net/user/slirp_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_limit.h"

#define LIBRARY "libslirp.so.0"

/* GLib's log handler: domain, level and message. */
typedef void log_handler(const char *domain, int level, const char *message, void *context);
typedef log_handler *set_log_handler(log_handler *handler, void *context);

/* A guest can cause these messages. */
static void relay_message(const char *domain, int level, const char *message, void *context)
{
	static struct log_limit limit = {.burst = 5, .interval_ms = 10000};
	(void)level;
	(void)context;
	if (log_limit_take(&limit, clock_now_ms()))
		log_warning("%s: %s", domain ? domain : "libslirp", message);
}

int slirp_library_load(struct slirp_library *library, struct error *error)
{
	void *handle = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
	set_log_handler *set_handler;
	const struct {
		const char *name;
		void *pointer;
	} functions[] = {
		{"slirp_new", &library->new},
		{"slirp_cleanup", &library->cleanup},
		{"slirp_input", &library->input},
		{"slirp_pollfds_fill", &library->fill},
		{"slirp_pollfds_poll", &library->poll},
		{"slirp_add_hostfwd", &library->add_forward},
		{"slirp_connection_info", &library->connection_info},
		/* From GLib, which it uses. */
		{"g_log_set_default_handler", &set_handler},
	};

	if (!handle)
		return error_set(error, ENOENT,
				 "user: the library %s cannot be loaded; install it: apt install "
				 "libslirp0",
				 LIBRARY);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(handle, functions[i].name);

		if (!function)
			return error_set(error, ENOSYS,
					 "user: %s has no %s; install version 4.1 or later",
					 LIBRARY, functions[i].name);
		memcpy(functions[i].pointer, &function, sizeof(function));
	}
	set_handler(relay_message, NULL);
	return 0;
}

void *slirp_library_make_timer(SlirpTimerCb function, void *argument, void *opaque)
{
	return opaque;
}

void slirp_library_free_timer(void *timer, void *opaque)
{
}

void slirp_library_set_timer(void *timer, int64_t expire_ms, void *opaque)
{
}

void slirp_library_notify(void *opaque)
{
}

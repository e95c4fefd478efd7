// SPDX-License-Identifier: BSD-3-Clause
/*
 * Signals that come through an event loop.
 */
#include "base/signals.h"

#include <errno.h>
#include <pthread.h>
#include <sys/signalfd.h>

int signals_open(const int *numbers, sigset_t *before, struct error *error)
{
	struct sigaction action;
	sigset_t mask;
	int fd;

	sigemptyset(&mask);
	for (; *numbers; numbers++)
		/* Once blocked, an ignored signal would reach the signalfd, too. */
		if (sigaction(*numbers, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&mask, *numbers);
	pthread_sigmask(SIG_BLOCK, &mask, before);
	fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? error_set_errno(error, errno, "cannot receive signals") : fd;
}

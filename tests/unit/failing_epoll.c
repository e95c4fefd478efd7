// SPDX-License-Identifier: BSD-3-Clause
/* See failing_epoll.h. */
#include "unit/failing_epoll.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

int failing_watches, failed_watches;

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	if (operation != EPOLL_CTL_DEL && failing_watches > 0) {
		failing_watches--;
		failed_watches++;
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * A kernel that has no room for another watch: stands in for epoll_ctl(2) in a test that links it.
 */
#ifndef AVP_TESTS_UNIT_FAILING_EPOLL_H
#define AVP_TESTS_UNIT_FAILING_EPOLL_H

/* How many calls of epoll_ctl that add or change something fail, and how many have. */
extern int failing_watches, failed_watches;

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * A kernel without room for another watch: replaces epoll_ctl(2) in a test that links it.
 */
#ifndef AVP_TESTS_UNIT_FAILING_EPOLL_H
#define AVP_TESTS_UNIT_FAILING_EPOLL_H

/* How many calls of epoll_ctl that add or modify a watch fail, and how many have failed. */
extern int failing_watches, failed_watches;

#endif

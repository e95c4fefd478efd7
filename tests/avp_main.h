// SPDX-License-Identifier: BSD-3-Clause
#ifndef AVP_TESTS_AVP_MAIN_H
#define AVP_TESTS_AVP_MAIN_H

/*
 * What avp does, and what the device programs do, in this process: called by the name of one
 * (device-block), or as `avp device TYPE`, it is that program. Returns the exit status.
 */
int avp_main(int argc, char **argv);

#endif

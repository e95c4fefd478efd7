// SPDX-License-Identifier: BSD-3-Clause
#ifndef AVP_TESTS_AVP_MAIN_H
#define AVP_TESTS_AVP_MAIN_H

/*
 * Does what avp or a device program does, in this process: with the name of a device program
 * (device-block), or as `avp device TYPE`, it is that program. Returns the exit status.
 */
int avp_main(int argc, char **argv);

#endif

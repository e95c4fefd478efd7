// SPDX-License-Identifier: BSD-3-Clause
/* The checks of `avp doctor`. */
#ifndef AVP_CLI_DOCTOR_H
#define AVP_CLI_DOCTOR_H

#include "host/host_check.h"

/* The checks of the kernel and the installation, besides engines and devices. */
extern const struct host_check doctor_host_checks[];

#endif

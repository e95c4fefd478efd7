// SPDX-License-Identifier: BSD-3-Clause
/* The JSON schema of the configuration file of a service, made from the tables of its type. */
#ifndef AVP_SERVICE_KIT_SERVICE_SCHEMA_H
#define AVP_SERVICE_KIT_SERVICE_SCHEMA_H

#include <jansson.h>

#include "service/kit/service_type.h"

/* The schema (draft 2020-12) as a new object; NULL when memory is short. */
json_t *service_schema(const struct service_type *type);

#endif

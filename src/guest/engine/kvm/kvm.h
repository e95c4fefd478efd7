// SPDX-License-Identifier: BSD-3-Clause
/*
 * AVP's own monitor as an engine.
 */
#ifndef AVP_GUEST_ENGINE_KVM_KVM_H
#define AVP_GUEST_ENGINE_KVM_KVM_H

#include "guest/engine/engine.h"

extern const struct engine engine_kvm;

#endif

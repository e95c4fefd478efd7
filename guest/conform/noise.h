// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host's noise: for how long it does not run this guest although the guest has something to do,
 * as the guest sees it by its counter. A time limit that was exceeded by no more than noise can
 * explain says nothing about the hypervisor.
 */
#ifndef CONFORM_NOISE_H
#define CONFORM_NOISE_H

#include <stdbool.h>
#include <stdint.h>

/* Measures for a tenth of a second, and reports what it found; called once. */
void noise_start(void);
/* A test begins: noise that earlier tests saw does not excuse it. */
void noise_begin(void);
/* The guest ran @ns later than it could have. */
void noise_note(uint64_t ns);

/* What a limit means for something that took @took. */
enum noise_verdict { NOISE_WITHIN, NOISE_CANNOT_TELL, NOISE_LATE };
/*
 * Measures again, briefly, unless @took is within the limit. Whatever the noise, ten times the
 * limit is too late.
 */
enum noise_verdict noise_judge(uint64_t took_ns, uint64_t limit_ns);
/*
 * For how long to wait on when something did not happen within a limit that only gives up: as long
 * as noise may have delayed it, but no more than half a minute.
 */
uint64_t noise_patience(uint64_t limit_ns);
/* The longest delay that was seen, at the start and in this test. */
uint64_t noise_ns(void);
/* In this test the host stalled the guest for longer than noise_patience() makes up for. */
bool noise_overwhelms(void);

#endif

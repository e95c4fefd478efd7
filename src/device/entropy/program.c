// SPDX-License-Identifier: BSD-3-Clause
/* The program of a source of random numbers. */
#include "device/entropy/entropy.h"
#include "device/entropy/options.h"
#include "device/entropy/random.h"
#include "device/run/program.h"
#include "host/sandbox.h"

struct entropy_program {
	struct entropy_backend backend;
	struct entropy_device entropy;
};

static int open_random(struct device_process *process, void *const *options, void *state,
		       struct error *error)
{
	process->needs = SANDBOX_RANDOM;
	return 0;
}

static struct virtio_device *start(struct device_process *process, void *const *options,
				   void *state, struct error *error)
{
	struct entropy_program *program = state;

	random_backend_init(&program->backend);
	entropy_device_init(&program->entropy, &program->backend);
	return &program->entropy.device;
}

const struct device_program device_program_entropy = {
	.type = &device_type_entropy,
	.state_size = sizeof(struct entropy_program),
	.open = open_random,
	.start = start,
};

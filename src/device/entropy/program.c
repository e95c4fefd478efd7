// SPDX-License-Identifier: BSD-3-Clause
/* `avp device entropy`: random numbers. */
#include "cli/device_process.h"
#include "cli/device_types.h"
#include "device/entropy/entropy.h"
#include "device/entropy/options.h"
#include "device/entropy/random.h"
#include "guest/config/config.h"
#include "host/sandbox.h"

static int run_entropy(void *const *options, char *const *operands, size_t count,
		       struct error *error)
{
	const struct serve_options *serve_options = options[1];
	cleanup_device_process struct device_process process = {0};
	struct entropy_backend backend;
	struct entropy_device entropy;
	int result;

	(void)operands;
	(void)count;
	if (serve_options->print_capabilities)
		return device_print_capabilities("rng");
	result = device_process_open(&process, serve_options, options[2], "entropy", error);
	if (result == 0)
		result = device_process_drop_rights(&process, SANDBOX_RANDOM, error);
	if (result < 0)
		return result;
	random_backend_init(&backend);
	entropy_device_init(&entropy, &backend);
	return device_process_serve(&process, &entropy.device, SANDBOX_RANDOM, error);
}

const struct command command_device_entropy = {
	.name = "entropy",
	.summary = "serve a source of random numbers",
	.groups =
		(const struct option_group[]){
			{"Device options", entropy_option_rows, sizeof(struct entropy_options),
			 true},
			{"Serving options", serve_option_rows, sizeof(struct serve_options), false},
			{NULL, NULL, 0, false},
		},
	.examples =
		(const struct command_note[]){
			{"avp device entropy --socket-path entropy.sock",
			 "Serves the host kernel's random numbers."},
			{NULL, NULL},
		},
	.run = run_entropy,
};

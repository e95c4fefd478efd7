// SPDX-License-Identifier: BSD-3-Clause
/* The configuration file of a service: what it sets, who wins, and one line for each mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/can_bus/options.h"
#include "service/run/service_config.h"
#include "unit/scratch.h"

static struct scratch scratch;
static struct service_config config;
static struct error error;

static int set_up(void **state)
{
	scratch_make(&scratch);
	return 0;
}

static int tear_down(void **state)
{
	scratch_remove(&scratch);
	return 0;
}

static int read_text(const char *text, struct can_bus_options *options,
		     const struct option_list *given)
{
	const char *path = scratch_write(&scratch, "bus.json", text, strlen(text));

	error = (struct error){0};
	return service_config_read(&config, &service_type_can_bus, options, given, path, &error);
}

static void test_values(void **state)
{
	char *names[] = {(char *)"bit-rate"};
	const struct option_list given = {names, 1};
	struct can_bus_options options = {.bit_rate = 1000, .data_bit_rate = 7};
	const struct can_bus_options *read;
	const struct can_bus_client_options *client;

	assert_int_equal(read_text("{\"bus\": {\"bit-rate\": 500000, \"data-bit-rate\": 2000000,"
				   " \"log\": \"bus.log\"},"
				   " \"clients\": {\"a\": {\"send\": [\"123\"], \"burst\": 9},"
				   " \"b\": {}}}",
				   &options, &given),
			 0);
	read = config.options;
	/* What the command line says wins, also what it did not say does not. */
	assert_int_equal(read->bit_rate, 1000);
	assert_int_equal(read->data_bit_rate, 2000000);
	assert_string_equal(read->name, "can0");
	/* Relative to the file. */
	assert_string_equal(read->log, scratch_path(&scratch, "bus.log"));
	client = service_config_client(&config, "a");
	assert_non_null(client);
	assert_int_equal(client->burst, 9);
	assert_string_equal(client->send.items[0], "123");
	client = service_config_client(&config, "b");
	assert_non_null(client);
	assert_int_equal(client->burst, 1);
	assert_null(service_config_client(&config, "c"));
	service_config_clear(&config);
	/* Without the clients, everybody may join. */
	assert_int_equal(read_text("{\"bus\": {}}", &options, &(struct option_list){0}), 0);
	assert_non_null(service_config_client(&config, "c"));
	service_config_clear(&config);
	/* An empty list permits nobody. */
	assert_int_equal(read_text("{\"clients\": {}}", &options, &(struct option_list){0}), 0);
	assert_null(service_config_client(&config, "c"));
	service_config_clear(&config);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *message;
	} mistakes[] = {
		{"[]", "must be an object, not an array"},
		{"{\"bus\": 1}", "bus: must be an object, not a number"},
		{"{\"bus\": {\"bitrate\": 1}}",
		 "bus.bitrate: is an unknown key; did you mean 'bit-rate'?"},
		{"{\"bus\": {\"bit-rate\": \"1\"}}",
		 "bus.bit-rate: must be a number, not a string"},
		{"{\"bus\": {\"bit-rate\": 2000000}}", "bus.bit-rate"},
		{"{\"bus\": {\"bit-rate\": 9, \"data-bit-rate\": 8}}",
		 "bus: data-bit-rate: is lower"},
		{"{\"client\": {}}", "client: is an unknown key; give 'bus' and 'clients'"},
		{"{\"clients\": []}", "clients: must be an object, not an array"},
		{"{\"clients\": {\"a b\": {}}}", "clients.a b: a client's name has"},
		{"{\"clients\": {\"a\": []}}", "clients.a: must be an object"},
		{"{\"clients\": {\"a\": {\"send\": [\"12\"]}}}", "clients.a: send: '12' is not ID"},
		{"{\"clients\": {\"a\": {\"send\": [\"800\"]}}}", "clients.a: send: '800'"},
		{"{\"clients\": {\"a\": {\"send\": [\"123:\"]}}}", "clients.a: send: '123:'"},
		{"{\"clients\": {\"a\": {\"receive\": [\"123:123456789\"]}}}",
		 "clients.a: receive"},
		{"{\"clients\": {\"a\": {}, \"a\": {}}}", "duplicate"},
		{"{", "line 1"},
	};
	struct can_bus_options options = {0};

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		assert_true(read_text(mistakes[i].text, &options, &(struct option_list){0}) < 0);
		service_config_clear(&config);
		assert_true(error.usage);
		if (!strstr(error.message, mistakes[i].message))
			fail_msg("'%s' is not in '%s'", mistakes[i].message, error.message);
	}
	assert_true(service_config_read(&config, &service_type_can_bus, &options,
					&(struct option_list){0}, "/nonexistent/file", &error) < 0);
	service_config_clear(&config);
	assert_non_null(strstr(error.message, "/nonexistent/file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Unit tests of base/option.c and base/option_parse.c, with their own table.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/option.h"

struct options {
	bool flag;
	char *text;
	char *name;
	char *path;
	uint64_t number;
	uint64_t power;
	uint64_t size;
	uint64_t choice;
	uint8_t mac[6];
	struct option_list list;
};

static const char *const choices[] = {"first", "second", NULL};

#define ROW(row_name, row_type, row_member) \
	.name = row_name, .type = row_type, .offset = offsetof(struct options, row_member)

static const struct option_row rows[] = {
	{ROW("flag", OPTION_FLAG, flag)},
	{ROW("text", OPTION_STRING, text), .argument = "TEXT", .maximum = 5, .ascii = true},
	{ROW("name", OPTION_NAME, name), .argument = "NAME"},
	{ROW("path", OPTION_PATH, path), .argument = "FILE", .required = true, .help = "a file"},
	{ROW("number", OPTION_NUMBER, number), .minimum = 2, .maximum = 9, .default_text = "3"},
	{ROW("power", OPTION_NUMBER, power), .minimum = 2, .maximum = 1024, .power_of_two = true},
	{ROW("size", OPTION_SIZE, size), .minimum = 1024, .default_text = "2M"},
	{ROW("choice", OPTION_CHOICE, choice), .choices = choices, .default_text = "second"},
	{ROW("mac", OPTION_MAC, mac)},
	{ROW("list", OPTION_LIST, list), .argument = "ITEM"},
	{ROW("tagged", OPTION_LIST, list), .tagged = true, .argument_optional = true},
	{.name = NULL},
};

static struct options options;
static struct error error;

static int start(void **state)
{
	memset(&options, 0, sizeof(options));
	memset(&error, 0, sizeof(error));
	return option_set_defaults(rows, &options, &error);
}

static int finish(void **state)
{
	option_clear(rows, &options);
	return 0;
}

static int set(const char *name, const char *text)
{
	return option_set(option_find(rows, name, strlen(name)), &options, text, NULL, &error);
}

/* The option rejects the text, and the message contains @part. */
static void check_refused(const char *name, const char *text, const char *part)
{
	error.message[0] = 0;
	error.usage = false;
	assert_true(set(name, text) < 0);
	assert_true(error.usage);
	if (!strstr(error.message, part))
		fail_msg("\"%s\" is not in: %s", part, error.message);
}

static void defaults_come_from_the_table(void **state)
{
	assert_int_equal(options.number, 3);
	assert_int_equal(options.size, 2 << 20);
	assert_int_equal(options.choice, 1);
	assert_false(options.flag);
	assert_null(options.text);

	/* The earlier value is freed. */
	assert_int_equal(set("text", "abc"), 0);
	assert_int_equal(set("number", "9"), 0);
	assert_int_equal(option_set_defaults(rows, &options, &error), 0);
	assert_int_equal(options.number, 3);
	assert_null(options.text);
}

static void a_wrong_default_fails(void **state)
{
	static const struct option_row wrong[] = {
		{ROW("text", OPTION_STRING, text), .default_text = "abc"},
		{ROW("number", OPTION_NUMBER, number), .default_text = "x"},
		{.name = NULL},
	};
	struct options other = {0};

	assert_true(option_set_defaults(wrong, &other, &error) < 0);
	assert_null(other.text);
}

static void rows_are_found_by_their_whole_name(void **state)
{
	assert_string_equal(option_find(rows, "size=1", 4)->name, "size");
	assert_null(option_find(rows, "siz", 3));
	assert_null(option_find(rows, "sizes", 5));
	assert_null(option_find(rows, "", 0));
}

static void flags_take_on_off_or_nothing(void **state)
{
	assert_int_equal(set("flag", NULL), 0);
	assert_true(options.flag);
	assert_int_equal(set("flag", "off"), 0);
	assert_false(options.flag);
	assert_int_equal(set("flag", "on"), 0);
	assert_true(options.flag);
	check_refused("flag", "yes", "--flag: 'yes' is neither on nor off");
	check_refused("flag", "", "neither on nor off");
}

static void texts_keep_to_their_limits(void **state)
{
	assert_int_equal(set("text", "12345"), 0);
	assert_string_equal(options.text, "12345");
	assert_int_equal(set("text", ""), 0);
	assert_string_equal(options.text, "");
	check_refused("text", "123456", "at most 5 bytes");
	check_refused("text", "a\nb", "printable ASCII");
	check_refused("text", "\xc3\xa4", "printable ASCII");
	check_refused("text", NULL, "the value is missing; give TEXT");
	assert_string_equal(options.text, "");
	check_refused("path", "", "is empty; give FILE");
	check_refused("name", "", "is not a name");
	check_refused("name", "a/b", "is not a name");
	assert_int_equal(set("name", "a-b"), 0);
}

static void numbers_keep_to_their_limits(void **state)
{
	assert_int_equal(set("number", "2"), 0);
	assert_int_equal(set("number", "9"), 0);
	assert_int_equal(options.number, 9);
	check_refused("number", "1", "1 is too small; give a number, from 2 to 9");
	check_refused("number", "10", "10 is too large; give a number, from 2 to 9");
	check_refused("number", "-3", "'-3' is not a number");
	check_refused("number", "", "is not a number");
	check_refused("number", " 3", "is not a number");
	check_refused("number", "3 ", "is not a number");
	check_refused("number", "0x3", "is not a number");
	check_refused("number", "3K", "is not a number");
	check_refused("number", "18446744073709551616", "is not a number");
	check_refused("number", "18446744073709551615", "is too large");
	check_refused("number", NULL, "the value is missing");
	assert_int_equal(options.number, 9);
}

static void powers_of_two_are_asked_for(void **state)
{
	assert_int_equal(set("power", "2"), 0);
	assert_int_equal(set("power", "1024"), 0);
	check_refused("power", "3", "3 is not a power of two; give a power of two, from 2 to 1024");
	check_refused("power", "1023", "is not a power of two");
	check_refused("power", "1", "is too small");
	check_refused("power", "2048", "is too large");
}

static void sizes_take_suffixes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"1024", 1024},	    {"4K", 4096},	{"4k", 4096},	    {"3M", 3 << 20},
		{"2G", 2ULL << 30}, {"5t", 5ULL << 40}, {"1T", 1ULL << 40},
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(set("size", good[i].text), 0);
		assert_int_equal(options.size, good[i].bytes);
	}
	check_refused("size", "1023", "1023 bytes is too small");
	check_refused("size", "0K", "is too small");
	check_refused("size", "K", "'K' is not a size");
	check_refused("size", "4KB", "is not a size");
	check_refused("size", "4 K", "is not a size");
	check_refused("size", "-4K", "is not a size");
	check_refused("size", "1.5G", "is not a size");
	check_refused("size", "18446744073709551615T", "is not a size");
	check_refused("size", "16777216T", "is not a size");
}

static void choices_are_words(void **state)
{
	assert_int_equal(set("choice", "first"), 0);
	assert_int_equal(options.choice, 0);
	check_refused("choice", "third", "give one of: first, second");
	check_refused("choice", "", "give one of: first, second");
}

static void mac_addresses_are_of_one_station(void **state)
{
	static const uint8_t expected[6] = {0x52, 0x54, 0x00, 0xaB, 0xcd, 0xef};

	assert_int_equal(set("mac", "52:54:00:aB:CD:ef"), 0);
	assert_memory_equal(options.mac, expected, 6);
	check_refused("mac", "52:54:00:ab:cd", "is not a MAC address");
	check_refused("mac", "52:54:00:ab:cd:ef:", "is not a MAC address");
	check_refused("mac", "52-54-00-ab-cd-ef", "is not a MAC address");
	check_refused("mac", "5:54:00:ab:cd:ef", "is not a MAC address");
	check_refused("mac", "52:54:00:ab:cd:eg", "is not a MAC address");
	check_refused("mac", "52:54:00:ab:cd:e", "is not a MAC address");
	check_refused("mac", "@2:54:00:ab:cd:ee", "is not a MAC address");
	check_refused("mac", "", "is not a MAC address");
	check_refused("mac", "01:00:5e:00:00:01", "not the address of one station");
	check_refused("mac", "00:00:00:00:00:00", "not the address of one station");
	assert_memory_equal(options.mac, expected, 6);
}

static void lists_grow_and_keep_their_order(void **state)
{
	assert_int_equal(set("list", "a"), 0);
	assert_int_equal(set("tagged", "b"), 0);
	assert_int_equal(set("tagged", NULL), 0);
	assert_int_equal(set("list", "c"), 0);
	assert_int_equal(options.list.count, 4);
	assert_string_equal(options.list.items[0], "a");
	assert_string_equal(options.list.items[1], "tagged=b");
	assert_string_equal(options.list.items[2], "tagged=");
	assert_string_equal(options.list.items[3], "c");
	check_refused("list", "", "is empty; give ITEM");
	check_refused("list", NULL, "the value is missing; give ITEM");
	assert_int_equal(options.list.count, 4);
}

static void the_place_stands_in_front(void **state)
{
	option_set(option_find(rows, "number", 6), &options, "99", "avp.devices[0].number", &error);
	assert_int_equal(strncmp(error.message, "avp.devices[0].number: 99 is", 28), 0);
}

static void moving_leaves_nothing_behind(void **state)
{
	struct options other = {0};

	assert_int_equal(set("text", "abc"), 0);
	assert_int_equal(set("list", "a"), 0);
	assert_int_equal(set("mac", "52:54:00:00:00:01"), 0);
	for (const struct option_row *row = rows; row->name; row++)
		if (strcmp(row->name, "tagged"))
			option_move(row, &options, &other);
	assert_null(options.text);
	assert_int_equal(options.list.count, 0);
	assert_int_equal(options.number, 0);
	assert_string_equal(other.text, "abc");
	assert_int_equal(other.list.count, 1);
	assert_int_equal(other.number, 3);
	assert_int_equal(other.mac[5], 1);
	/* Into a member that already has a value. */
	assert_int_equal(set("text", "def"), 0);
	option_move(option_find(rows, "text", 4), &options, &other);
	assert_string_equal(other.text, "def");
	option_clear(rows, &other);
}

static void required_options_are_asked_for(void **state)
{
	assert_true(option_check_required(rows, &options, NULL, &error) < 0);
	assert_true(error.usage);
	assert_string_equal(error.message, "--path is missing; add --path FILE");
	assert_true(option_check_required(rows, &options, "--block", &error) < 0);
	assert_string_equal(error.message, "--block: path is missing; add it: FILE (a file)");
	assert_int_equal(set("path", "x"), 0);
	assert_int_equal(option_check_required(rows, &options, NULL, &error), 0);
}

static int parse(const char *text)
{
	return option_parse_list(rows, &options, text, "path", "--block", &error);
}

static void lists_of_keys_are_read(void **state)
{
	assert_int_equal(parse("disk.img,flag,number=4,list=a,list=b,text="), 0);
	assert_string_equal(options.path, "disk.img");
	assert_true(options.flag);
	assert_int_equal(options.number, 4);
	assert_int_equal(options.list.count, 2);
	assert_string_equal(options.text, "");
}

static void the_first_part_needs_no_key(void **state)
{
	/* Words that are keys but not flags are values in the first place. */
	assert_int_equal(parse("number"), 0);
	assert_string_equal(options.path, "number");
	/* A path with an equals sign is not a key. */
	assert_int_equal(parse("./a=b.img,flag"), 0);
	assert_string_equal(options.path, "./a=b.img");
	assert_int_equal(parse("path=x=y"), 0);
	assert_string_equal(options.path, "x=y");
	/* A flag is taken as one. */
	options.flag = false;
	assert_int_equal(parse("flag,path=z"), 0);
	assert_true(options.flag);
	assert_string_equal(options.path, "z");
}

static void a_doubled_comma_is_one_in_the_value(void **state)
{
	assert_int_equal(parse("a,,b.img,text=x,,y"), 0);
	assert_string_equal(options.path, "a,b.img");
	assert_string_equal(options.text, "x,y");
	assert_int_equal(parse("c,,,flag"), 0);
	assert_string_equal(options.path, "c,");
	assert_true(options.flag);
	assert_int_equal(parse(",,"), 0);
	assert_string_equal(options.path, ",");
}

static void check_parse_refused(const char *text, const char *message)
{
	error.message[0] = 0;
	error.usage = false;
	assert_true(parse(text) < 0);
	assert_true(error.usage);
	assert_string_equal(error.message, message);
}

static void mistakes_in_a_list_say_what_to_do(void **state)
{
	check_parse_refused("", "--block: is empty; give its options");
	check_parse_refused("x,", "--block: has a comma too many; omit it");
	check_parse_refused(",x", "--block: has a comma too many; omit it");
	check_parse_refused("x,numbre=3",
			    "--block: there is no option 'numbre'; did you mean 'number'?");
	check_parse_refused("x,zzz=3", "--block: there is no option 'zzz'; a comma within a value "
				       "is written twice");
	check_parse_refused("fiel=x,flag", "--block: there is no option 'fiel'; a comma within a "
					   "value is written twice");
	check_parse_refused("x,number=4,number=5", "--block: number is given twice; omit one");
	check_parse_refused("x,path=y", "--block: path is given twice; omit one");
	check_parse_refused("x,number", "--block: number: the value is missing; give one");
	check_parse_refused("x,flag=maybe",
			    "--block: flag: 'maybe' is neither on nor off; omit the value for on");
	check_parse_refused("x,=3", "--block: there is no option ''; a comma within a value is "
				    "written twice");
}

static void several_tables_share_a_list(void **state)
{
	struct {
		char *label;
	} other = {0};
	static const struct option_row other_rows[] = {
		{.name = "label", .type = OPTION_NAME, .offset = 0},
		{.name = NULL},
	};
	const struct option_target targets[] = {{rows, &options}, {other_rows, &other}, {0}};

	assert_int_equal(
		option_parse_targets(targets, "x,label=a,number=5", "path", "--block", &error), 0);
	assert_string_equal(other.label, "a");
	assert_int_equal(options.number, 5);
	assert_true(option_parse_targets(targets, "x,lable=a", "path", "--block", &error) < 0);
	assert_non_null(strstr(error.message, "did you mean 'label'?"));
	option_clear(other_rows, &other);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults_come_from_the_table),
		TEST(a_wrong_default_fails),
		TEST(rows_are_found_by_their_whole_name),
		TEST(flags_take_on_off_or_nothing),
		TEST(texts_keep_to_their_limits),
		TEST(numbers_keep_to_their_limits),
		TEST(powers_of_two_are_asked_for),
		TEST(sizes_take_suffixes),
		TEST(choices_are_words),
		TEST(mac_addresses_are_of_one_station),
		TEST(lists_grow_and_keep_their_order),
		TEST(the_place_stands_in_front),
		TEST(moving_leaves_nothing_behind),
		TEST(required_options_are_asked_for),
		TEST(lists_of_keys_are_read),
		TEST(the_first_part_needs_no_key),
		TEST(a_doubled_comma_is_one_in_the_value),
		TEST(mistakes_in_a_list_say_what_to_do),
		TEST(several_tables_share_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

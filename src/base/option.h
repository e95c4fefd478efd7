// SPDX-License-Identifier: BSD-3-Clause
/*
 * Options as data. One table of rows describes the members of a plain struct; from it come the
 * command-line parser, the `value,key=value` parser of repeated options such as --block, the JSON
 * parser and schema of a bundle, --help, the man pages, bash completion and the tables in docs/.
 */
#ifndef AVP_BASE_OPTION_H
#define AVP_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum option_type {
	OPTION_FLAG,   /* bool: --readonly, readonly, "readonly": true */
	OPTION_STRING, /* char *, allocated; @minimum to @maximum bytes */
	OPTION_NAME,   /* char *, allocated: a word that text_is_name (base/text.h) accepts */
	OPTION_PATH,   /* char *, allocated; in a bundle it is relative to the bundle */
	OPTION_NUMBER, /* uint64_t, @minimum to @maximum */
	OPTION_SIZE,   /* uint64_t, bytes; text may end in K, M, G or T, powers of 1024 */
	OPTION_CHOICE, /* uint64_t: the index of the word in @choices */
	OPTION_MAC,    /* uint8_t[6]: xx:xx:xx:xx:xx:xx, a unicast address other than zero */
	OPTION_LIST,   /* struct option_list: may be given several times; an array in JSON */
};

/* How a file that an option names is used. */
enum option_path_use {
	OPTION_PATH_OPENED,   /* it exists and is opened */
	OPTION_PATH_APPENDED, /* it is appended to, and created if missing */
	OPTION_PATH_BOUND,    /* a listening socket is created there */
};

/* What a value names on the host that is not a path; the program that gets it opens it. */
enum option_object {
	OPTION_OBJECT_NONE,
	OPTION_OBJECT_NETWORK, /* a flag that gives access to one, called like the option */
	OPTION_OBJECT_TAP,     /* an interface */
	OPTION_OBJECT_PORT,    /* OPTION_LIST: ports to listen at */
	/* OPTION_PATH: the socket of a service, which is joined under the name in OPTION_CLIENT. */
	OPTION_OBJECT_SERVICE,
	OPTION_OBJECT_SOCKETS, /* OPTION_PATH: one to listen at; those at PATH_N to connect to */
};

/* The option for the name under which a service is joined. */
#define OPTION_CLIENT "client"

struct option_list {
	char **items; /* allocated */
	size_t count;
};

/* One option. A table of them ends with a row whose name is NULL. */
struct option_row {
	const char *name; /* long name without dashes; also the key in key=value and in JSON */
	enum option_type type;
	const char *argument; /* the word for its value in help, such as FILE; NULL for flags */
	size_t offset;	      /* of the member in the options struct */
	uint64_t minimum, maximum;  /* numbers, sizes, bytes of a string; maximum 0: no limit */
	const char *const *choices; /* for OPTION_CHOICE, ends with NULL */
	const char *default_text;   /* the default as a user would write it, or NULL */
	bool required;
	bool command_line_only; /* not a key of a bundle */
	const char *help;	/* one sentence without the full stop */
	bool power_of_two;	/* numbers: only a power of two is accepted */
	bool ascii;		/* strings: printable ASCII only */
	/*
	 * OPTION_LIST: the path in an item, relative to the bundle like that of OPTION_PATH, or
	 * NULL; with a path *use says how it is used.
	 */
	const char *(*item_path)(const char *item, enum option_path_use *use);
	enum option_object object;
	bool tagged; /* OPTION_LIST: items are kept as NAME=VALUE, so that rows may share a list */
	bool words;  /* OPTION_STRING: an array of strings in JSON, joined by spaces */
	const char *bundle_key; /* where a bundle has it when not in `avp`: "vm.kernel.path" */
	const char *example;	/* what a starting bundle has when that is not the default */
	bool argument_optional; /* OPTION_LIST: --NAME alone will do, a value takes --NAME=VALUE */
	/* Writes a remark on the values, such as "at most 8 with qemu"; or NULL. */
	const char *(*values_text)(const struct option_row *row, char *buffer, size_t size);
	/*
	 * A second name on the command line: that of the vhost-user specification, "Backend program
	 * conventions"; or NULL.
	 */
	const char *vhost_user_name;
	char letter; /* flags: -d does the same; 0: none */
};

/* A table and the struct that it fills. */
struct option_target {
	const struct option_row *rows;
	void *options;
};

/* Sets every member that a table describes to its default. */
int option_set_defaults(const struct option_row *rows, void *options, struct error *error);

/* Frees what the members own and clears them. */
void option_clear(const struct option_row *rows, void *options);

/* Moves one member from a struct to another of the same type; the old value is freed. */
void option_move(const struct option_row *row, void *from, void *to);

/* Finds a row by name (@length bytes of @name); NULL when there is none. */
const struct option_row *option_find(const struct option_row *rows, const char *name,
				     size_t length);

/*
 * Sets one member from text as written on the command line; a flag takes NULL, "on" or "off".
 * Errors say what would be right. @where names the option and is put in front: "--block: serial";
 * NULL: "--" and the row's name.
 */
int option_set(const struct option_row *row, void *options, const char *text, const char *where,
	       struct error *error);

/*
 * The same from a value that is already typed, such as one from JSON: a bool for a flag, a number
 * for OPTION_NUMBER and OPTION_SIZE; other types are set from text by option_set. @where as in
 * option_set.
 */
int option_set_flag(const struct option_row *row, void *options, bool value);
int option_set_number(const struct option_row *row, void *options, uint64_t value,
		      const char *where, struct error *error);

/* Whether a size that is too small would be right in mebibytes: someone wrote 512 for 512M. */
bool option_meant_mebibytes(const struct option_row *row, uint64_t value);

/* A row's value out of an options struct, for OPTION_NUMBER, OPTION_SIZE and OPTION_CHOICE. */
uint64_t option_number(const struct option_row *row, const void *options);

/* Frees the items of a list and clears it; appends a copy of the @length bytes at @text. */
void option_list_clear(struct option_list *list);
int option_list_append(struct option_list *list, const char *text, size_t length,
		       struct error *error);
/* Whether @text is one of its items. */
bool option_list_has(const struct option_list *list, const char *text);

/*
 * Parses `VALUE,key=value,flag,…`. A first part without `=` that is not a flag's name is the value
 * of the row named @positional (may be NULL). A comma within a value is written twice. A key may
 * come only once, except lists. @where names the option in errors, such as "--block".
 */
int option_parse_list(const struct option_row *rows, void *options, const char *text,
		      const char *positional, const char *where, struct error *error);

/* As option_parse_list for keys of several tables; @targets ends with one whose rows are NULL. */
int option_parse_targets(const struct option_target *targets, const char *text,
			 const char *positional, const char *where, struct error *error);

/*
 * Fails with a usage error when a required row was not set: a string or list that is missing or a
 * number that is zero. @where is what the options belong to: "--block" gives
 * "--block: file is missing"; NULL is the command line and gives "--kernel is missing".
 */
int option_check_required(const struct option_row *rows, const void *options, const char *where,
			  struct error *error);

#endif

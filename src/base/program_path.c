// SPDX-License-Identifier: BSD-3-Clause
/* Finds the programs of AVP that users do not call. */
#include "base/program_path.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_program(const char *directory, const char *below, const char *name,
		       char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s%s/%s", directory, below, name) < PATH_MAX &&
	       access(path, X_OK) == 0;
}

int program_path_find(const char *name, char path[PATH_MAX], struct error *error)
{
	const char *chosen = secure_getenv("AVP_LIBEXEC_DIR");
	char own[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (chosen && *chosen)
		return is_program(chosen, "", name, path) ?
			       0 :
			       error_set_usage(
				       error,
				       "there is no program %s in %s, which AVP_LIBEXEC_DIR "
				       "names; unset it or name the right directory",
				       name, chosen);
	own[length < 0 ? 0 : length] = 0;
	if (strrchr(own, '/'))
		*strrchr(own, '/') = 0;
	if (is_program(own, "", name, path) || is_program(own, "/../libexec/avp", name, path) ||
	    is_program(AVP_LIBEXEC_DIR, "", name, path))
		return 0;
	return error_set(error, ENOENT,
			 "the program %s is missing: it is neither in " AVP_LIBEXEC_DIR
			 " nor in %s; install all of AVP",
			 name, own);
}

void program_path_add_version(struct arguments *arguments)
{
	arguments_add(arguments, "--expect-version=" AVP_VERSION);
}

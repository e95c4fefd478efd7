# SPDX-License-Identifier: BSD-3-Clause
"""contract/errata.toml: what was found wrong in published suites of tests."""

import re

from . import chapters, schema
from .text import MADE, table

ERRATUM = {"id": str, "suite": str, "test": str, "what": str, "effect": str, "mended": str}
VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}")
EVERY = "every test"


def read(root, report):
    """The file, or None; a missing one is reported."""
    path = root / "contract/errata.toml"
    if not path.is_file():
        report.add("contract/errata.toml", 1, "file", "is missing; a suite has a list of errata, which may be empty")
        return None
    return chapters.read(path, "contract/errata.toml", report)


def check(errata, tests, report):
    """Checks each entry; @tests: the names of all tests, or None if there is no guest."""
    last = 0
    for index, entry in enumerate(errata.data.get("erratum", [])):
        say = lambda key, what, at=index: report.add("contract/errata.toml", errata.line("erratum", at, key), key, what)
        good = schema.check_keys(entry, ERRATUM, {"mended"}, say)
        match = re.fullmatch(r"AVP-ERRATUM-(\d{3})", entry.get("id", "")) if "id" in good else None
        if "id" in good and (not match or int(match[1]) <= last):
            say("id", f"'{entry['id']}' is not the next id; write AVP-ERRATUM-NNN, ascending")
        last = int(match[1]) if match else last
        for key in {"suite", "mended"} & good:
            if not VERSION.fullmatch(entry[key]):
                say(key, f"'{entry[key]}' is not a version; write MAJOR.MINOR.PATCH")
        # A test may be gone in the suite that mends it.
        if "test" in good and "mended" not in entry and tests is not None and entry["test"] not in tests | {EVERY}:
            say("test", f"there is no test '{entry['test']}'; correct the name, or write \"{EVERY}\"")


def page(errata, version):
    lines = [
        MADE.format("errata.toml"),
        "# Errata of the suite",
        "",
        f"This is suite {version.data['suite']}. What was found wrong in a published suite stays here; verdicts of that suite"
        " are read with it. [How to dispute a test](../dispute-a-test.md).",
        "",
    ]
    entries = errata.data.get("erratum", [])
    rows = [
        [entry["id"], entry["suite"], entry["test"] if entry["test"] == EVERY else f"`{entry['test']}`", entry["what"], entry["effect"], entry.get("mended", "not yet")]
        for entry in entries
    ]
    lines += table(["id", "suite", "test", "what is wrong", "what follows", "mended in"], rows)
    return "\n".join(lines) + "\n"

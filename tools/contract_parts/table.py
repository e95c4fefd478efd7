# SPDX-License-Identifier: BSD-3-Clause
"""`tools/contract table`: the requirements that the conformance guest checks, as C for avp."""

import re
from pathlib import Path

HEAD = """// SPDX-License-Identifier: BSD-3-Clause
/* Written by tools/contract table: change contract/ instead. */
#include "conform/contract_requirement.h"

const struct contract_requirement contract_requirements[] = {
"""


def quote(text):
    """A C string of a line of text, in ASCII."""
    text = re.sub(r"\s+", " ", text).strip()
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if " " <= c <= "~" else "?" for c in text) + '"'


def is_proven(requirement):
    return any(entry.get("by") == "conformance" for entry in requirement.get("verify", []))


def write(root, found, out, depends):
    rows = [
        f"\t{{{quote(entry['id'])}, {quote(entry['level'])}, {quote(entry['text'])}}},\n"
        for chapter in found
        for entry in chapter.requirements
        if is_proven(entry)
    ]
    out.write_text(HEAD + "".join(rows) + "\t{0},\n};\n", encoding="ascii")
    files = [*sorted((root / "contract").glob("*.toml")), *sorted(Path(__file__).parent.glob("*.py"))]
    depends.write_text(f"{out}: {' '.join(str(path) for path in files)}\n", encoding="utf-8")
    return 0

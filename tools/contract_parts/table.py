# SPDX-License-Identifier: BSD-3-Clause
"""`tools/contract table`: chapters, profiles, and the requirements that the conformance guest checks or that nothing checks yet, as C."""

import re
from pathlib import Path

from . import check, clauses, profiles, schema

HEAD = """// SPDX-License-Identifier: BSD-3-Clause
/* Written by tools/contract table: change contract/ instead. */
#include "conform/contract_requirement.h"
"""
# Main sources of the contract's own demands; any other but VIRTIO is a standard.
OWN = {"own", "AVPS 2.0 draft", "AVPS 2.0 title", "AGL", "ACRN", "Android SDV", "Android Trout"}
ENTRY = "entry "


def quote(text):
    """A C string of a line of text, in ASCII."""
    text = re.sub(r"\s+", " ", text).strip()
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if " " <= c <= "~" else "?" for c in text) + '"'


def tests_of(requirement):
    return [entry["test"] for entry in requirement.get("verify", []) if entry.get("by") == "conformance"]


def basis(requirement, known):
    """Whether a failure breaks a standard or the contract's own demand."""
    found = clauses.basis(requirement, known)
    own = found == "derived" or (found == "own" and requirement["source"][0].partition(",")[0] in OWN)
    return "CONTRACT_OWN" if own else "CONTRACT_STANDARD"


def condition(name, features):
    """{what, name, device, bit} of one entry of `when`."""
    if name in features:
        chapter, bit = features[name]
        return f"{{CONTRACT_FEATURE, {quote(name)}, {chapter.data.get('virtio', 0)}, {bit}}}"
    if name.startswith(ENTRY):
        return f"{{CONTRACT_ENTRY, {quote(name.removeprefix(ENTRY))}, 0, 0}}"
    return f"{{CONTRACT_TRANSPORT, {quote(name)}, 0, 0}}"


def requirement_rows(found, features, known, architectures):
    for index, chapter in enumerate(found):
        for entry in chapter.requirements:
            tests = tests_of(entry)
            # What nothing tests yet can not be proven; what others test is counted for its profile.
            if not tests and "unverified" not in entry:
                continue
            names = " ".join(f"{test}:{architectures[test]}" if architectures.get(test) else test for test in tests)
            bound = " | ".join(f"1u << {schema.PROFILES.index(name)}" for name in entry["profile"])
            when = ", ".join(condition(name, features) for name in entry.get("when", []))
            yield (
                f"\t{{{quote(entry['id'])}, CONTRACT_{entry['level']}, {basis(entry, known)}, {index}, {bound},\n"
                f"\t {quote(entry['text'])},\n\t {quote('; '.join(entry['source']))},\n"
                f"\t {quote(names)}, {'true' if 'where' in entry else 'false'}, {{{when}}}}},\n"
            )


def asked(row, features):
    """(kind, name, bit, number, size) of each single thing that a row asks for."""
    if "present" in row:
        yield ("CONTRACT_PRESENT" if row["present"] else "CONTRACT_ABSENT"), None, 0, 0, 0
    for key, kind in (("features", "CONTRACT_OFFERS"), ("forbids", "CONTRACT_FORBIDS")):
        for name in row.get(key, []):
            yield kind, name, features[name][1], 0, 0
    if "queues" in row:
        yield "CONTRACT_QUEUES", None, 0, row["queues"], row.get("queue_size", 0)
    if "limit" in row:
        yield "CONTRACT_LIMIT", row["limit"], 0, row["minimum"], 0


def profile_rows(found, found_profiles, features):
    chapters = [chapter.name for chapter in found]
    for profile in found_profiles:
        number = schema.PROFILES.index(profile.name)
        for row in profiles.rows(profile):
            spared = " | ".join(f"UINT64_C(1) << {features[name][1]}" for name in row.get("except", [])) or "0"
            for device in row["device"]:
                for kind, name, bit, least, size in asked(row, features):
                    yield (
                        f"\t{{{quote(row['id'])}, {number}, CONTRACT_{row['level']}, {chapters.index(device)}, {kind},\n"
                        f"\t {quote(name) if name else 'NULL'}, {bit}, {least}, {size}, {spared}}},\n"
                    )


def chapter_rows(found):
    for chapter in found:
        data = chapter.data
        transport = quote(data["transport"]) if "transport" in data else "NULL"
        yield f"\t{{{quote(chapter.name)}, {quote(data['prefix'])}, {quote(data['title'])}, {data.get('virtio', -1)}, {transport}}},\n"


def profile_names(found, found_profiles):
    titles = {profile.name: profile.data["title"] for profile in found_profiles}
    for name in schema.PROFILES:
        owed = [entry for chapter in found for entry in chapter.requirements if name in entry["profile"] and entry["level"] == "MUST"]
        elsewhere = sum("verify" in entry and not tests_of(entry) for entry in owed)
        yield f"\t{{{quote(name)}, {quote(titles[name])}, {len(owed)}, {elsewhere}}},\n"


def array(kind, name, rows, end):
    return f"\nconst struct {kind} {name}[] = {{\n{''.join(rows)}\t{end},\n}};\n"


def write(root, contract, out, depends):
    found, found_profiles, known = contract.chapters, contract.profiles, contract.clauses
    features = profiles.features_of(found)
    architectures = {name: architecture for _, _, name, _, architecture in check.registered(root) or []}
    text = HEAD
    text += array("contract_chapter", "contract_chapters", chapter_rows(found), "{0}")
    text += array("contract_profile", "contract_profiles", profile_names(found, found_profiles), "{0}")
    text += array("contract_requirement", "contract_requirements", requirement_rows(found, features, known, architectures), "{0}")
    text += array("contract_row", "contract_rows", profile_rows(found, found_profiles, features), "{0}")
    out.write_text(text, encoding="ascii")
    files = [*sorted((root / "contract").glob("*.toml")), *sorted((root / "contract/profiles").glob("*.toml")), root / clauses.PLACE]
    files += sorted((root / "guest/conform/tests").glob("*.c"))
    files += sorted(Path(__file__).parent.glob("*.py"))
    depends.write_text(f"{out}: {' '.join(str(path) for path in files)}\n", encoding="utf-8")
    return 0

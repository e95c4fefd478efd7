# SPDX-License-Identifier: BSD-3-Clause
"""The form of a chapter and of version.toml: keys, types, ids, levels, profiles and sources."""

import re

LEVELS = ["MUST", "SHOULD", "MAY"]
PROFILES = ["base", "cockpit", "gateway", "safety", "arm64", "x86-64"]
CLAUSE = r"[1-9]\d*(\.[1-9]\d*)*"
WORDS = r"\S.*"
# Sources: a name, and the form of what follows it after a comma (None: nothing).
SOURCES = {
    "VIRTIO 1.4": CLAUSE,
    "AVPS 2.0 draft": WORDS,
    "AVPS 2.0 title": WORDS,
    "EBBR 2.2": CLAUSE,
    "PSCI 1.1": WORDS,
    "ACPI 6.5": CLAUSE,
    "DTSpec 0.4": rf"{CLAUSE}|\w+ binding",
    "BSA 1.0": WORDS,
    "PCI": WORDS,
    "PCI Firmware": CLAUSE,
    "GICv2": WORDS,
    "GICv3": WORDS,
    "Arm ARM": WORDS,
    "Arm SMCCC": WORDS,
    "Arm SCMI": WORDS,
    "Intel SDM": WORDS,
    "booting.rst": WORDS,
    "boot.rst": WORDS,
    "PVH": WORDS,
    "ACRN": WORDS,
    "AGL": WORDS,
    "QEMU": WORDS,
    "crosvm": WORDS,
    "Cloud Hypervisor": WORDS,
    "Linux": WORDS,
    "Zephyr": WORDS,
    "Android SDV": None,
    "Android Trout": None,
    "FUSE": None,
    "own": None,
}
OPTIONAL = {"AGL", "booting.rst", "PCI"}  # these also without a clause
# Conditions of `when` that are not features: the transport of a device, and how the guest was started.
TRANSPORTS = ["mmio", "pci"]
ENTRIES = ["entry pvh", "entry bzimage", "entry image"]
CHAPTER = {
    "title": str,
    "prefix": str,
    "order": int,
    "scope": str,
    "virtio": int,  # the id of the device that the chapter is about, 0 if VIRTIO has none
    "limits": list,  # fields of its configuration that a profile may bound
    "transport": str,  # binds the devices on this transport only
    "feature": dict,  # names of feature bits
    "requirement": list,
}
CHAPTER_OPTIONAL = {"virtio", "limits", "transport", "feature"}
REQUIREMENT = {
    "id": str,
    "level": str,
    "text": str,
    "why": str,
    "source": list,
    "profile": list,
    "when": list,
    "where": str,
    "verify": list,
    "unverified": str,
}
VERIFY = {"conformance": "test", "lab": "test", "unit": "test", "inspection": "how"}
VERSION = {"version": str, "suite": str, "rule": str, "suite_rule": str, "hypervisor": str, "guest": str, "mismatch": list}
MISMATCH = {"guest": str, "means": str, "do": str}
KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "a table", bool: "true or false"}


def fits(value, kind):
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def check_keys(table, form, optional, say):
    """Reports unknown and missing keys, wrong types and empty texts; returns the valid keys."""
    good = set()
    for key, value in table.items():
        if key not in form:
            say(key, f"unknown key; use one of {', '.join(form)}")
        elif not fits(value, form[key]):
            say(key, f"must be {KINDS[form[key]]}; change its value")
        elif form[key] in (str, list, dict) and not (value.strip() if form[key] is str else value):
            say(key, "must not be empty; fill it in")
        else:
            good.add(key)
    for key in form:
        if key not in table and key not in optional:
            say(key, "is missing; add it")
    return good


def check_texts(values, key, say):
    """Returns the texts of a list; reports entries that are invalid or listed twice."""
    texts = []
    for value in values:
        if not isinstance(value, str) or not value.strip():
            say(key, "each entry must be a text; put it in quotes")
        elif value in texts:
            say(key, f"'{value}' is listed twice; remove one")
        else:
            texts.append(value)
    return texts


def check_source(source, say):
    name, comma, clause = source.partition(",")
    if name not in SOURCES:
        known = ", ".join(SOURCES)
        say("source", f"unknown source '{name}'; use one of {known}, or add it to tools/contract_parts/schema.py")
    elif SOURCES[name] is None:
        if comma:
            say("source", f"nothing may follow '{name}'; remove '{clause.strip()}'")
    elif not comma:
        if name not in OPTIONAL:
            say("source", f"'{name}' lacks a clause; write '{name}, CLAUSE'")
    elif not re.fullmatch(rf" (?:{SOURCES[name]})", clause):
        say("source", f"'{clause.strip()}' is not a clause of {name}; write '{name}, ' and a number as in the specification")


def check_level(requirement, good, say):
    level = requirement["level"]
    if level not in LEVELS:
        say("level", f"'{level}' is not a level; use {', '.join(LEVELS)}")
        return
    if "text" not in good:
        return
    text = requirement["text"]
    if not re.search(rf"\b{level}\b", text):
        say("text", f"lacks the word of its level, {level}; write it in capitals")
    for other in LEVELS:
        if other != level and re.search(rf"\b{other}\b", text):
            say("text", f"has {other}, but its level is {level}; make two requirements of it")


def check_verify(requirement, prefixes, say):
    """Checks what verifies it; yields (kind, name) of each test that must exist."""
    if "unverified" in requirement:
        say("unverified", "is given together with verify; remove one")
    for entry in requirement["verify"]:
        if not isinstance(entry, dict) or entry.get("by") not in VERIFY:
            say("verify", f"each entry is {{ by = …, … }} with by one of {', '.join(VERIFY)}")
            continue
        kind, key = entry["by"], VERIFY[entry["by"]]
        if set(entry) != {"by", key} or not isinstance(entry[key], str) or not entry[key].strip():
            say("verify", f"by = \"{kind}\" takes {key} = \"…\" and nothing else")
        elif kind == "conformance" and not (
            re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", entry["test"])
            and entry["test"].split("_")[0] in prefixes
        ):
            say("verify", f"'{entry['test']}' is not a name of a conformance test; begin with a chapter's prefix, as in blk_flush")
        elif key == "test":
            yield kind, entry["test"]


def check_chapter(chapter, good, say):
    """Checks the keys that say what a chapter is about."""
    if "transport" in good and chapter["transport"] not in TRANSPORTS:
        say("transport", f"'{chapter['transport']}' is not a transport; use {', '.join(TRANSPORTS)}")
    for name, bit in chapter["feature"].items() if "feature" in good else []:
        if not re.fullmatch(r"VIRTIO(_[A-Z0-9]+)?_F_[A-Z0-9_]+", name) or not fits(bit, int) or not 0 <= bit < 128:
            say("feature", f"'{name} = {bit}' is not a feature; write its name in VIRTIO and its bit, below 128")


def check_when(requirement, features, say):
    for condition in check_texts(requirement["when"], "when", say):
        if condition not in features and condition not in TRANSPORTS + ENTRIES:
            say("when", f"no chapter knows the feature {condition}; add it to a chapter's [feature], or correct the name")


def check_requirement(requirement, prefix, prefixes, features, last, say):
    """Checks one requirement; returns its number (last if it has none) and the tests that it names."""
    good = check_keys(requirement, REQUIREMENT, {"when", "where", "verify", "unverified"}, say)
    number = last
    if "id" in good:
        match = re.fullmatch(r"AVP-([A-Z][A-Z0-9]*)-(\d{3})", requirement["id"])
        if not match:
            say("id", f"'{requirement['id']}' is not an id; write AVP-{prefix}-NNN with three digits")
        elif match[1] != prefix:
            say("id", f"its prefix is {match[1]}, the chapter's is {prefix}; use the chapter's")
        elif int(match[2]) <= last:
            say("id", f"'{requirement['id']}' is not above the one before it; ids ascend and are never used twice")
        else:
            number = int(match[2])
    if "level" in good:
        check_level(requirement, good, say)
    for key in ("text", "why", "unverified"):
        if key in good and "\n" in requirement[key].strip():
            say(key, "has more than one line; make it one sentence")
    if "text" in good and not requirement["text"].endswith("."):
        say("text", "is not a sentence; end it with a full stop")
    if "source" in good:
        for source in check_texts(requirement["source"], "source", say):
            check_source(source, say)
    if "profile" in good:
        for name in check_texts(requirement["profile"], "profile", say):
            if name not in PROFILES:
                say("profile", f"'{name}' is not a profile; use one of {', '.join(PROFILES)}")
    if "when" in good:
        check_when(requirement, features, say)
    if "verify" in requirement:
        tests = list(check_verify(requirement, prefixes, say)) if "verify" in good else []
        return number, tests
    if "unverified" not in requirement:
        say("verify", "is missing; name tests, or give the reason in unverified")
    return number, []


def check_version(version, report):
    """Checks version.toml, beginning with the version."""
    place = "contract/version.toml"
    say = lambda key, what: report.add(place, version.top.get(key, 1), key, what)
    good = check_keys(version.data, VERSION, set(), say)
    for key in ("version", "suite"):
        if key in good and not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version.data[key]):
            say(key, f"'{version.data[key]}' is not a SemVer version; write MAJOR.MINOR.PATCH")
    if "mismatch" in good:
        for index, entry in enumerate(version.data["mismatch"]):
            told = lambda key, what, at=index: report.add(place, version.line("mismatch", at, key), key, what)
            if isinstance(entry, dict):
                check_keys(entry, MISMATCH, set(), told)
            else:
                say("mismatch", "each entry must be a table; write [[mismatch]]")

# SPDX-License-Identifier: BSD-3-Clause
"""`tools/contract check`: the form of all chapters, and that tests and requirements name each other."""

import re

from . import clauses, conformance, errata, profiles, schema

COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.S)
# The tests of one architecture stand between these lines.
BRANCH = re.compile(r"^#\s*(ifdef|ifndef|if|else|elif|endif)\b\s*(\w*)", re.M)
ARCHITECTURES = {"__x86_64__": ("x86-64", "arm64"), "__aarch64__": ("arm64", "x86-64")}
TEST = re.compile(r'\bTEST\(\s*(\w+)\s*,\s*((?:"[^"]*"\s*)+)')


def architecture_at(text, position):
    """The architecture that alone compiles the code at @position, or None."""
    open_branches = []
    for found in BRANCH.finditer(text, 0, position):
        if found[1] in ("ifdef", "ifndef", "if"):
            pair = ARCHITECTURES.get(found[2], (None, None))
            open_branches.append(pair[::-1] if found[1] == "ifndef" else pair)
        elif found[1] in ("else", "elif") and open_branches:
            open_branches[-1] = open_branches[-1][::-1]
        elif found[1] == "endif" and open_branches:
            open_branches.pop()
    return next((pair[0] for pair in open_branches if pair[0]), None)


def registered(root):
    """Tests of the conformance guest: (file, line, name, ids, architecture or None); None if there is no guest."""
    directory = root / "guest/conform/tests"
    if not directory.is_dir():
        return None
    tests = []
    for path in sorted(directory.rglob("*.c")):
        text = path.read_text(encoding="utf-8", errors="replace")
        # Remove comments, but keep their line breaks.
        text = COMMENT.sub(
            lambda found: found[0] if found[0][0] == '"' else "\n" * found[0].count("\n"), text
        )
        for found in TEST.finditer(text):
            ids = " ".join(re.findall(r'"([^"]*)"', found[2])).split()
            line = text.count("\n", 0, found.start()) + 1
            tests.append((str(path.relative_to(root)), line, found[1], ids, architecture_at(text, found.start())))
    return tests


def check_chapter(chapter, prefixes, orders, features, known_clauses, report):
    """Checks one chapter; yields (requirement id, line, kind, test) of each test that it names."""
    place = f"contract/{chapter.name}.toml"
    say = lambda key, what: report.add(place, chapter.top.get(key, 1), key, what)
    good = schema.check_keys(chapter.data, schema.CHAPTER, schema.CHAPTER_OPTIONAL, say)
    schema.check_chapter(chapter.data, good, say)
    prefix = chapter.data.get("prefix") if "prefix" in good else "PREFIX"
    if "prefix" in good:
        if not re.fullmatch(r"[A-Z][A-Z0-9]*", prefix):
            say("prefix", f"'{prefix}' is not a prefix; use capital letters and digits")
        if prefixes[prefix] != chapter.name:
            say("prefix", f"'{prefix}' belongs to {prefixes[prefix]}.toml; choose another one")
    if "order" in good and orders.setdefault(chapter.data["order"], chapter.name) != chapter.name:
        other = orders[chapter.data["order"]]
        say("order", f"{chapter.data['order']} is the order of {other}.toml as well; choose another one")
    if "requirement" not in good:
        return
    known = {name.lower() for name in prefixes}
    last = 0
    for index, requirement in enumerate(chapter.data["requirement"]):
        if not isinstance(requirement, dict):
            say("requirement", "each entry must be a table; write [[requirement]]")
            continue
        told = lambda key, what, at=index: report.add(
            place, chapter.line("requirement", at, key), key, what
        )
        last, tests = schema.check_requirement(requirement, prefix, known, features, last, told)
        clauses.check(requirement, known_clauses, told)
        for kind, test in tests:
            yield requirement.get("id"), chapter.line("requirement", index, "verify"), kind, test


def check_tests(root, chapters, named, complete, report):
    """Checks that named tests exist, and that registered tests and requirements name each other.

    A test of the conformance guest may be missing unless @complete.
    """
    lab = {path.name for path in (root / "tests/lab").rglob("*") if path.is_file()}
    units = {path.stem for part in ("tests/unit", "src/device", "src/service") for path in (root / part).rglob("test_*.c")}
    guest = registered(root)
    known = {name for _, _, name, _, _ in guest or []}
    for place, line, _, kind, test in named:
        if kind == "lab" and test not in lab:
            report.add(place, line, "verify", f"there is no scenario '{test}' below tests/lab; correct the name")
        elif kind == "unit" and test not in units:
            report.add(place, line, "verify", f"there is no unit test {test}.c; correct the name")
        elif kind == "conformance" and complete and test not in known:
            report.add(place, line, "verify", f"no test '{test}' is registered in guest/conform/tests; write it, or correct the name")
    if guest is None:
        return
    ids = {entry.get("id") for chapter in chapters for entry in chapter.requirements}
    pairs = {(owner, test) for _, _, owner, kind, test in named if kind == "conformance"}
    first, covers = {}, set()
    for place, line, name, covered, _ in guest:
        if name in first:
            report.add(place, line, name, f"is registered in {first[name]} as well; choose another name")
        first.setdefault(name, f"{place}:{line}")
        if not covered:
            report.add(place, line, name, "names no requirement; name at least one by its id")
        for identity in covered:
            covers.add((identity, name))
            if identity not in ids:
                report.add(place, line, name, f"there is no requirement {identity}; correct the id")
            elif (identity, name) not in pairs:
                report.add(place, line, name, f"{identity} does not name this test; add it to its verify, or remove the id here")
    for place, line, owner, kind, test in named:
        if kind == "conformance" and test in known and (owner, test) not in covers:
            report.add(place, line, "verify", f"'{test}' is registered in {first[test]} without {owner}; add the id there")


def check_stated_version(root, version, report):
    """Checks the version that guest and hypervisor report, if its source exists."""
    place = "src/base/contract_version.h"
    path = root / place
    if not path.is_file():
        return
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for name, key in (("CONTRACT_VERSION", "version"), ("SUITE_VERSION", "suite")):
            found = re.match(rf'#define {name}\s+"([^"]*)"', text)
            if found and found[1] != version.get(key):
                report.add(place, line, name, f"'{found[1]}' is not '{version.get(key)}' of contract/version.toml")


def check(root, contract, complete, report):
    """Checks everything; adds the problems to the report."""
    unreadable = bool(report.problems)
    chapters, version = contract.chapters, contract.version
    prefixes, orders, named = {}, {}, []
    features = profiles.features_of(chapters)
    for chapter in chapters:
        prefix = chapter.data.get("prefix")
        if isinstance(prefix, str):
            prefixes.setdefault(prefix, chapter.name)
    for chapter in chapters:
        place = f"contract/{chapter.name}.toml"
        for owner, line, kind, test in check_chapter(chapter, prefixes, orders, features, contract.clauses, report):
            named.append((place, line, owner, kind, test))
    if version:
        schema.check_version(version, report)
        check_stated_version(root, version.data, report)
    profiles.check(contract.profiles, chapters, prefixes, contract.clauses, report)
    conformance.check(root, report)
    if contract.errata:
        guest = registered(root)
        errata.check(contract.errata, guest and {name for _, _, name, _, _ in guest}, report)
    # If a file could not be read, all its ids would seem to be missing.
    if not unreadable:
        check_tests(root, chapters, named, complete, report)

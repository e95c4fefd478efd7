# SPDX-License-Identifier: BSD-3-Clause
"""`tools/contract docs`: the chapters as pages for people, and a table of contents."""

from . import clauses, conformance, delta, errata, profile_pages, schema
from .text import MADE, cell, table


def tests(requirement):
    """What verifies a requirement, as one line."""
    if "verify" not in requirement:
        return f"not yet: {requirement['unverified']}"
    names = {}
    for entry in requirement["verify"]:
        if entry["by"] == "inspection":
            names.setdefault("inspection", []).append(entry["how"])
        else:
            names.setdefault(entry["by"], []).append(f"`{entry['test']}`")
    return "; ".join(f"{kind}: {', '.join(found)}" for kind, found in names.items())


def binds(requirement):
    """When a requirement binds, as a list of at most two sentences."""
    when = f"one of these holds: {', '.join(requirement['when'])}" if "when" in requirement else ""
    return [text for text in (when, requirement.get("where", "")) if text]


def has_test(requirement):
    return "verify" in requirement


def page(chapter, known, verified):
    data = chapter.data
    levels = [sum(entry["level"] == level for entry in chapter.requirements) for level in schema.LEVELS]
    tested = sum(has_test(entry) for entry in chapter.requirements)
    proven = sum(entry["id"] in verified for entry in chapter.requirements)
    lines = [
        MADE.format(f"{chapter.name}.toml"),
        f"# {data['title']}",
        "",
        data["scope"].strip(),
        "",
        f"{len(chapter.requirements)} requirements: "
        + ", ".join(f"{count} {level}" for count, level in zip(levels, schema.LEVELS))
        + f"; {tested} have a test or an inspection, {proven} are verified on a published host. Back to the [contents](README.md).",
    ]
    for entry in chapter.requirements:
        lines += [
            "",
            f"## {entry['id']}",
            "",
            entry["text"],
            "",
            f"- Why: {cell(entry['why'])}",
            f"- Source: {'; '.join(entry['source'])}"
            + (" (derived)" if clauses.basis(entry, known) == "derived" else ""),
            f"- Profile: {', '.join(entry['profile'])}",
            *(f"- Binds where {cell(text)}" for text in binds(entry)),
            f"- Test: {cell(tests(entry))}",
        ]
        if entry["id"] in verified:
            lines.append(f"- Verified on: {', '.join(verified[entry['id']])}")
    return "\n".join(lines) + "\n"


def count_row(name, requirements, verified):
    levels = [sum(entry["level"] == level for entry in requirements) for level in schema.LEVELS]
    return [*name, *levels, sum(map(has_test, requirements)), sum(entry["id"] in verified for entry in requirements)]


def contents(chapters, profiles, version, verified):
    data = version.data
    every = [entry for chapter in chapters for entry in chapter.requirements]
    counts = [*schema.LEVELS, "have a test", "verified"]
    rows = [
        count_row([f"[{chapter.data['title']}]({chapter.name}.md)", f"AVP-{chapter.data['prefix']}"], chapter.requirements, verified)
        for chapter in chapters
    ]
    bound = [
        count_row(
            [f"[{profile.data['title']}](profile-{profile.name}.md)", len(profile.data["row"])],
            [entry for entry in every if profile.name in entry["profile"]],
            verified,
        )
        for profile in profiles
    ]
    lines = [
        MADE.format("*.toml"),
        f"# The contract, version {data['version']}",
        "",
        "What a car's virtual platform owes to a guest, chapter by chapter. How to read it stands in the"
        " [guide](../contract-guide.md). For people who decide: [the contract in short](summary.md). Also:"
        " [terms](../contract-terms.md), [the contract and VIRTIO](virtio.md), [errata of the suite](errata.md),"
        " [how to dispute a test](../dispute-a-test.md), [results](../conformance.md).",
        "",
        "A requirement *has a test* if a test or an inspection of it exists. It is *verified* if a test of it ran on a"
        " published host and passed.",
        "",
        *table(["chapter", "ids", *counts], [*rows, count_row(["all", len(every)], every, verified)], set(range(2, 7))),
        "",
        "## Profiles",
        "",
        *table(["profile", "rows on devices", *counts], bound, set(range(1, 7))),
        "",
        "## The version, and who states it",
        "",
        data["rule"].strip(),
        "",
        f"The suite is at {data['suite']}. {data['suite_rule'].strip()}",
        "",
        data["hypervisor"].strip(),
        "",
        data["guest"].strip(),
        "",
        *table(["the guest needs", "what it means", "what to do"], [[entry["guest"], entry["means"], entry["do"]] for entry in data["mismatch"]]),
    ]
    return "\n".join(lines) + "\n"


def pages(contract):
    """name -> text of each page; @contract has all that is read. docs/conformance.md is absent without results."""
    verified = conformance.verified(contract.hosts)
    found = {f"{chapter.name}.md": page(chapter, contract.clauses, verified) for chapter in contract.chapters}
    for profile in contract.profiles:
        found[f"profile-{profile.name}.md"] = profile_pages.page(profile, contract.chapters)
    found["README.md"] = contents(contract.chapters, contract.profiles, contract.version, verified)
    found["summary.md"] = profile_pages.summary(contract.profiles, contract.chapters, contract.version)
    found["virtio.md"] = delta.page(contract.chapters, contract.profiles, contract.clauses)
    found["errata.md"] = errata.page(contract.errata, contract.version)
    results = conformance.page(contract.chapters, contract.hosts)
    if results:
        found["../conformance.md"] = results
    return found


def write(root, contract, only_check):
    """Writes the pages, or compares them; returns the exit status."""
    directory = root / "docs/contract"
    made = pages(contract)
    old = {path.name: path for path in directory.glob("*.md")}
    old |= {name: directory / name for name in made if name.startswith("..") and (directory / name).is_file()}
    stale = []
    for name, text in made.items():
        if name not in old or old[name].read_text(encoding="utf-8") != text:
            stale.append(name)
            if not only_check:
                directory.mkdir(parents=True, exist_ok=True)
                (directory / name).write_text(text, encoding="utf-8")
    for name in old:
        if name not in made:
            stale.append(name)
            if not only_check:
                old[name].unlink()
    if only_check:
        for name in sorted(stale):
            print(f"docs/contract/{name}: differs from contract/; run tools/contract docs")
        return int(bool(stale))
    print(f"docs/contract: {len(made)} pages, {len(stale)} of them new or changed")
    return 0

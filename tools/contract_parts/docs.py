# SPDX-License-Identifier: BSD-3-Clause
"""`tools/contract docs`: the chapters as pages for people, and a table of contents."""

from . import clauses, schema

MADE = "<!-- Written by tools/contract docs from contract/{}: change it there. -->"


def cell(text):
    return " ".join(str(text).split()).replace("|", "\\|")


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


def counts(requirements):
    """Counts the requirements of each level, and those that are verified."""
    levels = [sum(entry["level"] == level for entry in requirements) for level in schema.LEVELS]
    return levels, sum("verify" in entry for entry in requirements)


def page(chapter, known):
    data = chapter.data
    levels, verified = counts(chapter.requirements)
    lines = [
        MADE.format(f"{chapter.name}.toml"),
        f"# {data['title']}",
        "",
        data["scope"].strip(),
        "",
        f"{len(chapter.requirements)} requirements: "
        + ", ".join(f"{count} {level}" for count, level in zip(levels, schema.LEVELS))
        + f"; {verified} have a test or an inspection. Back to the [contents](README.md).",
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
            f"- Verified: {cell(tests(entry))}",
        ]
    return "\n".join(lines) + "\n"


def contents(chapters, version):
    data = version.data
    lines = [
        MADE.format("*.toml"),
        f"# The contract, version {data['version']}",
        "",
        "What a car's virtual platform owes to a guest, chapter by chapter. How to read it stands in the"
        " [guide](../contract-guide.md).",
        "",
        "| chapter | ids | MUST | SHOULD | MAY | verified |",
        "|---|---|--:|--:|--:|--:|",
    ]
    every = []
    for chapter in chapters:
        every += chapter.requirements
        levels, verified = counts(chapter.requirements)
        row = [f"[{cell(chapter.data['title'])}]({chapter.name}.md)", f"AVP-{chapter.data['prefix']}"]
        lines.append("| " + " | ".join(map(str, [*row, *levels, verified])) + " |")
    levels, verified = counts(every)
    lines += [
        "| " + " | ".join(map(str, ["all", len(every), *levels, verified])) + " |",
        "",
        "| profile | requirements | verified |",
        "|---|--:|--:|",
    ]
    for profile in schema.PROFILES:
        bound = [entry for entry in every if profile in entry["profile"]]
        lines.append(f"| {profile} | {len(bound)} | {counts(bound)[1]} |")
    lines += ["", "## The version, and who states it", "", data["rule"].strip(), ""]
    lines += [data["hypervisor"].strip(), "", data["guest"].strip(), ""]
    lines += ["| the guest needs | what it means | what to do |", "|---|---|---|"]
    for entry in data["mismatch"]:
        lines.append(f"| {cell(entry['guest'])} | {cell(entry['means'])} | {cell(entry['do'])} |")
    return "\n".join(lines) + "\n"


def write(root, chapters, version, known, conformance, only_check):
    """Writes the pages, or compares them; returns the exit status. @conformance is docs/conformance.md, or None."""
    directory = root / "docs/contract"
    pages = {f"{chapter.name}.md": page(chapter, known) for chapter in chapters}
    pages["README.md"] = contents(chapters, version)
    old = {path.name: path for path in directory.glob("*.md")}
    if conformance:
        beside = "../conformance.md"
        pages[beside] = conformance
        if (directory / beside).is_file():
            old[beside] = directory / beside
    stale = []
    for name, text in pages.items():
        if name not in old or old[name].read_text(encoding="utf-8") != text:
            stale.append(name)
            if not only_check:
                directory.mkdir(parents=True, exist_ok=True)
                (directory / name).write_text(text, encoding="utf-8")
    for name in old:
        if name not in pages:
            stale.append(name)
            if not only_check:
                old[name].unlink()
    if only_check:
        for name in sorted(stale):
            print(f"docs/contract/{name}: differs from contract/; run tools/contract docs")
        return int(bool(stale))
    print(f"docs/contract: {len(pages)} pages, {len(stale)} of them new or changed")
    return 0

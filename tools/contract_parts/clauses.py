# SPDX-License-Identifier: BSD-3-Clause
"""The clauses of VIRTIO 1.4, and what a requirement rests on.

contract/virtio-1.4.clauses has a line for each numbered clause: its number, its kind and its title. The
kind is `device` or `driver` for a normative clause that binds that party, `must` for a descriptive
clause with a MUST in it, and `text` for one without. `tools/contract clauses DIR` writes the file from
the sources of the specification (oasis-tcs/virtio-spec, tag v1.4-cs01).
"""

import re

PLACE = "contract/virtio-1.4.clauses"
NAME = "VIRTIO 1.4"
LEVELS = ["chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph"]
HEADING = re.compile(rf"\\(?:(driver|device)normative\{{\\(\w+)\}}|({'|'.join(LEVELS)}))(\*?)\s*(?=\{{)")
PARTS = ["introduction", "content", "conformance"]
LINE = re.compile(r"(\d+(?:\.\d+)*) (device|driver|must|text) (\S.*)")


def source_text(directory, name):
    """The LaTeX text of a file without comments, with the files that it includes."""
    path = directory / (name if name.endswith(".tex") else f"{name}.tex")
    text = re.sub(r"(?<!\\)%[^\n]*", "", path.read_text(encoding="utf-8", errors="replace"))
    return re.sub(r"\\input\{([^}]*)\}", lambda found: source_text(directory, found[1]), text)


def group(text, start):
    """What the braces at @start hold."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start + 1 : position]
    return ""


def plain(title):
    title = re.sub(r"\\[a-z]+\{([^}]*)\}", r"\1", title)
    return " ".join(title.replace("\\", "").split())


def write(root, directory):
    """Writes the file of clauses from the sources of the specification in @directory."""
    text = "".join(source_text(directory, part) for part in PARTS)
    headings = list(HEADING.finditer(text))
    count, lines = [0] * len(LEVELS), []
    for index, heading in enumerate(headings):
        if heading[4]:  # not numbered
            continue
        level = LEVELS.index(heading[2] or heading[3])
        count[level] += 1
        count[level + 1 :] = [0] * (len(LEVELS) - level - 1)
        end = headings[index + 1].start() if index + 1 < len(headings) else len(text)
        binds = re.search(r"\b(MUST|SHALL|REQUIRED)\b", text[heading.end() : end])
        kind = heading[1] or ("must" if binds else "text")
        number = ".".join(map(str, count[: level + 1]))
        lines.append(f"{number} {kind} {plain(group(text, heading.end()))}\n")
    (root / PLACE).write_text("".join(lines), encoding="utf-8")
    print(f"{PLACE}: {len(lines)} clauses")
    return 0


def read(root, report):
    """clause -> (kind, title); problems of the file are reported."""
    clauses = {}
    path = root / PLACE
    if not path.is_file():
        report.add(PLACE, 1, "file", "is missing; write it with tools/contract clauses")
        return clauses
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = LINE.fullmatch(text)
        if line:
            clauses[line[1]] = line[2], line[3]
        else:
            report.add(PLACE, number, "clause", "is not `NUMBER KIND TITLE`; write it with tools/contract clauses")
    return clauses


def check(requirement, clauses, say):
    """Reports clauses that VIRTIO does not have, in a requirement or a row of a profile."""
    for source in requirement.get("source", []) if isinstance(requirement.get("source"), list) else []:
        name, _, clause = source.partition(", ") if isinstance(source, str) else ("", "", "")
        if name == NAME and re.fullmatch(r"\d+(\.\d+)*", clause) and clause not in clauses:
            say("source", f"VIRTIO 1.4 has no clause {clause}; correct the number")


def cited(requirement):
    """The clauses of VIRTIO that a requirement cites."""
    parts = (source.partition(", ") for source in requirement["source"])
    return [clause for name, _, clause in parts if name == NAME]


def basis(requirement, clauses):
    """What a requirement rests on: `VIRTIO`, `derived` or `own`.

    `VIRTIO`: a clause that it cites binds the party that the requirement binds. `derived`: it cites
    VIRTIO first, but only clauses that describe, or that bind the other party. `own`: another source
    is its main one.
    """
    if requirement["source"][0].partition(",")[0] != NAME:
        return "own"
    party = "driver" if re.search(r"\b[Tt]he (guest|driver)\b", requirement["text"].partition(requirement["level"])[0]) else "device"
    kinds = {clauses[clause][0] for clause in cited(requirement) if clause in clauses}
    return "VIRTIO" if kinds & {party, "must"} else "derived"

# SPDX-License-Identifier: BSD-3-Clause
"""docs/contract/virtio.md: how the contract refers to VIRTIO, clause by clause, without repeating it."""

from . import clauses, profiles
from .text import MADE, table

HEAD = """
The contract does not repeat VIRTIO 1.4. It **adopts** a clause where a requirement asks for what the clause demands;
it **narrows** one where a requirement follows from a description, or a profile turns something optional into something that
is owed or forbidden; it **adds** where a requirement is the contract's own and the clause only tells where it belongs.
Each clause of VIRTIO that binds a device and is not in the first table binds as it stands, without a requirement and a test here.
"""


def by_clause(chapters, found_profiles, known):
    """clause -> {"adopted", "narrowed", "added": ids}"""
    table_of = {}

    def add(clause, kind, identity):
        table_of.setdefault(clause, {"adopted": [], "narrowed": [], "added": []})[kind].append(identity)

    kinds = {"VIRTIO": "adopted", "derived": "narrowed", "own": "added"}
    for chapter in chapters:
        for entry in chapter.requirements:
            for clause in clauses.cited(entry):
                add(clause, kinds[clauses.basis(entry, known)], entry["id"])
    for profile in found_profiles:
        for row in profiles.rows(profile):
            for clause in clauses.cited(row):
                add(clause, "narrowed", row["id"])
    return table_of


def order(clause):
    return [int(part) for part in clause.split(".")]


def features(chapters, found_profiles):
    """Rows of each feature that a profile asks for or forbids."""
    asked = {}
    for profile in found_profiles:
        for row in profiles.rows(profile):
            for key, word in (("features", row["level"]), ("forbids", f"{row['level']} NOT")):
                for name in row.get(key, []):
                    asked.setdefault(name, []).append(f"{profile.name}: {word} ({', '.join(row['device'])})")
    for name, (chapter, bit) in profiles.features_of(chapters).items():
        if name in asked:
            yield [f"`{name}`", bit, f"[{chapter.data['title']}]({chapter.name}.md)", "; ".join(asked[name])]


def page(chapters, found_profiles, known):
    found = by_clause(chapters, found_profiles, known)
    rows = [
        [clause, known.get(clause, ("", "unknown"))[1], *(" ".join(found[clause][kind]) for kind in ("adopted", "narrowed", "added"))]
        for clause in sorted(found, key=order)
    ]
    # A normative clause of devices that nobody cites, nor the clause above it.
    rest = [clause for clause, (kind, _) in known.items() if kind == "device" and clause not in found]
    lines = [
        MADE.format("*.toml"),
        "# The contract and VIRTIO 1.4",
        *HEAD.splitlines(),
        "",
        *table(
            ["", "clauses", "requirements and rows"],
            [
                [kind, sum(bool(entry[kind]) for entry in found.values()), len({identity for entry in found.values() for identity in entry[kind]})]
                for kind in ("adopted", "narrowed", "added")
            ],
            {1, 2},
        ),
        "",
        "## By clause",
        "",
        *table(["clause", "title", "adopted by", "narrowed by", "added"], rows),
        "",
        "## Features that a profile asks for or forbids",
        "",
        *table(["feature", "bit", "chapter", "profiles"], features(chapters, found_profiles), {1}),
        "",
        "## Clauses that bind a device as they stand",
        "",
        *table(["clause", "title"], [[clause, known[clause][1]] for clause in sorted(rest, key=order)]),
    ]
    return "\n".join(lines) + "\n"

# SPDX-License-Identifier: BSD-3-Clause
"""What the generated pages share."""

MADE = "<!-- Written by tools/contract docs from contract/{}: change it there. -->"


def cell(text):
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head, rows, numbers=()):
    """The lines of a table; columns whose index is in @numbers are right-aligned."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "".join("--:|" if index in numbers else "---|" for index in range(len(head))))
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return lines

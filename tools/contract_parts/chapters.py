# SPDX-License-Identifier: BSD-3-Clause
"""Reads contract/*.toml with the line of each key, which tomllib does not report."""

import re
import tomllib
from dataclasses import dataclass, field

KEY = re.compile(r'\s*(?:([A-Za-z0-9_-]+)|"([^"]+)")\s*=(.*)')
HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.-]+)\s*\]\]?\s*(#.*)?$")
TOKENS = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*|[\[\]{}]')


@dataclass
class Chapter:
    """One file: its data, and the line of each key of each table."""

    name: str
    data: dict
    top: dict
    tables: dict  # table name -> [{"": line of the header, key: line}]

    @property
    def requirements(self):
        found = self.data.get("requirement", [])
        return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []

    def line(self, table, index, key=""):
        entries = self.tables.get(table, [])
        lines = entries[index] if index < len(entries) else {}
        return lines.get(key, lines.get("", 1))


@dataclass
class Report:
    """The problems, one line each: FILE:LINE: KEY: what; what to do."""

    problems: list = field(default_factory=list)

    def add(self, place, line, key, what):
        self.problems.append(f"{place}:{line}: {key}: {what}")


def keys_by_line(text):
    """Yields (line, table header or None, key or None) for each line that is not part of a value."""
    depth, quote = 0, None
    for number, line in enumerate(text.splitlines(), 1):
        rest = line
        if quote is None and depth == 0:
            if line.lstrip().startswith("["):
                header = HEADER.match(line)
                yield number, header[1] if header else line.strip(), None
                continue
            key = KEY.match(line)
            if key:
                yield number, None, key[1] or key[2]
                rest = key[3]
        position = 0
        while position < len(rest):
            if quote:
                end = rest.find(quote, position)
                if end < 0:
                    break
                position, quote = end + 3, None
                continue
            token = TOKENS.search(rest, position)
            if not token:
                break
            position = token.end()
            if token[0] in ('"""', "'''"):
                quote = token[0]
            elif token[0] in "[{":
                depth += 1
            elif token[0] in "]}":
                depth = max(0, depth - 1)


def read(path, place, report):
    """The chapter in a file, or None if it is not TOML, which is reported."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as mistake:
        line = raw[: mistake.start].count(b"\n") + 1
        report.add(place, line, "text", "this is not UTF-8; save the file as UTF-8")
        return None
    index = list(keys_by_line(text))
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as mistake:
        where = re.search(r"\(at line (\d+), column \d+\)", str(mistake))
        line = int(where[1]) if where else max(1, len(text.splitlines()))
        before = [entry for entry in index if entry[0] <= line]
        key = next((key for _, _, key in reversed(before) if key), "file")
        if before and before[-1][0] == line:
            key = before[-1][2] or before[-1][1]
        if not where and before:
            line = before[-1][0]
        what = re.sub(r"\s*\(at .*\)$", "", str(mistake))
        report.add(place, line, key, f"this is not TOML: {what}; correct its syntax")
        return None
    top, tables, lines = {}, {}, None
    for number, header, key in index:
        if header:
            lines = {"": number}
            tables.setdefault(header, []).append(lines)
        elif lines is None:
            top[key] = number
        else:
            lines.setdefault(key, number)
    return Chapter(path.stem, data, top, tables)


# Files of contract/ that are not chapters.
OTHERS = {"version.toml", "errata.toml", "hosts.toml"}


@dataclass
class Contract:
    """All that the parts of tools/contract read."""

    chapters: list
    version: Chapter | None
    profiles: list
    clauses: dict
    errata: Chapter | None
    hosts: list


def read_all(root, report):
    """All chapters in their order, and the version file (None if missing or invalid)."""
    directory = root / "contract"
    chapters = []
    for path in sorted(directory.glob("*.toml")):
        if path.name in OTHERS:
            continue
        chapter = read(path, f"contract/{path.name}", report)
        if chapter:
            chapters.append(chapter)
    if not chapters and not report.problems:
        report.add("contract", 1, "file", "there is no chapter; write a chapter as NAME.toml here")
    path = directory / "version.toml"
    version = None
    if path.is_file():
        version = read(path, "contract/version.toml", report)
    else:
        report.add("contract/version.toml", 1, "version", "the file is missing; it holds the SemVer")
    chapters.sort(key=lambda chapter: (str(chapter.data.get("order", "")).zfill(6), chapter.name))
    return chapters, version

# SPDX-License-Identifier: BSD-3-Clause
"""docs/conformance.md: what the conformance guest found on each hypervisor, side by side.

contract/results/hosts.toml names the hosts; NAME.json beside it is what `avp conform --json` wrote there,
without what the page has no use for. `tools/contract keep` puts it there.
"""

import json
import sys
import tomllib
from collections import Counter

from .docs import MADE, cell

MARKS = {"pass": "✓", "fail": "**fail**", "wedged": "**wedged**", "skipped": "–"}
WANTED = ["test", "chapter", "requirements", "verdict", "reason"]
MEASURED = ["name", "unit", "count", "p50", "p99", "maximum"]


def directory(root):
    return root / "contract/results"


def all_hosts(root):
    path = directory(root) / "hosts.toml"
    if not path.is_file():
        return []
    with path.open("rb") as file:
        return tomllib.load(file)["host"]


def own_results(root):
    """The files of AVP's own hosts."""
    own = [directory(root) / f"{host['name']}.json" for host in all_hosts(root) if host.get("own")]
    return [path for path in own if path.is_file()]


def keep(root, name, path):
    """Stores what `avp conform --json` wrote as the results of host @name; returns the exit status."""
    if name not in [host["name"] for host in all_hosts(root)]:
        print(f"contract/results/hosts.toml: no host '{name}'; add it", file=sys.stderr)
        return 2
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as mistake:
        print(f"{path}: {mistake}; name a file that avp conform wrote", file=sys.stderr)
        return 2
    if data.get("log") != "complete":
        print(f"{path}: the log is {data.get('log')}: run it again", file=sys.stderr)
        return 1
    if any(entry["reason"] == "not selected" for entry in data["results"]):
        print(f"{path}: some tests were not selected: run it without --only and --profile", file=sys.stderr)
        return 1
    rows = [json.dumps({key: entry[key] for key in WANTED}, ensure_ascii=False) for entry in data["results"]]
    measures = [json.dumps({key: entry[key] for key in MEASURED}) for entry in data["measures"]]
    text = (
        f'{{"log": "complete", "boot": {json.dumps(data["boot"])}, "engine": {json.dumps(data["engine"])},\n'
        '"results": [\n' + ",\n".join(rows) + '\n],\n"measures": [\n' + ",\n".join(measures) + "\n]}\n"
    )
    (directory(root) / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"contract/results/{name}.json: {len(rows)} tests")
    return 0


def read_hosts(root):
    """[(host, results)] of all hosts with stored results, in the order of hosts.toml."""
    found = []
    for host in all_hosts(root):
        results = directory(root) / f"{host['name']}.json"
        if results.is_file():
            found.append((host, json.loads(results.read_text(encoding="utf-8"))))
    return found


def levels_of(chapters):
    return {entry["id"]: entry["level"] for chapter in chapters for entry in chapter.requirements}


def is_must(entry, levels):
    """Whether a failed test breaks a MUST: its message has a prefix if it is of another level."""
    return not entry["reason"].startswith("SHOULD") and any(
        levels.get(identity) == "MUST" for identity in entry["requirements"]
    )


def summary(hosts, levels):
    lines = [
        "| hypervisor | how | passed | breaks a MUST | a SHOULD | wedged | skipped |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for host, data in hosts:
        counts = Counter()
        for entry in data["results"]:
            verdict = entry["verdict"]
            counts["should" if verdict == "fail" and not is_must(entry, levels) else verdict] += 1
        row = [host["title"], host["how"]]
        row += [counts[key] for key in ("pass", "fail", "should", "wedged", "skipped")]
        lines.append("| " + " | ".join(cell(value) for value in row) + " |")
    return lines


def failures(hosts, levels):
    """What each host breaks, with the note of hosts.toml."""
    lines = []
    for host, data in hosts:
        lines += ["", f"## What fails: {host['title']}", ""]
        bad = [entry for entry in data["results"] if entry["verdict"] in ("fail", "wedged")]
        if not bad:
            lines.append("Nothing.")
            continue
        lines += ["| test | requirement | what was seen | note |", "|---|---|---|---|"]
        for entry in bad:
            level = "MUST" if entry["verdict"] == "wedged" or is_must(entry, levels) else "SHOULD"
            note = host.get("notes", {}).get(entry["test"], "")
            row = [f"`{entry['test']}`", f"{' '.join(entry['requirements'])} ({level})"]
            reason = entry["reason"].removeprefix("SHOULD: ")
            row += [("wedged: " if entry["verdict"] == "wedged" else "") + reason, note]
            lines.append("| " + " | ".join(cell(value) for value in row) + " |")
    return lines


def measures(hosts):
    """Medians, and the 99th percentile in brackets."""
    names = list(dict.fromkeys(entry["name"] for _, data in hosts for entry in data["measures"]))
    lines = ["", "## Timing", "", "Medians, with the 99th percentile in brackets.", ""]
    lines.append("| what | unit | " + " | ".join(host["title"] for host, _ in hosts) + " |")
    lines.append("|---|---|" + "--:|" * len(hosts))
    for name in names:
        row, unit = [], ""
        for _, data in hosts:
            entry = next((one for one in data["measures"] if one["name"] == name), None)
            unit = entry["unit"] if entry else unit
            row.append(f"{entry['p50']} ({entry['p99']})" if entry else "")
        lines.append(f"| `{name}` | {unit} | " + " | ".join(row) + " |")
    return lines


def every_test(chapters, hosts):
    lines = ["", "## Every test", "", "✓ passed, – skipped: what it needs is not there."]
    titles = {chapter.data["prefix"]: chapter.data["title"] for chapter in chapters}
    order = list(titles)
    seen = {}
    for number, (_, data) in enumerate(hosts):
        for entry in data["results"]:
            rows = seen.setdefault(entry["chapter"], {})
            row = rows.setdefault(entry["test"], {"ids": [], "marks": [""] * len(hosts)})
            row["ids"] = entry["requirements"] or row["ids"]
            row["marks"][number] = MARKS.get(entry["verdict"], entry["verdict"])
    for prefix in sorted(seen, key=lambda name: order.index(name) if name in order else len(order)):
        lines += ["", f"### {titles.get(prefix, prefix)}", ""]
        lines.append("| test | requirement | " + " | ".join(host["title"] for host, _ in hosts) + " |")
        lines.append("|---|---|" + ":-:|" * len(hosts))
        for test, row in seen[prefix].items():
            lines.append(f"| `{test}` | {' '.join(row['ids'])} | " + " | ".join(row["marks"]) + " |")
    return lines


def page(root, chapters):
    """The page, or None if no results are stored."""
    hosts = read_hosts(root)
    if not hosts:
        return None
    levels = levels_of(chapters)
    lines = [
        MADE.format("results/*"),
        "# Conformance",
        "",
        "What the [conformance guest](conform-guest.md) finds on hypervisors, requirement by requirement of the"
        " [contract](contract/README.md). A host with emulated processors is slow: its times say nothing about the"
        " hypervisor. What is wrong with others than AVP was checked against the specification's text;"
        " [findings](findings.md) tells how to see it.",
        "",
        *summary(hosts, levels),
        *failures(hosts, levels),
        *measures(hosts),
        *every_test(chapters, hosts),
    ]
    return "\n".join(lines) + "\n"

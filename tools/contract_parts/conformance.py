# SPDX-License-Identifier: BSD-3-Clause
"""docs/conformance.md: what the conformance guest found on each hypervisor, side by side.

contract/hosts.toml names the hosts and what is known of their failures; contract/results/NAME.json is a
result file of each, with its log beside it. `avp conform keep` writes them and `avp conform check` checks
them; here they are taken as they are.
"""

import json
import tomllib
from collections import Counter

from . import schema
from .text import MADE, table

MARKS = {"pass": "✓", "fail": "**fail**", "wedged": "**wedged**", "unstable": "unstable", "skipped": "–"}
BAD = ("fail", "wedged", "unstable")
COLUMNS = {"standard": "VIRTIO or another standard", "own": "the contract's own demand"}


def all_hosts(root):
    path = root / "contract/hosts.toml"
    if not path.is_file():
        return []
    with path.open("rb") as file:
        return tomllib.load(file)["host"]


def path_of(root, host):
    return root / "contract/results" / f"{host['name']}.json"


def own_results(root):
    """The result files of AVP's own hosts."""
    own = [path_of(root, host) for host in all_hosts(root) if host.get("own")]
    return [path for path in own if path.is_file()]


def read_hosts(root):
    """[(host, result)] of all hosts with a result file, in the order of hosts.toml."""
    return [
        (host, json.loads(path_of(root, host).read_text(encoding="utf-8")))
        for host in all_hosts(root)
        if path_of(root, host).is_file()
    ]


def check(root, report):
    """Each result file belongs to a host and has its log."""
    names = {host["name"] for host in all_hosts(root)}
    for path in sorted((root / "contract/results").glob("*")):
        place = f"contract/results/{path.name}"
        if path.suffix not in (".json", ".log"):
            report.add(place, 1, "file", "is not a result file or its log; remove it")
        elif path.stem not in names:
            report.add(place, 1, "file", f"contract/hosts.toml has no host '{path.stem}'; add it")
        elif not path.with_suffix(".json" if path.suffix == ".log" else ".log").is_file():
            report.add(place, 1, "file", "a result is a file NAME.json and its log NAME.log; keep it again")


def verified(hosts):
    """id of a requirement -> titles of the hosts on which a test of it ran and passed, and none failed."""
    found = {}
    for host, data in hosts:
        passed, failed = set(), set()
        for entry in data["results"]:
            if entry["verdict"] == "pass":
                passed.update(entry["requirements"])
            elif entry["verdict"] in BAD and not entry["should"]:
                failed.update(entry["requirements"])
        for identity in passed - failed:
            found.setdefault(identity, []).append(host["title"])
    return found


def verdict_of(data, profile):
    return next((entry["verdict"] for entry in data["profiles"] if entry["profile"] == profile), "")


def verdicts(hosts):
    rows = []
    for host, data in hosts:
        rows.append([host["title"], *(verdict_of(data, profile) for profile in schema.PROFILES)])
    return table(["hypervisor", *schema.PROFILES], rows)


def summary(hosts):
    rows = []
    for host, data in hosts:
        counts = Counter()
        for entry in data["results"]:
            if entry["verdict"] in ("fail", "wedged"):
                counts["should" if entry["should"] else entry["breaks"]] += 1
            else:
                counts["environment" if entry.get("breaks") == "environment" else entry["verdict"]] += 1
        rows.append([host["title"], *(counts[key] for key in ("pass", "standard", "own", "environment", "should", "unstable", "skipped"))])
    head = ["hypervisor", "passed", "breaks VIRTIO or another standard", "breaks the contract's own demand"]
    return table([*head, "cannot be judged here", "breaks a SHOULD", "unstable", "skipped"], rows, set(range(1, 8)))


def origins(hosts):
    rows = [
        [host["title"], data["hypervisor"], data["host"], data["suite"], data["date"][:10], f"`{data['image']}` {data['image sha256'][:12]}…", f"[log](../contract/results/{data['log file']})"]
        for host, data in hosts
    ]
    return table(["", "hypervisor", "host", "suite", "date", "image, SHA-256", "log"], rows)


def failures(hosts, sources):
    """What each host breaks, with the clause and the note of hosts.toml."""
    lines = []
    for host, data in hosts:
        lines += ["", f"## What fails: {host['title']}", ""]
        bad = [entry for entry in data["results"] if entry["verdict"] in BAD]
        rows = []
        for entry in bad:
            breaks = "a SHOULD" if entry["should"] else COLUMNS.get(entry.get("breaks"), "")
            clauses = "; ".join(dict.fromkeys(sources.get(identity, "") for identity in entry["requirements"]))
            reason = entry["reason"].removeprefix("SHOULD: ")
            seen = reason if entry["verdict"] == "fail" else f"{entry['verdict']}: {reason}"
            rows.append([f"`{entry['test']}`", " ".join(entry["requirements"]), f"{breaks} ({clauses})", seen, host.get("notes", {}).get(entry["test"], "")])
        rows += [
            ["", row.partition(":")[0], f"profile {profile['profile']}", row.partition(": ")[2], ""]
            for profile in data["profiles"]
            if profile["profile"] == "base"
            for row in profile["broken"]
            if ": " in row
        ]
        lines += table(["test", "requirement", "breaks", "what was seen", "note"], rows) if rows else ["Nothing."]
    return lines


def measures(hosts):
    """Medians, and the 99th percentile in brackets."""
    names = list(dict.fromkeys(entry["name"] for _, data in hosts for entry in data["measures"]))
    rows = []
    for name in names:
        row, unit = [], ""
        for _, data in hosts:
            entry = next((one for one in data["measures"] if one["name"] == name), None)
            unit = entry["unit"] if entry else unit
            row.append(f"{entry['p50']} ({entry['p99']})" if entry else "")
        rows.append([f"`{name}`", unit, *row])
    head = ["what", "unit", *(host["title"] for host, _ in hosts)]
    return ["", "## Timing", "", "Medians, with the 99th percentile in brackets.", "", *table(head, rows, set(range(2, len(head))))]


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
            mark = "not here" if entry.get("breaks") == "environment" else MARKS.get(entry["verdict"], entry["verdict"])
            row["marks"][number] = mark
    for prefix in sorted(seen, key=lambda name: order.index(name) if name in order else len(order)):
        rows = [[f"`{test}`", " ".join(row["ids"]), *row["marks"]] for test, row in seen[prefix].items()]
        head = ["test", "requirement", *(host["title"] for host, _ in hosts)]
        lines += ["", f"### {titles.get(prefix, prefix)}", "", *table(head, rows)]
    return lines


def page(chapters, hosts):
    """The page, or None if no results are kept."""
    if not hosts:
        return None
    sources = {entry["id"]: "; ".join(entry["source"]) for chapter in chapters for entry in chapter.requirements}
    lines = [
        MADE.format("results/*"),
        "# Conformance",
        "",
        "What the [conformance guest](conform-guest.md) finds on hypervisors, requirement by requirement of the"
        " [contract](contract/README.md). Each column is a result file of contract/results, with its log:"
        " `avp conform check` reads the log again. A host with emulated processors is slow: its times say nothing about the"
        " hypervisor. What is wrong with others than AVP was checked against the specification's text;"
        " [findings](findings.md) tells how to see it, [how to dispute a test](dispute-a-test.md) what to do if it is not.",
        "",
        "## Verdicts by profile",
        "",
        *verdicts(hosts),
        "",
        *summary(hosts),
        "",
        "## Origin",
        "",
        *origins(hosts),
        *failures(hosts, sources),
        *measures(hosts),
        *every_test(chapters, hosts),
    ]
    return "\n".join(lines) + "\n"

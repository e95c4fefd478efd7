# SPDX-License-Identifier: BSD-3-Clause
"""`tools/contract matrix`: requirement, source, code, test and worst result, as HTML and CSV.

A file of results is `{"engine": NAME, "results": [{"test": NAME, "verdict": WORD, "reason": TEXT}]}`
with the words pass, fail, wedged, skipped; "by" names the kind of a test that is not of the
conformance guest. The worst result of a test counts; one that was skipped only if there is no other.
"""

import csv
import html
import io
import json
import re
import sys
from collections import Counter

from . import clauses, schema

VERDICTS = ["fail", "wedged", "unstable", "skipped", "pass"]
# A test that a host skips says nothing about the requirement.
WORST = ["fail", "wedged", "unstable", "pass", "skipped"]
CITED = re.compile(r"AVP-[A-Z][A-Z0-9]*-\d{3}|VIRTIO 1\.4, (\d+(?:\.\d+)*)")
CODE = {".c", ".h", ".S", ".s", ".ld", ".py", ".sh"}
COLUMNS = ["id", "level", "profile", "chapter", "requirement", "source", "basis", "code", "tests", "result", "status"]


class Mistake(Exception):
    """A file of results is invalid."""


def citations(root):
    """Lines in src/ and guest/, by the id or clause of VIRTIO that they cite."""
    found = {}
    for part in ("src", "guest"):
        for path in sorted((root / part).rglob("*")):
            if path.suffix not in CODE or not path.is_file():
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            for number, line in enumerate(text.splitlines(), 1):
                for match in CITED.finditer(line):
                    place = f"{path.relative_to(root)}:{number}"
                    found.setdefault(match[1] or match[0], []).append(place)
    return found


def code_lines(requirement, cited):
    """Lines that cite the id, one of its clauses, or the parent of a normative clause."""
    wanted = [requirement["id"]]
    for source in requirement["source"]:
        name, _, clause = source.partition(", ")
        if name != "VIRTIO 1.4":
            continue
        wanted.append(clause)
        if clause.count(".") >= 4:
            wanted.append(clause.rpartition(".")[0])
    return list(dict.fromkeys(place for key in wanted for place in cited.get(key, [])))


def read_results(paths):
    """(kind, test) -> (verdict, where, reason), the worst one of each."""
    worst = {}
    for path in paths:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as mistake:
            raise Mistake(f"{path}: {mistake.strerror}; name a file that avp conform wrote") from mistake
        except UnicodeDecodeError as mistake:
            raise Mistake(f"{path}: not UTF-8; name a file that avp conform wrote") from mistake
        except json.JSONDecodeError as mistake:
            raise Mistake(f"{path}:{mistake.lineno}: not JSON: {mistake.msg}; was the run cut off?") from mistake
        results = data.get("results") if isinstance(data, dict) else None
        if not isinstance(results, list):
            raise Mistake(f"{path}: results: must be a list; name a file that avp conform wrote")
        for entry in results:
            test = entry.get("test") if isinstance(entry, dict) else None
            if not isinstance(test, str) or entry.get("verdict") not in VERDICTS:
                raise Mistake(f"{path}: results: {entry!r:.60}: needs test, and verdict as one of {', '.join(VERDICTS)}")
            where = str(data.get("engine") or path.name)
            key = entry.get("by", "conformance"), test
            if key in worst and WORST.index(worst[key][0]) <= WORST.index(entry["verdict"]):
                continue
            worst[key] = (entry["verdict"], where, str(entry.get("reason") or ""))
    return worst


def status(requirement, worst):
    """One word for a requirement: its worst result, or why there is none."""
    if "verify" not in requirement:
        return "unverified"
    tests = [(entry["by"], entry["test"]) for entry in requirement["verify"] if "test" in entry]
    if not tests:
        return "inspection"
    verdicts = {worst[test][0] for test in tests if test in worst}
    for verdict in VERDICTS[:4]:
        if verdict in verdicts:
            return verdict
    # Other kinds of tests run separately; only those of the conformance guest must have run.
    must_run = [test for test in tests if test[0] == "conformance"] or tests
    if not verdicts:
        return "not run"
    return "pass" if all(test in worst for test in must_run) else "partly run"


def rows(root, chapters, known, worst):
    cited = citations(root)
    for chapter in chapters:
        for entry in chapter.requirements:
            tests, results = [], []
            for by in entry.get("verify", []):
                if by["by"] == "inspection":
                    tests.append(f"inspection: {by['how']}")
                    continue
                tests.append(f"{by['by']}: {by['test']}")
                if (by["by"], by["test"]) in worst:
                    verdict, where, reason = worst[by["by"], by["test"]]
                    results.append(f"{by['test']}: {verdict} ({where}{': ' + reason if reason else ''})")
            if "unverified" in entry:
                tests.append(f"not yet: {entry['unverified']}")
            values = [entry["id"], entry["level"], entry["profile"], chapter.data["title"], entry["text"]]
            values += [entry["source"], clauses.basis(entry, known), code_lines(entry, cited), tests, results]
            values.append(status(entry, worst))
            yield values


def as_csv(table):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in table:
        writer.writerow([" | ".join(value) if isinstance(value, list) else value for value in row])
    return out.getvalue()


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>AVP: traceability matrix</title><style>
body{font:14px system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}td,th{border:1px solid #ccc;padding:.3em .5em;vertical-align:top;text-align:left}
th{position:sticky;top:0;background:#eee}td div{overflow-wrap:anywhere}.code,.tests{font-size:12px}
[data-status=pass] .status{background:#cfc}[data-status=fail] .status,[data-status=wedged] .status{background:#fbb}
[data-status=skipped] .status,[data-status="partly run"] .status{background:#ffd}select,input{margin:0 1em 1em .3em}
</style></head><body><h1>Traceability matrix</h1>
<p>Contract @VERSION@; results: @RESULTS@. @SUMMARY@</p>
<p>@FILTERS@<label>text<input id="word" type="search"></label><span id="shown"></span></p>
<table><thead><tr>@HEAD@</tr></thead><tbody>
@BODY@
</tbody></table><script>
const rows=[...document.querySelectorAll("tbody tr")],boxes=[...document.querySelectorAll("select,input")];
function show(){let n=0;const w=document.getElementById("word").value.toLowerCase();
for(const r of rows){let on=r.textContent.toLowerCase().includes(w);
for(const b of boxes)if(b.id!="word"&&b.value&&!r.dataset[b.id].split("|").includes(b.value))on=false;
r.hidden=!on;n+=on}document.getElementById("shown").textContent=n+" of "+rows.length+" requirements"}
boxes.forEach(b=>b.addEventListener("input",show));show();
</script></body></html>
"""


def cell(name, value):
    items = value if isinstance(value, list) else [value]
    inner = "".join(f"<div>{html.escape(item)}</div>" for item in items)
    return f'<td class="{name}">{inner}</td>'


def as_html(table, version, names):
    def choices(key, values):
        options = "".join(f"<option>{html.escape(value)}</option>" for value in values)
        return f'<label>{key}<select id="{key}"><option value="">all</option>{options}</select></label>'

    chapters = list(dict.fromkeys(row[3] for row in table))
    found = Counter(row[-1] for row in table)
    body = []
    for row in table:
        data = {"profile": "|".join(row[2]), "chapter": row[3], "status": row[-1]}
        marks = "".join(f' data-{key}="{html.escape(value)}"' for key, value in data.items())
        cells = "".join(cell(name, value) for name, value in zip(COLUMNS, row))
        body.append(f'<tr id="{row[0]}"{marks}>{cells}</tr>')
    filters = choices("profile", schema.PROFILES) + choices("chapter", chapters) + choices("status", sorted(found))
    fill = {
        "VERSION": html.escape(version),
        "RESULTS": html.escape(", ".join(names) or "none"),
        "SUMMARY": html.escape(", ".join(f"{count} {word}" for word, count in sorted(found.items()))),
        "FILTERS": filters,
        "HEAD": "".join(f"<th>{name}</th>" for name in COLUMNS),
        "BODY": "\n".join(body),
    }
    return re.sub(r"@([A-Z]+)@", lambda match: fill[match[1]], PAGE)


def write(root, contract, paths, out):
    """Writes both forms to `out`; returns the exit status."""
    chapters, version = contract.chapters, contract.version
    try:
        worst = read_results(paths)
        table = list(rows(root, chapters, contract.clauses, worst))
        out.mkdir(parents=True, exist_ok=True)
        names = [str(path) for path in paths]
        (out / "matrix.html").write_text(as_html(table, version.data["version"], names), encoding="utf-8")
        (out / "matrix.csv").write_text(as_csv(table), encoding="utf-8")
    except (Mistake, OSError) as mistake:
        print(mistake, file=sys.stderr)
        return 2
    known = {(by["by"], by.get("test")) for chapter in chapters for entry in chapter.requirements for by in entry.get("verify", [])}
    for kind, test in sorted(set(worst) - known):
        print(f"{kind} test '{test}' has a result, but no requirement names it", file=sys.stderr)
    print(f"{out}/matrix.html, {out}/matrix.csv: {len(table)} requirements")
    return 0

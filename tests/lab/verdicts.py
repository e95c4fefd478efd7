# SPDX-License-Identifier: BSD-3-Clause
"""verdicts.py FILE... - compares what `avp conform --json` wrote of several runs of one host: prints each test
whose verdicts differ, with what each run said. Exit status 0: they are all the same."""

import json
import sys


def verdict(entry):
    environment = entry["reason"].startswith("environment: ")
    return "environment" if entry["verdict"] == "skipped" and environment else entry["verdict"]


def read(path):
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    if data["log"] != "complete":
        sys.exit(f"verdicts: {path}: the log is {data['log']}")
    return {entry["test"]: entry for entry in data["results"]}


def main():
    runs = [read(path) for path in sys.argv[1:]]
    if len(runs) < 2:
        sys.exit(__doc__)
    differ = 0
    for name in sorted(set().union(*runs)):
        verdicts = [verdict(run[name]) if name in run else "absent" for run in runs]
        if len(set(verdicts)) == 1:
            continue
        differ += 1
        print(f"{name}: {' '.join(verdicts)}")
        for number, run in enumerate(runs, 1):
            if name in run and run[name]["reason"]:
                print(f"    run {number}: {run[name]['reason']}")
    print(f"verdicts: {len(runs)} runs of {len(runs[0])} tests, {differ} tests with different verdicts")
    return 1 if differ else 0


sys.exit(main())

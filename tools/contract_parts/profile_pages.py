# SPDX-License-Identifier: BSD-3-Clause
"""Pages of the profiles: what each asks of devices, and two screens for people who decide."""

from . import profiles, schema
from .text import MADE, table


def musts(chapters, name):
    return [entry for chapter in chapters for entry in chapter.requirements if name in entry["profile"] and entry["level"] == "MUST"]


def machine(profile):
    found = profile.data.get("machine")
    if not found:
        return []
    sizes = [[name, *found[key]] for key, name in profiles.SIZES.items()]
    return [
        "## The machine",
        "",
        f"{found['rely']} {found['why']} (Source: {'; '.join(found['source'])}.)",
        "",
        *table(["of it", "least", "most"], sizes, {1, 2}),
        "",
    ]


def page(profile, chapters):
    bound = [
        (chapter, [entry["level"] for entry in chapter.requirements if profile.name in entry["profile"]])
        for chapter in chapters
    ]
    rows = [
        [row["id"], profiles.sentence(row), row["rely"], row["why"], "; ".join(row["source"])]
        for row in profiles.rows(profile)
    ]
    lines = [
        MADE.format(f"profiles/{profile.name}.toml"),
        f"# Profile {profile.data['title']}",
        "",
        profile.data["scope"].strip(),
        "",
        "A device type that a row names need not exist unless a row says so. Back to the [contents](README.md).",
        "",
        *machine(profile),
        "## What it asks of devices",
        "",
        *table(["id", "what", "what a driver may rely on", "why", "source"], rows),
        "",
        "## Requirements",
        "",
        *table(
            ["chapter", "MUST", "SHOULD", "MAY"],
            [
                [f"[{chapter.data['title']}]({chapter.name}.md)", *(levels.count(level) for level in schema.LEVELS)]
                for chapter, levels in bound
                if levels
            ],
            {1, 2, 3},
        ),
    ]
    return "\n".join(lines) + "\n"


def summary(found, chapters, version):
    """Two screens for people who decide."""
    count = sum(len(chapter.requirements) for chapter in chapters)
    lines = [
        MADE.format("profiles/*.toml"),
        "# The contract in short",
        "",
        f"For people who decide. Version {version.data['version']}, suite {version.data['suite']}. A guest that is built for"
        " the contract runs unchanged on each hypervisor that keeps it. The contract stands on VIRTIO 1.4 and says what VIRTIO"
        f" leaves open; it has {count} requirements, each with a reason and a source. A bare-metal guest tests them on any"
        " hypervisor and says for each profile: conformant, not conformant, or incomplete.",
        "",
        "## What a guest may assume",
        "",
    ]
    rows = []
    for profile in found:
        relied = [row["rely"] for row in profiles.rows(profile) if row["level"] == "MUST" and "queues" not in row]
        rows.append([f"[{profile.data['title']}](profile-{profile.name}.md)", " ".join(relied) or "What the chapters say.", len(musts(chapters, profile.name))])
    lines += table(["profile", "of its devices", "MUSTs beside"], rows, {2})
    lines += [
        "",
        "## What a hypervisor must do",
        "",
        "1. Choose the profiles that it is to keep; they add up. Each guest needs `base` and its architecture.",
        "2. Give each guest the devices that the profiles ask for, with the features that they name.",
        "3. Run the suite and publish the result file, which has the log, the hypervisor's version and the digest of the image.",
        "4. Name each SHOULD that is not kept, with a reason, and each waiver, with a last day.",
        "",
        "## What a verdict means",
        "",
        *table(
            ["verdict", "meaning"],
            [
                ["conformant", "Each MUST of the profile that binds this machine was tested and kept, or is checked by other means and listed."],
                ["conformant with N waivers", "The same, but N failures are accepted, each with a reason and a last day."],
                ["not conformant", "A MUST is broken, or the profile asks for a device or a feature that is not there, or forbids one that is."],
                ["incomplete", "A required test was skipped, did not give the same verdict twice, or cannot be judged in this environment; or the log is not whole."],
            ],
        ),
        "",
        "A verdict says nothing of speed, of safety integrity, or of a function that the contract does not name. "
        "[Terms](../contract-terms.md), [results of hypervisors](../conformance.md), [how to dispute a test](../dispute-a-test.md).",
    ]
    return "\n".join(lines) + "\n"

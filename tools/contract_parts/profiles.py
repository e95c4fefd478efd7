# SPDX-License-Identifier: BSD-3-Clause
"""contract/profiles/*.toml: what each profile asks of the devices of a machine, and what a driver may rely on."""

import re

from . import chapters, clauses, schema

PROFILE = {"title": str, "prefix": str, "order": int, "scope": str, "machine": dict, "row": list}
# The smallest and the largest machine: key of [machine] -> its name on the page. Each is [least, most].
SIZES = {"processors": "processors", "memory_mib": "MiB of memory", "devices": "VIRTIO devices"}
MACHINE = {**dict.fromkeys(SIZES, list), "rely": str, "why": str, "source": list}
# What a row asks for; each has one of these. `limit` comes with `minimum`, `queue_size` with `queues`.
ASKS = {"present": bool, "features": list, "forbids": list, "queues": int, "limit": str}
ROW = {
    "id": str,
    "level": str,
    "device": list,
    **ASKS,
    "queue_size": int,
    "minimum": int,
    "except": list,
    "rely": str,
    "why": str,
    "source": list,
}
OPTIONAL = {*ASKS, "queue_size", "minimum", "except"}


def read_all(root, report):
    """The profiles in their order; a missing or unknown one is reported."""
    directory = root / "contract/profiles"
    found = []
    for path in sorted(directory.glob("*.toml")):
        if path.stem not in schema.PROFILES:
            report.add(f"contract/profiles/{path.name}", 1, "file", f"is not a profile; use one of {', '.join(schema.PROFILES)}")
            continue
        profile = chapters.read(path, f"contract/profiles/{path.name}", report)
        if profile:
            found.append(profile)
    for name in schema.PROFILES:
        if not (directory / f"{name}.toml").is_file():
            report.add(f"contract/profiles/{name}.toml", 1, "file", "is missing; each profile has one")
    found.sort(key=lambda profile: (str(profile.data.get("order", "")).zfill(6), profile.name))
    return found


def rows(profile):
    found = profile.data.get("row", [])
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def features_of(found):
    """name of a feature -> (chapter, bit), over all chapters."""
    return {
        name: (chapter, bit)
        for chapter in found
        for name, bit in chapter.data.get("feature", {}).items()
        if isinstance(chapter.data.get("feature"), dict)
    }


def devices_of(found):
    """name of a chapter -> chapter, for the chapters of devices."""
    return {chapter.name: chapter for chapter in found if "virtio" in chapter.data}


def check_features(row, key, devices, features, say):
    for name in schema.check_texts(row[key], key, say):
        if name not in features:
            say(key, f"no chapter knows the feature {name}; add it to a chapter's [feature], or correct the name")
            continue
        owner = features[name][0]
        for device in row.get("device", []):
            if "virtio" in owner.data and device in devices and owner.name != device:
                say(key, f"{name} is a feature of {owner.name}, not of {device}; make two rows")


def check_reason(entry, good, say):
    for key in ("rely", "why"):
        if key in good and (not entry[key].endswith(".") or "\n" in entry[key]):
            say(key, "is not a sentence in one line; end it with a full stop")
    if "source" in good:
        for source in schema.check_texts(entry["source"], "source", say):
            schema.check_source(source, say)


def check_machine(machine, say):
    good = schema.check_keys(machine, MACHINE, set(), say)
    for key in SIZES:
        bounds = machine[key] if key in good else [1, 1]
        if len(bounds) != 2 or any(type(bound) is not int for bound in bounds) or not 0 < bounds[0] <= bounds[1]:
            say(key, f"{bounds} is not the least and the most; write two positive numbers, the smaller one first")
    check_reason(machine, good, say)


def check_row(row, prefix, last, devices, features, say):
    """Checks one row; returns its number."""
    good = schema.check_keys(row, ROW, OPTIONAL, say)
    number = last
    if "id" in good:
        match = re.fullmatch(r"AVP-([A-Z][A-Z0-9]*)-(\d{3})", row["id"])
        if not match or match[1] != prefix:
            say("id", f"'{row['id']}' is not an id; write AVP-{prefix}-NNN with three digits")
        elif int(match[2]) <= last:
            say("id", f"'{row['id']}' is not above the one before it; ids ascend and are never used twice")
        else:
            number = int(match[2])
    if "level" in good and row["level"] not in schema.LEVELS:
        say("level", f"'{row['level']}' is not a level; use {', '.join(schema.LEVELS)}")
    if "device" in good:
        for name in schema.check_texts(row["device"], "device", say):
            if name not in devices:
                say("device", f"'{name}' is not the chapter of a device; name a file of contract/ that has the key virtio")
            elif "limit" in good and row["limit"] not in devices[name].data.get("limits", []):
                say("limit", f"{name} has no limit '{row['limit']}'; add it to the chapter's limits")
    asked = [key for key in ASKS if key in row]
    if len(asked) != 1:
        say("id", f"asks for {', '.join(asked) or 'nothing'}; give one of {', '.join(ASKS)}")
    for key, other in (("limit", "minimum"), ("minimum", "limit"), ("queue_size", "queues")):
        if key in row and other not in row:
            say(key, f"needs {other} beside it; add it")
    for key in ("features", "forbids", "except"):
        if key in good:
            check_features(row, key, devices, features, say)
    check_reason(row, good, say)
    return number


def check(found, chapter_list, prefixes, known_clauses, report):
    """Checks all profiles, and that each chapter of a device is in one of them."""
    devices, features = devices_of(chapter_list), features_of(chapter_list)
    covered = set()
    for profile in found:
        place = f"contract/profiles/{profile.name}.toml"
        say = lambda key, what: report.add(place, profile.top.get(key, 1), key, what)
        good = schema.check_keys(profile.data, PROFILE, {"machine"}, say)
        if "machine" in good:
            check_machine(profile.data["machine"], lambda key, what: say("machine", f"{key}: {what}"))
        prefix = profile.data.get("prefix") if "prefix" in good else "PREFIX"
        if "prefix" in good and prefixes.setdefault(prefix, f"profiles/{profile.name}") != f"profiles/{profile.name}":
            say("prefix", f"'{prefix}' belongs to {prefixes[prefix]}.toml; choose another one")
        last, offers, forbids = 0, {}, {}
        for index, row in enumerate(rows(profile)):
            told = lambda key, what, at=index: report.add(place, profile.line("row", at, key), key, what)
            last = check_row(row, prefix, last, devices, features, told)
            clauses.check(row, known_clauses, told)
            names = [name for name in row.get("device", []) if isinstance(name, str)] if isinstance(row.get("device"), list) else []
            covered.update(names)
            for key, mine, others in (("features", offers, forbids), ("forbids", forbids, offers)):
                for name in row[key] if isinstance(row.get(key), list) else []:
                    for device in names:
                        mine[device, str(name)] = row.get("id")
                        if (device, str(name)) in others:
                            told(key, f"{others[device, str(name)]} says the opposite of {name}; remove one")
    if found:
        for name, chapter in devices.items():
            if name not in covered:
                report.add(f"contract/{name}.toml", chapter.top["virtio"], "virtio", "no profile covers this device; add a row to a file of contract/profiles")


def sentence(row):
    """What a row asks for, as a sentence; @row names chapters of devices."""
    level = row["level"]
    names = ", ".join(row["device"])
    spared = f" unless it offers {' or '.join(row['except'])}" if row.get("except") else ""
    if "present" in row:
        if row["present"]:
            return f"A machine {level} have a device of each of these types: {names}."
        return f"A machine {level} NOT have a device of these types: {names}."
    if "features" in row:
        return f"Each device ({names}) {level} offer {', '.join(row['features'])}{spared}."
    if "forbids" in row:
        return f"A device ({names}) {level} NOT offer {', '.join(row['forbids'])}{spared}."
    if "limit" in row:
        return f"{row['limit']} of each device ({names}) {level} be at least {row['minimum']}{spared}."
    size = f" of at least {row['queue_size']} entries" if "queue_size" in row else ""
    plural = "queue" if row["queues"] == 1 else "queues"
    return f"Each device ({names}) {level} have at least {row['queues']} {plural}{size}{spared}."

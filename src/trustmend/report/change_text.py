"""Plans and changes for people: lines of at most 80 columns; paths are never cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trustmend.certificate import printable
from trustmend.report.audit_text import Paint, wrapped

Json = Mapping[str, Any]
_INDENT = "      "
_METHODS = {
    "pem": "new blocks in the file; what stands there stays, byte for byte",
    "directory": "a new file for each, with its hash link",
    "key-store": "new entries in the key store; old ones stay as they are",
    "nss": "certutil adds to a copy, which takes the place of the database; what is in it stays",
}
_COLOURS = {
    "applied": "green",
    "rolled-back": "green",
    "planned": "yellow",
    "partial": "yellow",
    "interrupted": "red",
    "failed": "red",
    "kept": "red",
}


def plan_lines(
    plan: Json, upgrades: Sequence[str], remarks: Sequence[str], paint: Paint, *, backups: str
) -> Iterator[str]:
    """What would be done: the stores, what is added to each, the files whose bytes change, and what stays broken.

    Args:
        plan: as `change_json.begin` gives it.
        upgrades: what an upgrade of packages would mend instead.
        remarks: what holds for all of it.
        paint: colours.
        backups: the folder that the backups will be in.
    """
    stores = sum(len(step["stores"]) for step in plan["steps"])
    if stores:
        yield f"{_count(stores, 'trust store')} to change:"
    for group in _alike(plan["steps"]):
        yield ""
        yield from _step_lines(group, paint)
    for remark in remarks:
        yield ""
        yield from wrapped("note: ", remark, "")
    if plan["steps"]:
        yield ""
        yield from wrapped("Backups: ", backups, "         ")
    yield from cannot_fix_lines(plan["cannot_fix"], paint)
    if upgrades:
        yield ""
        yield "Better than any patch, where you can: a newer package"
        for text in upgrades:
            yield from wrapped("  ", text, "    ")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _alike(steps: Sequence[Json]) -> list[list[Json]]:
    """Steps that differ in nothing but their path, together."""
    groups: dict[tuple[str, ...], list[Json]] = {}
    for number, step in enumerate(steps):
        alone = [] if step["method"] in ("pem", "key-store", "nss") else [str(number)]
        key = (step["method"], *(one["sha256"] for one in step["add"]), "", *step["notes"], "", *alone)
        groups.setdefault(key, []).append(step)
    return list(groups.values())


def _step_lines(group: Sequence[Json], paint: Paint) -> Iterator[str]:
    first = group[0]
    for step in group:
        if first["method"] == "system":
            yield f"  {printable(step['path'])}  (the system's own source)"
            for store in step["stores"]:
                yield f"    for {printable(store['path'])}"
        else:
            yield f"  {printable(step['path'])}"
            if step["owner"]:
                yield from wrapped("    ", step["owner"], "    ")
    if first["method"] == "system":
        yield from wrapped(
            f"{_INDENT}how    ", f"a file for each, then {' '.join(first['command'] or [])}", f"{_INDENT}       "
        )
    else:
        yield from wrapped(f"{_INDENT}how    ", _METHODS[first["method"]], f"{_INDENT}       ")
    for one in first["add"]:
        label = one["subject"].rpartition("CN=")[2]
        yield paint(f"{_INDENT}+ {label} ({one['role']})", "green")
        yield f"{_INDENT}  {one['sha256']}"
    if first["method"] in ("system", "directory"):
        yield f"{_INDENT}files that change:"
        for path in first["files"]:
            yield f"{_INDENT}  {printable(path)}"
    for note in first["notes"]:
        yield from wrapped(f"{_INDENT}note   ", note, f"{_INDENT}       ")


def cannot_fix_lines(rows: Sequence[Json], paint: Paint) -> Iterator[str]:
    """The stores that stay as they are, with the remedy for each; those of one reason together."""
    if not rows:
        return
    yield ""
    yield paint(f"NOT TO BE MENDED HERE ({len(rows)})", "red")
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        groups.setdefault((row["reason"], row["remedy"]), []).append(row["path"])
    for (reason, remedy), paths in groups.items():
        for path in paths:
            yield f"  {printable(path)}"
        yield from wrapped(f"{_INDENT}why    ", reason, f"{_INDENT}       ")
        if remedy:
            yield from wrapped(f"{_INDENT}do     ", remedy, f"{_INDENT}       ")


def result_lines(document: Json, paint: Paint, *, way_back: bool) -> Iterator[str]:
    """What came of a change: how many stores, those that failed and why, and how to take it back.

    Args:
        document: as `change_json.document` gives it.
        paint: colours.
        way_back: say how to take it back.
    """
    stores = document["stores"]
    done = [store for store in stores if store["state"] == "applied"]
    if done:
        yield f"{_count(len(done), 'trust store')} changed, and read again."
    bad = [store for store in stores if store["state"] not in ("applied", "rolled-back")]
    if bad:
        yield paint(f"NOT CHANGED ({len(bad)}): {'as it was' if len(bad) == 1 else 'as they were'}", "red")
        for store in bad:
            yield f"  {printable(store['path'])}"
            yield from wrapped(f"{_INDENT}why    ", store["error"] or store["state"], f"{_INDENT}       ")
    if done and way_back:
        yield f"To take it back: trustmend rollback {document['id']}"
    yield from restart_lines(document["restarts"])


def restart_lines(rows: Sequence[Json]) -> Iterator[str]:
    """The running programs that use a changed store."""
    if not rows:
        return
    yield ""
    yield from wrapped("", "Running programs keep the trust that they have read; restart these:", "")
    for row in rows:
        unit = f"  systemctl restart {row['unit']}" if row["unit"] else ""
        yield f"  {row['pid']:>7}  {printable(row['command'])[:66]}"
        yield from wrapped("           ", f"{row['reason']}{unit}", "           ")


def history_lines(documents: Sequence[Json], paint: Paint) -> Iterator[str]:
    """All changes, a line each, oldest first."""
    if not documents:
        yield "No change was made yet."
        return
    for one in documents:
        state = paint(f"{one['state']:<12}", _COLOURS.get(one["state"], "yellow"))
        count = _count(len(one["stores"]), "store")
        yield f"{one['id']}  {state} {count}; {', '.join(one['bundles'])}"


def change_lines(document: Json, events: Sequence[Json], paint: Paint) -> Iterator[str]:
    """One change, whole: each store with what was added, its backup and its state, and the journal's events."""
    yield f"{document['id']}  {paint(document['state'], _COLOURS.get(document['state'], 'yellow'))}"
    yield f"  of {document['at']}, for {', '.join(document['bundles'])}"
    for store in document["stores"]:
        yield ""
        yield f"  {printable(store['path'])}"
        about = f"{store['kind']}; {store['method']}; {store['state']}; {_count(len(store['add']), 'certificate')}"
        yield from wrapped(_INDENT, about, _INDENT)
        if store["source"]:
            yield from wrapped(f"{_INDENT}by     ", f"files in {store['source']}", f"{_INDENT}       ")
        if store["backup"]:
            yield f"{_INDENT}backup {printable(store['backup'])}"
        if store["error"]:
            yield from wrapped(f"{_INDENT}error  ", store["error"], f"{_INDENT}       ")
    yield from cannot_fix_lines(document["cannot_fix"], paint)
    yield ""
    yield "Journal:"
    for event in events:
        words = [str(event.get("event"))]
        if "step" in event:
            words.append(f"step {event['step']}")
        words += [str(event[key]) for key in ("state", "error") if event.get(key)]
        yield from wrapped("  ", ": ".join(words), "    ")

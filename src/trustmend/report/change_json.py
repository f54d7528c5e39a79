"""Changes as JSON (schema "trustmend/change/1"): planned, made and taken back; what a journal keeps of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from trustmend import __version__
from trustmend.certificate import name_text, printable
from trustmend.plan import Plan, Step
from trustmend.plan_words import ownership
from trustmend.report.audit_json import instant, path_row, path_text
from trustmend.restarts import Running

Json = dict[str, Any]


def begin(plan: Plan, identifier: str, root: str, now: datetime) -> Json:
    """What the first line of a change's journal says of it, and what a dry run shows."""
    return {
        "id": identifier,
        "version": __version__,
        "at": instant(now),
        "root": root,
        "bundles": [bundle.name for bundle in plan.bundles],
        "roots_only": plan.roots_only,
        "steps": [_step(step, plan) for step in plan.steps],
        "cannot_fix": [
            {"id": one.store.id, "path": one.store.path, "reason": printable(one.reason), "remedy": one.remedy}
            for one in plan.cannot_fix
        ],
    }


def _step(step: Step, plan: Plan) -> Json:
    held = {entry.certificate.sha256 for judged in step.stores for entry in judged.store.content.entries}
    wanted = {c.sha256 for bundle in plan.bundles for c in bundle.install}
    return {
        "method": step.method.value,
        "path": step.path,
        "stores": [
            {
                "id": judged.store.id,
                "path": judged.store.path,
                "kind": judged.store.content.kind.value,
                "before_sha256": judged.store.sha256,
            }
            for judged in step.stores
        ],
        "add": [
            {"sha256": c.sha256, "role": c.role.value, "subject": name_text(c.certificate.subject)} for c in step.add
        ],
        "held": sorted(wanted & held),
        "files": list(step.files),
        "notes": [printable(note) for note in step.notes],
        "command": list(step.system.command) if step.system is not None and step.system.command else None,
        "owner": None if (whose := ownership(step)) is None else printable(whose),
    }


def document(
    plan: Mapping[str, Any],
    state: str,
    steps: Sequence[Mapping[str, Any]] = (),
    *,
    folder: str | None = None,
    restarts: Sequence[Running] = (),
) -> Json:
    """One change.

    Args:
        plan: as `begin` made it.
        state: of the whole.
        steps: for each planned step `state`, `error` and `swaps`, as its journal has them; none for a plan.
        folder: the change's folder, where its backups are.
        restarts: running programs that use a changed store.
    """
    rows = []
    for number, step in enumerate(plan["steps"]):
        record = steps[number] if number < len(steps) else {"state": "planned", "error": None, "swaps": []}
        rows += [_row(step, store, record, folder) for store in step["stores"]]
    return {
        "schema": "trustmend/change/1",
        "id": plan["id"],
        "state": state,
        "at": plan["at"],
        "root": plan["root"],
        "bundles": plan["bundles"],
        "stores": rows,
        "cannot_fix": [{**row, **path_row(row["path"])} for row in plan["cannot_fix"]],
        "restarts": [
            {
                "pid": one.pid,
                "command": one.command,
                "unit": one.unit,
                "store": path_text(one.store),
                "reason": one.reason,
            }
            for one in restarts
        ],
    }


def _row(step: Mapping[str, Any], store: Mapping[str, Any], record: Mapping[str, Any], folder: str | None) -> Json:
    swap = next((one for one in record["swaps"] if one.get("path") == store["path"]), None)
    before = swap["before"].get("sha256") if swap else None
    return {
        "id": store["id"],
        **path_row(store["path"]),
        "kind": store["kind"],
        "method": step["method"],
        "add": [one["sha256"] for one in step["add"]],
        "before_sha256": store["before_sha256"],
        "after_sha256": swap["after"].get("sha256") if swap and record["state"] == "applied" else None,
        "backup": f"{folder}/backup/{before}" if folder and before else None,
        "state": record["state"],
        "error": record["error"],
        "source": step["path"] if step["method"] == "system" else None,
        "owner": step["owner"],
        "files": [path_text(path) for path in step["files"]],
        "command": step["command"],
        "notes": step["notes"],
    }

"""Taking whole changes back, and putting right those that were cut off."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from trustmend.change import apply, history, undo
from trustmend.change.disk import Disk
from trustmend.change.history import Record, StepRecord
from trustmend.change.owner import Hands
from trustmend.change.state import StateFolder
from trustmend.change.work import Context
from trustmend.errors import RefusedError, StateError, TrustError
from trustmend.host import Host


@dataclass(frozen=True)
class Drift:
    """A path that somebody else has changed since a change; `by` are later changes of ours that did."""

    path: str
    by: tuple[str, ...] = ()
    when: str | None = None  # its last change, for people


@dataclass(frozen=True)
class Tools:
    """What taking something back works with; see `Context` and `undo.surgical`."""

    host: Host
    hands: Hands
    inherit: Sequence[int]
    say: Callable[[str], None]
    keytool: str | None = None
    password: str | None = None

    def context(self, record: Record) -> Context:
        """The context of one change."""
        return Context(self.host, self.hands, record.journal, self.inherit, self.say)


def drifts(record: Record, records: Sequence[history.Record], tools: Tools) -> list[Drift]:
    """What stands in the way of taking a change back exactly. Raises StepError."""
    found = []
    for step in record.open_steps:
        if step.intend is None or step.done is None:
            continue
        for path in undo.drifted(step.intend, step.done, tools.context(record)):
            by = tuple(other.id for other in history.touching(records, path, after=record.id))
            found.append(Drift(path, by, _last_change(path, tools.host)))
    return found


def _last_change(path: str, host: Host) -> str | None:
    """When the content, or the link, was last changed (ctime: nobody sets it back)."""
    try:
        moment = datetime.fromtimestamp(os.lstat(host.outside(path)).st_ctime, UTC)
    except OSError:
        return None
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def take_back(record: Record, records: Sequence[Record], tools: Tools, *, surgical: bool) -> list[str]:
    """Take a change back, the last step first, and close its journal.

    Args:
        record: of the change.
        records: all of them.
        tools: what is needed.
        surgical: where a store was changed since, take out only what carries our mark.

    Returns:
        What is left, one sentence each; empty when the host is as it was.
    """
    context = tools.context(record)
    if not record.undoing:
        try:
            record.journal.write("undo-begin", surgical=surgical)
        except StateError as problem:
            raise RefusedError(
                f"{problem.message}; nothing was changed", hint="make room there, then again"
            ) from problem
    left: list[str] = []
    for step in record.open_steps:
        context.say(str(step.plan.get("path", "")))
        try:
            problems = _take_step(step, record, records, tools, surgical=surgical)
        except TrustError as problem:
            problems = [problem.message]
        except OSError as problem:
            problems = [str(problem)]
        if problems:
            left += problems
            record.journal.write("kept", step=step.number, error="; ".join(problems))
        else:
            record.journal.write("undone", step=step.number)
    apply.remove_work(context)
    record.journal.write("end", state="failed" if left else "rolled-back")
    return left


def _take_step(
    step: StepRecord, record: Record, records: Sequence[Record], tools: Tools, *, surgical: bool
) -> list[str]:
    context = tools.context(record)
    if step.intend is None:
        return []
    if not surgical or step.done is None or not undo.drifted(step.intend, step.done, context):
        return undo.step(step.intend, step.done, context)
    paths = [str(row.get("path")) for row in step.plan.get("stores", []) if isinstance(row, dict)]
    keep = history.relied_on(records, record, paths)
    return undo.surgical(step.intend, step.done, context, keep, tools.keytool, tools.password)


def recover(records: Sequence[Record], tools: Tools) -> list[tuple[Record, list[str]]]:
    """Put right every change that was cut off: one that was wholly made is closed, any other is taken back.

    Returns:
        Each such change with what is left of it, the newest first.
    """
    found: list[tuple[Record, list[str]]] = []
    for record in reversed(records):
        if not record.cut_off:
            continue
        if not record.undoing and _whole(record):
            states = {step.state for step in record.steps}
            state = "applied" if states == {"applied"} else "partial" if "applied" in states else "failed"
            apply.remove_work(tools.context(record))
            record.journal.write("end", state=state)
            record.state = state
            found.append((record, []))
            continue
        surgical = any(line.get("surgical") for line in record.journal.lines if line["event"] == "undo-begin")
        left = take_back(record, records, tools, surgical=surgical)
        record.state = "failed" if left else "rolled-back"
        found.append((record, left))
    return found


def _whole(record: Record) -> bool:
    """Every step has come to its end: only the last line is missing."""
    return all(step.state in ("applied", "failed") for step in record.steps)


def sweep(folder: StateFolder, disk: Disk) -> None:
    """Remove what is left of changes that were cut off before they had a journal: nothing was done yet."""
    for name in folder.names():
        path = f"{folder.changes}/{name}"
        journal = f"{path}/journal.jsonl"
        with contextlib.suppress(OSError):
            if not os.path.lexists(journal) or b"\n" not in _bytes(journal):
                shutil.rmtree(path)


def _bytes(path: str) -> bytes:
    from trustmend.change.state import read_file

    return read_file(path)


def forget(record: Record) -> int:
    """Remove the backups of a change. Returns their size in bytes. Raises OSError."""
    folder = f"{record.journal.folder}/backup"
    size = 0
    for name in os.listdir(folder):
        size += os.lstat(f"{folder}/{name}").st_size
        os.unlink(f"{folder}/{name}")
    record.journal.write("forgotten", bytes=size)
    return size

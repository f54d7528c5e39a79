"""The changes made so far, as their journals tell them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trustmend.audit import Judged
from trustmend.certificate import printable
from trustmend.change.journal import Journal, Json
from trustmend.change.state import StateFolder
from trustmend.errors import RefusedError, UsageError
from trustmend.model import Finding, Severity

CLOSED = frozenset({"rolled-back"})
"""States of a change of which nothing is left on the host."""


@dataclass
class StepRecord:
    """What a journal says of one step: the lines before and after it, and of its way back."""

    number: int
    plan: Mapping[str, Any]
    intend: Json | None = None
    done: Json | None = None
    failed: Json | None = None
    undone: Json | None = None
    kept: Json | None = None

    @property
    def state(self) -> str:
        """planned, interrupted, applied, failed, rolled-back or kept (its way back was refused or failed)."""
        if self.undone is not None:
            return "rolled-back"
        if self.kept is not None:
            return "kept"
        if self.failed is not None:
            return "failed"
        if self.done is not None:
            return "applied"
        return "planned" if self.intend is None else "interrupted"

    @property
    def open(self) -> bool:
        """Something of it may still stand on the host."""
        whole = self.failed is not None and not self.failed.get("left")  # it failed, and was put back
        return self.intend is not None and not whole and self.undone is None

    @property
    def error(self) -> str | None:
        """Why it failed, or why it could not be taken back."""
        line = self.kept or self.failed
        return None if line is None else str(line.get("error", ""))

    def swaps(self) -> list[Mapping[str, Any]]:
        """The paths that it changes, as the journal has them."""
        line = self.done or self.intend or {}
        rows = line.get("swaps", [])
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


@dataclass
class Record:
    """One change."""

    journal: Journal
    begin: Json
    steps: list[StepRecord] = field(default_factory=list)
    state: str = "interrupted"
    undoing: bool = False  # its way back has begun and has not ended

    @property
    def id(self) -> str:
        """Its id, which begins with the time in UTC."""
        return self.journal.id

    @property
    def cut_off(self) -> bool:
        """Neither it nor its way back has come to its end: `recover` has something to do."""
        return self.undoing or not any(line.get("event") == "end" for line in self.journal.lines)

    @property
    def open_steps(self) -> list[StepRecord]:
        """The steps of which something may stand on the host, the last first."""
        return [step for step in reversed(self.steps) if step.open]


def load_all(folder: StateFolder) -> list[Record]:
    """All changes, oldest first. Those that were cut off before their first line are left out.

    Raises:
        RefusedError: the state folder or a journal is not to be believed.
    """
    records = []
    for name in folder.names():
        try:
            records.append(_record(Journal.load(f"{folder.changes}/{name}", folder.disk)))
        except FileNotFoundError:
            continue
        except OSError as problem:
            raise RefusedError(
                f"the journal of change {printable(name)} cannot be read: {problem.strerror}"
            ) from problem
        except _EmptyError:
            continue
    return records


class _EmptyError(Exception):
    pass


def _record(journal: Journal) -> Record:
    if not journal.lines:
        raise _EmptyError
    begin = journal.lines[0]
    plans = begin.get("steps")
    if begin.get("event") != "begin" or not isinstance(plans, list):
        raise RefusedError(f"the journal of change {printable(journal.id)} does not begin as one")
    record = Record(journal, begin, [StepRecord(number, plan) for number, plan in enumerate(plans)])
    for line in journal.lines[1:]:
        event = line.get("event")
        if event == "end":
            record.state, record.undoing = str(line.get("state")), False
        elif event == "undo-begin":
            record.state, record.undoing = "interrupted", True
        elif event in ("intend", "done", "failed", "undone", "kept"):
            number = line.get("step")
            if not isinstance(number, int) or not 0 <= number < len(record.steps):
                raise RefusedError(
                    f"the journal of change {printable(journal.id)} speaks of a step that is not planned"
                )
            setattr(record.steps[number], event, line)
            if event == "undone":
                record.steps[number].kept = None
    return record


def chosen(records: Sequence[Record], wanted: str | None, *, undoable: bool) -> Record:
    """The change that a command line names: by its id or the beginning of it, else the last.

    Raises:
        UsageError: there is none, or several.
    """
    if wanted is None:
        fitting = [r for r in records if not undoable or (r.state not in CLOSED and r.open_steps)]
        if not fitting:
            raise UsageError("there is no change to take back" if undoable else "there is no change yet")
        return fitting[-1]
    exact = [r for r in records if r.id == wanted]
    fitting = exact or [r for r in records if r.id.startswith(wanted)]
    if len(fitting) != 1:
        what = "no change" if not fitting else f"more than one change ({', '.join(r.id for r in fitting)})"
        raise UsageError(f"{what} is called `{printable(wanted)}`", hint="trustmend history lists them")
    return fitting[0]


def overwritten(records: Sequence[Record], judged: Sequence[Judged]) -> list[Judged]:
    """The same, with a finding on each store that lacks what a change has put into it and nobody took back."""
    added: dict[str, tuple[Record, set[str]]] = {}
    for record in records:
        for step in record.steps:
            for row in step.plan.get("stores", []) if step.state == "applied" else []:
                sha256s = {str(one.get("sha256")) for one in step.plan.get("add", [])}
                added[str(row.get("path"))] = (record, sha256s)
    found = []
    for one in judged:
        if one.store.path not in added:
            found.append(one)
            continue
        record, sha256s = added[one.store.path]
        if lacking := sha256s & {missing.sha256 for missing in one.missing}:
            text = f"patched by change {record.id}, since overwritten: {len(lacking)} of its certificates are gone"
            finding = Finding("since-overwritten", Severity.WARNING, text)
            found.append(replace(one, findings=(*one.findings, finding)))
        else:
            found.append(one)
    return found


def touching(records: Sequence[Record], path: str, *, after: str) -> Iterator[Record]:
    """The later changes that have changed this path, too, and stand."""
    for record in records:
        if record.id > after and any(
            row.get("path") == path for step in record.steps if step.open for row in step.swaps()
        ):
            yield record


def relied_on(records: Sequence[Record], mine: Record, paths: Sequence[str]) -> set[str]:
    """The SHA-256 of certificates which other changes that stand have found in these stores, and count on."""
    found: set[str] = set()
    for record in records:
        if record.id == mine.id or record.state in CLOSED:
            continue
        for step in record.steps:
            stores = {row.get("path") for row in step.plan.get("stores", []) if isinstance(row, dict)}
            if step.open and stores & set(paths):
                found |= {str(one) for one in step.plan.get("held", [])}
    return found

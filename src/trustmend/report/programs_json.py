"""`stores --by-program` as JSON (schema "trustmend/programs/1")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from trustmend.bundle import Bundle
from trustmend.certificate import printable
from trustmend.programs import Program, Read
from trustmend.report.audit_json import Json, instant, path_row


def programs_document(
    *, host: Mapping[str, str], at: datetime, bundles: Sequence[Bundle], programs: Sequence[Program], unseen: int
) -> Json:
    """The whole answer. `unseen`: the processes that could not be looked into."""
    return {
        "schema": "trustmend/programs/1",
        "host": dict(host),
        "at": instant(at),
        "bundles": [bundle.name for bundle in bundles],
        "programs": [_row(program) for program in programs],
        "unseen": unseen,
    }


def _row(program: Program) -> Json:
    return {
        "name": printable(program.name),
        "user": program.user,
        "unit": program.unit,
        "container": program.container,
        "pids": list(program.pids),
        "verdict": program.verdict,
        "reason": printable(program.reason),
        "stores": [_read(read) for read in program.reads],
    }


def _read(read: Read) -> Json:
    return {
        "id": read.store.id,
        **path_row(read.store.path),
        "reader": read.reader,
        "how": printable(read.how),
        "extends": read.extends,
        "verdict": read.judged.verdict,
    }

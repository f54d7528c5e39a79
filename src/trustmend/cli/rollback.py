"""`trustmend rollback`, `recover`, `history` and `forget`: what was changed, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustmend.certificate import printable
from trustmend.cli import changing, finding, options
from trustmend.cli.changing import Desk
from trustmend.cli.options import Format
from trustmend.errors import Exit, RefusedError, UsageError
from trustmend.host import Host

if TYPE_CHECKING:
    from trustmend.change.history import Record
    from trustmend.change.rollback import Drift
    from trustmend.change.state import Lock
    from trustmend.cli.app import Settings

EXITS = (
    "Exit codes: 0 done, or nothing to do; 2 usage; 3 --dry-run: it would be taken back; 5 a rollback failed: hands "
    "are needed; 6 refused, nothing was changed; 130 interrupted."
)
HISTORY_EXITS = "Exit codes: 0 done; 2 usage; 6 the state folder is not to be believed."
Change = Annotated[list[str] | None, typer.Argument(metavar="[CHANGE]...", help="Its id, or the beginning of it.")]


def rollback(
    ctx: typer.Context,
    changes: Change = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be done.")] = False,
    surgical: Annotated[
        bool,
        typer.Option("--surgical", help="Where others changed a store since, take out only what this change put in."),
    ] = False,
    yes: options.Yes = False,
    password_file: options.PasswordFile = None,
    json: options.JsonFlag = False,
    output: options.Output = None,
) -> int:
    """Take a change back: the last one, or those named. Refuses where somebody else has changed a store since."""
    from trustmend.change import history

    settings: Settings = ctx.obj
    desk = Desk.of(settings, Host.of(settings.root))
    if not desk.state.exists():
        raise UsageError("there is no change to take back")
    if dry_run:
        records = desk.records()
        return _dry_run(_chosen(records, changes), desk, surgical=surgical, json=json, output=output)
    with desk.locked() as lock:
        desk.recover(lock)
        records = desk.records()
        wanted = [r for r in _chosen(records, changes) if r.state not in history.CLOSED]
        if not wanted:
            options.say(settings, "it was taken back already; there is nothing to do")
            return Exit.OK
        _refuse_drift(wanted, records, desk, lock, surgical=surgical)
        for record in wanted:
            _announce(record, settings)
        changing.confirm("Take this back?", yes=yes)
        return _take_back(wanted, desk, lock, surgical=surgical, password_file=password_file, json=json, output=output)


def _chosen(records: Sequence[Record], ids: Sequence[str] | None) -> list[Record]:
    """The changes that are meant, the newest first. Raises UsageError."""
    from trustmend.change import history

    names: Sequence[str | None] = ids or [None]
    found = {record.id: record for record in (history.chosen(records, name, undoable=True) for name in names)}
    return [found[name] for name in sorted(found, reverse=True)]


def _announce(record: Record, settings: Settings) -> None:
    options.say(settings, f"change {record.id} ({record.state}):")
    for step in record.open_steps:
        for store in step.plan.get("stores", []):
            options.say(settings, f"  {printable(str(store.get('path')))}")


def _drift_words(drift: Drift) -> str:
    by = f"by change {', '.join(drift.by)}" if drift.by else "by somebody else"
    return f"{printable(drift.path)} was changed since, {by}" + (f", on {drift.when}" if drift.when else "")


def _refuse_drift(
    wanted: Sequence[Record], records: Sequence[Record], desk: Desk, lock: Lock, *, surgical: bool
) -> None:
    """Raises RefusedError where a store is no longer as its change left it, and the command line allows no surgery."""
    from trustmend.change import rollback as core

    taken = {record.id for record in wanted}
    found = [
        drift
        for record in wanted
        for drift in core.drifts(record, records, desk.tools(lock))
        if not (drift.by and set(drift.by) <= taken)  # those are taken back before it
    ]
    if not found or surgical:
        return
    for drift in found:
        options.say(desk.settings, _drift_words(drift))
    later = sorted({name for drift in found for name in drift.by}, reverse=True)
    first = f"trustmend rollback {' '.join(later)} first, or " if later else ""
    raise RefusedError(
        f"{len(found)} files are no longer as the change left them; nothing was changed",
        hint=f"{first}trustmend rollback --surgical {wanted[0].id} takes out only what this change put in",
    )


def _dry_run(wanted: Sequence[Record], desk: Desk, *, surgical: bool, json: bool, output: str | None) -> int:
    from trustmend.change import rollback as core
    from trustmend.change.rollback import Tools

    records = desk.records()
    tools = Tools(desk.host, desk.hands, (), desk.say)
    lines: list[str] = []
    rows: list[dict[str, Any]] = []
    refused = False
    for record in wanted:
        drifts = core.drifts(record, records, tools)
        refused = refused or (bool(drifts) and not surgical)
        lines.append(f"change {record.id} ({record.state}) would be taken back:")
        for step in record.open_steps:
            lines += [f"  {printable(str(row.get('path')))}" for row in step.swaps()]
        lines += [f"  but {_drift_words(drift)}" for drift in drifts]
        rows.append(
            {
                "id": record.id,
                "state": record.state,
                "files": [row.get("path") for step in record.open_steps for row in step.swaps()],
                "changed_since": [{"path": d.path, "by": list(d.by)} for d in drifts],
            }
        )
    if json:
        options.write([options.as_json({"schema": "trustmend/rollback-plan/1", "changes": rows})], output)
    else:
        options.write(lines, output)
    if refused:
        return Exit.REFUSED
    return Exit.GAPS if any(record.open_steps for record in wanted) else Exit.OK


def _take_back(
    wanted: Sequence[Record],
    desk: Desk,
    lock: Lock,
    *,
    surgical: bool,
    password_file: str | None,
    json: bool,
    output: str | None,
) -> int:
    from trustmend.change import rollback as core

    keytool = _keytool(desk) if surgical else None
    tools = desk.tools(lock, keytool, options.password(password_file, desk.host))
    left: list[str] = []
    documents = []
    for record in wanted:
        left += core.take_back(record, desk.records(), tools, surgical=surgical)
        documents.append(_document(next(r for r in desk.records() if r.id == record.id)))
    if json:
        options.write([options.as_json(documents[0] if len(documents) == 1 else {"changes": documents})], output)
    else:
        lines = [f"change {one['id']}: {one['state']}" for one in documents]
        stores = [row["path"] for one in documents for row in one["stores"] if row["state"] == "rolled-back"]
        count = "1 trust store is as it was" if len(stores) == 1 else f"{len(stores)} trust stores are as they were"
        lines.append(
            f"{count}; programs that read them before go on with what they have read, until they are restarted"
        )
        options.write(lines, output)
    if left:
        for text in left:
            options.say(desk.settings, printable(text))
        raise changing.HandsNeededError(
            "the change could not be taken back wholly", hint=f"its backups are in {printable(desk.state.changes)}"
        )
    return Exit.OK


def _keytool(desk: Desk) -> str | None:
    """A keytool that may be run."""
    where = finding.Where([], [], False, None, everything=False)
    machine = Host.of(None)
    found = finding.keytools(finding.locate(desk.settings, machine, where))
    return next((one for one in found if machine.safe_to_run(one)), None)


def recover(ctx: typer.Context) -> int:
    """Put right a change that was cut off: one that was wholly made is closed, any other is taken back."""
    settings: Settings = ctx.obj
    desk = Desk.of(settings, Host.of(settings.root))
    if not desk.state.exists():
        options.write(["No change was made yet."], None)
        return Exit.OK
    with desk.locked() as lock:
        done = desk.recover(lock)
    options.write([f"change {record.id}: {record.state}" for record, _ in done] or ["Nothing was cut off."], None)
    return Exit.OK


def history(
    ctx: typer.Context,
    change: Annotated[str | None, typer.Argument(metavar="[CHANGE]", help="Its id, or the beginning of it.")] = None,
    *,
    form: options.FormatOption = Format.TABLE,
    json: options.JsonFlag = False,
    output: options.Output = None,
) -> int:
    """List the changes that were made, or tell all of one."""
    from trustmend.change import history as core
    from trustmend.report import change_text

    settings: Settings = ctx.obj
    desk = Desk.of(settings, Host.of(settings.root))
    records = desk.records() if desk.state.exists() else []
    paint = options.paint(settings, output)
    as_json = json or form is Format.JSON
    if change is None:
        documents = [_document(record) for record in records]
        if as_json:
            options.write([options.as_json({"schema": "trustmend/history/1", "changes": documents})], output)
        else:
            options.write(change_text.history_lines(documents, paint), output)
        return Exit.OK
    record = core.chosen(records, change, undoable=False)
    if as_json:
        options.write([options.as_json(_document(record))], output)
    else:
        options.write(change_text.change_lines(_document(record), record.journal.lines, paint), output)
    return Exit.OK


def _document(record: Record) -> dict[str, Any]:
    from trustmend.report import change_json

    steps = [{"state": step.state, "error": step.error, "swaps": step.swaps()} for step in record.steps]
    return change_json.document(record.begin, record.state, steps, folder=record.journal.folder)


def forget(
    ctx: typer.Context,
    changes: Change = None,
    *,
    older_than: Annotated[int | None, typer.Option(metavar="DAYS", help="All changes older than this.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Even where they are the only way back.")] = False,
) -> int:
    """Drop the backups of changes: they may hold private keys. The record of the change stays."""
    from trustmend.change import history as core
    from trustmend.change import rollback as way_back

    settings: Settings = ctx.obj
    if bool(changes) == (older_than is not None):
        raise UsageError("name the changes, or give --older-than DAYS", hint="trustmend history lists them")
    desk = Desk.of(settings, Host.of(settings.root))
    if not desk.state.exists():
        raise UsageError("there is no change yet")
    with desk.locked():
        records = desk.records()
        wanted = [core.chosen(records, one, undoable=False) for one in changes or ()]
        if older_than is not None:
            limit = f"{desk.host.now - timedelta(days=older_than):%Y%m%dT%H%M%SZ}"
            wanted = [record for record in records if record.id < limit]
        needed = [r.id for r in wanted if r.open_steps]
        if needed and not force:
            raise RefusedError(
                f"the backups of {', '.join(needed)} are the only way back; nothing was dropped",
                hint="take the change back first, or give --force",
            )
        lines = [f"change {record.id}: {way_back.forget(record)} bytes of backups dropped" for record in wanted]
    options.write(lines or ["There is no such change."], None)
    return Exit.OK

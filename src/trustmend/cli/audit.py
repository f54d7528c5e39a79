"""`trustmend audit`, `stores` and `show`: find, read, judge, report. They write nothing and need no rights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from trustmend.certificate import printable
from trustmend.cli import finding, options
from trustmend.cli.options import Format
from trustmend.errors import Exit, UsageError
from trustmend.host import Host
from trustmend.model import Verdict

if TYPE_CHECKING:
    from trustmend.audit import Judged
    from trustmend.cli.app import Settings
    from trustmend.model import Store

EXITS = (
    "Exit codes: 0 every counted store trusts the required chains; 2 usage; 3 some do not (wins over 4); "
    "4 some could not be read; 6 invalid bundle; 130 interrupted."
)
STORES_EXITS = "Exit codes: 0 all were read; 2 usage; 4 some could not be read; 130 interrupted."


def audit(
    ctx: typer.Context,
    *,
    paths: options.Paths = None,
    bundle: options.Bundles = None,
    at: options.At = None,
    scan: options.Scan = None,
    network: options.Network = False,
    password_file: options.PasswordFile = None,
    every: options.All = False,
    form: options.FormatOption = Format.TABLE,
    json: options.JsonFlag = False,
    output: options.Output = None,
) -> int:
    """Find the trust stores of this host, judge each against the bundle's chains, and say why."""
    settings: Settings = ctx.obj
    host = Host.of(settings.root)
    when = options.moment(at, host)
    where = finding.Where(paths or [], scan or [], network, password_file, every)
    judged, bundles = finding.judge_all(settings, host, where, options.names(bundle), when)
    from trustmend.audit import clock_finding, summarise

    summary = summarise(judged)
    clock = clock_finding(bundles, when)
    notes = [clock] if clock else []
    if json or form is Format.JSON:
        from trustmend.report import audit_json

        document = audit_json.audit_document(
            host=finding.host_row(host), at=when, bundles=bundles, judged=judged, summary=summary, findings=notes
        )
        options.write([audit_json.dumps(document).rstrip("\n")], output)
    else:
        from trustmend.report import audit_text

        options.write(audit_text.audit_lines(judged, bundles, summary, notes, options.paint(settings, output)), output)
    return _exit_code(judged)


def stores(
    ctx: typer.Context,
    *,
    paths: options.Paths = None,
    scan: options.Scan = None,
    network: options.Network = False,
    password_file: options.PasswordFile = None,
    every: options.All = False,
    form: options.FormatOption = Format.TABLE,
    json: options.JsonFlag = False,
    output: options.Output = None,
) -> int:
    """List the trust stores that were found, who reads them and what they are made from; no judging."""
    settings: Settings = ctx.obj
    host = Host.of(settings.root)
    found = finding.read_all(settings, host, finding.Where(paths or [], scan or [], network, password_file, every))
    if json or form is Format.JSON:
        from trustmend.report import audit_json

        rows = [{**audit_json.found_row(s), "error": s.content.error} for s in found]
        document = {"schema": "trustmend/stores/1", "host": finding.host_row(host), "stores": rows}
        options.write([audit_json.dumps(document).rstrip("\n")], output)
    else:
        from trustmend.report import audit_text

        options.write(audit_text.stores_lines(found), output)
    return Exit.PARTIAL if any(s.counted and s.content.error for s in found) else Exit.OK


def show(
    ctx: typer.Context,
    store: Annotated[str, typer.Argument(metavar="STORE", help="A path, or the id that audit --json gives.")],
    *,
    bundle: options.Bundles = None,
    at: options.At = None,
    password_file: options.PasswordFile = None,
    every: Annotated[bool, typer.Option("--all", help="Every certificate, not only those of the chains.")] = False,
    form: options.FormatOption = Format.TABLE,
    json: options.JsonFlag = False,
    output: options.Output = None,
) -> int:
    """Show one store: its certificates, and why its verdict is what it is, as a chain tree."""
    settings: Settings = ctx.obj
    host = Host.of(settings.root)
    when = options.moment(at, host)
    found = _one(settings, host, store, password_file)
    judged = finding.judge_stores([found], finding.load_bundles(options.names(bundle), host), when)[0]
    if json or form is Format.JSON:
        from trustmend.report import audit_json

        document = {"schema": "trustmend/store/1", **audit_json.store_row(judged), "entries": audit_json.entries(found)}
        options.write([audit_json.dumps(document).rstrip("\n")], output)
    else:
        from trustmend.report import audit_text

        options.write(audit_text.show_lines(judged, options.paint(settings, output), every=every), output)
    return _exit_code([judged])


def _one(settings: Settings, host: Host, wanted: str, password_file: str | None) -> Store:
    """The store with this path or id. Raises UsageError where there is none."""
    everything = finding.Where([], [], network=False, password_file=password_file, everything=True)
    path = wanted if host.foreign else os.path.abspath(wanted)
    known = finding.read_all(settings, host, everything)
    for store in known:
        if wanted == store.id or path in (store.path, *store.links):
            return store
    if host.exists(path):
        return finding.read_all(
            settings, host, finding.Where([path], [], network=False, password_file=password_file, everything=True)
        )[0]
    hint = "trustmend stores lists them; a path may be any file or folder"
    raise UsageError(f"there is no store `{printable(wanted)}`", hint=hint)


def _exit_code(judged: Sequence[Judged]) -> int:
    """The contract's: 3 where some refuse or depend, else 4 where some could not be read, else 0."""
    verdicts = {j.verdict for j in judged if j.store.counted}
    if verdicts & {Verdict.UNTRUSTED, Verdict.DISTRUSTED, Verdict.CONDITIONAL}:
        return Exit.GAPS
    return Exit.PARTIAL if Verdict.UNREADABLE in verdicts else Exit.OK

"""`trustmend audit`, `stores` and `show`: find, read, judge, report. They write nothing and need no rights."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustmend.certificate import printable
from trustmend.cli import finding, options
from trustmend.cli.options import Format
from trustmend.errors import Exit, UsageError
from trustmend.host import Host
from trustmend.model import Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from trustmend.audit import Judged
    from trustmend.bundle import Bundle
    from trustmend.cli.app import Settings
    from trustmend.model import Store
    from trustmend.prove import Proofs

EXITS = (
    "Exit codes: 0 every counted store trusts the required chains; 2 usage; 3 some do not (wins over 4); "
    "4 some could not be read; 6 invalid bundle; 130 interrupted."
)
Prove = Annotated[
    bool,
    typer.Option(
        "--prove",
        help="Also ask the real programs here (openssl, java, certutil, certtool, Python) about each verdict. "
        "This starts them, and may make temporary files. Exit 4, unless 3, where one disagrees.",
    ),
]
STORES_EXITS = "Exit codes: 0 all were read; 2 usage; 4 some could not be read; 130 interrupted."


def audit(
    ctx: typer.Context,
    *,
    paths: options.Paths = None,
    bundle: options.Bundles = None,
    at: options.At = None,
    server_sends: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Judge for a server that sends exactly these certificates (PEM)."),
    ] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Also until when each store trusts each chain.")] = False,
    warn_days: Annotated[
        int, typer.Option(metavar="DAYS", min=0, help="Warn of stores whose trust ends within so many days.")
    ] = 90,
    prove: Prove = False,
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
    judged, bundles = finding.judge_all(settings, host, where, options.names(bundle), when, server_sends)
    from trustmend.audit import clock_finding, summarise
    from trustmend.timeline import lines, soon

    judged = [replace(j, findings=(*j.findings, *soon(j, bundles, when, warn_days))) for j in judged]
    timelines = {j.store.id: lines(j.store, bundles, when) for j in judged if timeline and j.store.counted}
    summary = summarise(judged)
    proofs = _proved(host, judged, bundles, when, password_file) if prove else {}
    clock = clock_finding(bundles, when)
    notes = [clock] if clock else []
    if json or form is Format.JSON:
        from trustmend.report import audit_json

        document = audit_json.audit_document(
            host=finding.host_row(host), at=when, bundles=bundles, judged=judged, summary=summary, findings=notes
        )
        if timelines:
            from trustmend.report.timeline import add_rows

            add_rows(document, timelines)
        if prove:
            _add_proofs(document["stores"], proofs)
        options.write([audit_json.dumps(document).rstrip("\n")], output)
    else:
        from trustmend.report import audit_text

        colours = options.paint(settings, output)
        text = list(audit_text.audit_lines(judged, bundles, summary, notes, colours))
        if timelines:
            from trustmend.report.timeline import text_lines

            text += text_lines(judged, timelines, colours)
        if prove:
            from trustmend.report.prove_text import proof_lines

            text += proof_lines(judged, proofs, colours)
        options.write(text, output)
    return _exit_code(judged, proofs)


def stores(
    ctx: typer.Context,
    *,
    paths: options.Paths = None,
    scan: options.Scan = None,
    network: options.Network = False,
    by_program: Annotated[
        bool, typer.Option("--by-program", help="One row for each program: what it reads, and its verdict.")
    ] = False,
    bundle: options.Bundles = None,
    at: options.At = None,
    password_file: options.PasswordFile = None,
    every: options.All = False,
    form: options.FormatOption = Format.TABLE,
    json: options.JsonFlag = False,
    output: options.Output = None,
) -> int:
    """List the trust stores that were found, who reads them and what they are made from; no judging.

    With --by-program the programs, the stores that each reads, and what each makes of the bundle's chains.
    """
    settings: Settings = ctx.obj
    if not by_program and (bundle or at):
        raise UsageError("--bundle and --at judge programs", hint="add --by-program, or use trustmend audit")
    host = Host.of(settings.root)
    beside = by_program and bool(paths)  # who reads a PATH is only known where everything is looked at
    where = finding.Where(paths or [], scan or [], network, password_file, every, beside)
    found = finding.read_all(settings, host, where)
    if by_program:
        bundles, when = finding.load_bundles(options.names(bundle), host), options.moment(at, host)
        rows, unseen = finding.by_program(host, where, found, bundles, when)
        if json or form is Format.JSON:
            from trustmend.report import audit_json, programs_json

            document = programs_json.programs_document(
                host=finding.host_row(host), at=when, bundles=bundles, programs=rows, unseen=unseen
            )
            options.write([audit_json.dumps(document).rstrip("\n")], output)
        else:
            from trustmend.report import programs_text

            options.write(programs_text.programs_lines(rows, options.paint(settings, output)), output)
    elif json or form is Format.JSON:
        from trustmend.report import audit_json

        listed = [{**audit_json.found_row(s), "error": s.content.error} for s in found]
        document = {"schema": "trustmend/stores/1", "host": finding.host_row(host), "stores": listed}
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
    prove: Prove = False,
    password_file: options.PasswordFile = None,
    every: Annotated[bool, typer.Option("--all", help="Every certificate, not only those of the chains.")] = False,
    form: options.FormatOption = Format.TABLE,
    json: options.JsonFlag = False,
    output: options.Output = None,
) -> int:
    """Show one store: its certificates, and why its verdict is what it is, as a chain tree."""
    from trustmend.smallest import smallest

    settings: Settings = ctx.obj
    host = Host.of(settings.root)
    when = options.moment(at, host)
    found = _one(settings, host, store, password_file)
    bundles = finding.load_bundles(options.names(bundle), host)
    judged = finding.judge_stores([found], bundles, when)[0]
    least = smallest(judged, bundles, when)
    proofs = _proved(host, [judged], bundles, when, password_file) if prove else {}
    if json or form is Format.JSON:
        from trustmend.report import audit_json

        document = {"schema": "trustmend/store/1", **audit_json.store_row(judged), "entries": audit_json.entries(found)}
        document["smallest_change"] = audit_json.smallest_change(least)
        if prove:
            _add_proofs([document], proofs)
        options.write([audit_json.dumps(document).rstrip("\n")], output)
    else:
        from trustmend.report import audit_text

        words = None if least is None else least.words
        colours = options.paint(settings, output)
        text = list(audit_text.show_lines(judged, colours, every=every, least=words))
        if prove:
            from trustmend.report.prove_text import proof_lines

            text += proof_lines([judged], proofs, colours)
        options.write(text, output)
    return _exit_code([judged], proofs)


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


def _proved(
    host: Host, judged: Sequence[Judged], bundles: Sequence[Bundle], when: datetime, password_file: str | None
) -> Proofs:
    """What the real programs say; contradictions are on stderr, too, however quiet the answer's place is."""
    from trustmend.prove import prove
    from trustmend.report.prove_text import disagreement_lines

    proofs = prove(host, judged, bundles, when, password=options.password(password_file, host))
    for line in disagreement_lines(judged, proofs):
        sys.stderr.write(f"{line}\n")
    return proofs


def _add_proofs(rows: Sequence[dict[str, Any]], proofs: Proofs) -> None:
    """`proof` in each row of a store."""
    from trustmend.report.prove_text import proof_rows

    for row in rows:
        row["proof"] = proof_rows(proofs.get(row["id"], ()))


def _exit_code(judged: Sequence[Judged], proofs: Proofs | None = None) -> int:
    """The contract's: 3 where some refuse or depend, else 4 where some are not read or contradicted, else 0."""
    verdicts = {j.verdict for j in judged if j.store.counted}
    if verdicts & {Verdict.UNTRUSTED, Verdict.DISTRUSTED, Verdict.CONDITIONAL}:
        return Exit.GAPS
    contradicted = any(proof.agrees is False for found in (proofs or {}).values() for proof in found)
    return Exit.PARTIAL if Verdict.UNREADABLE in verdicts or contradicted else Exit.OK

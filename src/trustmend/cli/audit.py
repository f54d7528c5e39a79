"""`trustmend audit`, `stores` and `show`: find, read, judge, report. They write nothing and need no rights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from trustmend.certificate import printable
from trustmend.cli import options
from trustmend.cli.options import Format
from trustmend.errors import Exit, UsageError
from trustmend.host import Host
from trustmend.model import Role, Verdict

if TYPE_CHECKING:
    from trustmend.audit import Judged
    from trustmend.bundle import Bundle
    from trustmend.cli.app import Settings
    from trustmend.model import Location, Store

EXITS = (
    "Exit codes: 0 every counted store trusts the required chains; 2 usage; 3 some do not (wins over 4); "
    "4 some could not be read; 6 invalid bundle; 130 interrupted."
)
STORES_EXITS = "Exit codes: 0 all were read; 2 usage; 4 some could not be read; 130 interrupted."


@dataclass(frozen=True)
class _Where:
    """Which stores a command line is about."""

    paths: Sequence[str]
    scan: Sequence[str]
    network: bool
    password_file: str | None
    everything: bool


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
    where = _Where(paths or [], scan or [], network, password_file, every)
    judged, bundles = _judge_all(settings, host, where, options.names(bundle), when)
    from trustmend.audit import clock_finding, summarise

    summary = summarise(judged)
    clock = clock_finding(bundles, when)
    notes = [clock] if clock else []
    if json or form is Format.JSON:
        from trustmend.report import audit_json

        document = audit_json.audit_document(
            host=_host_row(host), at=when, bundles=bundles, judged=judged, summary=summary, findings=notes
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
    found = _read_all(settings, host, _Where(paths or [], scan or [], network, password_file, every))
    if json or form is Format.JSON:
        from trustmend.report import audit_json

        rows = [{**audit_json.found_row(s), "error": s.content.error} for s in found]
        document = {"schema": "trustmend/stores/1", "host": _host_row(host), "stores": rows}
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
    judged = _judged([found], _bundles(options.names(bundle), host), when)[0]
    if json or form is Format.JSON:
        from trustmend.report import audit_json

        document = {"schema": "trustmend/store/1", **audit_json.store_row(judged), "entries": audit_json.entries(found)}
        options.write([audit_json.dumps(document).rstrip("\n")], output)
    else:
        from trustmend.report import audit_text

        options.write(audit_text.show_lines(judged, options.paint(settings, output), every=every), output)
    return _exit_code([judged])


def _judge_all(
    settings: Settings, host: Host, where: _Where, names: Sequence[str], when: datetime
) -> tuple[list[Judged], list[Bundle]]:
    """All stores with their verdicts."""
    bundles = _bundles(names, host)
    return _judged(_read_all(settings, host, where), bundles, when), bundles


def _judged(found: Sequence[Store], bundles: Sequence[Bundle], when: datetime) -> list[Judged]:
    from trustmend.audit import judge

    return [judge(store, bundles, when) for store in found]


def _bundles(names: Sequence[str], host: Host) -> list[Bundle]:
    from trustmend import bundle

    wanted = bundle.names() if "all" in names else list(dict.fromkeys(names))
    return [bundle.load(name, host=host) for name in wanted]


def _read_all(settings: Settings, host: Host, where: _Where) -> list[Store]:
    """The stores that the command line is about, read."""
    from trustmend.stores import Reading, read_stores

    locations = _locations(settings, host, where)
    password = options.password(where.password_file, host)
    public_roots = cache(lambda: _public_roots(host))
    found = read_stores(host, locations, Reading(password, public_roots, lambda: _keytools(locations)))
    if where.everything:
        return found
    return [s for s in found if s.role is not Role.NOT_A_TRUST_STORE or s.by_user]


def _locations(settings: Settings, host: Host, where: _Where) -> list[Location]:
    """Where to look: the PATHs, or all places; with `--scan`, all that is below those folders."""
    from trustmend.cli import start
    from trustmend.cli.progress import scan_progress
    from trustmend.discover import discover, left_alone

    def unreadable(folder: str, count: int) -> None:
        options.say(settings, f"note: {count} files and folders below {printable(folder)} could not be read")

    for folder in where.scan:
        if not host.exists(host.absolute(folder)):
            raise UsageError(f"there is no `{printable(folder)}` to scan", hint="--scan takes a folder")
    pending = None if where.paths else start.survey(host, left_alone(host, own=where.everything))
    with scan_progress(settings, shown=bool(where.scan)) as progress:
        return discover(
            host,
            paths=where.paths,
            scan=where.scan,
            survey=pending.result() if pending is not None else None,
            network=where.network,
            own=where.everything,
            progress=progress,
            unreadable=unreadable,
        )


def _public_roots(host: Host) -> frozenset[str]:
    """The SHA-256 of the roots that the public trusts: those of certifi and of the shipped bundles."""
    import certifi

    from trustmend import bundle
    from trustmend.formats import pem

    shipped = [bundle.load(name, host=host) for name in bundle.builtin_names()]
    bundled = {c.sha256 for one in shipped for c in one.certificates}
    siblings = {s.sha256 for one in shipped for s in one.siblings}
    listed = pem.read(Host().read(certifi.where()).content).entries
    return frozenset(bundled | siblings | {e.certificate.sha256 for e in listed})


def _keytools(locations: Sequence[Location]) -> list[str]:
    """The keytools of the JVMs that were found, newest version first."""
    homes = {u.program: u.version or "" for found in locations for u in found.uses if u.reader == "jsse" and u.program}
    return [f"{home}/bin/keytool" for home in sorted(homes, key=lambda home: homes[home], reverse=True)]


def _one(settings: Settings, host: Host, wanted: str, password_file: str | None) -> Store:
    """The store with this path or id. Raises UsageError where there is none."""
    everything = _Where([], [], network=False, password_file=password_file, everything=True)
    path = wanted if host.foreign else os.path.abspath(wanted)
    known = _read_all(settings, host, everything)
    for store in known:
        if wanted == store.id or path in (store.path, *store.links):
            return store
    if host.exists(path):
        return _read_all(
            settings, host, _Where([path], [], network=False, password_file=password_file, everything=True)
        )[0]
    hint = "trustmend stores lists them; a path may be any file or folder"
    raise UsageError(f"there is no store `{printable(wanted)}`", hint=hint)


def _host_row(host: Host) -> dict[str, str]:
    return {"name": printable(host.name), "os": printable(host.system_name()), "root": host.root}


def _exit_code(judged: Sequence[Judged]) -> int:
    """The contract's: 3 where some refuse or depend, else 4 where some could not be read, else 0."""
    verdicts = {j.verdict for j in judged if j.store.counted}
    if verdicts & {Verdict.UNTRUSTED, Verdict.DISTRUSTED, Verdict.CONDITIONAL}:
        return Exit.GAPS
    return Exit.PARTIAL if Verdict.UNREADABLE in verdicts else Exit.OK

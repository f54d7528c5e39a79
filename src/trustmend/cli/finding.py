"""What commands that look at stores share: where to look, reading, judging."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from trustmend.certificate import name_label, printable
from trustmend.cli import options
from trustmend.errors import ReadError, RefusedError, UsageError
from trustmend.host import Host
from trustmend.model import Location, Role

if TYPE_CHECKING:
    from trustmend.audit import Judged
    from trustmend.bundle import Bundle
    from trustmend.cli.app import Settings
    from trustmend.model import Store
    from trustmend.programs import Program


@dataclass(frozen=True)
class Where:
    """Which stores a command line is about."""

    paths: Sequence[str]
    scan: Sequence[str]
    network: bool
    password_file: str | None
    everything: bool
    beside: bool = False  # look everywhere, and at the paths, too: who owns and makes them is known then


def judge_all(
    settings: Settings, host: Host, where: Where, names: Sequence[str], when: datetime, sends: str | None = None
) -> tuple[list[Judged], list[Bundle]]:
    """All stores with their verdicts; `sends` is a file of what a server sends."""
    bundles = load_bundles(names, host)
    if sends is not None:
        bundles = sent_bundles(bundles, sends)
    judged = judge_stores(read_all(settings, host, where), bundles, when)
    return _with_history(settings, host, judged), bundles


def _with_history(settings: Settings, host: Host, judged: list[Judged]) -> list[Judged]:
    """The same, with what the changes of the past say of them, where there are any that the caller may read."""
    from trustmend.change.state import StateFolder, folder_of

    folder = folder_of(host, settings.state_dir)
    if not os.access(folder, os.R_OK | os.X_OK):
        return judged
    from trustmend.change import history
    from trustmend.change.disk import Disk

    try:
        return history.overwritten(history.load_all(StateFolder(folder, Disk())), judged)
    except RefusedError as problem:
        options.say(settings, f"note: {printable(problem.message)}")
        return judged


def sent_bundles(bundles: Sequence[Bundle], path: str) -> list[Bundle]:
    """The bundles with just the chains that the certificates in a file belong to, as a server that sends them.

    Raises:
        ReadError: the file cannot be read.
        UsageError: it holds no certificate, or none of a chain of these bundles.
    """
    from trustmend.bundle import sent_by
    from trustmend.formats import pem

    try:
        content = pem.read(Host().read(os.path.abspath(path)).content)
    except OSError as problem:
        raise ReadError(f"`{printable(path)}` cannot be read: {problem.strerror}") from problem
    sent = [entry.certificate for entry in content.entries]
    if not sent:
        hint = "it is a PEM file, as `openssl s_client -showcerts -connect HOST:443` prints it"
        raise UsageError(f"there is no certificate in `{printable(path)}`", hint=hint)
    found = [one for bundle in bundles if (one := sent_by(bundle, sent)) is not None]
    if not found:
        first = next((c for c in sent if not c.is_ca), sent[0])
        names = ", ".join(bundle.name for bundle in bundles)
        text = (
            f"`{printable(path)}` belongs to no chain of {names}: {first.label} is issued by {name_label(first.issuer)}"
        )
        raise UsageError(text, hint="--bundle all takes all bundles; `trustmend bundle show NAME` shows their chains")
    return found


def judge_stores(found: Sequence[Store], bundles: Sequence[Bundle], when: datetime) -> list[Judged]:
    """Each store's verdict."""
    from trustmend.audit import judge

    return [judge(store, bundles, when) for store in found]


def by_program(
    host: Host, where: Where, found: Sequence[Store], bundles: Sequence[Bundle], when: datetime
) -> tuple[list[Program], int]:
    """The programs that read the stores, and how many processes could not be looked into."""
    from trustmend.places import processes
    from trustmend.programs import programs

    walk = processes.last(host)
    return programs(found, bundles, when, () if where.paths else walk.alone), walk.unseen


def load_bundles(names: Sequence[str], host: Host, *, to_install: bool = False) -> list[Bundle]:
    """The bundles of these names, each once; `to_install`: as those whose certificates go into stores."""
    from trustmend import bundle

    wanted = bundle.names() if "all" in names else list(dict.fromkeys(names))
    return [bundle.load(name, host=host, to_install=to_install) for name in wanted]


def read_all(settings: Settings, host: Host, where: Where) -> list[Store]:
    """The stores that the command line is about, read."""
    return read_located(host, where, locate(settings, host, where))


def read_located(host: Host, where: Where, locations: Sequence[Location]) -> list[Store]:
    """The stores at these locations."""
    from trustmend.stores import Reading, read_stores

    password = options.password(where.password_file, host)
    known = cache(lambda: public_roots(host))
    wanted = _of_paths(host, locations) if where.beside and where.paths else locations
    found = read_stores(host, wanted, Reading(password, known, lambda: keytools(locations)))
    if where.everything:
        return found
    return [s for s in found if s.role is not Role.NOT_A_TRUST_STORE or s.by_user]


def locate(settings: Settings, host: Host, where: Where) -> list[Location]:
    """Where to look: the PATHs, or all places; with `--scan`, all that is below those folders."""
    from trustmend import configuration
    from trustmend.cli import start
    from trustmend.cli.progress import scan_progress
    from trustmend.discover import discover, left_alone, of_user

    def unreadable(folder: str, count: int) -> None:
        options.say(settings, f"note: {count} files and folders below {printable(folder)} could not be read")

    for folder in where.scan:
        if not host.exists(host.absolute(folder)):
            raise UsageError(f"there is no `{printable(folder)}` to scan", hint="--scan takes a folder")
    known = configuration.load(settings.config, foreign=host.foreign)
    paths = () if where.beside else where.paths
    pending = None if paths else start.survey(host, left_alone(host, own=where.everything))
    with scan_progress(settings, shown=bool(where.scan)) as progress:
        found = discover(
            host,
            paths=paths,
            scan=where.scan,
            survey=pending.result() if pending is not None else None,
            network=where.network,
            own=where.everything,
            progress=progress,
            unreadable=unreadable,
            configuration=known,
        )
    if not paths:
        from trustmend.places import processes

        for note in processes.last(host).notes():
            options.say(settings, f"note: {note}")
    if where.beside and where.paths:
        found += [of_user(host, path) for path in where.paths]
    return found


def _of_paths(host: Host, locations: Sequence[Location]) -> list[Location]:
    """The locations that lead where a PATH leads, and those that are made from the same source."""

    def end(location: Location) -> str:
        try:
            return host.resolve(location.path)
        except OSError:
            return location.path

    ends = [end(one) for one in locations]
    named = {place for place, one in zip(ends, locations, strict=True) if one.by_user}
    sources = {one.source for place, one in zip(ends, locations, strict=True) if place in named} - {None}
    return [one for place, one in zip(ends, locations, strict=True) if place in named or one.source in sources]


def public_roots(host: Host) -> frozenset[str]:
    """The SHA-256 of the roots that the public trusts: those of certifi and of the shipped bundles."""
    import certifi

    from trustmend import bundle
    from trustmend.formats import pem

    shipped = [bundle.load(name, host=host) for name in bundle.builtin_names()]
    bundled = {c.sha256 for one in shipped for c in one.certificates}
    siblings = {s.sha256 for one in shipped for s in one.siblings}
    listed = pem.read(Host().read(certifi.where()).content).entries
    return frozenset(bundled | siblings | {e.certificate.sha256 for e in listed})


def keytools(locations: Sequence[Location]) -> list[str]:
    """The keytools of the JVMs that were found, newest version first."""
    homes = {u.program: u.version or "" for found in locations for u in found.uses if u.reader == "jsse" and u.program}
    return [f"{home}/bin/keytool" for home in sorted(homes, key=lambda home: homes[home], reverse=True)]


def host_row(host: Host) -> dict[str, str]:
    """The contract's `host`."""
    return {"name": printable(host.name), "os": printable(host.system_name()), "root": host.root}

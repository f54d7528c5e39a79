"""The host from the other side: programs, the stores that each of them reads, and what each makes of the chains. Pure.

Processes that differ only by their number are one program. A program's verdict is that of the stores that it reads
instead of any others; where it reads more beside them, a chain that either of the two trusts is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from trustmend.audit import ChainVerdict, Judged, judge
from trustmend.bundle import Bundle
from trustmend.model import WORST_FIRST, Finding, Process, Role, Store, Use, Verdict
from trustmend.readers import view_of


@dataclass(frozen=True)
class Read:
    """One store as one program reads it; `extends`: beside the roots that the program has anyway."""

    store: Store
    reader: str
    how: str
    extends: bool
    judged: Judged


@dataclass(frozen=True)
class Program:
    """A program with what it reads, what replaces first.

    name: a command line without secrets, a runtime's path, or what kind of program it is.
    pids: of the running processes; none for what is only installed or configured.
    verdict: over the required chains; None where it cannot be known: its other roots are not among the stores.
    reason: of the verdict, one sentence.
    """

    name: str
    user: str | None
    unit: str | None
    container: str | None
    pids: tuple[int, ...]
    reads: tuple[Read, ...]
    verdict: Verdict | None
    reason: str


_TOGETHER: Final = (
    ("SSL_CERT_DIR", "SSL_CERT_FILE"),
    ("GIT_SSL_CAPATH", "GIT_SSL_CAINFO"),
    ("LDAPTLS_CACERTDIR", "LDAPTLS_CACERT"),
    ("PERL_LWP_SSL_CA_PATH", "PERL_LWP_SSL_CA_FILE"),
    ("HTTPS_CA_DIR", "HTTPS_CA_FILE"),
    ("beside CURL_CA_BUNDLE", "CURL_CA_BUNDLE"),
    ("--capath", "--cacert"),
    ("-CApath", "-CAfile"),
    ("--ca-directory", "--ca-certificate"),
)
"""Settings of one library, which trusts what either names: (of a folder, of a file)."""
_Key = tuple[str, str | None, str | None, str | None]
_Asked = Callable[[Store, Use], Judged]


def programs(
    stores: Sequence[Store],
    bundles: Sequence[Bundle],
    at: datetime,
    alone: Sequence[tuple[Process, Finding]] = (),
) -> list[Program]:
    """Every program that is known to read one of the stores, running ones first, the worst verdicts first.

    Args:
        stores: with their uses.
        bundles: whose chains are asked for.
        at: aware.
        alone: processes that read no store, and why.
    """
    seen: dict[tuple[str, str, str], Judged] = {}

    def asked(store: Store, use: Use) -> Judged:
        key = (store.id, use.reader, view_of(use))
        if key not in seen:
            seen[key] = judge(replace(store, uses=(use,)), bundles, at)
        return seen[key]

    by_process: dict[int, tuple[_Key, list[tuple[Store, Use]]]] = {}
    installed: dict[_Key, list[tuple[Store, Use]]] = {}
    for store in stores:
        if store.role in (Role.CLIENT_AUTH, Role.NOT_A_TRUST_STORE):
            continue
        for use in store.uses:
            if use.process is None:
                installed.setdefault((_name(use), None, None, None), []).append((store, use))
            else:
                by_process.setdefault(use.process.pid, (_key(use.process), []))[1].append((store, use))
    groups: dict[tuple[object, ...], list[int]] = {}
    for pid, (key, pairs) in by_process.items():
        alike = (key, *((store.id, use.reader, use.how) for store, use in pairs))
        groups.setdefault(alike, []).append(pid)
    found = []
    for pids in groups.values():
        key, pairs = by_process[pids[0]]
        found.append(_program(key, tuple(sorted(pids)), pairs, asked))
    found += [_program(key, (), pairs, asked) for key, pairs in installed.items()]
    found += [_alone(process, finding) for process, finding in alone]
    return sorted(found, key=_order)


def _order(program: Program) -> tuple[bool, int, str, tuple[int, ...]]:
    rank = len(WORST_FIRST) if program.verdict is None else WORST_FIRST.index(program.verdict)
    return not program.pids, rank, program.name, program.pids


def _key(process: Process) -> _Key:
    return process.command, process.user, process.unit, process.container


def _name(use: Use) -> str:
    """Who reads a store, where no process is known to."""
    if use.program is not None:
        return use.program
    if use.setting is not None:
        return f"{use.how.partition(':')[0]} ({use.setting.file})"
    if use.how.startswith(("environment variable", "-D")):
        return "programs started from this shell"
    return use.how


def _program(key: _Key, pids: tuple[int, ...], pairs: Iterable[tuple[Store, Use]], asked: _Asked) -> Program:
    once = {(store.id, use.reader, use.how): (store, use) for store, use in pairs}
    reads = [Read(store, use.reader, use.how, use.extends, asked(store, use)) for store, use in once.values()]
    reads.sort(key=lambda read: (read.extends, not read.how.startswith(("-", "environment"))))
    verdict, reason = _verdict(reads)
    name, user, unit, container = key
    return Program(name, user, unit, container, pids, tuple(reads), verdict, reason)


def _verdict(reads: Sequence[Read]) -> tuple[Verdict | None, str]:
    """The worst over the required chains, and why."""
    groups: dict[tuple[str, str], list[Sequence[ChainVerdict]]] = {}
    for read in reads:
        if not read.extends:
            groups.setdefault((read.reader, _library(read.how)), []).append(read.judged.chains)
    bases = [[_best(rows) for rows in zip(*group, strict=True)] for group in groups.values()]
    extensions = [read.judged.chains for read in reads if read.extends]
    chains = list(_chains(bases, extensions))
    required = [one.chain.required for one in (*bases, *extensions)[0]]
    wanted = [one for one, counts in zip(chains, required, strict=True) if counts] or chains
    if not wanted:
        return None, "no chain is asked for"
    if None in wanted:
        return None, "its built-in roots are not among the stores"
    worst = min((one for one in wanted if one), key=lambda one: WORST_FIRST.index(one.verdict))
    return worst.verdict, worst.reason


def _library(how: str) -> str:
    """What is the same for a file and a folder that one library reads, one beside the other."""
    for folder, file in _TOGETHER:
        if folder in how:
            return file
    return next((file for _, file in _TOGETHER if file in how), how)


def _best(rows: Sequence[ChainVerdict]) -> ChainVerdict:
    return max(rows, key=lambda one: WORST_FIRST.index(one.verdict))


def _chains(
    bases: Sequence[Sequence[ChainVerdict]], extensions: Sequence[Sequence[ChainVerdict]]
) -> Iterator[ChainVerdict | None]:
    """For each chain what decides it: the worst base, or a better extension; None for one that is not known."""
    rank = WORST_FIRST.index
    for number in range(len((*bases, *extensions)[0])):
        base = min((chains[number] for chains in bases), key=lambda one: rank(one.verdict), default=None)
        extension = _best([chains[number] for chains in extensions]) if extensions else None
        if extension is None or (base is not None and rank(base.verdict) >= rank(extension.verdict)):
            yield base
        else:
            yield extension if base is not None or extension.verdict is Verdict.TRUSTED else None


def _alone(process: Process, finding: Finding) -> Program:
    verdict = Verdict.UNTRUSTED if finding.code == "trusts-nobody" else None
    return Program(
        process.command, process.user, process.unit, process.container, (process.pid,), (), verdict, finding.message
    )

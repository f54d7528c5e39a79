"""When a store's trust in a chain begins and ends: the verdict at every date that could change it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from trustmend.audit import Judged, judge
from trustmend.bundle import Bundle, Chain
from trustmend.certificate import Certificate, canonical_name
from trustmend.model import Finding, Severity, Store, Verdict

_TICK: Final = timedelta(seconds=1)
"""Validity ends with the second that notAfter names (RFC 5280 section 4.1.2.5)."""


@dataclass(frozen=True)
class Span:
    """One verdict from `begin` until `end`, which is no longer in it; `event` says what ends it. None: it stays so."""

    verdict: Verdict
    begin: datetime
    end: datetime | None
    event: str


@dataclass(frozen=True)
class Line:
    """The spans of one chain in one store, one after the other."""

    bundle: str
    chain: Chain
    spans: tuple[Span, ...]


def lines(store: Store, bundles: Sequence[Bundle], start: datetime) -> tuple[Line, ...]:
    """What becomes of each chain from `start` (aware) until the last certificate that matters has expired.

    The events are the first and last instants of all certificates that could stand in a path: those of the chains and
    the entries that have the subject of one.
    """
    found = []
    for bundle in bundles:
        for chain in bundle.chains:
            alone = replace(bundle, chains=(chain,))
            found.append(Line(bundle.name, chain, tuple(_spans(store, alone, chain, start))))
    return tuple(found)


def _spans(store: Store, bundle: Bundle, chain: Chain, start: datetime) -> Iterator[Span]:
    certificates = _relevant(store, chain)
    last = max(c.not_after for c in certificates)
    begin, verdict = start, judge(store, [bundle], start).verdict
    for moment in sorted({m for m in _moments(certificates) if start < m <= last + _TICK}):
        then = judge(store, [bundle], moment).verdict
        if then is not verdict:
            yield Span(verdict, begin, moment, _event(certificates, moment))
            begin, verdict = moment, then
    yield Span(verdict, begin, None, "")


def _relevant(store: Store, chain: Chain) -> list[Certificate]:
    """The certificates of the chain in all its forms, and the store's of the same subjects; each once."""
    known = [*chain.path, *chain.served, *(chain.seen or ()), *(c for path in chain.alternates for c in path)]
    names = {canonical_name(c.subject) for c in known} | {canonical_name(c.issuer) for c in known}
    held = (e.certificate for e in store.content.entries if canonical_name(e.certificate.subject) in names)
    return list({c.sha256: c for c in (*known, *held)}.values())


def _moments(certificates: Iterable[Certificate]) -> Iterator[datetime]:
    for one in certificates:
        yield one.not_before
        yield one.not_after + _TICK


def _event(certificates: Sequence[Certificate], moment: datetime) -> str:
    """What happens at the moment, in words."""
    ending = [c for c in certificates if c.not_after + _TICK == moment]
    words = [f"{_named(c)} expires" for c in ending]
    words += [f"{_named(c)} becomes valid" for c in certificates if c.not_before == moment]
    return " and ".join(dict.fromkeys(words))


def _named(certificate: Certificate) -> str:
    from trustmend.certificate import name_label

    return certificate.label if certificate.self_issued else f"{certificate.label} by {name_label(certificate.issuer)}"


def soon(judged: Judged, bundles: Sequence[Bundle], at: datetime, days: int) -> tuple[Finding, ...]:
    """A finding where a store that trusts the required chains now will not any more within so many days.

    Only stores in whose accepted paths a date falls into that time are judged again.
    """
    until = at + timedelta(days=days)
    if judged.verdict not in (Verdict.TRUSTED, Verdict.CONDITIONAL):
        return ()
    accepted = [row for chain in judged.chains if chain.chain.required for row in chain.readers]
    ends = sorted({row.expires for row in accepted if row.expires is not None and at <= row.expires <= until})
    for end in ends:
        then = judge(judged.store, bundles, end + _TICK)
        if then.verdict is not judged.verdict:
            event = _event([c for row in accepted for c in row.path], end + _TICK)
            text = f"it will be {then.verdict} in {(end - at).days} days, on {end:%Y-%m-%d}: {event}"
            return (Finding("breaks-soon", Severity.WARNING, text),)
    return ()

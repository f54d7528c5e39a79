"""Judging: stores, bundles, readers' rules and a time in; verdicts and findings out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Final

from trustmend.bundle import Bundle, BundleCertificate, Chain
from trustmend.bundle_manifest import BundleRole
from trustmend.certificate import Certificate
from trustmend.model import (
    NSS,
    WORST_FIRST,
    EntryKind,
    Finding,
    Kind,
    Loaded,
    Refused,
    Severity,
    Store,
    Use,
    Verdict,
    View,
)
from trustmend.readers import INSTEAD, READERS, Reader, default_use, view_of
from trustmend.systems import takes_intermediates
from trustmend.validate import Anchors, Outcome, validate

_REFUSED: Final = "refused-by-reader: "


@dataclass(frozen=True)
class ReaderVerdict:
    """What one reader of the store says of one chain, and by which rule."""

    reader: str
    verdict: Verdict
    rule: str
    path: tuple[Certificate, ...] = ()
    expires: datetime | None = None  # when a date in the path ends the trust; None where no date counts


@dataclass(frozen=True)
class ChainVerdict:
    """What a store makes of one chain: the worst of its readers' verdicts, and that reader's path."""

    bundle: str
    chain: Chain
    verdict: Verdict
    reason: str
    readers: tuple[ReaderVerdict, ...]

    @property
    def decisive(self) -> ReaderVerdict | None:
        """The reader whose verdict this is; None where the store could not be read."""
        return next((r for r in self.readers if r.verdict is self.verdict), None)


@dataclass(frozen=True)
class Judged:
    """A store with its verdict. `missing` are the install certificates that are not in it."""

    store: Store
    verdict: Verdict
    chains: tuple[ChainVerdict, ...]
    missing: tuple[BundleCertificate, ...]
    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """Every certificate that patch would put into this kind of store is there."""
        return not self.missing and self.verdict is not Verdict.UNREADABLE


@dataclass(frozen=True)
class _Lens:
    """One reader's sight of a store: what it loads, ready for validation."""

    reader: Reader
    view: View
    anchors: Anchors
    beside: tuple[Certificate, ...] = ()  # no anchors, but parts of paths


def judge(store: Store, bundles: Sequence[Bundle], at: datetime) -> Judged:
    """The verdict on one store for all chains of the bundles at a time (aware).

    Equal inputs give equal output; nothing is read and no clock is asked.
    """
    lenses = _lenses(store)
    if not lenses:
        reason = store.content.error or "no view of it could be made"
        return Judged(store, Verdict.UNREADABLE, _unread(bundles, reason), (), _own_findings(store))
    missing = _missing(store, bundles)
    chains = tuple(_judge_chain(b, chain, store, lenses, at) for b in bundles for chain in b.chains)
    findings = (
        *_own_findings(store),
        *_view_findings(lenses),
        *_path_findings(chains, lenses, at),
        *_certificate_findings(store, bundles, at),
    )
    return Judged(store, _worst_required(chains), chains, missing, tuple(dict.fromkeys(findings)))


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    return min(verdicts, key=WORST_FIRST.index, default=Verdict.TRUSTED)


def _worst_required(chains: Sequence[ChainVerdict]) -> Verdict:
    """The worst over the required chains; over all of them where a bundle requires none."""
    return _worst([c.verdict for c in chains if c.chain.required] or [c.verdict for c in chains])


def _missing(store: Store, bundles: Sequence[Bundle]) -> tuple[BundleCertificate, ...]:
    """The install certificates that belong into this kind of store and stand nowhere in it, each once."""
    present = {e.certificate.sha256 for e in store.content.entries}
    wanted = {c.sha256: c for b in bundles for c in b.certificates if c.install}
    if store.source is not None and not takes_intermediates(store.source):
        wanted = {sha256: c for sha256, c in wanted.items() if c.role is BundleRole.ROOT}
    return tuple(c for sha256, c in wanted.items() if sha256 not in present)


def sights(store: Store) -> list[tuple[Reader, View, tuple[Use, ...]]]:
    """(reader, view, uses) of the ways in which the store is read, in the order in which verdicts have their rows."""
    groups: dict[tuple[str, str], list[Use]] = {}
    views = store.content.views
    for use in store.uses or (default_use(store.content.kind),):
        name = view_of(use)
        if name not in views:
            name = INSTEAD.get(name, name)
        if name in views:
            groups.setdefault((use.reader, name), []).append(use)
    return [(READERS[reader], views[name], tuple(uses)) for (reader, name), uses in groups.items()]


def _lenses(store: Store) -> list[_Lens]:
    """Each known reader's sight of the store; of readers with the same rules and view only the first."""
    # NSS builds paths through whatever its database holds (lib/pki/certificate.c, find_cert_issuer).
    plain = tuple(e.certificate for e in store.content.entries if e.kind is EntryKind.PLAIN)
    return [
        _Lens(
            reader,
            view,
            Anchors(view.entries if isinstance(view, Loaded) else ()),
            plain if reader.view == NSS and store.content.kind is Kind.NSS else (),
        )
        for reader, view, _ in sights(store)
    ]


def _unread(bundles: Sequence[Bundle], reason: str) -> tuple[ChainVerdict, ...]:
    return tuple(ChainVerdict(b.name, c, Verdict.UNREADABLE, reason, ()) for b in bundles for c in b.chains)


def _judge_chain(bundle: Bundle, chain: Chain, store: Store, lenses: Sequence[_Lens], at: datetime) -> ChainVerdict:
    rows = tuple(_barred(chain, store, _ask(chain, lens, at)) for lens in lenses)
    verdict = _worst([row.verdict for row in rows])
    decisive = next(row for row in rows if row.verdict is verdict)
    return ChainVerdict(bundle.name, chain, verdict, _reason(chain, store, decisive), rows)


def _barred(chain: Chain, store: Store, row: ReaderVerdict) -> ReaderVerdict:
    """The same, but where the system has left out the root on somebody's word, that is said in place of its lack."""
    where = store.bars.get(chain.path[-1].sha256)
    if (
        where is None
        or row.verdict is Verdict.TRUSTED
        or chain.path[-1] in {e.certificate for e in store.content.entries}
    ):
        return row
    return ReaderVerdict(row.reader, Verdict.DISTRUSTED, f"{chain.path[-1].label} is barred by {where}")


def _ask(chain: Chain, lens: _Lens, at: datetime) -> ReaderVerdict:
    """One reader's verdict on one chain: with what servers normally send, then with each cross-sign."""
    if isinstance(lens.view, Refused):
        return ReaderVerdict(lens.reader.id, Verdict.UNTRUSTED, f"{_REFUSED}{lens.view.reason}")
    normal = _validate(chain, chain.path, lens, at)
    if normal.verdict is Verdict.UNTRUSTED:
        for alternate in chain.alternates:
            other = _validate(chain, alternate, lens, at)
            if other.verdict is Verdict.TRUSTED:
                crosses = " and ".join(c.label for c in alternate[1:-1]) or alternate[-1].label
                rule = f"only if the server also sends {crosses} signed by {alternate[-1].label}"
                return ReaderVerdict(lens.reader.id, Verdict.CONDITIONAL, rule, other.path, other.expires)
    rule = normal.rule
    if lens.view.note and normal.verdict is Verdict.UNTRUSTED:
        rule = f"{rule} ({lens.view.note})"
    return ReaderVerdict(lens.reader.id, normal.verdict, rule, normal.path, normal.expires)


def _validate(chain: Chain, path: Sequence[Certificate], lens: _Lens, at: datetime) -> Outcome:
    """Validation with what a server sends for this path: all of it but the root, and what it sends besides."""
    usual = [*path[:-1], *(c for c in chain.served if c not in path)]
    sent = [*(usual if chain.seen is None else chain.seen), *(c for c in lens.beside if c not in usual)]
    return validate(chain.path[0], sent, lens.anchors, lens.reader, at)


def _reason(chain: Chain, store: Store, decisive: ReaderVerdict) -> str:
    """Why the verdict is what it is, in words for people."""
    if decisive.rule.startswith(_REFUSED):
        return f"{READERS[decisive.reader].title} does not load it: {decisive.rule.removeprefix(_REFUSED)}"
    if decisive.verdict in (Verdict.TRUSTED, Verdict.DISTRUSTED):
        return decisive.rule
    root = chain.path[-1]
    named = f"{root.label} ({root.sha256[:16]}...)"
    entries = [e.certificate for e in store.content.entries]
    if root in entries:
        reason = f"the root {named} is in the store, yet {decisive.rule}"
    else:
        if not entries:
            return "there is no certificate in it"
        same_key = [c for c in entries if c.spki == root.spki]
        beside = (
            f"only {same_key[0].label} issued by another CA has its key" if same_key else "nothing in it has its key"
        )
        reason = f"the root {named} is missing; {beside}"
        if decisive.verdict is Verdict.UNTRUSTED and (same_key or chain.path[0] in entries):
            reason += f"; {decisive.rule}"
    if decisive.verdict is Verdict.CONDITIONAL:
        reason += f"; trusted {decisive.rule}"
    return reason


def _own_findings(store: Store) -> tuple[Finding, ...]:
    """What finding, opening and reading the store already said."""
    shadow: tuple[Finding, ...] = ()
    if store.shadowed_by:
        text = f"no JVM reads it: {store.shadowed_by} stands beside it and replaces it"
        shadow = (Finding("shadowed-by", Severity.INFO, text),)
    return (*store.findings, *store.content.findings, *shadow)


def _view_findings(lenses: Sequence[_Lens]) -> Iterator[Finding]:
    """Readers that refuse the store, or see less of it than stands in it."""
    for lens in lenses:
        title = lens.reader.title
        if isinstance(lens.view, Refused):
            yield Finding("refused-by-reader", Severity.ERROR, f"{title}: {lens.view.reason}")
        elif lens.view.note:
            yield Finding("reads-less", Severity.WARNING, f"{title}: {lens.view.note}")


def _path_findings(chains: Sequence[ChainVerdict], lenses: Sequence[_Lens], at: datetime) -> Iterator[Finding]:
    """What the accepted and refused paths show: anchors that are no roots, early ends, and an order that decides."""
    by_reader = {lens.reader.id: lens for lens in lenses}
    for judged in [c for c in chains if c.chain.required] or chains:
        for row in judged.readers:
            lens = by_reader[row.reader]
            if row.verdict in (Verdict.TRUSTED, Verdict.CONDITIONAL):
                yield from _anchor_findings(judged.chain, row, lens.reader)
            elif row.verdict is Verdict.UNTRUSTED and _order_decides(judged.chain, lens, at):
                text = (
                    f"the order of the certificates decides for {lens.reader.title}: {judged.chain.path[-1].label} "
                    "is in the store, behind a certificate of the same name that is taken first"
                )
                yield Finding("order-dependent", Severity.ERROR, text, judged.chain.path[-1].sha256)


def _anchor_findings(chain: Chain, row: ReaderVerdict, reader: Reader) -> Iterator[Finding]:
    anchor = row.path[-1]
    if not anchor.self_signed:
        stops = f"{reader.title} trusts {chain.title} by {anchor.label}, which is no root"
        text = f"{stops}: not every reader would stop there"
        yield Finding("anchored-at-non-root", Severity.WARNING, text, anchor.sha256)
    usual = min(c.not_after for c in chain.path)
    if row.expires is not None and row.expires < usual:
        first = min((c for c in row.path), key=lambda c: c.not_after)
        text = f"this trust ends on {row.expires:%Y-%m-%d}, when {first.label} issued by {_issuer(first)} expires"
        yield Finding("ends", Severity.WARNING, text, first.sha256)


def _issuer(certificate: Certificate) -> str:
    from trustmend.certificate import name_label

    return "itself" if certificate.self_issued else name_label(certificate.issuer)


def _order_decides(chain: Chain, lens: _Lens, at: datetime) -> bool:
    """Whether a first-match reader would trust the same certificates in another order: roots first."""
    if not lens.reader.first_match or isinstance(lens.view, Refused):
        return False
    if not any(e.certificate == chain.path[-1] for e in lens.view.entries):
        return False
    roots_first = Anchors(sorted(lens.view.entries, key=lambda e: not e.certificate.self_signed))
    turned = replace(lens, anchors=roots_first)
    return _validate(chain, chain.path, turned, at).verdict is Verdict.TRUSTED


def _certificate_findings(store: Store, bundles: Sequence[Bundle], at: datetime) -> Iterator[Finding]:
    """Expired entries, siblings that break old clients, aliases that name another CA."""
    siblings = {s.certificate.sha256: s for b in bundles for s in b.siblings}
    known = {c.certificate.sha256: c.certificate for b in bundles for c in b.certificates}
    seen: set[str] = set()
    for entry in store.content.entries:
        certificate = entry.certificate
        if entry.alias:
            yield from _alias_finding(entry.alias, certificate, known.values())
        if certificate.sha256 in seen:
            continue
        seen.add(certificate.sha256)
        if certificate.sha256 in siblings:
            text = f"{certificate.label} issued by {_issuer(certificate)}: {siblings[certificate.sha256].reason}"
            yield Finding("expired-sibling", Severity.WARNING, text, certificate.sha256)
        elif certificate.not_after < at and certificate.is_ca:
            text = f"{certificate.label} expired on {certificate.not_after:%Y-%m-%d}"
            yield Finding("expired", Severity.INFO, text, certificate.sha256)


@cache
def _plain(text: str) -> str:
    """An alias or a name less everything that people write differently."""
    text = re.sub(r"^(debian:|trustmend-)|\.(pem|crt|cer|der)$", "", text.lower())
    return re.sub(r"[^a-z0-9]|certificationauthority|\bca\b", "", text.replace("_", " "))


def _alias_finding(alias: str, certificate: Certificate, known: Iterable[Certificate]) -> Iterator[Finding]:
    """A finding where the alias is the name of a bundle's certificate and the entry is neither it nor its twin."""
    plain = _plain(alias)
    for other in known:
        if plain == _plain(other.label) and other.spki != certificate.spki and other.label != certificate.label:
            from trustmend.certificate import printable

            text = f"the alias `{printable(alias)}` names {other.label}, but the entry is {certificate.label}"
            yield Finding("misleading-alias", Severity.WARNING, text, certificate.sha256)
            return


def clock_finding(bundles: Sequence[Bundle], at: datetime) -> Finding | None:
    """A finding where the time is so far off that no verdict can be meant: before the chains' own roots began."""
    latest = max((c.path[-1].not_before for b in bundles for c in b.chains), default=None)
    if latest is not None and at < latest:
        text = f"the time {at:%Y-%m-%d %H:%M} UTC lies before the roots begin ({latest:%Y-%m-%d}): is the clock right?"
        return Finding("clock", Severity.WARNING, text)
    earliest_end = max((c.path[-1].not_after for b in bundles for c in b.chains), default=None)
    if earliest_end is not None and at > earliest_end:
        text = (
            f"the time {at:%Y-%m-%d %H:%M} UTC lies after all roots' end ({earliest_end:%Y-%m-%d}): is the clock right?"
        )
        return Finding("clock", Severity.WARNING, text)
    return None


@dataclass(frozen=True)
class Summary:
    """How many counted stores have each verdict."""

    stores: int
    trusted: int
    conditional: int
    untrusted: int
    distrusted: int
    unreadable: int


def summarise(judged: Sequence[Judged]) -> Summary:
    """Count the counted stores by verdict."""
    verdicts = [j.verdict for j in judged if j.store.counted]
    return Summary(
        len(verdicts),
        *(
            verdicts.count(v)
            for v in (
                Verdict.TRUSTED,
                Verdict.CONDITIONAL,
                Verdict.UNTRUSTED,
                Verdict.DISTRUSTED,
                Verdict.UNREADABLE,
            )
        ),
    )

"""Deciding: judged stores and what is known of their surroundings in, the changes to make out. Pure.

Only counted stores that will trust the required chains afterwards are touched. What is put into a store that others
are made from is put into its source, once, however many of its artifacts lack it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from trustmend import systems
from trustmend.advice import next_step
from trustmend.audit import Judged, judge
from trustmend.bundle import Bundle, BundleCertificate
from trustmend.bundle_manifest import BundleRole
from trustmend.certificate import Certificate, name_hash
from trustmend.formats import directory_write, pem, pem_write, registry
from trustmend.model import Content, Entry, EntryKind, Kind, Loaded, Role, Store, Verdict
from trustmend.plan import KEY_STORES, CannotFix, Facts, Method, Plan, Step, SystemFacts, Wishes
from trustmend.systems import System


def wanted(judged: Judged, wishes: Wishes) -> bool:
    """Whether a patch is to look at this store at all."""
    store = judged.store
    if not store.counted or (store.shadowed_by and not store.by_user):
        return False
    if wishes.families and not wishes.families & {store.family.value, store.content.kind.value}:
        return False
    if judged.verdict is Verdict.TRUSTED:
        return wishes.complete and bool(_additions(judged, wishes))
    return True


def make(
    judged: Sequence[Judged],
    bundles: Sequence[Bundle],
    at: datetime,
    wishes: Wishes,
    facts: Callable[[Judged], Facts],
    system_facts: Callable[[str, Sequence[Certificate]], SystemFacts | None],
) -> Plan:
    """The plan for these stores.

    Args:
        judged: all of the host, or those that the command line names.
        bundles: what they were judged for.
        at: the time they were judged for.
        wishes: what is to be done.
        facts: what is known around a store; asked only for those that a patch may touch.
        system_facts: the same of a source folder, for these certificates; None for a source that nobody knows.
    """
    steps: list[Step] = []
    refused: list[CannotFix] = []
    by_source: dict[str, list[Judged]] = {}
    for one in judged:
        if not wanted(one, wishes):
            continue
        if (problem := _never(one, wishes)) is not None:
            refused.append(problem)
        elif one.store.source is not None:
            by_source.setdefault(one.store.source, []).append(one)
        else:
            _sort(_own_step(one, bundles, at, wishes, facts), steps, refused)
    for source, ones in by_source.items():
        add = {c.sha256: c for one in ones for c in _additions(one, wishes)}
        ordered = sorted(add.values(), key=lambda c: c.role is not BundleRole.ROOT)
        known = system_facts(source, [c.certificate for c in ordered])
        beside = [one for one in ones if known is not None and one.store.path in known.unreached]
        for one in beside:
            _sort(_own_step(one, bundles, at, wishes, facts), steps, refused)
        made, left = _system_step(source, [o for o in ones if o not in beside], ordered, known, bundles, at)
        steps[:0] = made
        refused += left
    return Plan(at, tuple(bundles), tuple(steps), tuple(refused), wishes.roots_only)


def _sort(found: Step | CannotFix, steps: list[Step], refused: list[CannotFix]) -> None:
    if isinstance(found, Step):
        steps.append(found)
    else:
        refused.append(found)


def _additions(judged: Judged, wishes: Wishes) -> tuple[BundleCertificate, ...]:
    """What the store lacks, roots first: the order in which it is added."""
    lacking = [c for c in judged.missing if c.role is BundleRole.ROOT or not wishes.roots_only]
    return tuple(sorted(lacking, key=lambda c: c.role is not BundleRole.ROOT))


def _never(judged: Judged, wishes: Wishes) -> CannotFix | None:
    """Why no certificate that is added could help, or may be added, whatever the place."""
    store = judged.store
    if judged.verdict is Verdict.UNREADABLE:
        return CannotFix(store, store.content.error or "it could not be read", next_step(judged))
    if judged.verdict is Verdict.DISTRUSTED:
        return CannotFix(store, _reason(judged), next_step(judged))
    if store.remedy is not None:
        return CannotFix(store, _reason(judged), store.remedy)
    if store.role is Role.CLIENT_AUTH and not wishes.client_auth:
        text = "it verifies clients: whoever has a certificate of a public CA could log in"
        return CannotFix(store, text, "if that is meant: --allow-client-auth")
    if not store.content.entries and not store.by_user and store.content.kind is not Kind.NSS:
        text = "there is no certificate in it: with the new ones alone its programs would refuse everybody else"
        return CannotFix(store, text, "restore it from its package or backup, then patch")
    written = KEY_STORES | {Kind.PEM_BUNDLE, Kind.PEM_DIRECTORY, Kind.NSS}
    if store.content.kind not in written and store.source is None:
        return CannotFix(store, f"stores of the kind {store.content.kind.value} are not written", next_step(judged))
    return None


def _reason(judged: Judged) -> str:
    """Why the verdict is what it is, from the first chain that has it."""
    return next((c.reason for c in judged.chains if c.verdict is judged.verdict), judged.verdict.value)


def _own_step(
    judged: Judged, bundles: Sequence[Bundle], at: datetime, wishes: Wishes, facts: Callable[[Judged], Facts]
) -> Step | CannotFix:
    """The step that changes the store itself."""
    store = judged.store
    add = _additions(judged, wishes)
    kind = store.content.kind
    known = facts(judged)
    certificates = [c.certificate for c in add]
    content = known.content
    if kind is Kind.PEM_BUNDLE and content.strip() and registry.recognise(content) is None:
        # Of a PATH that is mistyped, such as /etc/shadow, nothing may become a bundle.
        text = "it holds something else: neither a certificate nor a key store"
        return CannotFix(store, text, "name a trust store; to make one of this file, empty it first")
    if kind is Kind.PEM_BUNDLE:
        method, files = Method.PEM, [store.path]
        after = pem.read(pem_write.add(content, certificates, "planned"))
    elif kind is Kind.PEM_DIRECTORY:
        method, files = Method.DIRECTORY, [f"{store.path}/{name}" for name in _names(add, known, store)]
        after = extended(store.content, certificates, roots_first=True)
    elif kind is Kind.NSS:
        method, files = Method.NSS, [*known.beside, store.path]
        after = _extended_database(store.content, add)
    else:
        method, files = Method.KEY_STORE, [store.path]
        after = extended(store.content, certificates, roots_first=False)
    then = judge(replace(store, content=after), bundles, at)
    if then.verdict is not Verdict.TRUSTED:
        return CannotFix(store, _not_helped(judged, then), next_step(judged))
    if known.obstacle is not None:
        return CannotFix(store, known.obstacle.reason, known.obstacle.remedy)
    if method in (Method.KEY_STORE, Method.NSS) and not known.opens:
        text = "no known password opens it for writing"
        return CannotFix(store, text, "give its password: --password-file FILE or TRUSTMEND_STOREPASS")
    if method is Method.NSS and known.certutil is None:
        text = "there is no certutil here that may be run, and only NSS's own tools write such a database"
        return CannotFix(store, text, "install libnss3-tools (Debian, Ubuntu), nss-tools (RHEL, Alpine) or nss (Arch)")
    if method is Method.KEY_STORE and known.keytool is None:
        text = "there is no keytool here that may be run, to read the written store back"
        return CannotFix(store, text, "install one (Debian: default-jre-headless), or run this as the JDK's owner")
    return Step(method, (judged,), add, tuple(files), known, notes=tuple(_notes(judged, known)))


def _not_helped(before: Judged, after: Judged) -> str:
    """Why the store would not trust the chains even with all certificates of the bundle."""
    if not before.missing:
        return f"it lacks none of the certificates, yet {_reason(before)}"
    return f"with the certificates in it, too: {_reason(after)}"


def _names(add: Sequence[BundleCertificate], known: Facts, store: Store) -> list[str]:
    """The names in a folder that a step makes or changes."""
    named = [(systems.file_name(c.certificate), c.certificate) for c in add]
    return list(dict.fromkeys(move.name for move in directory_write.moves(known.names, named, der=all_der(store))))


def all_der(store: Store) -> bool:
    """A folder whose certificates are all DER files: what is added is DER, too, and has no hash links."""
    files = [entry.file or "" for entry in store.content.entries]
    return bool(files) and all(file.lower().endswith((".der", ".cer")) for file in files)


def extended(content: Content, certificates: Sequence[Certificate], *, roots_first: bool) -> Content:
    """What a store holds once these certificates are in it, as each of its readers that loads it sees it.

    Args:
        content: of a key store or a folder.
        certificates: added behind all others.
        roots_first: readers meet the added roots before everything else.
    """
    new = tuple(Entry(c, len(content.entries) + i, alias=systems.alias(c)) for i, c in enumerate(certificates))
    roots = tuple(e for e in new if roots_first and e.certificate.self_signed)
    others = tuple(e for e in new if e not in roots)
    views = {
        name: Loaded((*roots, *view.entries, *others)) if isinstance(view, Loaded) else view
        for name, view in content.views.items()
    }
    return replace(content, entries=(*content.entries, *new), views=views, empty=False)


def _extended_database(content: Content, add: Sequence[BundleCertificate]) -> Content:
    """What an NSS database holds then: roots are trusted, and intermediates only help to build paths."""
    first = len(content.entries)
    new = tuple(
        Entry(c.certificate, first + i, alias=systems.alias(c.certificate), kind=kind_in_database(c))
        for i, c in enumerate(add)
    )
    anchors = tuple(entry for entry in new if entry.kind is EntryKind.CERTIFICATE)
    views = {
        name: Loaded((*view.entries, *anchors)) if isinstance(view, Loaded) else view
        for name, view in content.views.items()
    }
    return replace(content, entries=(*content.entries, *new), views=views, empty=False)


def kind_in_database(certificate: BundleCertificate) -> EntryKind:
    """What a certificate that we put into an NSS database is there."""
    return EntryKind.CERTIFICATE if certificate.role is BundleRole.ROOT else EntryKind.PLAIN


def _notes(judged: Judged, known: Facts) -> Iterator[str]:
    """What the operator should know before the step is made."""
    store = judged.store
    if store.content.kind is Kind.NSS:
        if any(missing.role is not BundleRole.ROOT for missing in judged.missing):
            yield "roots are trusted for TLS servers alone (C,,); intermediates get no trust and help to build paths"
        if any(use.extends for use in store.uses):
            yield "browsers carry roots of their own; this database adds to them"
    if store.role is Role.PRIVATE and not any(use.extends for use in store.uses):
        yield "it trusts a private CA alone: with public roots in it, its programs will trust every public server"
    if store.role is Role.CLIENT_AUTH:
        yield "it verifies clients: whoever has a certificate of these CAs will be let in"
    if store.role is Role.NOT_A_TRUST_STORE:
        yield "it does not look like a trust store; it is changed because you name it"
    if not store.content.entries and store.content.kind is not Kind.NSS:
        yield "there is no certificate in it: its programs will trust the new ones and nobody else"
    if known.hopeless:
        yield known.hopeless
    if known.hard_links > 1:
        yield f"the file has {known.hard_links} names (hard links, as of a package cache): only this one is replaced"


def _system_step(
    source: str,
    ones: Sequence[Judged],
    ordered: Sequence[BundleCertificate],
    known: SystemFacts | None,
    bundles: Sequence[Bundle],
    at: datetime,
) -> tuple[list[Step], list[CannotFix]]:
    """The step that puts certificates into a source, and the artifacts that it would not mend."""
    if known is None:
        return [], [CannotFix(one.store, f"nothing is known of how {source} works", next_step(one)) for one in ones]
    barred = [(c, known.bars[c.sha256]) for c in ordered if c.sha256 in known.bars]
    if barred:
        text = "; ".join(f"{c.certificate.label} is barred by {where}" for c, where in barred)
        return [], [CannotFix(one.store, text, "ask who barred it, and lift the bar first") for one in ones]
    if known.obstacle is not None:
        return [], [CannotFix(one.store, known.obstacle.reason, known.obstacle.remedy) for one in ones]
    if known.command is None:
        text = f"the command that makes it from {source} is not installed ({known.system.commands[0][0]})"
        return [], [CannotFix(one.store, text, "install the package ca-certificates") for one in ones]
    new = [c for c in ordered if c.sha256 not in known.existing]
    mended, left = [], []
    for one in ones:
        mine = {m.sha256 for m in one.missing}
        after = extended(one.store.content, [c.certificate for c in ordered if c.sha256 in mine], roots_first=False)
        then = judge(replace(one.store, content=after), bundles, at)
        if then.verdict is Verdict.TRUSTED:
            mended.append(one)
        else:
            left.append(CannotFix(one.store, _not_helped(one, then), next_step(one)))
    if not mended:
        return [], left
    notes = list(_system_notes(known, ordered))
    files = tuple(_system_files(known, new))
    return [Step(Method.SYSTEM, tuple(mended), tuple(ordered), files, system=known, notes=tuple(notes))], left


def _system_notes(known: SystemFacts, add: Iterable[BundleCertificate]) -> Iterator[str]:
    intermediates = any(c.role is BundleRole.INTERMEDIATE for c in add)
    if intermediates and known.system.spreads:
        yield (
            "this system makes a full anchor of each intermediate, which outlives its root; --roots-only leaves them "
            "out and is enough wherever servers send their intermediates, as they must"
        )
    elif not known.system.spreads:
        yield "intermediates are left out: this system would reject chains through one that is no anchor"
    if known.pending:
        names = ", ".join(known.pending[:3]) + (f" and {len(known.pending) - 3} more" if len(known.pending) > 3 else "")
        yield f"the command takes in, too, what others have left for its next run: {names}"


def our_file(system: System, certificate: BundleCertificate) -> str:
    """Where the certificate's file goes in the system's source."""
    return f"{system.folder}/{systems.file_name(certificate.certificate)}{system.suffix}"


def _system_files(known: SystemFacts, new: Sequence[BundleCertificate]) -> Iterator[str]:
    """Our own files, and what the command is known to write."""
    yield from (our_file(known.system, c) for c in new)
    yield from known.files
    yield from known.pending
    if known.directory is None:
        return
    names = set(known.links)
    for one in new:
        yield f"{known.directory}/{known.system.link.format(systems.file_name(one.certificate))}"
        digits = name_hash(one.certificate)
        count = next(n for n in range(len(names) + 1) if f"{digits}.{n}" not in names)
        # The command numbers links of one name in an order of its own.
        yield from (f"{known.directory}/{digits}.{n}" for n in range(count + 1))
        names.add(f"{digits}.{count}")

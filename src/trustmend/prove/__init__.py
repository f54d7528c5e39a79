"""The real programs of the host, asked whether they accept the chains with each store: one module per program.

1. A program is started only through `Host.run`, with a small environment of its own, and only if nobody but root could
   have changed it where root starts it; nothing is started for a foreign root.
2. Stores are not written. What a program needs and cannot read in place is a copy in a temporary folder of mode 0700,
   which is gone at the end.
3. Where a program would answer another question than the one that was judged, it is not asked, and that is said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from trustmend.audit import Judged, sights
from trustmend.bundle import Bundle
from trustmend.host import Host
from trustmend.model import Kind, Verdict
from trustmend.prove import gnutls, jvm, nss, openssl, p11_kit, python
from trustmend.prove.bench import FOLDERS, Bench
from trustmend.prove.question import Proof, Question
from trustmend.prove.scratch import scratch

Ask = Callable[[Sequence[Question], Bench], list[Proof]]
"""Answers for these questions, in any number and order: each says which store and reader it is about."""

PROGRAMS: Final[Mapping[str, tuple[Ask, ...]]] = {
    "openssl-3": (openssl.ask,),
    "python-3.12": (openssl.ask, python.ask),
    "python-3.13": (openssl.ask, python.ask),
    "curl": (openssl.ask,),
    "node": (openssl.ask,),
    "gnutls": (gnutls.ask,),
    "jsse": (jvm.ask,),
    "jsse-pem": (jvm.ask,),
    "nss": (nss.ask,),
}
"""Whom to ask about a reader. Go and rustls have no program that validates a chain: they are libraries alone."""

Proofs = Mapping[str, tuple[Proof, ...]]
"""A store's id -> the answers about it."""


def prove(
    host: Host,
    judged: Sequence[Judged],
    bundles: Sequence[Bundle],
    at: datetime,
    *,
    password: str | None = None,
    folders: Sequence[str] = FOLDERS,
) -> Proofs:
    """What the real programs of the host say of the verdicts.

    Args:
        host: whose; of a foreign root nothing is started, and each answer says so.
        judged: verdicts; stores that could not be read are left out.
        bundles: the verdicts' own; programs read certificates in their files.
        at: the verdicts' time.
        password: of key stores, as it was given for reading them.
        folders: where programs are looked for.
    """
    questions = [question for one in judged for question in _questions(one, at)]
    found: dict[str, list[Proof]] = {one.store.id: [] for one in judged if one.verdict is not Verdict.UNREADABLE}
    asked: dict[Ask, list[Question]] = {}
    for question in questions:
        if host.foreign:
            reason = "no program is started for a foreign root: nothing can be proved there"
            found[question.store.id].append(question.unanswered(reason))
        elif "!/" in question.store.path and not host.exists(question.store.path):
            found[question.store.id].append(question.unanswered("no program opens a part of a file"))
        else:
            for ask in _askers(question):
                asked.setdefault(ask, []).append(question)
            if not _askers(question):
                reason = f"no program validates a chain as {question.reader.title} does, without a server"
                found[question.store.id].append(question.unanswered(reason))
    known = {
        c.certificate: path
        for bundle in bundles
        for c in bundle.certificates
        if Host().is_file(path := f"{bundle.folder}/{c.file}")
    }
    with scratch(known) as files:
        bench = Bench(host, files, password, folders)
        for ask, members in asked.items():
            for proof in ask(members, bench):
                found[proof.store].append(proof)
    stores = {one.store.id: one for one in judged}
    return {store: tuple(_still(host, stores[store], proof) for proof in proofs) for store, proofs in found.items()}


def disagreements(proofs: Proofs) -> list[Proof]:
    """The answers that contradict ours: each is a bug."""
    return [proof for found in proofs.values() for proof in found if proof.agrees is False]


def _questions(judged: Judged, at: datetime) -> list[Question]:
    """Each chain under each way of reading the store."""
    if judged.verdict is Verdict.UNREADABLE:
        return []
    questions = []
    for chain in judged.chains:
        ways = sights(judged.store)
        for row in chain.readers:  # one for each way, in their order
            way = next((one for one in ways if one[0].id == row.reader), None)
            if way is not None:
                ways.remove(way)
                questions.append(Question(judged.store, way[2], way[1], chain.chain, row, at))
    return questions


def _askers(question: Question) -> tuple[Ask, ...]:
    if question.row.reader in ("nss", "gnutls") and question.store.content.kind is not Kind.NSS:
        by_module = any("p11-kit" in use.how for use in question.uses)
        if by_module or question.store.content.kind is Kind.P11_KIT:
            return (p11_kit.ask,)
    return PROGRAMS.get(question.row.reader, ())


def _still(host: Host, judged: Judged, proof: Proof) -> Proof:
    """The proof; where it contradicts us because the store is another by now, that instead."""
    store = judged.store
    if proof.agrees is not False or store.sha256 is None or host.is_dir(store.path):
        return proof
    try:
        same = hashlib.sha256(host.read(store.path).content).hexdigest() == store.sha256
    except OSError:
        same = False
    changed = replace(proof, theirs=None, agrees=None, command=None, error="the store was changed meanwhile")
    return proof if same else changed
